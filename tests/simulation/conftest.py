"""The simulator only computes: it steps back for the clusters that other workers run meanwhile."""

import os

import pytest

STEP_BACK = 10  # a tenth of the share of a process that does not


@pytest.fixture(scope="session", autouse=True)
def step_back() -> None:
    """A worker that has played a seed stays behind from then on; it has no clusters left to run,
    for the groups of these are handed out first."""
    os.nice(STEP_BACK)
