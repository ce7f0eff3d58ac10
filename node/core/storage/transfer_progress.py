"""How far full exchanges have come: the rows that have all of a snapshot which is not joined yet.

A full exchange brings rows as their holder has them, without the past that its clock says; this
node's clock gets that with the last page (protocol D5).  Until then each row that has come, or that
the holder does not have, is complete for the snapshot, though the clock of its slot does not say
so.  This stays true after a crash, and if the exchange begins again with another holder.  So the
node keeps the snapshot, with the bounds of these rows, here and on the disk until its clock covers
it.

Example: n3 pulls from n2 by the snapshot {a: 2}; a1 wrote x, and a2 wrote y, whose row is behind.

    page 1 brings x     n3's clock stays {}; here: "rows up to x have {a: 2}"
    a late old write    `fill` gives x the past {a: 2}: a write that x has replaced stays away
    n2 stops            n3 begins again with n1; what is said of x stays true
    the last page       {a: 2} joins n3's clock, which covers this: `let_go` drops it
(docs/decisions/0024.)
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from node.core.model.actors import Actor, incarnation_of
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, strip
from node.core.model.keys import row_of
from node.core.model.slots import Slots, from_bytes, to_bytes
from node.core.protocol.step import Step
from node.core.storage.row_scan import ReadsAndScans

ENCODER = msgspec.msgpack.Encoder()
SAVED = msgspec.msgpack.Decoder(list[tuple[bytes, Past, str]])
NOTHING = Past()


class Transfer(NamedTuple):
    """All rows of these slots up to `upto` have in them, or have replaced, what a past says.  Of
    its loose dots each row tells itself, as it does of a clock's."""

    slots: Slots
    past: Past
    upto: str

    def has(self, row: str) -> bool:
        return row <= self.upto and bool(self.slots >> int(row[:3], 16) & 1)


class TransferProgress:
    """What exchanges have reached, under way or broken off; false if there is none."""

    def __init__(self, rows: ReadsAndScans, step: Step) -> None:
        self._step = step
        saved = rows.read("meta", "reached")
        known = SAVED.decode(saved) if saved else []
        self._transfers = [Transfer(from_bytes(slots), past, upto) for slots, past, upto in known]

    def __bool__(self) -> bool:
        return bool(self._transfers)

    def past_of(self, row: str) -> Past:
        """The dots that this row has in it or has replaced, beside those of its slot's clock."""
        past = NOTHING
        for reach in self._transfers:
            if reach.has(row):
                past = past.with_all(Past(reach.past.base, set(), reach.past.oldest_view))
        return past

    def fill(self, key: str, item: Item) -> Item:
        """The item, with `past_of` its row added to its past."""
        if not self._transfers:
            return item
        past = item.past.with_all(self.past_of(row_of(key)))
        return Item(item.versions, past)

    def strip(self, key: str, item: Item) -> Item:
        """The item, without `past_of` its row in its past."""
        if not self._transfers or not item.past:
            return item
        past = self.past_of(row_of(key))
        return strip(item, DotClock(past.base, {}, past.oldest_view))

    def said_of(self, incarnation: Actor) -> list[Transfer]:
        """The transfers that name dots of this incarnation or run, with these dots alone."""
        found = []
        for reach in self._transfers:
            base = {
                a: n for a, n in reach.past.base.items() if incarnation in (a, incarnation_of(a))
            }
            loose = {
                dot for dot in reach.past.loose if incarnation in (dot[0], incarnation_of(dot[0]))
            }
            if base or loose:
                found.append(reach._replace(past=Past(base, loose)))
        return found

    def within(self, slots: Slots) -> list[Transfer]:
        """The transfers of these slots, of these slots alone."""
        cut = [reach._replace(slots=reach.slots & slots) for reach in self._transfers]
        return [reach for reach in cut if reach.slots]

    def goes_beyond(self, slots: Slots, row: str) -> bool:
        """Whether a transfer of these slots has come further than this row."""
        return any(reach.slots & slots and reach.upto > row for reach in self._transfers)

    def add(self, slots: Slots, snapshot: DotClock, upto: str) -> None:
        """Note that an exchange about this snapshot has come this far."""
        loose = {(actor, n) for actor, numbers in snapshot.loose.items() for n in numbers}
        reach = Transfer(slots, Past(snapshot.base, loose, snapshot.oldest_view), upto)
        same = [r for r in self._transfers if (r.slots, r.past) == (reach.slots, reach.past)]
        if any(r.upto >= upto for r in same):
            return
        self._set([*(r for r in self._transfers if r not in same), reach])

    def forget(self, slots: Slots) -> None:
        """Drop what is known of these slots, whose rows go."""
        if any(reach.slots & slots for reach in self._transfers):
            left = [reach._replace(slots=reach.slots & ~slots) for reach in self._transfers]
            self._set([reach for reach in left if reach.slots])

    def let_go(self, is_covered: Callable[[Slots, Past], bool]) -> None:
        """Drop the snapshots that the clocks of their slots cover."""
        left = [r for r in self._transfers if not is_covered(r.slots, r.past)]
        if len(left) < len(self._transfers):
            self._set(left)

    def _set(self, reaches: list[Transfer]) -> None:
        self._transfers = reaches
        saved = [(to_bytes(slots), past, upto) for slots, past, upto in reaches]
        value = ENCODER.encode(saved) if saved else None
        self._step.record("meta", "reached", value)
