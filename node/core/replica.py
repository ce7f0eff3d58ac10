"""One replica: every event goes in by `step`, everything it causes comes out.

The only place that knows all rooms.  All branching on the kind of an event is one table; each
handler is named for its event and reads top to bottom.  No I/O, no clock, no chance: `now` comes
in, `wake_at` goes out, the random generator is given.
"""

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from node.core import messages as m
from node.core.counting import Counts
from node.core.detector import Detector
from node.core.effects import Effects, Record
from node.core.judging import Need, answer
from node.core.keyspace import Keyspace, Rows
from node.core.lives import Lives
from node.core.quorum import wanted
from node.core.reading import Read, Reads
from node.core.siblings import Item
from node.core.turn import Turn
from node.core.upkeep import Upkeep
from node.core.view import View, actor_of, digest_of, slot_of
from node.core.waiting import Writes

WAITING_TICK_S = 0.05
REMEMBERED_ACCEPTS_MAX = 10_000
RECOVERING = m.Unavailable("this replica recovers and cannot tell whether the key exists", True)


@dataclass(frozen=True, slots=True)
class Options:
    """What a replica may be told beside its place in the view."""

    cache_bytes_max: int = 64 * 1024 * 1024
    repair_every_s: float = 3.0


class Replica:
    """A node's share of the store, and the requests of the clients that wait at it."""

    def __init__(
        self,
        address: str,
        view: View,
        rows: Rows,
        node_id: str,
        options: Options,
        chance: random.Random,
    ) -> None:
        self.address, self.view, self.node_id = address, view, node_id
        shard = view.shard_with(address)
        self._members = shard.members if shard else ()
        self.keyspace = Keyspace(rows, actor_of(view.number, node_id), options.cache_bytes_max)
        saved = rows.read("meta", "lives")
        table = msgspec.msgpack.decode(saved, type=dict[str, dict[str, int]]) if saved else {}
        lives = Lives(table, view.number)
        if lives.claim(address, node_id):
            self.keyspace.outbox.append(Record("meta", "node", node_id.encode()))
        self._turn = Turn()
        self.detector = Detector(address)
        rooms = self._turn, self.keyspace, self.detector, lives
        self.upkeep = Upkeep(address, node_id, view, rooms, options.repair_every_s, chance)
        self._writes = Writes(address, self.detector)
        self._reads = Reads(address, self.detector)
        self._counts = Counts(self.detector)
        self._accepted: OrderedDict[tuple[str, int], m.Message] = OrderedDict()
        self._last_request = 0
        self._handlers: dict[type, Callable[[str, Any], None]] = {
            m.Submit: self.on_submit,
            m.Accept: self.on_accept,
            m.Named: self.on_ack,
            m.Ack: self.on_ack,
            m.Declined: self.on_declined,
            m.Replicate: self.on_replicate,
            m.Fetch: self.on_fetch,
            m.State: self.on_state,
            m.CountKeys: self.on_count_keys,
            m.KeyCount: self.on_key_count,
            m.Compare: self.upkeep.on_compare,
            m.Pull: self.upkeep.on_pull,
            m.Page: self.upkeep.on_page,
            m.Beat: self.upkeep.on_beat,
            m.News: self.upkeep.on_news,
            m.LinkUp: self.on_link_up,
            m.LinkDown: self.on_link_down,
            m.Tick: self.on_tick,
        }

    def step(self, now: float, source: str, event: m.Event) -> Effects:
        """Handle one event of `source` (an address; our own for clients and timers) at `now`
        (seconds, never going back)."""
        turn = self._turn
        turn.begin(now)
        if source != self.address and type(event) is not m.LinkDown:
            self.detector.hear(source, now)
        self._handlers[type(event)](source, event)
        effects = turn.effects
        if self.keyspace.outbox:
            effects.records = list(self.keyspace.outbox)
            self.keyspace.outbox.clear()
        effects.wake_at = self._wake_at(now)
        return effects

    def _wake_at(self, now: float) -> float:
        if self._writes or self._reads or self._counts:
            return now + WAITING_TICK_S
        return self.upkeep.next_beat

    def next_request(self, now: float) -> int:
        """A number for a request, unlike any of an earlier run of this node."""
        self._last_request = max(self._last_request + 1, int(now * 1_000_000))
        return self._last_request

    def peek(self, key: str) -> Item:
        """The filled state of a key as this replica holds it, for checks and reports."""
        return self.keyspace.filled(key)

    def waiting(self) -> dict[str, int]:
        """How many of our clients' requests are under way."""
        return {"writes": len(self._writes), "reads": len(self._reads)}

    # ---- our clients
    def on_submit(self, source: str, submit: m.Submit) -> None:
        operation = submit.operation
        if isinstance(operation, m.Put):
            self.on_put(submit.request, operation)
        elif isinstance(operation, m.Get):
            self.on_get(submit.request, operation)
        else:
            self.on_count(submit.request, operation)

    def on_put(self, request: int, put: m.Put) -> None:
        members = self._members_for(put.key, request)
        try:
            wanted(put.level, len(members))
        except ValueError as error:
            self._turn.reply(request, m.Unavailable(str(error), definite=True))
            return
        for home, accept in self._writes.begin(request, put, members, self._turn.now):
            self._turn.ask(home, accept)

    def _members_for(self, key: str, request: int) -> tuple[str, ...]:
        """The replicas of a key: ourselves first, otherwise each in its turn."""
        members = self.view.shard_of(slot_of(digest_of(key, False))).members
        if self.address in members:
            return (self.address, *(m for m in members if m != self.address))
        first = request % len(members)
        return members[first:] + members[:first]

    def on_get(self, request: int, get: m.Get) -> None:
        digest = digest_of(get.key, get.mode is m.Mode.LWW)
        members = self.view.shard_of(slot_of(digest)).members
        need, mine = self._need(digest), self.address in members
        if mine and get.copies == 1 and self.upkeep.arrived:
            outcome = self._answer_alone(get, need)
            if outcome is not None:
                self._turn.reply(request, outcome)
                return
        ordered = self._members_for(get.key, request)
        read = Read(get, need, ordered, self._turn.now)
        if mine:
            read.add(self.address, self._state(request, get.key))
        for member, fetch in self._reads.begin(request, read, self._turn.now):
            self._turn.ask(member, fetch)
        if mine:
            self._judge(request, read)

    def _answer_alone(self, get: m.Get, need: Need) -> m.Outcome | None:
        """What this replica's own state says, if it covers the token."""
        item = self.keyspace.item(get.key)
        if get.token or get.mode is m.Mode.SIBLINGS:
            item = self.keyspace.filled(get.key)
            if need.to_show(get, item, self.keyspace.clock_of(get.key)):
                return None
        return answer(get, need, item, self.address)

    def _need(self, digest: int) -> Need:
        shard = self.view.shard_of(slot_of(digest))

        def elsewhere(actor: str) -> bool:
            address = self.upkeep.lives.address_of.get(actor)
            return address is not None and address not in shard.members

        def same_shard(tag: int) -> bool:
            return self.view.shard_of(slot_of(tag)) is shard

        return Need(digest, same_shard, elsewhere, self.keyspace.stable)

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
    def on_accept(self, source: str, accept: m.Accept) -> None:
        """Be the home of a write: once for each request, however often it is asked."""
        remembered = self._accepted.get((source, accept.request))
        if remembered is None:
            if not self._owns(accept.put.key):
                return
            remembered = self._decline(accept) or self._name(source, accept)
            self._accepted[source, accept.request] = remembered
            if len(self._accepted) > REMEMBERED_ACCEPTS_MAX:
                self._accepted.popitem(last=False)
        self._turn.tell(source, remembered)

    def _owns(self, key: str) -> bool:
        return self.address in self.view.shard_of(slot_of(digest_of(key, False))).members

    def _decline(self, accept: m.Accept) -> m.Declined | None:
        put = accept.put
        if not put.if_present and (put.refuse_unmet is None or not put.token):
            return None
        need = self._need(digest_of(put.key, put.mode is m.Mode.LWW))
        item, clock = self.keyspace.filled(put.key), self.keyspace.clock_of(put.key)
        scope = put.refuse_unmet or m.Scope.KEY
        missing = need.of(put.token, scope, item.past, clock)
        if missing and put.refuse_unmet is not None:
            return m.Declined(accept.request, m.Unmet(missing))
        if put.if_present and not missing:
            outcome = answer(m.Get(put.key, put.mode, put.token), need, item, self.address)
            if isinstance(outcome, m.Absent):
                return m.Declined(accept.request, outcome if self.upkeep.arrived else RECOVERING)
        return None

    def _name(self, source: str, accept: m.Accept) -> m.Named:
        """Write here, tell the fellows; they answer the origin (three hops)."""
        put = accept.put
        written = self.keyspace.write(put, self._turn.now)
        replicate = m.Replicate(accept.request, source, put.key, written.item, written.dot)
        for fellow in self.upkeep.repair.fellows:
            self._turn.tell(fellow, replicate)
        self._feed(put.key)
        return m.Named(
            accept.request, written.dot, written.token, written.context, written.replaced
        )

    def on_replicate(self, source: str, message: m.Replicate) -> None:
        """A fellow's write; one of a life that has ended is refused (D7)."""
        if not self._owns(message.key) or message.dot[0] in self.upkeep.ended:
            return
        self.keyspace.take(message.key, message.item, (message.dot,), self._turn.now)
        self._turn.tell(message.origin, m.Ack(message.request, message.dot))
        self._feed(message.key)

    def on_ack(self, source: str, ack: m.Ack | m.Named) -> None:
        self._turn.reply(ack.request, self._writes.on_ack(source, ack, self._turn.now))

    def on_declined(self, source: str, declined: m.Declined) -> None:
        self._turn.reply(declined.request, self._writes.on_declined(declined))

    # ---- reads
    def _state(self, request: int, key: str) -> m.State:
        clock = self.keyspace.clock_of(key).copy()
        return m.State(request, self.keyspace.filled(key), clock, self.upkeep.arrived)

    def on_fetch(self, source: str, fetch: m.Fetch) -> None:
        if self._owns(fetch.key):
            self._turn.tell(source, self._state(fetch.request, fetch.key))

    def on_state(self, source: str, state: m.State) -> None:
        read = self._reads.get(state.request)
        if read is None:
            return
        if self._reads.wants_pull(read):
            self.keyspace.take(read.get.key, state.item, (), self._turn.now)
        read.add(source, state)
        self._judge(state.request, read)

    def _judge(self, request: int, read: Read) -> None:
        asks, outcome = self._reads.judge(request, read, self._turn.now)
        for member, fetch in asks:
            self._turn.ask(member, fetch)
        self._turn.reply(request, outcome)

    def _feed(self, key: str) -> None:
        """This key changed here: reads that wait for it may go on."""
        for request, read in self._reads.waiting_for(key):
            read.add(self.address, self._state(request, key))
            self._judge(request, read)

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
        self.upkeep.tick()

    def _tick_waiting(self) -> None:
        for room in (self._writes, self._reads, self._counts):
            if not room:
                continue
            asks, replies = room.tick(self._turn.now)
            for member, message in asks:
                self._turn.ask(member, message)
            for request, outcome in replies:
                self._turn.reply(request, outcome)


def restore(
    address: str, view: View, rows: Rows, options: Options, chance: random.Random
) -> Replica:
    """The replica whose rows these are; a new life with a new random id where there are none."""
    saved = rows.read("meta", "node")
    node_id = saved.decode() if saved else f"{chance.getrandbits(128):032x}"
    return Replica(address, view, rows, node_id, options, chance)
