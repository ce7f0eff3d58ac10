"""The keys whose rows are to be looked at again: something of them becomes needless with time."""

from collections.abc import Iterator

from node.core.model.item import Item
from node.core.model.keys import slot_of_key
from node.core.model.slots import Slots


class OpenKeys:
    """`unsettled`: with a past beyond their slot's clock, or with delete marks.
    `remembered`: of which only the names of replaced writes are left for some time, and versions
    that these names hide; like a row with delete marks, such a row may count for no key."""

    def __init__(self, keys: Iterator[str]) -> None:
        self.unsettled = dict.fromkeys(keys)
        self.remembered: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.unsettled or key in self.remembered

    def note(self, key: str, item: Item, has_marks: bool) -> bool:
        """Note how a key's row is now; return whether it is open."""
        is_unsettled = bool(item.past) or (has_marks and item.has_marks())
        if is_unsettled:
            self.unsettled[key] = None
        elif key in self.unsettled:
            del self.unsettled[key]
        if item.is_only_remembered():
            self.remembered[key] = None
        elif key in self.remembered:
            del self.remembered[key]
        return key in self

    def drop(self, key: str) -> None:
        """Forget a key, if it is here."""
        self.unsettled.pop(key, None)
        self.remembered.pop(key, None)

    def forget(self, slots: Slots) -> None:
        """Forget the keys of these slots."""
        for keys in (self.unsettled, self.remembered):
            for key in [key for key in keys if slots >> slot_of_key(key) & 1]:
                del keys[key]

    def some(self, limit: int) -> list[str]:
        """At most so many keys of each kind; the next call begins behind them."""
        found = []
        for keys in (self.unsettled, self.remembered):
            for key in list(keys)[:limit]:
                keys[key] = keys.pop(key)
                found.append(key)
        return found
