"""Find every value of a name that a request repeats.

Parsers keep one of two equal names and drop the other silently.  A node may drop nothing that a
client depends on, so these functions return all of it.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RepeatedError(ValueError):
    """An object has a name twice, and the client may mean either."""


class _Pairs(list[tuple[str, Any]]):
    """An object as its list of names and values, in the order of the text."""


def all_of(values: Mapping[str, str], name: str) -> list[str]:
    """Return every value that headers or a query give this name."""
    getall = getattr(values, "getall", None)
    if getall is not None:
        return list(getall(name, ()))
    return [values[name]] if name in values else []


def each_in(body: bytes, fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return every value of this name in the body's object, which was parsed as `fields`.

    Raises RepeatedError where an object within such a value has a name twice.
    """
    if name not in fields:
        return []
    is_escaped = b"\\u" in body
    if is_escaped or body.count(_quoted(name)) > 1:
        if is_escaped and len(_written(name).findall(body)) < 2:
            return [_checked(body, fields[name], name)]
        pairs = json.loads(body, object_pairs_hook=_Pairs)
        return [_whole(value) for each, value in pairs if each == name]
    return [_checked(body, fields[name], name)]


def parsed(text: bytes) -> Any:
    """Return the JSON value; raise RepeatedError where an object has a name twice."""
    return _whole(json.loads(text, object_pairs_hook=_Pairs))


def _checked(body: bytes, value: Any, name: str) -> Any:
    """Return the value as it was parsed, after a check of its names; an empty one needs none."""
    if value and type(value) is dict:
        parsed(bytes(RAW.decode(body)[name]))
    return value


def _whole(value: Any) -> Any:
    """Turn the pairs in a value into objects."""
    if isinstance(value, _Pairs):
        names = dict(value)
        if len(names) != len(value):
            raise RepeatedError("an object in it has a name more than once")
        return {name: _whole(each) for name, each in value}
    return [_whole(each) for each in value] if isinstance(value, list) else value


@lru_cache
def _quoted(name: str) -> bytes:
    return b'"%b"' % name.encode()


@lru_cache
def _written(name: str) -> re.Pattern[bytes]:
    """Return the pattern of a name, with any of its characters escaped."""
    some = [rb"(?:%b|\\u%04x)" % (re.escape(c.encode()), ord(c)) for c in name]
    return re.compile(b'"' + b"".join(some) + b'"', re.IGNORECASE)
