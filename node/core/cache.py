"""A bounded cache of decoded items: memory is set by a setting, not by the data."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from node.core.clock import Dot
from node.core.siblings import Item

ITEM_OVERHEAD_BYTES = 700  # a decoded item of one short version, measured, beside its encoded size

# Told of each change of an item: its key, how it was, what came, and the dots known by that.
OnChange = Callable[[str, Item, Item, Iterable[Dot]], None]


class ItemCache:
    """Least recently used items go first, but only when they may: what a step has written is in no
    row before the step is over.  Sizes are estimates from the encoded length."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._items: OrderedDict[str, tuple[Item, int]] = OrderedDict()

    def get(self, key: str) -> Item | None:
        entry = self._items.get(key)
        if entry is None:
            return None
        self._items.move_to_end(key)
        return entry[0]

    def bytes_of(self, key: str) -> int:
        """The encoded size of an item that is here."""
        return self._items[key][1]

    def put(self, key: str, item: Item, encoded_bytes: int) -> None:
        before = self._items.get(key)
        if before is None:
            self._bytes += _size(key, encoded_bytes)
        else:
            self._bytes += encoded_bytes - before[1]
            self._items.move_to_end(key)
        self._items[key] = item, encoded_bytes

    def trim(self) -> None:
        """Let go of what is over the bound."""
        while self._bytes > self._bytes_max and len(self._items) > 1:
            key, (_, encoded_bytes) = self._items.popitem(last=False)
            self._bytes -= _size(key, encoded_bytes)

    def drop(self, key: str) -> None:
        if key in self._items:
            self._bytes -= _size(key, self._items.pop(key)[1])


def _size(key: str, encoded_bytes: int) -> int:
    return encoded_bytes + ITEM_OVERHEAD_BYTES + 2 * len(key)
