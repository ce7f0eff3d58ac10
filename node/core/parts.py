"""What this node holds: a store per slot, shared by all slots with the same past.

A store knows its clock (which dots of its slots are in its items or obsolete) and the views it is
*whole* for: every write that all owners of such a view held is here.  That says nothing about who
owns the slots now, so a view change touches no store: it only decides which are *owned*, the others
being held until all owners have them.  4096 slots usually are one `Part`; views split parts, and
parts that have become equal are one again.  (protocol D10.)
"""

import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import compress

import msgspec

from node.core.clock import Clock, Dot
from node.core.view import FIRST, SLOTS, Slot, ViewId, view_of

SLOTS_BYTES = SLOTS // 8
ALL = (1 << SLOTS) - 1
EVERY = tuple(range(SLOTS))
SETS_KEPT = 64  # the same few sets come and go with every comparison
BITS = bytes.maketrans(b"01", b"\0\1")

Slots = int  # a set of slots: bit n is slot n


@lru_cache(SETS_KEPT)
def to_bytes(slots: Slots) -> bytes:
    """A set as it travels: compressed, since slots go in runs."""
    return zlib.compress(slots.to_bytes(SLOTS_BYTES, "big"), 1)


@lru_cache(SETS_KEPT)
def from_bytes(packed: bytes) -> Slots:
    return int.from_bytes(zlib.decompress(packed), "big")


def each_of(slots: Slots) -> list[Slot]:
    """The slots of a set, in their order."""
    return list(chosen(EVERY, slots))


def chosen(values: Iterable[int], slots: Slots) -> Iterator[int]:
    """Of the values of all slots, in the slots' order, those of a set."""
    # Far faster than 4096 shifts of a number of 512 bytes.
    digits = f"{slots:b}".encode().translate(BITS)
    return compress(values, reversed(digits))


class Saved(msgspec.Struct, array_like=True):
    """A part on disk."""

    slots: bytes
    clock: Clock
    whole: list[ViewId]


class Part:
    """Slots with one clock; `owned` by the current view, and `answers` when it is whole for that
    view and for all that led to it.  `only_grew`: it began empty in this run, and since then rows
    have come and none has gone, so a row that is not here never was."""

    __slots__ = ("answers", "clock", "only_grew", "owned", "slots", "whole")

    def __init__(self, slots: Slots, clock: Clock, whole: Iterable[ViewId] = ()) -> None:
        self.slots, self.clock, self.whole = slots, clock, set(whole)
        self.owned = self.answers = self.only_grew = False

    def is_like(self, other: "Part") -> bool:
        return (self.owned, self.whole, self.clock) == (other.owned, other.whole, other.clock)


class Parts:
    """All parts of a node: no slot is in two of them."""

    def __init__(self, saved: Iterable[Saved] = (), view: ViewId = FIRST) -> None:
        self._parts = [Part(from_bytes(s.slots), s.clock, s.whole) for s in saved]
        self.view = view
        self.need: set[ViewId] = set()
        self.owned_slots: Slots = 0
        self.withheld: dict[Dot, str] = {}  # dots that are not shown yet, and whose keys they are
        self._at: list[Part | None] = [None] * SLOTS
        self._index()

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def at(self, slot: Slot) -> Part | None:
        """The part that holds this slot."""
        return self._at[slot]

    def owns(self, slot: Slot) -> bool:
        """Whether the slot is this node's in the current view."""
        part = self._at[slot]
        return part is not None and part.owned

    def told(self, clock: Clock) -> Clock:
        """A clock of ours as the others are told it, a copy: without what is withheld."""
        return clock.without(self.withheld) if self.withheld else clock.copy()

    def owned(self) -> list[Part]:
        return [part for part in self._parts if part.owned]

    def held(self) -> list[Part]:
        """The parts that belong to others by now."""
        return [part for part in self._parts if not part.owned]

    def saved(self) -> list[Saved]:
        return [Saved(to_bytes(p.slots), p.clock, sorted(p.whole)) for p in self._parts]

    # ---- dots
    def note(self, dot: Dot, slot: Slot) -> None:
        """A dot names one key, so it is vacuous, hence known, in every other owned slot (R2); that
        is said of dots of the current view only, for older ones concern others' slots as a rule."""
        its, is_ours = self._at[slot], view_of(dot[0]) == self.view
        for part in self._parts:
            if part is its or (is_ours and part.owned):
                part.clock.add(dot)

    def has_gone(self, slot: Slot) -> None:
        """Of some key in this slot dots are known, but no row is here."""
        part = self._at[slot]
        if part is not None:
            part.only_grew = False

    def only_grew(self, slots: Slots) -> bool:
        """Whether a row of these slots that is not here never was."""
        return all(part.only_grew for part in self._parts if part.slots & slots)

    def join(self, slots: Slots, clock: Clock, claims: Iterable[ViewId]) -> bool:
        """These slots have everything that clock says, and are whole for these views, too; whether
        that is new."""
        new, changed = set(claims), False
        for part in self._within(slots):
            changed = changed or part.clock.lacks(clock) or not new <= part.whole
            part.clock.join(clock)
            part.whole.update(new)
            part.only_grew = False
        self._settle()
        return changed

    def add(self, slots: Slots, dots: Iterable[Dot]) -> None:
        """Dots that concern no key of these slots."""
        noted = list(dots)
        for part in self._within(slots):
            part.only_grew = False
            for dot in noted:
                part.clock.add(dot)
        self._settle()

    # ---- views
    def adopt(self, view: ViewId, owned: Slots, need: set[ViewId], claim: ViewId | None) -> None:
        """From now on the node owns these slots: empty stores for those it did not hold, and
        nothing else is touched (R1).  `claim`: the view that it takes part in from its start."""
        self.view, self.need, self.owned_slots = view, need, owned
        self._cut(owned)
        gained = owned & ~self._all_slots()
        if gained:
            self._parts.append(Part(gained, Clock()))
            self._parts[-1].only_grew = True
        for part in self._parts:
            part.owned = bool(part.slots & owned)
            if part.owned and claim is not None:
                part.whole.add(claim)
        self._settle()

    def skip(self, slots: Slots, view: ViewId) -> None:
        """This node owns these slots in a view it never took part in: no write of that view was
        ever held by all its owners (D10, «skipped»)."""
        self._cut(slots)
        unheld = slots & ~self._all_slots()
        if unheld:
            self._parts.append(Part(unheld, Clock()))
        for part in self._parts:
            if part.slots & slots:
                part.whole.add(view)
        self._settle()

    def disclaim(self, view: ViewId) -> None:
        """What was taken for this view was another."""
        for part in self._parts:
            part.whole.discard(view)
        self._settle()

    def claim(self, view: ViewId) -> None:
        """All owned slots have whatever this view's owners ever held together."""
        for part in self.owned():
            part.whole.add(view)
        self._settle()

    def raise_floor(self, floor: ViewId, need: set[ViewId]) -> None:
        """Views below the floor are retired: every owned store that has arrived has all of them."""
        self.need = need
        for part in self._parts:
            part.whole = {view for view in part.whole if view >= floor}
            if part.owned and need <= part.whole:
                part.clock.raise_floor(floor)
                part.only_grew = False
        self._settle()

    def drop(self, slots: Slots) -> None:
        """Forget these slots."""
        self._cut(slots)
        self._parts = [part for part in self._parts if not part.slots & slots]
        self._settle()

    def lacking(self) -> Slots:
        """The owned slots whose past has not arrived."""
        lacking = 0
        for part in self._parts:
            if part.owned and not part.answers:
                lacking |= part.slots
        return lacking

    # ---- cutting and joining
    def _all_slots(self) -> Slots:
        held = 0
        for part in self._parts:
            held |= part.slots
        return held

    def _cut(self, slots: Slots) -> None:
        """Afterwards each part lies within these slots or outside them."""
        for part in list(self._parts):
            inside = part.slots & slots
            if inside and inside != part.slots:
                part.slots &= ~slots
                half = Part(inside, part.clock.copy(), part.whole)
                half.owned, half.only_grew = part.owned, part.only_grew
                self._parts.append(half)

    def _within(self, slots: Slots) -> list[Part]:
        self._cut(slots)
        return [part for part in self._parts if part.slots & slots]

    def _settle(self) -> None:
        """Equal parts become one."""
        merged: list[Part] = []
        for part in self._parts:
            like = next((other for other in merged if other.is_like(part)), None)
            if like is None:
                merged.append(part)
            else:
                like.slots |= part.slots
                like.only_grew = like.only_grew and part.only_grew
        self._parts = sorted(merged, key=lambda part: part.slots & -part.slots)
        self._index()

    def _index(self) -> None:
        at: list[Part | None] = [None] * SLOTS
        for part in self._parts:
            part.answers = part.owned and self.need <= part.whole
            for slot in each_of(part.slots):
                at[slot] = part
        self._at = at
