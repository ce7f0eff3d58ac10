"""Rows in their order, of some slots only: a row begins with its slot, unless the disk has changed
its name."""

from bisect import bisect_right
from functools import lru_cache
from typing import Protocol

from node.core.parts import Slots
from node.core.view import SLOTS, Slot, digest_of, slot_of

Row = tuple[str, bytes]
END = "g"  # behind the rows of the last slot
NAMES = tuple(f"{slot:03x}" for slot in range(SLOTS))  # what the rows of a slot come after
SLOTS_BY_NAME = {name: slot for slot, name in enumerate(NAMES)}


@lru_cache(maxsize=16_384)
def slot_of_key(key: str) -> Slot:
    return slot_of(digest_of(key, False))


@lru_cache(maxsize=16_384)
def row_of(key: str) -> str:
    """The row of a key: rows of one slot lie together."""
    return f"{NAMES[slot_of_key(key)]}/{key}"


def key_of(row: str) -> str:
    return row[4:]


class Scans(Protocol):
    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[Row]: ...


class Rows(Scans, Protocol):
    """The part of the store that the core reads: local, current, in microseconds.  A damaged row of
    items reads as `Damaged` is raised, and scans as `DAMAGED`."""

    def read(self, table: str, key: str) -> bytes | None: ...
    def open_keys(self, table: str) -> list[str]: ...
    def counts(self, table: str) -> dict[str, tuple[int, int]]: ...
    def reread(self, after: str | None, limit: int, before: str | None = None) -> list[Row]:
        """A scan of the items that looks at the disk, past what the store keeps in memory of it."""


def rows_within(
    rows: Scans, slots: Slots, after: str | None, limit: int, before: str = END
) -> list[Row]:
    """At most `limit` rows of these slots between `after` and `before`, in their order; fewer:
    there are no more.  Each run of slots is one scan, which never looks beyond it: what lies there
    may be thousands of rows on their way out."""
    found: list[Row] = []
    cursor = after or ""
    while len(found) < limit:
        first = max(0, bisect_right(NAMES, cursor[:3]) - 1)
        rest = slots >> first
        start = first + (rest & -rest).bit_length() - 1
        if not rest or NAMES[start] >= before:
            break
        run = slots >> start
        end = start + (~run & run + 1).bit_length() - 1
        bound = min(NAMES[end] if end < SLOTS else END, before)
        found += rows.scan("item", max(cursor, NAMES[start]), limit - len(found), bound)
        if bound == before:
            break
        cursor = bound
    return found
