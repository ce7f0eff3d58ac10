"""A list of keys is answered by a member from its own whole state, as far as the token asks."""

import pytest

from node.core import messages as m
from node.core.listing import NO_SHARD, NOT_ARRIVED
from node.core.siblings import Item, Past, Version
from node.core.token import Token
from node.core.view import FIRST, actor_of, digest_of
from tests.core.given import stamp
from tests.core.test_moving import MOVED, SECOND, moved, views
from tests.core.test_replica import FIG, NOW, PEAR, One

ALL_KEYS = b"\xff" * 64


def member() -> One:
    """A member that has arrived, and has heard of the others."""
    one = One()
    for node in ("a2", "b1", "b2"):
        one.step(node, m.Beat(f"id of {node}"))
    one.arrive()
    return one


def listed(one: One, wish: m.List | None = None) -> m.Outcome | None:
    replies = one.submit(wish or m.List()).replies
    return replies[0][1] if replies else None


def put(one: One, key: str, value: bytes | None, token: Token | None = None) -> None:
    write = m.Put(key, value, token=token or Token())
    one.step("a2", m.Accept(one.replica.next_request(NOW), write))


def test_lists_the_live_keys_of_its_shard_with_their_values() -> None:
    one = member()
    put(one, PEAR, b"green")
    put(one, "plum", b"blue")
    put(one, "plum", None)
    outcome = listed(one)
    assert isinstance(outcome, m.Listed)
    assert (outcome.shard, outcome.items) == ("s1", {PEAR: (b"green",)})


def test_its_token_is_the_union_over_all_that_is_held_marks_included() -> None:
    one = member()
    put(one, PEAR, b"green", token=Token({}, {("z", 9): digest_of("far", True)}))
    put(one, "plum", None)
    actor = one.replica.keyspace.actor
    outcome = listed(one, m.List(token=Token({}, {("y", 2): digest_of(FIG, True)})))
    assert isinstance(outcome, m.Listed)
    assert outcome.token.exact == {
        ("y", 2): digest_of(FIG, True),
        ("z", 9): digest_of("far", True),
        (actor, 1): digest_of(PEAR, True),
        (actor, 2): digest_of("plum", True),
    }


def test_what_everybody_has_is_not_in_its_token() -> None:
    one = member()
    put(one, PEAR, b"green")
    one.replica.keyspace.stable = {one.replica.keyspace.actor: 1}
    outcome = listed(one)
    assert isinstance(outcome, m.Listed)
    assert outcome.token.exact == {}


def test_of_siblings_all_are_listed_newest_first() -> None:
    one = member()
    versions = {
        ("x", 1): Version(b"old", stamp=stamp(1)),
        ("y", 1): Version(b"new", stamp=stamp(2)),
        ("z", 1): Version(None, stamp=stamp(3)),
    }
    item = Item(versions, Past({"x": 1, "y": 1, "z": 1}))
    one.step("a2", m.Replicate(1, "a2", PEAR, item, ("x", 1)))
    shown = listed(one, m.List(m.Mode.SIBLINGS))
    assert isinstance(shown, m.Listed)
    assert shown.items == {PEAR: (b"new", b"old")}
    hidden = listed(one)
    assert isinstance(hidden, m.Listed)
    assert hidden.items == {}


@pytest.mark.parametrize(
    ("token", "missing"),
    [
        (Token({}, {("x", 4): digest_of(PEAR, True)}), {"x": (0, 4)}),
        (Token({}, {("x", 4): digest_of(FIG, True)}), {}),  # of another shard
        (Token({"x": 3}, {}, ALL_KEYS), {"x": (0, 3)}),
        (Token({actor_of(FIRST, "id of b1"): 3}, {}, ALL_KEYS), {}),  # it wrote for others
        (Token(view=SECOND), {"view.2.p": (1, 2)}),
    ],
)
def test_what_the_token_says_of_the_shard_must_be_here(
    token: Token, missing: dict[str, tuple[int, int]]
) -> None:
    outcome = listed(member(), m.List(token=token))
    if missing:
        assert outcome == m.Unmet(missing)
    else:
        assert isinstance(outcome, m.Listed)


def test_what_is_stable_is_here() -> None:
    one = member()
    one.replica.keyspace.stable = {"x": 4}
    outcome = listed(
        one, m.List(token=Token({"x": 4}, {("x", 3): digest_of(PEAR, True)}, ALL_KEYS))
    )
    assert isinstance(outcome, m.Listed)


def test_it_waits_as_long_as_it_may_for_what_is_missing() -> None:
    one = member()
    wish = m.List(token=Token({}, {("x", 1): digest_of(PEAR, True)}), wait_s=1.0)
    assert listed(one, wish) is None
    assert not one.step("a1", m.Tick(), NOW + 0.9).replies
    item = Item({("x", 1): Version(b"v")}, Past({"x": 1}))
    one.step("a2", m.Replicate(1, "a2", PEAR, item, ("x", 1)))
    [(_, outcome)] = one.step("a1", m.Tick(), NOW + 0.95).replies
    assert isinstance(outcome, m.Listed)
    assert listed(one, m.List(token=Token(view=SECOND), wait_s=1.0)) is None
    assert one.step("a1", m.Tick(), NOW + 1).replies == [(7, m.Unmet({"view.2.p": (1, 2)}))]


def test_nothing_is_listed_before_all_slots_have_arrived() -> None:
    assert listed(One()) == NOT_ARRIVED
    one = moved("b2")
    assert listed(one) == NOT_ARRIVED
    one.step("a1", views(MOVED, floor=SECOND))
    assert isinstance(listed(one), m.Listed)


def test_a_node_of_no_shard_lists_nothing() -> None:
    assert listed(One("x1")) == NO_SHARD


def test_dots_below_the_floor_are_asked_of_nobody() -> None:
    one = moved("b2")
    one.step("a1", views(MOVED, floor=SECOND))
    token = Token({"x": 9}, {("x", 4): digest_of(PEAR, True)}, ALL_KEYS, view=SECOND)
    outcome = listed(one, m.List(token=token))
    assert isinstance(outcome, m.Listed)
    assert (outcome.token.exact, outcome.token.floor) == ({}, {})
