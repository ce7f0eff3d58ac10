"""Every node computes the same view: even shares, names in sequence, few slots that move."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from node.core.model.actors import actor_of
from node.core.model.keys import SLOTS, key_hash_of, slot_of
from node.core.model.placement import SHARDS_MAX, first_view, spread
from node.core.model.view import FIRST, View, ViewId


def nodes(count: int) -> list[str]:
    return [f"10.10.0.{i + 2}:8090" for i in range(count)]


def keys_of(view: View, keys: list[str]) -> Counter[str]:
    return Counter(view.shard_of(slot_of(key_hash_of(key, False))).id for key in keys)


@pytest.mark.parametrize("shards", range(1, 17))
def test_every_shard_is_within_one_slot_of_even(shards: int) -> None:
    share = Counter(first_view(nodes(16), shards).owner)
    assert sum(share.values()) == SLOTS
    assert sorted(share) == list(range(shards))
    assert max(share.values()) - min(share.values()) <= 1


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_the_fewest_slots_move(first: int, second: int, third: int) -> None:
    """No way to even shares moves fewer: each shard keeps as much of its old as its share holds."""
    owner = spread(spread(bytes(SLOTS), first), second)
    dealt = spread(owner, third)
    had, share = Counter(owner), Counter(dealt)
    kept = sum(one == two for one, two in zip(owner, dealt, strict=True))
    assert kept == sum(min(had[shard], share[shard]) for shard in range(third))
    assert max(share.values()) - min(share.values()) <= 1


def test_there_are_as_many_shards_as_a_byte_can_name() -> None:
    most = first_view(nodes(SHARDS_MAX), SHARDS_MAX)
    assert set(Counter(most.owner).values()) == {SLOTS // SHARDS_MAX}
    with pytest.raises(ValueError, match="there may be 256 at most"):
        first_view(nodes(SHARDS_MAX + 1), SHARDS_MAX + 1)


def test_masks_name_the_slots_of_each_shard() -> None:
    view = first_view(nodes(5), 3)
    for slot, place in enumerate(view.owner):
        assert [view.slots_of_shard(i) >> slot & 1 for i in range(3)].index(1) == place
    assert sum(view.slots_of_shard(i) for i in range(3)) == (1 << SLOTS) - 1


def test_an_even_spread_stays() -> None:
    owner = spread(bytes(SLOTS), 5)
    assert spread(owner, 5) == owner


@pytest.mark.parametrize(
    ("names", "count", "shards"),
    [("key{}", 600, 2), ("key{}", 600, 3), ("key{}", 50, 2), ("key{}", 50, 3)]
    + [("key-{}", 2000, n) for n in (6, 7, 8)],
)
def test_names_in_sequence_spread_evenly(names: str, count: int, shards: int) -> None:
    """Strictly within a quarter of even; of names that count from 0, and of those from 1."""
    first = 1 if "-" in names else 0
    counts = keys_of(first_view(nodes(16), shards), [names.format(i + first) for i in range(count)])
    even = count / shards
    assert len(counts) == shards
    assert all(abs(n - even) < even / 4 for n in counts.values())


@pytest.mark.parametrize("key", ["", "key0", "é" * 40, "\0", "a/b"])
def test_a_digest_names_slot_key_and_mode(key: str) -> None:
    lww, siblings = key_hash_of(key, True), key_hash_of(key, False)
    assert 0 <= siblings < lww < 2**36
    assert lww - siblings == 1
    assert slot_of(lww) == slot_of(siblings) < SLOTS


def test_nodes_fall_into_shards_in_their_order() -> None:
    view = first_view(nodes(5), 2)
    first, second = view.shards
    assert first.members + second.members == view.nodes == tuple(nodes(5))
    assert (first.id, second.id) == ("s1", "s2")
    assert len(first.members) == 2
    assert view.shard_with(first.members[0]) is first
    assert view.shard_with("nobody") is None
    assert view.shard_named("s2") is second
    assert view.shard_named("s3") is None


def test_fingerprints_are_equal_exactly_when_views_are() -> None:
    view = first_view(nodes(4), 2)
    assert view.fingerprint == first_view(nodes(4)[::-1], 2).fingerprint
    regrouped = replace(view, shards=view.shards[::-1])
    others = [first_view(nodes(4), 1), regrouped, first_view(nodes(5), 2)]
    assert len({view.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_a_view_that_cannot_be_is_refused_with_words() -> None:
    with pytest.raises(ValueError, match="VIEW names x more than once"):
        first_view(["x", "y", "x"], 1)
    for shards in (0, 3, -1):
        with pytest.raises(ValueError, match=f"SHARD_COUNT={shards} needs between 1 and 2"):
            first_view(["x", "y"], shards)


def test_an_actor_is_one_life_in_one_view() -> None:
    names = {actor_of(view, node) for view in (FIRST, ViewId(2, "abcd")) for node in ("x", "y")}
    assert len(names) == 4
    assert all(len(name) <= 24 for name in names)
