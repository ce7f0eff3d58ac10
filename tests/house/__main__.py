"""`python -m tests.house --map` prints the map of the core and of the cluster package."""

import argparse

from tests.house.map import MAPPED, drawn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument("--map", action="store_true", required=True, help="print the map")
    parser.parse_args()
    print("\n\n".join(map(drawn, MAPPED)))


if __name__ == "__main__":
    main()
