"""Clusters whose nodes get just the settings of a contract's own scripts.

They are local processes, or containers that listen where the contract says.  The launcher has names
of its own for a node's settings; here the environment is the contract's.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cluster.engines import docker_image
from cluster.engines.console import Report
from cluster.engines.containers import ContainerEngine
from cluster.engines.engine import NodeState
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import NODE_PORT, Topology, TopologyNode, addresses_of, free_subnet
from tests.scenarios.conftest import Cluster, free_port_block
from tests.scenarios.stage import docker_or_skip, engines

ENGINES = engines("docker-contracts")  # with their own ports and subnets
BOTH_ENGINES = pytest.mark.parametrize("kind", ENGINES)
OTHERS_SUBNETS = {"the other scenarios": "10.8.0.0/13"}
PLAIN_PORTS = (27500, 64000)
SERIAL = count()


class Contract(Topology):
    """The environment of a contract's nodes.

    In a container a node listens where its contract says, and is told nothing more.  Nodes on one
    host have ports of their own, so their environment also says which contract to speak.
    """

    listens: ClassVar[int] = NODE_PORT
    ports: ClassVar[tuple[int, int]]  # of this host: for processes; for containers, which keep
    # theirs free for one more, from above where Linux takes the ports of outgoing connections

    def _node_at(self, index: int) -> TopologyNode:
        node = super()._node_at(index)
        return node if self.engine == "process" else replace(node, port=self.listens)

    def _told(self, node: TopologyNode, dialect: str) -> dict[str, str]:
        """SOCKET_ADDRESS, VIEW and SHARD_COUNT."""
        told = {**super().environment(node), "DIALECT": dialect}
        if self.engine == "docker":
            del told["DIALECT"]
        return told


class KeysView(Contract):
    """ADDRESS, VIEW and REPL_FACTOR; the setting FIRST says how many nodes VIEW names."""

    listens, ports = 13800, (26000, 61000)

    def environment(self, node: TopologyNode) -> dict[str, str]:
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

    def environment(self, node: TopologyNode) -> dict[str, str]:
        return {"ADDRESS": node.address}


class ShardView(Contract):
    """SOCKET_ADDRESS, VIEW and SHARD_COUNT; the port identifies the contract."""

    listens, ports = 8085, (27000, 61500)

    def environment(self, node: TopologyNode) -> dict[str, str]:
        return self._told(node, "shard_view")


class DataView(Contract):
    """NODE_IDENTIFIER, which is a node's place here, and for processes the address to listen at.

    The nodes in the setting MOVED have other addresses than at first.
    """

    listens, ports = 8081, (28000, 62000)

    def _node_at(self, index: int) -> TopologyNode:
        node = super()._node_at(index)
        if node.name not in self.settings.get("MOVED", "").split(","):
            return node
        if self.engine == "docker":
            return replace(node, ip=super()._node_at(index + self.size).ip)
        port = node.port + self.size
        return replace(node, port=port, host_port=port)

    def environment(self, node: TopologyNode) -> dict[str, str]:
        told = {"NODE_IDENTIFIER": str(self.nodes.index(node)), "ENABLE_FAULTS": "1"}
        if self.engine == "docker":
            return told
        return {**told, "SOCKET_ADDRESS": node.address, "DIALECT": "data_view"}


class Peers(Contract):
    """PORT, PEERS, PINGFREQ and TIMEOUT, which are flags as well.

    A container is told its own address, which is not on the host of its peers.
    """

    listens, ports = 8001, (32000, 62500)

    def environment(self, node: TopologyNode) -> dict[str, str]:
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
    """asg4, dynamo and peers together, as a node at asg4's own port speaks them."""

    ports = (24000, 63000)

    def environment(self, node: TopologyNode) -> dict[str, str]:
        return self._told(node, "asg4,dynamo,peers")


class Asg3(Contract):
    """SOCKET_ADDRESS and VIEW, and nothing else."""

    ports = (23000, 64800)

    def environment(self, node: TopologyNode) -> dict[str, str]:
        told = {"SOCKET_ADDRESS": node.address, "VIEW": addresses_of(self.nodes)}
        return told if self.engine == "docker" else {**told, "ENABLE_FAULTS": "1"}


class Asg3InOlderWords(Asg3):
    """The same, for scripts that call a write over a value an update."""

    def environment(self, node: TopologyNode) -> dict[str, str]:
        return {**super().environment(node), "ASG_REPLACED_WORD": "updated"}


class Causal(Contract):
    """SOCKET_ADDRESS, VIEW and SHARD_COUNT, and DIALECT: the others do not identify it."""

    ports = (29500, 63500)

    def environment(self, node: TopologyNode) -> dict[str, str]:
        return {**super().environment(node), "DIALECT": "causal"}


class Processes(ProcessEngine):
    """Processes with a contract's environment."""

    def __init__(self, folder: Path, contract: type[Topology]) -> None:
        super().__init__("contract", folder)
        self._contract = contract

    def recall(self) -> Topology | None:
        found = super().recall()
        return self._contract.from_json(found.to_json()) if found else None


class Containers(ContainerEngine):
    """Containers with a contract's environment, which may come back at another address.

    The shape is the one that was prepared last.
    """

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

    def come_back(self, node: str, ip: str | None = None) -> str:
        """Put it on the subnet again, at this address, or at any that the engine gives it."""
        network = self._network()
        network.connect(self._containers()[node], ipv4_address=ip)
        given: str = self._containers()[node].attrs["NetworkSettings"]["Networks"][network.name][
            "IPAddress"
        ]
        return given


class Plain(Containers):
    """Containers as a script of the contract runs them: one network, no mounts, no limits."""

    def _create(self, topology: Topology, node: TopologyNode) -> Any:
        network = self._network().name
        at = self.client.api.create_endpoint_config(ipv4_address=node.ip)
        return self.client.containers.create(
            docker_image.TAG,
            name=self._object_name(node.name),
            environment=topology.environment(node),
            ports={f"{node.port}/tcp": node.host_port},
            labels=self._labels(node.name),
            network=network,
            networking_config={network: at},
        )


@contextmanager
def speaking(
    kind: str,
    contract: type[Topology],
    folder: Path,
    shards: int,
    replicas: int,
    spare: int = 0,
    containers: type[Containers] = Containers,
    **said: str,
) -> Iterator[Cluster]:
    """Launch a cluster, without waiting until it is ready; `spare` ports stay free for more."""
    for_processes, for_containers = getattr(contract, "ports", PLAIN_PORTS)
    start = for_processes if kind == "process" else for_containers
    first = free_port_block(shards * replicas + spare, start)
    engine = (Processes if kind == "process" else containers)(folder, contract)
    subnet = free_subnet(OTHERS_SUBNETS | engine.subnets_taken()) if kind == "docker" else ""
    topology = contract(engine.name, shards, replicas, engine.kind, subnet, first, said)
    try:
        engine.prepare(topology, Report(quiet=True))
        engine.launch([node.name for node in topology.nodes])
        yield Cluster(engine, topology)
    finally:
        engine.clean()


def whole(cluster: Cluster) -> Cluster:
    """Return the same cluster, however the last scenario has left it: uncut, with all nodes up."""
    if cluster.engine.groups():
        cluster.engine.heal()
    for name, state in cluster.engine.states().items():
        if state != NodeState.RUNNING:
            cluster.engine.start(name)
    return cluster
