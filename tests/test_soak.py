"""A soak plays the seeds of a day, says how far it is, and what its result proves."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import count, pairwise
from unittest.mock import patch

import pytest

from cluster.simulator import soak
from cluster.simulator.campaign import Verdict, run_seeds
from cluster.simulator.trial import Figures
from node.core.requests.coverage import Need

DAY = date(2026, 11, 29)
SUITE_SEEDS_MAX = 1_000_000


def verdict(seed: int, failure: str = "") -> Verdict:
    figures = None if failure else Figures(100, 90, 1.0, 0, Counter())
    return Verdict(seed, "LostWrite" if failure else "", failure, figures, 1.0)


class Played:
    """What a soak of seeds 1 to `how_many` says, when these are red."""

    def __init__(self, how_many: int, red: Iterable[int] = (), red_max: int = 20) -> None:
        self.said: list[str] = []
        self._red, self._ticks = set(red), count()
        seeds = range(1, how_many + 1)
        self.status = soak.soak(seeds, 1, red_max, self._run, self._clock, self.said.append)

    def _clock(self) -> float:
        """Return a time two seconds after the last call's."""
        return 2.0 * next(self._ticks)

    def _run(self, seeds: Iterable[int], jobs: int) -> Iterator[Verdict]:
        for seed in seeds:
            yield verdict(seed, f"seed {seed} is red" if seed in self._red else "")


# ---- which seeds


def test_a_day_has_seeds_of_its_own_and_the_number_says_which_day() -> None:
    assert soak.seeds_of(DAY, 3) == range(2026112900000, 2026112900003)
    days = [DAY + timedelta(days=n) for n in range(800)]
    ranges = [soak.seeds_of(day, soak.SEEDS_A_DAY) for day in days]
    assert all(one.stop <= two.start for one, two in pairwise(ranges))
    assert ranges[0].start > SUITE_SEEDS_MAX


@pytest.mark.parametrize("how_many", [0, -1, soak.SEEDS_A_DAY + 1])
def test_more_seeds_than_a_day_has_are_refused(
    how_many: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        soak.main(["--seeds", str(how_many)])
    assert stopped.value.code == 2
    assert "ask for 1 to 100,000" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--red", "0"], ["--day", "today"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        soak.main(arguments)
    assert stopped.value.code == 2


# ---- what it says


def test_none_red_says_what_that_means() -> None:
    played = Played(5000)
    assert played.status == 0
    assert played.said[-3:] == [
        "5,000 seeds, none red; 500,000 operations.",
        "With 95% confidence less than 3/5,000 of such runs are red: 0.06%, "
        "or one in 1,667 (the rule of three).",
        "That is a bound for the faults that the simulator draws, and never zero.",
    ]


def test_from_a_few_nothing_follows() -> None:
    assert Played(29).said[-1] == "From fewer than 30 seeds nothing follows."
    assert (
        Played(30)
        .said[-2]
        .startswith("With 95% confidence less than 3/30 of such runs are red: 10")
    )


def test_progress_is_said_every_few_seconds() -> None:
    lines = Played(12).said[:-2]
    assert lines[0] == "5 of 12 seeds, 0 red; 14 s so far, about 20 s left"
    assert 1 < len(lines) < 12


def test_each_red_seed_is_reported_at_once_and_again_at_the_end() -> None:
    played = Played(8, red=(6, 2))
    assert played.status == 1
    assert "seed 2 is red" in played.said[0]
    assert played.said[1].startswith("2 of 8 seeds, 1 red; ")
    assert played.said[-3:] == [
        "8 seeds, 2 red (25.00%); each again:",
        "  python -m cluster.simulator.campaign --seed 2",
        "  python -m cluster.simulator.campaign --seed 6",
    ]


def test_it_stops_when_there_is_enough_to_look_into() -> None:
    played = Played(1000, red=range(1000), red_max=3)
    assert played.status == 1
    assert played.said[-4].startswith("3 seeds, 3 red")


def test_an_interrupted_soak_says_what_it_has_played() -> None:
    def run(seeds: Iterable[int], jobs: int) -> Iterator[Verdict]:
        yield verdict(1)
        yield verdict(2)
        raise KeyboardInterrupt

    said: list[str] = []
    assert soak.soak(range(1, 9), 1, run=run, say=said.append) == 130
    assert said[0] == "2 seeds, none red; 200 operations."


# ---- for real


@contextmanager
def every_token_is_ignored() -> Iterator[None]:
    with patch.object(Need, "of", lambda *_: {}):
        yield


@pytest.mark.slow
def test_real_runs_are_green_and_those_of_a_broken_store_red() -> None:
    said: list[str] = []
    seeds = soak.seeds_of(DAY, 3)
    assert soak.soak(seeds, 1, say=said.append) == 0
    assert said[-2].startswith("3 seeds, none red; ")
    with every_token_is_ignored():
        assert soak.soak(soak.seeds_of(DAY, 60), 1, 1, run_seeds, say=said.append) == 1
    assert said[-1].startswith(f"  python -m cluster.simulator.campaign --seed {DAY:%Y%m%d}000")
