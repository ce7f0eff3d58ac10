"""A scripted world for conversations: what nodes answer, at which instants, and what was sent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from coterie.nodes import Nodes
from coterie.retries import Patience, World
from coterie.session_core import Defaults, SessionCore
from coterie.steps import (
    Answer,
    Emit,
    More,
    NoAnswer,
    Open,
    Opened,
    Pause,
    Send,
    Steps,
    Stream,
    Told,
)

T = TypeVar("T")
A, B, C = "http://a:1", "http://b:1", "http://c:1"
SHOWN = {"kv-token": "t1", "kv-context": "c1", "kv-served-by": "a:1"}
READ = {**SHOWN, "kv-reads": "1/3", "etag": '"e1"', "content-type": "application/json"}
WROTE = {**SHOWN, "kv-acks": "2/3", "etag": '"e1"'}
REFUSED = NoAnswer("connection refused", was_sent=False)
HANGS = NoAnswer("no answer in time", was_sent=True)  # takes all the time that the call gives it
LOST = NoAnswer("the node has closed the connection", was_sent=True)

Reply = Answer | NoAnswer


@dataclass(frozen=True)
class Parts:
    """An answer that comes part by part, and breaks off where a part is `NoAnswer`."""

    parts: tuple[bytes | NoAnswer, ...]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("kv-served-by", "a:1"),)


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


def found(value: object = 1, **headers: str) -> Answer:
    return Answer(200, {**READ, **_named(headers)}, json.dumps(value).encode())


def wrote(status: int = 200, **headers: str) -> Answer:
    return Answer(status, {**WROTE, **_named(headers)}, b"{}")


def problem(status: int, kind: str, /, *, definite: bool = True, **headers: str) -> Answer:
    document = {
        "type": f"/v1/problems/{kind}",
        "title": "A title",
        "status": status,
        "detail": f"it is {kind}",
        "definite": definite,
        "retryable": status == 503,
        "node": "a:1",
    }
    retry = {"retry-after": "1"} if status == 503 else {}
    its_type = {"content-type": "application/problem+json"}
    said = {**SHOWN, **its_type, **retry, **_named(headers)}
    return Answer(status, said, json.dumps(document).encode())


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in headers.items()}


@dataclass
class Script:
    """Nodes that answer as the script says; each answer takes `takes_s`."""

    replies: list[Reply | Parts]
    urls: tuple[str, ...] = (A, B, C)
    takes_s: float = 0.01
    now: float = 100.0
    sent: list[Send] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def core(self, timeout: float = 20.0) -> SessionCore:
        """Return a session whose first call asks the first node first."""
        nodes = Nodes(self.urls, self.clock, first=len(self.urls) - 1)
        world = World(nodes, self.clock, Random(1), Patience())
        return SessionCore(world, Defaults(timeout=timeout))

    def clock(self) -> float:
        return self.now

    def run(self, steps: Steps[T]) -> T:
        """Take the steps; return what the conversation returns, raise what it raises."""
        told: Reply | None = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now += step.seconds
                told = None
            else:
                reply = self._reply_to(step)
                assert not isinstance(reply, Parts)
                told = reply

    def _reply_to(self, send: Send) -> Reply | Parts:
        self.sent.append(send)
        reply = self.replies.pop(0)
        self.now += send.timeout_s if reply is HANGS else self.takes_s
        return reply

    def give(self, steps: Stream[T], reading_s: float = 0.0) -> Iterator[T]:
        """Take the steps of a stream; yield its items, each of which the program reads so long."""
        told: Told = None
        parts: list[bytes | NoAnswer] = []
        while True:
            try:
                step = steps.send(told)
            except StopIteration:
                return
            told = None
            match step:
                case Emit():
                    yield step.item
                    self.now += reading_s
                case Open():
                    told, parts = self._opened(self._reply_to(step.request))
                case More():
                    told = parts.pop(0) if parts else b""
                case Pause():
                    self.pauses.append(step.seconds)
                    self.now += step.seconds
                case Send():
                    reply = self._reply_to(step)
                    assert not isinstance(reply, Parts)
                    told = reply

    def _opened(self, reply: Reply | Parts) -> tuple[Told, list[bytes | NoAnswer]]:
        if isinstance(reply, NoAnswer):
            return reply, []
        if isinstance(reply, Answer):
            return Opened(reply.status, reply.headers), [reply.body]
        return Opened(reply.status, dict(reply.headers)), list(reply.parts)

    @property
    def asked(self) -> list[str]:
        """Return the nodes that were asked, in order: "abc"."""
        return [send.url[len("http://")] for send in self.sent]


def header(send: Send, name: str) -> list[str]:
    return [text for each, text in send.headers if each == name]
