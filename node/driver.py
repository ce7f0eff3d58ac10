"""Runs one replica: the only place that orders disk and network.

Events go in one at a time.  Asks and relays leave at once; records go to the store; tells and
replies wait until the store says that every earlier record is durable.  What a node tells itself
goes the same way, so there is no second path for local keys.  The ports are small protocols: the
shell has the real ones, the simulator its own; no asyncio here.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from node.core.effects import Damaged, Effects, Record
from node.core.messages import (
    Event,
    Letter,
    Message,
    Outcome,
    Request,
    Stamp,
    Submit,
    Tick,
    Unavailable,
)
from node.core.replica import Replica


class Clock(Protocol):
    """Seconds that never go back, and a timer."""

    def now(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], None]) -> None: ...


class Links(Protocol):
    """Sends to a peer, at most once; what cannot be sent is dropped, repair will find it."""

    def send(self, peer: str, letter: Letter) -> None: ...
    def know(self, peers: Collection[str]) -> None:
        """These are the nodes to have links with from now on."""


class Store(Protocol):
    """Rows that survive a crash once `done` has been called, in the order they were written.

    Reads see everything written, durable or not.
    """

    def write(self, records: Sequence[Record], done: Callable[[], None]) -> None: ...
    def read(self, table: str, key: str) -> bytes | None: ...
    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]: ...
    def open_keys(self, table: str) -> list[str]: ...
    def counts(self, table: str) -> dict[str, tuple[int, int]]:
        """How many rows there are, and the bytes of their values, by the first three characters of
        their keys."""

    def reread(
        self, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]: ...


class Voice(Protocol):
    """Tells those who run the node."""

    def note(self, text: str) -> None: ...
    def give_up(self, reason: str) -> None:
        """This node cannot go on with what its disk holds: it is to step aside."""


class Driver:
    """One replica at work.

    Takes client requests (`submit`), peer messages (`receive`) and link events; the callback of a
    request is called exactly once, later.  `renew` gives the replica of the rows as they are: the
    next one, after a replica that has forgotten everything.
    """

    def __init__(
        self,
        replica: Replica,
        clock: Clock,
        links: Links,
        store: Store,
        renew: Callable[[], Replica] | None = None,
        voice: Voice | None = None,
    ) -> None:
        self.replica = replica
        self._renew, self._voice = renew, voice
        self._clock, self._links, self._store = clock, links, store
        self._waiting: dict[int, Callable[[Outcome], None]] = {}
        self._inbox: deque[tuple[str, Event]] = deque()
        self._held: deque[tuple[int, Effects]] = deque()
        self._written = self._durable = 0
        self._wake_at = float("inf")
        self._running = False
        self._letter: Letter | None = None  # the last one: a message to several is one letter

    def now(self) -> float:
        """The driver's clock, in seconds."""
        return self._clock.now()

    def start(self) -> None:
        """The first step: announces the replica and arms the timer."""
        self.receive(self.replica.address, Tick())

    def submit(self, operation: Request, done: Callable[[Outcome], None]) -> None:
        number = self.replica.next_request(self._clock.now())
        self._waiting[number] = done
        self.receive(self.replica.address, Submit(number, operation))

    def receive(self, source: str, event: Event) -> None:
        self._inbox.append((source, event))
        if self._running:
            return
        self._running = True
        try:
            while self._inbox:
                self._step(*self._inbox.popleft())
        finally:
            self._running = False

    def _step(self, source: str, event: Event) -> None:
        try:
            effects = self.replica.step(self._clock.now(), source, event)
        except Damaged as damaged:
            self._give_up(damaged)
            return
        if effects.peers is not None:
            self._links.know(effects.peers)
        for peer, message in effects.asks:
            self._send(peer, message, effects.stamp)
        self._answer(effects.relays)
        if effects.records:
            self._written += 1
            number = self._written
            self._store.write(effects.records, lambda: self._on_durable(number))
        if effects.tells or effects.replies:
            if self._durable < self._written:
                self._held.append((self._written, effects))
            else:
                self._release(effects)
        if effects.notes and self._voice is not None:
            for text in effects.notes:
                self._voice.note(text)
        self._arm(effects.wake_at)

    def _give_up(self, damaged: Damaged) -> None:
        """The replica needs a row that the disk has changed, and nobody can help."""
        if self._voice is None:
            raise damaged
        self._voice.give_up(str(damaged))

    def _on_durable(self, number: int) -> None:
        """The store has everything up to this write: what waited for it may leave."""
        self._durable = max(self._durable, number)
        while self._held and self._held[0][0] <= self._durable:
            self._release(self._held.popleft()[1])

    def _release(self, effects: Effects) -> None:
        for peer, message in effects.tells:
            self._send(peer, message, effects.stamp)
        self._answer(effects.replies)
        if effects.forgets:
            self._start_anew()

    def _answer(self, replies: Sequence[tuple[int, Outcome]]) -> None:
        for number, outcome in replies:
            done = self._waiting.pop(number, None)
            if done is not None:
                done(outcome)

    def _start_anew(self) -> None:
        """Another node lives here from now on; who waits for the last one learns no more of it."""
        assert self._renew is not None, "this driver's replica was not to forget"
        waiting, self._waiting = self._waiting, {}
        self._held.clear()
        for done in waiting.values():
            done(Unavailable("this node has been told to forget everything", definite=False))
        self.replica = self._renew()
        self.start()

    def _send(self, peer: str, message: Message, stamp: Stamp) -> None:
        if peer == self.replica.address:
            self.receive(peer, message)
            return
        letter = self._letter
        if letter is None or letter.message is not message or letter.stamp is not stamp:
            letter = self._letter = Letter(stamp, message)
        self._links.send(peer, letter)

    def _arm(self, when: float) -> None:
        """Only the earliest wish counts."""
        if when < self._wake_at:
            self._wake_at = when
            self._clock.call_at(when, lambda: self._on_timer(when))

    def _on_timer(self, when: float) -> None:
        if when != self._wake_at:
            return  # an earlier timer has taken its place
        self._wake_at = float("inf")
        self.receive(self.replica.address, Tick())
