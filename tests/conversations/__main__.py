"""Lists the texts that differ from present behaviour; with --rewrite, accepts it.

The developer reads the diff of what was accepted.
"""

import sys

from tests.conversations.texts import TEXTS, played_file


def main() -> int:
    rewrite = "--rewrite" in sys.argv[1:]
    changed = [path for path in TEXTS if played_file(path) != path.read_text()]
    for path in changed:
        print(f"{'rewritten' if rewrite else 'differs'}: {path.name}")
        if rewrite:
            path.write_text(played_file(path))
    return 1 if changed and not rewrite else 0


if __name__ == "__main__":
    sys.exit(main())
