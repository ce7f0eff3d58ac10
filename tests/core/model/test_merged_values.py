"""Counters and sets: joins are lattices, and every change counts once, whatever meets whatever."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from node.core.model.changes import NamedAs, StateChange
from node.core.model.counters import Counter
from node.core.model.dots import Dot
from node.core.model.element_sets import ElementSet
from node.core.model.item import Past
from node.core.model.merged_values import State

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
        self.states[home] = self.states[home].after(change, naming)
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
