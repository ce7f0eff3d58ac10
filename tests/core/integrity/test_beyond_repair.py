"""A node reports as lost what no other replica holds."""

import pytest

from node.core.integrity.row_repair import ASK_AGAIN_S, GIVE_UP_S
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past
from node.core.model.keys import row_of, slot_of_key
from node.core.model.placement import first_view
from node.core.model.slots import ALL
from node.core.model.view import ViewId
from node.core.protocol.effects import Damaged
from tests.core.damage import ALONE, HELD, NEWER, suffering, tick, told
from tests.core.moves import SECOND
from tests.core.one import NOW, PEAR


def test_alone_it_says_so_at_once() -> None:
    with pytest.raises(
        Damaged, match=f"of key '{PEAR}', is damaged and no other node holds"
    ) as got:
        tick(suffering(ALONE))
    assert got.value.row == row_of(PEAR)


def test_what_no_other_node_has_is_named() -> None:
    """The node reports an acknowledged write that only this disk had."""
    one = suffering(item=NEWER)
    tick(one)
    told(one, HELD)
    tick(one, NOW + GIVE_UP_S)  # a3 has not answered
    told(one, Item({}, Past()), "a3")
    with pytest.raises(Damaged, match=r"a2, a3 lack writes of it, which are lost: 2 of x$"):
        tick(one, NOW + GIVE_UP_S + ASK_AGAIN_S)


def test_of_many_only_some_are_named() -> None:
    one = suffering(first_view(["a1", "a2"], 1))
    one.replica.keyspace.join(ALL, DotClock({"z": 9}), ())
    tick(one)
    told(one, HELD)
    with pytest.raises(Damaged, match="1 of z, 2 of z, 3 of z, 4 of z, 5 of z and 4 more"):
        tick(one, NOW + GIVE_UP_S)


def test_what_was_answered_in_another_view_does_not_count() -> None:
    one = suffering(item=NEWER)
    tick(one)
    told(one, HELD)
    told(one, HELD, "a3")
    one.replica.maintenance.row_repair.suspects[PEAR].view = ViewId(0, "")
    tick(one, NOW + GIVE_UP_S)
    assert one.replica.maintenance.row_repair.suspects[PEAR].answered == set()
    dots: set[Dot] = set(one.replica.maintenance.row_repair.suspects[PEAR].item.versions)
    assert dots == {("x", 1)}


def test_a_holder_that_has_not_arrived_cannot_tell_what_retired_views_wrote() -> None:
    """Perhaps nothing is lost: those writes have no names by which a node could know it."""
    one = suffering(first_view(["a1", "a2"], 1), item=HELD)
    part = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert part is not None
    part.clock.raise_oldest_view(SECOND)
    tick(one)
    told(one, Item({}, Past({"x": 9})))
    with pytest.raises(Damaged, match=r"a2 cannot tell .* keep this node's data directory$"):
        tick(one, NOW + GIVE_UP_S)
