"""What can be done to a cluster, whatever runs it: Docker containers or local processes.

An `Engine` is bound to one cluster name, and keeps nothing in memory that a later launcher would
miss.  It finds what exists by labels or process records, so `down` works when `up` has died.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Literal, Protocol

from cluster.engines.console import Report
from cluster.engines.topology import NOT_FOUND, EngineKind, Topology, Trouble

EngineChoice = Literal["auto", "docker", "process"]

STOP_TIMEOUT_S = 10
TAIL_LINES = 20


class NodeState(StrEnum):
    """The state of a node's process or container."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    MISSING = "missing"


class Engine(Protocol):
    """One cluster that is running, resting (only its data is left), or absent."""

    kind: EngineKind
    name: str

    def recall(self) -> Topology | None:
        """Return the shape of the cluster, if anything of it is left, else None."""

    def neighbours(self) -> list[Topology]:
        """Return every other cluster that this engine runs or keeps data of."""

    def subnets_taken(self) -> dict[str, str]:
        """Return the subnets that a new cluster must avoid, by the names of their networks."""

    def prepare(self, topology: Topology, report: Report) -> None:
        """Make what the nodes need (image, subnet, directories), and report each phase."""

    def launch(self, names: Sequence[str]) -> None:
        """Start these nodes of the prepared cluster; leave those that run alone."""

    def halt(self, names: Sequence[str]) -> None:
        """Stop these nodes: SIGTERM, and SIGKILL after STOP_TIMEOUT_S.  Their data stays."""

    def stop(self) -> None:
        """Stop every node and remove everything except the data."""

    def clean(self) -> None:
        """Stop every node and remove everything, with the data."""

    def kill(self, node: str) -> None:
        """End a node with SIGKILL, as a crash would."""

    def start(self, node: str) -> None:
        """Start a node that was stopped or killed, on its old data and address."""

    def pause(self, node: str) -> None:
        """Freeze a node: it holds its sockets and answers no request."""

    def resume(self, node: str) -> None:
        """Let a paused node go on."""

    def wipe(self, node: str) -> None:
        """Throw away the data of a node that does not run."""

    def split(self, groups: Sequence[Sequence[str]]) -> None:
        """Cut every link between nodes of different groups; this replaces an earlier split."""

    def heal(self) -> None:
        """Undo the split."""

    def groups(self) -> list[list[str]]:
        """Return the groups of the split in force; none when there is no split."""

    def logs(self, node: str, tail: int = TAIL_LINES) -> list[str]:
        """Return the node's last lines of output."""

    def follow(self, node: str, tail: int = TAIL_LINES) -> Iterator[str]:
        """Yield the node's last lines, and then each new one as long as the caller reads."""

    def states(self) -> dict[str, NodeState]:
        """Return the state of every node of the recalled cluster."""

    def endpoints(self) -> dict[str, str]:
        """Return the URL of every node of the recalled cluster."""

    def containers(self) -> dict[str, str]:
        """Return what runs each node: the name of its container, or its process."""


def recalled(engine: Engine) -> Topology:
    """Return the shape of the engine's cluster; raise Trouble if there is none."""
    topology = engine.recall()
    if topology is None:
        raise Trouble(
            f'no cluster "{engine.name}" here; start one with `make cluster NAME={engine.name}`',
            NOT_FOUND,
        )
    return topology


def expect_state(engine: Engine, node: str, *expected: NodeState) -> None:
    """Refuse a node that is in another state than these, and name both."""
    recalled(engine).node(node)
    state = engine.states()[node]
    if state not in expected:
        raise Trouble(f"{node} is {state}; expected it {' or '.join(expected)}")
