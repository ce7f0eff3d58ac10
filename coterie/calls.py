"""From the arguments of a call to the request that it makes.

A call is made once and may be sent several times, each time with the same bytes.  What a node
judges (keys, levels, conditions) is left to the node; only what would break a header is refused
here, with ValueError.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar
from urllib.parse import quote

from coterie import answers
from coterie.errors import CoterieError
from coterie.resolvers import Resolver
from coterie.steps import Answer
from coterie.values import Head, Value, Written, encoded

T = TypeVar("T")
ReadLevel: TypeAlias = Literal["one", "quorum", "all"] | int
WriteLevel: TypeAlias = Literal["available", "one", "quorum", "all"] | int
OnMiss: TypeAlias = Literal["wait", "fail", "stale"]

NAME = "Idempotency-Key"  # under this name a write is the same write, however often it is sent
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Seen(Enum):
    """The context that stands for what the session has seen."""

    SEEN = "seen"


SEEN = Seen.SEEN
Context: TypeAlias = str | Seen

Pairs = tuple[tuple[str, str], ...]


def nothing_lacks(_answer: Answer) -> None:
    """The answer of most calls is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request about a key, and how its answer is read."""

    method: str
    key: str
    query: Pairs
    headers: Pairs
    read: Callable[[Answer], T]
    body: bytes | None = None
    is_write: bool = False
    drawn_name: str = ""  # the Idempotency-Key of a write, if no program relies on it
    fails_unmet: bool = False  # an unmet token is an error at once, and not a reason to go on
    is_of_all: bool = True  # the context of the answer is what was seen of the key, not of a part
    place: str = "/v1/kv/"  # the path before the key
    is_timed: bool = True  # the node is told how long it may take
    is_safe_twice: bool = False  # a write that does the same however often it is done
    lack_in: Callable[[Answer], CoterieError | None] = nothing_lacks  # another node may have more

    @property
    def is_repeatable(self) -> bool:
        """Whether the request may be sent again after one that may have been done."""
        is_named = any(name == NAME for name, _ in self.headers)
        return not self.is_write or self.is_safe_twice or is_named

    def lacking(self, lack_in: Callable[[Answer], CoterieError | None]) -> Self:
        """Return this call; an answer in which that finds an error is asked for again."""
        return replace(self, lack_in=lack_in)

    def nameless(self) -> Self:
        """Return this write without the name that was drawn for it."""
        headers = tuple(pair for pair in self.headers if pair != (NAME, self.drawn_name))
        return replace(self, headers=headers, drawn_name="")

    @property
    def path(self) -> str:
        """Return the path; a segment of dots alone is escaped, or a URL would lose it."""
        escaped = quote(self.key, safe="")
        return self.place + (escaped.replace(".", "%2E") if set(escaped) == {"."} else escaped)


def get(
    key: str,
    *,
    r: ReadLevel | None,
    on_miss: OnMiss | None,
    resolve: Resolver | None = None,
    sibling: str | None = None,
    if_match: str | None = None,
) -> Call[Value]:
    return Call(
        method="GET",
        key=key,
        query=pairs({"r": r, "on-miss": on_miss, "sibling": sibling}),
        headers=headers_of({"If-Match": if_match}),
        read=partial(answers.value_in, key, resolve),
        fails_unmet=on_miss == "fail",
        is_of_all=sibling is None,
    )


def get_changed(
    key: str,
    etag: str,
    *,
    r: ReadLevel | None,
    on_miss: OnMiss | None,
    resolve: Resolver | None,
) -> Call[Value | None]:
    return Call(
        method="GET",
        key=key,
        query=pairs({"r": r, "on-miss": on_miss}),
        headers=headers_of({"If-None-Match": etag}),
        read=partial(answers.change_in, key, resolve),
        fails_unmet=on_miss == "fail",
    )


def head(key: str, *, r: ReadLevel | None, on_miss: OnMiss | None) -> Call[Head]:
    return Call(
        method="HEAD",
        key=key,
        query=pairs({"r": r, "on-miss": on_miss}),
        headers=(),
        read=partial(answers.head_in, key),
        fails_unmet=on_miss == "fail",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """What every write may say."""

    name: str
    is_drawn: bool = False
    w: WriteLevel | None = None
    context: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None

    @property
    def drawn_name(self) -> str:
        return self.name if self.is_drawn else ""

    def headers(self) -> dict[str, str | None]:
        return {
            NAME: self.name,
            "Kv-Context": self.context,
            "If-Match": self.if_match,
            "If-None-Match": self.if_none_match,
        }


def put(
    key: str,
    value: object,
    options: WriteOptions,
    *,
    ttl: float | None = None,
    meta: Mapping[str, str] | None = None,
    content_type: str | None = None,
) -> Call[Written]:
    body, its_type = encoded(value, content_type)
    own = {f"Kv-Meta-{name}": text for name, text in (meta or {}).items()}
    return Call(
        method="PUT",
        key=key,
        query=pairs({"w": options.w, "ttl": ttl}),
        headers=headers_of({**options.headers(), "Content-Type": its_type, **own}),
        read=partial(answers.written_in, key),
        body=body,
        is_write=True,
        drawn_name=options.drawn_name,
    )


def delete(key: str, options: WriteOptions) -> Call[Written]:
    return Call(
        method="DELETE",
        key=key,
        query=pairs({"w": options.w}),
        headers=headers_of(options.headers()),
        read=partial(answers.written_in, key),
        is_write=True,
        drawn_name=options.drawn_name,
    )


def set_ttl(key: str, ttl: float, options: WriteOptions) -> Call[Written]:
    return Call(
        method="PATCH",
        key=key,
        query=pairs({"w": options.w, "ttl": ttl}),
        headers=headers_of(options.headers()),
        read=partial(answers.written_in, key),
        is_write=True,
        drawn_name=options.drawn_name,
    )


def explain(key: str) -> Call[Mapping[str, Any]]:
    return Call(
        method="GET",
        key=key,
        query=(),
        headers=(),
        read=answers.document_in,
        place="/v1/explain/",
        is_timed=False,
    )


def decode(place: str, **query: str | None) -> Call[Mapping[str, Any]]:
    return Call(
        method="GET",
        key="",
        query=pairs(query),
        headers=(),
        read=answers.document_in,
        place=place,
        is_timed=False,
    )


def pairs(query: Mapping[str, str | float | None]) -> Pairs:
    return tuple((name, str(value)) for name, value in query.items() if value is not None)


def headers_of(headers: Mapping[str, str | None]) -> Pairs:
    for name, text in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a header")
        if text is not None and (not text.isprintable() or text != text.strip()):
            raise ValueError(f"the header {name} cannot have the value {text!r}")
    return tuple((name, text) for name, text in headers.items() if text is not None)
