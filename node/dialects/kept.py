"""Values that are kept with what their writer had seen, so that its answer can be given again.

What a core's token says shrinks as replicas catch up.  Where every reader is to be told exactly
what the writer was told, what the writer had seen is kept in front of the value, untrimmed; the dot
and the stamp are those of the version, the same at every replica.  (protocol D9, «Dialects».)
"""

import orjson
from msgspec.structs import replace

from node.core.messages import Found, Stored
from node.core.token import Token, decode, encode
from node.core.view import digest_of, view_of

SEPARATOR = b"\n"  # there is none in JSON text of ours


def kept(seen: Token, value: bytes) -> bytes:
    """What is stored of a value; `seen` is trimmed as a fresh replica would."""
    return encode(seen) + SEPARATOR + value


def reading(seen: Token) -> Token:
    """The token to read with: without the reader's stamp the answer's is the version's own."""
    return replace(seen, stamp=Token().stamp)


def opened(key: str, found: Found) -> tuple[Token, bytes]:
    """What the writer was told, and the value; of a value that was stored without, what its
    readers are told."""
    seen, separator, value = found.values[0].partition(SEPARATOR)
    if not separator:
        return found.token, found.values[0]
    return _told(key, decode(orjson.loads(seen)), found.shown[0], found), value


def told(key: str, seen: Token, stored: Stored) -> Token:
    """What the writer is told: what it had seen, and this version of the key."""
    return _told(key, seen, stored.dot, stored)


def _told(key: str, seen: Token, dot: tuple[str, int], outcome: Found | Stored) -> Token:
    token = seen.after_write(digest_of(key, True), dot, outcome.token.stamp, {})
    return replace(token, view=max(token.view, view_of(dot[0]))).trimmed({})
