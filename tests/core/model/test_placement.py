"""The next layout is even, moves few slots, and is the same at every node."""

from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from node.core.model.keys import SLOTS
from node.core.model.placement import (
    first_view,
    moved_slots,
    reshaped,
    with_member,
    with_node,
    without,
)
from node.core.model.view import Layout, View, no_view

NODES = [f"n{i}" for i in range(9)]
VIEW = first_view(NODES[:6], 2)

counts = st.integers(1, 9)
all_wanted = st.lists(st.tuples(st.permutations(NODES), counts, counts), min_size=1, max_size=4)


def member_lists(layout: Layout | View) -> list[tuple[str, ...]]:
    return [shard.members for shard in layout.shards]


def sizes(layout: Layout | View) -> list[int]:
    return [len(members) for members in member_lists(layout)]


def homes(layout: Layout | View) -> dict[str, str]:
    return {node: shard.id for shard in layout.shards for node in shard.members}


@settings(max_examples=60)
@given(all_wanted)
def test_sizes_and_slots_are_within_one_of_each_other(
    wanted: list[tuple[list[str], int, int]],
) -> None:
    now: Layout | View = VIEW
    for names, count, shards in wanted:
        nodes = names[:count]
        now = reshaped(now, nodes, min(shards, count))
        assert sorted(node for members in member_lists(now) for node in members) == sorted(nodes)
        assert max(sizes(now)) - min(sizes(now)) <= 1
        share = Counter(now.owner)
        assert len(now.owner) == SLOTS
        assert set(share) == set(range(len(now.shards)))
        assert max(share.values()) - min(share.values()) <= 1
        assert [shard.id for shard in now.shards] == [f"s{i + 1}" for i in range(len(now.shards))]


@settings(max_examples=60)
@given(all_wanted)
def test_a_node_stays_where_there_is_room_for_it(
    wanted: list[tuple[list[str], int, int]],
) -> None:
    """Each shard keeps as many nodes as its new size allows; no other sizes would keep more."""
    now: Layout | View = VIEW
    for names, count, shards in wanted:
        nodes, shard_count = names[:count], min(shards, count)
        then = reshaped(now, nodes, shard_count)
        left = [len(set(members) & set(nodes)) for members in member_lists(now)][:shard_count]
        left += [0] * (shard_count - len(left))
        before, after = homes(now), homes(then)
        stayed = sum(before.get(node) == shard for node, shard in after.items())
        least, larger = divmod(count, shard_count)
        best = sum(min(had, least) for had in left) + min(larger, sum(had > least for had in left))
        assert stayed == best
        now = then


@settings(max_examples=60)
@given(all_wanted)
def test_the_fewest_slots_move(wanted: list[tuple[list[str], int, int]]) -> None:
    now: Layout | View = VIEW
    for names, count, shards in wanted:
        then = reshaped(now, names[:count], min(shards, count))
        had, share = Counter(now.owner), Counter(then.owner)
        kept = sum(min(had[shard], share[shard]) for shard in share)
        assert len(moved_slots(now, then)) == SLOTS - kept
        now = then


def test_what_is_as_wished_stays_as_it_is() -> None:
    same = reshaped(VIEW, VIEW.nodes, 2)
    assert same == VIEW.layout
    assert moved_slots(VIEW, same) == []


def test_a_spare_node_is_placed_before_a_full_shard_gives_one_away() -> None:
    spare = with_node(VIEW, "n9")
    assert homes(reshaped(spare, spare.nodes, 2)) == {**homes(VIEW), "n9": "s1"}


def test_from_no_view_all_is_dealt_anew() -> None:
    layout = reshaped(no_view(("x",)), ["x", "y"], 2)
    assert layout == first_view(["x", "y"], 2).layout


def test_a_node_more_is_in_no_shard() -> None:
    layout = with_node(VIEW, "n9")
    assert layout.nodes == (*VIEW.nodes, "n9")
    assert (layout.shards, layout.owner) == (VIEW.shards, VIEW.owner)


def test_a_member_is_of_one_shard_only() -> None:
    added = with_member(with_node(VIEW, "n9"), "s2", "n9")
    assert member_lists(added) == [("n0", "n1", "n2"), ("n3", "n4", "n5", "n9")]
    moved = with_member(added, "s2", "n0")
    assert member_lists(moved) == [("n1", "n2"), ("n3", "n4", "n5", "n9", "n0")]
    assert with_member(moved, "s2", "n9").shards[1].members[-1] == "n9"
    assert moved.owner == VIEW.owner


def test_without_a_node_its_shard_goes_on() -> None:
    layout = without(VIEW, "n1")
    assert layout.nodes == ("n0", "n2", "n3", "n4", "n5")
    assert member_lists(layout) == [("n0", "n2"), ("n3", "n4", "n5")]
    assert layout.owner == VIEW.owner
    assert without(VIEW, "stranger") == VIEW.layout


def test_wishes_that_cannot_be_met_say_why() -> None:
    with pytest.raises(ValueError, match="n1 is named more than once"):
        reshaped(VIEW, ["n1", "n2", "n1"], 1)
    for shards in (0, 3):
        with pytest.raises(ValueError, match="2 nodes make between 1 and 2 shards"):
            reshaped(VIEW, ["n1", "n2"], shards)
    alone = first_view(["x", "y"], 2)
    with pytest.raises(ValueError, match="shard s1 would have no member left"):
        without(alone, "x")
    with pytest.raises(ValueError, match="shard s1 would have no member left"):
        with_member(alone, "s2", "x")


def test_where_there_are_no_shards_one_more_node_holds_every_key() -> None:
    first = first_view(["x", "y"], 1, unsharded=True)
    [shard] = with_node(first, "z").shards
    assert shard.members == ("x", "y", "z")
    assert with_node(first_view(["x", "y"], 1), "z").shards == first.shards
