"""What the others do not hold either is lost, and is said to be."""

import pytest

from node.core.clock import Clock, Dot
from node.core.effects import Damaged
from node.core.healing import ASK_AGAIN_S, GIVE_UP_S
from node.core.parts import ALL
from node.core.siblings import Item, Past
from node.core.view import ViewId, first_view
from node.core.walk import row_of
from tests.core.test_healing import ALONE, HELD, NEWER, suffering, tick, told
from tests.core.test_replica import NOW, PEAR


def test_alone_it_says_so_at_once() -> None:
    with pytest.raises(
        Damaged, match=f"of key '{PEAR}', is damaged and no other node holds"
    ) as got:
        tick(suffering(ALONE))
    assert got.value.row == row_of(PEAR)


def test_what_nobody_else_has_is_named() -> None:
    """An acknowledged write that was on this disk alone is not passed over."""
    one = suffering(item=NEWER)
    tick(one)
    told(one, HELD)
    tick(one, NOW + GIVE_UP_S)  # a3 has not answered
    told(one, Item({}, Past()), "a3")
    with pytest.raises(Damaged, match=r"a2, a3 lack writes of it, which are lost: 2 of x$"):
        tick(one, NOW + GIVE_UP_S + ASK_AGAIN_S)


def test_of_many_only_some_are_named() -> None:
    one = suffering(first_view(["a1", "a2"], 1))
    one.replica.keyspace.join(ALL, Clock({"z": 9}), ())
    tick(one)
    told(one, HELD)
    with pytest.raises(Damaged, match="1 of z, 2 of z, 3 of z, 4 of z, 5 of z and 4 more"):
        tick(one, NOW + GIVE_UP_S)


def test_what_was_answered_in_another_view_does_not_count() -> None:
    one = suffering(item=NEWER)
    tick(one)
    told(one, HELD)
    told(one, HELD, "a3")
    one.replica.upkeep.healing.suspects[PEAR].view = ViewId(0, "")
    tick(one, NOW + GIVE_UP_S)
    assert one.replica.upkeep.healing.suspects[PEAR].told == set()
    dots: set[Dot] = set(one.replica.upkeep.healing.suspects[PEAR].item.versions)
    assert dots == {("x", 1)}
