"""What a simulated client keeps from one operation to the next, and its requests under way."""

from collections import deque

import msgspec

from cluster.checker.history import Kind, Operation
from cluster.simulator.invariants import ViolationError
from node.core.model.token import TOKEN_BYTES_MAX, Token, decode, encode
from node.core.protocol.operations import Absent, Found, Get, Put, Stored

ENCODER = msgspec.msgpack.Encoder()
NO_TOKEN = encode(Token())
Answer = Stored | Found | Absent


def token_of(wire: bytes) -> Token:
    """Return the token as a node would read it from a request."""
    return decode(msgspec.json.decode(wire))


class Session:
    """A client: the token it would send next, the answer that gave it, and what it has seen."""

    def __init__(self, number: int, node: str) -> None:
        self.number, self.node = number, node
        self.token = NO_TOKEN
        self.parents: tuple[int, ...] = ()
        self.contexts: dict[str, tuple[bytes, int]] = {}
        self.read: dict[str, Found] = {}  # the last one of each key
        self.script: deque[tuple[Kind, str]] = deque()
        self.waiting = 0

    def learn(self, operation: Operation, answer: Answer, by_name: bool = False) -> None:
        """Replace the session's token by the answer's, and the context of this key.  `by_name`: as
        the native API gives it, which names the versions of an answer one by one."""
        self.token = encode(answer.token)
        if len(self.token) > TOKEN_BYTES_MAX:
            raise ViolationError("TokenTooLarge", f"{len(self.token)} bytes: {self.token.decode()}")
        self.parents = (operation.id,)
        context = answer.context
        if by_name:
            dots = (answer.dot,) if isinstance(answer, Stored) else answer.dots
            context = context.by_name(dots)
        self.contexts[operation.key] = ENCODER.encode(context), operation.id
        if isinstance(answer, Found) and operation.mode != "latest":
            self.read[operation.key] = answer

    def meet(self, other: "Session") -> None:
        """Go on with what both sessions have seen."""
        self.token = encode(token_of(self.token).joined(token_of(other.token)))
        self.parents = tuple(dict.fromkeys((*self.parents, *other.parents)))

    def take_over(self, other: "Session", number: int) -> None:
        """Begin a new session with the token of another; forget the own one."""
        self.number, self.token, self.parents = number, other.token, other.parents
        self.contexts, self.read = dict(other.contexts), dict(other.read)


class OpenRequest:
    """A request under way: answered once, or given up and perhaps answered later."""

    def __init__(self, session: Session, operation: Operation, request: Put | Get) -> None:
        self.session, self.operation, self.request = session, operation, request
        self.over = False
        self.awaited = 1  # answers, each to one time that it was sent
