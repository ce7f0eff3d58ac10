"""What one peer says that it durably has: by this `Repair` decides what to pull and to prune.

The one idea: a peer tells its clocks, so two clocks show what either node lacks.  Nothing here
knows of messages under way or of time.
(protocol D6; "Concise Server-Wide Causality Management", DAIS 2015.)
"""

from dataclasses import dataclass
from itertools import islice

import msgspec

from node.core.model.actors import Actor, short_name, short_of
from node.core.model.dots import DotClock
from node.core.model.slots import ALL, Slots, from_bytes
from node.core.model.view import ViewId
from node.core.protocol.messages import Compare
from node.core.storage.slot_groups import Part

LOOKED_AT_MAX = 64  # missing dots, to see who wrote them


class PeerSlots(msgspec.Struct):
    """Slots of a peer that share one clock, and the views that they are complete for."""

    slots: Slots
    clock: DotClock
    complete_for: set[ViewId]


@dataclass(slots=True)
class PeerProgress:
    """What a peer says that it durably has.

    `refused`: the past incarnations that it refuses.  `closed`: those whose gaps it has filled.
    `name`: the node's part of the actors that it writes as.  `generation`: that of its mark.
    """

    groups: list[PeerSlots]
    refused: set[Actor]
    closed: set[Actor]
    name: str = ""
    generation: int = 0

    def retire(self, oldest_view: ViewId) -> None:
        """Be complete for no view below the oldest one: these views are retired."""
        for held in self.groups:
            held.complete_for = {view for view in held.complete_for if view >= oldest_view}

    def covers(self, part: Part, clock: DotClock, complete_for: set[ViewId]) -> Slots:
        """The slots of a part in which the peer has every dot of this clock, and is complete for
        all of these views."""
        covered = 0
        for h in self.groups:
            common = h.slots & part.slots
            if common and complete_for <= h.complete_for and not h.clock.lacks(clock):
                covered |= common
        return covered

    def has_for(self, part: Part) -> Slots:
        """The slots in which the peer has dots that this part lacks, or is complete for a view that
        this part is not complete for."""
        slots = 0
        for h in self.groups:
            common = h.slots & part.slots
            if common and (not h.complete_for <= part.complete_for or part.clock.lacks(h.clock)):
                slots |= common
        return slots

    def wrote_for(self, part: Part) -> bool:
        """Whether the peer itself has written some of what this part lacks: it knows the keys."""
        return any(
            short_of(actor) == self.name
            for h in self.groups
            if h.slots & part.slots
            for actor, _ in islice(h.clock.missing_from(part.clock), LOOKED_AT_MAX)
        )

    def views(self, slots: Slots = ALL) -> set[ViewId]:
        """The views that the peer is complete for in some of these slots."""
        return {view for h in self.groups if h.slots & slots for view in h.complete_for}

    def slots_to_pull(self, part: Part, lacking: set[ViewId]) -> Slots:
        """Slots with one clock on either side: those that bring most of the lacking views."""
        lacked = self.has_for(part)

        def gain(h: PeerSlots) -> tuple[int, int]:
            return len(h.complete_for & lacking), (h.slots & lacked).bit_count()

        return max((h for h in self.groups if h.slots & lacked), key=gain).slots & lacked

    def clocks_of(self, slots: Slots) -> list[DotClock]:
        return [h.clock for h in self.groups if h.slots & slots]


def progress_of(compare: Compare, oldest_view: ViewId) -> PeerProgress:
    """What a peer says in a `Compare`, without the views below the oldest one."""
    held = [
        PeerSlots(
            from_bytes(h.slots), h.clock, {view for view in h.complete_for if view >= oldest_view}
        )
        for h in compare.summaries
    ]
    name, generation = short_name(compare.node_id), compare.mark.generation
    return PeerProgress(held, set(compare.refused), set(compare.closed), name, generation)


def goes_back(before: PeerProgress, after: PeerProgress, owned: Slots, oldest_view: ViewId) -> bool:
    """Whether `after` says less than `before` of slots that both nodes own.  In one incarnation
    what a node has of these only grows, so `after` was sent first, or the peer's disk has lost
    some."""
    for old in before.groups:
        complete_for = {view for view in old.complete_for if view >= oldest_view}
        for new in after.groups:
            if old.slots & new.slots & owned and (
                new.clock.lacks(old.clock) or not complete_for <= new.complete_for
            ):
                return True
    return False
