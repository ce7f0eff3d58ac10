"""`python -m tests.examples --rewrite` accepts what the stories tell now; read the diff."""

import argparse

from tests.examples.told import STORIES, golden, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rewrite", action="store_true", required=True)
    parser.parse_args()
    for name in STORIES:
        text = told(name)
        if not golden(name).exists() or golden(name).read_text(encoding="utf-8") != text:
            golden(name).write_text(text, encoding="utf-8")
            print(f"{golden(name).name} is new")


if __name__ == "__main__":
    main()
