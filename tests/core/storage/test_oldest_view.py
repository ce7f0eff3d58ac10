"""Clocks, pasts and tokens drop what is below an oldest view, since all of it is known.

The oracle is the set of dots again, with all dots of the older views in it.
"""

import json

import pytest
from hypothesis import given, strategies as st

from node.core.model.actors import actor_of, view_of
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version, discard, fill, strip, sync
from node.core.model.keys import key_hash_of
from node.core.model.token import Malformed, Token, decode, encode
from node.core.model.view import FIRST, NO_VIEW, ViewId

SECOND, THIRD = ViewId(2, "p"), ViewId(3, "q")
ACTORS = ["a", "b", "a.2.p", "b.2.p", "a.3.q"]
PEAR, PLUM = key_hash_of("pear", True), key_hash_of("plum", False)
ALL_KEYS = b"\xff" * 64

dots = st.tuples(st.sampled_from(ACTORS), st.integers(1, 6))
known = st.frozensets(dots, max_size=12)
floors = st.sampled_from([NO_VIEW, FIRST, SECOND, THIRD])


def clock_of(some: frozenset[Dot], oldest_view: ViewId) -> DotClock:
    clock = DotClock()
    for dot in sorted(some):
        clock.add(dot)
    clock.raise_oldest_view(oldest_view)
    return clock


def below(oldest_view: ViewId) -> set[Dot]:
    """Return all dots that the runs draw from views below; the first view has nothing below it."""
    every = {(actor, n) for actor in ACTORS for n in range(1, 7)}
    return {dot for dot in every if view_of(dot[0]) < oldest_view} if oldest_view > FIRST else set()


def dots_of(clock: DotClock) -> set[Dot]:
    return {(actor, n) for actor in ACTORS for n in range(1, 7) if clock.has((actor, n))}


# ---- clocks


@given(known, floors)
def test_a_oldest_view_stands_for_all_dots_below_it_and_keeps_none(
    some: frozenset[Dot], oldest_view: ViewId
) -> None:
    clock = clock_of(some, oldest_view)
    assert dots_of(clock) == some | below(oldest_view)
    assert not any(clock.drops(actor) for actor in (*clock.base, *clock.loose))
    before = clock.copy()
    for dot in below(oldest_view):
        clock.add(dot)
    clock.raise_oldest_view(NO_VIEW)  # it never sinks
    assert clock == before


@given(known, floors, known, floors)
def test_a_join_has_what_either_had(
    one: frozenset[Dot], low: ViewId, two: frozenset[Dot], high: ViewId
) -> None:
    mine, theirs = clock_of(one, low), clock_of(two, high)
    joined, other_way = mine.copy(), theirs.copy()
    joined.join(theirs)
    other_way.join(mine)
    assert joined == other_way
    assert joined.oldest_view == max(low, high)
    assert dots_of(joined) == dots_of(mine) | dots_of(theirs)


@given(known, floors, known, floors)
def test_of_what_is_missing_only_dots_above_the_oldest_view_have_names(
    one: frozenset[Dot], low: ViewId, two: frozenset[Dot], high: ViewId
) -> None:
    mine, theirs = clock_of(one, low), clock_of(two, high)
    missing = set(mine.missing_from(theirs))
    assert missing == dots_of(mine) - dots_of(theirs) - below(low)
    assert theirs.lacks(mine) == (bool(missing) or low > high)


@given(known, floors, st.sampled_from([FIRST, SECOND, THIRD]))
def test_the_part_below_a_view_is_what_older_views_wrote(
    some: frozenset[Dot], oldest_view: ViewId, view: ViewId
) -> None:
    clock = clock_of(some, oldest_view)
    older = {dot for dot in some if view_of(dot[0]) < view}
    assert dots_of(clock.below(view)) == older | below(oldest_view)
    assert not clock.lacks(clock.below(view))


# ---- pasts and items


@given(known, floors, known, floors, dots)
def test_a_joined_past_covers_both(
    one: frozenset[Dot], low: ViewId, two: frozenset[Dot], high: ViewId, asked: Dot
) -> None:
    mine, theirs = Past({}, set(one), low), Past({}, set(two), high)
    assert mine.with_all(theirs).has(asked) == (mine.has(asked) or theirs.has(asked))


@given(known, floors, known, floors)
def test_strip_and_fill_are_inverse_under_a_oldest_view(
    some: frozenset[Dot], oldest_view: ViewId, past: frozenset[Dot], told: ViewId
) -> None:
    clock = clock_of(some, oldest_view)
    filled = fill(Item({}, Past({}, set(past), told)), clock)
    kept = strip(filled, clock)
    assert {dot for dot in below(THIRD) | some | past if fill(kept, clock).past.has(dot)} == {
        dot for dot in below(THIRD) | some | past if filled.past.has(dot)
    }
    assert kept.past.oldest_view in (NO_VIEW, told)
    assert not any(clock.drops(actor) for actor, _ in kept.past.loose)


def test_an_old_copy_does_not_come_back_from_below_the_oldest_view() -> None:
    """A store without a name for the delete still knows that it saw the value."""
    old = Item({("a", 1): Version(b"v")}, Past({"a": 1}))
    here = fill(Item(), clock_of(frozenset(), SECOND))
    assert sync(here, old).versions == {}
    assert discard(old, Past(oldest_view=SECOND)).versions == {}
    newer = Item({("a.2.p", 1): Version(b"w")}, Past({"a.2.p": 1}))
    assert sync(here, newer).versions == newer.versions


# ---- tokens


def test_an_answer_drops_what_is_retired_and_nothing_else() -> None:
    token = Token(
        {"a": 5, "a.2.p": 2}, {("b", 4): PEAR, ("b.2.p", 1): PEAR, ("a.3.q", 1): PLUM}, ALL_KEYS
    )
    kept = token.in_view(THIRD, SECOND)
    assert kept.floor == {"a.2.p": 2}
    assert kept.exact == {("b.2.p", 1): PEAR, ("a.3.q", 1): PLUM}
    assert (kept.keys, kept.view) == (ALL_KEYS, THIRD)
    none = Token({"a": 5}, {}, ALL_KEYS).in_view(SECOND, SECOND)
    assert (none.floor, none.keys) == ({}, b"")


def test_a_token_keeps_the_highest_view_that_its_client_has_met() -> None:
    assert Token(view=THIRD).in_view(SECOND, FIRST).view == THIRD
    assert Token().in_view(SECOND, FIRST).view == SECOND
    assert Token({}, {("a", 1): PEAR}).joined(Token(view=SECOND)).view == SECOND
    assert Token(view=SECOND).after_write(PEAR, ("a", 1), (1, 0, "a"), {}).view == SECOND
    exact = {("a", n): key_hash_of(f"key{n}", False) for n in range(1, 50)}
    assert Token({}, exact, view=SECOND).trimmed({}).view == SECOND


def test_in_the_first_view_nothing_is_said_of_views() -> None:
    token = Token({}, {("a", 1): PEAR})
    assert token.in_view(FIRST, FIRST) is token
    assert b'"w"' not in encode(Token({}, {("a", 1): PEAR}, view=FIRST))


def test_the_view_travels_as_w() -> None:
    actor = actor_of(SECOND, "node")
    token = Token({}, {(actor, 3): PEAR}, view=ViewId(12, "Zz90"))
    wire = json.loads(encode(token))
    assert wire["w"] == [12, "Zz90"]
    assert decode(wire) == token
    assert decode({"v": 1, "w": [2, ""]}).view == ViewId(2)


@pytest.mark.parametrize(
    "w", [3, [3], [3, 4], ["3", "p"], [-1, ""], [2**53, ""], [2, "x" * 7], [1, "p", 2], [None, ""]]
)
def test_a_view_that_is_none_is_malformed(w: object) -> None:
    with pytest.raises(Malformed):
        decode({"v": 1, "w": w})


@pytest.mark.parametrize(
    ("actor", "view"),
    [
        ("a", FIRST),
        ("a1B2c3.1", FIRST),
        ("a1B2c3.12.Zz90", ViewId(12, "Zz90")),
        ("a1B2c3.x.Zz90", FIRST),
        (".", FIRST),
    ],
)
def test_an_actor_names_the_view_it_writes_in(actor: str, view: ViewId) -> None:
    assert view_of(actor) == view


@given(st.text(max_size=12), st.integers(1, 99), st.sampled_from(["", "Zz90", "a-_Z"]))
def test_the_actor_of_a_node_is_of_that_view(node_id: str, number: int, proposer: str) -> None:
    assert view_of(actor_of(ViewId(number, proposer), node_id)) == ViewId(number, proposer)


def test_what_a_context_has_seen_below_its_oldest_view_stays_replaced() -> None:
    """A client that has read below an oldest view has no names for it, so the write keeps the
    oldest view."""
    old, new = ("x.1", 1), ("x.4", 1)
    context = Past({}, set(), THIRD)
    written = discard(Item({old: Version(b"v")}, Past()), context)
    assert written.versions == {}
    late = Item({old: Version(b"v"), new: Version(b"w")}, Past({"x.1": 1, "x.4": 1}))
    assert set(sync(written, late).versions) == {new}
