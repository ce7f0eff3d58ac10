"""Rows in memory with the reads of the store on disk: the disks of the simulator and of tests.

A scan returns `DAMAGED` for an item whose checksum would be wrong.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from node.core.protocol.effects import DAMAGED, Damaged, Record

Row = tuple[bytes, bool]  # value, open


class DiskTable(dict[str, Row]):
    """Rows by their keys.  Many more reads than writes need the keys in their order."""

    _in_order: list[str] | None = None

    def __setitem__(self, key: str, row: Row) -> None:
        if key not in self:
            self._in_order = None
        super().__setitem__(key, row)

    def __delitem__(self, key: str) -> None:
        self._in_order = None
        super().__delitem__(key)

    def between(self, first: str, before: str | None, limit: int) -> list[str]:
        """At most `limit` keys from `first` on and before `before`, in their order."""
        if self._in_order is None:
            self._in_order = sorted(self)
        keys = self._in_order
        start = bisect_left(keys, first)
        end = len(keys) if before is None else bisect_left(keys, before, start)
        return keys[start : min(end, start + limit)]


Tables = dict[str, DiskTable]
NO_ROWS = DiskTable()


def write_rows(tables: Tables, records: Iterable[Record]) -> None:
    for record in records:
        rows = tables.setdefault(record.table, DiskTable())
        if record.value is not None:
            rows[record.key] = record.value, record.open
        elif record.key in rows:
            del rows[record.key]


class MemoryReads:
    """The reading half of the store port."""

    def __init__(self, tables: Tables) -> None:
        self.tables: Tables = {name: DiskTable(rows) for name, rows in tables.items()}

    def read(self, table: str, key: str) -> bytes | None:
        row = self.tables.get(table, NO_ROWS).get(key)
        if row is not None and table == "item" and row[0] == DAMAGED:
            raise Damaged(key)
        return row and row[0]

    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]:
        rows = self.tables.get(table, NO_ROWS)
        first = "" if after is None else after + "\0"
        return [(key, rows[key][0]) for key in rows.between(first, before, limit)]

    def reread(
        self, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]:
        return self.scan("item", after, limit, before)

    def names(self, table: str, start: str, limit: int, before: str) -> list[str]:
        return self.tables.get(table, NO_ROWS).between(start, before, limit)

    def open_keys(self, table: str) -> list[str]:
        rows = self.tables.get(table, NO_ROWS)
        return sorted(key for key, (_, is_open) in rows.items() if is_open)

    def counts(self, table: str) -> dict[str, tuple[int, int]]:
        rows, sizes = Counter[str](), Counter[str]()
        for key, (value, _) in self.tables.get(table, NO_ROWS).items():
            rows[key[:3]] += 1
            sizes[key[:3]] += len(value)
        return {start: (rows[start], sizes[start]) for start in rows}
