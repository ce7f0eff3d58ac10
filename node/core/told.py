"""What peers say they durably have: the rows of the matrix that repair decides by.

(protocol D6; «Concise Server-Wide Causality Management», DAIS 2015.)
"""

from dataclasses import dataclass
from itertools import islice

from node.core.clock import Clock
from node.core.messages import Compare
from node.core.parts import Part, Slots, from_bytes
from node.core.view import Actor, ViewId, short_name, short_of

LOOKED_AT_MAX = 64  # missing dots, to see who wrote them


@dataclass(slots=True)
class Held:
    """Slots of a peer that share one clock, and the views they are whole for."""

    slots: Slots
    clock: Clock
    claims: set[ViewId]


@dataclass(slots=True)
class Row:
    """What a peer says it durably has; `name` is the peer's part of the names it writes as."""

    held: list[Held]
    ended: set[Actor]
    closed: set[Actor]
    name: str = ""

    def covers(self, part: Part, clock: Clock, claims: set[ViewId]) -> Slots:
        """The slots of a part in which the peer has all that this clock and these claims say."""
        covered = 0
        for h in self.held:
            common = h.slots & part.slots
            if common and claims <= h.claims and not h.clock.lacks(clock):
                covered |= common
        return covered

    def news_for(self, part: Part) -> Slots:
        """The slots in which the peer has what this part lacks."""
        slots = 0
        for h in self.held:
            common = h.slots & part.slots
            if common and (not h.claims <= part.whole or part.clock.lacks(h.clock)):
                slots |= common
        return slots

    def wrote_news_for(self, part: Part) -> bool:
        """Whether the peer itself has written some of what this part lacks: it knows the keys."""
        return any(
            short_of(actor) == self.name
            for h in self.held
            if h.slots & part.slots
            for actor, _ in islice(h.clock.missing_from(part.clock), LOOKED_AT_MAX)
        )

    def claims_for(self, part: Part) -> set[ViewId]:
        return {view for h in self.held if h.slots & part.slots for view in h.claims}

    def clocks_of(self, slots: Slots) -> list[Clock]:
        return [h.clock for h in self.held if h.slots & slots]


def row_of(compare: Compare, floor: ViewId) -> Row:
    """What a peer says; what it claims of retired views is claimed by all."""
    held = [
        Held(from_bytes(h.slots), h.clock, {view for view in h.claims if view >= floor})
        for h in compare.holdings
    ]
    return Row(held, set(compare.ended), set(compare.closed), short_name(compare.node_id))


def goes_back(before: Row, after: Row, owned: Slots, floor: ViewId) -> bool:
    """Whether a row is older than another of the same life: what a node owns only grows."""
    for old in before.held:
        claims = {view for view in old.claims if view >= floor}
        for new in after.held:
            if old.slots & new.slots & owned and (
                new.clock.lacks(old.clock) or not claims <= new.claims
            ):
                return True
    return False
