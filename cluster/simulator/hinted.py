"""Clients that take hints, drawn apart from everything else.

Of such a client's write a node of another shard keeps what an owner cannot be told.  Some runs have
so little room for hints that most writes find none.
"""

from dataclasses import replace
from random import Random

from node.core.model.options import Options

SHARE = 0.6  # of the seeds
OFTEN = 0.9  # of the writes of such a run
SINCE = 20261220 * 100_000  # seeds of the days before were played without, and play so again
OF_SUITE = range(1_000_000, 1_050_000)
ROOM = (1, 5, 10_000, 10_000)


def is_drawn(seed: int) -> bool:
    """Whether some clients of this run take hints."""
    is_new = seed >= SINCE or seed in OF_SUITE
    return is_new and Random(f"hints {seed}").random() < SHARE


class HintDraws:
    """The draws of one run."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"hints of {seed}")
        self._is_drawn = is_drawn(seed)

    def drawn(self) -> bool:
        """Whether the next write takes hints."""
        return self._is_drawn and self._random.random() < OFTEN


def with_room(options: Options, seed: int) -> Options:
    """Draw how many hints a node keeps for another one."""
    if not is_drawn(seed):
        return options
    return replace(options, hints_max=Random(f"room for hints {seed}").choice(ROOM))
