"""What all nodes have, as one of them joins it: of every write that was acknowledged before."""

import msgspec

from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version
from node.core.model.keys import FIRST_OF_ALL, SETS, key_hash_of, slot_of_key
from node.core.model.token import ALL_KEYS, Token
from node.core.model.view import ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.inspection import AskClocks, ClocksJoined, ClocksTold, JoinClocks
from node.core.protocol.operations import KeysListed, ListKeys, Outcome, Unmet
from tests.core.one import NOW, PEAR, VIEW, One

OTHERS = ("a2", "b1", "b2")
X, Y = "xxxxxx.1", "yyyyyy.1"
NEWER = ViewId(7, "zzzz")


def one_node() -> One:
    one = One()
    one.arrive()
    return one


def merge(one: One, *dots: Dot, key: str = PEAR) -> None:
    """Let a home tell this node some writes of a key."""
    for dot in dots:
        one.step("a2", m.Replicate(9, "a2", key, Item({dot: Version(b"1")}, Past()), dot))


def told_by(one: One) -> Token:
    """Return what the node tells another one."""
    effects = one.step("b1", AskClocks(3))
    [(peer, told)] = [tell for tell in effects.tells if isinstance(tell[1], ClocksTold)]
    assert isinstance(told, ClocksTold)
    assert (peer, told.request, effects.asks) == ("b1", 3, [])
    return told.token


def ask(one: One, timeout_s: float = 1.0, now: float = NOW) -> list[Outcome]:
    return [outcome for _, outcome in one.submit(JoinClocks(timeout_s), now=now).replies]


def tell(one: One, peer: str, token: Token) -> list[Outcome]:
    return [outcome for _, outcome in one.step(peer, ClocksTold(7, token)).replies]


# ------------------------------------------------------------------ what a node tells
def test_a_node_tells_all_that_it_has_with_floors_that_bind_every_key() -> None:
    one = one_node()
    merge(one, (X, 1), (X, 2))
    assert told_by(one) == Token({X: 2}, {}, ALL_KEYS, view=VIEW.id)


def test_a_write_above_a_gap_is_named_and_the_gap_is_not_claimed() -> None:
    one = one_node()
    merge(one, (X, 1), (X, 3))
    assert told_by(one) == Token({X: 1}, {(X, 3): key_hash_of(PEAR, False)}, ALL_KEYS, view=VIEW.id)


def test_a_write_whose_key_is_not_known_raises_the_floor() -> None:
    one = one_node()
    one.replica.keyspace.parts.add(1 << slot_of_key(PEAR), [(X, 3)])
    assert told_by(one) == Token({X: 3}, {}, ALL_KEYS, view=VIEW.id)


def test_a_node_that_has_nothing_tells_nothing() -> None:
    assert told_by(one_node()) == Token(view=VIEW.id)


def test_what_is_told_travels() -> None:
    one = one_node()
    merge(one, (X, 1), (X, 3))
    told = m.Envelope(one.replica.views.epoch, ClocksTold(3, told_by(one)))
    raw = msgspec.msgpack.encode(told)
    assert msgspec.msgpack.decode(raw, type=m.Envelope) == told


# ------------------------------------------------------------------ the node that asks
def test_all_nodes_are_asked_and_what_they_have_is_joined() -> None:
    one = one_node()
    merge(one, (X, 1))
    asked = one.submit(JoinClocks(1.0))
    assert sorted(peer for peer, each in asked.asks if each == AskClocks(7)) == [*OTHERS]
    assert tell(one, "a2", Token({X: 2}, {}, ALL_KEYS, view=VIEW.id)) == []
    assert tell(one, "b1", Token({Y: 5}, {}, ALL_KEYS, view=VIEW.id)) == []
    [joined] = tell(one, "b2", Token(view=VIEW.id))
    name = one.replica.keyspace.name
    assert joined == ClocksJoined(
        Token({X: 2, Y: 5}, {}, ALL_KEYS, view=VIEW.id, name=name), silent=()
    )
    assert tell(one, "b2", Token()) == []  # once more: it is over


def test_nodes_that_are_cut_off_are_named_and_not_waited_for() -> None:
    one = one_node()
    for peer in OTHERS:
        one.step("a1", events.LinkDown(peer))
    [joined] = ask(one)
    assert isinstance(joined, ClocksJoined)
    assert joined.silent == OTHERS


def test_a_silent_node_is_asked_again_and_named_when_the_time_is_over() -> None:
    one = one_node()
    ask(one, 0.5)
    for peer in ("b1", "b2"):
        tell(one, peer, Token())
    again = one.step("a1", events.Tick(), NOW + 0.3)
    assert [each for each in again.asks if isinstance(each[1], AskClocks)] == [("a2", AskClocks(7))]
    ended = one.step("a1", events.Tick(), NOW + 0.6)
    [joined] = [outcome for number, outcome in ended.replies if number == 7]
    assert isinstance(joined, ClocksJoined)
    assert joined.silent == ("a2",)


def test_a_newer_view_is_waited_for() -> None:
    """Its nodes may be others, and a write may be on their disks alone."""
    one = one_node()
    ask(one, 0.5)
    for peer in OTHERS:
        assert tell(one, peer, Token(view=NEWER)) == []
    ended = one.step("a1", events.Tick(), NOW + 0.6)
    [joined] = [outcome for number, outcome in ended.replies if number == 7]
    assert isinstance(joined, ClocksJoined)
    assert (joined.token.view, joined.silent) == (VIEW.id, ("a node of a newer view",))


# ------------------------------------------------------------------ what it is for
def test_a_list_with_the_token_waits_for_what_another_node_has() -> None:
    one = one_node()
    slots = one.replica.view.slots_of_shard(0)
    ask(one)
    tell(one, "a2", Token({X: 1}, {}, ALL_KEYS, view=VIEW.id))
    tell(one, "b1", Token())
    [joined] = tell(one, "b2", Token())
    assert isinstance(joined, ClocksJoined)
    wanted = ListKeys(slots, FIRST_OF_ALL, token=joined.token, timeout_s=1.0)
    assert one.submit(wanted, 8).replies == []
    late = one.step("a1", events.Tick(), NOW + 1.0)
    assert [outcome for number, outcome in late.replies if number == 8] == [Unmet({X: (0, 1)})]
    merge(one, (X, 1))
    [(_, listed)] = one.submit(wanted, 9).replies
    assert isinstance(listed, KeysListed)
    assert listed.keys == [PEAR]


def test_a_list_of_all_keys_has_counters_and_sets() -> None:
    one = one_node()
    slots = one.replica.view.slots_of_shard(0)
    tags = next(k for k in (f"{SETS}{n}" for n in range(99)) if slots >> slot_of_key(k) & 1)
    merge(one, (X, 1))
    merge(one, (X, 2), key=tags)
    for start, keys in ((FIRST_OF_ALL, [tags, PEAR]), ("", [PEAR])):
        [(_, listed)] = one.submit(ListKeys(slots, start)).replies
        assert isinstance(listed, KeysListed)
        assert listed.keys == keys
