"""A member answers a list of keys from its own whole state, as far as the token asks."""

import pytest

from node.core.model.actors import actor_of
from node.core.model.conditions import Mode
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.operations import List, Listed, Outcome, Put, Unmet
from node.core.requests.key_lists import NO_SHARD, NOT_ARRIVED
from tests.core.given import stamp
from tests.core.moves import SECOND, moved, settled
from tests.core.one import FIG, NOW, PEAR, One

ALL_KEYS = b"\xff" * 64


def member() -> One:
    """A member that has arrived, and has heard of the others."""
    one = One()
    for node in ("a2", "b1", "b2"):
        one.step(node, m.Heartbeat(f"id of {node}"))
    one.arrive()
    return one


def listed(one: One, wanted: List | None = None) -> Outcome | None:
    replies = one.submit(wanted or List()).replies
    return replies[0][1] if replies else None


def put(one: One, key: str, value: bytes | None, token: Token | None = None) -> None:
    write = Put(key, value, token=token or Token())
    one.step("a2", m.Accept(one.replica.next_request(NOW), write))


def test_lists_the_live_keys_of_its_shard_with_their_values() -> None:
    one = member()
    put(one, PEAR, b"green")
    put(one, "plum", b"blue")
    put(one, "plum", None)
    outcome = listed(one)
    assert isinstance(outcome, Listed)
    assert (outcome.shard, outcome.items) == ("s1", {PEAR: (b"green",)})


def test_its_token_is_the_union_over_all_that_is_held_marks_included() -> None:
    one = member()
    put(one, PEAR, b"green", token=Token({}, {("z", 9): key_hash_of("far", True)}))
    put(one, "plum", None)
    actor = one.replica.keyspace.actor
    outcome = listed(one, List(token=Token({}, {("y", 2): key_hash_of(FIG, True)})))
    assert isinstance(outcome, Listed)
    assert outcome.token.exact == {
        ("y", 2): key_hash_of(FIG, True),
        ("z", 9): key_hash_of("far", True),
        (actor, 1): key_hash_of(PEAR, True),
        (actor, 2): key_hash_of("plum", True),
    }


def test_what_all_replicas_have_is_not_in_its_token() -> None:
    one = member()
    put(one, PEAR, b"green")
    one.replica.keyspace.watermarks.cluster = {one.replica.keyspace.actor: 1}
    outcome = listed(one)
    assert isinstance(outcome, Listed)
    assert outcome.token.exact == {}


def test_of_siblings_all_are_listed_newest_first() -> None:
    one = member()
    versions = {
        ("x", 1): Version(b"old", timestamp=stamp(1)),
        ("y", 1): Version(b"new", timestamp=stamp(2)),
        ("z", 1): Version(None, timestamp=stamp(3)),
    }
    item = Item(versions, Past({"x": 1, "y": 1, "z": 1}))
    one.step("a2", m.Replicate(1, "a2", PEAR, item, ("x", 1)))
    shown = listed(one, List(Mode.SIBLINGS))
    assert isinstance(shown, Listed)
    assert shown.items == {PEAR: (b"new", b"old")}
    latest = listed(one)
    assert isinstance(latest, Listed)
    assert latest.items == {PEAR: (b"new",)}  # the delete has not seen it


def test_a_delete_in_lww_mode_hides_what_is_older() -> None:
    one = member()
    versions = {
        ("x", 1): Version(b"old", timestamp=stamp(1), lww=True),
        ("z", 1): Version(None, timestamp=stamp(3), lww=True),
    }
    item = Item(versions, Past({"x": 1, "z": 1}))
    one.step("a2", m.Replicate(1, "a2", PEAR, item, ("x", 1)))
    hidden = listed(one)
    assert isinstance(hidden, Listed)
    assert hidden.items == {}


def test_siblings_are_listed_when_what_they_depend_on_within_their_key_is_here() -> None:
    one = member()
    mark = Version(None, deps=Token({}, {("x", 4): key_hash_of(PEAR, False)}))
    deleted = Item({("y", 2): mark}, Past({"y": 2}))
    one.step("a2", m.Replicate(1, "a2", PEAR, deleted, ("y", 2)))
    assert listed(one, List(Mode.SIBLINGS)) == Unmet({"x": (0, 4)})
    assert listed(one, List(Mode.SIBLINGS, wait_s=1.0)) is None
    came = Item({("x", 4): Version(b"v")}, Past({"x": 4}))
    one.step("a2", m.Replicate(1, "a2", PEAR, came, ("x", 4)))
    [(_, outcome)] = one.step("a1", events.Tick(), NOW + 0.1).replies
    assert isinstance(outcome, Listed)
    assert outcome.items == {PEAR: (b"v",)}


@pytest.mark.parametrize(
    ("token", "missing"),
    [
        (Token({}, {("x", 4): key_hash_of(PEAR, True)}), {"x": (0, 4)}),
        (Token({}, {("x", 4): key_hash_of(FIG, True)}), {}),  # of another shard
        (Token({"x": 3}, {}, ALL_KEYS), {"x": (0, 3)}),
        (Token({actor_of(FIRST, "id of b1"): 3}, {}, ALL_KEYS), {}),  # it wrote for others
        (Token(view=SECOND), {"view.2.p": (1, 2)}),
    ],
)
def test_what_the_token_says_of_the_shard_must_be_here(
    token: Token, missing: dict[str, tuple[int, int]]
) -> None:
    outcome = listed(member(), List(token=token))
    if missing:
        assert outcome == Unmet(missing)
    else:
        assert isinstance(outcome, Listed)


def test_what_is_stable_is_here() -> None:
    one = member()
    one.replica.keyspace.watermarks.cluster = {"x": 4}
    outcome = listed(
        one, List(token=Token({"x": 4}, {("x", 3): key_hash_of(PEAR, True)}, ALL_KEYS))
    )
    assert isinstance(outcome, Listed)


def test_it_waits_as_long_as_it_may_for_what_is_missing() -> None:
    one = member()
    wanted = List(token=Token({}, {("x", 1): key_hash_of(PEAR, True)}), wait_s=1.0)
    assert listed(one, wanted) is None
    assert not one.step("a1", events.Tick(), NOW + 0.9).replies
    item = Item({("x", 1): Version(b"v")}, Past({"x": 1}))
    one.step("a2", m.Replicate(1, "a2", PEAR, item, ("x", 1)))
    [(_, outcome)] = one.step("a1", events.Tick(), NOW + 0.95).replies
    assert isinstance(outcome, Listed)
    assert listed(one, List(token=Token(view=SECOND), wait_s=1.0)) is None
    assert one.step("a1", events.Tick(), NOW + 1).replies == [(7, Unmet({"view.2.p": (1, 2)}))]


def test_nothing_is_listed_before_all_slots_have_arrived() -> None:
    assert listed(One()) == NOT_ARRIVED
    one = moved("b2")
    assert listed(one) == NOT_ARRIVED
    settled(one)
    assert isinstance(listed(one), Listed)


def test_a_node_of_no_shard_lists_nothing() -> None:
    assert listed(One("x1")) == NO_SHARD


def test_dots_below_the_oldest_view_are_asked_of_no_node() -> None:
    one = moved("b2")
    settled(one)
    token = Token({"x": 9}, {("x", 4): key_hash_of(PEAR, True)}, ALL_KEYS, view=SECOND)
    outcome = listed(one, List(token=token))
    assert isinstance(outcome, Listed)
    assert (outcome.token.exact, outcome.token.floor) == ({}, {})
