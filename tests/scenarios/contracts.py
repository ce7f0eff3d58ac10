"""Clusters of local processes that are told just what a contract's own scripts tell their nodes.

The launcher has words of its own for a node's settings; here the environment is the contract's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cluster.processes import ProcessEngine
from cluster.report import Report
from cluster.topology import Node, Topology, addresses_of
from tests.scenarios.conftest import Cluster, free_port_block

PORTS = 26000
PEERS_PORTS = 32000
DATA_VIEW_PORTS = 28000
CAUSAL_PORTS = 34000


class KeysView(Topology):
    """ADDRESS, VIEW and REPL_FACTOR; the setting FIRST says how many nodes VIEW names."""

    def environment(self, node: Node) -> dict[str, str]:
        first = self.nodes[: int(self.settings["FIRST"])]
        return {
            "ADDRESS": node.address,
            "VIEW": addresses_of(first),
            "REPL_FACTOR": self.settings["REPL_FACTOR"],
            "ENABLE_FAULTS": "1",
        }


class ShardView(Topology):
    """SOCKET_ADDRESS, VIEW and SHARD_COUNT; ports are not the contract's, so it is named."""

    def environment(self, node: Node) -> dict[str, str]:
        return {**super().environment(node), "DIALECT": "shard_view"}


class DataView(Topology):
    """NODE_IDENTIFIER, which is a node's place here; all are on one host, so where each listens is
    said besides.  The nodes named in the setting MOVED have other addresses than at first."""

    def _node_at(self, index: int) -> Node:
        node = super()._node_at(index)
        if node.name not in self.settings.get("MOVED", "").split(","):
            return node
        port = node.port + self.size
        return replace(node, port=port, host_port=port)

    def environment(self, node: Node) -> dict[str, str]:
        return {
            "NODE_IDENTIFIER": str(self.nodes.index(node)),
            "SOCKET_ADDRESS": node.address,
            "DIALECT": "data_view",
            "ENABLE_FAULTS": "1",
        }


class Peers(Topology):
    """PORT, PEERS, PINGFREQ and TIMEOUT, as they are flags, too."""

    def environment(self, node: Node) -> dict[str, str]:
        others = [f"http://{other.address}" for other in self.nodes if other != node]
        return {
            "PORT": str(node.port),
            "PEERS": ",".join(others),
            "PINGFREQ": self.settings["PINGFREQ"],
            "TIMEOUT": self.settings["TIMEOUT"],
            "ENABLE_FAULTS": "1",
        }


class BesideAsg4(Topology):
    """asg4, dynamo and peers, as a node at asg4's own port speaks them."""

    def environment(self, node: Node) -> dict[str, str]:
        return {**super().environment(node), "DIALECT": "asg4,dynamo,peers"}


class Causal(Topology):
    """SOCKET_ADDRESS, VIEW and SHARD_COUNT; no environment tells this contract, so it is named."""

    def environment(self, node: Node) -> dict[str, str]:
        return {**super().environment(node), "DIALECT": "causal"}


PORTS_OF: dict[type[Topology], int] = {
    DataView: DATA_VIEW_PORTS,
    Peers: PEERS_PORTS,
    BesideAsg4: PEERS_PORTS,
    Causal: CAUSAL_PORTS,
}


class ContractEngine(ProcessEngine):
    """Processes whose environment is that of a contract."""

    def __init__(self, folder: Path, contract: type[Topology]) -> None:
        super().__init__("contract", folder)
        self._contract = contract

    def recall(self) -> Topology | None:
        found = super().recall()
        return self._contract.from_json(found.to_json()) if found else None


@contextmanager
def speaking(
    contract: type[Topology], folder: Path, shards: int, replicas: int, spare: int = 0, **said: str
) -> Iterator[Cluster]:
    """A cluster that has been launched but need not be ready; `spare` ports stay free for more."""
    first = free_port_block(shards * replicas + spare, PORTS_OF.get(contract, PORTS))
    engine = ContractEngine(folder, contract)
    topology = contract("contract", shards, replicas, "process", "", first, said)
    try:
        engine.prepare(topology, Report(quiet=True))
        engine.launch([node.name for node in topology.nodes])
        yield Cluster(engine, topology)
    finally:
        engine.clean()
