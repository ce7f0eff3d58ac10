"""Runs set policies from a certain day on, and in a part of the suite; they reach every corner."""

from collections import Counter
from datetime import date
from itertools import islice

import pytest

from cluster.checker.history import Operation
from cluster.simulator import policy_changes
from cluster.simulator.invariants import ViolationError
from cluster.simulator.merged_values import is_of_arrays, judge, value_of
from cluster.simulator.soak import seeds_of
from cluster.simulator.trial import Trial
from node.core.model.item import Past
from node.core.model.policies import Policy
from node.core.model.token import Token
from node.core.protocol.operations import Found
from tests.simulation.seeds import OF_POLICIES, SEEDS

CORNERS_WITHIN = 2 * OF_POLICIES  # one of the corners is rare
ARRAYS, NUMBERS = "s1.7", "s3.7"


def test_seeds_of_the_days_before_and_of_the_suite_set_none() -> None:
    drawn = [seed for seed in SEEDS if policy_changes.is_drawn(seed)]
    assert drawn == list(
        islice(filter(policy_changes.is_drawn, policy_changes.OF_SUITE), OF_POLICIES)
    )
    assert not any(map(policy_changes.is_drawn, seeds_of(date(2026, 12, 17), 1000)))
    since = sum(map(policy_changes.is_drawn, seeds_of(date(2026, 12, 18), 1000)))
    assert 650 < since < 750


def test_a_few_runs_reach_every_corner() -> None:
    corners = {
        "policy Adopted",
        "policy Outdated",
        "a policy refuses a blind write",
        "arrays that keep their elements",
    }
    reached = Counter[str]()
    drawn = filter(policy_changes.is_drawn, policy_changes.OF_SUITE)
    for seed in islice(drawn, CORNERS_WITHIN):
        reached += Trial(seed).run().reached
        if corners <= reached.keys():
            break
    assert corners <= reached.keys()


def read_of(key: str, *values: str) -> tuple[Operation, Found]:
    dots = tuple(("n", place) for place in range(len(values)))
    texts = tuple(value.encode() for value in values)
    found = Found(texts, dots, dots, Token(), Past(), "n1", labels=(None,) * len(values))
    return Operation(9, 1, "n1", "get", key, "siblings", values=values), found


@pytest.mark.parametrize(
    ("key", "merge", "values"),
    [
        (ARRAYS, "union", ("[1,3]", "[2,3]")),
        (ARRAYS, "max", ("[1,3]", "[2,3]")),
        (NUMBERS, "max", ("12  ", "7")),
        (NUMBERS, "min", ("12", "7")),
        (NUMBERS, "union", ("12", "7")),
        (NUMBERS, "siblings", ("12", "7")),
    ],
)
def test_values_that_are_merged_by_their_policy_are_accepted(
    key: str, merge: str, values: tuple[str, ...]
) -> None:
    policy = Policy("", merge)
    judge(policy, policy, *read_of(key, *values))


@pytest.mark.parametrize(
    ("key", "followed", "promised"),
    [(ARRAYS, "siblings", "union"), (ARRAYS, "union", "max"), (NUMBERS, "min", "max")],
)
def test_values_that_are_merged_otherwise_are_noticed(
    key: str, followed: str, promised: str
) -> None:
    values = ("[1]", "[2]") if is_of_arrays(key) else ("1", "2")
    with pytest.raises(ViolationError, match="MergedWrongly"):
        judge(Policy("", followed), Policy("", promised), *read_of(key, *values))


def test_a_client_writes_the_union_of_what_it_has_read() -> None:
    read, _ = read_of(ARRAYS, "[1,3]", "[2,3]   ")
    assert value_of(20, ARRAYS, read) == "[1,2,3,20]"
    assert value_of(20, NUMBERS, read) == "20"
