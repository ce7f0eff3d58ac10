"""The command line of all stories: `python -m examples.basic [--url URL ...]`."""

import argparse
import sys
from functools import partial

from coterie import CoterieError, Unavailable, Unmet
from examples.stage.cluster import Cluster, NotAsTold, Unusable
from examples.stage.page import Page
from examples.stage.play import Play, Story
from examples.stage.real import RealCluster
from examples.stage.simulated import SimulatedCluster

WENT_WELL, WENT_WRONG, UNAVAILABLE = 0, 1, 5


def tell(docstring: str, story: Story, argv: list[str] | None = None) -> int:
    """Tell a story to standard output.

    Returns 0 for success, 1 if the cluster did something else than the story says, 5 if it does not
    answer; argparse exits with 2 for usage.
    """
    name = story.__module__ if story.__module__ != "__main__" else sys.argv[0]
    urls = _arguments(docstring, argv)
    page = Page(partial(print, flush=True))
    try:
        cluster: Cluster = RealCluster(urls, page) if urls else SimulatedCluster(page)
        Play(cluster, page).tell(docstring, story)
    except (Unusable, Unavailable, Unmet) as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        return UNAVAILABLE
    except (NotAsTold, CoterieError) as wrong:
        print(f"{name}: {wrong}", file=sys.stderr)
        return WENT_WRONG
    return WENT_WELL


def _arguments(docstring: str, argv: list[str] | None) -> list[str]:
    """Return the URLs of nodes, if any are given."""
    parser = argparse.ArgumentParser(description=docstring.partition("\n")[0])
    parser.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="URL",
        help="of a node to play on, as http://localhost:8082; up to three (default: the simulator)",
    )
    urls: list[str] = parser.parse_args(argv).url
    if len(urls) > 3:
        parser.error(f"{len(urls)} times --url; expected three at most, one for each node")
    return urls
