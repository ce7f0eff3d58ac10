"""The content hash of what is held: equal at two replicas of a shard exactly when their keys have
the same versions, delete marks among them.

A version has a digest of its key and its dot, a slot the sum of those of its versions, modulo
2^128: so it does not matter in which order they came, and a change costs what has changed.  What
the clock knows beside the versions is not content, nor is a slot that belongs to others by now.
Sums are not stored: after a start the rows are counted, a few at a time, from the first to the
last; a change behind the place that has been reached will be counted when its row is.  Changes are
added up when a sum is asked for, or when many have gathered: a version that was replaced by then
was never hashed.  (Bellare and
Micciancio, «A New Paradigm for Collision-Free Hashing», 1997; who could choose dots freely could
make two sums equal, but dots are named by the store.)
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice

import msgspec

from node.core.clock import Dot
from node.core.effects import DAMAGED, Record
from node.core.parts import ALL, Slots, chosen, each_of
from node.core.siblings import Item
from node.core.view import SLOTS, Slot
from node.core.walk import Scans, rows_within

DIGEST_BYTES = 16
MODULUS = 1 << 8 * DIGEST_BYTES
COUNTED_AT_ONCE = 500  # rows; a few milliseconds
GATHERED_MAX = 4096  # changes; of one more, some of the oldest are added up
ADDED_UP_AT_ONCE = 64
SEED = blake2b(digest_size=DIGEST_BYTES, person=b"coterie content")
DOTS = msgspec.msgpack.Decoder(tuple[dict[Dot, msgspec.Raw], msgspec.Raw])  # an item, skimmed


def digest_of(row: str, dot: Dot) -> int:
    """Of one version of a key; no two versions have the same text."""
    hashed = SEED.copy()
    hashed.update(f"{dot[1]}/{dot[0]}/{row}".encode())
    return int.from_bytes(hashed.digest(), "big")


def content_of(row: str, blob: bytes) -> int:
    """Of all versions in a row."""
    return sum(digest_of(row, dot) for dot in DOTS.decode(blob)[0])


class Digests:
    """The sums of all slots."""

    def __init__(self, rows: Scans, outbox: Sequence[Record], is_empty: bool) -> None:
        self._rows, self._outbox = rows, outbox
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
        return (total % MODULUS).to_bytes(DIGEST_BYTES, "big")

    def own(self, slots: Slots) -> None:
        """From now on these slots are ours."""
        self._owned = slots

    def forget(self, slots: Slots) -> None:
        """Whatever is left of these slots counts for nothing any more."""
        self._add_up()
        for slot in each_of(slots):
            self._add(slot, -self._sums[slot])

    def change(self, row: str, before: Item, after: Item) -> None:
        """The row of a key is written, or goes."""
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
        """The row of a key of which nothing was known is written as it lies."""
        if self._upto is None or row <= self._upto:
            self._count(row, DOTS.decode(blob)[0])

    def go_on(self, swept: Slots, limit: int = COUNTED_AT_ONCE) -> list[str]:
        """Count some more rows, none of slots that are being swept; not in a step that has written
        something, which is in no row yet.  Gives those that are damaged: they count when they have
        been made whole."""
        if self._upto is None or self._outbox:
            return []
        found = rows_within(self._rows, ALL & ~swept, self._upto or None, limit)
        for row, blob in found:
            if blob != DAMAGED:
                self._count(row, DOTS.decode(blob)[0])
        self._upto = found[-1][0] if len(found) == limit else None
        return [row for row, blob in found if blob == DAMAGED]

    def count_anew(self, slot: Slot, rows: Mapping[str, bytes]) -> None:
        """These are all rows of a slot; of those behind the place that has been reached nothing is
        counted yet."""
        if self._upto is None:
            self._add_up()
            total = sum(content_of(row, blob) for row, blob in rows.items())
            self._add(slot, total - self._sums[slot])

    def sum_of(self, slot: Slot) -> int:
        """What has been counted of a slot."""
        self._add_up()
        return self._sums[slot]

    def counted_slots(self, first: Slot, before: Slot) -> list[Slot]:
        """Those of which anything has been counted, between these bounds."""
        self._add_up()
        sums = self._sums[first:before]
        return [slot for slot, total in enumerate(sums, first) if total] if any(sums) else []

    def _add_up(self, limit: int | None = None) -> None:
        for dot in list(islice(self._gathered, limit)):
            row, sign = self._gathered.pop(dot)
            self._add(int(row[:3], 16), sign * digest_of(row, dot))

    def _count(self, row: str, dots: Iterable[Dot]) -> None:
        total = 0
        for dot in dots:
            total += digest_of(row, dot)
        self._add(int(row[:3], 16), total)

    def _add(self, slot: int, change: int) -> None:
        self._sums[slot] += change
        self._totals.clear()
