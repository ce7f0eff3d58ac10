"""Clients that send a write again, drawn apart from everything else.

Such a write has an identity.  Its client sends it to another node, and perhaps to a third, whether
an answer has come or not: a program retries, and so does a proxy in between.  All of them are one
write, so the history has one operation.  It is done if one answer says so, and certainly not done
only if every answer says that.
"""

from random import Random

from cluster.checker.history import Operation

SHARE = 0.5  # of the seeds
OFTEN = 0.4  # of the writes of such a run
SINCE = 20261216 * 100_000  # seeds of the days before were played without, and play so again
OF_SUITE = range(950_000, 1_000_000)
SKEW_S_MAX = 60.0  # nodes forget a write by their clocks, ten minutes after its timestamp
AGAIN_S = (0.02, 0.1, 0.4, 1.5)  # how soon, in turn with how late


def is_drawn(seed: int) -> bool:
    """Whether some writes of this run are sent again."""
    is_new = seed >= SINCE or seed in OF_SUITE
    return is_new and Random(f"repeats {seed}").random() < SHARE


class Repeats:
    """The draws of one run."""

    def __init__(self, seed: int, skew_s: float) -> None:
        self._random = Random(f"repeats of {seed}")
        self._is_drawn = is_drawn(seed) and skew_s <= SKEW_S_MAX

    def identity_of(self, operation: Operation) -> str:
        """Return the identity of a write that is sent again; empty for one that is not."""
        if not self._is_drawn or self._random.random() >= OFTEN:
            return ""
        return f"write{operation.id}.of{operation.session}"

    def waits(self) -> list[float]:
        """Return how long after the first time a write is sent again, each time."""
        times = self._random.choice((1, 1, 2, 3))
        return [self._random.choice(AGAIN_S) * self._random.uniform(0.5, 2) for _ in range(times)]

    def node(self, nodes: list[str]) -> str:
        """Return the node that it is sent to."""
        return self._random.choice(nodes)
