"""A dot clock is a set of dots: every operation agrees with the set; equal sets are equal
clocks.
"""

from itertools import permutations

import pytest
from hypothesis import given, strategies as st

from node.core.model.dots import Dot, DotClock, Vector, join_vectors, lowest
from node.core.model.vector_clock import Order, compare
from tests.core.given import actors, all_dots, clock_of, clocks, dot_sets, dots, dots_of, vectors


def joined(*clocks: DotClock) -> DotClock:
    result = DotClock()
    for clock in clocks:
        result.join(clock)
    return result


@given(st.lists(dots, max_size=14), dots)
def test_holds_what_was_added_in_any_order(known: list[Dot], asked: Dot) -> None:
    clock = clock_of(known)
    assert dots_of(clock) == set(known)
    assert clock == clock_of(sorted(known)) == clock_of(reversed(known))
    assert clock.has(asked) == (asked in known)


@given(st.lists(dots, max_size=14))
def test_loose_dots_lie_above_a_gap(known: list[Dot]) -> None:
    clock = clock_of(known)
    for actor, loose in clock.loose.items():
        assert min(loose) > clock.base.get(actor, 0) + 1
    assert all(clock.base.values())


def test_a_gap_closes_when_its_dots_come() -> None:
    clock = clock_of([("a", 1), ("a", 3), ("a", 4), ("a", 6)])
    assert clock == DotClock({"a": 1}, {"a": {3, 4, 6}})
    clock.add(("a", 2))
    assert clock == DotClock({"a": 4}, {"a": {6}})
    clock.add(("a", 5))
    assert clock == DotClock({"a": 6})


@given(dot_sets, dot_sets, dot_sets)
def test_join_is_union(
    one: frozenset[Dot],
    two: frozenset[Dot],
    three: frozenset[Dot],
) -> None:
    a, b, c = clock_of(one), clock_of(two), clock_of(three)
    results = [joined(*order) for order in permutations((a, b, c))]
    assert dots_of(results[0]) == one | two | three
    assert all(result == results[0] for result in results)
    assert joined(joined(a, b), c) == joined(a, joined(b, c))
    assert joined(a, a) == a


@given(clocks, clocks)
def test_missing_is_the_difference_in_order(one: DotClock, two: DotClock) -> None:
    missing = list(one.missing_from(two))
    assert len(missing) == len(set(missing))
    assert set(missing) == dots_of(one) - dots_of(two)
    assert two.lacks(one) == bool(missing)
    for actor in "abc":
        of_actor = [n for a, n in missing if a == actor]
        assert of_actor == sorted(of_actor)


@given(clocks, dots)
def test_a_copy_goes_its_own_way(clock: DotClock, dot: Dot) -> None:
    copy = clock.copy()
    assert copy == clock
    before = dots_of(clock)
    copy.add(dot)
    assert dots_of(clock) == before


@given(clocks, actors)
def test_highest_and_entry(clock: DotClock, actor: str) -> None:
    of_actor = {n for a, n in dots_of(clock) if a == actor}
    assert clock.highest(actor) == max(of_actor, default=0)
    base, loose = clock.entry(actor)
    assert set(range(1, base + 1)) | loose == of_actor


@given(dot_sets.filter(bool))
def test_closing_fills_the_gaps_of_one_actor_only(known: frozenset[Dot]) -> None:
    actor = min(known)[0]
    clock = clock_of(known)
    top = clock.highest(actor)
    clock.close(actor)
    rest = {dot for dot in known if dot[0] != actor}
    assert dots_of(clock) == rest | all_dots({actor: top})
    assert clock == clock_of(dots_of(clock))


@given(vectors, vectors)
def test_vectors_join_to_the_maximum_and_sink_to_the_minimum(one: Vector, two: Vector) -> None:
    assert all_dots(join_vectors(one, two)) == all_dots(one) | all_dots(two)
    assert all_dots(lowest([one, two])) == all_dots(one) & all_dots(two)
    assert join_vectors(one, two) == join_vectors(two, one)


@pytest.mark.parametrize(
    ("vectors", "low"),
    [
        ([], {}),
        ([{"a": 3}], {"a": 3}),
        ([{"a": 3, "b": 1}, {"a": 2}], {"a": 2}),
        ([{}, {"a": 2}], {}),
    ],
)
def test_lowest(vectors: list[Vector], low: Vector) -> None:
    assert lowest(vectors) == low


# ---- one vector and another


@given(vectors, vectors)
def test_vectors_compare_as_the_sets_of_dots_that_they_name(one: Vector, two: Vector) -> None:
    mine, theirs = all_dots(one), all_dots(two)
    order = compare(one, two)
    assert (order is Order.EQUAL) == (mine == theirs)
    assert (order is Order.BEFORE) == (mine < theirs)
    assert (order is Order.AFTER) == (mine > theirs)
    mirrored = {Order.BEFORE: Order.AFTER, Order.AFTER: Order.BEFORE}
    assert compare(two, one) is mirrored.get(order, order)


@pytest.mark.parametrize(
    ("one", "two", "order"),
    [
        ({}, {}, "equal"),
        ({"a": 0}, {}, "equal"),
        ({}, {"a": 1}, "before"),
        ({"a": 2, "b": 1}, {"a": 2}, "after"),
        ({"a": 2}, {"a": 1, "b": 1}, "concurrent"),
    ],
)
def test_the_order_of_two_vectors_has_a_name(one: Vector, two: Vector, order: str) -> None:
    assert compare(one, two) == order


@given(clocks, st.lists(dots))
def test_without_some_dots_a_clock_has_all_others(clock: DotClock, gone: list[Dot]) -> None:
    before = dots_of(clock)
    assert dots_of(clock.without(gone)) == before - set(gone)
    assert dots_of(clock) == before
