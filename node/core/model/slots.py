"""Sets of slots, as integers: bit n stands for slot n, so `&` and `|` work on whole sets."""

import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import compress

from node.core.model.keys import SLOTS, Slot

SLOTS_BYTES = SLOTS // 8
ALL = (1 << SLOTS) - 1
EVERY = tuple(range(SLOTS))
SETS_KEPT = 64  # the same few sets come and go with every comparison
BITS = bytes.maketrans(b"01", b"\0\1")
Slots = int  # a set of slots: bit n is slot n


@lru_cache(SETS_KEPT)
def to_bytes(slots: Slots) -> bytes:
    """A set as messages carry it: compressed, for the slots of a set lie side by side."""
    return zlib.compress(slots.to_bytes(SLOTS_BYTES, "big"), 1)


@lru_cache(SETS_KEPT)
def from_bytes(packed: bytes) -> Slots:
    return int.from_bytes(zlib.decompress(packed), "big")


def each_of(slots: Slots) -> list[Slot]:
    """The slots of a set, in their order."""
    return list(chosen(EVERY, slots))


def chosen(values: Iterable[int], slots: Slots) -> Iterator[int]:
    """The values of a set's slots, from those of all slots in their order."""
    # Far faster than 4096 shifts of a number of 512 bytes.
    digits = f"{slots:b}".encode().translate(BITS)
    return compress(values, reversed(digits))
