"""Keeping a replica whole: lives, arrival, repair, pruning.

Nobody waits for what happens here. A node with an empty disk is a new life: it answers no read
by itself until it has arrived, that is, until it covers what a fellow had that knew of its new
life first (D7), or until all fellows are as new as it is and none ever knew another life of it
(genesis).
"""

import random

import msgspec

from node.core.clock import Actor, join_vectors
from node.core.detector import BEAT_EVERY_S, Detector
from node.core.effects import Record
from node.core.exchange import absorb, serve
from node.core.keyspace import Keyspace
from node.core.lives import Lives, Table
from node.core.messages import Beat, Compare, News, Page, Pull
from node.core.quorum import majority
from node.core.repair import GENESIS_WAIT_S, SETTLED_AFTER_LINK_UP_S, Recovery, Repair
from node.core.turn import Turn
from node.core.view import View

RECOVERING_EVERY_S = 0.3
NEWS_EVERY_S = 15.0
SETTLED_AT_ONCE_MAX = 200

encode = msgspec.msgpack.encode


class Upkeep:
    """The background of one replica."""

    def __init__(
        self,
        address: str,
        node_id: str,
        view: View,
        rooms: tuple[Turn, Keyspace, Detector, Lives],
        repair_every_s: float,
        chance: random.Random,
    ) -> None:
        self.address, self.node_id, self.view = address, node_id, view
        self._turn, self._keyspace, self._detector, self.lives = rooms
        shard = view.shard_with(address)
        self.repair = Repair(address, shard.members if shard else ())
        self.peers = tuple(node for node in view.nodes if node != address)
        self._repair_every_s = repair_every_s
        self._chance = chance
        self.ended = self._ended_here()  # refused from now on; their gaps close one day
        self.recovery = Recovery(self._keyspace.rows.read("meta", "arrived") is not None)
        self._started: float | None = None
        self.next_beat = self._next_repair = self._news_due = 0.0
        self._last_news: News | None = None
        if not self.repair.fellows:
            self._arrive()
            self.recovery.caught_up = True

    @property
    def arrived(self) -> bool:
        """Whether this replica may answer reads by itself (D7)."""
        return self.recovery.arrived

    # ---- time
    def tick(self) -> None:
        now = self._turn.now
        if self._started is None:
            self._started = now
        if now >= self.next_beat:
            self.next_beat = now + BEAT_EVERY_S
            for peer in self.peers:
                self._turn.ask(peer, Beat(self.node_id))
            self._take_minima()
            self._settle()
        if now >= self._next_repair:
            every = self._repair_every_s * self._chance.uniform(0.75, 1.25)
            self._next_repair = now + (every if self.recovery.over else RECOVERING_EVERY_S)
            for fellow in self._able():
                self._turn.tell(fellow, self._compare(answer=not self.recovery.over))
            self._spread_news()
        self._pull()
        self._genesis()
        if not self.recovery.caught_up:
            self._catch_up()

    def _able(self) -> list[str]:
        """Fellows whose links have been up for a moment; a node that recovers does not wait."""
        now = self._turn.now
        rest = SETTLED_AFTER_LINK_UP_S if self.recovery.over else 0.0
        return [
            fellow
            for fellow in self.repair.fellows
            if self._detector.reachable(fellow, now)
            and now - self._detector.up_since(fellow) >= rest
        ]

    def _settle(self) -> None:
        """Prune what every member has: log entries, open items."""
        keyspace = self._keyspace
        if keyspace.log.has_below(keyspace.low):
            keyspace.save_clock()
            keyspace.log.drop_below(keyspace.low)
        keyspace.settle(SETTLED_AT_ONCE_MAX)

    def on_link_up(self, peer: str) -> None:
        """Say who we are; compare soon, but not at once: a reconnected peer is left alone."""
        self._turn.ask(peer, Beat(self.node_id))
        soon = self._turn.now + SETTLED_AFTER_LINK_UP_S
        self._next_repair = min(self._next_repair, soon)

    # ---- lives
    def on_beat(self, source: str, beat: Beat) -> None:
        known = self.lives.current(source)
        if known is None:
            self._learn_lives({source: {beat.node_id: 1}})
        elif known != beat.node_id:
            self._turn.tell(source, self._news())

    def on_news(self, source: str, news: News) -> None:
        self._learn_lives(news.lives)
        self._keyspace.stable = join_vectors(self._keyspace.stable, news.stable)

    def _learn_lives(self, table: Table) -> None:
        before = {fellow: self.lives.current(fellow) for fellow in self.repair.fellows}
        if not self.lives.learn(table):
            return
        self.lives.claim(self.address, self.node_id)
        self.ended = self._ended_here()
        self._keyspace.outbox.append(Record("meta", "lives", encode(self.lives.table)))
        for fellow, life in before.items():
            if self.lives.current(fellow) != life:
                self.repair.forget(fellow)
                self._keyspace.low = {}
        self._news_due = 0.0
        self._spread_news()

    def _news(self) -> News:
        return News(
            {a: dict(lives) for a, lives in self.lives.table.items()}, self._keyspace.stable
        )

    def _spread_news(self) -> None:
        """Tell everybody, when there is something new, and now and then without."""
        news = self._news()
        if news == self._last_news and self._turn.now < self._news_due:
            return
        self._last_news, self._news_due = news, self._turn.now + NEWS_EVERY_S
        for peer in self.peers:
            self._turn.tell(peer, news)

    def _ended_here(self) -> dict[Actor, None]:
        """The past lives of this shard's members."""
        members = (self.address, *self.repair.fellows)
        return dict.fromkeys(actor for member in members for actor in self.lives.ended(member))

    # ---- rows
    def _compare(self, answer: bool) -> Compare:
        return Compare(
            self.node_id,
            self._keyspace.clock.copy(),
            self.arrived,
            {a: dict(lives) for a, lives in self.lives.table.items()},
            list(self.ended),
            list(self.repair.closed),
            answer,
        )

    def on_compare(self, source: str, row: Compare) -> None:
        self._learn_lives(row.lives)
        if source not in self.repair.fellows or self.lives.current(source) != row.node_id:
            return
        clock = self._keyspace.clock
        if not self.repair.learn(source, row, clock, self._turn.now):
            return
        if not clock.lacks(row.clock):
            self.recovery.level_with.add(source)
        if self.arrived:
            for actor in self.repair.to_close(clock, list(self.ended)):
                self.repair.closed[actor] = None
                self._keyspace.close(actor)
        self._take_minima()
        if row.answer:
            self._turn.tell(source, self._compare(answer=False))
        self._genesis()
        self._pull()

    def _take_minima(self) -> None:
        """What all members have, and how far everybody had written by then, taken together."""
        keyspace, repair = self._keyspace, self.repair
        keyspace.low = repair.low(keyspace.clock)
        keyspace.frontier = repair.frontier(keyspace.clock)
        stable = join_vectors(keyspace.stable, keyspace.low)
        keyspace.lost = repair.beyond(keyspace.clock, list(self.ended))
        keyspace.stable = join_vectors(stable, keyspace.lost)

    # ---- arrival
    def _genesis(self) -> None:
        """There is nobody to arrive from: all fellows are as new as we are, or, after a moment,
        a majority is and nobody ever knew another life of us."""
        if self.arrived or self._started is None:
            return
        rows = self.repair.rows.values()
        if any(row.arrived for row in rows):
            return
        first_life = len(self.lives.table[self.address]) == 1
        waited = self._turn.now - self._started >= GENESIS_WAIT_S
        enough = 1 + len(rows) >= majority(1 + len(self.repair.fellows))
        if self.repair.complete() or (first_life and waited and enough):
            self._arrive()

    def _arrive(self) -> None:
        self.recovery.arrived = True
        self._keyspace.outbox.append(Record("meta", "arrived", b"1"))

    def _catch_up(self) -> None:
        """A restart is over when this node was level with every fellow; with those that can be
        reached, after a moment: a node that is alone serves what it has."""
        assert self._started is not None
        waited = self._turn.now - self._started >= GENESIS_WAIT_S
        awaited = self._able() if waited else self.repair.fellows
        self.recovery.caught_up = self.recovery.level_with.issuperset(awaited)

    # ---- exchange
    def _pull(self) -> None:
        clock = self._keyspace.clock
        exchange = self.repair.exchange
        pull = self.repair.next_pull(
            self.node_id, clock.copy(), self._able(), self.recovery, self._turn.now
        )
        if self.repair.exchange is not exchange:
            self._keyspace.account(None)
        if pull is not None:
            self._turn.ask(*pull)

    def on_pull(self, source: str, pull: Pull) -> None:
        """Serve the present life of a fellow: its old row is forgotten before the snapshot (D7).

        A snapshot that this node does not cover was made by an earlier life of it.
        """
        if source not in self.repair.fellows or self.lives.current(source) != pull.node_id:
            return
        if pull.snapshot is None or not self._keyspace.clock.lacks(pull.snapshot):
            self._turn.tell(source, serve(self._keyspace, pull, self.arrived))

    def on_page(self, source: str, page: Page) -> None:
        if not self.repair.expects(source, page):
            return
        absorb(self._keyspace, page, self._turn.now)
        clock = self._keyspace.clock.copy()
        following = self.repair.on_page(page, self.node_id, clock, self._turn.now)
        if following is not None:
            self._turn.ask(source, following)
            return
        self.recovery.level_with.add(source)
        if page.arrived and not self.arrived:
            self._arrive()
