"""The garbage collector looks at old objects when no client waits for an answer.

It finds all that a replica leaves when it ends.
"""

import gc
import time
from collections.abc import Iterator

import pytest

from cluster.simulator.campaign import run_seed
from cluster.simulator.world import World
from node.shell.gc_schedule import (
    LOOK_AT_NEW_EVERY_S,
    OLD_PASSES_MAX,
    YOUNG_OBJECTS,
    YOUNG_PASSES_MAX,
    YOUNG_PASSES_WORTH_IT,
    GarbageCollection,
)


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Record the generations to collect, instead of collecting them."""
    generations: list[int] = []
    thresholds = gc.get_threshold()
    monkeypatch.setattr(gc, "collect", lambda generation=2: generations.append(generation))
    yield generations
    gc.set_threshold(*thresholds)
    gc.unfreeze()


async def test_what_exists_at_the_start_is_frozen(collected: list[int]) -> None:
    GarbageCollection()
    assert collected == [2]
    assert gc.get_threshold() == (YOUNG_OBJECTS, YOUNG_PASSES_MAX, OLD_PASSES_MAX)
    assert gc.get_freeze_count() > 0


async def test_a_collector_that_the_start_has_disabled_runs_again(collected: list[int]) -> None:
    gc.disable()
    try:
        GarbageCollection()
        assert gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("worked_s", "young_passes", "old_passes", "generations"),
    [
        (0.0, YOUNG_PASSES_WORTH_IT - 1, OLD_PASSES_MAX - 1, []),
        (0.0, YOUNG_PASSES_WORTH_IT, OLD_PASSES_MAX - 1, [1]),
        (0.0, 0, OLD_PASSES_MAX, [2]),
        (0.1, YOUNG_PASSES_WORTH_IT, OLD_PASSES_MAX, []),
    ],
)
async def test_quiet_moments_are_used(
    collected: list[int],
    monkeypatch: pytest.MonkeyPatch,
    worked_s: float,
    young_passes: int,
    old_passes: int,
    generations: list[int],
) -> None:
    clock = [1.0]
    monkeypatch.setattr(time, "process_time", lambda: clock[0])
    collection = GarbageCollection()
    collected.clear()
    monkeypatch.setattr(gc, "get_count", lambda: (0, young_passes, old_passes))
    clock[0] += worked_s
    collection.look()
    assert collected == generations


async def test_what_is_new_is_looked_at_as_long_as_there_is_work(
    collected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1.0]
    monkeypatch.setattr(time, "process_time", lambda: clock[0])
    collection = GarbageCollection()
    collected.clear()
    collection.look_at_new()
    assert collected == []
    clock[0] += LOOK_AT_NEW_EVERY_S
    collection.look_at_new()
    assert collected == [0]
    collection.look_at_new()
    assert collected == [0]


def worlds() -> set[int]:
    """Return which worlds are in memory: other tests may keep some."""
    gc.collect()
    return {id(found) for found in gc.get_objects() if isinstance(found, World)}


def test_nothing_stays_of_replicas_that_have_ended() -> None:
    """A structure without `gc` that reaches its replica would keep it for ever."""
    before = worlds()
    for seed in range(3):
        assert not run_seed(seed).failure
    assert worlds() <= before
