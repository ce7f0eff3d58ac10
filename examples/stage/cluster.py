"""What a play asks of a cluster; `simulated` and `real` are the two kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from coterie.steps import Answer


class Unusable(Exception):
    """The story cannot be played on this cluster."""


class NotAsTold(Exception):
    """The cluster did something else than the story says."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it leaves the client; `query` is without the question mark."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Cluster(Protocol):
    """Three nodes, each of which has a replica of the story's key."""

    nodes: Sequence[str]
    legend: Sequence[str]  # how to read the log, at its top

    def key(self, word: str) -> str:
        """Return the key of the story: for this word, and new on this cluster."""

    def begin_step(self) -> None:
        """Count the time from now on."""

    def now_ms(self) -> float | None:
        """Return the time since the step began; None where it is not known."""

    def send(self, node: str, request: Request) -> Answer:
        """Send a request to a node and wait for its answer; raise Unusable if none comes."""

    def in_short(self, header: str, text: str) -> str:
        """Return the value of a header as a reader understands it best."""

    def cut_off(self, node: str) -> str:
        """Cut the node off from the others; return "" or why that is not possible."""

    def heal(self) -> None:
        """End all cuts."""

    def settle(self) -> None:
        """Let arrive what is under way, and log what the replicas have."""

    def until_level(self) -> None:
        """Wait until all replicas have the same of the key; raise Unusable if they never do."""

    def close(self) -> None:
        """End all connections."""
