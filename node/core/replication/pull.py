"""Repair: what each peer has of our slots, what all owners have, and the pull under way.

A node that holds slots tells their owners its clocks (`Compare`).  From this progress of its peers
a node finds the minimum that prunes logs and tokens, the gaps of past incarnations that it may
close, the slots of others that it may forget, and what to pull.  A dot may just be on its way, so a
pull starts only if the dot is still lacking a moment later.  A node has one exchange at a time and
keeps its state here; the holder that serves it needs none.  (protocol D5-D7, D10 R3, R4, R7.)
"""

import math
from collections.abc import Iterable, Iterator

import msgspec

from node.core.model.actors import Actor
from node.core.model.dots import DotClock, Vector, join_vectors, lowest
from node.core.model.slots import Slots, from_bytes, to_bytes
from node.core.model.token import COUNT_MAX
from node.core.model.view import NO_VIEW, View, ViewId
from node.core.protocol.messages import Page, Pull, RowPage, SamePage
from node.core.protocol.pieces import Pieces
from node.core.protocol.step import Numbers
from node.core.replication.progress import PeerProgress, goes_back
from node.core.storage.slot_groups import Part, Parts

GRACE_S = 0.3  # a dot lacking for less is taken to be on its way
PAGE_PATIENCE_S = 1.0  # then the same page is asked for again, TRIES_MAX times
TRIES_MAX = 5
REST_FOR_DELAY = 8.0
REST_MAX_S = 0.15
GENESIS_WAIT_S = 2.0


class Exchange(msgspec.Struct):
    """One pull from `holder`, page by page.

    `snapshot`: the holder's clock when it made the first page; None before that.
    `after`: the last row that has come of a full exchange; None in one by missing dots.
    `tries`: how often this node has asked for the page again.  Invariant: tries <= TRIES_MAX.
    """

    holder: str
    number: int
    slots: Slots
    asked: float
    snapshot: DotClock | None = None
    after: str | None = None
    tries: int = 0
    rest_until: float | None = None  # then the next page may be asked for; None: it has been
    quickest_s: float = math.inf  # of its pages
    pieces: Pieces = msgspec.field(default_factory=Pieces)

    def rest_s(self, page_s: float) -> float:
        """How long to rest after a page.  A page that took more than twice as long as the quickest
        one shows that a machine is busy, and the rest grows with that delay."""
        self.quickest_s = min(self.quickest_s, page_s)
        delay_s = max(0.0, page_s - 2 * self.quickest_s)
        return min(REST_FOR_DELAY * delay_s, REST_MAX_S)


class Repair:
    """What one node knows of the others' clocks, in the current view.

    `progress`: what each peer durably has, by its last `Compare`.  Invariant: each is of the peer's
    present incarnation and the current view; of slots that both own, a shard peer's never shrinks.
    `closed`: past incarnations and runs whose gaps this node has filled.  It only grows within a
    view.
    `exchange`: the one pull under way.  Invariant: its holder has an entry in `progress`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.numbers = Numbers()  # of pulls, those of content compare too: a page names one of them
        self.shard_peers: tuple[str, ...] = ()
        self.progress: dict[str, PeerProgress] = {}  # of the nodes' present incarnations
        self.closed: dict[Actor, None] = {}
        self.exchange: Exchange | None = None
        self._lacking_since: dict[str, float] = {}
        self.pulled_items = 0

    def on_view(self, view: View) -> None:
        """Begin with no progress of any peer: what was said belongs to the last view."""
        shard = view.shard_with(self._address)
        members = shard.members if shard else ()
        self.shard_peers = tuple(m for m in members if m != self._address)
        self.progress, self.closed, self.exchange = {}, {}, None
        self._lacking_since.clear()

    # ---- rows
    def note_progress(
        self, source: str, row: PeerProgress, parts: Parts, oldest_view: ViewId, now: float
    ) -> bool:
        """Take a peer's progress; False for one that goes back in the same incarnation."""
        known = self.progress.get(source)
        both = parts.owned_slots if source in self.shard_peers else 0
        if known is not None and goes_back(known, row, both, oldest_view):
            return False
        self.progress[source] = row
        if any(row.has_for(part) for part in parts.owned()):
            self._lacking_since.setdefault(source, now)
        else:
            self._lacking_since.pop(source, None)
        return True

    def has_lost(self, source: str, row: PeerProgress, parts: Parts, oldest_view: ViewId) -> bool:
        """Whether a peer has restarted and now says less than before: its disk is an older one."""
        known = self.progress.get(source)
        both = parts.owned_slots if source in self.shard_peers else 0
        is_later = known is not None and row.generation > known.generation
        return known is not None and is_later and goes_back(known, row, both, oldest_view)

    def may_be_complete_for(self, view: ViewId) -> bool:
        """Whether a shard peer says that it is complete for this view, or has said nothing yet."""
        told = [self.progress[peer] for peer in self.shard_peers if peer in self.progress]
        return not self.complete() or any(view in row.views() for row in told)

    def retire(self, oldest_view: ViewId) -> None:
        """Drop what was said for views below the oldest one, and all of nodes outside."""
        for peer in [peer for peer in self.progress if peer not in self.shard_peers]:
            self.forget(peer)
        for row in self.progress.values():
            row.retire(oldest_view)

    def forget(self, peer: str) -> None:
        """Drop what this peer has said, and the exchange with it: it is another incarnation now."""
        if self.exchange is not None and self.exchange.holder == peer:
            self.exchange = None
        self.progress.pop(peer, None)
        self._lacking_since.pop(peer, None)

    def stop(self) -> None:
        """Break off the exchange under way: its slots are not as they were."""
        self.exchange = None

    def close(self, over: Actor) -> None:
        """Note that this node has filled the gaps of this past incarnation or run."""
        self.closed[over] = None

    def complete(self) -> bool:
        """Whether every shard peer has told its progress."""
        return all(peer in self.progress for peer in self.shard_peers)

    def _clocks(self, parts: Parts) -> list[DotClock]:
        """The clocks of the slots that this node owns, its own and those of its shard peers."""
        rows = (self.progress[peer] for peer in self.shard_peers if peer in self.progress)
        theirs = [clock for row in rows for clock in row.clocks_of(parts.owned_slots)]
        return [part.clock for part in parts.owned()] + theirs

    def shard_watermark(self, parts: Parts) -> Vector:
        """What every member of the shard durably has; nothing until all have told."""
        if not self.complete():
            return {}
        return lowest([clock.base for clock in self._clocks(parts)])

    def highest_seen(self, parts: Parts) -> Vector:
        """The highest number known of each actor, by any member's clock."""
        highest: Vector = {}
        for clock in self._clocks(parts):
            loose = {actor: max(numbers) for actor, numbers in clock.loose.items()}
            highest = join_vectors(join_vectors(highest, clock.base), loose)
        return highest

    def oldest_view_told(self, parts: Parts) -> ViewId:
        """Below this view, all members had everything when they told their clocks last."""
        clocks = self._clocks(parts) if self.complete() else []
        return min((clock.oldest_view for clock in clocks), default=NO_VIEW)

    def to_close(self, parts: Parts, ended: list[Actor]) -> list[Actor]:
        """The past incarnations whose gaps this node may fill now."""
        return [over for over in ended if over not in self.closed and self._may_close(parts, over)]

    def _may_close(self, parts: Parts, over: Actor) -> bool:
        """Whether all members refuse this incarnation and have the same dots of it, or a shard peer
        has found so before."""
        owned, runs = parts.owned(), self._runs_of(parts, over)
        mine = {a: max((part.clock.highest(a) for part in owned), default=0) for a in runs}
        rows = [self.progress[peer] for peer in self.shard_peers if peer in self.progress]
        for row in rows:
            clocks = row.clocks_of(parts.owned_slots)
            if over in row.closed and all(c.entry(a)[0] == mine[a] for c in clocks for a in runs):
                return True
        all_refuse = self.complete() and all(over in row.refused for row in rows)
        return all_refuse and self._are_equal(parts, over)

    def _runs_of(self, parts: Parts, over: Actor) -> set[Actor]:
        """The actors of an incarnation that this node or a shard peer has dots of."""
        return {actor for clock in self._clocks(parts) for actor in clock.runs_of(over)}

    def _are_equal(self, parts: Parts, over: Actor) -> bool:
        """Whether all members have the same dots of this incarnation, slot by slot: two slots of
        one member may have different dots of a past incarnation for ever.

        Example: n1 pulls from n2 the dot 33 for its slots below 2083, and n2 loses its disk before
        n1 pulls the slots above.  At n1, and at the next n2, only the lower slots have 33.  Both
        nodes are equal, so all gaps can be closed."""
        rows = [self.progress[peer] for peer in self.shard_peers if peer in self.progress]
        runs = self._runs_of(parts, over)
        return all(
            mine.entry(run) == theirs.entry(run)
            for row in rows
            for mine, theirs in _side_by_side(parts, row)
            for run in runs
        )

    def beyond(self, parts: Parts, ended: list[Actor]) -> Vector:
        """What all members have closed: a token's writes of it are had, or lost."""
        rows = [self.progress[peer] for peer in self.shard_peers if peer in self.progress]
        return {
            over: COUNT_MAX
            for over in ended
            if self.complete()
            and over in self.closed
            and all(over in row.closed for row in rows)
            and self._are_equal(parts, over)
        }

    # ---- what others have of what we hold
    def covered(self, part: Part, view: View, clock: DotClock, complete_for: set[ViewId]) -> Slots:
        """The slots of a part in which every owner durably has all of this (R4)."""
        covered = 0
        for i, shard in enumerate(view.shards):
            common = part.slots & view.slots_of_shard(i)
            for owner in shard.members if common else ():
                if owner != self._address:
                    row = self.progress.get(owner)
                    common &= row.covers(part, clock, complete_for) if row else 0
            covered |= common
        return covered

    # ---- the pull
    def may_pull(self, parts: Parts) -> bool:
        """Whether the caller need look which peers can be reached: a pull is on or may begin."""
        if self.exchange is not None or self._lacking_since:
            return True
        return not all(part.answers for part in parts.owned())

    def next_pull(
        self, node_id: str, parts: Parts, able: Iterable[str], grace_s: float, now: float
    ) -> tuple[str, Pull] | None:
        """The next page to ask for: of the exchange under way, or of a new one."""
        exchange, able = self.exchange, list(able)
        if exchange is not None and exchange.rest_until is not None:
            if now < exchange.rest_until:
                return None
            exchange.asked, exchange.rest_until = now, None
            return exchange.holder, self._page_wanted(exchange, node_id, parts)
        if exchange is not None and now - exchange.asked < PAGE_PATIENCE_S:
            return None
        if exchange is not None and exchange.holder in able and exchange.tries < TRIES_MAX:
            exchange.asked = now
            exchange.tries += 1
            return exchange.holder, self._page_wanted(exchange, node_id, parts)
        if exchange is not None:  # what its row said may not be so any more
            self.forget(exchange.holder)
        choice = self._choose(parts, able, grace_s, now)
        if choice is None:
            return None
        holder, slots = choice
        self.exchange = Exchange(holder, self.numbers.next(now), slots, now)
        return holder, self._page_wanted(self.exchange, node_id, parts)

    def _page_wanted(self, exchange: Exchange, node_id: str, parts: Parts) -> Pull:
        slots, after, clock = to_bytes(exchange.slots), exchange.after, DotClock()
        if after is None:  # in a full exchange the cursor alone says what is lacking
            clock = next(part for part in parts if part.slots & exchange.slots).clock.copy()
        have = exchange.pieces.have(exchange.holder)
        return Pull(exchange.number, node_id, slots, clock, exchange.snapshot, after, have=have)

    def _choose(
        self, parts: Parts, able: list[str], grace_s: float, now: float
    ) -> tuple[str, Slots] | None:
        """The peer to pull from, and the slots.  Slots that have not arrived come first, from the
        peer that is complete for most of the views that they need.  Then a peer that has had for a
        while what this node lacks: at best one that wrote some of it, for that peer's log has the
        keys, and another might send all its rows; otherwise the one known for longest.

        Example: n1 needs views 1 and 2 for new slots; n2 is complete for 2, n3 for both; n1 asks
        n3.  Later n1 lacks b7, which n2 wrote.  n3's `Compare` showed it 0.5 s ago, n2's 0.4 s ago:
        both are due: n1 asks n2.  If it cannot reach n2, n1 asks n3.  At 0.1 s it asks no peer."""
        for part in parts.owned():
            if part.answers:
                continue
            lacking = parts.need - part.complete_for
            gain = {
                peer: (len(lacking & self.progress[peer].views(part.slots)), slots.bit_count())
                for peer in able
                if peer in self.progress and (slots := self.progress[peer].has_for(part))
            }
            best = max(gain, key=lambda peer: (gain[peer], peer), default=None)
            if best is not None and gain[best][0]:
                return best, self.progress[best].slots_to_pull(part, lacking)
        due = [p for p in able if now - self._lacking_since.get(p, now + 1) >= grace_s]
        owned = parts.owned()
        wrote = {p: any(self.progress[p].wrote_for(part) for part in owned) for p in due}
        for peer in sorted(due, key=lambda p: (not wrote[p], self._lacking_since[p])):
            for part in owned:
                if self.progress[peer].has_for(part):
                    return peer, self.progress[peer].slots_to_pull(part, set())
        return None

    def expects(self, source: str, page: Page) -> bool:
        """Whether this page is the one that this node has asked for, and not late or doubled."""
        e = self.exchange
        return (
            e is not None
            and (e.holder, e.number) == (source, page.exchange)
            and (not isinstance(page, RowPage) or (page.after or None) == e.after)
        )

    def on_page(
        self, page: Page, parts: Parts, busy: bool, now: float, is_whole: bool = True
    ) -> bool:
        """Go on after a page that was merged, or kept as a piece of an item that is not whole yet;
        whether it was the last.  While clients are served (`busy`) the next one waits a moment."""
        exchange = self.exchange
        assert exchange is not None
        if not is_whole and not exchange.pieces.has_grown:
            return False  # the piece came twice: this node has asked for the next one already
        exchange.rest_until = now + (exchange.rest_s(now - exchange.asked) if busy else 0.0)
        exchange.asked = now
        exchange.tries = 0
        exchange.snapshot = page.snapshot
        exchange.slots = from_bytes(page.slots)
        if not is_whole:
            return False
        exchange.after = page.upto if isinstance(page, RowPage) else None
        if not isinstance(page, SamePage):
            self.pulled_items += len(page.items)
        if isinstance(page, RowPage):
            self.pulled_items += len(page.rows)
        if page.last:
            self.exchange = None
            row = self.progress.get(exchange.holder)
            if row is None or not any(row.has_for(part) for part in parts.owned()):
                self._lacking_since.pop(exchange.holder, None)
        return page.last


def _side_by_side(parts: Parts, row: PeerProgress) -> Iterator[tuple[DotClock, DotClock]]:
    """This node's clock and a shard peer's of the same slots, for all slots that this node owns.
    Where the shard peer tells nothing of a slot, its clock is taken to be empty."""
    for part in parts.owned():
        untold = part.slots
        for held in row.groups:
            if held.slots & part.slots:
                untold &= ~held.slots
                yield part.clock, held.clock
        if untold:
            yield part.clock, DotClock()
