"""The keys of a run and their values: a key keeps one value (`l...`) or siblings (`s...`)."""

import re
from random import Random

from cluster.checker.history import Mode as KeyMode

PADDING = (0, 0, 0, 30, 0, 0, 120, 0, 0, 400)  # characters of values, in turn


def mode_of(key: str) -> KeyMode:
    return "lww" if key.startswith("l") else "siblings"


def value_of(number: int) -> str:
    """Return the value of this operation, which no other one writes; some values are longer."""
    return f"v{number}" + "." * PADDING[number % len(PADDING)]


def writer_of(value: str) -> int:
    """Return the operation that has written this value: the last number in it."""
    return int(re.findall(r"\d+", value)[-1])


def keys_of(random: Random, how_many: int) -> list[str]:
    """Return the keys: half of them keep one value, half siblings; they hash to arbitrary slots."""
    return [f"{'ls'[i % 2]}{i}.{random.randrange(1000)}" for i in range(how_many)]
