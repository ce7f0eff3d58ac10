"""The content hash of what is held: equal at two replicas of a shard exactly when their keys have
the same versions, delete marks among them.

A version has a hash of its key and its dot, and a slot the sum of its versions' hashes, modulo
2^128.  So the order in which versions come does not matter, and a change costs what has changed.
The sums leave out what the clock knows beside the versions, and slots that other nodes own by now.
They are not stored: after a start the node counts its rows, a few at a time, from the first to the
last.  A change behind the last counted row waits until its row is counted.  The node adds changes
up when a sum is asked for or many have gathered; it never hashes a version replaced before that.
(Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing", 1997.  A client that chose
dots could make two sums equal, but the store names them.)
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import islice

import msgspec

from node.core.model.dots import Dot
from node.core.model.item import Item
from node.core.model.keys import SLOTS, Slot
from node.core.model.slots import ALL, Slots, chosen, each_of
from node.core.protocol.effects import DAMAGED
from node.core.protocol.step import Step
from node.core.storage.row_scan import Scans, rows_within

HASH_BYTES = 16
MODULUS = 1 << 8 * HASH_BYTES
COUNTED_AT_ONCE = 500  # rows; a few milliseconds
GATHERED_MAX = 4096  # changes; of one more, some of the oldest are added up
ADDED_UP_AT_ONCE = 64
SEED = blake2b(digest_size=HASH_BYTES, person=b"coterie content")


class _Dots(msgspec.Struct, array_like=True):
    """An item of which only the dots are read."""

    versions: dict[Dot, msgspec.Raw]


_skim = msgspec.msgpack.Decoder(_Dots).decode


def version_hash_of(row: str, dot: Dot) -> int:
    """The hash of one version of a key; no two versions have the same text."""
    hashed = SEED.copy()
    hashed.update(f"{dot[1]}/{dot[0]}/{row}".encode())
    return int.from_bytes(hashed.digest(), "big")


def content_of(row: str, blob: bytes) -> int:
    """The sum of the hashes of a row's versions."""
    return sum(version_hash_of(row, dot) for dot in _skim(blob).versions)


class ContentHashes:
    """The sums of all slots."""

    def __init__(self, rows: Scans, step: Step, is_empty: bool) -> None:
        self._rows, self._step = rows, step
        self._sums = [0] * SLOTS
        self._owned: Slots = 0
        self._totals: dict[Slots, int] = {}  # of sets that were asked for since the last change
        self._gathered: dict[Dot, tuple[str, int]] = {}  # its row, and 1: has come, -1: has gone
        self._upto = None if is_empty else ""  # rows up to this one are counted; None: all are

    @property
    def is_whole(self) -> bool:
        """Whether all rows have been counted."""
        return self._upto is None

    @property
    def content(self) -> str | None:
        """The hash of what this node owns, in hexadecimal; None while rows are being counted."""
        return self.of(self._owned).hex() or None

    def of(self, slots: Slots) -> bytes:
        """The hash of what is held of these slots; nothing while rows are being counted."""
        if not self.is_whole:
            return b""
        self._add_up()
        total = self._totals.get(slots)
        if total is None:
            total = self._totals[slots] = sum(chosen(self._sums, slots))
        return (total % MODULUS).to_bytes(HASH_BYTES, "big")

    def own(self, slots: Slots) -> None:
        """Count these slots as this node's in `content` from now on."""
        self._owned = slots

    def forget(self, slots: Slots) -> None:
        """Count no row of these slots any longer."""
        self._add_up()
        for slot in each_of(slots):
            self._add(slot, -self._sums[slot])

    def change(self, row: str, before: Item, after: Item) -> None:
        """Count that a key's row is written or removed."""
        if self._upto is not None and row > self._upto:
            return
        old, new, gathered = before.versions, after.versions, self._gathered
        for dot in new:
            if dot not in old and gathered.pop(dot, None) is None:
                gathered[dot] = row, 1
        for dot in old:
            if dot not in new and gathered.pop(dot, None) is None:
                gathered[dot] = row, -1
        if len(gathered) > GATHERED_MAX:
            self._add_up(ADDED_UP_AT_ONCE)

    def adopt(self, row: str, blob: bytes) -> None:
        """Count that a row is written as it lies, of a key of which nothing was known."""
        if self._upto is None or row <= self._upto:
            self._count(row, _skim(blob).versions)

    def go_on(self, swept: Slots, limit: int = COUNTED_AT_ONCE) -> list[str]:
        """Count some more rows, but none of forgotten slots, and none in a step that has written
        items: no read shows these yet.  Returns the damaged rows; a row counts when repaired."""
        if self._upto is None or self._step.has_items():
            return []
        found = rows_within(self._rows, ALL & ~swept, self._upto or None, limit)
        for row, blob in found:
            if blob != DAMAGED:
                self._count(row, _skim(blob).versions)
        self._upto = found[-1][0] if len(found) == limit else None
        return [row for row, blob in found if blob == DAMAGED]

    def count_anew(self, slot: Slot, rows: Mapping[str, bytes]) -> None:
        """Set the sum of a slot by all its rows, unless the first count is still going on."""
        if self._upto is None:
            self._add_up()
            total = sum(content_of(row, blob) for row, blob in rows.items())
            self._add(slot, total - self._sums[slot])

    def sum_of(self, slot: Slot) -> int:
        """The sum of a slot, as far as its rows have been counted."""
        self._add_up()
        return self._sums[slot]

    def counted_slots(self, first: Slot, before: Slot) -> list[Slot]:
        """The slots between these bounds whose sum is not 0."""
        self._add_up()
        sums = self._sums[first:before]
        return [slot for slot, total in enumerate(sums, first) if total] if any(sums) else []

    def _add_up(self, limit: int | None = None) -> None:
        for dot in list(islice(self._gathered, limit)):
            row, sign = self._gathered.pop(dot)
            self._add(int(row[:3], 16), sign * version_hash_of(row, dot))

    def _count(self, row: str, dots: Iterable[Dot]) -> None:
        total = 0
        for dot in dots:
            total += version_hash_of(row, dot)
        self._add(int(row[:3], 16), total)

    def _add(self, slot: int, change: int) -> None:
        self._sums[slot] += change
        self._totals.clear()
