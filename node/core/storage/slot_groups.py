"""What this node holds: a store per slot, shared by all slots with the same past.

A store knows its clock (which dots of its slots are in its items or obsolete) and the views it is
*complete* for: every write that all owners of such a view held is here.  This is so whichever node
owns the slots now, so a view change touches no store.  It only decides which stores are *owned*;
the node holds the others until all owners have them.  All 4096 slots usually are one `Part`; views
split parts, and parts that have become equal are one again.

Example: n1 owns the slots 0 to 3 in view 1, with the clock {a: 2}.

    adopt(2, 2 to 5)    n1 takes part in view 2, where its slots are 2 to 5.  Three parts:
                        0, 1: complete for 1; held for their new owners
                        2, 3: complete for 1 and 2, all that is needed: they answer
                        4, 5: empty, complete for 2: the writes of view 1 have not arrived
    join(4 to 5, ...)   n1 has pulled all of these from a holder that is complete for 1: now they
    are
                        like 2 and 3, and one part with them
    skip(6 to 7, 3)     n1 learns views 3 and 4 at once; in view 3 it owned 6 and 7.  It stored no
                        write of view 3, so none of 6 and 7 was held by all their owners: it gets
                        empty stores for them, and these are complete for view 3
    adopt(4, 2 to 6)    2 to 5 are complete for 1, 2 and 4, and lack what view 3's owners held;
                        6 is complete for 3 and 4, and lacks 1 and 2; 7 is held, and not owned
(protocol D10.)
"""

from collections.abc import Iterable, Iterator

import msgspec

from node.core.model.actors import Actor, view_of
from node.core.model.dots import Dot, DotClock, Vector, join_vectors
from node.core.model.keys import SLOTS, Slot
from node.core.model.slots import Slots, each_of, from_bytes, to_bytes
from node.core.model.view import FIRST, ViewId


class SavedPart(msgspec.Struct, array_like=True):
    """A part on disk."""

    slots: bytes
    clock: DotClock
    complete_for: list[ViewId]


class Part:
    """Slots with one clock.

    `owned`: this node owns them in the current view.
    `complete_for`: the views for which the store is whole; none below the oldest view.
    `answers`: it is complete for the current view and for all that led to it.  Invariant: answers
    implies owned.
    `only_grew`: it began empty in this run, and has lost no row since then.
    """

    __slots__ = ("answers", "clock", "complete_for", "only_grew", "owned", "slots")

    def __init__(self, slots: Slots, clock: DotClock, complete_for: Iterable[ViewId] = ()) -> None:
        self.slots, self.clock, self.complete_for = slots, clock, set(complete_for)
        self.owned = self.answers = self.only_grew = False

    def is_like(self, other: "Part") -> bool:
        return (self.owned, self.complete_for, self.clock) == (
            other.owned,
            other.complete_for,
            other.clock,
        )


class Parts:
    """All parts of a node.  Invariant: no slot is in two of them.

    `owned_slots`: all slots of the current view that are this node's; each of them has a part.
    `need`: the views for which a part must be whole to answer.
    `withheld`: dots of the clocks that peers are not told yet, for they are not shown; their keys.
    """

    def __init__(self, saved: Iterable[SavedPart] = (), view: ViewId = FIRST) -> None:
        self._parts = [Part(from_bytes(s.slots), s.clock, s.complete_for) for s in saved]
        self.view = view
        self.need: set[ViewId] = set()
        self.owned_slots: Slots = 0
        self.withheld: dict[Dot, str] = {}
        self._at: list[Part | None] = [None] * SLOTS
        self._indexed: list[tuple[Part, Slots]] = []  # what `_at` says
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

    def visible_to_peers(self, clock: DotClock) -> DotClock:
        """A copy of one of the clocks as peers are told it: without what is withheld."""
        return clock.without(self.withheld) if self.withheld else clock.copy()

    def owned(self) -> list[Part]:
        return [part for part in self._parts if part.owned]

    def outgoing(self) -> list[Part]:
        """The parts that other nodes own in the current view."""
        return [part for part in self._parts if not part.owned]

    def saved(self) -> list[SavedPart]:
        return [SavedPart(to_bytes(p.slots), p.clock, sorted(p.complete_for)) for p in self._parts]

    # ---- what is not shown yet
    def withhold(self, key: str, dots: Iterable[Dot]) -> None:
        """Withhold these dots of this key, and no others of it."""
        for dot in [dot for dot, name in self.withheld.items() if name == key]:
            del self.withheld[dot]
        self.withheld.update(dict.fromkeys(dots, key))

    def show(self, dots: Iterable[Dot]) -> None:
        """Withhold these dots no longer."""
        for dot in dots:
            self.withheld.pop(dot, None)

    def show_all(self) -> None:
        """Withhold nothing any longer."""
        self.withheld.clear()

    # ---- dots
    def note(self, dot: Dot, slot: Slot) -> None:
        """Add a dot to the clock of its slot.  A dot of this view and of an owned slot joins the
        clocks of all owned slots: it names one key, so it concerns no other slot (R2).  Any other
        dot joins no other clock.  Peers would keep it, and could not tell which key it wrote: a
        copied disk has dots of the shard that it was copied from."""
        its = self._at[slot]
        is_ours = its is not None and its.owned and view_of(dot[0]) == self.view
        for part in self._parts:
            if part is its or (is_ours and part.owned):
                part.clock.add(dot)

    def has_gone(self, slot: Slot) -> None:
        """Note that a key of this slot has dots in the clock, and no row."""
        part = self._at[slot]
        if part is not None:
            part.only_grew = False

    def only_grew(self, slots: Slots) -> bool:
        """Whether these slots have had no rows but those that they have now."""
        return all(part.only_grew for part in self._parts if part.slots & slots)

    def join(self, slots: Slots, clock: DotClock, complete_for: Iterable[ViewId]) -> bool:
        """Note that these slots have all dots of this clock and are complete for these views, too;
        whether there is something to save.  There also is where two parts have become one: a dot
        of an older view joins its slot's part alone, so a restart has to find the same parts."""
        before, new, changed = self._extents(), set(complete_for), False
        for part in self._within(slots):
            changed = changed or part.clock.lacks(clock) or not new <= part.complete_for
            part.clock.join(clock)
            part.complete_for.update(new)
            part.only_grew = False
        self._join_equal()
        return changed or self._extents() != before

    def add(self, slots: Slots, dots: Iterable[Dot]) -> None:
        """Add dots that concern no key of these slots to their clocks."""
        noted = list(dots)
        for part in self._within(slots):
            part.only_grew = False
            for dot in noted:
                part.clock.add(dot)
        self._join_equal()

    def close(self, incarnation: Actor) -> None:
        """Fill the gaps of a past incarnation (D7): in every owned slot up to the highest dot that
        one of them knows, so that all slots of all members say the same of it."""
        highest: Vector = {}
        for part in self.owned():
            known = {actor: part.clock.highest(actor) for actor in part.clock.runs_of(incarnation)}
            highest = join_vectors(highest, known)
        for part in self._parts:
            for actor in part.clock.runs_of(incarnation) | (
                highest.keys() if part.owned else set()
            ):
                part.clock.close(actor, highest.get(actor, 0) if part.owned else 0)
            part.only_grew = False
        self._join_equal()

    # ---- views
    def adopt(self, view: ViewId, owned: Slots, need: set[ViewId], begun: ViewId | None) -> None:
        """Own these slots from now on: slots that the node did not hold get empty stores, and no
        other store is touched (R1).  `begun`: the view, if the node takes part from its start."""
        self.view, self.need, self.owned_slots = view, need, owned
        self._cut(owned)
        gained = owned & ~self._all_slots()
        if gained:
            self._parts.append(Part(gained, DotClock()))
            self._parts[-1].only_grew = True
        for part in self._parts:
            part.owned = bool(part.slots & owned)
            if part.owned and begun is not None:
                part.complete_for.add(begun)
        self._join_equal()

    def skip(self, slots: Slots, view: ViewId) -> None:
        """Become complete for a view that gave the node these slots and that it took no part in: no
        write of it was ever held by all owners (D10, "skipped")."""
        self._cut(slots)
        unheld = slots & ~self._all_slots()
        if unheld:
            self._parts.append(Part(unheld, DotClock()))
        for part in self._parts:
            if part.slots & slots:
                part.complete_for.add(view)
        self._join_equal()

    def become_incomplete_for(self, view: ViewId) -> None:
        """Be complete for this view no longer: it was mistaken for another."""
        for part in self._parts:
            part.complete_for.discard(view)
        self._join_equal()

    def become_incomplete_for_all(self) -> None:
        """Be complete for no view: the rows are to be those of a new node."""
        for part in self._parts:
            part.complete_for.clear()

    def become_complete_for(self, view: ViewId) -> None:
        """Become complete for this view in all owned slots."""
        for part in self.owned():
            part.complete_for.add(view)
        self._join_equal()

    def raise_oldest_view(self, oldest_view: ViewId, need: set[ViewId]) -> None:
        """Be complete for no view below the oldest one: these views are retired."""
        self.need = need
        for part in self._parts:
            part.complete_for = {view for view in part.complete_for if view >= oldest_view}
        self._join_equal()

    def count_below(self, oldest_view: ViewId) -> bool:
        """Note that every owned store that has arrived has all dots below the oldest view; whether
        this is new for one of them."""
        arrived = [
            p
            for p in self.owned()
            if self.need <= p.complete_for and p.clock.oldest_view < oldest_view
        ]
        for part in arrived:
            part.clock.raise_oldest_view(oldest_view)
            part.only_grew = False
        self._join_equal()
        return bool(arrived)

    def drop(self, slots: Slots) -> None:
        """Forget these slots."""
        self._cut(slots)
        self._parts = [part for part in self._parts if not part.slots & slots]
        self._join_equal()

    def lacking(self) -> Slots:
        """The owned slots whose past has not arrived."""
        lacking = 0
        for part in self._parts:
            if part.owned and not part.answers:
                lacking |= part.slots
        return lacking

    # ---- cutting and joining
    def _extents(self) -> list[Slots]:
        return [part.slots for part in self._parts]

    def _all_slots(self) -> Slots:
        held = 0
        for part in self._parts:
            held |= part.slots
        return held

    def _cut(self, slots: Slots) -> None:
        """Split parts, so that each lies within these slots or outside them."""
        for part in list(self._parts):
            inside = part.slots & slots
            if inside and inside != part.slots:
                part.slots &= ~slots
                half = Part(inside, part.clock.copy(), part.complete_for)
                half.owned, half.only_grew = part.owned, part.only_grew
                self._parts.append(half)

    def _within(self, slots: Slots) -> list[Part]:
        self._cut(slots)
        return [part for part in self._parts if part.slots & slots]

    def _join_equal(self) -> None:
        """Make one part of equal ones."""
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
        for part in self._parts:
            part.answers = part.owned and self.need <= part.complete_for
        extents = [(part, part.slots) for part in self._parts]
        if extents == self._indexed:  # nearly always
            return
        self._indexed, self._at = extents, [None] * SLOTS
        for part in self._parts:
            for slot in each_of(part.slots):
                self._at[slot] = part
