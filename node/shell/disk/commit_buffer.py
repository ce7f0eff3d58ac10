"""The rows that are durable and not yet in their tables.

A commit that puts each row into its table changes a page for nearly every row.  So a commit writes
one row to the table `recent`, and its rows settle in their tables later, many at a time.  A row
that a later commit replaces or removes before that never settles.

There are two generations.  The newer one gathers rows.  When it is full it becomes the older one,
which settles portion by portion.  The store removes the commits of a generation from `recent` when
all of the generation has settled: until then a restart reads them back.

Only the store's writer uses this module.
"""

from collections.abc import Collection

import msgspec

from node.core.protocol.effects import Record
from node.shell.disk.disk_limits import USUAL, DiskLimits

GENERATION_BYTES = 32 * 1024 * 1024

PLACE_LETTERS = 2  # of a key: rows with the same first letters lie near each other

Row = tuple[str, str]
Rows = dict[Row, Record]
Place = tuple[str, str]


class Portion(msgspec.Struct):
    """The rows that settle with one commit.

    The last portion of a generation has `ends`: the store then removes all commits up to this
    number.
    """

    records: list[Record] = msgspec.field(default_factory=list)
    ends: int | None = None


class Recent:
    """The last record of each row that has not settled; later commits have higher numbers."""

    def __init__(self, limits: DiskLimits = USUAL) -> None:
        self._generation_rows, self._portion_rows = limits.generation_rows, limits.portion_rows
        self.newer: Rows = {}
        self.older: Rows = {}
        self.number = 0  # of the last commit
        self._newer_bytes = 0
        self._older_ends = 0
        self._places: dict[Place, list[Row]] = {}  # of the newer generation
        self._left: list[tuple[Place, list[Row]]] = []  # of the older one; the first place is last
        self._settling: list[Row] = []  # the rows before those places; the first row is last

    def __len__(self) -> int:
        return len(self.newer) + len(self.older)

    def portion(self, rows_at_least: int) -> Portion:
        """Return the rows to settle next, in the order of their keys: neighbours share a page.

        Rows settle faster than new ones come; otherwise the generations would pile up.
        """
        size = max(self._portion_rows, 2 * rows_at_least)
        while len(self._settling) < size and self._left:
            self._settling[:0] = sorted(self._left.pop()[1], reverse=True)
        if not self._settling:
            return Portion()
        rows = self._settling[: -size - 1 : -1]
        is_last = size >= len(self._settling) and not self._left
        return Portion([self.older[row] for row in rows], self._older_ends if is_last else None)

    def settled(self, portion: Portion) -> None:
        """Drop this portion, which is durable in its tables."""
        for record in portion.records:  # bit by bit: at the end it would take many milliseconds
            del self.older[record.table, record.key]
        if portion.records:
            del self._settling[-len(portion.records) :]

    def add(self, number: int, rows: Rows, blob_bytes: int) -> None:
        """Add the rows of a durable commit."""
        for row in rows:
            if row not in self.newer:
                self._places.setdefault((row[0], row[1][:PLACE_LETTERS]), []).append(row)
        self.newer.update(rows)
        self.number = number
        self._newer_bytes += blob_bytes

    def is_full(self) -> bool:
        """Whether the newer generation is full, and the older one has settled."""
        has_many = len(self.newer) >= self._generation_rows
        return (has_many or self._newer_bytes >= GENERATION_BYTES) and not self.older

    def turn(self) -> None:
        """Begin the next generation; the older one must have settled."""
        assert not self.older, "a generation settles before the next one"
        self.older, self.newer = self.newer, {}
        self._older_ends, self._newer_bytes = self.number, 0
        self._left, self._places = sorted(self._places.items(), reverse=True), {}


def rows_of(records: Collection[Record]) -> Rows:
    return {(record.table, record.key): record for record in records}
