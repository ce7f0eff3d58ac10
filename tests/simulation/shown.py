"""`python -m tests.simulation.shown [RULE ...]`: find again which seeds show each broken rule
first.

The mutants' test tries these seeds before all others, so it takes seconds where a search takes
minutes.  A change of the core may make other seeds the first ones; then the test takes longer and
is still right.  This program keeps a few seeds of each rule, the shortest run first, since such a
change seldom silences all of them.  It writes each result at once.  It searches further than the
test, for rules that few runs touch.
"""

import argparse
import sys
from itertools import islice
from multiprocessing import get_context

from cluster.simulator.campaign import run_seed
from tests.simulation.breaks import SHOWN, SHOWN_FILE
from tests.simulation.broken_rules import IN_RUNS, runs_that_show

KEPT = 3
JOBS = 2
SEARCHED_MAX = 1000


def first_ones(index: int) -> tuple[str, list[int]]:
    breaks, name = IN_RUNS[index]
    runs = runs_that_show(breaks, name, breaks.able(name, SEARCHED_MAX))
    green = (run for run in runs if not run_seed(run.seed).failure)  # or the break shows nothing
    return name, [run.seed for run in sorted(islice(green, KEPT), key=lambda run: run.seconds)]


def keep(shown: dict[str, list[int]]) -> None:
    lines = ",\n".join(f'  "{name}": {seeds}' for name, seeds in sorted(shown.items()) if seeds)
    SHOWN_FILE.write_text(f"{{\n{lines}\n}}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.shown", description=__doc__)
    parser.add_argument(
        "rules", nargs="*", metavar="RULE", help="only these; all, if none is named"
    )
    rules = parser.parse_args().rules
    names = [name for _, name in IN_RUNS]
    if unknown := set(rules) - set(names):
        parser.error(f"no such rule: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [index for index, name in enumerate(names) if name in (rules or names)]
    shown = {name: seeds for name, seeds in SHOWN.items() if name in names}
    with get_context("spawn").Pool(JOBS) as pool:
        for name, seeds in pool.imap_unordered(first_ones, chosen):
            if not seeds:
                print(f"no run shows {name}", file=sys.stderr)
            shown[name] = seeds
            keep(shown)
    return 0 if all(shown[names[index]] for index in chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
