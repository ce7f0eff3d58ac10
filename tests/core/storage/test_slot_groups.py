"""Parts act as if every slot had a store of its own: slots share a part while they are equal.

The model keeps a clock, and the views it is complete for, per slot.  The test does to each slot of
the model what it does to the parts.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given, settings, strategies as st

from node.core.model.actors import view_of
from node.core.model.dots import Dot, DotClock
from node.core.model.keys import SLOTS
from node.core.model.slots import ALL, Slots, each_of, from_bytes, to_bytes
from node.core.model.view import FIRST, ViewId
from node.core.storage.slot_groups import Parts, SavedPart

SECOND, THIRD = ViewId(2, "p"), ViewId(3, "p")
VIEWS = (FIRST, SECOND, THIRD)
Step = tuple[Any, ...]
FEW = 6  # slots that the runs below are about, the rest being one more
REST = ALL & ~((1 << FEW) - 1)

views = st.sampled_from(VIEWS)
slot_sets = st.integers(1, (1 << FEW + 1) - 1).map(
    lambda drawn: drawn & (1 << FEW) - 1 | (REST if drawn >> FEW else 0)
)
dots = st.tuples(st.sampled_from(["a", "b", "a.2.p", "b.2.p", "a.3.p"]), st.integers(1, 4))
dot_lists = st.lists(dots, max_size=4)
complete_for = st.frozensets(views, max_size=3)

steps = st.one_of(
    st.tuples(st.just("note"), dots, st.integers(0, FEW)),
    st.tuples(st.just("join"), slot_sets, dot_lists, complete_for),
    st.tuples(st.just("add"), slot_sets, dot_lists),
    st.tuples(st.just("adopt"), views, slot_sets, complete_for, st.none() | views),
    st.tuples(st.just("skip"), slot_sets, views),
    st.tuples(st.just("become_complete_for"), views),
    st.tuples(st.just("raise_oldest_view"), views, complete_for),
    st.tuples(st.just("count_below"), views),
    st.tuples(st.just("drop"), slot_sets),
)


def clock_of(known: list[Dot]) -> DotClock:
    clock = DotClock()
    for dot in known:
        clock.add(dot)
    return clock


@dataclass
class Store:
    """One slot."""

    clock: DotClock = field(default_factory=DotClock)
    complete_for: set[ViewId] = field(default_factory=set)


class Model:
    """A store for each slot that is held; the methods are those of Parts."""

    def __init__(self) -> None:
        self.stores: dict[int, Store] = {}
        self.owned: Slots = 0
        self.view, self.need = FIRST, set[ViewId]()

    def within(self, slots: Slots) -> list[Store]:
        return [store for slot, store in self.stores.items() if slots >> slot & 1]

    def _begin(self, slots: Slots) -> None:
        for slot in range(FEW + 1):
            if slots >> slot & 1:
                self.stores.setdefault(slot, Store())

    def note(self, dot: Dot, slot: int) -> None:
        """Note a dot; one of an older view, or of a slot that is not owned, is vacuous wherever a
        store is like that of its slot."""
        is_current = view_of(dot[0]) == self.view and bool(self.owned >> slot & 1)
        like = [other for other in self.stores if self._kind(other) == self._kind(slot)]
        for other, store in self.stores.items():
            if other in like or (is_current and self.owned >> other & 1):
                store.clock.add(dot)

    def _kind(self, slot: int) -> object:
        store = self.stores.get(slot)
        return store and (store.clock, store.complete_for, self.owned >> slot & 1)

    def join(self, slots: Slots, clock: DotClock, claimed: AbstractSet[ViewId]) -> None:
        for store in self.within(slots):
            store.clock.join(clock)
            store.complete_for.update(claimed)

    def add(self, slots: Slots, known: list[Dot]) -> None:
        self.join(slots, clock_of(known), frozenset())

    def adopt(
        self, view: ViewId, owned: Slots, need: AbstractSet[ViewId], begun: ViewId | None
    ) -> None:
        self.view, self.owned, self.need = view, owned, set(need)
        self._begin(owned)
        for store in self.within(owned) if begun else ():
            store.complete_for.add(begun or FIRST)

    def skip(self, slots: Slots, view: ViewId) -> None:
        self._begin(slots)
        for store in self.within(slots):
            store.complete_for.add(view)

    def become_complete_for(self, view: ViewId) -> None:
        for store in self.within(self.owned):
            store.complete_for.add(view)

    def raise_oldest_view(self, oldest_view: ViewId, need: AbstractSet[ViewId]) -> None:
        self.need = set(need)
        for store in self.stores.values():
            store.complete_for = {view for view in store.complete_for if view >= oldest_view}

    def count_below(self, oldest_view: ViewId) -> None:
        for store in self.within(self.owned):
            if self.need <= store.complete_for:
                store.clock.raise_oldest_view(oldest_view)

    def drop(self, slots: Slots) -> None:
        self.stores = {slot: s for slot, s in self.stores.items() if not slots >> slot & 1}


def perform(parts: Parts | Model, step: Step) -> None:
    """Perform one step of a script; it drops only slots of others.

    Noting a dot leaves it to the next other step to join equal parts.
    """
    what, *arguments = step
    if what == "join":
        slots, known, claimed = arguments
        parts.join(slots, clock_of(known), claimed)
    elif what == "drop":
        mine = parts.owned_slots if isinstance(parts, Parts) else parts.owned
        parts.drop(arguments[0] & ~mine)
    else:
        getattr(parts, what)(*(set(a) if isinstance(a, frozenset) else a for a in arguments))
    if what == "note":
        parts.join(0, DotClock(), frozenset())


def agree(parts: Parts, model: Model) -> None:
    for slot in range(FEW + 1):
        part, store = parts.at(slot), model.stores.get(slot)
        assert (part is None) == (store is None)
        if part is not None and store is not None:
            is_owned = bool(model.owned >> slot & 1)
            assert (part.clock, part.complete_for) == (store.clock, store.complete_for)
            assert part.owned is is_owned
            assert part.answers is (is_owned and model.need <= store.complete_for)


def are_apart(parts: Parts) -> None:
    """Demand that every slot finds its part, in no other part, and that no two parts are alike."""
    seen = 0
    for part in parts:
        assert part.slots
        assert not part.slots & seen
        seen |= part.slots
        assert parts.at(part.slots.bit_length() - 1) is part
    assert not any(a.is_like(b) for a in parts for b in parts if a is not b)


@settings(max_examples=60)
@given(st.lists(steps, max_size=12))
def test_every_slot_has_a_store_of_its_own(script: list[Step]) -> None:
    parts, model = Parts(), Model()
    for step in [("adopt", FIRST, ALL, frozenset({FIRST}), None), *script]:
        for each in (parts, model):
            perform(each, step)
        agree(parts, model)
        are_apart(parts)


@given(st.lists(steps, max_size=8))
def test_a_restart_finds_the_same_stores(script: list[Step]) -> None:
    parts = Parts()
    for step in [("adopt", FIRST, ALL, frozenset({FIRST}), FIRST), *script]:
        perform(parts, step)
    wire = msgspec.msgpack.encode(parts.saved())
    again = Parts(msgspec.msgpack.decode(wire, type=list[SavedPart]))
    again.adopt(parts.view, parts.owned_slots, parts.need, None)
    for slot in range(FEW + 1):
        one, two = parts.at(slot), again.at(slot)
        assert (one is None) == (two is None)
        if one is not None and two is not None:
            assert (one.clock, one.complete_for, one.answers) == (
                two.clock,
                two.complete_for,
                two.answers,
            )


@given(st.integers(0, ALL))
def test_a_set_of_slots_travels(slots: int) -> None:
    assert from_bytes(to_bytes(slots)) == slots
    assert sum(1 << slot for slot in each_of(slots)) == slots


def test_runs_of_slots_travel_in_few_bytes() -> None:
    assert len(to_bytes(ALL)) < 20
    assert len(to_bytes(ALL & ~REST)) < 30


def test_all_slots_of_a_settled_view_are_one_part() -> None:
    parts = Parts()
    parts.adopt(FIRST, ALL, {FIRST}, FIRST)
    parts.note(("a", 1), 7)
    assert len(parts) == 1
    assert [part.clock for part in parts] == [DotClock({"a": 1})]


def test_a_dot_of_a_slot_that_is_not_ours_joins_its_own_clock_alone() -> None:
    half = ALL >> SLOTS // 2
    parts = Parts()
    parts.adopt(FIRST, half, {FIRST}, FIRST)
    parts.note(("a", 1), SLOTS - 1)
    assert [part.clock for part in parts] == [DotClock()]
    parts = Parts([SavedPart(to_bytes(ALL & ~half), DotClock(), [FIRST])])
    parts.adopt(FIRST, half, {FIRST}, None)
    parts.note(("a", 1), SLOTS - 1)
    clocks = {part.owned: part.clock for part in parts}
    assert clocks == {False: DotClock({"a": 1}), True: DotClock()}


def test_parts_that_become_equal_are_one_again() -> None:
    half = ALL >> SLOTS // 2
    parts = Parts()
    parts.adopt(FIRST, half, {FIRST}, FIRST)
    parts.note(("a", 1), 7)
    parts.adopt(SECOND, ALL, {FIRST, SECOND}, SECOND)
    assert len(parts) == 2
    assert parts.lacking() == ALL & ~half
    parts.note(("x", 1), 7)  # an older dot: of its own slot, which is no other's business
    assert len(parts) == 2
    parts.join(ALL & ~half, DotClock({"a": 1, "x": 1}), [FIRST])
    assert len(parts) == 1
    assert parts.lacking() == 0


def test_a_slot_regained_before_it_was_forgotten_keeps_its_store() -> None:
    parts = Parts()
    parts.adopt(FIRST, ALL, {FIRST}, FIRST)
    parts.note(("a", 1), 7)
    parts.adopt(SECOND, ALL & ~1, {FIRST, SECOND}, SECOND)
    assert [part.slots for part in parts.outgoing()] == [1]
    parts.adopt(THIRD, ALL, {FIRST, SECOND, THIRD}, THIRD)
    lost = parts.at(0)
    assert lost is not None
    assert (lost.clock, lost.complete_for) == (DotClock({"a": 1}), {FIRST, THIRD})
    assert not lost.answers  # of the view in which it was another's it has not all
    assert parts.lacking() == 1


def test_a_slot_regained_after_it_was_forgotten_is_empty() -> None:
    parts = Parts()
    parts.adopt(FIRST, ALL, {FIRST}, FIRST)
    parts.note(("a", 1), 7)
    parts.adopt(SECOND, ALL & ~1, {FIRST, SECOND}, SECOND)
    parts.drop(1)
    assert parts.at(0) is None
    parts.adopt(THIRD, ALL, {FIRST, SECOND, THIRD}, THIRD)
    regained = parts.at(0)
    assert regained is not None
    assert (regained.clock, regained.complete_for) == (DotClock(), {THIRD})


def test_two_parts_that_have_become_one_are_to_be_saved() -> None:
    """A dot of an older view joins the part of its slot, so a restart has to find the same
    parts."""
    halves = (1 << FEW) - 1, REST
    saved = [
        SavedPart(to_bytes(half), DotClock({"a": n}), [FIRST]) for n, half in enumerate(halves)
    ]
    parts = Parts(saved)
    parts.adopt(SECOND, ALL, {SECOND}, None)
    parts.note(("a", 1), 0)
    assert len(parts) == 2
    assert parts.join(halves[0], DotClock(), ())
    assert len(parts) == 1
    assert not parts.join(halves[0], DotClock(), ())
