"""A write whose message to an owner was lost is told to it again."""

from node.core.model.conditions import Mode
from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version
from node.core.model.options import Options
from node.core.model.view import ViewId
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Put
from tests.core.moves import MOVED, SECOND, view_at, views
from tests.core.one import NOW, PEAR, VIEW, One


def named(one: One, put: Put | None = None) -> Dot:
    effects = one.step("b1", m.Accept(1 if put is None else 2, put or Put(PEAR, b"v")))
    [written] = [tell for _, tell in effects.tells if isinstance(tell, m.Written)]
    return written.dot


def told_again(one: One, dot: Dot, *owners: str) -> Effects:
    return one.step("b1", m.ReplicateAgain(1, PEAR, dot, owners), NOW + 0.3)


def test_it_is_told_to_the_owners_that_lack_it_and_to_no_other_node() -> None:
    one = One()
    dot = named(one)
    [(peer, told)] = told_again(one, dot, "a1", "a2", "b2").tells  # b2 owns no such key
    assert peer == "a2"
    assert told == m.Replicate(1, "b1", PEAR, one.replica.peek(PEAR), dot)


def test_after_a_view_change_it_is_told_to_the_new_owners() -> None:
    one = One()
    dot = named(one)
    one.step("a2", views(MOVED))
    assert [peer for peer, _ in told_again(one, dot, "a2", "b2").tells] == ["a2", "b2"]


def test_a_home_that_does_not_own_the_key_any_more_tells_it_too() -> None:
    one = One()
    dot = named(one)
    one.step("a2", views(view_at(SECOND, "a1", "s2")))  # a2 | b1 b2 a1
    assert [peer for peer, _ in told_again(one, dot, "a2").tells] == ["a2"]


def test_a_write_that_is_not_here_is_not_told() -> None:
    one = One()
    named(one)
    assert told_again(one, ("x", 9), "a2").tells == []


def test_what_was_forgotten_since_is_not_told() -> None:
    """All owners had it then; an empty state would say that it never was."""
    one = One()
    dot = named(one)
    one.step("a2", views(view_at(SECOND, "a1", "s2")))
    one.replica.keyspace.forget(VIEW.slots_of_shard(0))
    one.step("a2", views(view_at(ViewId(3, "p"), "a1", "s1")))
    assert told_again(one, dot, "a2").tells == []


def test_what_has_replaced_it_is_told_with_its_dot() -> None:
    one = One()
    dot = named(one)
    named(one, Put(PEAR, b"w"))
    [(_, told)] = told_again(one, dot, "a2").tells
    assert isinstance(told, m.Replicate)
    assert told.dot == dot
    assert [version.value for version in told.item.versions.values()] == [b"w"]


def test_what_has_become_too_large_for_one_message_is_left_to_repair() -> None:
    one = One(options=Options(message_bytes_max=1))
    dot = named(one, Put(PEAR, b"vv", Mode.SIBLINGS))
    one.step("b1", m.Accept(3, Put(PEAR, b"vv", Mode.SIBLINGS)))
    assert told_again(one, dot, "a2").tells == []


def test_a_write_that_comes_alone_is_taken_only_where_what_it_has_replaced_is_here() -> None:
    """What that had replaced in its turn would come back."""
    one, old, new = One(), ("hhhhhhrrrrrr.1", 1), ("hhhhhhrrrrrr.1", 2)
    item = Item({new: Version(b"w")}, Past({}, {old, new}))
    alone = m.Replicate(1, "b1", PEAR, item, new, alone=True)
    effects = one.step("a2", alone)
    assert {type(tell) for _, tell in effects.tells} == {m.Compare}
    assert not one.replica.peek(PEAR).versions
    before = Item({old: Version(b"v")}, Past({old[0]: 1}))
    one.step("a2", m.Replicate(2, "b1", PEAR, before, old))
    assert ("b1", m.Ack(1, new)) in one.step("a2", alone).tells
    assert list(one.replica.peek(PEAR).versions) == [new]
