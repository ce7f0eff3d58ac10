"""`python -m tests.simulation.shown`: find anew which seed shows each broken rule first.

The mutants' test tries that seed before all others, so it takes seconds where a search takes
minutes; a change of the core may make another seed the first, which costs time but no truth.
"""

import sys

import orjson

from tests.simulation.breaks import SHOWN, SHOWN_FILE
from tests.simulation.test_mutants import IN_RUNS, first_seed_that_shows


def main() -> int:
    SHOWN.clear()
    found = {name: first_seed_that_shows(breaks, name) for breaks, name in IN_RUNS}
    for name in (name for name, seed in found.items() if seed is None):
        print(f"no run shows {name}", file=sys.stderr)
    kept = {name: seed for name, seed in sorted(found.items()) if seed is not None}
    SHOWN_FILE.write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2) + b"\n")
    return 0 if len(kept) == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
