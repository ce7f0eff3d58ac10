"""What has been written and has not settled in its table yet, in the order of the keys."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from node.core.effects import Record

OVERLAY_BATCHES = 64  # so many without a scan, and the overlay is dropped
OVERLAY_ROWS_MAX = 131_072  # a larger one is made anew, without what has settled


class Overlay:
    """Records that lie over the rows of a table, by their keys; made for scans and then kept up,
    as long as there are scans.  Those that have settled meanwhile do no harm in it."""

    def __init__(self, records: dict[str, Record]) -> None:
        self.records = records
        self.unused_batches = 0
        self._keys = sorted(records)

    def add(self, record: Record) -> None:
        if record.key not in self.records:
            insort(self._keys, record.key)
        self.records[record.key] = record

    def is_wanted(self) -> bool:
        """Asked once a batch."""
        self.unused_batches += 1
        return self.unused_batches < OVERLAY_BATCHES and len(self.records) < OVERLAY_ROWS_MAX

    def between(self, after: str | None, before: str | None) -> Iterator[Record]:
        """In the order of their keys."""
        first = 0 if after is None else bisect_right(self._keys, after)
        last = len(self._keys) if before is None else bisect_left(self._keys, before)
        for at in range(first, last):
            yield self.records[self._keys[at]]
