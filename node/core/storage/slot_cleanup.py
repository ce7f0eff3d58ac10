"""Removes the rows of forgotten slots, some at a time.

This node may hold a slot again before its old rows have gone.  Reads ignore these, and all of them
go before the first new row is written.  The slots that are left to clean up are on the disk, so a
restart goes on with them.  (protocol D10 R4.)
"""

from node.core.model.slots import Slots, from_bytes, to_bytes
from node.core.protocol.step import Step
from node.core.storage.row_scan import SLOTS_BY_NAME, ReadsAndScans, Scans, rows_within

CLEARED_AT_ONCE = 1_000
TABLES = ("item", "log", "expiry", "hint", "meta")
FORGOTTEN_AT_ONCE = 5_000


def clear(rows: Scans, step: Step) -> None:
    """Remove every row of a disk."""
    for table in TABLES:
        after: str | None = None
        while page := rows.scan(table, after, FORGOTTEN_AT_ONCE):
            for row, _ in page:
                step.record(table, row, None)
            after = page[-1][0]


class SlotCleanup:
    """The slots whose rows are to go (`slots`), and how far they have been removed."""

    def __init__(self, rows: ReadsAndScans, step: Step) -> None:
        self._rows, self._step = rows, step
        saved = rows.read("meta", "sweep")
        self.slots: Slots = from_bytes(saved) if saved else 0
        self._cleaned: str | None = None

    def __contains__(self, row: str) -> bool:
        slot = SLOTS_BY_NAME.get(row[:3])
        return slot is not None and bool(self.slots >> slot & 1)

    def add(self, slots: Slots) -> None:
        self._set(self.slots | slots)

    def some(self, limit: int) -> list[str]:
        """Remove some rows, from where the last call ended; returns these."""
        if not self.slots:
            return []
        found = self._remove(self.slots, self._cleaned, limit)
        if len(found) < limit:
            self._set(0)
        else:
            self._cleaned = found[-1]
        return found

    def clear(self, slots: Slots) -> list[str]:
        """Remove all rows that are left of these slots; returns these."""
        left, after = slots & self.slots, self._cleaned
        removed: list[str] = []
        while left:
            found = self._remove(left, removed[-1] if removed else after, CLEARED_AT_ONCE)
            removed += found
            if len(found) < CLEARED_AT_ONCE:
                self._save(self.slots & ~left)
                break
        return removed

    def _remove(self, slots: Slots, after: str | None, limit: int) -> list[str]:
        found = [row for row, _ in rows_within(self._rows, slots, after, limit)]
        for row in found:
            self._step.record("item", row, None)
        return found

    def _set(self, slots: Slots) -> None:
        self._cleaned = None
        self._save(slots)

    def _save(self, slots: Slots) -> None:
        self.slots = slots
        self._step.record("meta", "sweep", to_bytes(slots) if slots else None)
