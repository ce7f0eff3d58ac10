"""Lists the texts that differ from present behaviour; with --rewrite, accepts it."""

import sys

from tests.explanations.stories import HERE, STORIES, told


def main() -> int:
    rewrite = "--rewrite" in sys.argv[1:]
    texts = {HERE / f"{name}.txt": told(story) for name, story in STORIES.items()}
    changed = [p for p, text in texts.items() if not p.exists() or p.read_text() != text]
    for path in changed:
        print(f"{'rewritten' if rewrite else 'differs'}: {path.name}")
        if rewrite:
            path.write_text(texts[path])
    return 1 if changed and not rewrite else 0


if __name__ == "__main__":
    sys.exit(main())
