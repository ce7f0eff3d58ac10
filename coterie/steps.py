"""What a conversation with the nodes asks for, and what it is told.

A conversation is a generator: it yields a step, and is sent what came of it.  It does no I/O and
reads no clock of its own; `transport` takes the steps, for threads or for asyncio.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request to a node, and wait so long for the whole answer.  Told: `Answer`, or
    `NoAnswer`."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long.  Told: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No answer came; `was_sent`: the node may have the request nevertheless."""

    reason: str
    was_sent: bool


Told: TypeAlias = Answer | NoAnswer | None
Steps: TypeAlias = Generator[Send | Pause, Told, T]
