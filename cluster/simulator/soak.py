"""Plays many seeds that were never played: `python -m cluster.simulator.soak --seeds 5000`.

Each day has its own seeds: the date as YYYYMMDD, times 100,000, and up from there (`seeds_of`).  No
day shares a seed with another day or with the test suite, whose seeds are below a million, and a
red seed says by its number when it was found.  The program prints its progress, and each red seed
with the command that plays it again.  The last lines say what the result proves.  Exit status 0:
all green; 1: some red; 2: wrong arguments; 130: interrupted, none red.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime

from cluster.simulator.campaign import Verdict, run_seeds

SEEDS_A_DAY = 100_000
PROGRESS_EVERY_S = 10.0
SEEDS_MIN = 30  # the rule of three is no good approximation below this
RED_MAX = 20  # stop after this many red seeds
RULE_OF_THREE = 3.0  # -ln(0.05): with 95% confidence fewer than 3/n are red if none of n was

Run = Callable[[Iterable[int], int], Iterator[Verdict]]
Say = Callable[[str], None]


def seeds_of(day: date, how_many: int) -> range:
    """Return the first `count` seeds of a day, at most SEEDS_A_DAY.

    Those of 2026-11-29 begin with 2026112900000.  ValueError if a day does not have so many.
    """
    if not 0 < how_many <= SEEDS_A_DAY:
        raise ValueError(f"a day has {SEEDS_A_DAY:,} seeds: ask for 1 to {SEEDS_A_DAY:,}")
    first = int(f"{day:%Y%m%d}") * SEEDS_A_DAY
    return range(first, first + how_many)


class Soak:
    """The seeds that were played so far, and their result."""

    def __init__(self, wanted: int, clock: Callable[[], float], say: Say) -> None:
        self.played, self.operations = 0, 0
        self.red: list[int] = []
        self._wanted, self._clock, self._say = wanted, clock, say
        self._began = self._last_said = clock()

    def note(self, verdict: Verdict) -> None:
        """Count a seed that has been played; report a red one at once."""
        self.played += 1
        self.operations += verdict.figures.operations if verdict.figures else 0
        if verdict.failure:
            self.red.append(verdict.seed)
            self._say(verdict.failure)
        if verdict.failure or self._clock() - self._last_said >= PROGRESS_EVERY_S:
            self._last_said = self._clock()
            self._say(self.progress())

    def progress(self) -> str:
        """Say how far the soak has come, and how long the rest will take at this pace."""
        spent = self._clock() - self._began
        left = spent / self.played * (self._wanted - self.played)
        return (
            f"{self.played:,} of {self._wanted:,} seeds, {len(self.red)} red; "
            f"{_minutes(spent)} so far, about {_minutes(left)} left"
        )

    def result(self) -> list[str]:
        """Say the last lines: the red seeds with their commands, or what it means that none is."""
        if not self.played:
            return ["no seed has been played"]
        if not self.red:
            none_red = f"{self.played:,} seeds, none red; {self.operations:,} operations."
            if self.played < SEEDS_MIN:
                return [none_red, f"From fewer than {SEEDS_MIN} seeds nothing follows."]
            bound = RULE_OF_THREE / self.played
            return [
                none_red,
                f"With 95% confidence less than 3/{self.played:,} of such runs are red: "
                f"{bound:.2%}, or one in {self.played / RULE_OF_THREE:,.0f} (the rule of three).",
                "That is a bound for the faults that the simulator draws, and never zero.",
            ]
        share = len(self.red) / self.played
        again = [
            f"  python -m cluster.simulator.campaign --seed {seed}" for seed in sorted(self.red)
        ]
        return [f"{self.played:,} seeds, {len(self.red)} red ({share:.2%}); each again:", *again]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _print(text: str) -> None:
    print(text, flush=True)


def soak(
    seeds: range,
    jobs: int,
    red_max: int = RED_MAX,
    run: Run = run_seeds,
    clock: Callable[[], float] = time.monotonic,
    say: Say = _print,
) -> int:
    """Play these seeds until all are played, `red_max` are red, or the user presses Ctrl-C.

    Returns the exit status.
    """
    found = Soak(len(seeds), clock, say)
    with suppress(KeyboardInterrupt):
        for verdict in run(seeds, jobs):
            found.note(verdict)
            if len(found.red) >= red_max:
                break
    for line in found.result():
        say(line)
    if found.red:
        return 1
    return 0 if found.played == len(seeds) else 130


def today() -> date:
    """Return the day in UTC, so that all machines play the same seeds on one day."""
    return datetime.now(UTC).date()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.simulator.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5000, help="how many; default 5000")
    parser.add_argument("--day", type=date.fromisoformat, help="YYYY-MM-DD; default today, in UTC")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes; default all cores")
    parser.add_argument("--red", type=int, default=RED_MAX, help="stop at so many red seeds")
    chosen = parser.parse_args(arguments)
    try:
        seeds = seeds_of(chosen.day or today(), chosen.seeds)
    except ValueError as error:
        parser.error(f"--seeds {chosen.seeds}: {error}")
    if chosen.jobs < 1 or chosen.red < 1:
        parser.error("--jobs and --red must be 1 or more")
    _print(f"seeds {seeds.start} to {seeds.stop - 1}, {chosen.jobs} at a time")
    return soak(seeds, chosen.jobs, chosen.red)


if __name__ == "__main__":
    raise SystemExit(main())
