"""A bounded cache of decoded items: a setting bounds its memory, whatever the data is.

Where values are small, an item takes ten times its encoded size in memory, since objects and dicts
have a fixed cost.  So each part of an item has a weight, which was measured on 64-bit CPython 3.11
to 3.13.  A test compares the sum with the allocator's, for items of all kinds.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version

# In bytes; each with its share of the dicts that hold it.
ITEM_BYTES = 620  # without versions, with its place in the cache; the characters of its key beside
FIRST_VERSION_BYTES = 140
VERSION_BYTES = 715  # without a value
LABELS_BYTES = 390  # of one version; their texts beside
TABLE_BYTES = 170  # a dict or a set that is not empty
NAMING_BYTES = 500  # the name of a write with an identity
ENTRY_BYTES = 50  # an actor with a number
DOT_BYTES = 205  # an actor and a number that are a pair, with what it is the key of

# Told of each change of an item: its key, how it was, what came, and the dots known by that.
OnChange = Callable[[str, Item, Item, Iterable[Dot]], None]


def weight_of(key: str, item: Item) -> int:
    """About how many bytes an item takes in memory, its key and its place in the cache included."""
    weight, past = ITEM_BYTES + len(key), item.past
    if past.base or past.loose:
        weight += _weight_of_past(past)
    if past.namings:
        weight += TABLE_BYTES + NAMING_BYTES * len(past.namings)
    if item.versions:
        weight += FIRST_VERSION_BYTES
        for version in item.versions.values():
            weight += VERSION_BYTES + len(version.value or b"")
            if version.labels is not None:
                weight += LABELS_BYTES + version.labels.size
            if version.deps.exact or version.deps.floor or version.clock:
                weight += _weight_of_causes(version)
    return weight


def _weight_of_past(past: Past) -> int:
    weight = 0
    if past.base:
        weight += TABLE_BYTES + ENTRY_BYTES * len(past.base)
    if past.loose:
        weight += TABLE_BYTES + DOT_BYTES * len(past.loose)
    return weight


def _weight_of_causes(version: Version) -> int:
    deps, weight = version.deps, 0
    if deps.exact:
        weight += TABLE_BYTES + DOT_BYTES * len(deps.exact)
    if deps.floor:
        weight += TABLE_BYTES + ENTRY_BYTES * len(deps.floor) + len(deps.keys)
    if version.clock:
        weight += TABLE_BYTES + ENTRY_BYTES * len(version.clock)
    return weight


class ItemCache:
    """Keeps items up to a sum of weights; the least recently used go first.  They go in `trim`
    alone, after a step: before its end, what the step has written is in no row."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._items: OrderedDict[str, tuple[Item, int, int]] = OrderedDict()

    def get(self, key: str) -> Item | None:
        entry = self._items.get(key)
        if entry is None:
            return None
        self._items.move_to_end(key)
        return entry[0]

    def bytes_of(self, key: str) -> int:
        """The encoded size of an item that is in the cache."""
        return self._items[key][1]

    @property
    def weight(self) -> int:
        """About how many bytes the cache takes."""
        return self._bytes

    def put(self, key: str, item: Item, encoded_bytes: int) -> None:
        before, weight = self._items.get(key), weight_of(key, item)
        self._bytes += weight
        if before is not None:
            self._bytes -= before[2]
            self._items.move_to_end(key)
        self._items[key] = item, encoded_bytes, weight

    def trim(self) -> None:
        """Drop items until the bound is kept."""
        while self._bytes > self._bytes_max and len(self._items) > 1:
            self._bytes -= self._items.popitem(last=False)[1][2]

    def drop(self, key: str) -> None:
        if key in self._items:
            self._bytes -= self._items.pop(key)[2]
