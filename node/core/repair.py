"""Repair: what each node has of our slots, what all owners have, and the pull under way.

Whoever holds slots tells their owners its clocks (`Compare`).  From these rows come the minimum
that prunes logs and tokens, the gaps of ended lives that may be closed, the proof that slots which
belong to others may be forgotten, and the decision to pull.  A dot that is just on its way is not
missing: a pull starts only if it is still lacking a moment later.  One exchange at a time; its
state is here, the holder that serves it needs none.  (protocol D5-D7, D10 R3, R4, R7.)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from node.core.clock import Clock, Vector, join_vectors, lowest
from node.core.messages import Page, Pull
from node.core.parts import Part, Parts, Slots, from_bytes, to_bytes
from node.core.token import COUNT_MAX
from node.core.told import Row, goes_back
from node.core.turn import Numbers
from node.core.view import Actor, View, ViewId

GRACE_S = 0.3  # a dot lacking for less is taken to be on its way
PAGE_PATIENCE_S = 1.0  # then the same page is asked for again, TRIES_MAX times
TRIES_MAX = 5
REST_FOR_DELAY = 8.0
REST_MAX_S = 0.15
SETTLED_AFTER_LINK_UP_S = 1.0  # a reconnected peer is left alone for a moment
GENESIS_WAIT_S = 2.0


@dataclass(slots=True)
class Recovery:
    """How far this run of the node has come back: `level_with` names the peers whose clocks it has
    covered since it started."""

    caught_up: bool = False
    level_with: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Exchange:
    """One pull: its holder, its number, its slots, its snapshot and cursor."""

    holder: str
    number: int
    slots: Slots
    asked: float
    snapshot: Clock | None = None
    after: str | None = None
    tries: int = 0
    rest_until: float = 0.0  # then the next page may be asked for; 0: it has been
    quickest_s: float = math.inf  # of its pages

    def rest_s(self, page_s: float) -> float:
        """How long to rest after a page: the longer the more it took over twice the quickest one,
        for so busy were the machines at either end."""
        self.quickest_s = min(self.quickest_s, page_s)
        delay_s = max(0.0, page_s - 2 * self.quickest_s)
        return min(REST_FOR_DELAY * delay_s, REST_MAX_S)


class Repair:
    """What one node knows of the others' clocks, in the current view."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.fellows: tuple[str, ...] = ()
        self.rows: dict[str, Row] = {}  # of the nodes' present lives
        self.closed: dict[Actor, None] = {}  # ended lives whose gaps were filled here
        self.exchange: Exchange | None = None
        self._lacking_since: dict[str, float] = {}
        self._numbers = Numbers()
        self.pulled_items = 0

    def enter(self, view: View) -> None:
        """All rows are of a view: they begin empty in the next."""
        shard = view.shard_with(self._address)
        members = shard.members if shard else ()
        self.fellows = tuple(m for m in members if m != self._address)
        self.rows, self.closed, self.exchange = {}, {}, None
        self._lacking_since.clear()

    # ---- rows
    def learn(self, source: str, row: Row, parts: Parts, floor: ViewId, now: float) -> bool:
        """Take a peer's row; False for one that is older than what is known: a row of one life
        never goes back."""
        known = self.rows.get(source)
        both = parts.owned_slots if source in self.fellows else 0
        if known is not None and goes_back(known, row, both, floor):
            return False
        self.rows[source] = row
        if any(row.news_for(part) for part in parts.owned()):
            self._lacking_since.setdefault(source, now)
        else:
            self._lacking_since.pop(source, None)
        return True

    def claims(self, view: ViewId) -> bool:
        """Whether a fellow may be whole for this view: it says so, or has said nothing yet."""
        rows = [self.rows[fellow] for fellow in self.fellows if fellow in self.rows]
        return not self.complete() or any(view in held.claims for row in rows for held in row.held)

    def retire(self, floor: ViewId) -> None:
        """Views below the floor are retired: nobody need claim them, and who held slots of ours
        for them has nothing more to say."""
        for peer in [peer for peer in self.rows if peer not in self.fellows]:
            self.forget(peer)
        for row in self.rows.values():
            for held in row.held:
                held.claims = {view for view in held.claims if view >= floor}

    def forget(self, peer: str) -> None:
        """Another life lives there now: its row begins empty, and it never served our exchange."""
        if self.exchange is not None and self.exchange.holder == peer:
            self.exchange = None
        self.rows.pop(peer, None)
        self._lacking_since.pop(peer, None)

    def complete(self) -> bool:
        """Whether every fellow has a row."""
        return all(fellow in self.rows for fellow in self.fellows)

    def _clocks(self, parts: Parts) -> list[Clock]:
        """The clocks of the slots we own, ours and our fellows'."""
        rows = (self.rows[fellow] for fellow in self.fellows if fellow in self.rows)
        theirs = [clock for row in rows for clock in row.clocks_of(parts.owned_slots)]
        return [part.clock for part in parts.owned()] + theirs

    def low(self, parts: Parts) -> Vector:
        """What every member durably has; nothing while a row is missing."""
        if not self.complete():
            return {}
        return lowest([clock.base for clock in self._clocks(parts)])

    def frontier(self, parts: Parts) -> Vector:
        """How far each actor is known to have written, by any row."""
        highest: Vector = {}
        for clock in self._clocks(parts):
            loose = {actor: max(numbers) for actor, numbers in clock.loose.items()}
            highest = join_vectors(join_vectors(highest, clock.base), loose)
        return highest

    def to_close(self, parts: Parts, ended: list[Actor]) -> list[Actor]:
        """Ended lives whose gaps may be filled now."""
        return [a for a in ended if a not in self.closed and self._may_close(parts, a)]

    def _may_close(self, parts: Parts, actor: Actor) -> bool:
        """All members refuse this life and are equal in it, or a fellow has found that before."""
        mine = max((part.clock.highest(actor) for part in parts.owned()), default=0)
        rows = [self.rows[fellow] for fellow in self.fellows if fellow in self.rows]
        for row in rows:
            clocks = row.clocks_of(parts.owned_slots)
            if actor in row.closed and all(c.entry(actor)[0] == mine for c in clocks):
                return True
        all_refuse = self.complete() and all(actor in row.ended for row in rows)
        return all_refuse and self._are_equal(parts, actor)

    def _are_equal(self, parts: Parts, actor: Actor) -> bool:
        """Whether nobody has a dot of this actor that another lacks."""
        return len({clock.entry(actor) for clock in self._clocks(parts)}) <= 1

    def beyond(self, parts: Parts, ended: list[Actor]) -> Vector:
        """Ended lives that are closed everywhere: whatever a token says of them is had or lost."""
        rows = [self.rows[fellow] for fellow in self.fellows if fellow in self.rows]
        return {
            actor: COUNT_MAX
            for actor in ended
            if self.complete()
            and actor in self.closed
            and all(actor in row.closed for row in rows)
            and self._are_equal(parts, actor)
        }

    # ---- what others have of what we hold
    def covered(self, part: Part, view: View, clock: Clock, claims: set[ViewId]) -> Slots:
        """The slots of a part of which every owner durably has all that this clock and these
        claims say (R4)."""
        covered = 0
        for i, shard in enumerate(view.shards):
            common = part.slots & view.slots_of_shard(i)
            for owner in shard.members if common else ():
                if owner != self._address:
                    row = self.rows.get(owner)
                    common &= row.covers(part, clock, claims) if row else 0
            covered |= common
        return covered

    # ---- the pull
    def may_pull(self, parts: Parts) -> bool:
        """Whether an exchange is under way, or somebody has what we lack; if not, which is the
        rule, nobody need look who can be reached."""
        if self.exchange is not None or self._lacking_since:
            return True
        return not all(part.answers for part in parts.owned())

    def next_pull(
        self, node_id: str, parts: Parts, able: Iterable[str], grace_s: float, now: float
    ) -> tuple[str, Pull] | None:
        """The next page to ask for: of the exchange under way, or of a new one."""
        exchange, able = self.exchange, list(able)
        if exchange is not None and exchange.rest_until:
            if now < exchange.rest_until:
                return None
            exchange.asked, exchange.rest_until = now, 0.0
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
        self.exchange = Exchange(holder, self._numbers.next(now), slots, now)
        return holder, self._page_wanted(self.exchange, node_id, parts)

    def _page_wanted(self, exchange: Exchange, node_id: str, parts: Parts) -> Pull:
        slots, after = to_bytes(exchange.slots), exchange.after
        if after is not None:  # in a full exchange the cursor alone says what is lacking
            return Pull(exchange.number, node_id, slots, Clock(), exchange.snapshot, after)
        part = next(part for part in parts if part.slots & exchange.slots)
        return Pull(exchange.number, node_id, slots, part.clock.copy(), exchange.snapshot)

    def _choose(
        self, parts: Parts, able: list[str], grace_s: float, now: float
    ) -> tuple[str, Slots] | None:
        """For slots that have not arrived, whoever is whole for most of what they need; then
        whoever has had for a while what we lack: first who has written some of it, for the others
        may not know of which keys it is and would send all they have; then the longest."""
        for part in parts.owned():
            if part.answers:
                continue
            lacking = parts.need - part.whole
            gain = {
                peer: (len(lacking & self.rows[peer].claims_for(part)), slots.bit_count())
                for peer in able
                if peer in self.rows and (slots := self.rows[peer].news_for(part))
            }
            best = max(gain, key=lambda peer: (gain[peer], peer), default=None)
            if best is not None and gain[best][0]:
                return best, self._slots_to_pull(best, part, lacking)
        due = [p for p in able if now - self._lacking_since.get(p, now + 1) >= grace_s]
        owned = parts.owned()
        wrote = {p: any(self.rows[p].wrote_news_for(part) for part in owned) for p in due}
        for peer in sorted(due, key=lambda p: (not wrote[p], self._lacking_since[p])):
            for part in owned:
                if self.rows[peer].news_for(part):
                    return peer, self._slots_to_pull(peer, part, set())
        return None

    def _slots_to_pull(self, peer: str, part: Part, lacking: set[ViewId]) -> Slots:
        """Slots with one clock on either side: those that bring most of what is lacking."""
        news = self.rows[peer].news_for(part)
        common = [h for h in self.rows[peer].held if h.slots & news]
        best = max(common, key=lambda h: (len(h.claims & lacking), (h.slots & news).bit_count()))
        return best.slots & news

    def expects(self, source: str, page: Page) -> bool:
        """Whether this page is the one asked for: late and doubled ones are not."""
        e = self.exchange
        return (
            e is not None
            and (e.holder, e.number) == (source, page.exchange)
            and (not page.full or (page.after or None) == e.after)
        )

    def on_page(self, page: Page, parts: Parts, busy: bool, now: float) -> bool:
        """The page has been merged; whether it was the last.  While clients are served the next
        one is asked for only after a rest."""
        exchange = self.exchange
        assert exchange is not None
        exchange.rest_until = now + (exchange.rest_s(now - exchange.asked) if busy else 0.0)
        exchange.asked = now
        exchange.tries = 0
        exchange.snapshot = page.snapshot
        exchange.slots = from_bytes(page.slots)
        exchange.after = page.upto if page.full else None
        self.pulled_items += len(page.items) + len(page.rows)
        if page.last:
            self.exchange = None
            row = self.rows.get(exchange.holder)
            if row is None or not any(row.news_for(part) for part in parts.owned()):
                self._lacking_since.pop(exchange.holder, None)
        return page.last
