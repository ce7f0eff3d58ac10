"""Time, links and disks for a conversation: nothing happens until the text says so.

Time stands still until `wait` or `run`.  A fast disk is durable at once, a slow one on `sync`.  An
incarnation that is over answers no call: its timers and its writes end with it.
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count

from cluster.simulator.memory_store import MemoryReads, Tables, write_rows
from node.core.protocol.effects import Record
from node.core.protocol.messages import Envelope

START_S = 1000.0

Callback = Callable[[], None]


class Timeline:
    """Virtual seconds, the same for all nodes."""

    def __init__(self) -> None:
        self.now = START_S
        self._timers: list[tuple[float, int, Callback]] = []
        self._order = count()

    def at(self, when: float, callback: Callback) -> None:
        heapq.heappush(self._timers, (when, next(self._order), callback))

    def next_until(self, until: float) -> Callback | None:
        """Go on to the next timer that is due by then; None (and `until` has come) without one."""
        if not self._timers or self._timers[0][0] > until:
            self.now = until
            return None
        when, _, callback = heapq.heappop(self._timers)
        self.now = max(self.now, when)
        return callback


@dataclass
class Life:
    """One run of a process."""

    over: bool = False


class LifeClock:
    """The clock of one incarnation, for its driver; `fire` puts a timer's call into the play."""

    def __init__(self, time: Timeline, incarnation: Life, fire: Callable[[Callback], None]) -> None:
        self._time, self._life, self._fire = time, incarnation, fire

    def now(self) -> float:
        return self._time.now

    def call_at(self, when: float, callback: Callback) -> None:
        def timer() -> None:
            if not self._life.over:
                self._fire(callback)

        self._time.at(when, timer)


@dataclass
class Disk:
    """What survives a crash; a slow disk makes rows durable only on `sync`."""

    slow: bool = False
    tables: Tables = field(default_factory=dict)


class LifeStore(MemoryReads):
    """The store of one incarnation: reads see every write, the disk has what was synced."""

    def __init__(self, disk: Disk, report: Callable[[Sequence[Record], bool], None]) -> None:
        self._disk, self._report = disk, report
        super().__init__(disk.tables)
        self._unsynced: deque[tuple[Sequence[Record], Callback]] = deque()

    def write(self, records: Sequence[Record], done: Callback) -> None:
        write_rows(self.tables, records)
        self._unsynced.append((records, done))
        self._report(records, not self._disk.slow)
        if not self._disk.slow:
            self.sync()

    def sync(self) -> int:
        """Make everything durable, in order; return how many batches were waiting."""
        batches = len(self._unsynced)
        for _ in range(batches):
            records, done = self._unsynced.popleft()
            write_rows(self._disk.tables, records)
            done()
        return batches


class LifeLinks:
    """The links of one incarnation: they hand every message to the network of the play.

    `known` are the nodes that the incarnation's driver knows now.
    """

    def __init__(self, source: str, send: Callable[[str, str, Envelope], None]) -> None:
        self._source, self._send = source, send
        self.known: set[str] = set()

    def know(self, peers: Collection[str]) -> None:
        self.known = set(peers)

    def send(self, peer: str, envelope: Envelope) -> None:
        self._send(self._source, peer, envelope)
