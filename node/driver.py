"""Runs one replica: the only place that orders disk and network.

The driver steps the replica with one event at a time.  It sends asks and relays at once, gives
records to the store, and holds tells and replies until the store says that every earlier record is
durable.  Asks wait, too, while the views under which they leave are not durable: every message
names these views, and that a node has adopted one proves to others what its disk has.  A message
that a node tells itself goes the same way, so there is no second path for local keys.  The ports
are small protocols: the shell has the real ones, the simulator its own; no asyncio here.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from node.core.protocol.effects import Damaged, Effects, Record
from node.core.protocol.events import Event, Submit, Tick
from node.core.protocol.messages import Envelope, Epoch, Message
from node.core.protocol.operations import Outcome, Request, Unavailable
from node.core.replica import Replica
from node.core.storage.row_scan import Rows


class Timer(Protocol):
    """Seconds that never go back, and a timer."""

    def now(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], None]) -> None: ...


class Links(Protocol):
    """Sends letters to peers, each at most once.

    A link drops what it cannot send; repair finds the difference later.
    """

    def send(self, peer: str, envelope: Envelope) -> None: ...
    def know(self, peers: Collection[str]) -> None:
        """Have links with these nodes, and no others, from now on."""


class Store(Rows, Protocol):
    """Rows that survive a crash once `done` has been called, in the order of the writes.

    Reads (`Rows`, all that the core uses) see every write, durable or not.
    """

    def write(self, records: Sequence[Record], done: Callable[[], None]) -> None: ...


class Voice(Protocol):
    """Tells an operator what happens at the node."""

    def note(self, text: str) -> None: ...
    def give_up(self, reason: str) -> None:
        """Stop the node, which cannot go on with what its disk holds."""


class Driver:
    """One replica at work.

    It takes client requests (`submit`), peer messages (`receive`) and link events.  It calls the
    callback of a request exactly once, later.  `renew` makes a replica from the rows as they are;
    the driver calls it after a replica has ended.
    """

    def __init__(
        self,
        replica: Replica,
        clock: Timer,
        links: Links,
        store: Store,
        renew: Callable[[], Replica],
        voice: Voice,
    ) -> None:
        self.replica = replica
        self._renew, self._voice = renew, voice
        self._timer, self._links, self._store = clock, links, store
        self._waiting: dict[int, Callable[[Outcome], None]] = {}
        self._inbox: deque[tuple[str, Event]] = deque()
        self._held: deque[tuple[int, Effects]] = deque()
        self._written = self._durable = 0
        self._wake_at = float("inf")
        self._running = self._is_over = False
        self._envelope: Envelope | None = None  # the last one; several peers share one
        self._epoch: Epoch | None = None  # the last one that the disk has, as far as is known

    def now(self) -> float:
        """Return the driver's clock, in seconds."""
        return self._timer.now()

    def start(self) -> None:
        """Make the first step: it announces the replica and arms the timer."""
        self.receive(self.replica.address, Tick())

    def stop(self) -> None:
        """Make no more steps, whatever timers, links and the store still report.

        The caller may then close the store.  The driver refuses later requests, which certainly did
        nothing.
        """
        self._is_over = True
        self._inbox.clear()
        self._held.clear()

    def submit(self, operation: Request, done: Callable[[Outcome], None]) -> None:
        if self._is_over:
            done(Unavailable("this node is shutting down", definite=True))
            return
        number = self.replica.next_request(self._timer.now())
        self._waiting[number] = done
        self.receive(self.replica.address, Submit(number, operation))

    def receive(self, source: str, event: Event) -> None:
        if self._is_over:
            return
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
            effects = self.replica.step(self._timer.now(), source, event)
        except Damaged as damaged:
            self._give_up(damaged)
            return
        if effects.peers is not None:
            self._links.know(effects.peers)
        is_durable = self._has_views_of(effects.epoch)
        if not is_durable:
            effects.hold_asks()
        self._send_all(effects.asks, effects.epoch)
        self._answer(effects.relays)
        if effects.records:
            self._written += 1
            number = self._written
            self._store.write(effects.records, lambda: self._on_durable(number))
        if effects.tells or effects.replies or effects.ends or not is_durable:
            if self._durable < self._written:
                self._held.append((self._written, effects))
            else:
                self._release(effects)
        for text in effects.notes:
            self._voice.note(text)
        self._arm(effects.wake_at)

    def _has_views_of(self, epoch: Epoch) -> bool:
        """Whether the disk has the views of this epoch, as far as is known."""
        return epoch is self._epoch

    def _give_up(self, damaged: Damaged) -> None:
        """Stop the node: it needs a row that the disk has changed and no other node can supply."""
        self._voice.give_up(str(damaged))

    def _on_durable(self, number: int) -> None:
        """Release what waited for this write: the store has made it and all earlier ones
        durable.
        """
        self._durable = max(self._durable, number)
        while self._held and self._held[0][0] <= self._durable:
            self._release(self._held.popleft()[1])

    def _release(self, effects: Effects) -> None:
        self._epoch = effects.epoch
        self._send_all(effects.tells, effects.epoch)
        self._answer(effects.replies)
        if effects.ends:
            self._start_anew(effects.ends)

    def _answer(self, replies: Sequence[tuple[int, Outcome]]) -> None:
        for number, outcome in replies:
            done = self._waiting.pop(number, None)
            if done is not None:
                done(outcome)

    def _start_anew(self, reason: str) -> None:
        """Replace the replica that has ended by a new one of the rows that are left.

        Requests that came after the end have their refusal.  The others are answered as
        unavailable, with an unknown outcome.
        """
        while self._held:
            self._answer(self._held.popleft()[1].replies)
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(Unavailable(reason, definite=False))
        self.replica = self._renew()
        self.start()

    def _send_all(self, messages: Sequence[tuple[str, Message]], epoch: Epoch) -> None:
        for peer, message in messages:
            self._send(peer, message, epoch)

    def _send(self, peer: str, message: Message, epoch: Epoch) -> None:
        if peer == self.replica.address:
            self.receive(peer, message)
            return
        envelope = self._envelope
        if envelope is None or envelope.message is not message or envelope.epoch is not epoch:
            envelope = self._envelope = Envelope(epoch, message)
        self._links.send(peer, envelope)

    def _arm(self, when: float) -> None:
        """Set the timer, unless it is set for an earlier time."""
        if when < self._wake_at:
            self._wake_at = when
            self._timer.call_at(when, lambda: self._on_timer(when))

    def _on_timer(self, when: float) -> None:
        if when != self._wake_at:
            return  # an earlier timer has replaced this one
        self._wake_at = float("inf")
        self.receive(self.replica.address, Tick())
