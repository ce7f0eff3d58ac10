"""Rows in memory with the reads of the store on disk: the disks of the simulator and of tests.

A scan returns `DAMAGED` for an item whose checksum would be wrong.
"""

from collections import Counter
from collections.abc import Iterable

from node.core.protocol.effects import DAMAGED, Damaged, Record

Tables = dict[str, dict[str, tuple[bytes, bool]]]  # table -> key -> (value, open)


def write_rows(tables: Tables, records: Iterable[Record]) -> None:
    for record in records:
        rows = tables.setdefault(record.table, {})
        if record.value is None:
            rows.pop(record.key, None)
        else:
            rows[record.key] = record.value, record.open


class MemoryReads:
    """The reading half of the store port."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def read(self, table: str, key: str) -> bytes | None:
        row = self.tables.get(table, {}).get(key)
        if row is not None and table == "item" and row[0] == DAMAGED:
            raise Damaged(key)
        return row and row[0]

    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]:
        rows = self.tables.get(table, {})
        behind = [key for key in rows if after is None or key > after]
        keys = sorted(key for key in behind if before is None or key < before)
        return [(key, rows[key][0]) for key in keys[:limit]]

    def reread(
        self, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]:
        return self.scan("item", after, limit, before)

    def names(self, table: str, start: str, limit: int, before: str) -> list[str]:
        rows = self.tables.get(table, {})
        found = [key for key in rows if start <= key < before]  # none: most slots have no row
        return sorted(found)[:limit] if found else found

    def open_keys(self, table: str) -> list[str]:
        rows = self.tables.get(table, {})
        return sorted(key for key, (_, is_open) in rows.items() if is_open)

    def counts(self, table: str) -> dict[str, tuple[int, int]]:
        rows, sizes = Counter[str](), Counter[str]()
        for key, (value, _) in self.tables.get(table, {}).items():
            rows[key[:3]] += 1
            sizes[key[:3]] += len(value)
        return {start: (rows[start], sizes[start]) for start in rows}
