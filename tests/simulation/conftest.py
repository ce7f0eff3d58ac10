"""Lowers the simulator's priority, since it only computes, beside clusters of other workers."""

import os

import pytest

STEP_BACK = 10  # a tenth of the share of a process of normal priority


@pytest.fixture(scope="session", autouse=True)
def step_back() -> None:
    """Lower a worker's priority for good once it has played a seed.

    It has no clusters left to run, since groups with clusters are handed out first.
    """
    os.nice(STEP_BACK)
