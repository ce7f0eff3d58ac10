"""What a dialect is: a table of routes whose handlers translate between HTTP and the core.

A handler is pure.  It takes a `Call` and returns one of six things: a `Reply` at once; an `Ask` (a
request for the core, and the function that turns its outcome into a `Reply`); a `Talk` (several
requests, with waits between them, for one reply); `Events`, a stream of what the node knows; a
`Feed`, a stream of what the core is asked; or `BodyLines`, for a body that is answered while it
comes.  A handler that cannot carry out a request raises `Refused`, and so
do the parsers that it calls.  The server does all I/O; a dialect knows neither aiohttp nor the
clock.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from node.core.model.actors import Actor
from node.core.model.item import Past
from node.core.model.keys import Slot
from node.core.model.view import View
from node.core.protocol.operations import Outcome, Request
from node.security.scopes import ALL, ApiScope, Scopes

JSON = "application/json"
ESCAPED_BYTES_MAX = 6  # the longest way to write a character of one byte: \u0041
BODY_SLACK_BYTES = 64 * 1024  # room for metadata and the other fields beside the value

Checks = tuple[tuple[str, str], ...]  # (name, what is wrong, or "")


class Facts(msgspec.Struct, frozen=True):
    """What a node can report of itself without asking another node.  Most requests need little of
    it, so functions make what costs more."""

    address: str
    view: View  # the current one; its number is 0 until the node has been told one
    alive: Callable[[], tuple[str, ...]]  # the view's nodes heard lately, in the view's order
    checks: Callable[[], Checks] = tuple  # for /readyz?verbose
    status: Callable[[], dict[str, Any]] = dict  # makes the body of /v1/status
    movement: Callable[[], dict[str, Any]] = dict  # the view, and what is still to move
    slot_loads: Callable[[], dict[Slot, tuple[int, int]]] = dict  # keys and bytes of the slots here
    content: Callable[[], str | None] = lambda: None  # hash of the data held; None: not known
    previous: View | None = None  # the view before this one, if the node remembers it
    cluster: str = ""  # the name of the cluster in this node's tokens
    now: float = 0.0  # seconds since the epoch, never going back
    confirmed: bool = True  # False for a moment after a restart, while this node proposes no view
    node_of: Callable[[Actor], str] = str  # the address at which an actor writes or wrote
    packed: Callable[[Past], Past] = lambda past: past  # short, however often nodes were started

    @property
    def ready(self) -> bool:
        """Whether all checks pass."""
        return not any(wrong for _, wrong in self.checks())


class Limits(msgspec.Struct, frozen=True):
    """The bounds that dialects enforce."""

    value_bytes_max: int  # in the form in which the value is stored
    wait_s_max: float

    @property
    def body_bytes_max(self) -> int:
        """The longest body that a client may send: it holds the longest spelling of any value."""
        return ESCAPED_BYTES_MAX * self.value_bytes_max + BODY_SLACK_BYTES


class Call(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, read whole; `path` holds the decoded {placeholders} of the route."""

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    facts: Callable[[], Facts]
    limits: Limits
    scopes: Scopes = ALL  # what the client may do; all of it where clients have no tokens


class Reply(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer; headers (Kv-...) hold everything that the contract does not know."""

    status: int
    body: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    content_type: str = JSON


class Refused(Exception):
    """A request that is not carried out.

    Parsers, handlers, the `say` of an `Ask` and the steps of a `Talk` raise it.  The server catches
    it and answers with `reply`, in the dialect's wording.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, reply.body)
        self.reply = reply


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A request for the core, and the function that makes a reply of its outcome."""

    request: Request
    say: Callable[[Outcome], Reply]


Steps = Generator[Sequence[Request] | float, Sequence[Outcome], Reply]


class Talk(msgspec.Struct, frozen=True):
    """Several requests for one reply.

    The generator yields requests, to be done at once, and receives their outcomes; or it yields a
    number of seconds to wait and receives nothing.  It returns the reply.
    """

    steps: Steps


class Events(msgspec.Struct, frozen=True):
    """A stream of server-sent events.

    The server calls `poll` every `every_s`; it returns the new bytes, which may be empty, or None
    to end the stream.
    """

    poll: Callable[[], bytes | None]
    every_s: float


class FeedWords(msgspec.Struct, frozen=True):
    """Words of a feed, with so many events in them."""

    text: bytes
    events: int = 0


FeedSteps = Generator[Sequence[Request] | float | FeedWords, Sequence[Outcome], None]


class Feed(msgspec.Struct, frozen=True):
    """A stream that asks the core.

    The steps of `opening` lead to a reply.  If that is a 200, its type and its headers begin the
    stream, and `go_on` gives the steps that say the rest: what they yield as `FeedWords` is
    written, and they go on when the client has read it.  `is_watch`: it has no end of its own, and
    counts for the bound of watches; others count for a bound of their own.
    """

    opening: Steps
    go_on: Callable[[], FeedSteps]
    is_watch: bool = True


LineSteps = Generator[Sequence[Request] | float, Sequence[Outcome], bytes]


class BodyLines(msgspec.Struct, frozen=True):
    """A body of lines that is answered while it comes; the call of its handler has no body.

    The server reads some lines at a time, at most `lines_max`, each of at most `line_bytes_max`
    bytes.  `answer` gives the steps that lead to what is said of them.  `end` gives the last words;
    it is told why the body was not read to its end, or None.  The steps of `opening`, if there are
    any, come first: they lead to a 200, or to the reply.
    """

    answer: Callable[[Sequence[bytes]], LineSteps]
    end: Callable[[Reply | None], bytes]
    lines_max: int
    line_bytes_max: int
    headers: Mapping[str, str] = {}
    opening: Steps | None = None


Reaction = Reply | Ask | Talk | Events | Feed | BodyLines
Handler = Callable[[Call], Reaction]
Reword = Callable[[Call, Reply], Reply]


class Route(msgspec.Struct, frozen=True):
    """`pattern` is a path such as /kvs/{key}; a placeholder stands for one or more characters
    that are not a slash, except the last one, which takes the rest of the path.  Where clients have
    tokens, a route without a `scope` is closed.  `reads_lines`: the handler answers with
    `BodyLines` or a reply."""

    method: str
    pattern: str
    handler: Handler
    scope: ApiScope | None = None
    reads_lines: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """One HTTP contract.

    Parsers say refusals as `parsing.refused` does; `reword` turns them into the form of this
    contract.  `reword_early` does so with refusals of the server itself, of requests that no
    handler has seen.
    """

    name: str
    routes: tuple[Route, ...]
    not_found: Callable[[str], Reply]  # for a path that no route has
    reword: Reword = lambda call, reply: reply
    reword_early: Reword = lambda call, reply: reply
