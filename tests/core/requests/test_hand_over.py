"""An owner judges a write that a node of another shard has kept for it, by its own clock."""

import pytest

from cluster.simulator.memory_store import write_rows
from node.core.model.actors import Actor, actor_of
from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version
from node.core.model.keys import row_of
from node.core.model.view import FIRST
from node.core.protocol import messages as m
from node.core.protocol.effects import DAMAGED, Effects, Record
from node.core.protocol.hints import HandOver, TakenOver
from node.core.storage.keyspace import ENCODER
from tests.core.moves import MOVED, SECOND, moved, settled, views
from tests.core.one import FIG, PEAR, One


def told(dot: Dot, key: str = PEAR, past: Past | None = None) -> HandOver:
    return HandOver(9, key, Item({dot: Version(b"v")}, past or Past({dot[0]: dot[1]})), dot)


def hand_over(one: One, message: HandOver, source: str = "b1") -> Effects:
    return one.step(source, message)


def answers(effects: Effects) -> list[tuple[str, object]]:
    return [(peer, tell) for peer, tell in effects.tells if isinstance(tell, TakenOver)]


def actor_at(one: One, node_id: str) -> Actor:
    return actor_of(one.replica.view.id, node_id, "rrrrrr")


def test_a_write_is_merged_and_its_holder_told() -> None:
    one, dot = One(), ("hhhhhhrrrrrr.1", 1)
    effects = hand_over(one, told(dot))
    assert answers(effects) == [("b1", TakenOver(9, dot))]
    assert list(one.replica.peek(PEAR).versions) == [dot]
    assert one.replica.keyspace.clock_of(PEAR).has(dot)


def test_a_write_that_was_replaced_since_does_not_come_back() -> None:
    one, old, new = One(), ("hhhhhhrrrrrr.1", 1), ("hhhhhhrrrrrr.1", 2)
    newer = m.Replicate(1, "a2", PEAR, Item({new: Version(b"w")}, Past({new[0]: 2})), new)
    one.step("a2", newer)
    assert answers(hand_over(one, told(old))) == [("b1", TakenOver(9, old))]
    assert list(one.replica.peek(PEAR).versions) == [new]


def test_it_is_taken_twice_without_a_change() -> None:
    one, dot = One(), ("hhhhhhrrrrrr.1", 1)
    hand_over(one, told(dot))
    again = hand_over(one, told(dot))
    assert (answers(again), again.records) == ([("b1", TakenOver(9, dot))], [])


def test_a_node_that_does_not_own_the_key_takes_nothing_and_says_nothing() -> None:
    effects = hand_over(One(), told(("hhhhhhrrrrrr.1", 1), FIG))
    assert (effects.tells, effects.records) == ([], [])


def test_a_write_below_the_oldest_view_is_known_already() -> None:
    one = moved("a1")
    settled(one)
    dot = ("hhhhhhrrrrrr.1", 1)
    assert answers(hand_over(one, told(dot))) == [("b1", TakenOver(9, dot))]
    assert not one.replica.peek(PEAR).versions


def test_a_write_of_an_older_view_that_is_not_retired_is_taken() -> None:
    one = moved("a1")
    dot = ("hhhhhhrrrrrr.1", 1)
    hand_over(one, told(dot))
    assert list(one.replica.peek(PEAR).versions) == [dot]


@pytest.mark.parametrize("view", [FIRST, SECOND])
def test_a_write_of_an_incarnation_that_has_ended_is_given_up(view: object) -> None:
    """The members may have closed it, in this view or in the one before."""
    one = One()
    one.step("a2", m.Heartbeat("old disk"))
    one.step("a2", m.Gossip({"a2": {"old disk": 1, "new disk": 2}}, {}))
    dot = (actor_of(FIRST, "old disk", "rrrrrr"), 1)
    if view == SECOND:
        one.step("a2", views(MOVED))
    assert answers(hand_over(one, told(dot))) == [("b1", TakenOver(9, dot))]
    assert not one.replica.peek(PEAR).versions


def test_a_write_of_a_doubted_run_waits_for_comparisons() -> None:
    one = One()
    dot = (actor_at(one, "id of a2"), 1)
    one.replica.views.doubts.refuse(dot[0])
    assert hand_over(one, told(dot)).tells == []
    assert not one.replica.peek(PEAR).versions
    one.replica.keyspace.take(PEAR, told(dot).item, (dot,), 1.0)
    assert answers(hand_over(one, told(dot))) == [("b1", TakenOver(9, dot))]


def test_a_write_of_a_run_that_is_closed_is_given_up() -> None:
    """The members have agreed what they have of it."""
    one = One()
    dot = (actor_at(one, "id of a2"), 1)
    one.replica.views.doubts.refuse(dot[0])
    one.replica.maintenance.repair.close(dot[0])
    assert answers(hand_over(one, told(dot))) == [("b1", TakenOver(9, dot))]
    assert not one.replica.peek(PEAR).versions


def damaged(one: One, dot: Dot) -> None:
    """Let the disk change the row of a key that has this write."""
    hand_over(one, told(dot))
    assert one.rows.read("item", row_of(PEAR)) == ENCODER.encode(one.replica.keyspace.item(PEAR))
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), DAMAGED)])
    one.replica.keyspace._cache.drop(PEAR)  # as after a restart


def test_a_damaged_row_is_repaired_by_it() -> None:
    one, dot = One(), ("hhhhhhrrrrrr.1", 1)
    damaged(one, dot)
    assert answers(hand_over(one, told(dot))) == [("b1", TakenOver(9, dot))]
    assert list(one.replica.peek(PEAR).versions) == [dot]


def test_a_damaged_row_that_it_does_not_make_whole_stays_unknown() -> None:
    one, dot = One(), ("hhhhhhrrrrrr.1", 2)
    hand_over(one, told(("hhhhhhrrrrrr.1", 1)))
    damaged(one, dot)
    assert answers(hand_over(one, told(("hhhhhhrrrrrr.1", 1)))) == []
