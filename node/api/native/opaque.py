"""Tokens and contexts as the opaque text that clients send back.

A token is over all keys; a context is of one key, and says so: a context of another key would
replace what its client never saw.  Both are base64url, so that a shell or a URL does not change
them.
"""

import base64
from hashlib import blake2b
from typing import Annotated, NamedTuple

import msgspec
import orjson

from node.core.model import token as tokens
from node.core.model.actors import Actor, is_actor
from node.core.model.dots import Dot
from node.core.model.hlc import Timestamp, is_timestamp
from node.core.model.item import Past
from node.core.model.keys import KeyHash, key_hash_of
from node.core.model.token import COUNT_MAX, TOKEN_BYTES_MAX, Malformed, Token
from node.core.model.view import FIRST, ViewId
from node.core.model.write_name import WriteName

CONTEXT_BYTES_MAX = 8192  # of the text; 100 replicas and 100 siblings need about half
VERSION = 1
CHECKSUM_BYTES = 6
NAMED_MAX = 8  # writes that a context names by their identities
IDENTITY_CHARACTERS_MAX = 64


class KeyContext(NamedTuple):
    """What a client has seen of a key, and the name of the cluster that has shown it."""

    past: Past
    cluster: str = ""


class _Context(msgspec.Struct, array_like=True):
    """A context on its way: of which key it is, what was seen of it, and in which cluster."""

    version: int
    key_hash: KeyHash
    base: dict[Actor, int]
    loose: list[Dot]
    cluster: str


_ViewNumber = Annotated[int, msgspec.Meta(ge=0, lt=COUNT_MAX)]
_Proposer = Annotated[str, msgspec.Meta(max_length=IDENTITY_CHARACTERS_MAX)]


class _Named(msgspec.Struct, array_like=True):
    """A write that may be sent again, as the client of this context has seen it."""

    identity: Annotated[str, msgspec.Meta(min_length=1, max_length=IDENTITY_CHARACTERS_MAX)]
    dot: Dot
    timestamp: Timestamp


class _WholeContext(_Context):
    """A context with the last few writes of the key that may be sent again, and the oldest view:
    all writes of views below it have been seen.  A home believes that of none but the views that it
    knows to be retired: otherwise a client could hide writes of the views to come."""

    named: Annotated[list[_Named], msgspec.Meta(max_length=NAMED_MAX)] = []
    oldest_view: tuple[_ViewNumber, _Proposer] = (0, "")


_decoder = msgspec.msgpack.Decoder(_WholeContext)
NOT_OURS = "it is not a context of this API, or was changed: send that of a new read, or `none`"


def token_text(token: Token) -> str:
    """Return a token as clients send it back."""
    return _text(tokens.encode(token))


def token_of(text: str) -> Token:
    """Return the token that a client sends back; raise Malformed."""
    if len(text) > TOKEN_BYTES_MAX:
        raise Malformed(f"it has {len(text)} bytes; the limit is {TOKEN_BYTES_MAX}")
    try:
        return tokens.decode(orjson.loads(_bytes(text)))
    except orjson.JSONDecodeError:
        raise Malformed("it is not a token of this API") from None


def context_text(key: str, seen: KeyContext) -> str:
    """Return what a client has seen of a key, as it sends it back."""
    past, key_hash = seen.past, key_hash_of(key, False)
    said = VERSION, key_hash, past.base, sorted(past.loose), seen.cluster
    wire = _Context(*said)
    if past.namings or past.oldest_view > FIRST:
        named = [_Named(each, n.dot, n.timestamp) for each, n in past.namings.items()]
        named.sort(key=lambda each: each.timestamp)
        wire = _WholeContext(*said, named[-NAMED_MAX:], past.oldest_view)
    raw = msgspec.msgpack.encode(wire)
    return _text(_checksum(raw) + raw)


def context_of(key: str, text: str) -> KeyContext:
    """Return what a client has seen of a key; raise Malformed, also for another key's context."""
    key_hash, seen = context_parts(text)
    if key_hash != key_hash_of(key, False):
        raise Malformed("it is of another key: send the context of an answer about this one")
    return seen


def context_parts(text: str) -> tuple[KeyHash, KeyContext]:
    """Return the hash of the key that a context is of, and what it has seen; raise Malformed."""
    if len(text) > CONTEXT_BYTES_MAX:
        raise Malformed(f"it has {len(text)} bytes; the limit is {CONTEXT_BYTES_MAX}")
    raw = _bytes(text)
    checksum, said = raw[:CHECKSUM_BYTES], raw[CHECKSUM_BYTES:]
    if checksum != _checksum(said):
        raise Malformed(NOT_OURS)
    try:
        wire = _decoder.decode(said)
    except msgspec.MsgspecError:
        raise Malformed(NOT_OURS) from None
    dots = [*wire.base.items(), *wire.loose, *(each.dot for each in wire.named)]
    if wire.version != VERSION or not all(is_actor(a) and 0 < n < COUNT_MAX for a, n in dots):
        raise Malformed(NOT_OURS)
    if not all(is_timestamp(each.timestamp) for each in wire.named):
        raise Malformed(NOT_OURS)
    namings = {each.identity: WriteName(each.dot, each.timestamp) for each in wire.named}
    past = Past(wire.base, set(wire.loose), ViewId(*wire.oldest_view), namings)
    return wire.key_hash, KeyContext(past, tokens.checked_name(wire.cluster))


def _checksum(said: bytes) -> bytes:
    return blake2b(said, digest_size=CHECKSUM_BYTES, key=b"context").digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Malformed("it is not base64url text") from None
