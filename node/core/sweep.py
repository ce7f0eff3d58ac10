"""The rows of forgotten slots, on their way out: some at a time.

A slot may be held again meanwhile: its old rows count for nothing, and all of them go before the
first new one comes.  Which slots are left to sweep is on the disk, so a restart goes on with it.
(protocol D10 R4.)
"""

from typing import Protocol

from node.core.effects import Record
from node.core.parts import Slots, from_bytes, to_bytes
from node.core.walk import SLOTS_BY_NAME, Scans, rows_within

CLEARED_AT_ONCE = 1_000


class Rows(Scans, Protocol):
    def read(self, table: str, key: str) -> bytes | None: ...


class Sweep:
    """The slots whose rows count for nothing any more, and how far they have been removed."""

    def __init__(self, rows: Rows, outbox: list[Record]) -> None:
        self._rows, self._outbox = rows, outbox
        saved = rows.read("meta", "sweep")
        self.slots: Slots = from_bytes(saved) if saved else 0
        self._swept: str | None = None

    def __contains__(self, row: str) -> bool:
        slot = SLOTS_BY_NAME.get(row[:3])
        return slot is not None and bool(self.slots >> slot & 1)

    def add(self, slots: Slots) -> None:
        self._set(self.slots | slots)

    def some(self, limit: int) -> list[str]:
        """Remove some rows, from where the last call ended; which."""
        if not self.slots:
            return []
        found = self._remove(self.slots, self._swept, limit)
        if len(found) < limit:
            self._set(0)
        else:
            self._swept = found[-1]
        return found

    def clear(self, slots: Slots) -> list[str]:
        """Remove all rows that are left of these slots; which."""
        left, after = slots & self.slots, self._swept
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
        self._outbox += [Record("item", row, None) for row in found]
        return found

    def _set(self, slots: Slots) -> None:
        self._swept = None
        self._save(slots)

    def _save(self, slots: Slots) -> None:
        self.slots = slots
        self._outbox.append(Record("meta", "sweep", to_bytes(slots) if slots else None))
