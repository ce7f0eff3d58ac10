"""What a conversation with the nodes asks for, and what it is told.

A conversation is a generator: it yields a step, and is sent what came of it.  It does no I/O and
reads no clock of its own; `transport` takes the steps, for threads or for asyncio.

A call ends with one result (`Steps`).  A stream gives items while it goes on (`Stream`): it has at
most one answer open, reads it part by part, and gives what it finds with `Emit`.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

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


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and wait for the head of its answer; the one that was open is closed.  Each
    part may take `part_s`.  Told: `Opened`, or `NoAnswer`."""

    request: Send
    part_s: float


@dataclass(frozen=True, slots=True)
class Opened:
    """The head of an answer whose body comes part by part."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class More:
    """Read the next part of the open answer.  Told: bytes, none at its end; or `NoAnswer`."""


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Give this to the program.  Told: None, once the program wants the next item."""

    item: T


Told: TypeAlias = Answer | NoAnswer | Opened | bytes | None
Steps: TypeAlias = Generator[Send | Pause, Told, T]
Reading: TypeAlias = Generator[More, Told, T]
Stream: TypeAlias = Generator[Send | Pause | Open | More | Emit[T], Told, None]
