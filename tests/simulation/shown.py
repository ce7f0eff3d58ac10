"""`python -m tests.simulation.shown`: find anew which seeds show each broken rule first.

The mutants' test tries these before all others, so it takes seconds where a search takes minutes; a
change of the core may make others the first, which costs time but no truth.  A few are kept of
each, the shortest run first, since such a change seldom silences all of them.
"""

import sys
from itertools import islice
from multiprocessing import get_context

from tests.simulation.breaks import SHOWN_FILE
from tests.simulation.test_mutants import IN_RUNS, runs_that_show

KEPT = 3
JOBS = 2


def first_ones(index: int) -> tuple[str, list[int]]:
    breaks, name = IN_RUNS[index]
    runs = islice(runs_that_show(breaks, name, breaks.able(name)), KEPT)
    return name, [run.seed for run in sorted(runs, key=lambda run: run.seconds)]


def main() -> int:
    with get_context("spawn").Pool(JOBS) as pool:
        found = dict(pool.imap_unordered(first_ones, range(len(IN_RUNS))))
    for name in (name for name, seeds in found.items() if not seeds):
        print(f"no run shows {name}", file=sys.stderr)
    kept = {name: seeds for name, seeds in sorted(found.items()) if seeds}
    lines = ",\n".join(f'  "{name}": {seeds}' for name, seeds in kept.items())
    SHOWN_FILE.write_text(f"{{\n{lines}\n}}\n")
    return 0 if len(kept) == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
