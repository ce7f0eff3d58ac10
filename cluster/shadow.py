"""What one disk durably has, read from its rows alone, slot by slot.

The witness keeps one beside every disk, so that a core that fools itself does not fool the witness.
A slot is held while a saved part names it; when none does any more its rows are on their way out
and count for nothing, even if the slot is held again later.  (protocol D10 R4.)
"""

from collections.abc import Iterable

import msgspec

from node.core.clock import Clock, Dot
from node.core.effects import Record
from node.core.parts import Saved, Slots, from_bytes
from node.core.siblings import Item
from node.core.view import Actor, Slot
from node.core.walk import key_of, slot_of_key

ITEMS = msgspec.msgpack.Decoder(Item)
PARTS = msgspec.msgpack.Decoder(list[Saved])
NOTHING = Item()


class Shadow:
    """One disk: its items, every dot that its items have held, its clocks by slot."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.held: dict[Dot, str] = {}  # what reached an item of a slot that is still held
        self.ever: set[Dot] = set()  # what reached an item of any slot
        self.parts: list[tuple[Slots, Clock]] = []
        self.slots: Slots = 0

    def follow(self, records: Iterable[Record]) -> tuple[set[Dot], dict[Dot, str]]:
        """Take over rows that became durable; gives the dots of the delete marks in them, and the
        dots (with their keys) that went with the slots forgotten in this step."""
        marks: set[Dot] = set()
        gone: dict[Dot, str] = {}
        for record in records:
            table, row, value = record.table, record.key, record.value
            if table == "item":
                marks |= self._follow_item(key_of(row), value)
            elif table == "log" and value:
                actor, _, n = row.rpartition("/")
                self._note((actor, int(n, 16)), value.decode())
            elif row == "parts" and value:
                gone.update(self._follow_parts(PARTS.decode(value)))
        return marks, gone

    def has(self, key: str, dot: Dot) -> bool:
        """Whether the write is here: held, now or once, or replaced by what is."""
        if self.held.get(dot) == key:
            return True
        clock = self.clock_of(slot_of_key(key))
        if clock is None:
            return False
        return clock.has(dot) or self.items.get(key, NOTHING).past.has(dot)

    def clock_of(self, slot: Slot) -> Clock | None:
        """The clock of a slot as it was saved; None if the slot is not held."""
        return next((clock for slots, clock in self.parts if slots >> slot & 1), None)

    def pasts(self) -> list[str]:
        """The keys whose items keep a past that no clock says."""
        return [key for key, item in self.items.items() if item.past]

    def actors(self) -> set[Actor]:
        """Whom a clock has an entry of."""
        return {actor for _, clock in self.parts for actor in (*clock.base, *clock.loose)}

    def vouches_for(self, dot: Dot) -> bool:
        """Whether the dot may leave from here: it is, or has been, on this disk."""
        return dot in self.ever or any(clock.has(dot) for _, clock in self.parts)

    def _follow_item(self, key: str, value: bytes | None) -> set[Dot]:
        self.items[key] = item = ITEMS.decode(value) if value else NOTHING
        for dot in item.versions:
            self._note(dot, key)
        return {dot for dot, version in item.versions.items() if version.value is None}

    def _note(self, dot: Dot, key: str) -> None:
        self.held[dot] = key
        self.ever.add(dot)

    def _follow_parts(self, saved: list[Saved]) -> dict[Dot, str]:
        """The parts as they are now; gives what the slots that went had held."""
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
