"""The nodes of a deployment at their ports of this host, for the commands about clusters.

`coterie deploy` notes which deployment has which ports; so `coterie status` and `coterie view` find
the nodes.  The orchestrator alone starts and stops them: commands that would do so are refused.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.deployments.description import Deployment
from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.engine import TAIL_LINES, NodeState
from cluster.engines.topology import USAGE, EngineKind, Topology, TopologyNode, Trouble

FILE = "deployment.json"
PLAIN = Deployment(is_secure=False)


def note(deployment: Deployment, home: Path) -> None:
    """Remember where the nodes of the deployment are.  Raises OSError."""
    place = home / deployment.name
    place.mkdir(parents=True, exist_ok=True)
    (place / FILE).write_text(json.dumps(asdict(deployment)), encoding="utf-8")


@dataclass(frozen=True)
class PublishedTopology(Topology):
    """The shape of a deployment; its nodes have names of DNS for addresses."""

    deployed: Deployment = PLAIN

    @property
    def nodes(self) -> tuple[TopologyNode, ...]:
        first = self.base_port
        return tuple(
            TopologyNode(
                node.name,
                node.address.rpartition(":")[0],
                int(node.address.rpartition(":")[2]),
                first + node.index,
            )
            for node in self.deployed.nodes
        )


class PublishedEngine:
    """A deployment that something else runs (`cluster.engines.engine.Engine`)."""

    kind: EngineKind = "docker"

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self._file = home / name / FILE

    def recall(self) -> Topology | None:
        """Read the note; None if there is none, or if the nodes have no ports on a host."""
        try:
            told = Deployment(**json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            words = f"{self._file} is no note of a deployment; write it anew with `coterie deploy`"
            raise Trouble(words) from error
        if told.host_port is None:
            return None
        return PublishedTopology(
            told.name,
            told.shards,
            told.replicas,
            "process",  # the other kind wants a subnet
            base_port=told.host_port,
            added=told.later,
            deployed=told,
        )

    def states(self) -> dict[str, NodeState]:
        """Ask each node whether it lives."""
        nodes = self._nodes()
        ports = [node.host_port for node in nodes]
        said = node_client.everyone(lambda port: node_client.ask("GET", port, "/livez"), ports)
        return {
            node.name: NodeState.RUNNING if status else NodeState.MISSING
            for node, (status, _) in zip(nodes, said, strict=True)
        }

    def _nodes(self) -> tuple[TopologyNode, ...]:
        topology = self.recall()
        return topology.nodes if topology else ()

    def endpoints(self) -> dict[str, str]:
        return {node.name: node.url for node in self._nodes()}

    def containers(self) -> dict[str, str]:
        """Return the names of the services."""
        return {node.name: node.name for node in self._nodes()}

    def neighbours(self) -> list[Topology]:
        return []

    def subnets_taken(self) -> dict[str, str]:
        return {}

    def groups(self) -> list[list[str]]:
        return []

    # ------------------------------------------------------------------ what it does not do

    def prepare(self, topology: Topology, report: Report) -> None:
        raise self._refusal()

    def launch(self, names: Sequence[str]) -> None:
        raise self._refusal()

    def halt(self, names: Sequence[str]) -> None:
        raise self._refusal()

    def stop(self) -> None:
        raise self._refusal()

    def clean(self) -> None:
        raise self._refusal()

    def kill(self, node: str) -> None:
        raise self._refusal()

    def start(self, node: str) -> None:
        raise self._refusal()

    def pause(self, node: str) -> None:
        raise self._refusal()

    def resume(self, node: str) -> None:
        raise self._refusal()

    def wipe(self, node: str) -> None:
        raise self._refusal()

    def split(self, groups: Sequence[Sequence[str]]) -> None:
        raise self._refusal()

    def heal(self) -> None:
        raise self._refusal()

    def logs(self, node: str, tail: int = TAIL_LINES) -> list[str]:
        raise self._refusal()

    def follow(self, node: str, tail: int = TAIL_LINES) -> Iterator[str]:
        raise self._refusal()

    def _refusal(self) -> Trouble:
        words = f'"{self.name}" is a deployment, and its orchestrator runs the nodes'
        return Trouble(f"{words}: use docker compose, docker service or kubectl for this", USAGE)
