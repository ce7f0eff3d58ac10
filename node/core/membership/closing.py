"""Closing past incarnations and runs, and raising the watermarks.

An incarnation is over when its disk is lost; a run is over when its node has started again.  Some
writes of either may be gone for good: a node named them and told a client, and no disk has them
now.  They leave gaps in clocks, and their names stay in pasts, in tokens, and in what delete marks
depend on.

So all members of the shard, the node itself among them, refuse what comes of such an incarnation or
run.  When they all have the same of it, they close it: from then on every write of it counts as had
or lost.  A node doubts a run only where something of it is missing.  Usually nothing is, and then
the run need not be closed.  `Gossip` tells what a node misses of another shard, and the members of
that shard look.  (protocol D6, D7, D9.10.)
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from node.core.membership.services import Services
from node.core.model.actors import Actor, actor_of, incarnation_of
from node.core.model.dots import Dot, DotClock, Vector, covered_by
from node.core.model.keys import key_of
from node.core.protocol.effects import Damaged
from node.core.storage.keyspace import Keyspace
from node.core.storage.transfer_progress import Transfer

DOUBTED_MAX = 256
OPEN_LOOKED_AT = 100
COUNTED_AT_ONCE = 16  # rows, each of which may be large


class Closing:
    """Closes what is over in the current view of one node's shard."""

    def __init__(self, services: Services) -> None:
        self._views, self._keyspace = services.views, services.store
        self._step = services.step
        self._incarnations, self._repair = services.incarnations, services.peers
        self._views.let_close(self.doubt, self.miss)

    def doubt(self, actors: Iterable[Actor]) -> None:
        """Refuse those of these actors that are past runs of our shard's members, because something
        of them is missing."""
        doubts = self._views.doubts
        for actor in actors:
            if len(doubts.refused) < DOUBTED_MAX and self._is_over(actor, self._members):
                doubts.refuse(actor)

    def miss(self, dots: Iterable[Dot]) -> None:
        """Note that this node waits for these writes.  It doubts past runs of its own shard, and
        tells other shards which writes of their past runs it misses."""
        doubts, dots = self._views.doubts, list(dots)
        self.doubt(actor for actor, _ in dots)
        for actor, n in dots:
            if len(doubts.missed) < DOUBTED_MAX and self._is_missed((actor, n)):
                doubts.wait_for((actor, n))

    def hear(self, missed: Vector) -> None:
        """Doubt the runs of these writes, which another node misses, if they are missing here,
        too."""
        clocks = [part.clock for part in self._keyspace.parts.owned()]
        self.doubt(a for a, n in missed.items() if any(n > c.base.get(a, 0) for c in clocks))

    @property
    def _members(self) -> tuple[str, ...]:
        """The members of our shard."""
        return self._views.address, *self._repair.shard_peers

    def _is_missed(self, dot: Dot) -> bool:
        """Whether this is a write of a past run of another shard that not all members of it have,
        as far as is known here."""
        members = set(self._members)
        others = (node for node in self._views.view.nodes if node not in members)
        actor, n = dot
        is_had = n <= covered_by(self._keyspace.watermarks.cluster, actor)
        return not is_had and self._is_over(actor, others)

    def _is_over(self, actor: Actor, nodes: Iterable[str]) -> bool:
        """Whether one of these nodes was this run, and is another one now."""
        view_id, incarnation = self._views.view.id, incarnation_of(actor)
        for node in nodes:
            node_id = self._incarnations.current(node) or ""
            run = self._incarnations.runs.get(node_id)
            if run is not None and actor_of(view_id, node_id) == incarnation:
                return actor not in (incarnation, actor_of(view_id, node_id, run))
        return False

    def tick(self) -> None:
        """Doubt the runs of which something is missing, and trust those again that turned out to go
        on."""
        doubts, members = self._views.doubts, self._members
        doubts.keep_only(
            [actor for actor in doubts.refused if self._is_over(actor, members)],
            {actor: n for actor, n in doubts.missed.items() if self._is_missed((actor, n))},
        )
        rows = self._repair.progress.values()
        self.doubt(actor for row in rows for actor in sorted(row.refused))
        self.doubt(actor for part in self._keyspace.parts.owned() for actor in part.clock.loose)
        self.miss(self._in_open_items())

    def _in_open_items(self) -> Iterator[Dot]:
        """The writes that open items name and clocks do not."""
        for key in list(islice(self._keyspace.open_keys.unsettled, OPEN_LOOKED_AT)):
            try:
                item = self._keyspace.item(key)
            except Damaged:  # the next read for a client finds and repairs it
                continue
            clock = self._keyspace.clock_of(key)
            yield from _beyond(clock, item.past.base, item.past.loose)
            for mark in item.versions.values():
                if mark.value is None:  # it stays until all have what it depends on
                    deps = self._keyspace.runs.spelled(mark.deps)
                    yield from _beyond(clock, deps.floor, deps.exact)

    def refused(self) -> list[Actor]:
        """The incarnations and runs that this node refuses and of which its clocks name all writes
        that it has.  While an exchange is under way the clocks may not name all, and the rest may
        still come."""
        refused, keyspace = self._views.refused(), self._keyspace
        if not keyspace.transfers:
            return refused
        if self._repair.exchange is not None:
            return [over for over in refused if not has_uncounted(keyspace, over)]
        return [over for over in refused if self._is_counted(over)]

    def _is_counted(self, over: Actor) -> bool:
        try:
            count_reached(self._keyspace, self._keyspace.transfers.said_of(over))
        except Damaged as found:  # go on with the other incarnations
            self._step.suspect(found)
            return False
        return True

    def close(self) -> None:
        """Fill the gaps of what all members refuse and have the same of."""
        keyspace, repair = self._keyspace, self._repair
        for over in repair.to_close(keyspace.parts, self.refused()):
            repair.close(over)
            keyspace.close(over)

    def take_minima(self) -> None:
        """Raise the watermarks to what all members have, and note the highest write of each actor.
        Only in a settled view, because before that older views may have more."""
        keyspace, repair = self._keyspace, self._repair
        if not self._views.history.settled or not keyspace.parts.owned():
            return
        shard_watermark = keyspace.parts.visible_to_peers(
            DotClock(repair.shard_watermark(keyspace.parts))
        ).base
        highest_seen = repair.highest_seen(keyspace.parts).items()
        ours = {self._views.address, *repair.shard_peers}
        highest = {a: n for a, n in highest_seen if self._incarnations.address_of(a) in ours}
        lost = repair.beyond(keyspace.parts, self.refused())
        keyspace.watermarks.take(shard_watermark, highest, lost)
        keyspace.watermarks.settle(repair.oldest_view_told(keyspace.parts))


def _beyond(clock: DotClock, base: Vector, loose: Iterable[Dot]) -> Iterator[Dot]:
    """The writes in this base and these dots that the clock does not have."""
    yield from (dot for dot in base.items() if dot[1] > clock.base.get(dot[0], 0))
    yield from (dot for dot in loose if not clock.has(dot))


def has_uncounted(keyspace: Keyspace, incarnation: Actor) -> bool:
    """Whether rows may have writes of this incarnation that the clocks of their slots do not
    name."""
    return any(
        not keyspace.is_covered(r.slots, r.past) for r in keyspace.transfers.said_of(incarnation)
    )


def count_reached(keyspace: Keyspace, transfers: list[Transfer]) -> None:
    """Name in our clocks what exchanges brought before they broke off.

    Example: n2 takes half of the rows of n1, among them those of the writes 4 and 7 of n1.  The
    clock of n1 was to come with the last page, but n1 loses its disk.  If n2 did not name 4 and 7,
    n2 and n1 would agree that neither has a write of that incarnation, and close it, and only n2
    would have the two values.  And if n2 had to leave the slot to n3, n3 would have all that n2's
    clock names, and n2 would drop the two values.

    In the slots whose rows have all come the clock says what the exchange was about.  In the slot
    where it broke off, the versions that have come are named one by one."""
    for slots, past, upto in transfers:
        last, brought = 1 << int(upto[:3], 16), DotClock(dict(past.base))
        for dot in past.loose:
            brought.add(dot)
        keyspace.join(slots & (last - 1), brought, ())
        after: str | None = None
        while rows := keyspace.rows_of(slots & last, after, COUNTED_AT_ONCE, f"{upto}\0"):
            for key in (key_of(row) for row, _ in rows):
                for dot in keyspace.item(key).versions:
                    if past.has(dot):
                        keyspace.note(dot, key)
            after = rows[-1][0]
