"""Rows in their order, of some slots only: a row begins with its slot, unless the disk has changed
its name."""

from bisect import bisect_right
from typing import Protocol

from node.core.model.keys import NAMES, SLOTS
from node.core.model.slots import Slots

Row = tuple[str, bytes]
END = "g"  # behind the rows of the last slot
SLOTS_BY_NAME = {name: slot for slot, name in enumerate(NAMES)}


class Scans(Protocol):
    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[Row]: ...


class RowReads(Protocol):
    def read(self, table: str, key: str) -> bytes | None: ...


class ReadsAndScans(RowReads, Scans, Protocol):
    """Reads of one row, and scans of many."""


class Rows(ReadsAndScans, Protocol):
    """The part of the store that the core reads: local, current, in microseconds.  A damaged row of
    items reads as `Damaged` is raised, and scans as `DAMAGED`."""

    def open_keys(self, table: str) -> list[str]: ...
    def names(self, table: str, start: str, limit: int, before: str) -> list[str]:
        """At most `limit` keys of rows from `start` on and before `before`, in their order.  No
        value is read."""

    def counts(self, table: str) -> dict[str, tuple[int, int]]:
        """Count rows and the bytes of their values, by the first three characters of the keys."""

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
