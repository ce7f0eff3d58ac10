"""Values that are stored with what their writer had seen, so that every reader gets its answer.

The token in a core's answer shrinks as replicas catch up.  Some contracts must tell every reader
exactly what the writer was told.  For these, the stored value begins with what the writer had seen,
untrimmed; dot and timestamp are those of the version, the same at every replica.  (protocol D9,
"Dialects".)
"""

from typing import Any

import orjson
from msgspec.structs import replace

from node.core.model.actors import view_of
from node.core.model.keys import key_hash_of
from node.core.model.token import Malformed, Token, decode, encode
from node.core.protocol.operations import Found, Stored

SEPARATOR = b"\n"  # ends what the writer had seen, which is an object on one line


def kept(seen: Token, value: bytes) -> bytes:
    """Return the stored form of a value; `seen` is trimmed as a fresh replica would."""
    return encode(seen) + SEPARATOR + value


def reading(seen: Token) -> Token:
    """Return the token to read with: without a timestamp, so that the answer has the version's."""
    return replace(seen, timestamp=Token().timestamp)


def opened(key: str, found: Found) -> tuple[Token, bytes]:
    """Return the token that the writer was told, and the value.

    For a value that was stored alone, the token is the one of this read.
    """
    seen, value = _parted(found.values[0])
    return (found.token if seen is None else _told(key, seen, found.shown[0], found)), value


def _parted(text: bytes) -> tuple[Token | None, bytes]:
    """Split a stored text into what the writer had seen, and the value.

    A value that was stored alone may have several lines, but its first line is no JSON: if it were,
    the whole would be two values.
    """
    first, separator, rest = text.partition(SEPARATOR)
    try:
        return (_decoded(orjson.loads(first)), rest) if separator else (None, text)
    except orjson.JSONDecodeError:
        return None, text


def _decoded(seen: Any) -> Token:
    """Decode what was stored.

    Older versions stored timestamps that no clock shows; drop such a one.
    """
    try:
        return decode(seen)
    except Malformed:
        return decode({name: field for name, field in seen.items() if name != "h"})


def told(key: str, seen: Token, stored: Stored) -> Token:
    """Return the token for the writer: what it had seen, and its new version of the key."""
    return _told(key, seen, stored.dot, stored)


def _told(key: str, seen: Token, dot: tuple[str, int], outcome: Found | Stored) -> Token:
    token = seen.after_write(key_hash_of(key, True), dot, outcome.token.timestamp, {})
    return replace(token, view=max(token.view, view_of(dot[0]))).trimmed({})
