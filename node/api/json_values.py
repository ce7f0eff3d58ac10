"""Values are JSON text that the node stores and returns as its client wrote it, to the byte.

A parser would change them: numbers lose digits (0.00760939025925927263, -0, 1e400, 2**80), and of
two equal names in an object one is lost.  So the node parses a body only as far as the names of its
fields; it checks the text of a value and does not touch it.

The *size* of a value is its bytes in stored form.  A text within the limit is stored as it came.  A
longer one is first made shorter without a change of meaning: white space between tokens goes, and
escapes become the characters that they stand for.  So a client may send a value that fits in any
spelling: with \\uXXXX it is up to six times as long (`Limits.body_bytes_max`).
"""

import re
from itertools import accumulate
from typing import Any

import msgspec
import orjson

DEPTH_MAX = 254  # arrays and objects in each other; recursive readers fail on more
VALUE_FIELDS = frozenset({"value", "val"})
NESTED_TOO_DEEPLY = f"request body is nested too deeply: a value may have {DEPTH_MAX} levels"

STRING_OR_SPACE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[ \t\r\n]++')
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
STEPS = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")  # + 1 for each level down, - 1 for each level up
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class BadBody(Exception):
    """A body that is no JSON object, or that the node cannot store; the text says why."""


def read(body: bytes) -> dict[str, Any]:
    """Return the parsed fields of a JSON object; those that hold values stay `Raw` text.

    Raises `BadBody`.
    """
    try:
        raw = _fields_of(body)
        if not body.isascii():
            body.decode()  # the decoder does not check the parts that it skips
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(_fault_in(body, error)) from None
    # The body itself is one more object, and a level takes two bytes.
    if len(body) > 2 * (DEPTH_MAX + 1) and _depth_of(body, DEPTH_MAX + 1) > DEPTH_MAX + 1:
        raise BadBody(NESTED_TOO_DEEPLY)
    try:
        return {
            name: text if name in VALUE_FIELDS else orjson.loads(memoryview(text))
            for name, text in raw.items()
        }
    except orjson.JSONDecodeError as error:
        raise BadBody(f"request body is not JSON: {error}") from None


def _fault_in(body: bytes, error: Exception) -> str:
    """Say what is wrong with the body; the other parser locates a fault better."""
    try:
        if type(orjson.loads(body)) is not dict:
            return "request body is not a JSON object"
    except orjson.JSONDecodeError as better:
        return f"request body is not JSON: {better}"
    return NESTED_TOO_DEEPLY if isinstance(error, RecursionError) else f"request body: {error}"


def _depth_of(text: bytes, enough: int) -> int:
    """Return how deep arrays and objects are nested, or 0 if that is surely at most `enough`."""
    if text.count(b"[") + text.count(b"{") <= enough:
        return 0
    steps = memoryview(STRING.sub(b"", text).translate(STEPS, NO_BRACKETS)).cast("b")
    return max(accumulate(steps))


def stored(text: msgspec.Raw, bytes_max: int) -> bytes:
    """Return the form in which a value is stored: as it came, or compact if it exceeds `bytes_max`.

    The caller refuses a value that still exceeds it.
    """
    whole = bytes(text)
    return whole if len(whole) <= bytes_max else compact(whole)


def compact(text: bytes) -> bytes:
    """Remove white space and unneeded escapes; numbers, names and their order stay."""
    return STRING_OR_SPACE.sub(_shorter, text)


def _shorter(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if text[0] != 0x22:
        return b""
    return text if b"\\" not in text else _encode(_string(text))


def are_equal(one: bytes, other: bytes) -> bool:
    """Whether two stored values mean the same, however each is spelled.

    Numbers are compared as text, so 1.0 is not 1.
    """
    return one == other or compact(one) == compact(other)


def string_in(text: object) -> str | None:
    """Return the string that a value's text spells; None if it is no string, or absent."""
    if not isinstance(text, msgspec.Raw) or memoryview(text)[0] != 0x22:
        return None
    return _string(text)
