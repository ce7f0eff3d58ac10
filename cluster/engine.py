"""What can be done to a cluster, whatever runs it: Docker containers or local processes.

An `Engine` is bound to one cluster name and keeps nothing in memory that a later launcher would
miss: what exists is found again (labels, process records), so `down` works when `up` has died.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Literal, Protocol

from cluster.report import Report
from cluster.topology import NOT_FOUND, EngineKind, Topology, Trouble

EngineChoice = Literal["auto", "docker", "process"]

STOP_TIMEOUT_S = 10
TAIL_LINES = 20


class State(StrEnum):
    """What a node's process or container is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    MISSING = "missing"


class Engine(Protocol):
    """One cluster, running, resting (only its data is left) or not there at all."""

    kind: EngineKind
    name: str

    def recall(self) -> Topology | None:
        """Return the shape of what is left of the cluster, None when nothing is."""

    def neighbours(self) -> list[Topology]:
        """Return every other cluster this engine runs or keeps data of."""

    def subnets_taken(self) -> dict[str, str]:
        """Return the subnets a new cluster must stay clear of, by the name of their network."""

    def prepare(self, topology: Topology, report: Report) -> None:
        """Make what the nodes need (image, subnet, directories), telling each phase."""

    def launch(self, names: Sequence[str]) -> None:
        """Start these nodes of the prepared cluster; those that run already are left alone."""

    def halt(self, names: Sequence[str]) -> None:
        """Stop these nodes: SIGTERM, and SIGKILL after STOP_TIMEOUT_S.  Their data stays."""

    def stop(self) -> None:
        """Stop every node and remove all but the data."""

    def clean(self) -> None:
        """Stop every node and remove everything, the data too."""

    def kill(self, node: str) -> None:
        """End a node with SIGKILL, as a crash would."""

    def start(self, node: str) -> None:
        """Start a node that was stopped or killed, on its old data and address."""

    def pause(self, node: str) -> None:
        """Freeze a node: it holds its sockets and answers nobody."""

    def resume(self, node: str) -> None:
        """Let a paused node go on."""

    def wipe(self, node: str) -> None:
        """Throw away the data of a node that does not run."""

    def split(self, groups: Sequence[Sequence[str]]) -> None:
        """Cut every link between nodes of different groups; replaces an earlier split."""

    def heal(self) -> None:
        """Undo the split."""

    def groups(self) -> list[list[str]]:
        """Return the groups of the split in force; none when there is no split."""

    def logs(self, node: str, tail: int = TAIL_LINES) -> list[str]:
        """Return the node's last lines of output."""

    def follow(self, node: str, tail: int = TAIL_LINES) -> Iterator[str]:
        """Yield the node's last lines, and then each new one for as long as it is read."""

    def states(self) -> dict[str, State]:
        """Return the state of every node of the recalled cluster."""

    def endpoints(self) -> dict[str, str]:
        """Return the URL of every node of the recalled cluster."""

    def containers(self) -> dict[str, str]:
        """Return what runs each node that has something: its container's name, or its process."""


def recalled(engine: Engine) -> Topology:
    """Return the shape of the engine's cluster, or say that there is none."""
    topology = engine.recall()
    if topology is None:
        raise Trouble(
            f'no cluster "{engine.name}" here; start one with `make cluster NAME={engine.name}`',
            NOT_FOUND,
        )
    return topology


def expect_state(engine: Engine, node: str, *expected: State) -> None:
    """Refuse when the node is in another state than these, naming both."""
    recalled(engine).node(node)
    state = engine.states()[node]
    if state not in expected:
        raise Trouble(f"{node} is {state}; expected it {' or '.join(expected)}")
