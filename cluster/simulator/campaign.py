"""Plays seeds and reports the red ones: `python -m cluster.simulator.campaign --seeds 0:300`.

The report of a red seed has its draw, the broken promise, the last lines of its trace, and the
command that plays it again.  The last line of the output counts the seeds.  Exit status 0: all
green; 1: some red.
"""

import argparse
import gc
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from random import Random
from typing import NamedTuple

from cluster.simulator.nemesis import describe, swarm_of
from cluster.simulator.trial import Figures, Trial

TRACE_LINES = 40
SEEDS_A_TASK = 4
COLLECT_AFTER = 20_000, 20, 100  # new objects, passes over these, and over those that survived


class Verdict(NamedTuple):
    """The verdict on one seed; `failure` is the report of a red one, and empty for a green one."""

    seed: int
    kind: str
    failure: str
    figures: Figures | None
    seconds: float


def run_seed(seed: int, trace_lines: int = TRACE_LINES) -> Verdict:
    """Play one seed; a broken promise makes it red, and so does any error that the core raises."""
    began = time.perf_counter()
    trial = Trial(seed)
    try:
        figures = trial.run()
    except Exception as error:  # noqa: BLE001 (any exception of the core is a finding)
        kind = getattr(error, "kind", type(error).__name__)
        failure = report(seed, trial, error, trace_lines)
        return Verdict(seed, kind, failure, None, time.perf_counter() - began)
    return Verdict(seed, "", "", figures, time.perf_counter() - began)


def report(seed: int, trial: Trial, error: Exception, trace_lines: int) -> str:
    """Return all that an engineer needs to look into a red seed."""
    known = hasattr(error, "kind")
    what = str(error) if known else "".join(traceback.format_exception(error))
    return "\n".join(
        [
            f"seed {seed} is red: {what}",
            f"  drawn: {describe(trial.swarm)}",
            f"  bounds: {trial.options}",
            *(f"  {line}" for line in trial.world.trace.tail(trace_lines)),
            f"  again: python -m cluster.simulator.campaign --seed {seed}",
        ]
    )


def run_seeds(seeds: Iterable[int], jobs: int) -> Iterator[Verdict]:
    """Play seeds, and yield each verdict when it is there, in no order."""
    if jobs == 1:
        yield from map(run_seed, seeds)
        return
    with get_context("spawn").Pool(jobs, _begin_worker) as pool:
        yield from pool.imap_unordered(run_seed, seeds, SEEDS_A_TASK)


def _begin_worker() -> None:
    """Ignore Ctrl-C, which reaches all processes of a terminal: the main process ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_rarely()


def collect_rarely() -> None:
    """Look for cycles of objects rarely: a run makes many objects and few cycles, and takes a sixth
    less time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:300", help="first:end, the end is not played")
    parser.add_argument("--seed", type=int, help="play one seed and show a long trace")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--changing", action="store_true", help="only seeds that change the view")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        verdicts = [run_seed(arguments.seed, trace_lines=400)]
    else:
        first, end = map(int, arguments.seeds.split(":"))
        verdicts = []
        seeds = range(first, end)
        chosen = filter(changes_view, seeds) if arguments.changing else seeds
        for verdict in run_seeds(chosen, arguments.jobs):
            verdicts.append(verdict)
            if verdict.failure:
                print(verdict.failure, flush=True)
    return summarize(verdicts)


def changes_view(seed: int) -> bool:
    """Whether this seed draws view changes."""
    return swarm_of(Random(seed)).changes > 0


def summarize(verdicts: list[Verdict]) -> int:
    """Print the last line; return the exit status."""
    red = sorted(verdict.seed for verdict in verdicts if verdict.failure)
    if len(verdicts) == 1:
        print(verdicts[0].failure or verdicts[0].figures)
    green = [verdict.figures for verdict in verdicts if verdict.figures]
    operations = sum(figures.operations for figures in green)
    ok = sum(figures.ok for figures in green)
    reached = sum((figures.reached for figures in green), Counter[str]())
    print("reached:", ", ".join(f"{what} {times}" for what, times in sorted(reached.items())))
    seconds = sum(verdict.seconds for verdict in verdicts)
    print(
        f"{len(verdicts)} seeds, {len(red)} red {red or ''}; {operations} operations, {ok} ok; "
        f"{seconds / len(verdicts):.2f} s a seed"
    )
    return 1 if red else 0


if __name__ == "__main__":
    raise SystemExit(main())
