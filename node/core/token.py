"""The token: what a client's session depends on, over all keys.

Per actor a floor («everything it wrote up to n») and exact dots above it, each tagged with the
digest of its key; past `EXACT_MAX` dots floors rise and a filter remembers which keys they stand
for.  A token may never claim less than its client depends on: claiming more only makes it wait.
(P-1 and D9 of the protocol; the rule numbers below are those of D9.)
"""

import base64
from collections import Counter
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from node.core.clock import Dot, Vector, join_vectors
from node.core.hybrid import NO_STAMP, Stamp
from node.core.view import FIRST, NO_VIEW, Actor, ViewId, view_of

EXACT_MAX = 32
FILTER_BITS = 512
ALL_KEYS = b"\xff" * (FILTER_BITS // 8)  # a filter that stands for every key
TOKEN_BYTES_MAX = 4096
TAGS_KEPT = 4096  # digests whose texts are at hand
COUNT_MAX = 2**53  # larger numbers do not survive a JSON parser


class Token(msgspec.Struct, array_like=True, gc=False):
    """`floor` and `exact` as above; `keys` is the filter (b"" when there are no floors); `view` the
    highest view its client has met (D10 R6)."""

    floor: Vector = msgspec.field(default_factory=dict)
    exact: dict[Dot, int] = msgspec.field(default_factory=dict)
    keys: bytes = b""
    stamp: Stamp = NO_STAMP
    view: ViewId = NO_VIEW

    def __bool__(self) -> bool:
        return bool(self.floor or self.exact)

    def dots_of(self, digest: int) -> list[Dot]:
        """The exact dots of one key."""
        key = digest >> 1
        return [dot for dot, tag in self.exact.items() if tag >> 1 == key]

    def binds(self, digest: int) -> bool:
        """Whether the floors may stand for this key (never a false no)."""
        mask = _mask(digest)
        return bool(self.floor) and int.from_bytes(self.keys, "big") & mask == mask

    def joined(self, other: "Token") -> "Token":
        """What a session depends on that has met both (rule 8)."""
        is_new = other.stamp > self.stamp or other.view > self.view
        if not other.floor and not other.exact and not is_new:
            return self
        return Token(
            join_vectors(self.floor, other.floor),
            {**self.exact, **other.exact},
            _or(self.keys, other.keys),
            max(self.stamp, other.stamp),
            max(self.view, other.view),
        )

    def in_view(self, view: ViewId, floor: ViewId) -> "Token":
        """The token of an answer given in this view: what was written below the floor is dropped,
        for everybody has it (D10 R6, R7)."""
        if view <= FIRST and self.view <= FIRST:
            return self
        floors = {a: n for a, n in self.floor.items() if view_of(a) >= floor}
        exact = {d: tag for d, tag in self.exact.items() if view_of(d[0]) >= floor}
        keys = self.keys if floors else b""
        return Token(floors, exact, keys, self.stamp, max(view, self.view))

    def after_write(self, digest: int, dot: Dot, stamp: Stamp, replaced: Vector) -> "Token":
        """The token of a write's answer: the key's dots that it surely replaced go (rule 7)."""
        key = digest >> 1
        exact = {
            d: tag
            for d, tag in self.exact.items()
            if tag >> 1 != key or d[1] > replaced.get(d[0], 0)
        }
        exact[dot] = digest
        return Token(self.floor, exact, self.keys, max(self.stamp, stamp), self.view)

    def trimmed(self, stable: Vector) -> "Token":
        """Without what every replica has, and within its bound (rule 9)."""
        if not self.floor and not self.exact:
            return self
        floor = {a: n for a, n in self.floor.items() if n > stable.get(a, 0)}
        exact = {d: tag for d, tag in self.exact.items() if d[1] > stable.get(d[0], 0)}
        keys = self.keys if floor else b""
        exact = _last_of_each_actor(exact) if len(exact) > 1 else exact
        return Token(floor, exact, keys, self.stamp, self.view).within()

    def within(self, exact_max: int = EXACT_MAX) -> "Token":
        """With at most so many exact dots: floors rise for the others (rule 9)."""
        if len(self.exact) <= exact_max:
            return self
        floor, exact, keys = dict(self.floor), dict(self.exact), self.keys
        while len(exact) > exact_max:
            actor = _busiest(exact)
            lowest = min([n for a, n in exact if a == actor])
            floor[actor] = max(lowest, floor.get(actor, 0))
            below = [d for d in exact if d[0] == actor and d[1] <= floor[actor]]
            for dot in below:
                keys = _or(keys, _mask(exact.pop(dot)).to_bytes(FILTER_BITS // 8, "big"))
        return Token(floor, exact, keys, self.stamp, self.view)


def same_key(one: int, two: int) -> bool:
    """Whether two digests name one key, in whatever mode it was written."""
    return one >> 1 == two >> 1


def _mask(digest: int) -> int:
    half = FILTER_BITS
    return 1 << (digest >> 1) % half | 1 << (digest >> 1) // half % half


def _or(one: bytes, two: bytes) -> bytes:
    if not one or not two:
        return one or two
    return (int.from_bytes(one, "big") | int.from_bytes(two, "big")).to_bytes(len(one), "big")


def _busiest(exact: dict[Dot, int]) -> Actor:
    count = Counter([actor for actor, _ in exact])
    return max(count, key=lambda actor: (count[actor], actor))


def _last_of_each_actor(exact: dict[Dot, int]) -> dict[Dot, int]:
    """Of an lww key (lowest bit of its digest) an actor's later write replaced its earlier ones."""
    if len({(actor, tag) for (actor, _), tag in exact.items()}) == len(exact):
        return exact  # nearly always
    last: dict[tuple[Actor, int], int] = {}
    for (actor, n), tag in exact.items():
        last[actor, tag] = max(n, last.get((actor, tag), 0))
    return {(a, n): tag for (a, n), tag in exact.items() if not tag & 1 or last[a, tag] == n}


# ------------------------------------------------------------------ the wire: opaque JSON


class Malformed(ValueError):
    """A token that is not one: the request is refused, nothing waits and nothing is stored."""


_Floor = Annotated[int, msgspec.Meta(ge=0, lt=COUNT_MAX)]
_Number = Annotated[int, msgspec.Meta(ge=1, lt=COUNT_MAX)]
_Actor = Annotated[str, msgspec.Meta(min_length=1, max_length=24)]
_Tag = Annotated[str, msgspec.Meta(min_length=6, max_length=6)]


class _Wire(msgspec.Struct, omit_defaults=True):
    v: int
    t: dict[_Actor, tuple[_Floor, dict[_Number, _Tag]]] = msgspec.field(default_factory=dict)
    h: tuple[int, int, str] | None = None
    k: str = ""
    w: tuple[int, str] | None = None


def encode(token: Token) -> bytes:
    """The token as JSON text: at most about 2.3 KB."""
    entries: dict[str, tuple[int, dict[int, str]]] = {a: (n, {}) for a, n in token.floor.items()}
    for (actor, n), tag in token.exact.items():
        entry = entries.get(actor)
        if entry is None:
            entry = entries[actor] = (0, {})
        entry[1][n] = _text_of(tag)
    stamp = token.stamp if token.stamp != NO_STAMP else None
    keys = _text(token.keys) if token.floor else ""
    view = token.view if token.view > FIRST else None
    return msgspec.json.encode(_Wire(1, entries, stamp, keys, view))


def decode(wire: Any) -> Token:
    """The token of a parsed JSON value; None, {} and "" are «nothing seen».  Raises Malformed."""
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
    token = Token(stamp=wire.h or NO_STAMP, view=ViewId(*wire.w) if wire.w else NO_VIEW)
    if not 0 <= token.view.number < COUNT_MAX or len(token.view.proposer) > 6:
        raise Malformed("a view out of range")
    for actor, (floor, numbers) in wire.t.items():
        if floor:
            token.floor[actor] = floor
        token.exact.update({(actor, n): _tag_of(tag) for n, tag in numbers.items()})
    token.keys = _bytes(wire.k) if token.floor else b""
    if token.keys and len(token.keys) != FILTER_BITS // 8:
        raise Malformed("a filter of the wrong length")
    if token.floor and not token.keys:
        token.keys = ALL_KEYS
    if not 0 <= token.stamp[0] < COUNT_MAX or not 0 <= token.stamp[1] < COUNT_MAX:
        raise Malformed("a stamp out of range")
    return token


@lru_cache(TAGS_KEPT)
def _text_of(tag: int) -> str:
    """The six characters of a digest of 36 bits."""
    return _text((tag << 4).to_bytes(5, "big"))[:6]


@lru_cache(TAGS_KEPT)
def _tag_of(text: str) -> int:
    return int.from_bytes(_bytes(text + "A"), "big") >> 4


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
