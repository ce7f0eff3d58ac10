"""How far full exchanges have come: rows that are as whole as a clock which is not ours yet.

A full exchange brings rows as their holder has them, without the past that its clock says; the
clock comes with the last page (protocol D5).  Until then a row that it has brought, or has shown to
be absent, is whole by the snapshot of that exchange, though the clock of its slot does not say so:
that holds after a crash, and when the exchange is broken off and begins again with another holder.
So the snapshot is kept here and on the disk, with the bounds of the rows it speaks of, until the
clock covers it.  (docs/decisions/0024.)
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from node.core.clock import Clock
from node.core.effects import Record
from node.core.parts import Slots, from_bytes, to_bytes
from node.core.siblings import Item, Past, strip
from node.core.sweep import Rows
from node.core.walk import row_of

ENCODER = msgspec.msgpack.Encoder()
SAVED = msgspec.msgpack.Decoder(list[tuple[bytes, Past, str]])
NOTHING = Past()


class Reach(NamedTuple):
    """Of these slots all rows up to this one have in them, or have replaced, what a past says."""

    slots: Slots
    past: Past
    upto: str

    def has(self, row: str) -> bool:
        return row <= self.upto and bool(self.slots >> int(row[:3], 16) & 1)


class Reached:
    """What exchanges have reached, under way or broken off; false when there is nothing."""

    def __init__(self, rows: Rows, outbox: list[Record]) -> None:
        self._outbox = outbox
        saved = rows.read("meta", "reached")
        known = SAVED.decode(saved) if saved else []
        self._reaches = [Reach(from_bytes(slots), past, upto) for slots, past, upto in known]

    def __bool__(self) -> bool:
        return bool(self._reaches)

    def past_of(self, row: str) -> Past:
        """What this row has in it or has replaced, beside what the clock of its slot says."""
        past = NOTHING
        for reach in self._reaches:
            if reach.has(row):
                past = past.with_all(reach.past)
        return past

    def fill(self, key: str, item: Item) -> Item:
        """The item with that in its past."""
        if not self._reaches:
            return item
        return Item(item.versions, item.past.with_all(self.past_of(row_of(key))))

    def strip(self, key: str, item: Item) -> Item:
        """The item without that."""
        if not self._reaches or not item.past:
            return item
        past = self.past_of(row_of(key))
        return strip(item, Clock(past.base, {}, past.floor))

    def goes_beyond(self, slots: Slots, row: str) -> bool:
        """Whether anything is said of rows of these slots behind this one."""
        return any(reach.slots & slots and reach.upto > row for reach in self._reaches)

    def add(self, slots: Slots, snapshot: Clock, upto: str) -> None:
        """An exchange about this snapshot has come this far."""
        reach = Reach(slots, Past(snapshot.base, set(), snapshot.floor), upto)
        same = [r for r in self._reaches if (r.slots, r.past) == (reach.slots, reach.past)]
        if any(r.upto >= upto for r in same):
            return
        self._set([*(r for r in self._reaches if r not in same), reach])

    def forget(self, slots: Slots) -> None:
        """The rows of these slots are not kept any more."""
        if any(reach.slots & slots for reach in self._reaches):
            left = [reach._replace(slots=reach.slots & ~slots) for reach in self._reaches]
            self._set([reach for reach in left if reach.slots])

    def let_go(self, is_covered: Callable[[Slots, Past], bool]) -> None:
        """Of snapshots that the clocks of their slots cover nothing need be said."""
        left = [r for r in self._reaches if not is_covered(r.slots, r.past)]
        if len(left) < len(self._reaches):
            self._set(left)

    def _set(self, reaches: list[Reach]) -> None:
        self._reaches = reaches
        saved = [(to_bytes(slots), past, upto) for slots, past, upto in reaches]
        value = ENCODER.encode(saved) if saved else None
        self._outbox.append(Record("meta", "reached", value))
