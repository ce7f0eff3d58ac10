"""Clusters that are told just what a contract's own scripts tell their nodes: local processes, and
containers that listen where the contract says.

The launcher has words of its own for a node's settings; here the environment is the contract's.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest

from cluster.containers import ContainerEngine
from cluster.engine import State
from cluster.processes import ProcessEngine
from cluster.report import Report
from cluster.topology import NODE_PORT, Node, Topology, addresses_of, free_subnet
from tests.scenarios.conftest import Cluster, free_port_block
from tests.scenarios.stage import docker_or_skip, engines

ENGINES = engines("docker-contracts")  # of their own ports and subnets
BOTH_ENGINES = pytest.mark.parametrize("kind", ENGINES)
OTHERS_SUBNETS = {"the other scenarios": "10.8.0.0/13"}
PLAIN_PORTS = (27500, 64000)
SERIAL = count()


class Contract(Topology):
    """In a container a node listens where its contract says, and is told nothing more; nodes on one
    host have ports of their own, so what they speak is said besides."""

    listens: ClassVar[int] = NODE_PORT
    ports: ClassVar[tuple[int, int]]  # of this host: for processes; for containers, which keep
    # theirs free for one more, from above where Linux takes the ports of outgoing connections

    def _node_at(self, index: int) -> Node:
        node = super()._node_at(index)
        return node if self.engine == "process" else replace(node, port=self.listens)

    def _told(self, node: Node, dialect: str) -> dict[str, str]:
        """SOCKET_ADDRESS, VIEW and SHARD_COUNT."""
        told = {**super().environment(node), "DIALECT": dialect}
        if self.engine == "docker":
            del told["DIALECT"]
        return told


class KeysView(Contract):
    """ADDRESS, VIEW and REPL_FACTOR; the setting FIRST says how many nodes VIEW names."""

    listens, ports = 13800, (26000, 61000)

    def environment(self, node: Node) -> dict[str, str]:
        first = self.nodes[: int(self.settings["FIRST"])]
        return {
            "ADDRESS": node.address,
            "VIEW": addresses_of(first),
            "REPL_FACTOR": self.settings["REPL_FACTOR"],
            "ENABLE_FAULTS": "1",
        }


class AdminView(Contract):
    """ADDRESS, and nothing else."""

    listens, ports = 13800, (27700, 64500)

    def environment(self, node: Node) -> dict[str, str]:
        return {"ADDRESS": node.address}


class ShardView(Contract):
    """SOCKET_ADDRESS, VIEW and SHARD_COUNT; the port tells the contract."""

    listens, ports = 8085, (27000, 61500)

    def environment(self, node: Node) -> dict[str, str]:
        return self._told(node, "shard_view")


class DataView(Contract):
    """NODE_IDENTIFIER, which is a node's place here; where processes listen is said besides.  The
    nodes named in the setting MOVED have other addresses than at first."""

    listens, ports = 8081, (28000, 62000)

    def _node_at(self, index: int) -> Node:
        node = super()._node_at(index)
        if node.name not in self.settings.get("MOVED", "").split(","):
            return node
        if self.engine == "docker":
            return replace(node, ip=super()._node_at(index + self.size).ip)
        port = node.port + self.size
        return replace(node, port=port, host_port=port)

    def environment(self, node: Node) -> dict[str, str]:
        told = {"NODE_IDENTIFIER": str(self.nodes.index(node)), "ENABLE_FAULTS": "1"}
        if self.engine == "docker":
            return told
        return {**told, "SOCKET_ADDRESS": node.address, "DIALECT": "data_view"}


class Peers(Contract):
    """PORT, PEERS, PINGFREQ and TIMEOUT, as they are flags, too; a container is told its own
    address, which is not that of its peers."""

    listens, ports = 8001, (32000, 62500)

    def environment(self, node: Node) -> dict[str, str]:
        others = [f"http://{other.address}" for other in self.nodes if other != node]
        told = {
            "PEERS": ",".join(others),
            "PINGFREQ": self.settings["PINGFREQ"],
            "TIMEOUT": self.settings["TIMEOUT"],
            "ENABLE_FAULTS": "1",
        }
        if self.engine == "docker":
            return {**told, "SOCKET_ADDRESS": node.address}
        return {**told, "PORT": str(node.port)}


class BesideAsg4(Contract):
    """asg4, dynamo and peers, as a node at asg4's own port speaks them."""

    ports = (24000, 63000)

    def environment(self, node: Node) -> dict[str, str]:
        return self._told(node, "asg4,dynamo,peers")


class Causal(Contract):
    """SOCKET_ADDRESS, VIEW and SHARD_COUNT; no environment tells this contract, so it is named."""

    ports = (29500, 63500)

    def environment(self, node: Node) -> dict[str, str]:
        return {**super().environment(node), "DIALECT": "causal"}


class Processes(ProcessEngine):
    """Processes whose environment is that of a contract."""

    def __init__(self, folder: Path, contract: type[Topology]) -> None:
        super().__init__("contract", folder)
        self._contract = contract

    def recall(self) -> Topology | None:
        found = super().recall()
        return self._contract.from_json(found.to_json()) if found else None


class Containers(ContainerEngine):
    """Containers whose environment is that of a contract, and who may come back elsewhere: the
    shape is the one that was prepared last."""

    def __init__(self, folder: Path, contract: type[Topology]) -> None:
        name = f"{contract.__name__.lower()}-{os.getpid()}-{next(SERIAL)}"  # apart from other runs
        super().__init__(name, docker_or_skip(), folder)
        self._shape: Topology | None = None

    def recall(self) -> Topology | None:
        return self._shape

    def prepare(self, topology: Topology, report: Report) -> None:
        self._shape = topology
        super().prepare(topology, report)

    def leave(self, node: str) -> None:
        """Take the container off the subnet."""
        self._network().disconnect(self._containers()[node], force=True)

    def come_back(self, node: str) -> str:
        """Put it on the subnet again, at whatever address the engine gives it."""
        network = self._network()
        network.connect(self._containers()[node])
        ip: str = self._containers()[node].attrs["NetworkSettings"]["Networks"][network.name][
            "IPAddress"
        ]
        return ip


@contextmanager
def speaking(
    kind: str,
    contract: type[Topology],
    folder: Path,
    shards: int,
    replicas: int,
    spare: int = 0,
    **said: str,
) -> Iterator[Cluster]:
    """A cluster that has been launched but need not be ready; `spare` ports stay free for more."""
    for_processes, for_containers = getattr(contract, "ports", PLAIN_PORTS)
    start = for_processes if kind == "process" else for_containers
    first = free_port_block(shards * replicas + spare, start)
    engine = (Processes if kind == "process" else Containers)(folder, contract)
    subnet = free_subnet(OTHERS_SUBNETS | engine.subnets_taken()) if kind == "docker" else ""
    topology = contract(engine.name, shards, replicas, engine.kind, subnet, first, said)
    try:
        engine.prepare(topology, Report(quiet=True))
        engine.launch([node.name for node in topology.nodes])
        yield Cluster(engine, topology)
    finally:
        engine.clean()


def whole(cluster: Cluster) -> Cluster:
    """The same cluster, however the scenario before has left it: nobody is cut off, all run."""
    if cluster.engine.groups():
        cluster.engine.heal()
    for name, state in cluster.engine.states().items():
        if state != State.RUNNING:
            cluster.engine.start(name)
    return cluster
