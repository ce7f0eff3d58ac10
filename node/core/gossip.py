"""What nodes tell each other all the time: that they live, who they are, which views there are.

Whoever hears a message under another view or floor than its own either tells the sender what it
knows, or says hello and is told: so one contact is enough.  Strangers, nodes of no view that is
known here, are answered like everybody else while they can be heard.  (protocol D1, D7, D10 R1.)
"""

import random

import msgspec

from node.core.clock import join_vectors
from node.core.detector import BEAT_EVERY_S, Detector
from node.core.effects import Record
from node.core.keyspace import Keyspace
from node.core.lives import Lives, Table
from node.core.messages import Beat, Join, News, Stamp, Views
from node.core.moving import Moving
from node.core.quorum import majority
from node.core.repair import GENESIS_WAIT_S, Repair
from node.core.turn import Turn
from node.core.view import FIRST, NO_VIEW, first_view, view_of

NEWS_EVERY_S = 15.0
NEWS_WHILE_MOVING_S = 0.5
GUEST_S = 5.0
TOLD_EVERY_S = 0.05

encode = msgspec.msgpack.encode


class Gossip:
    """The small talk of one node."""

    def __init__(
        self,
        moving: Moving,
        rooms: tuple[Turn, Keyspace, Detector, Lives, Repair],
        chance: random.Random,
    ) -> None:
        self._moving = moving
        self._turn, self._keyspace, self._detector, self.lives, self._repair = rooms
        self._chance = chance
        self.guests: dict[str, float] = {}  # strangers, and when they were heard of last
        self.beats: dict[str, tuple[Beat, Stamp]] = {}
        self.next_beat = self._news_due = 0.0
        self._last_news: News | None = None
        self._told: dict[str, float] = {}  # when a node under another stamp was last answered

    @property
    def peers(self) -> list[str]:
        return list(dict.fromkeys((*self._moving.peers(), *self.guests)))

    # ---- signs of life
    def beat(self) -> Beat:
        """What this node says of itself twice a second."""
        parts = self._keyspace.parts
        leaving = sum(part.slots.bit_count() for part in parts.held())
        return Beat(self._moving.node_id, parts.lacking().bit_count(), leaving)

    def tick(self, started: float) -> bool:
        """Say that we live, when it is time; whether it was."""
        now = self._turn.now
        if now < self.next_beat:
            return False
        self.next_beat = now + BEAT_EVERY_S
        known = self._moving.peers()
        self.guests = {
            guest: heard
            for guest, heard in self.guests.items()
            if now - heard < GUEST_S and guest not in known
        }
        beat = self.beat()
        for peer in self.peers:
            self._turn.ask(peer, beat)
        if self._moving.history.joining:
            self._join(started)
        return True

    def _join(self, started: float) -> None:
        """Ask somebody to be added; among nodes that all know no view, begin the first.  Nodes that
        have forgotten one know of none either, but say that they have left it: there is a view."""
        view, now = self._moving.view, self._turn.now
        if view.number:
            able = [n for n in view.nodes if self._detector.reachable(n, now)]
            if able and self._moving.address not in view.nodes:
                self._turn.ask(self._chance.choice(able), Join(self._moving.address))
            return
        new = [n for n in view.nodes if n in self.beats and self.beats[n][1].view == NO_VIEW]
        is_due = now - started >= GENESIS_WAIT_S and not self._moving.history.reports
        if is_due and 1 + len(new) >= majority(len(view.nodes)):
            news = News(self.lives.copy(), {})
            self._turn.tell(self._moving.address, Views([first_view(view.nodes, 1)], FIRST, news))

    # ---- views
    def is_ahead(self, source: str, stamp: Stamp) -> bool:
        """A message under another view or floor than ours: whoever knows less is told, and who
        knows more will tell us.  Whether the sender is ahead."""
        mine, now = self._moving.stamp, self._turn.now
        behind = stamp.view < mine.view or stamp.floor < mine.floor
        if now - self._told.get(source, 0.0) >= TOLD_EVERY_S:
            self._told[source] = now
            if behind:
                self._turn.tell(source, self._moving.message(self._news()))
            else:
                self._turn.ask(source, self.beat())
        return stamp.view > mine.view or stamp.floor > mine.floor

    def announce_view(self) -> None:
        """Everybody hears of the view that we have heard of, before anything else of it; what only
        we say, that we have left our past to others, is not yet durable and stays out."""
        self._turn.effects.peers = self._moving.peers()
        news = self._news()
        news.reports.pop(self._moving.node_id, None)
        message = self._moving.message(news)
        for peer in self.peers:
            self._turn.ask(peer, message)

    def announce_floor(self) -> None:
        """It rests on our own report: it leaves after that."""
        self._turn.effects.peers = self._moving.peers()
        message = self._moving.message(self._news())
        for peer in self.peers:
            self._turn.tell(peer, message)

    # ---- lives and news
    def on_beat(self, source: str, beat: Beat, stamp: Stamp) -> None:
        self.beats[source] = beat, stamp
        if source not in self._moving.peers():
            self.guests[source] = self._turn.now
        known = self.lives.current(source)
        if known is None:
            self.learn_lives({source: {beat.node_id: 1}})
        elif known != beat.node_id:
            self._turn.tell(source, self._news())

    def on_news(self, source: str, news: News) -> None:
        self.learn_lives(news.lives)
        floor = self._moving.history.floor
        stable = {a: n for a, n in news.stable.items() if view_of(a) >= floor}
        self._keyspace.stable = join_vectors(self._keyspace.stable, stable)
        self._moving.hear(news)

    def learn_lives(self, table: Table) -> None:
        before = {peer: self.lives.current(peer) for peer in self._repair.rows}
        if not self.lives.learn(table):
            return
        self.lives.claim(self._moving.address, self._moving.node_id)
        self._moving.name_ended()
        self._keyspace.outbox.append(Record("meta", "lives", encode(self.lives.table)))
        for peer, life in before.items():
            if self.lives.current(peer) != life:
                self._repair.forget(peer)
                self._keyspace.low = {}
        self._news_due = 0.0
        self.spread_news()

    def _news(self) -> News:
        history = self._moving.history
        reports = {} if history.settled else dict(history.reports)
        if history.forgot > reports.get(self._moving.node_id, NO_VIEW):
            reports[self._moving.node_id] = history.forgot  # by order nothing of it is here
        return News(self.lives.copy(), self._keyspace.stable, reports, sorted(history.lost))

    def spread_news(self) -> None:
        """Tell everybody, when there is something new, and now and then without."""
        news = self._news()
        if news == self._last_news and self._turn.now < self._news_due:
            return
        every = NEWS_EVERY_S if self._moving.history.settled else NEWS_WHILE_MOVING_S
        self._last_news, self._news_due = news, self._turn.now + every
        for peer in self.peers:
            self._turn.tell(peer, news)
