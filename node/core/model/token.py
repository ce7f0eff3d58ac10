"""The token: what a client's session depends on, over all keys.

Per actor a floor ("everything it wrote up to n") and exact dots above it, each tagged with the
key hash of its key; past `EXACT_MAX` dots floors rise and a filter remembers which keys they stand
for.  A token may never claim less than its client depends on: claiming more only makes it wait.
(P-1 and D9 of the protocol; the rule numbers below are those of D9.)
"""

import base64
import re
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from node.core.model import cluster_name
from node.core.model.actors import Actor, is_actor, view_of
from node.core.model.dots import Dot, Vector, covered_by, join_vectors
from node.core.model.hlc import NO_TIMESTAMP, Timestamp, bounded, is_timestamp
from node.core.model.view import FIRST, NO_VIEW, ViewId

EXACT_MAX = 32
FILTER_BITS = 512
ALL_KEYS = b"\xff" * (FILTER_BITS // 8)  # a filter that stands for every key
TOKEN_BYTES_MAX = 4096
TAGS_KEPT = 4096  # key hashes whose texts are at hand
NAME = re.compile(r"[A-Za-z0-9_-]*")
COUNT_MAX = 2**53  # larger numbers do not survive a JSON parser


class Token(msgspec.Struct, array_like=True, gc=False):
    """`floor` and `exact` as above; `keys` is the filter (b"" when there are no floors); `view` the
    highest view its client has met (D10 R6); `name` that of the cluster, as its giver says it."""

    floor: Vector = msgspec.field(default_factory=dict)
    exact: dict[Dot, int] = msgspec.field(default_factory=dict)
    keys: bytes = b""
    timestamp: Timestamp = NO_TIMESTAMP
    view: ViewId = NO_VIEW
    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.floor or self.exact)

    def dots_of(self, key_hash: int) -> list[Dot]:
        """The exact dots of one key."""
        key = key_hash >> 1
        return [dot for dot, tag in self.exact.items() if tag >> 1 == key]

    def binds(self, key_hash: int) -> bool:
        """Whether the floors may stand for this key (never a false no)."""
        if not self.floor:
            return False
        mask = _mask(key_hash)
        return int.from_bytes(self.keys, "big") & mask == mask

    def joined(self, other: "Token") -> "Token":
        """What a session depends on that has met both (rule 8)."""
        is_new = other.timestamp > self.timestamp or other.view > self.view
        name = cluster_name.joined(self.name, other.name)
        if not other.floor and not other.exact and not is_new and name == self.name:
            return self
        return Token(
            join_vectors(self.floor, other.floor),
            {**self.exact, **other.exact},
            _or(self.keys, other.keys),
            max(self.timestamp, other.timestamp),
            max(self.view, other.view),
            name,
        )

    def in_view(self, view: ViewId, oldest_view: ViewId) -> "Token":
        """The token of an answer given in this view, without writes below the oldest view: all
        replicas have these (D10 R6, R7)."""
        if view <= FIRST and self.view <= FIRST:
            return self
        floors = {a: n for a, n in self.floor.items() if view_of(a) >= oldest_view}
        exact = {d: tag for d, tag in self.exact.items() if view_of(d[0]) >= oldest_view}
        keys = self.keys if floors else b""
        return Token(floors, exact, keys, self.timestamp, max(view, self.view), self.name)

    def given_as(self, name: str, now: float) -> "Token":
        """The token as a node gives it out: under its cluster's name, with a timestamp that is not
        too far ahead."""
        milliseconds, count, actor = bounded(self.timestamp, now)
        timestamp = milliseconds, count, actor if is_actor(actor) else ""
        return Token(self.floor, self.exact, self.keys, timestamp, self.view, name)

    def after_write(
        self, key_hash: int, dot: Dot, timestamp: Timestamp, replaced: Vector
    ) -> "Token":
        """The token of a write's answer: the key's dots that it surely replaced go (rule 7)."""
        key = key_hash >> 1
        exact = {
            d: tag
            for d, tag in self.exact.items()
            if tag >> 1 != key or d[1] > replaced.get(d[0], 0)
        }
        exact[dot] = key_hash
        highest = max(self.timestamp, timestamp)
        return Token(self.floor, exact, self.keys, highest, self.view, self.name)

    def trimmed(self, watermark: Vector, exact_max: int = EXACT_MAX) -> "Token":
        """Without what every replica has, and within its bound (rule 9)."""
        if not self.floor and not self.exact:
            return self
        floor = self.floor
        if floor:
            floor = {a: n for a, n in floor.items() if n > covered_by(watermark, a)}
        exact = {d: tag for d, tag in self.exact.items() if d[1] > covered_by(watermark, d[0])}
        keys = self.keys if floor else b""
        exact = _last_of_each_actor(exact) if len(exact) > 1 else exact
        return Token(floor, exact, keys, self.timestamp, self.view, self.name).within(exact_max)

    def within(self, exact_max: int) -> "Token":
        """With at most so many exact dots: floors rise for the others (rule 9)."""
        if len(self.exact) <= exact_max:
            return self
        floor, exact, mask = dict(self.floor), dict(self.exact), 0
        numbers: dict[Actor, list[int]] = {}
        for actor, n in sorted(exact, reverse=True):
            numbers.setdefault(actor, []).append(n)
        while len(exact) > exact_max:
            actor = max(numbers, key=lambda a: (len(numbers[a]), a))
            lowest_last = numbers[actor]
            floor[actor] = max(lowest_last[-1], floor.get(actor, 0))
            while lowest_last and lowest_last[-1] <= floor[actor]:
                mask |= _mask(exact.pop((actor, lowest_last.pop())))
        keys = _or(self.keys, mask.to_bytes(FILTER_BITS // 8, "big"))
        return Token(floor, exact, keys, self.timestamp, self.view, self.name)


def same_key(one: int, two: int) -> bool:
    """Whether two key hashes name one key, in whatever mode it was written."""
    return one >> 1 == two >> 1


def _mask(key_hash: int) -> int:
    half = FILTER_BITS
    return 1 << (key_hash >> 1) % half | 1 << (key_hash >> 1) // half % half


def _or(one: bytes, two: bytes) -> bytes:
    if not one or not two:
        return one or two
    return (int.from_bytes(one, "big") | int.from_bytes(two, "big")).to_bytes(len(one), "big")


def _last_of_each_actor(exact: dict[Dot, int]) -> dict[Dot, int]:
    """Of an lww key (lowest bit of its key hash) an actor's later write replaced its earlier
    ones."""
    if len({(actor, tag) for (actor, _), tag in exact.items()}) == len(exact):
        return exact  # nearly always
    last: dict[tuple[Actor, int], int] = {}
    for (actor, n), tag in exact.items():
        last[actor, tag] = max(n, last.get((actor, tag), 0))
    return {(a, n): tag for (a, n), tag in exact.items() if not tag & 1 or last[a, tag] == n}


# ------------------------------------------------------------------ the wire: opaque JSON


class Malformed(ValueError):
    """What was sent is no token: the node refuses the request, and stores nothing."""


_Floor = Annotated[int, msgspec.Meta(ge=0, lt=COUNT_MAX)]
_Number = Annotated[int, msgspec.Meta(ge=1, lt=COUNT_MAX)]
_Actor = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
_Tag = Annotated[str, msgspec.Meta(min_length=6, max_length=6)]


class _Wire(msgspec.Struct, omit_defaults=True):
    v: int
    t: dict[_Actor, tuple[_Floor, dict[_Number, _Tag]]] = msgspec.field(default_factory=dict)
    h: tuple[int, int, str] | None = None
    k: str = ""
    w: tuple[int, str] | None = None
    c: str = ""


def encode(token: Token) -> bytes:
    """The token as JSON text: at most about 2.3 KB."""
    entries: dict[str, tuple[int, dict[int, str]]] = {a: (n, {}) for a, n in token.floor.items()}
    for (actor, n), tag in token.exact.items():
        entry = entries.get(actor)
        if entry is None:
            entry = entries[actor] = (0, {})
        entry[1][n] = _text_of(tag)
    timestamp = token.timestamp if token.timestamp != NO_TIMESTAMP else None
    keys = _text(token.keys) if token.floor else ""
    view = token.view if token.view > FIRST else None
    return msgspec.json.encode(_Wire(1, entries, timestamp, keys, view, token.name))


def decode(wire: Any) -> Token:
    """The token of a parsed JSON value; None, {} and "" mean nothing seen.  Raises Malformed."""
    if wire is None or wire == {} or wire == "":
        return Token()
    try:
        read = msgspec.convert(wire, _Wire, str_keys=True)
        return _checked(read)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise Malformed(str(error)) from None


def _checked(wire: _Wire) -> Token:
    if wire.v != 1:
        raise Malformed(f"unknown version {wire.v}")
    token = Token(timestamp=wire.h or NO_TIMESTAMP, view=ViewId(*wire.w) if wire.w else NO_VIEW)
    if not 0 <= token.view.number < COUNT_MAX or len(token.view.proposer) > 6:
        raise Malformed("a view out of range")
    for actor, (floor, numbers) in wire.t.items():
        if not is_actor(actor):
            raise Malformed("an actor that no node is called")
        if floor:
            token.floor[actor] = floor
        token.exact.update({(actor, n): _tag_of(tag) for n, tag in numbers.items()})
    token.keys = _bytes(wire.k) if token.floor else b""
    if token.keys and len(token.keys) != FILTER_BITS // 8:
        raise Malformed("a filter of the wrong length")
    if token.floor and not token.keys:
        token.keys = ALL_KEYS
    if not is_timestamp(token.timestamp) or not (
        token.timestamp[2] == "" or is_actor(token.timestamp[2])
    ):
        raise Malformed("a timestamp out of range")
    token.name = checked_name(wire.c)
    return token


def checked_name(name: str) -> str:
    """The name of a cluster, as a client sends it back.  Raises Malformed."""
    names = len(name) // cluster_name.NAME_CHARACTERS
    is_whole = len(name) == names * cluster_name.NAME_CHARACTERS
    if not is_whole or names > cluster_name.NAMES_IN_TOKEN_MAX or not NAME.fullmatch(name):
        raise Malformed("a name that no cluster has")
    return name


@lru_cache(TAGS_KEPT)
def _text_of(tag: int) -> str:
    """The six characters of a key hash of 36 bits."""
    return _text((tag << 4).to_bytes(5, "big"))[:6]


@lru_cache(TAGS_KEPT)
def _tag_of(text: str) -> int:
    return int.from_bytes(_bytes(text + "A"), "big") >> 4


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
