"""What one disk durably has, read from its rows alone, slot by slot.

The monitor keeps one shadow for each disk, so that a core with a wrong belief does not mislead the
witness.  A slot is held while a saved part names it.  When none does any more, its rows are about
to be removed and do not count, even if the node holds the slot again later.  (protocol D10 R4.)
"""

from collections.abc import Iterable

import msgspec

from node.core.model.actors import Actor
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past
from node.core.model.keys import Slot, key_of, slot_of_key
from node.core.model.slots import Slots, from_bytes
from node.core.model.view import FIRST, ViewId
from node.core.protocol.effects import Record
from node.core.storage.hints import SAVED as HINTS, SavedHint
from node.core.storage.slot_groups import SavedPart

ITEMS = msgspec.msgpack.Decoder(Item)
PARTS = msgspec.msgpack.Decoder(list[SavedPart])
NOTHING = Item()


class Shadow:
    """One disk: its items, every dot that its items have held, its clocks by slot."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.held: dict[Dot, str] = {}  # what has reached an item of a slot that is still held
        self.ever: set[Dot] = set()  # what has ever reached an item of any slot
        self.values: dict[Dot, bytes] = {}  # of all versions that it has ever had
        self.parts: list[tuple[Slots, DotClock]] = []
        self.slots: Slots = 0
        self.views: set[ViewId] = set()  # as they were saved last; the monitor sets them
        self.oldest_view = FIRST  # likewise
        self.hints: dict[str, SavedHint] = {}  # what the disk keeps for owners of other shards
        self.hinted: set[tuple[str, Dot]] = set()  # the targets and writes that it has ever kept
        self.dropped: list[SavedHint] = []  # with the records that it followed last

    def follow(self, records: Iterable[Record]) -> tuple[set[Dot], dict[Dot, str]]:
        """Follow rows that became durable.

        Returns the dots of the delete marks in them, and the dots (with their keys) that went with
        the slots that this step forgot.
        """
        marks: set[Dot] = set()
        gone: dict[Dot, str] = {}
        self.dropped = []
        for record in records:
            table, row, value = record.table, record.key, record.value
            if table == "item":
                marks |= self._follow_item(key_of(row), value)
            elif table == "log" and value:
                actor, _, n = row.rpartition("/")
                self._note((actor, int(n, 16)), value.decode())
            elif table == "hint":
                self._follow_hint(row, value)
            elif row == "parts" and value:
                gone.update(self._follow_parts(PARTS.decode(value)))
        return marks, gone

    def has(self, key: str, dot: Dot) -> bool:
        """Whether the write is here: held now, held once, or replaced by a held one, in a past or
        by its name."""
        if self.held.get(dot) == key:
            return True
        clock = self.clock_of(slot_of_key(key))
        if clock is None:
            return False
        past = self.items.get(key, NOTHING).past
        return clock.has(dot) or past.has(dot) or _names(past, dot)

    def clock_of(self, slot: Slot) -> DotClock | None:
        """Return the clock of a slot as it was saved; None if the slot is not held."""
        return next((clock for slots, clock in self.parts if slots >> slot & 1), None)

    def pasts(self) -> list[str]:
        """Return the keys whose items keep dependencies that no clock covers."""
        return [key for key, item in self.items.items() if item.past]

    def actors(self) -> set[Actor]:
        """Return the actors of which a clock has an entry."""
        return {actor for _, clock in self.parts for actor in (*clock.base, *clock.loose)}

    def vouches_for(self, dot: Dot) -> bool:
        """Whether the node may send the dot: it is, or has been, on this disk, or an item there
        says that it was replaced."""
        if dot in self.ever or any(clock.has(dot) for _, clock in self.parts):
            return True
        return any(_names(item.past, dot) for item in self.items.values())

    def _follow_item(self, key: str, value: bytes | None) -> set[Dot]:
        self.items[key] = item = ITEMS.decode(value) if value else NOTHING
        for dot, version in item.versions.items():
            self._note(dot, key)
            if version.value is not None:
                self.values[dot] = version.value
        versions = item.versions.items()
        return {dot for dot, version in versions if version.value is None and not version.expires}

    def _follow_hint(self, row: str, value: bytes | None) -> None:
        if value is None:
            self.dropped.append(self.hints.pop(row))
            return
        self.hints[row] = hint = HINTS.decode(value)
        self.hinted.add((hint.target, hint.dot))

    def _note(self, dot: Dot, key: str) -> None:
        self.held[dot] = key
        self.ever.add(dot)

    def _follow_parts(self, saved: list[SavedPart]) -> dict[Dot, str]:
        """Take over the parts as they are now; return what the slots that went had held."""
        before, self.slots = self.slots, 0
        self.parts = [(from_bytes(part.slots), part.clock) for part in saved]
        for slots, _ in self.parts:
            self.slots |= slots
        lost = before & ~self.slots
        if not lost:
            return {}
        gone = {dot: key for dot, key in self.held.items() if lost >> slot_of_key(key) & 1}
        for dot in gone:
            del self.held[dot]
        for key in [key for key in self.items if lost >> slot_of_key(key) & 1]:
            del self.items[key]
        return gone


def _names(past: Past, dot: Dot) -> bool:
    """Whether this is the first name of a write that is known by its identity."""
    return any(naming.dot == dot for naming in past.namings.values())
