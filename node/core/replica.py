"""One replica: every event goes in by `step`, everything it causes comes out.

The only place that knows all rooms.  All branching on the kind of an event is one table; each
handler is named for its event and reads top to bottom.  No I/O, no clock, no chance: `now` comes
in, `wake_at` goes out, the random generator is given.
"""

import base64
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from node.core import messages as m
from node.core.answering import Answers
from node.core.counting import Counts
from node.core.detector import Detector
from node.core.effects import Effects, Record
from node.core.history import History, Saved
from node.core.holding import Holding
from node.core.home import Home
from node.core.keyspace import Keyspace
from node.core.listing import Lists
from node.core.lives import Lives, Table
from node.core.messages import BOUND_TO_VIEW
from node.core.moving import Moving
from node.core.proposing import Proposals
from node.core.quorum import wanted
from node.core.repair import Repair
from node.core.siblings import Item
from node.core.turn import Numbers, Turn
from node.core.upkeep import SWEEP_EVERY_S, Upkeep
from node.core.view import NO_VIEW, View, no_view
from node.core.waiting import Writes
from node.core.walk import Rows, slot_of_key

TABLES = ("item", "log", "meta")
FORGOTTEN_AT_ONCE = 5_000
LIVES = msgspec.msgpack.Decoder(Table)
VIEWS = msgspec.msgpack.Decoder(Saved)
WAITING_TICK_S = 0.05
NO_VIEW_YET = m.Unavailable("this node has not been told its view yet", definite=True)


@dataclass(frozen=True, slots=True)
class Options:
    """What a replica may be told beside its place in the view."""

    cache_bytes_max: int = 64 * 1024 * 1024
    repair_every_s: float = 3.0
    hold_s: float = 0.0  # how long writes that come before their past are not shown


@dataclass(frozen=True, slots=True)
class Start:
    """What a node whose disk knows no view begins with; `join`: it asks to be added to the view
    of the others."""

    view: View
    join: bool = False


class Replica:
    """A node's share of the store, and the requests of the clients that wait at it."""

    def __init__(
        self,
        address: str,
        saved: Saved,
        rows: Rows,
        node_id: str,
        options: Options,
        chance: random.Random,
    ) -> None:
        self.address, self.node_id = address, node_id
        self.keyspace = Keyspace(rows, options.cache_bytes_max)
        table = rows.read("meta", "lives")
        lives = Lives(LIVES.decode(table) if table else {})
        if lives.claim(address, node_id):
            self.keyspace.outbox.append(Record("meta", "node", node_id.encode()))
        self._turn = turn = Turn()
        self.detector = Detector(address)
        repair = Repair(address)
        self.moving = Moving(address, node_id, History(saved), (turn, self.keyspace, lives, repair))
        self._proposals = Proposals(self.moving, (turn, self.keyspace, self.detector, lives))
        self.holding = Holding(self.moving, self.keyspace, turn, options.hold_s)
        background = turn, self.keyspace, self.detector, lives, repair
        self.upkeep = Upkeep(self.moving, background, options.repair_every_s, chance)
        self._writes = Writes(address, self.detector)
        waited = turn, self.keyspace, self.detector, self.holding, self.upkeep.healing
        self._answers = Answers(self.moving, waited, self._members_for, self.on_put)
        self._counts = Counts(self.detector)
        self._home = Home(self.moving, self.upkeep, waited, self._answers.feed)
        self._lists = Lists(self.moving, self.keyspace, turn)
        self.is_over = False  # told to forget: nothing is done any more
        self._requests = Numbers()
        self._stamp = m.Stamp()  # of the letter in hand
        self._handlers = self._table()
        self._operations: dict[type, Callable[[int, Any], None]] = {
            m.List: self._lists.begin,
            m.Look: self.holding.look,
            m.Put: self.on_put,
            m.Get: self._answers.begin,
            m.Peek: self._answers.peek,
            m.Keep: self._home.keep,
            m.Count: self.on_count,
        }

    def _table(self) -> dict[type, Callable[[str, Any], None]]:
        """Which room handles what: all branching on the kind of an event."""
        return {
            m.Letter: self.on_letter,
            m.Letters: self.on_letters,
            m.Submit: self.on_submit,
            m.Accept: self._home.on_accept,
            m.Named: self.on_ack,
            m.Ack: self.on_ack,
            m.Declined: self.on_declined,
            m.Elsewhere: self.on_elsewhere,
            m.Unsure: self.on_unsure,
            m.Replicate: self._home.on_replicate,
            m.Fetch: self._answers.on_fetch,
            m.State: self._answers.on_state,
            m.Mend: self._home.on_mend,
            m.CountKeys: self.on_count_keys,
            m.KeyCount: self.on_key_count,
            m.Compare: self.upkeep.on_compare,
            m.Pull: self.upkeep.on_pull,
            m.Page: self.upkeep.on_page,
            m.Beat: self.on_beat,
            m.News: self.on_news,
            m.Views: self.on_views,
            m.Join: self._proposals.on_join,
            m.Wish: self._proposals.on_wish,
            m.Granted: self._proposals.on_granted,
            m.LinkUp: self.on_link_up,
            m.LinkDown: self.on_link_down,
            m.Tick: self.on_tick,
        }

    @property
    def view(self) -> View:
        """The current view."""
        return self.moving.view

    def step(self, now: float, source: str, event: m.Event) -> Effects:
        """Handle one event of `source` (an address; our own for clients and timers) at `now`
        (seconds, never going back)."""
        turn = self._turn
        turn.begin(now)
        floor = self.moving.history.floor
        self._handlers[type(event)](source, event)
        if floor != self.moving.history.floor:
            self._answers.restart()
        effects = turn.effects
        if self.keyspace.outbox:
            effects.records = list(self.keyspace.outbox)
            self.keyspace.outbox.clear()
        self.keyspace.trim_cache()
        effects.stamp = self.moving.stamp
        effects.wake_at = self._wake_at(now)
        return effects

    def on_letter(self, source: str, letter: m.Letter) -> None:
        """A peer's message; one that is bound to another view is not for us."""
        self.detector.hear(source, self._turn.now)
        message, stamp = letter.message, letter.stamp
        if stamp != self.moving.stamp and type(message) is not m.Views:
            is_ahead = self.upkeep.gossip.is_ahead(source, stamp)
            is_other = is_ahead or stamp.view != self.moving.stamp.view
            if is_other and type(message) in BOUND_TO_VIEW:
                return
            if type(message) is m.State:  # what it claims is worth less than by our floor
                return
        self._stamp = stamp
        self._handlers[type(message)](source, message)

    def on_letters(self, source: str, letters: m.Letters) -> None:
        for letter in letters.letters:
            self.on_letter(source, letter)

    def _wake_at(self, now: float) -> float:
        if self.is_over:
            return float("inf")
        if self._writes or self._answers or self._lists or self._counts or self._proposals:
            return min(now + WAITING_TICK_S, self.upkeep.next_page)
        keyspace = self.keyspace
        busy = keyspace.swept.slots or keyspace.log.is_behind or not keyspace.digests.is_whole
        soon = now + SWEEP_EVERY_S if busy else self.holding.next_tick
        return min(soon, self.upkeep.gossip.next_beat, self.upkeep.next_page)

    def next_request(self, now: float) -> int:
        """A number for a request, unlike any of an earlier run of this node."""
        return self._requests.next(now)

    def peek(self, key: str) -> Item:
        """The filled state of a key as this replica holds it, for checks and reports."""
        return self.keyspace.filled(key)

    def waiting(self) -> dict[str, int]:
        """How many of our clients' requests are under way."""
        return {"writes": len(self._writes), "reads": len(self._answers)}

    # ---- our clients
    def on_submit(self, source: str, submit: m.Submit) -> None:
        request, operation = submit.request, submit.operation
        if isinstance(operation, m.Propose):
            self._proposals.on_propose(request, operation)
        elif isinstance(operation, m.Forget):
            self._forget(request)
        elif not self.view.shards:
            self._turn.reply(request, NO_VIEW_YET)
        else:
            self._operations[type(operation)](request, operation)

    def _forget(self, request: int) -> None:
        """Nothing is left on the disk but which view was forgotten; the rest is silence."""
        rows, outbox = self.keyspace.rows, self.keyspace.outbox
        for table in TABLES:
            after: str | None = None
            while page := rows.scan(table, after, FORGOTTEN_AT_ONCE):
                outbox.extend(Record(table, row, None) for row, _ in page)
                after = page[-1][0]
        forgot = max(self.view.id, self.moving.history.forgot)
        nothing = Saved([no_view((self.address,))], NO_VIEW, {}, [], False, forgot)
        outbox.append(Record("meta", "views", msgspec.msgpack.encode(nothing)))
        self._turn.effects.forgets = True
        self._turn.reply(request, m.Forgotten())
        self._handlers = dict.fromkeys(self._handlers, lambda source, event: None)
        self.is_over = True

    def on_put(self, request: int, put: m.Put, found: bool | None = None) -> None:
        """`found`: what a read has shown first, because a home could not tell."""
        members = self._members_for(put.key, request)
        try:
            wanted(put.level, len(members))
        except ValueError as error:
            self._turn.reply(request, m.Unavailable(str(error), definite=True))
            return
        for home, accept in self._writes.begin(request, put, members, self._turn.now, found):
            if home == self.address:  # in this very step
                self._home.on_accept(home, accept)
            else:
                self._turn.ask(home, accept)

    def _members_for(self, key: str, request: int) -> tuple[str, ...]:
        """The replicas of a key: ourselves first, otherwise each in its turn."""
        return self.moving.view.asked_by(self.address, slot_of_key(key), request)

    def on_count(self, request: int, count: m.Count) -> None:
        shard = self.view.shard_named(count.shard)
        if shard is None:
            reason = f"there is no shard {count.shard!r}"
            self._turn.reply(request, m.Unavailable(reason, definite=True))
        elif self.address in shard.members:
            self._turn.reply(request, m.Counted(self.keyspace.live_keys))
        else:
            for member, ask in self._counts.begin(request, shard.members, self._turn.now):
                self._turn.ask(member, ask)

    # ---- writes
    def on_ack(self, source: str, ack: m.Ack | m.Named) -> None:
        self._turn.relay(ack.request, self._writes.on_ack(source, ack, self._turn.now))

    def on_declined(self, source: str, declined: m.Declined) -> None:
        self._turn.relay(declined.request, self._writes.on_declined(declined))

    def on_elsewhere(self, source: str, message: m.Elsewhere) -> None:
        """The home is not the key's in its view: it certainly did not write, another may."""
        write = self._writes.without_home(source, message)
        if write is None:
            return
        write.members = self._members_for(write.put.key, message.request)
        for home, accept in self._writes.ask_another(message.request, write, self._turn.now):
            self._turn.ask(home, accept)

    def on_unsure(self, source: str, message: m.Unsure) -> None:
        """The home's own past has not arrived: find out by a read whether the write is allowed."""
        put = self._writes.give_up(source, message)
        if put is not None:
            self._answers.look_first(message.request, put)

    # ---- views
    def on_beat(self, source: str, beat: m.Beat) -> None:
        self.upkeep.gossip.on_beat(source, beat, self._stamp)

    def on_news(self, source: str, news: m.News) -> None:
        self.upkeep.on_news(source, news, self._stamp)

    def on_views(self, source: str, message: m.Views) -> None:
        """Requests under way go on in the view that is adopted."""
        if source == self.address and not self._proposals.is_complete(message.views[0]):
            return
        if self.upkeep.on_views(source, message):
            self._proposals.on_adopted()
            for request, outcome in self._writes.enter(self._members_for):
                self._turn.reply(request, outcome)
            self._answers.restart()
            self._home.replicate_again()

    # ---- counts
    def on_count_keys(self, source: str, message: m.CountKeys) -> None:
        self._turn.tell(source, m.KeyCount(message.request, self.keyspace.live_keys))

    def on_key_count(self, source: str, message: m.KeyCount) -> None:
        self._turn.reply(message.request, self._counts.on_key_count(message))

    # ---- links and time
    def on_link_up(self, source: str, event: m.LinkUp) -> None:
        self.detector.link_up(event.peer, self._turn.now)
        self.upkeep.on_link_up(event.peer)

    def on_link_down(self, source: str, event: m.LinkDown) -> None:
        self.detector.link_down(event.peer)
        self._tick_waiting()

    def on_tick(self, source: str, event: m.Tick) -> None:
        self._tick_waiting()
        self.holding.tick(self.upkeep.ask_fellows)
        self._proposals.tick()
        if self.moving.is_orphaned():
            self._proposals.replace_us()
        self.upkeep.tick()

    def _tick_waiting(self) -> None:
        self._answers.tick()
        self._lists.tick()
        for room in (self._writes, self._counts):
            asks, replies = room.tick(self._turn.now)
            for member, message in asks:
                self._turn.ask(member, message)
            for request, outcome in replies:
                self._turn.reply(request, outcome)


def restore(
    address: str, start: Start, rows: Rows, options: Options, chance: random.Random
) -> Replica:
    """The replica whose rows these are; a new life with a new random id where there are none."""
    node = rows.read("meta", "node")
    fresh = base64.urlsafe_b64encode(chance.getrandbits(128).to_bytes(16, "big"))
    node_id = node.decode() if node else fresh.decode().rstrip("=")
    views = rows.read("meta", "views")
    saved = VIEWS.decode(views) if views else History.begin(start.view, start.join)
    return Replica(address, saved, rows, node_id, options, chance)
