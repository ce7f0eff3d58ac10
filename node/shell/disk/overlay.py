"""The records that are written and have not settled: they override the tables' rows in reads.

The overlay sorts records into places by the first letters of their keys; for items, a place is one
slot.  So a scan of a slot sorts only the records of that slot, however many wait elsewhere.  Only
the loop's thread uses it.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from node.core.protocol.effects import Record

PLACE_LETTERS = 3  # of a key


class _Place:
    """Records by their keys; it sorts the keys when a reader asks for their order."""

    __slots__ = ("order", "records")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.order: list[str] | None = None

    def sorted(self) -> list[str]:
        if self.order is None:
            self.order = sorted(self.records)
        return self.order


class _Table:
    """Places by their names, and the names in their order."""

    def __init__(self) -> None:
        self.places: dict[str, _Place] = {}
        self.names: list[str] = []


class Unsettled:
    """The last record of each row that has not settled."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}

    def put(self, records: Iterable[Record]) -> None:
        for record in records:
            key = record.key
            place = self._place(record.table, key[:PLACE_LETTERS])
            if key not in place.records:
                place.order = None
            place.records[key] = record

    def _place(self, name: str, start: str) -> _Place:
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = _Table()
        place = table.places.get(start)
        if place is None:
            place = table.places[start] = _Place()
            insort(table.names, start)
        return place

    def settled(self, records: Iterable[Record]) -> None:
        """Drop these records, which are in their tables, unless their rows were written again."""
        for record in records:
            table, start = self._tables[record.table], record.key[:PLACE_LETTERS]
            place = table.places.get(start)
            if place is None or place.records.get(record.key) is not record:
                continue
            del place.records[record.key]
            place.order = None
            if not place.records:
                del table.places[start]
                del table.names[bisect_left(table.names, start)]

    def find(self, name: str, key: str) -> Record | None:
        table = self._tables.get(name)
        place = table.places.get(key[:PLACE_LETTERS]) if table is not None else None
        return place.records.get(key) if place is not None else None

    def all_of(self, name: str) -> Iterator[Record]:
        """Return the records of one table, in no order."""
        table = self._tables.get(name)
        for place in table.places.values() if table is not None else ():
            yield from place.records.values()

    def between(self, name: str, after: str | None, before: str | None) -> Iterator[Record]:
        """Return the records of one table between two keys, in the order of their keys."""
        table = self._tables.get(name)
        if table is None:
            return
        start = 0 if after is None else bisect_left(table.names, after[:PLACE_LETTERS])
        for at in range(start, len(table.names)):
            if before is not None and table.names[at] >= before:
                return
            place = table.places[table.names[at]]
            keys = place.sorted()
            first = 0 if after is None else bisect_right(keys, after)
            last = len(keys) if before is None else bisect_left(keys, before)
            for key in keys[first:last]:
                yield place.records[key]
