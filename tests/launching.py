"""Shared by the tests of the launcher: free ports, a small cluster of stand-in nodes, questions.

Each test has its own directory, ports and cluster name, so workers do not meet.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.engine import Engine
from cluster.engines.host import is_busy, life_of
from cluster.engines.launch import UpOptions, up
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology

FAKE = "tests.fake_node"
WAIT_S = 20.0
ROOT = Path(__file__).resolve().parents[1]
QUIET = Report(quiet=True)


def free_block(size: int) -> int:
    """Return the first of `size` free ports in a row, away from those of other workers."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10000 + worker * 1000 + (os.getpid() * 7) % 900
    while any(is_busy(port) for port in range(first, first + size)):
        first += size
    return first


def started(engine: Engine, home: Path, shards: int = 1, **settings: str) -> Topology:
    """Bring up a cluster of three nodes a shard."""
    port = free_block(3 * shards)
    named = {key: str(port + int(index)) for key, index in settings.items()}
    return up(engine, UpOptions(shards, 3, port=port, settings=named, wait_s=WAIT_S), QUIET, home)


def told(topology: Topology, name: str) -> dict[str, Any]:
    """Return what the node reports of itself; it must answer."""
    status = node_client.status_of(topology.node(name).host_port)
    assert status is not None
    return status


def cut_of(topology: Topology, name: str) -> set[str]:
    """Return the names of the nodes that the node ignores."""
    cut = told(topology, name)["cut"]
    return {node.name for node in topology.nodes if node.address in cut}


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether the condition came true in time."""
    return bool(node_client.until(lambda: condition() or None, WAIT_S))


def pids(engine: ProcessEngine) -> list[int]:
    """Return the recorded process numbers."""
    return [record[0] for record in json.loads((engine.place / "pids.json").read_text()).values()]


def are_gone(numbers: list[int]) -> bool:
    """Whether none of the processes runs (a zombie does not count)."""
    return all(life_of(number)[1] in ("", "Z", "X") for number in numbers)
