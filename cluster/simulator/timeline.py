"""Virtual time: what happens in a simulated cluster, and when.

Callbacks run in the order of their instants, and those of one instant in the order of the requests.
A process's plans end with its life, and wait while it is paused.  Nothing here is drawn, and
nothing takes real time.
"""

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from zlib import crc32

STEPS_AT_ONCE_MAX = 20_000  # callbacks at one instant; with more, the cluster does not come to wait
TRACE_LINES_MAX = 400
WALL_S = 1_000_000.0  # the time of a clock without skew at the virtual time 0
TIMER_SLACK_S = 1e-6  # timers fire a little late, so that rounding never makes them early

Callback = Callable[[], None]


class LivelockError(AssertionError):
    """The cluster is busy for ever while time stands still."""


class Trace:
    """The last lines of what happened, and a digest of all of it."""

    def __init__(self) -> None:
        self.digest = 0
        self._last: deque[str] = deque(maxlen=TRACE_LINES_MAX)

    def note(self, now: float, what: str) -> None:
        line = f"{now:.6f} {what}"
        self.digest = crc32(line.encode(), self.digest)
        self._last.append(line)

    def tail(self, lines: int) -> list[str]:
        return list(self._last)[-lines:]


class ProcessRun:
    """One run of a process, from its start to its crash; it does not notice a pause."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.over = False
        self.paused_until = 0.0


class Timeline:
    """Virtual time: callbacks by their instant, and at one instant in the order of the requests."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, ProcessRun | None, Callback]] = []
        self._order = count()

    def at(self, when: float, callback: Callback, run: ProcessRun | None = None) -> None:
        """Call back at this instant, at the earliest now; not if the run is over by then."""
        entry = max(when, self.now), next(self._order), run, callback
        heapq.heappush(self._heap, entry)

    def after(self, delay_s: float, callback: Callback, run: ProcessRun | None = None) -> None:
        self.at(self.now + delay_s, callback, run)

    def run(self, until: float) -> None:
        """Run everything up to this instant; raise LivelockError if that never ends."""
        heap, steps = self._heap, 0
        while heap and heap[0][0] <= until:
            when, _, life, callback = heapq.heappop(heap)
            steps = steps + 1 if when == self.now else 0
            if steps > STEPS_AT_ONCE_MAX:
                raise LivelockError(f"{steps} callbacks at {when:.6f}")
            self.now = when
            if life is None:
                callback()
            elif life.paused_until > when:
                self.at(life.paused_until, callback, life)
            elif not life.over:
                callback()
        self.now = until


class SimTimer:
    """The clock of one run: the virtual time, wrong by a constant."""

    def __init__(self, timeline: Timeline, skew_s: float, run: ProcessRun) -> None:
        self._timeline, self._run = timeline, run
        self._offset = WALL_S + skew_s

    def now(self) -> float:
        return self.time() + self._offset

    def time(self) -> float:
        """Return the virtual time itself."""
        return self._timeline.now

    def call_at(self, when: float, callback: Callback) -> None:
        self._timeline.at(when - self._offset + TIMER_SLACK_S, callback, self._run)
