"""How much there is in each slot: live keys, and the bytes of the rows they lie in."""

from collections.abc import Mapping

from node.core.model.keys import SLOTS, Slot
from node.core.model.slots import Slots, chosen, each_of
from node.core.storage.row_scan import SLOTS_BY_NAME


class SlotCounts:
    """Kept up with every row that changes, so that asking costs nothing; `found` is what lies on
    the disk, rows and bytes by the beginning of their keys."""

    def __init__(self, found: Mapping[str, tuple[int, int]]) -> None:
        self._keys, self._bytes = [0] * SLOTS, [0] * SLOTS
        for start, (keys, size) in found.items():
            slot = SLOTS_BY_NAME.get(start)
            if slot is not None:  # a row may be so damaged that it has no slot
                self.count_anew(slot, keys, size)

    def change(self, slot: Slot, keys: int, size: int) -> None:
        self._keys[slot] += keys
        self._bytes[slot] += size

    def count_anew(self, slot: Slot, keys: int, size: int) -> None:
        """Set the count of a slot, which was found by reading its rows."""
        self._keys[slot], self._bytes[slot] = keys, size

    def forget(self, slots: Slots) -> None:
        for slot in each_of(slots):
            self._keys[slot] = self._bytes[slot] = 0

    def keys_in(self, slots: Slots) -> int:
        return sum(chosen(self._keys, slots))

    def with_rows(self, slots: Slots) -> list[Slot]:
        """Those of these slots that have rows, in their order."""
        return [slot for slot in each_of(slots) if self._keys[slot] or self._bytes[slot]]

    def by_slot(self) -> dict[Slot, tuple[int, int]]:
        """Live keys and bytes of each slot that has any."""
        pairs = enumerate(zip(self._keys, self._bytes, strict=True))
        return {slot: pair for slot, pair in pairs if any(pair)}
