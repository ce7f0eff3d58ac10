"""A watch: server-sent events of the changes of keys, taken up again where they broke off.

A node says with each event how far the client has come (its id).  If the connection breaks, or
nothing comes for longer than a node is silent, the watch goes on at the next node from that id, so
the program is given every change at least once, and some twice.  If no node can tell what has
changed since then, the watch raises `Reset`.  (The WHATWG rules of server-sent events.)
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from coterie import calls
from coterie.answers import header_of, unexpected
from coterie.calls import Call, pairs
from coterie.errors import CoterieError, Reset
from coterie.lines import Lines
from coterie.retries import Tries, request_of, rest_of
from coterie.session_core import SessionCore
from coterie.steps import Answer, Emit, More, NoAnswer, Open, Opened, Send, Stream

Kind: TypeAlias = Literal["change", "delete", "expire"]
KINDS: tuple[Kind, ...] = ("change", "delete", "expire")

STEADY_S = 1.0  # a watch that went on for so long begins anew with its tries
ENDED = NoAnswer("the node has ended the watch", was_sent=True)
HAS_BEGUN = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """One of the values that a key shows after a change.

    A value that is too long for an event is None, and `size` is its length in bytes; a read has it.
    `written_at` and `expires` are as those of a `Sibling`.
    """

    id: str
    value: Any
    size: int | None
    content_type: str
    meta: Mapping[str, str]
    written_at: float
    expires: float | None
    node: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a key shows now: `shown` has one value after most changes, several if they are
    concurrent, and none after a delete or once its time was over.

    `overwritten`: a "change" that shows nothing, for its write was replaced before it was told.
    `id` is how far the watch has come with it, and `token` a session that has seen it.
    """

    kind: Kind
    key: str
    etag: str
    shown: tuple[Shown, ...]
    overwritten: bool
    id: str
    token: str

    @property
    def value(self) -> Any:
        """Return the value, if the key shows just one that is short enough; otherwise None."""
        return self.shown[0].value if len(self.shown) == 1 else None


@dataclass(slots=True)
class Progress:
    """What is watched, and how far the watch has come."""

    prefix: str
    key: str | None
    last_id: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """One event as text.  Its id is empty if it has none, its kind if it only has an id."""

    kind: str
    data: str
    id: str


@dataclass(slots=True)
class Events:
    """Cuts what comes of an event stream into events."""

    lines: Lines = field(default_factory=Lines)
    fields: dict[str, list[str]] = field(default_factory=dict)

    def take(self, part: bytes) -> Iterator[Event]:
        """Yield the events that end in this part."""
        for line in self.lines.take(part):
            text = line.decode(errors="replace").removesuffix("\r")
            name, _, value = text.partition(":")
            if name:
                self.fields.setdefault(name, []).append(value.removeprefix(" "))
            elif not text:
                yield from self._ended()

    def _ended(self) -> Iterator[Event]:
        fields, self.fields = self.fields, {}
        kind, number = fields.get("event", ["message"])[-1], fields.get("id", [""])[-1]
        if "data" in fields:
            yield Event(kind, "\n".join(fields["data"]), number)
        elif number:
            yield Event("", "", number)


def watch(core: SessionCore, progress: Progress) -> Stream[Change | None]:
    """Give None once the watch has begun, and then each change, for ever."""
    yield from _Watching(core, progress).steps()


@dataclass(slots=True)
class _Watching:
    """A watch on its way: the tries since it last went well, the token of the last change, and how
    the last connection ended."""

    core: SessionCore
    progress: Progress
    has_begun: bool = False
    last_token: str = ""
    end: NoAnswer = ENDED
    tries: Tries = field(init=False)
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self._begin_anew()

    def _begin_anew(self) -> None:
        world = self.core.world
        self.tries = Tries(world, world.nodes.in_turn(), is_write=False)
        self.deadline = world.clock() + self.progress.timeout_s

    def steps(self) -> Stream[Change | None]:
        """Ask node after node; raises Unavailable if none takes the watch in time."""
        while True:
            url, opened_at = (yield from self.tries.turn(self.deadline)), self.core.world.clock()
            tokens = self.core.seen.tokens()
            told = yield Open(self._request(url, tokens), self.core.world.patience.silence_s)
            if isinstance(told, NoAnswer):
                self.tries.had_no_answer(url, told)
                continue
            assert isinstance(told, Opened), "a request is told a head, or that there is none"
            if told.status != HAS_BEGUN:
                self.tries.passed_over(url, (yield from rest_of(told)))
                continue
            self.core.world.nodes.has_answered(url)
            self.core.seen.learn_token(tokens, self._check(told))
            if not self.has_begun:
                self.has_begun = True
                yield Emit(None)
            yield from self._changes(told)
            if self.core.world.clock() - opened_at > STEADY_S:
                self._begin_anew()
            self.tries.had_no_answer(url, self.end)

    def _request(self, url: str, tokens: tuple[str, ...]) -> Send:
        watched, world = self.progress, self.core.world
        last_id = (("Last-Event-ID", watched.last_id),) if watched.last_id else ()
        names = {"prefix": watched.prefix or None} if watched.key is None else {"key": watched.key}
        call = Call(
            method="GET",
            key="",
            query=pairs(names),
            headers=(("Accept", "text/event-stream"), *last_id),
            read=calls.nothing_lacks,
            place="/v1/watch",
        )
        left_s = self.deadline - world.clock()
        return request_of(call, tokens, url, min(world.patience.attempt_s, left_s))

    def _check(self, head: Opened) -> str:
        """Return the token of a head; raise Unexpected if this is no watch of a node."""
        kind = head.headers.get("content-type", "")
        if not kind.startswith("text/event-stream"):
            raise _strange(head, f"its type is {kind!r}")
        return header_of(Answer(head.status, head.headers, b""), "kv-token")

    def _changes(self, head: Opened) -> Stream[Change | None]:
        """Give what comes until the connection breaks; `end` says how it did."""
        events = Events()
        while isinstance(part := (yield More()), bytes) and part:
            for event in events.take(part):
                self.progress.last_id = event.id or self.progress.last_id
                if event.kind == "reset":
                    raise self._reset(object_in(head, event))
                if event.kind in KINDS:
                    yield Emit(self._given(change_in(head, event)))
        self.end = part if isinstance(part, NoAnswer) else ENDED

    def _given(self, change: Change) -> Change:
        self._depend_on(change.token)
        return change

    def _depend_on(self, token: str) -> None:
        """Let the session depend on a change, in place of the one that was given before it."""
        self.core.seen.learn_token((self.last_token,), token)
        self.last_token = token

    def _reset(self, said: Mapping[str, Any]) -> Reset:
        if "token" in said:
            self._depend_on(str(said["token"]))
        why = said.get("reason", "the node does not say why")
        words = f"changes may be missing: {why}; read the keys again"
        return Reset(words, self.progress.last_id)


def change_in(head: Opened, event: Event) -> Change:
    """Read the event of a change; raise Unexpected."""
    said = object_in(head, event)
    siblings = said.get("siblings", [said] if "content_type" in said else [])
    try:
        return Change(
            kind=next(kind for kind in KINDS if kind == event.kind),
            key=str(said["key"]),
            etag=str(said.get("etag", "")),
            shown=tuple(_shown(each) for each in siblings),
            overwritten=said.get("overwritten") is True,
            id=event.id,
            token=str(said["token"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(head, f"this is no event of a change: {error!r}") from error


def object_in(head: Opened, event: Event) -> Mapping[str, Any]:
    """Return what an event says; raise Unexpected."""
    try:
        said = json.loads(event.data)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _strange(head, "an event is no JSON object")
    return said


def _strange(head: Opened, why: str) -> CoterieError:
    return unexpected(Answer(head.status, head.headers, b""), why)


def _shown(said: Mapping[str, Any]) -> Shown:
    raw = said.get("value_base64")
    return Shown(
        id=str(said["id"]),
        value=said.get("value") if raw is None else base64.b64decode(raw),
        size=said.get("size"),
        content_type=str(said["content_type"]),
        meta=said["meta"],
        written_at=said["written_at"],
        expires=said["expires_at"],
        node=str(said["node"]),
    )
