"""The broken rules, and where each is noticed: in runs or in a story."""

from collections.abc import Iterable, Iterator

from cluster.simulator.campaign import Verdict, run_seed
from tests.simulation import (
    directed,
)
from tests.simulation.breaks import Breaks
from tests.simulation.mutants import (
    OF_A_REPLICA,
)
from tests.simulation.mutants_of_answers import (
    OF_ANSWERS,
    leave_absent_keys_out_of_a_full_exchange,
    take_messages_of_lives_that_ended,
)
from tests.simulation.mutants_of_claims import (
    OF_CLAIMS,
)
from tests.simulation.mutants_of_disks import (
    OF_DISKS,
)
from tests.simulation.mutants_of_hints import (
    OF_HINTS,
)
from tests.simulation.mutants_of_merged_values import OF_MERGED_VALUES
from tests.simulation.mutants_of_pieces import OF_PIECES
from tests.simulation.mutants_of_policies import OF_POLICIES
from tests.simulation.mutants_of_repeats import (
    OF_REPEATS,
)
from tests.simulation.mutants_of_second_homes import OF_SECOND_HOMES
from tests.simulation.mutants_of_the_api import (
    OF_THE_API,
)
from tests.simulation.mutants_of_views import (
    OF_VIEWS,
)

BREAKS = (
    OF_A_REPLICA,
    OF_ANSWERS,
    OF_PIECES,
    OF_VIEWS,
    OF_DISKS,
    OF_CLAIMS,
    OF_THE_API,
    OF_REPEATS,
    OF_SECOND_HOMES,
    OF_POLICIES,
    OF_HINTS,
    OF_MERGED_VALUES,
)
IN_RUNS = [(breaks, name) for breaks in BREAKS for name in breaks.mutants]
IN_STORIES = [
    (directed.a_late_copy_meets_an_empty_disk, leave_absent_keys_out_of_a_full_exchange),
    (directed.a_late_write_of_an_incarnation_that_ended, take_messages_of_lives_that_ended),
]


def runs_that_show(breaks: Breaks, name: str, seeds: Iterable[int]) -> Iterator[Verdict]:
    """Return those of the runs that break a promise when the rule is broken."""
    for seed in seeds:
        with breaks.mutants[name]():
            verdict = run_seed(seed)
        if verdict.failure.startswith(f"seed {seed} is red: {verdict.kind}: "):
            yield verdict
