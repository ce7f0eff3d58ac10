"""Keeping a replica whole: lives, arrival, repair, pruning.

Nobody waits for what happens here.  A node with an empty disk is a new life: it answers no read by
itself until its slots have arrived (D7, D10 R5).  In the first view nobody can tell a first start
from a lost disk, so there its slots are whole when all fellows are as new as it is and none ever
knew another life of it (genesis).
"""

import random

import msgspec
from msgspec.structs import replace

from node.core.clock import Clock, join_vectors
from node.core.detector import Detector
from node.core.effects import Damaged
from node.core.exchange import absorb, serve
from node.core.gossip import Gossip
from node.core.healing import Healing
from node.core.keyspace import Keyspace
from node.core.lives import Lives, Table
from node.core.messages import Compare, Holding, News, Page, Pull, Stamp, Views
from node.core.moving import Moving
from node.core.parts import from_bytes, to_bytes
from node.core.quorum import majority
from node.core.repair import (
    GENESIS_WAIT_S,
    GRACE_S,
    SETTLED_AFTER_LINK_UP_S,
    Recovery,
    Repair,
)
from node.core.scrub import Scrub
from node.core.told import row_of
from node.core.turn import Turn
from node.core.view import FIRST
from node.core.weighing import Weighing

RECOVERING_EVERY_S = 0.3
MOVING_EVERY_S = 0.5
SWEEP_EVERY_S = 0.02
BUSY_S = 0.1  # so long after something was done for a client, background work gives way
NEWS_EVERY_S = 15.0
GUEST_S = 5.0
SETTLED_AT_ONCE_MAX = 200

encode = msgspec.msgpack.encode


class Upkeep:
    """The background of one replica."""

    def __init__(
        self,
        moving: Moving,
        rooms: tuple[Turn, Keyspace, Detector, Lives, Repair],
        repair_every_s: float,
        chance: random.Random,
    ) -> None:
        self.moving = moving
        self.address, self.node_id = moving.address, moving.node_id
        self._turn, self._keyspace, self._detector, self.lives, self.repair = rooms
        self._repair_every_s = repair_every_s
        self._chance = chance
        self.recovery = Recovery()
        self.gossip = Gossip(moving, rooms, chance)
        self.healing = Healing(moving, rooms[:3])
        self.scrub = Scrub(self._keyspace, self._turn, self.healing)
        self.weighing = Weighing(moving, (self._turn, self._keyspace, self.repair), self.healing)
        self._started: float | None = None
        self._next_repair = self._next_sweep = 0.0
        self.enter()

    @property
    def arrived(self) -> bool:
        """Whether this replica may answer reads of all its slots by itself."""
        return not self._keyspace.parts.lacking()

    @property
    def settled(self) -> bool:
        return self.moving.history.settled

    def enter(self) -> None:
        """The view has changed: compare at once."""
        self._next_repair = 0.0
        self.weighing.enter()
        if not self.repair.fellows:
            self.recovery.caught_up = True
            if self.moving.view.id == FIRST:
                self._arrive()

    # ---- time
    def tick(self) -> None:
        now = self._turn.now
        if self._started is None:
            self._started = now
            self._turn.effects.peers = self.moving.peers()
        if self.gossip.tick(self._started):
            self._take_minima()
            self._settle()
        if now >= self._next_repair:
            every = self._repair_every_s * self._chance.uniform(0.75, 1.25)
            self._next_repair = now + min(every, self._pace_s())
            self._compare_with_all()
            self.gossip.spread_news()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_EVERY_S
            if self._keyspace.log.is_behind:
                self._keyspace.prune()
            damaged = self._keyspace.digests.go_on(self._keyspace.swept.slots)
            self._turn.suspects.update(dict.fromkeys(damaged))
            if self.repair.exchange is None:  # what comes goes before what leaves
                self._keyspace.sweep()
        self._pull()
        self._genesis()
        self._move_on()
        if not self.recovery.caught_up:
            self._catch_up()
        self.scrub.tick()
        self.weighing.tick()
        self.healing.tick()

    def _pace_s(self) -> float:
        """How soon to compare again at the latest."""
        if not (self.arrived and self.recovery.caught_up):
            return RECOVERING_EVERY_S
        is_quiet = self.settled and not self._keyspace.parts.held()
        return self._repair_every_s * 2 if is_quiet else MOVING_EVERY_S

    def _able(self) -> list[str]:
        """Peers whose links have been up for a moment; a node that recovers does not wait."""
        now = self._turn.now
        rest = SETTLED_AFTER_LINK_UP_S if self._is_calm() else 0.0
        return [
            peer
            for peer in self.moving.peers()
            if self._detector.reachable(peer, now) and now - self._detector.up_since(peer) >= rest
        ]

    def _is_calm(self) -> bool:
        return self.arrived and self.recovery.caught_up and self.settled

    def _settle(self) -> None:
        """Prune what every member has: log entries, open items."""
        self._keyspace.prune()
        try:
            self._keyspace.settle(SETTLED_AT_ONCE_MAX)
        except Damaged as found:
            self._turn.suspect(found)

    def on_link_up(self, peer: str) -> None:
        """Say who we are; compare soon, but not at once: a reconnected peer is left alone."""
        self._turn.ask(peer, self.gossip.beat())
        soon = self._turn.now + SETTLED_AFTER_LINK_UP_S
        self._next_repair = min(self._next_repair, soon)

    # ---- views
    def on_views(self, source: str, message: Views) -> bool:
        """Whether another view has been adopted."""
        self.gossip.learn_lives(message.news.lives)
        before = self.moving.stamp
        adopted = self.moving.learn(message)
        if adopted:
            self.enter()
        if self.moving.stamp != before:
            self.gossip.announce_view()
        if adopted:
            self._compare_with_all()
        return adopted

    def on_news(self, source: str, news: News, stamp: Stamp) -> None:
        self.gossip.on_news(source, news)
        if stamp.view == self.moving.view.id:
            self._hear_of_us(source, news.lives)
        self._move_on()

    def _hear_of_us(self, source: str, lives: Table) -> None:
        """A node in our view that knows our life tells of it with whatever it reports."""
        if source in self.moving.witnesses and self.node_id in lives.get(self.address, ()):
            self.moving.become_known()

    def _move_on(self) -> None:
        """Forget what others have, report, retire."""
        if self._keyspace.parts.held():
            self.moving.forget()
        if self.settled:
            return
        if self.moving.report():
            self.gossip.spread_news()
        if self.moving.retire():
            self.moving.name_ended()
            self.gossip.announce_floor()

    # ---- rows
    def _compare(self, answer: bool) -> Compare:
        parts, suspect = self._keyspace.parts, self.healing.slots
        held = [(p.slots & ~suspect, p) for p in parts if p.slots & ~suspect]
        return Compare(
            self.node_id,
            [
                Holding(to_bytes(s), parts.told(p.clock), sorted(p.whole), self.weighing.content(p))
                for s, p in held
            ],
            self.lives.copy(),
            list(self.moving.ended),
            list(self.repair.closed),
            answer,
        )

    def _compare_with_all(self) -> None:
        """With our fellows; while slots move, with everybody."""
        answer = not (self.arrived and self.recovery.caught_up)
        whom = self._able()
        if self.settled and self._keyspace.parts.held():
            answer = True  # their owners have nothing to ask us
        elif self.settled:
            whom = [peer for peer in whom if peer in self.repair.fellows]
        for peer in whom:
            self._turn.tell(peer, self._compare(answer))

    def ask_fellows(self) -> None:
        """See at once what the fellows have that is missing here."""
        for peer in self._able():
            if peer in self.repair.fellows:
                self._turn.tell(peer, self._compare(answer=True))

    def on_compare(self, source: str, compare: Compare) -> None:
        self.gossip.learn_lives(compare.lives)
        if self.lives.current(source) != compare.node_id:
            return
        keyspace, floor = self._keyspace, self.moving.history.floor
        self._hear_of_us(source, compare.lives)
        row = row_of(compare, floor)
        if not self.repair.learn(source, row, keyspace.parts, floor, self._turn.now):
            return
        if not any(row.news_for(part) for part in keyspace.parts.owned()):
            self.recovery.level_with.add(source)
        if self.arrived and self.settled:
            for actor in self.repair.to_close(keyspace.parts, list(self.moving.ended)):
                self.repair.closed[actor] = None
                keyspace.close(actor)
        self._take_minima()
        self.weighing.on_compare(source, compare)
        if compare.answer:
            self._turn.tell(source, self._compare(answer=False))
        self._genesis()
        self._move_on()
        self._pull()

    def _take_minima(self) -> None:
        """What all members have, and how far everybody had written by then, taken together: only
        of a view that everybody has left its past to."""
        keyspace, repair = self._keyspace, self.repair
        if not self.settled or not keyspace.parts.owned():
            return
        keyspace.low = keyspace.parts.told(Clock(repair.low(keyspace.parts))).base
        frontier = repair.frontier(keyspace.parts).items()
        ours = {self.address, *repair.fellows}
        keyspace.frontier = {a: n for a, n in frontier if self.lives.address_of(a) in ours}
        stable = join_vectors(keyspace.stable, keyspace.low)
        keyspace.lost = repair.beyond(keyspace.parts, list(self.moving.ended))
        keyspace.stable = join_vectors(stable, keyspace.lost)

    # ---- arrival
    def _genesis(self) -> None:
        """In the first view: there is nobody to arrive from; all fellows are as new as we are, or,
        after a moment, a majority is and nobody ever knew another life of us."""
        if self.moving.view.id != FIRST or self.arrived or self._started is None:
            return
        repair = self.repair
        rows = [repair.rows[fellow] for fellow in repair.fellows if fellow in repair.rows]
        if any(FIRST in held.claims for row in rows for held in row.held):
            return
        waited = self._turn.now - self._started >= GENESIS_WAIT_S
        enough = 1 + len(rows) >= majority(1 + len(repair.fellows))
        is_first = self.lives.is_first(self.address)
        if repair.complete() or (is_first and waited and enough):
            self._arrive()

    def _arrive(self) -> None:
        if not self.arrived:
            self._keyspace.parts.claim(FIRST)
            self._keyspace.save_parts()

    def _catch_up(self) -> None:
        """A restart is over when this node was level with every fellow; with those that can be
        reached, after a moment: a node that is alone serves what it has."""
        assert self._started is not None
        waited = self._turn.now - self._started >= GENESIS_WAIT_S
        able = self._able()
        awaited = [f for f in self.repair.fellows if f in able or not waited]
        self.recovery.caught_up = self.recovery.level_with.issuperset(awaited)

    # ---- exchange
    @property
    def next_page(self) -> float:
        """When the exchange under way goes on after a rest, or a damaged row is asked for."""
        exchange, healing_at = self.repair.exchange, self.healing.next_tick
        if exchange is None or not exchange.rest_until:
            return healing_at
        return min(exchange.rest_until, healing_at)

    def _pull(self) -> None:
        parts, now = self._keyspace.parts, self._turn.now
        if not self.repair.may_pull(parts):
            return
        grace_s = GRACE_S if self.recovery.caught_up else 0.0
        pull = self.repair.next_pull(self.node_id, parts, self._able(), grace_s, now)
        if pull is not None:
            self._turn.ask(pull[0], self._with_content(pull[1]))

    def _with_content(self, pull: Pull) -> Pull:
        """A full exchange looks at every row, whatever the hash."""
        is_full, digests = pull.after is not None, self._keyspace.digests
        return pull if is_full else replace(pull, content=digests.of(from_bytes(pull.slots)))

    def on_pull(self, source: str, pull: Pull) -> None:
        """Serve the present life of a peer: its old row is forgotten before the snapshot (D7)."""
        if self.lives.current(source) != pull.node_id:
            return
        try:
            page = serve(self._keyspace, pull)
        except Damaged as found:
            self._turn.suspect(found)
            return
        if page is not None:
            self._turn.tell(source, page)

    def on_page(self, source: str, page: Page) -> None:
        if not self.repair.expects(source, page):
            self.weighing.on_page(source, page)
            return
        parts, now = self._keyspace.parts, self._turn.now
        try:
            absorb(self._keyspace, page, now)
        except Damaged as found:  # the page will be asked for again
            self._turn.suspect(found)
            return
        busy = now - self._turn.served < BUSY_S
        if not self.repair.on_page(page, parts, busy, now):
            self._pull()
            return
        self.recovery.level_with.add(source)
        if not self.settled:
            self._compare_with_all()
        self._move_on()
        self._pull()
