"""A simulator that has never gone red proves nothing: it must notice every rule that is broken."""

import pytest

from cluster.campaign import run_seed
from tests.simulation.mutants import MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_noticed(name: str) -> None:
    """By a broken promise, not by an error of the break itself; and the seed is green without."""
    mutant, seeds = MUTANTS[name]
    for seed in seeds:
        with mutant():
            verdict = run_seed(seed)
        if verdict.failure:
            break
    assert verdict.failure.startswith(f"seed {seed} is red: {verdict.kind}: "), verdict.failure
    assert not run_seed(seed).failure
