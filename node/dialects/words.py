"""What dialects have in common: reading a JSON body, a session's token, an address; saying errors.

Whatever a client sends is either understood or answered with a `Reply` that says what is wrong:
these functions never raise.  A value is kept as JSON text, so that it is given back as it came.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from node.core.messages import Stored, Unavailable, Unmet
from node.core.token import TOKEN_BYTES_MAX, Malformed, Token, decode
from node.dialects.contract import Call, Reply

METADATA_HEADER = "X-Causal-Metadata"
MISSING_MAX = 32  # entries of Kv-Missing: a header is no place for more
ADDRESS_CHARACTERS_MAX = 300
EXPONENT = re.compile(rb"\de")
ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[^\s\[\]:/?#@,]+):(\d{1,5})", re.ASCII)


def said(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with this object as its JSON body."""
    return Reply(status, orjson.dumps(body), headers or {})


def refused(status: int, words: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply whose body is {"error": words}."""
    return said(status, {"error": words}, headers)


NOT_TOLD = refused(503, "this node has not been told its view yet", {"Retry-After": "1"})
OVERTAKEN = refused(503, "another view came at the same time; try again", {"Retry-After": "1"})

# ------------------------------------------------------------------ reading a request


def fields_of(call: Call) -> dict[str, Any] | Reply:
    """The JSON object in the body; no body is an empty one."""
    if not call.body:
        return {}
    try:
        read = orjson.loads(call.body)
    except orjson.JSONDecodeError as error:
        return refused(400, f"request body is not JSON: {error}")
    if type(read) is not dict:
        return refused(400, "request body is not a JSON object")
    return read


def token_of(call: Call, fields: Mapping[str, Any], name: str) -> Token | Reply:
    """What the client's session depends on: the field `name`, and the header if there is one."""
    seen, text = fields.get(name), call.headers.get(METADATA_HEADER, "")
    if len(call.body) > TOKEN_BYTES_MAX and len(_text_of(seen)) > TOKEN_BYTES_MAX:
        return refused(400, f"{name} is malformed: more than {TOKEN_BYTES_MAX} bytes")
    try:
        token = decode(seen)
        return token.joined(decode(orjson.loads(text))) if text else token
    except Malformed as error:
        return refused(400, f"{name} is malformed: {error}")
    except orjson.JSONDecodeError as error:
        return refused(400, f"header {METADATA_HEADER} is not JSON: {error}")


def session_of(call: Call, name: str) -> tuple[dict[str, Any], Token] | Reply:
    """The fields of the body and, by the field `name`, what the client has seen."""
    fields = fields_of(call)
    if isinstance(fields, Reply):
        return fields
    token = token_of(call, fields, name)
    return token if isinstance(token, Reply) else (fields, token)


def value_of(call: Call, value: object) -> bytes | Reply:
    """The JSON text of a value that was parsed from the body; 400 when it cannot be given back."""
    text, bytes_max = _text_of(value), call.limits.value_bytes_max
    if not text:
        return refused(400, "value is nested too deeply")
    if len(text) > bytes_max:
        return refused(413, f"value has {len(text)} bytes; the limit is {bytes_max}")
    if type(value) is not str and EXPONENT.search(text) and _has_huge_integer(call.body):
        return refused(400, "value has an integer of more than 64 bits")
    return text


def _text_of(value: object) -> bytes:
    """Nothing when the value, though it could be parsed, is nested deeper than can be written."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return b""


def _has_huge_integer(body: bytes) -> bool:
    """Whether the parser made a rounded float of an integer: those print with an exponent."""
    found = False

    def look(digits: str) -> int:
        nonlocal found
        found = found or len(digits) > 20 or not -(2**63) <= int(digits) < 2**64
        return 0

    try:
        json.loads(body, parse_int=look)
    except RecursionError:  # the fields beside the value may be nested deeper than it is
        return True
    return found


def address_of(fields: Mapping[str, Any], name: str) -> str | Reply:
    """The address host:port in a field; IPv6 hosts stand in brackets."""
    address = fields.get(name)
    if not isinstance(address, str):
        return refused(400, f"{name} is missing, or not a string")
    port = len(address) <= ADDRESS_CHARACTERS_MAX and ADDRESS.fullmatch(address)
    if not port or not 1 <= int(port[1]) <= 65535:
        return refused(400, f"{name} is not an address of the form host:port")
    return address


# ------------------------------------------------------------------ saying an outcome


def words_in(refusal: Reply) -> str:
    """What a reply of `refused` says, for contracts that say it in a form of their own."""
    words: str = orjson.loads(refusal.body)["error"]
    return words


def in_doubt(outcome: Unavailable) -> dict[str, str]:
    """The headers of ours where nobody could serve: whether it is certain that nothing changed."""
    return {"Retry-After": "1", "Kv-Outcome": "definite" if outcome.definite else "unknown"}


def where_stored(stored: Stored) -> dict[str, str]:
    """The headers of ours beside every answer to a write."""
    return {"Kv-Acks": f"{stored.acks}/{stored.copies}", "Kv-Served-By": stored.home}


def missing_of(unmet: Unmet) -> str:
    """`actor=have/need, ...`; the names come from a client's token, so nothing odd gets through."""
    entries = sorted(unmet.missing.items())[:MISSING_MAX]
    return ", ".join(f"{quote(actor)}={have}/{need}" for actor, (have, need) in entries)
