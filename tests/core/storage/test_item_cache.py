"""The cache has a bound in bytes of memory; the test measures what items take."""

import gc
import random
import tracemalloc
from collections.abc import Callable

import pytest

from node.core.model.dots import Vector
from node.core.model.item import Item, Past, Version
from node.core.model.options import Options
from node.core.model.slots import ALL
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol.operations import Put
from node.core.protocol.step import Step
from node.core.storage.item_cache import ItemCache, weight_of
from node.core.storage.keyspace import ENCODER, ITEMS, Keyspace
from tests.core.given import MemoryRows

MIB = 1024 * 1024
OFF_AT_MOST = 0.20
PIECES = 20_000  # of objects, more or less, in each measurement


def vector(count: int) -> Vector:
    return {f"AbCd{i:02d}.1": 70_000 + i for i in range(count)}


def tokens(exact: int, floors: int = 0) -> Token:
    dots = {(f"AbCd{i:02d}.1", 1000 + i): (1 << 34) + i for i in range(exact)}
    return Token(vector(floors), dots, b"\7" * 64 if floors else b"", (1_700_000_000_000, 0, "a.1"))


def item_of(
    value_bytes: int, versions: int, deps: Token, clock: int = 0, past: int = 0, loose: int = 0
) -> Item:
    """Return an item of some versions, each with a vector clock and a past of some entries."""
    held = {
        (f"AbCd{i:02d}.1", 100_000 + i): Version(
            random.randbytes(value_bytes),
            deps,
            (1_700_000_000_000 + i, 0, f"AbCd{i:02d}.1"),
            True,
            vector(clock) or None,
        )
        for i in range(versions)
    }
    return Item(held, Past(vector(past), {("AbCd01.1", 200_000 + i) for i in range(loose)}))


KINDS: dict[str, tuple[Item, int]] = {
    "nothing": (Item(), 1),
    "a delete mark": (Item({("a.1", 1): Version(None)}), 1),
    "a small value": (item_of(2, 1, Token()), 1),
    "a value": (item_of(100, 1, Token()), 1),
    "a larger value": (item_of(1000, 1, Token()), 1),
    "a large value": (item_of(20_000, 1, Token()), 1),
    "siblings": (item_of(100, 3, Token()), 3),
    "many siblings": (item_of(100, 50, Token()), 50),
    "a dependency": (item_of(100, 1, tokens(1)), 2),
    "dependencies": (item_of(100, 1, tokens(8)), 6),
    "many dependencies": (item_of(100, 1, tokens(32)), 20),
    "floors": (item_of(100, 1, tokens(0, 3)), 2),
    "floors and dots": (item_of(100, 1, tokens(32, 12)), 20),
    "a vector clock": (item_of(100, 1, Token(), clock=3), 2),
    "a long vector clock": (item_of(100, 1, Token(), clock=64), 10),
    "a past": (item_of(100, 1, Token(), past=2), 2),
    "a long past": (item_of(100, 1, Token(), past=40), 10),
    "a loose past": (item_of(100, 1, Token(), past=2, loose=6), 4),
    "all of it": (item_of(300, 5, tokens(8, 2), clock=3, past=3, loose=2), 40),
}


def measured(fill: Callable[[ItemCache], None]) -> float:
    """Return what the cache counts, as a share of what the allocator says."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = ItemCache(1 << 40)
        fill(cache)
        gc.collect()
        return cache.weight / (tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_items_weigh_what_they_take(kind: str) -> None:
    item, pieces = KINDS[kind]
    blob, count = ENCODER.encode(item), max(300, PIECES // pieces // 4)

    def fill(cache: ItemCache) -> None:
        for i in range(count):
            cache.put(f"key-{i:08d}", ITEMS.decode(blob), len(blob))

    assert measured(fill) == pytest.approx(1.0, abs=OFF_AT_MOST)


def test_what_is_written_weighs_as_what_is_read() -> None:
    turn = Step()
    keyspace = Keyspace(MemoryRows(), Options(cache_bytes_max=1 << 40), turn)
    keyspace.parts.adopt(FIRST, ALL, {FIRST}, None)
    keyspace.on_view(FIRST, FIRST, "AbCdEf.1")

    def fill(cache: ItemCache) -> None:
        keyspace._cache = cache
        for i in range(3000):
            keyspace.write(Put(f"key-{i:08d}", b'"%98d"' % i), 1000.0)
            turn.records.clear()
            keyspace.log.drop_below({"AbCdEf.1": keyspace.counter})

    fill(ItemCache(1 << 40))  # what else a write leaves behind, in other tables, is there now
    assert measured(fill) == pytest.approx(1.0, abs=OFF_AT_MOST)


def test_the_weight_of_what_changes_and_goes_is_given_back() -> None:
    cache = ItemCache(MIB)
    small, large = item_of(10, 1, Token()), item_of(10, 9, tokens(3))
    for item in (small, large, small):
        cache.put("pear", item, 1)
        assert cache.weight == weight_of("pear", item)
    cache.put("fig", large, 1)
    cache.drop("pear")
    assert cache.weight == weight_of("fig", large)
    cache.drop("fig")
    cache.drop("nobody")
    assert cache.weight == 0


def test_the_bound_is_of_the_weight() -> None:
    cache = ItemCache(MIB)
    for i in range(3000):
        cache.put(f"key-{i:08d}", item_of(100, 1, Token()), 160)
        cache.trim()
        assert cache.weight <= MIB
    assert 500 < len(cache._items) < 800
