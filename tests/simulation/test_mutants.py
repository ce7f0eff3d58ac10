"""The simulator notices every rule that is broken on purpose.

Without these tests, green runs would prove nothing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle

import pytest

from cluster.simulator.campaign import run_seed
from cluster.simulator.invariants import ViolationError
from tests.simulation import (
    directed,
)
from tests.simulation.breaks import Breaks
from tests.simulation.broken_rules import IN_RUNS, IN_STORIES, runs_that_show
from tests.simulation.seeds import SEEDS
from tests.simulation.stories_of_views import STORIES_OF_VIEWS


@pytest.mark.parametrize(("breaks", "name"), IN_RUNS, ids=[name for _, name in IN_RUNS])
def test_runs_notice_a_broken_rule(breaks: Breaks, name: str) -> None:
    """The run breaks a promise, and does not fail by an error of the break itself.

    Without the break the seed is green, as those of `SEEDS` are known to be.
    """
    red = next(runs_that_show(breaks, name, breaks.seeds_for(name)), None)
    assert red is not None, f"no promise was broken by {name}"
    assert red.seed in SEEDS or not run_seed(red.seed).failure


def has_bad_ending(
    story: Callable[[float, int], None], mutant: Callable[[], AbstractContextManager[object]]
) -> bool:
    for moment_s, seed in zip(directed.MOMENTS_S, cycle(directed.SEEDS), strict=False):
        with mutant():
            try:
                story(moment_s, seed)
            except ViolationError:
                return True
    return False


@pytest.mark.parametrize(("story", "mutant"), IN_STORIES)
def test_stories_notice_a_broken_rule(
    story: Callable[[float, int], None], mutant: Callable[[], AbstractContextManager[object]]
) -> None:
    assert not has_bad_ending(story, nullcontext)
    assert has_bad_ending(story, mutant)


@pytest.mark.parametrize(("story", "mutant"), STORIES_OF_VIEWS)
def test_stories_of_views_notice_a_broken_rule(
    story: Callable[[int], None], mutant: Callable[[], AbstractContextManager[object]]
) -> None:
    for seed in directed.SEEDS:
        story(seed)
        with mutant(), pytest.raises(ViolationError):
            story(seed)
