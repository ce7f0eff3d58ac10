"""The command line of all stories: `python -m examples.basic [--url URL ...]`."""

import argparse
import os
import sys
from contextlib import closing
from functools import partial
from inspect import getfile
from pathlib import Path

from coterie import CoterieError, Unavailable, Unmet
from examples.stage.cluster import Cluster, NotAsTold, Unusable
from examples.stage.page import Page
from examples.stage.play import Play, Story
from examples.stage.real import NODES_WANTED, RealCluster
from examples.stage.simulated import SimulatedCluster

WENT_WELL, WENT_WRONG, UNAVAILABLE = 0, 1, 5


def tell(docstring: str, story: Story, argv: list[str] | None = None) -> int:
    """Tell a story to standard output.

    Returns 0 for success, also when its reader has seen enough (`| head`); 1 if the cluster did
    something else than the story says; 5 if it does not answer; argparse exits with 2 for usage.
    """
    name = f"examples.{Path(getfile(story)).stem}"
    urls = _arguments(name, docstring, argv)
    page = Page(partial(print, flush=True))
    try:
        with closing(cluster_of(urls, page)) as cluster:
            Play(cluster, page).tell(docstring, story)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered
    except (Unusable, Unavailable, Unmet) as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        return UNAVAILABLE
    except (NotAsTold, CoterieError) as wrong:
        print(f"{name}: {wrong}", file=sys.stderr)
        return WENT_WRONG
    return WENT_WELL


def cluster_of(urls: list[str], page: Page) -> Cluster:
    return RealCluster(urls, page) if urls else SimulatedCluster(page)


def _arguments(name: str, docstring: str, argv: list[str] | None) -> list[str]:
    """Return the URLs of nodes, if any are given."""
    parser = argparse.ArgumentParser(f"python -m {name}", description=docstring)
    parser.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="URL",
        help="of a node to play on, as http://localhost:8082; up to three (default: the simulator)",
    )
    urls: list[str] = parser.parse_args(argv).url
    if len(urls) > NODES_WANTED:
        parser.error(f"{len(urls)} URLs; expected {NODES_WANTED} at most, of one node each")
    return urls
