"""What a dialect is: a table of routes whose handlers turn HTTP words into ours, and back.

A handler is pure.  It takes a `Call` and returns a `Reply` at once, an `Ask` (a request for the
core and the function that turns its outcome into a `Reply`), a `Talk` (several requests, and waits
between them, for one reply), or `Events`, which go on.  The server does all I/O; a dialect knows
neither aiohttp nor the clock.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from node.core.messages import Outcome, Request
from node.core.view import Slot, View

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node can say of itself without asking anybody."""

    address: str
    view: View  # the current one; its number is 0 until the node has been told one
    alive: tuple[str, ...]  # the view's nodes that have been heard of lately, in the view's order
    ready: bool
    checks: tuple[tuple[str, str], ...]  # (name, "" or what is wrong), for /readyz?verbose
    status: Callable[[], dict[str, Any]]  # the body of /v1/status, made only when asked for
    movement: Callable[[], dict[str, Any]] = dict  # the view, and what of it is still to move
    slot_loads: Callable[[], dict[Slot, tuple[int, int]]] = dict  # keys and bytes of slots here
    content: Callable[[], str | None] = lambda: None  # the hash of what is held; None: not known
    previous: View | None = None  # the view before this one, where it is remembered
    now: float = 0.0  # seconds since the epoch, never going back


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that dialects enforce."""

    value_bytes_max: int
    wait_s_max: float


class Call(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, read whole; `path` holds the decoded {placeholders} of the route."""

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    facts: Callable[[], Facts]
    limits: Limits


class Reply(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer; everything of ours beyond a contract goes into `headers` (Kv-...)."""

    status: int
    body: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    content_type: str = JSON


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A request for the core, and how to say its outcome."""

    request: Request
    say: Callable[[Outcome], Reply]


Steps = Generator[Sequence[Request] | float, Sequence[Outcome], Reply]


@dataclass(frozen=True, slots=True)
class Talk:
    """Several requests for one reply: a generator that yields some, to be done at once, and is sent
    their outcomes, or yields so many seconds to wait and is sent none.  It returns the reply."""

    steps: Steps


@dataclass(frozen=True, slots=True)
class Events:
    """A stream of server-sent events: `poll` is asked every so often for what is new, and ends the
    stream with None; nothing new is nothing."""

    poll: Callable[[], bytes | None]
    every_s: float


Handler = Callable[[Call], Reply | Ask | Talk | Events]


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern` is a path such as /kvs/{key}; a placeholder stands for one or more characters
    that are not a slash, except the last one, which takes the rest of the path."""

    method: str
    pattern: str
    handler: Handler


@dataclass(frozen=True, slots=True)
class Dialect:
    """One HTTP contract."""

    name: str
    routes: tuple[Route, ...]
    not_found: Callable[[str], Reply]  # for a path of nobody; takes the path
