"""Whether reads of one replica are followed by checks of the other owners; drawn by the seed."""

from random import Random

SHARE = 0.5  # of the seeds
SINCE = 20261207 * 100_000  # seeds of the days before were played without, and play so again
OF_SUITE = range(700_000, 800_000)


def is_drawn(seed: int) -> bool:
    """Whether reads of one replica check the others in this run."""
    is_new = seed >= SINCE or seed in OF_SUITE
    return is_new and Random(f"checked reads {seed}").random() < SHARE
