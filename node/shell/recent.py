"""The rows that are durable and not yet in their tables.

A commit whose rows each go to their own place dirties a page for nearly every one; so a commit is
one row of the table `recent`, and its rows settle later, many at a time.  What is written again or
removed meanwhile never settles.  Two generations: the newer one gathers, and when it is full it
becomes the older one, which settles portion by portion.  The commits of a generation go when all of
it has settled: until then a restart reads them back.

All of it is the store's writer's own.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from node.core.effects import Record

GENERATION_ROWS = 65_536  # the more there are, the more of them share a page
GENERATION_BYTES = 32 * 1024 * 1024
PORTION_ROWS = 32  # at least so many settle with a commit, while there is an older generation

PLACE_LETTERS = 2  # of a key: rows of one place lie near each other

Row = tuple[str, str]
Rows = dict[Row, Record]
Place = tuple[str, str]


@dataclass(slots=True)
class Portion:
    """What settles with one commit; with the last portion of a generation its commits go, which
    are all up to the number `ends`."""

    records: list[Record] = field(default_factory=list)
    ends: int | None = None


class Recent:
    """The last record of each row that has not settled; later commits have higher numbers."""

    def __init__(self) -> None:
        self.newer: Rows = {}
        self.older: Rows = {}
        self.number = 0  # of the last commit
        self._newer_bytes = 0
        self._older_ends = 0
        self._places: dict[Place, list[Row]] = {}  # of the newer generation
        self._left: list[tuple[Place, list[Row]]] = []  # of the older one; the first place is last
        self._settling: list[Row] = []  # what comes before those places, the first row last

    def __len__(self) -> int:
        return len(self.newer) + len(self.older)

    def portion(self, rows_at_least: int) -> Portion:
        """What is to settle next, in the order of the keys, for neighbours share a page: faster
        than new rows come, or the generations would pile up."""
        size = max(PORTION_ROWS, 2 * rows_at_least)
        while len(self._settling) < size and self._left:
            self._settling[:0] = sorted(self._left.pop()[1], reverse=True)
        if not self._settling:
            return Portion()
        rows = self._settling[: -size - 1 : -1]
        is_last = size >= len(self._settling) and not self._left
        return Portion([self.older[row] for row in rows], self._older_ends if is_last else None)

    def settled(self, portion: Portion) -> None:
        """This portion is durable in its tables."""
        for record in portion.records:  # not all at the end: that would take many milliseconds
            del self.older[record.table, record.key]
        if portion.records:
            del self._settling[-len(portion.records) :]

    def add(self, number: int, rows: Rows, blob_bytes: int) -> None:
        """A commit is durable."""
        for row in rows:
            if row not in self.newer:
                self._places.setdefault((row[0], row[1][:PLACE_LETTERS]), []).append(row)
        self.newer.update(rows)
        self.number = number
        self._newer_bytes += blob_bytes

    def is_full(self) -> bool:
        """Whether the newer generation may and should become the older one."""
        is_large = len(self.newer) >= GENERATION_ROWS or self._newer_bytes >= GENERATION_BYTES
        return is_large and not self.older

    def turn(self) -> None:
        """The next generation begins; the older one must have settled."""
        assert not self.older, "a generation settles before the next one"
        self.older, self.newer = self.newer, {}
        self._older_ends, self._newer_bytes = self.number, 0
        self._left, self._places = sorted(self._places.items(), reverse=True), {}


def rows_of(records: Collection[Record]) -> Rows:
    return {(record.table, record.key): record for record in records}
