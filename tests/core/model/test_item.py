"""An item keeps a version until a state that has seen it has dropped it.

The oracle of `sync` has, for each state, the dots that it has seen and those that are live in it.
A dot is live afterwards if some state holds it and none has seen and dropped it.
"""

from itertools import permutations

import pytest
from hypothesis import given, strategies as st

from node.core.model.dots import Dot, DotClock, Vector
from node.core.model.item import Item, Past, Version, discard, fill, strip, sync
from node.core.model.vector_clock import CLOCK_ENTRIES_MAX, Order, compare, following, placed
from tests.core.given import actors, all_dots, clocks, dots, items, pasts, stamp, vectors


def seen(item: Item) -> set[Dot]:
    return all_dots(item.past.base) | item.past.loose


@given(items(), items(), items())
def test_sync_is_the_set_oracle_in_any_order(one: Item, two: Item, three: Item) -> None:
    states = (one, two, three)
    held = {dot for item in states for dot in item.versions}
    dropped = {dot for item in states for dot in seen(item) - item.versions.keys()}
    results = [sync(sync(a, b), c) for a, b, c in permutations(states)]
    assert results[0].versions.keys() == held - dropped
    assert seen(results[0]) == set().union(*map(seen, states))
    assert all(result == results[0] for result in results)
    assert sync(one, sync(two, three)) == results[0]


@given(items())
def test_sync_is_idempotent(item: Item) -> None:
    assert sync(item, item) == item
    assert sync(item, Item()) == item


@given(items(), clocks)
def test_strip_and_fill_are_inverse_under_a_clock(item: Item, clock: DotClock) -> None:
    filled = fill(item, clock)
    assert fill(strip(filled, clock), clock) == filled
    assert strip(filled, clock) == strip(item, clock)
    assert seen(filled) == seen(item) | all_dots(clock.base)


@given(items(), clocks, st.frozensets(actors))
def test_a_stripped_item_says_nothing_twice(
    item: Item, clock: DotClock, lost: frozenset[str]
) -> None:
    kept = strip(item, clock, lost)
    known = all_dots(clock.base)
    told = {dot for dot in seen(item) | known if dot[0] not in lost}
    assert {dot for dot in seen(kept) | known if dot[0] not in lost} == told
    assert not kept.past.loose & known
    assert not set(kept.past.base.items()) & known
    assert not lost & {actor for actor, _ in seen(kept)}
    assert kept.versions == item.versions


@given(items(), pasts)
def test_discard_drops_what_the_context_has_seen(item: Item, context: Past) -> None:
    rest = discard(item, context)
    assert rest.versions.keys() == {d for d in item.versions if not context.has(d)}
    assert seen(rest) == seen(item) | all_dots(context.base) | context.loose


@given(pasts, pasts, dots)
def test_a_joined_past_covers_both(one: Past, two: Past, dot: Dot) -> None:
    both = one.joined(two.base, two.loose)
    assert both.has(dot) == (one.has(dot) or two.has(dot))
    assert both == two.joined(one.base, one.loose)
    assert all(d[1] > both.base.get(d[0], 0) for d in both.loose)


def test_an_empty_past_is_false() -> None:
    assert not Past()
    assert Past({"a": 1})
    assert Past({}, {("a", 1)})


GREEN, RED = Version(b"green", timestamp=stamp(2)), Version(b"red", timestamp=stamp(1))
GONE = Version(None, timestamp=stamp(3))


@pytest.mark.parametrize(
    ("versions", "winner", "is_live"),
    [
        ({}, None, False),
        ({("a", 1): RED}, ("a", 1), True),
        ({("a", 1): GONE}, ("a", 1), False),
        ({("a", 1): RED, ("b", 1): GREEN}, ("b", 1), True),
        ({("b", 1): GREEN, ("a", 1): RED}, ("b", 1), True),
        ({("a", 1): GREEN, ("b", 1): GONE}, ("b", 1), True),  # the delete has not replaced it
        ({("a", 1): GREEN, ("b", 1): GREEN}, ("b", 1), True),  # equal stamps: the larger dot
    ],
)
def test_the_largest_stamp_wins_deletes_included(
    versions: dict[Dot, Version], winner: Dot | None, is_live: bool
) -> None:
    item = Item(versions)
    assert item.winner() == winner
    assert item.is_live() == is_live
    assert GONE not in item.live().values()


@given(items())
def test_a_key_counts_the_same_when_a_delete_is_pruned(item: Item) -> None:
    """A delete beside a value may be pruned; of lww writes it takes what it hides with it."""
    without = {d: v for d, v in item.shown().items() if v.value is not None}
    assert item.is_live() == Item(without).is_live() == bool(without)


# ---- what a delete hides


def lww(milliseconds: int, value: bytes | None = b"v") -> Version:
    return Version(value, timestamp=stamp(milliseconds), lww=True)


@pytest.mark.parametrize(
    ("versions", "shown"),
    [
        ({("a", 1): lww(1), ("b", 1): lww(2)}, {("a", 1), ("b", 1)}),
        ({("a", 1): lww(1), ("b", 1): lww(2, None), ("c", 1): lww(3)}, {("c", 1)}),
        ({("a", 1): lww(1), ("b", 1): lww(2, None)}, set()),
        ({("a", 1): Version(b"v"), ("b", 1): lww(2, None)}, {("a", 1)}),
        ({("a", 1): lww(1), ("b", 1): Version(None, timestamp=stamp(2))}, {("a", 1)}),
    ],
)
def test_of_lww_versions_a_later_delete_hides_the_earlier(
    versions: dict[Dot, Version], shown: set[Dot]
) -> None:
    assert Item(versions).shown().keys() == shown


# ---- vector clocks


@given(st.lists(vectors), st.lists(dots), actors)
def test_a_write_is_after_all_that_it_replaces_or_has_seen(
    replaced: list[Vector], known: list[Dot], actor: str
) -> None:
    clock = following((actor, 100), replaced, known)
    assert all(compare(clock, each) is Order.AFTER for each in replaced)
    assert all(clock[a] >= n for a, n in known)
    assert clock[actor] == 100


def test_a_long_clock_forgets_the_entries_of_the_oldest_views() -> None:
    old = {f"a{n}.1": n + 1 for n in range(CLOCK_ENTRIES_MAX)}
    new = {f"b{n}.2.p": 1 for n in range(10)}
    clock = following(("c.2.p", 1), [old, new])
    assert len(clock) == CLOCK_ENTRIES_MAX
    assert clock.keys() > {*new, "c.2.p"}


HELD = Item(
    {
        ("a", 1): Version(b"v", clock={"x": 1}),
        ("b", 1): Version(b"v", clock={"x": 2, "y": 1}),
        ("c", 3): Version(b"v"),  # its own: c 3
    }
)


@pytest.mark.parametrize(
    ("clock", "beside", "is_new"),
    [
        ({"x": 3, "y": 1}, {("c", 3)}, True),
        ({"x": 1, "z": 1}, {("b", 1), ("c", 3)}, True),
        ({"x": 1}, {("b", 1), ("c", 3)}, False),
        ({"c": 2}, {("a", 1), ("b", 1), ("c", 3)}, False),
        ({"c": 3}, {("a", 1), ("b", 1)}, False),
        ({}, {("a", 1), ("b", 1), ("c", 3)}, False),
        ({"x": 2, "y": 1, "c": 3}, set(), True),
    ],
)
def test_a_clock_that_is_brought_says_what_is_replaced(
    clock: Vector, beside: set[Dot], is_new: bool
) -> None:
    place = placed(clock, HELD, "e")
    assert set(place.beside) == beside
    assert place.clock == (clock if is_new else None)
    assert dict(place.seen) == clock


def test_where_nothing_is_any_clock_but_an_empty_one_is_new() -> None:
    assert placed({"x": 1}, Item(), "a").clock == {"x": 1}
    assert placed({}, Item(), "a").clock is None


def test_an_actor_replaces_what_only_it_has_written() -> None:
    """By their clocks its later write is after its earlier one, which therefore goes."""
    assert placed({}, HELD, "c").beside == (("a", 1), ("b", 1))
    assert placed({"z": 1}, HELD, "c").beside == (
        ("a", 1),
        ("b", 1),
        ("c", 3),
    )  # a clock of its own


@given(items(), clocks)
def test_a_filled_item_covers_its_versions_whatever_the_clock_knows(
    item: Item, clock: DotClock
) -> None:
    """A row of an unfinished full exchange has no past, and its dots are not known yet."""
    filled = fill(Item(item.versions), clock)
    assert all(filled.past.has(dot) for dot in item.versions)
    assert seen(filled) == all_dots(clock.base) | item.versions.keys()
