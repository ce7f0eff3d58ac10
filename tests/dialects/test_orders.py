"""Orders of data_view become layouts: even, moving little, and the same at every node."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from node.api.contract import Refused
from node.api.dialects.data_view.orders import (
    NODES_MAX,
    SHARDS_MAX,
    TURNS_MAX,
    order_of,
    without_address,
)
from node.core.model.keys import SLOTS, key_hash_of, slot_of
from node.core.model.placement import first_view, moved_slots
from node.core.model.view import View
from tests.dialects.nodes import CALLED, VIEWS, WRITTEN
from tests.dialects.ordered import FOUR, NONE, TWO, Groups, ordered, view_of


def kept(before: View, after: View) -> int:
    return SLOTS - len(moved_slots(before, after))


def test_the_first_view_is_even_and_has_the_names_and_places_that_were_ordered() -> None:
    view = view_of(FOUR, NONE)
    assert [shard.id for shard in view.shards] == list(FOUR)
    assert view.nodes == tuple(WRITTEN)
    assert view.addresses == tuple(f"10.10.0.{n}:8081" for n in range(2, 6))
    assert set(Counter(view.owner).values()) == {SLOTS // 4}


def test_from_2_to_4_shards_half_of_the_slots_move_and_back_again() -> None:
    two = view_of(TWO, NONE)
    four = view_of(FOUR, two)
    assert kept(two, four) == SLOTS // 2
    assert kept(four, view_of(TWO, four)) == SLOTS // 2


def test_a_shard_that_keeps_its_name_keeps_its_slots_with_any_nodes() -> None:
    two = view_of(TWO, NONE)
    assert kept(two, view_of({"Blue": [0, 1], "Red": [2, 3]}, two)) == SLOTS
    assert kept(two, view_of({"Blue": [4], "Red": [5]}, two)) == SLOTS


def test_a_shard_that_is_renamed_goes_on_with_the_slots_of_its_nodes() -> None:
    two = view_of(TWO, NONE)
    renamed = view_of({"Black": [2, 3], "White": [0, 1]}, two)
    slots = [renamed.shards[place].members for place in renamed.owner]
    assert slots == [two.shards[place].members for place in two.owner]


def test_a_list_is_one_shard() -> None:
    order = order_of({"view": [{"address": "10.10.0.2:8081", "id": 0}]})
    assert [shard.members for shard in order.shards] == [("node-0",)]


@pytest.mark.parametrize(
    ("keys", "shards"),
    [("key{}", (2, 3)), ("key-{}", (6, 7, 8)), ("key{}", (2, 4))],
)
def test_names_in_sequence_spread_evenly(keys: str, shards: tuple[int, ...]) -> None:
    first, last = (1, 2001) if "-" in keys else (0, 600)
    view = NONE
    for many in shards:
        view = view_of({f"Shard{n}": [n] for n in range(many)}, view)
        slots = [slot_of(key_hash_of(keys.format(n), True)) for n in range(first, last)]
        counts = Counter(view.shard_of(slot).id for slot in slots)
        even = len(slots) / many
        assert len(counts) == many
        assert all(abs(count - even) < even / 4 for count in counts.values())


def member(n: int) -> dict[str, Any]:
    return {"address": f"10.10.0.{n % 250}:{1 + n}", "id": n}


def test_an_order_has_bounds() -> None:
    many = [member(n) for n in range(NODES_MAX + 1)]
    assert len(order_of({"view": many[:-1]}).nodes) == NODES_MAX
    shards = {f"s{n}": [member(n)] for n in range(SHARDS_MAX + 1)}
    for wrong in (many, shards, {"s" * 201: many[:1]}):
        with pytest.raises(Refused, match="400"):
            order_of({"view": wrong})
    del shards["s0"]
    view = view_of({"s1": [1], "s2": [2]}, NONE)
    order = order_of({"view": shards})
    assert len(Counter(order.layout(view).owner)) == SHARDS_MAX


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
parts = st.sampled_from(["address", "id", "Shard1", "10.10.0.2:8081"]) | st.text(max_size=3)
trees = st.recursive(
    leaves, lambda tree: st.lists(tree, max_size=3) | st.dictionaries(parts, tree, max_size=3)
)


@given(trees)
def test_whatever_is_put_is_an_order_or_refused(tree: Any) -> None:
    try:
        order = order_of({"view": tree})
    except Refused as refusal:
        reply = refusal.reply
        assert reply.status == 400
        return
    assert set(order.nodes) == {node for shard in order.shards for node in shard.members}


names = st.lists(st.sampled_from(["A", "B", "C", "D", "E"]), min_size=1, max_size=5, unique=True)


@st.composite
def groups(draw: st.DrawFn) -> Groups:
    shards = draw(names)
    ids = draw(st.permutations(range(8)))
    cuts = sorted(draw(st.sets(st.integers(1, 7), min_size=len(shards), max_size=len(shards))))
    bounds = zip([0, *cuts], cuts, strict=False)
    return {shard: ids[low:high] for shard, (low, high) in zip(shards, bounds, strict=True)}


@given(st.lists(groups(), min_size=2, max_size=3))
def test_any_order_is_even_and_moves_no_slot_between_shards_that_stay(orders: list[Groups]) -> None:
    view = NONE
    for each in orders:
        before, view = view, view_of(each, view)
        shares = Counter(view.owner)
        assert len(shares) == len(each)
        assert max(shares.values()) - min(shares.values()) <= 1
        if before.owner and {*each} >= {shard.id for shard in before.shards}:
            share = SLOTS // len(each)
            assert kept(before, view) >= share * len(before.shards)


def test_a_view_shows_an_order_in_whatever_sequence() -> None:
    two = view_of(TWO, NONE)
    turned = ordered({"Blue": [3, 2], "Red": [1, 0]})
    assert turned.is_shown_by(two)
    assert turned.layout(two) == two.layout
    for other in (FOUR, {"Red": [0, 1]}, {"Red": [0, 2], "Blue": [1, 3]}):
        assert not ordered(other).is_shown_by(two)
    elsewhere = ordered(TWO, port=9000)
    assert not elsewhere.is_shown_by(two)
    assert elsewhere.layout(two).owner == two.owner
    assert not ordered(TWO).is_shown_by(first_view(WRITTEN, 2))


def test_an_empty_order_takes_a_node_its_address_and_nothing_else() -> None:
    layout = without_address("node-1", CALLED)
    assert replace(layout, addresses=CALLED.addresses) == CALLED.layout
    assert layout.addresses == (CALLED.addresses[0], "", *CALLED.addresses[2:])
    nowhere = replace(CALLED, addresses=layout.addresses)
    assert without_address("node-1", nowhere) == nowhere.layout


# ------------------------------------------------------------------ turns


@pytest.mark.parametrize("view", [NONE, CALLED, VIEWS["called elsewhere"]])
def test_each_node_has_a_turn_of_its_own(view: View) -> None:
    order = ordered({"Red": [3, 4], "Blue": [0, 2]})
    turns = {node: order.turn_of(node, view) for node in order.nodes}
    assert sorted(turns.values()) == [0, 1, 2, 3]
    may = [turns[node] for node in order.nodes if node in view.nodes]
    asks = [turns[node] for node in order.nodes if node not in view.nodes]
    assert not may or not asks or max(may) < min(asks)
    assert order.turn_of("node-1", view) == TURNS_MAX


def test_turns_go_by_number_and_end() -> None:
    order = ordered({"Red": list(range(12))})
    turns = [order.turn_of(f"node-{n}", NONE) for n in range(12)]
    assert turns == [0, 1, 2, 3, 4, *[TURNS_MAX] * 7]
