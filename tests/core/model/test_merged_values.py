"""Counters and sets: joins are lattices, and every change counts once, whatever meets whatever."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from node.core.model.changes import NamedAs, StateChange
from node.core.model.counters import COUNT_MAX, OVERFLOW, Counter
from node.core.model.dots import Dot
from node.core.model.drawn_identity import APART_MS, identity_of
from node.core.model.element_sets import CROWDED, ELEMENTS_MAX, ElementSet
from node.core.model.item import Past
from node.core.model.keys import COUNTERS, SETS, is_plain
from node.core.model.merged_values import State, joined, value_of
from node.core.model.repeats import REPEATS_MAX, Repeat, is_crowded, without_old
from node.core.model.view import ViewId

HOMES = 3
Step = tuple[str, int, int, Any]  # what, at which home, which other home, and what of it
homes = st.integers(0, HOMES - 1)
names = st.sampled_from(["", "", "i.x", "j.x"])
COUNTER_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), homes, names, st.integers(-5, 5)),
        st.tuples(st.just("meet"), homes, homes, st.just(0)),
        st.tuples(st.just("reset"), homes, st.just(""), st.just(0)),
        st.tuples(st.just("restart"), homes, homes, st.just(0)),
    ),
    max_size=24,
)
SET_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), homes, names, st.sampled_from("xyz")),
        st.tuples(st.just("remove"), homes, st.just(""), st.sampled_from("xyz")),
        st.tuples(st.just("meet"), homes, homes, st.just("")),
        st.tuples(st.just("reset"), homes, st.just(""), st.just("")),
    ),
    max_size=24,
)


class Homes:
    """Homes that name changes of one key; each has the states that it has met, joined."""

    def __init__(self, empty: State) -> None:
        self.states: list[Any] = [empty] * HOMES
        self.pasts = [Past()] * HOMES
        self.actors = [f"actor{home}.1" for home in range(HOMES)]
        self.seen: list[set[Dot]] = [set() for _ in range(HOMES)]  # the oracle's
        self.done: dict[Dot, tuple[str, Any]] = {}  # each change and its identity
        self.taken: set[Dot] = set()  # additions that a remove or a reset has seen
        self._n = 0

    def name(self, home: int, change: StateChange, identity: str) -> Dot | None:
        """Name a change, unless the home knows it."""
        if identity in self.states[home].repeats:
            return None
        self._n += 1
        dot = self.actors[home], self._n
        naming = NamedAs(dot, identity, self._n, self.pasts[home])
        tidy = self.states[home].tidied(0, lambda actor, n: False)
        self.states[home] = tidy.after(change, naming)
        self.pasts[home] = self.pasts[home].joined({}, {dot})
        self.seen[home].add(dot)
        return dot

    def meet(self, home: int, other: int) -> None:
        self.states[home] = self.states[home].joined(self.states[other])
        self.pasts[home] = self.pasts[home].with_all(self.pasts[other])
        self.seen[home] |= self.seen[other]

    def restart(self, home: int) -> None:
        self._n += 1
        self.actors[home] = f"actor{home}{self._n}.1"

    def counted(self, home: int) -> set[Dot]:
        """The additions that a home knows and no remove that it knows has seen, each once."""
        known = {dot: self.done[dot] for dot in sorted(self.seen[home]) if dot in self.done}
        twins: dict[str, set[Dot]] = {}
        for dot, (identity, _) in known.items():
            twins.setdefault(identity or str(dot), set()).add(dot)
        taken = {dot for each in self.seen[home] for dot in self.took.get(each, ())}
        return {min(dots) for dots in twins.values() if not dots & taken}

    took: dict[Dot, frozenset[Dot]]


def play_counter(steps: list[Step]) -> Homes:
    """Play the steps, and compare each home with the oracle after each of them."""
    play = Homes(Counter())
    play.took = {}
    for what, home, other, amount in steps:
        if what == "meet":
            play.meet(home, int(other))
        elif what == "restart":
            play.restart(home)
        elif what == "reset":
            before = frozenset(play.seen[home])
            dot = play.name(home, StateChange(resets=True), "")
            assert dot is not None
            play.took[dot] = before
        else:
            identity = str(other)
            fixed = {"": amount, "i.x": 7, "j.x": -3}[identity]
            dot = play.name(home, StateChange(fixed), identity)
            if dot is not None:
                play.done[dot] = identity, fixed
        for each in range(HOMES):
            counted = sum(play.done[dot][1] for dot in play.counted(each))
            assert play.states[each].value == counted, steps
    return play


def play_set(steps: list[Step]) -> Homes:
    play = Homes(ElementSet())
    play.took = {}
    for what, home, other, element in steps:
        if what == "meet":
            play.meet(home, int(other))
            continue
        identity = str(other)
        wanted = {"": element, "i.x": "x", "j.x": "y"}[identity]
        held = {d for d in play.seen[home] if d in play.done}
        if what == "change":
            dot = play.name(home, StateChange(add=(wanted,)), identity)
            if dot is not None:
                play.done[dot] = identity, wanted
        else:
            is_reset = what == "reset"
            dot = play.name(home, StateChange(remove=(wanted,), resets=is_reset), "")
            assert dot is not None
            play.took[dot] = frozenset(d for d in held if is_reset or play.done[d][1] == wanted)
        for each in range(HOMES):
            there = {play.done[dot][1] for dot in play.counted(each)}
            assert play.states[each].elements == there, steps
    return play


@given(COUNTER_STEPS)
@settings(max_examples=300)
def test_a_counter_is_what_the_oracle_counts(steps: list[Step]) -> None:
    play_counter(steps)


@given(SET_STEPS)
@settings(max_examples=300)
def test_a_set_has_what_the_oracle_has(steps: list[Step]) -> None:
    play_set(steps)


@pytest.mark.parametrize(
    ("steps", "play"),
    [(COUNTER_STEPS, play_counter), (SET_STEPS, play_set)],
    ids=["counter", "set"],
)
@given(data=st.data())
@settings(max_examples=100)
def test_joins_are_commutative_associative_and_idempotent(
    steps: st.SearchStrategy[list[Step]], play: Callable[[list[Step]], Homes], data: st.DataObject
) -> None:
    one, two, three = play(data.draw(steps)).states
    assert one.joined(two) == two.joined(one)
    assert one.joined(two).joined(three) == one.joined(two.joined(three))
    assert one.joined(one) == one
    assert one.joined(two).joined(two) == one.joined(two)


# ------------------------------------------------------------------ single rules
OLD, NEW = "aaaaaaRUNRUN.1", "bbbbbbRUNRUN.2.x"
SECOND = ViewId(2, "x")


def named(actor: str, n: int, past: Past | None = None) -> NamedAs:
    return NamedAs((actor, n), "", 0, past or Past())


def test_a_total_stands_for_the_runs_of_retired_views() -> None:
    before = Counter(sums={OLD: (4, 10), "ccccccRUNRUN.1": (2, 5)})
    after = before.after(StateChange(1), named(NEW, 1, Past({}, set(), SECOND)))
    assert after.sums == {".2.x": (1, 15), NEW: (1, 1)}
    assert after.joined(before) == after
    assert after.value == 16


def test_what_a_delete_has_taken_stays_taken_when_its_view_is_retired() -> None:
    deleted = Counter(sums={OLD: (4, 10)}).after(StateChange(resets=True), named(OLD, 5))
    beside = deleted.after(StateChange(3), named(OLD, 6))
    for before, value in ((deleted, 0), (beside, 3)):
        after = before.after(StateChange(0), named(NEW, 1, Past({}, set(), SECOND)))
        assert (after.value, ".2.x" in after.sums, OLD in after.sums) == (value, True, False)
    gone = deleted.after(StateChange(0), named(NEW, 1, Past({}, set(), SECOND)))
    again = gone.after(StateChange(resets=True), named(NEW, 2))
    assert not again.is_there
    assert again.joined(deleted).value == 0


def test_a_total_that_has_no_room_is_not_made() -> None:
    before = Counter(sums={OLD: (4, COUNT_MAX), "ccccccRUNRUN.1": (2, COUNT_MAX)})
    after = before.after(StateChange(1), named(NEW, 1, Past({}, set(), SECOND)))
    assert OLD in after.sums
    assert after.problem() == OVERFLOW


def test_a_set_has_so_many_elements_and_bytes() -> None:
    many = tuple(str(n) for n in range(ELEMENTS_MAX))
    full = ElementSet().after(StateChange(add=many), named(OLD, 1))
    assert full.problem() == ""
    assert full.after(StateChange(add=("-1",)), named(OLD, 2)).problem() == CROWDED
    large = ElementSet().after(StateChange(add=("1" * 300_000,)), named(OLD, 1))
    assert large.problem() == CROWDED


def test_a_set_without_elements_is_there_until_it_is_deleted() -> None:
    one = ElementSet().after(StateChange(add=("1",)), named(OLD, 1))
    none = one.after(StateChange(remove=("1",)), named(OLD, 2, one.seen))
    assert (none.is_there, none.elements) == (True, set())
    assert not none.after(StateChange(resets=True), named(OLD, 3, none.seen)).is_there


def test_old_repeats_go_when_they_are_settled_or_their_room_is_needed() -> None:
    repeats = {f"{n}.x": Repeat(n, 1, {OLD: n}) for n in range(1, REPEATS_MAX + 1)}
    assert is_crowded(repeats, 1)
    assert not is_crowded(repeats, 2)
    kept = without_old(repeats, 3, lambda actor, n: False, lambda repeat: False)
    assert repeats.keys() - kept.keys() == {"1.x"}
    kept = without_old(repeats, 5, lambda actor, n: n < 4, lambda repeat: repeat.at_ms == 2)
    assert repeats.keys() - kept.keys() == {"1.x", "3.x"}
    assert without_old(repeats, 1, lambda actor, n: True, lambda repeat: False) == repeats


def test_a_repeat_with_a_drawn_identity_is_kept_for_a_day_longer() -> None:
    repeats = {each: Repeat(1_000, 1, {OLD: 1}) for each in (identity_of("run", 1), "1.x")}
    kept = without_old(repeats, 2_000, lambda actor, n: True, lambda repeat: False)
    assert kept.keys() == {identity_of("run", 1)}
    later = 1_001 + APART_MS
    assert not without_old(repeats, later, lambda actor, n: True, lambda repeat: False)


def test_states_are_kept_as_bytes_and_lie_in_namespaces() -> None:
    counter = Counter({"a.x": Repeat(1, 2, {OLD: 3})}, {OLD: (3, 2)}, {OLD: (1, 1)})
    assert joined(f"{COUNTERS}k/l", (value_of(counter),)) == counter
    assert joined(f"{SETS}k", ()) == ElementSet()
    assert [is_plain(key) for key in ("k", f"{SETS}k", f"{COUNTERS}k")] == [True, False, False]


def test_an_addition_that_may_have_another_name_replaces_none() -> None:
    """A remove at another home takes it under its other name; what stood beside it stays."""
    beside = ElementSet().after(StateChange(add=("1",)), named(OLD, 1))
    again = beside.after(StateChange(add=("1",)), NamedAs((OLD, 2), "a.x", 0, beside.seen))
    there = ElementSet().after(StateChange(add=("1",)), NamedAs((NEW, 1), "a.x", 0, Past()))
    removed = there.after(StateChange(remove=("1",)), named(NEW, 2, there.seen))
    assert again.tags["1"] == ((OLD, 1), (OLD, 2))
    assert again.joined(there).elements == again.joined(removed).elements == {"1"}
    assert beside.joined(removed).elements == {"1"}


def test_an_addition_without_another_name_replaces_those_that_its_run_made_before() -> None:
    state = ElementSet()
    for n, identity in enumerate(("a.x", "b.x"), 1):
        state = state.after(StateChange(add=("1",)), NamedAs((OLD, n), identity, n, state.seen))
    assert state.tidied(0, lambda actor, n: True).tags["1"] == ((OLD, 1), (OLD, 2))
    assert state.tidied(9, lambda actor, n: True).tags["1"] == ((OLD, 2),)
    plain = state.after(StateChange(add=("1",)), named(OLD, 3, state.seen))
    assert plain.tags["1"] == ((OLD, 3),)


def test_what_is_removed_and_added_at_once_is_there() -> None:
    one = ElementSet().after(StateChange(add=("1",)), named(OLD, 1))
    both = one.after(StateChange(add=("1",), remove=("1",)), named(OLD, 2, one.seen))
    assert both.tags["1"] == ((OLD, 2),)
