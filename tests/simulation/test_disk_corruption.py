"""Nodes find and repair rows that their disks change, in some seeds, and report nothing false."""

import pytest

from cluster.simulator.disk_corruption import damaged_nodes
from cluster.simulator.disk_shadow import Shadow
from cluster.simulator.invariants import ViolationError
from cluster.simulator.trial import Trial
from node.core.model.dots import DotClock
from node.core.model.keys import slot_of_key
from node.core.model.placement import first_view
from node.core.model.view import FIRST, ViewId

ROTS = "a row has changed by itself"
WITH_ROT = 12  # a seed whose rows change often
WITHOUT_ROT = 7  # a seed whose rows do not change
SECOND = ViewId(2, "p")


def test_rows_change_in_a_part_of_the_seeds() -> None:
    drawn = [Trial(seed)._corruption._calm for seed in range(200)]
    assert 0.6 < sum(drawn) / len(drawn) < 0.9


def test_what_has_changed_is_whole_again() -> None:
    trial = Trial(WITH_ROT)
    figures = trial.run()
    assert figures.reached[ROTS] > 0
    assert [note for note in trial.world.voice.notes if "whole again" in note or "again" in note]
    assert damaged_nodes(trial.world) == []
    assert figures == Trial(WITH_ROT).run()


def test_a_report_of_what_has_not_happened_is_found_out() -> None:
    trial = Trial(WITHOUT_ROT)
    assert trial._corruption._calm
    trial.world.voice.note("row '000/k' of table item is damaged")
    with pytest.raises(ViolationError, match="FalseRot"):
        trial.run()


def test_no_disk_is_lost_while_another_is_damaged() -> None:
    trial = Trial(WITH_ROT)
    address = next(iter(trial.world.nodes))
    trial._monitor.damaged_nodes = lambda: [address]
    assert not trial._monitor.may_lose(address)


def test_no_damaged_row_is_made_the_only_one() -> None:
    """No read may have found it when the others forget theirs; seed 212 was red by that (0020)."""
    monitor = Trial(WITH_ROT)._monitor
    layouts = [first_view(["a1", "a2", "a3"], shards).layout for shards in (2, 1)]
    alone, several = sorted((shard.members for shard in layouts[0].shards), key=len)
    assert (len(alone), len(several)) == (1, 2)
    monitor.damaged_nodes = lambda: list(alone)
    assert [monitor.may_be_owned_so(layout) for layout in layouts] == [False, True]
    monitor.damaged_nodes = lambda: list(several)
    assert all(monitor.may_be_owned_so(layout) for layout in layouts)


def test_no_row_changes_before_its_slot_has_arrived_at_all_owners() -> None:
    """A node that has not arrived cannot make the row whole, since names of retired views are gone.

    Seed 52020 was red by that (0020).
    """
    trial = Trial(WITH_ROT)
    shadow, slot = Shadow(), slot_of_key("l1")
    for oldest_view, clock, vouches in (
        (FIRST, DotClock(), True),
        (SECOND, DotClock({"x": 9}), False),
        (SECOND, DotClock({}, {}, SECOND), True),
        (SECOND, DotClock({}, {}, ViewId(3, "p")), True),
    ):
        trial._monitor.oldest_view = oldest_view
        shadow.parts = [(1 << slot, clock)]
        assert trial._corruption._vouches(shadow, "l1") is vouches
    shadow.parts = []
    assert not trial._corruption._vouches(shadow, "l1")
