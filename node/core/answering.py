"""Reads of our clients: answered from our own state, or from the states of those who may hold the
key; and the writes that a read must allow first.

Also the other side: what this node holds of a key, for whoever asks.  (protocol D4.3, D9, D10 R5.)
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from node.core import messages as m
from node.core.clock import Clock
from node.core.detector import Detector
from node.core.effects import Damaged
from node.core.healing import Healing
from node.core.holding import Holding
from node.core.judging import DAMAGED_HERE, Need, answer
from node.core.keyspace import Keyspace
from node.core.mending import Mending, Tells
from node.core.moving import Moving
from node.core.reading import Read, Reads
from node.core.siblings import Item
from node.core.turn import Turn
from node.core.view import digest_of, slot_of
from node.core.walk import slot_of_key

LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Looking:
    """A write for which a read is made first."""

    put: m.Put
    until: float

    @property
    def is_bound(self) -> bool:
        """Whether it must not be done unless the read allows it."""
        return self.put.refuse_unmet is not None or self.put.if_present


class Answers:
    """`members_for` orders the replicas of a key for a request; `put` begins a
    write that was looked for first, and is told whether the key has a value."""

    def __init__(
        self,
        moving: Moving,
        rooms: tuple[Turn, Keyspace, Detector, Holding, Healing],
        members_for: Callable[[str, int], tuple[str, ...]],
        put: Callable[[int, m.Put, bool], None],
    ) -> None:
        self._moving, self._members_for, self._put = moving, members_for, put
        self._turn, self._keyspace, detector, self._holding, self._healing = rooms
        self._reads = Reads(moving.address, detector)
        self._mending = Mending(moving.address)
        self._looking: dict[int, Looking] = {}

    def __len__(self) -> int:
        return len(self._reads)

    def begin(self, request: int, get: m.Get, started: float | None = None) -> None:
        """Answer from our own state if that is enough, or ask those who may hold the key."""
        started = self._turn.now if started is None else started
        self._turn.served = self._turn.now
        digest = digest_of(get.key, get.mode is m.Mode.LWW)
        slot = slot_of(digest)
        part, need = self._keyspace.parts.at(slot), self._moving.need_of(digest)
        if part is not None and part.answers and get.copies == 1 and not get.mend:
            try:
                outcome = self._alone(get, need)
            except Damaged as found:
                self._turn.suspect(found)
                outcome = None
            if outcome is not None:
                self._on_read(request, outcome)
                return
        owners = self._members_for(get.key, request)
        history = self._moving.history
        holders = tuple(dict.fromkeys((*owners, *history.owners(slot))))
        read = Read(get, need, owners, holders, history.need(), started)
        if part is not None:
            read.add(self._moving.address, self._state(request, get.key, get.is_bound))
        for member, fetch in self._reads.begin(request, read, self._turn.now):
            self._turn.ask(member, fetch)
        if part is not None:
            self._judge(request, read)

    def _alone(self, get: m.Get, need: Need) -> m.Outcome | None:
        """What this replica's own state says, if it covers the token."""
        shown = self._holding.shown(get.key) if self._holding else None
        if (
            shown
            and get.mode is m.Mode.LWW
            and not need.to_show(get, shown, self._keyspace.clock_of(get.key))
        ):
            return answer(get, need, shown, self._moving.address)
        item = self._keyspace.item(get.key)
        if get.token or get.token.view > need.view or get.mode is m.Mode.SIBLINGS:
            item = self._keyspace.filled(get.key)
            if need.to_show(get, item, self._keyspace.clock_of(get.key)):
                return None
        return answer(get, need, item, self._moving.address)

    def _on_read(self, request: int, outcome: m.Outcome | None) -> None:
        """A read is answered (None: not yet): to the client, or to the write that waits for it."""
        looking = self._looking.pop(request, None) if outcome is not None else None
        if looking is None:
            self._turn.reply(request, outcome)
            return
        put, found = looking.put, isinstance(outcome, m.Found)
        if found or (isinstance(outcome, m.Absent) and not put.if_present):
            assert isinstance(outcome, m.Found | m.Absent)
            token = outcome.token  # what the read has seen, the write replaces
            allowed = replace(put, token=token, refuse_unmet=None, if_present=False)
            self._put(request, allowed, found)
        elif looking.is_bound:
            self._turn.reply(request, outcome)
        else:
            self._put(request, put, False)

    def restart(self) -> None:
        """What was sent for them was whole by another view, or by a lower floor."""
        self._mending.forget()
        for request, read in self._reads.restart():
            self.begin(request, read.get, read.started)

    def peek(self, request: int, peek: m.Peek) -> None:
        """What this replica holds, whole or not; nobody else is asked."""
        get = m.Get(peek.key, m.Mode.SIBLINGS)
        need = self._moving.need_of(digest_of(peek.key, False))
        try:
            held = self._keyspace.filled(peek.key)
        except Damaged as found:
            self._turn.suspect(found)
            self._turn.reply(request, m.Unavailable(DAMAGED_HERE, definite=True))
            return
        self._turn.reply(request, answer(get, need, held, self._moving.address))

    # ---- states
    def _state(self, request: int, key: str, bound: bool) -> m.State:
        part = self._keyspace.parts.at(slot_of_key(key))
        if part is None:
            return m.State(request, Item(), Clock(), [])
        shown = self._holding.shown(key) if self._holding and not bound else None
        try:
            item = shown or self._keyspace.filled(key)
        except Damaged as found:  # of this key nothing is known here
            self._turn.suspect(found)
            return m.State(request, Item(), Clock(), [])
        return m.State(request, item, part.clock.copy(), sorted(part.whole))

    def on_fetch(self, source: str, fetch: m.Fetch) -> None:
        self._turn.tell(source, self._state(fetch.request, fetch.key, fetch.bound))

    def on_state(self, source: str, state: m.State) -> None:
        read = self._reads.get(state.request)
        if state.request < 0:
            self._on_told(source, state)
            return
        if read is None:
            self._on_late_state(source, state)
            return
        if self._reads.wants_pull(read) or read.get.key in self._healing.suspects:
            self._take(read.get.key, source, state)
        read.add(source, state)
        self._judge(state.request, read)

    def _on_late_state(self, source: str, state: m.State) -> None:
        """Its read is answered; what a fellow has, or lacks, is worth knowing all the same."""
        key = self._mending.key_of(state.request)
        if key is not None and self._moving.address in self._members_for(key, 0):
            self._take(key, source, state)
            self.feed(key)
        self._mend(self._mending.on_state(state.request, source, state))

    def _on_told(self, source: str, state: m.State) -> None:
        """We have asked for it because our row is damaged."""
        key = self._healing.on_state(source, state)
        if key is not None:
            self.feed(key)

    def _take(self, key: str, source: str, state: m.State) -> None:
        """What a fellow has been asked for is worth keeping."""
        try:
            self._keyspace.take(key, state.item, (), self._turn.now)
        except Damaged as found:
            self._turn.suspect(found)
            self._healing.offer(key, state.item, source)

    def _mend(self, tells: Tells) -> None:
        for owner, message in tells:
            self._turn.tell(owner, message)

    def _judge(self, request: int, read: Read) -> None:
        asks, outcome = self._reads.judge(request, read, self._turn.now)
        for member, fetch in asks:
            self._turn.ask(member, fetch)
        if outcome is not None and read.get.mend:
            self._mend(self._mending.begin(request, read, self._turn.now))
        self._on_read(request, outcome)

    def feed(self, key: str) -> None:
        """This key changed here: reads that wait for it may go on."""
        for request, read in self._reads.waiting_for(key):
            if self._reads.get(request) is not read:  # answered by what another read has led to
                continue
            read.add(self._moving.address, self._state(request, key, read.get.is_bound))
            self._judge(request, read)

    def look_first(self, request: int, put: m.Put) -> None:
        """A write whose home cannot judge its token, or cannot tell whether the key has a value:
        do it if the key may be read; without a condition do it soon in any case."""
        self._looking[request] = Looking(put, self._turn.now + LOOK_S)
        get = m.Get(put.key, put.mode, put.token, put.refuse_unmet or m.Scope.KEY)
        self.begin(request, get)

    def tick(self) -> None:
        now = self._turn.now
        self._mending.tick(now)
        for request, looking in list(self._looking.items()):
            if not looking.is_bound and now >= looking.until:
                del self._looking[request]
                self._reads.drop(request)
                self._put(request, looking.put, False)
        asks, replies = self._reads.tick(now)
        for member, fetch in asks:
            self._turn.ask(member, fetch)
        for request, outcome in replies:
            self._on_read(request, outcome)
