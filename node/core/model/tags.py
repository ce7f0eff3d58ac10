"""Entity tags: short texts that stand for a set of versions, and conditions on them.

Two replicas that show the same versions of a key give it the same tag, and a tag never stands for
another set: a dot names one write for ever.  (RFC 9110, sections 8.8.3 and 13.1.)
"""

import base64
from collections.abc import Collection, Iterable
from hashlib import blake2b

import msgspec

from node.core.model.dots import Dot

TAG_BYTES = 12
ANY_VALUE = "*"  # stands for every tag of a key that has a value

_encode = msgspec.msgpack.Encoder().encode


def tag_of(dots: Iterable[Dot]) -> str:
    """The tag of the versions with these dots; empty if there are none."""
    named = sorted(dots)
    if not named:
        return ""
    hashed = blake2b(_encode(named), digest_size=TAG_BYTES).digest()
    return base64.urlsafe_b64encode(hashed).decode()


def is_among(tag: str, tags: Collection[str]) -> bool:
    """Whether a key with this tag is meant by one of these."""
    return bool(tag) and (tag in tags or ANY_VALUE in tags)
