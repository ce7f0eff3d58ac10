"""What calls return, and how values become bytes and come back.

`bytes` are stored as they are, `str` as text, and everything else as JSON.  What other clients have
stored comes back by its content type: JSON as objects, text as `str`, everything else as `bytes`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"


class Missing(NamedTuple):
    """Writes that a token names and an answer lacks: it has `have` of `need` of an actor's."""

    actor: str
    have: int
    need: int


@dataclass(frozen=True, slots=True)
class Value:
    """What a read found.

    `raw` has the bytes of the value as they are stored.  `context` is what was seen of the key, for
    a write that replaces just that; `etag` names the versions, for conditions.  `expires` is in
    seconds since the epoch.  `siblings` is how many values the key had, if the node or a resolver
    made one of them.  `reads` of `copies` replicas were read (0 of 0 in a bulk and in a snapshot,
    where nodes do not tell).  `missing` is empty unless the read was allowed to be stale and is:
    then it names the writes that this value may lack.
    """

    key: str
    value: Any
    raw: bytes
    content_type: str
    etag: str
    context: str
    meta: Mapping[str, str]
    expires: float | None
    siblings: int
    reads: int
    copies: int
    missing: tuple[Missing, ...]
    served_by: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a read without the value found; `is_conflict`: the key has several values, and the
    content type and meta are not those of one of them."""

    key: str
    content_type: str
    etag: str
    context: str
    meta: Mapping[str, str]
    expires: float | None
    is_conflict: bool
    reads: int
    copies: int
    missing: tuple[Missing, ...]
    served_by: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    `created`: the key had no value before, as far as its home knew.  `context` has seen this write
    and what it replaced.  `etag` is empty if the write stands beside others, of which there are
    `siblings` with it (0 in a bulk, where nodes do not tell).  `acks` of `copies` replicas have the
    write on disk, and other nodes keep it for `hints` of those that do not answer.
    """

    key: str
    created: bool
    etag: str
    context: str
    expires: float | None
    siblings: int
    acks: int
    copies: int
    hints: int
    served_by: str


@dataclass(frozen=True, slots=True)
class Sibling:
    """One of several concurrent values of a key.

    `written_at` and `expires` are in seconds since the epoch, by the clock of the node that named
    the write (`node`).
    """

    id: str
    etag: str
    value: Any
    content_type: str
    meta: Mapping[str, str]
    written_at: float
    expires: float | None
    node: str


@dataclass(frozen=True, slots=True)
class Group:
    """All keys that begin with `name`, up to and with the delimiter; or one key that has no
    delimiter behind the prefix (`is_key`).  `count` is how many keys it has, if that was asked for.
    """

    name: str
    count: int | None
    is_key: bool

    def joined(self, other: "Group") -> "Group":
        """Return this group with the keys that the next page has of it."""
        return Group(self.name, (self.count or 0) + (other.count or 0), self.is_key)


def encoded(value: object, content_type: str | None = None) -> tuple[bytes, str]:
    """Return the bytes and the content type under which a value is stored.

    Raises TypeError or ValueError for what JSON has no form for.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), content_type or BINARY
    if isinstance(value, str):
        return value.encode(), content_type or TEXT
    _expect_names(value)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(), content_type or JSON


def _expect_names(value: object) -> None:
    """Raise TypeError for an object in this value with a name that is no text: it would come back
    as one."""
    if isinstance(value, dict):
        for name, part in value.items():
            if not isinstance(name, str):
                raise TypeError(f"{name!r} would come back as a text: names in JSON are str")
            _expect_names(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _expect_names(part)


def decoded(raw: bytes, content_type: str) -> Any:
    """Return a value by its content type; bytes that are not what it says stay bytes."""
    kind = kind_of(content_type)
    try:
        if kind == JSON:
            return json.loads(raw)
        if kind.startswith("text/"):
            return raw.decode()
    except ValueError:
        pass
    return raw


def kind_of(content_type: str) -> str:
    """Return a content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()
