"""Names the stories that tell something else than their golden text; with --rewrite, accepts it.

The developer reads the diff of what was accepted.
"""

import sys

from tests.examples.told import STORIES, golden, told


def main() -> int:
    rewrite = "--rewrite" in sys.argv[1:]
    changed = [name for name in STORIES if golden(name).read_text("utf-8") != told(name)]
    for name in changed:
        print(f"{'rewritten' if rewrite else 'differs'}: {golden(name).name}")
        if rewrite:
            golden(name).write_text(told(name), "utf-8")
    return 1 if changed and not rewrite else 0


if __name__ == "__main__":
    sys.exit(main())
