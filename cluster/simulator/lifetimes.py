"""Values that expire, in the sessions of the workload; drawn apart from everything else.

A value that has expired may be gone, so the checker excuses its write, and of a key that keeps one
value all earlier writes, which it may have replaced.  It must not be shown, by the clock of the
node that answers, and at rest no replica has it.  What stands beside it stays.
"""

from collections.abc import Iterable
from random import Random

from cluster.checker.history import Operation
from cluster.simulator.invariants import ViolationError
from cluster.simulator.keys import writer_of
from cluster.simulator.timeline import WALL_S

SHARE = 0.5  # of the seeds
OFTEN = 0.2  # of the puts of such a run
LIFE_S = (0.1, 6.0)
SINCE = 20261207 * 100_000  # seeds of the days before were played without, and play so again
OF_SUITE = range(800_000, 900_000)


def is_drawn(seed: int) -> bool:
    """Whether some values of this run expire."""
    is_new = seed >= SINCE or seed in OF_SUITE
    return is_new and Random(f"lifetimes {seed}").random() < SHARE


class Lifetimes:
    """The draws of one run.  Where clocks are apart no value expires: an owner whose clock is slow
    would delete it long after the run is at rest."""

    def __init__(self, seed: int, skew_s: float) -> None:
        self._random = Random(f"lifetimes of {seed}")
        self._is_drawn = is_drawn(seed) and not skew_s
        self._ends: dict[int, float] = {}  # of an operation: when its value expires
        self._last: dict[str, float] = {}  # of a key that keeps one value: the last of these

    def drawn(self, operation: Operation) -> int:
        """Return when the value of this write expires (milliseconds since the epoch; 0: never)."""
        if not self._is_drawn or operation.kind != "put" or self._random.random() >= OFTEN:
            return 0
        ends = self._ends[operation.id] = operation.started + self._random.uniform(*LIFE_S)
        if operation.mode == "lww":
            self._last[operation.key] = max(ends, self._last.get(operation.key, 0.0))
        return int((WALL_S + self._ends[operation.id]) * 1000)

    def expect(self, operation: Operation, ttl_s: float) -> None:
        """Note that a policy ends the value of this write after so many seconds."""
        self._ends[operation.id] = operation.started + ttl_s

    def ends(self, operation: Operation) -> bool:
        """Whether the value of this write expires."""
        return operation.id in self._ends

    def excuses(self, operation: Operation) -> bool:
        """Whether this write may be gone by itself, or with one that has replaced it."""
        is_replaced = operation.started <= self._last.get(operation.key, -1.0)
        return operation.id in self._ends or is_replaced

    def judge(self, read: Operation, values: Iterable[str]) -> None:
        """Demand that a read shows nothing that had expired before it began."""
        for value in values:
            writer = writer_of(value)
            if self._ends.get(writer, read.started) < read.started:
                raise ViolationError("ShownExpired", f"#{read.id} shows {value} of #{writer}")
