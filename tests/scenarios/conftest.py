"""Clusters for the scenarios: six nodes of the product, on each engine that this host has.

The processes engine always runs.  The Docker one needs an engine that answers, and builds a missing
image; otherwise the tests are skipped with a loud reason.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.containers import ContainerEngine, docker_client
from cluster.engines.engine import Engine
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology, free_subnet

READY_S = 30.0
NUMBERS = count()
PROCESS_PORTS, DOCKER_PORTS = 19000, 25000  # both engines may be tested at the same time
OUTGOING_PORTS = range(32768, 61000)  # Linux gives these to connections: free now, taken later


@dataclass
class Cluster:
    """A running cluster: its engine, and where its nodes are."""

    engine: Engine
    topology: Topology

    @property
    def names(self) -> list[str]:
        return [node.name for node in self.topology.nodes]

    @property
    def urls(self) -> dict[str, str]:
        return {n.name: f"http://127.0.0.1:{n.host_port}" for n in self.topology.nodes}

    def address(self, name: str) -> str:
        return self.topology.node(name).address

    def shard_of(self, name: str) -> str:
        """Return the id of this node's shard."""
        place = self.names.index(name) // self.topology.replicas
        return f"s{place + 1}"

    def await_ready(self, *names: str) -> None:
        """Wait until these nodes (default: all) are ready."""
        ports = [self.topology.node(name).host_port for name in names or self.names]
        wrong = node_client.until(
            lambda: True if not any(map(node_client.unready, ports)) else None, READY_S
        )
        if wrong is None:
            reasons = {port: node_client.unready(port) for port in ports}
            logs = "\n".join(line for name in self.names for line in self.engine.logs(name))
            pytest.fail(f"not ready after {READY_S} s: {reasons}\n{logs}")


def free_port_block(size: int, start: int) -> int:
    """Return the first of `size` free ports in a row, from `start` up."""
    for first in range(start, start + 6000, 16):
        assert first not in OUTGOING_PORTS, f"no {size} ports from {start} up are free"
        try:
            for port in range(first, first + size):
                with socket.socket() as probe_socket:
                    probe_socket.bind(("", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


def process_cluster(folder: Path, worker: str) -> tuple[Engine, Topology]:
    offset = int(worker.removeprefix("gw") or 0) if worker.startswith("gw") else 0
    first = free_port_block(6, PROCESS_PORTS + 64 * offset)
    engine = ProcessEngine("scenario", folder)
    return engine, Topology("scenario", 2, 3, "process", base_port=first)


def docker_cluster(folder: Path) -> tuple[Engine, Topology]:
    client, problem = docker_client()
    if client is None:
        pytest.skip(f"NO DOCKER ENGINE: the scenarios run on processes only ({problem})")
    name = f"scenario-{os.getpid()}-{next(NUMBERS)}"  # no other run of the tests, and no other file
    engine = ContainerEngine(name, client, folder)
    subnet = free_subnet(engine.subnets_taken())
    first = free_port_block(6, DOCKER_PORTS)
    return engine, Topology(name, 2, 3, "docker", subnet=subnet, base_port=first)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("process", marks=pytest.mark.xdist_group("processes")),
        pytest.param("docker", marks=pytest.mark.xdist_group("docker")),
    ],
)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("scenario")
    if request.param == "process":
        engine, topology = process_cluster(folder, worker_id)
    else:
        engine, topology = docker_cluster(folder)
    running = Cluster(engine, topology)
    try:
        engine.prepare(topology, Report(quiet=True))
        engine.launch(running.names)
        running.await_ready()
        yield running
    finally:
        engine.clean()
