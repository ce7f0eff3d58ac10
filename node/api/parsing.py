"""What dialects have in common: they read a JSON body, a token or an address, and say errors.

A parser returns what a client has sent, or raises `Refused` with a reply that says what is wrong.
"""

import json
from collections.abc import Mapping
from functools import reduce
from typing import Any, TypeGuard
from urllib.parse import quote

import msgspec
import orjson

from node.addresses import canonical
from node.api import json_values
from node.api.contract import Call, Refused, Reply
from node.api.repeated_names import RepeatedError, all_of, each_in, parsed
from node.core.model.token import TOKEN_BYTES_MAX, Malformed, Token, decode
from node.core.protocol.operations import Outcome, Rejected, Stored, Unavailable, Unmet

METADATA_HEADER = "X-Causal-Metadata"
DEFINITE = {"Kv-Outcome": "definite"}
NOTHING_SEEN: tuple[list[Any], ...] = ([], [{}])  # what most requests say that they have seen
MISSING_MAX = 32  # entries of Kv-Missing, so that the header stays short


def said(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a reply with this object as its JSON body."""
    return Reply(status, orjson.dumps(body), headers or {})


def refused(status: int, words: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a reply whose body is {"error": words}."""
    return said(status, {"error": words}, headers)


def bad_request(words: str) -> Refused:
    """Return the exception to raise for a malformed request: 400, with these words."""
    return Refused(refused(400, words))


def in_doubt(outcome: Outcome | None) -> dict[str, str]:
    """Return our headers for a request that no node could serve: may it have changed anything?"""
    is_unknown = isinstance(outcome, Unavailable) and not outcome.definite
    return {"Retry-After": "1", "Kv-Outcome": "unknown" if is_unknown else "definite"}


NOT_TOLD = refused(503, "this node has not been told its view yet", in_doubt(None))
OVERTAKEN = refused(503, "another view came at the same time; try again", in_doubt(None))

# ------------------------------------------------------------------ reading a request


def fields_of(call: Call) -> dict[str, Any]:
    """Return the JSON object in the body, values as text; an absent body is an empty object."""
    if not call.body:
        return {}
    try:
        return json_values.read(call.body)
    except json_values.BadBody as error:
        raise bad_request(str(error)) from error


def fields_said_once(call: Call) -> dict[str, Any]:
    """Return the fields of an order of an administrator; refuse a name that stands twice.

    A proxy that checks the order may take another one of the two than this node.
    """
    fields = fields_of(call)
    try:
        parsed(call.body or b"{}")
    except RepeatedError as error:
        raise bad_request(f"request body: {error}") from error
    return fields


def token_of(call: Call, fields: Mapping[str, Any], name: str) -> Token:
    """Return what the client's session depends on: the field `name`, joined with the header.

    A request may have several of both, and all count.
    """
    try:
        seen = each_in(call.body, fields, name) if fields else []
        if METADATA_HEADER in call.headers:
            seen += _listed([text for text in all_of(call.headers, METADATA_HEADER) if text])
    except RepeatedError as error:
        raise bad_request(f"{name} is malformed: {error}") from error
    except RecursionError as error:
        raise bad_request(f"{name} is malformed: the body is nested too deeply") from error
    except ValueError as error:
        raise bad_request(f"header {METADATA_HEADER} is not JSON: {error}") from error
    if seen in NOTHING_SEEN:
        return Token()
    if len(call.body) > TOKEN_BYTES_MAX and any(
        len(_text_of(each)) > TOKEN_BYTES_MAX for each in seen
    ):
        raise bad_request(f"{name} is malformed: more than {TOKEN_BYTES_MAX} bytes")
    try:
        return reduce(Token.joined, map(decode, seen), Token())
    except Malformed as error:
        raise bad_request(f"{name} is malformed: {error}") from error


def _listed(texts: list[str]) -> list[Any]:
    """Parse the values of several headers, or of one that a proxy has joined from several."""
    try:
        values: list[Any] = parsed(("[" + ",".join(texts) + "]").encode())
    except json.JSONDecodeError:
        for text in texts:
            orjson.loads(text)  # raises an error that says what is wrong
        raise
    return values


def session_of(call: Call, name: str) -> tuple[dict[str, Any], Token]:
    """Return the fields of the body, and what the client has seen by the field `name`."""
    fields = fields_of(call)
    return fields, token_of(call, fields, name)


def value_of(call: Call, value: msgspec.Raw) -> bytes:
    """Return the stored form of a value from `fields_of`; raise 413 when it is too large."""
    bytes_max = call.limits.value_bytes_max
    text = json_values.stored(value, bytes_max)
    if len(text) > bytes_max:
        words = f"value has {len(text)} bytes as it is stored; the limit is {bytes_max}"
        raise Refused(refused(413, words))
    return text


def is_whole(value: object) -> TypeGuard[float]:
    """Whether this is a whole number, as JSON has them: 2.0 is one, and true is none."""
    return type(value) is int or (type(value) is float and value.is_integer())


def _text_of(value: object) -> bytes:
    """Write the value as JSON; return nothing when it is nested too deeply to be written."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return b""


def address_of(fields: Mapping[str, Any], name: str) -> str:
    """Return the address host:port in a field, in its one spelling; IPv6 hosts have brackets."""
    address = fields.get(name)
    if not isinstance(address, str):
        raise bad_request(f"{name} is missing, or not a string")
    try:
        return canonical(address)
    except ValueError as error:
        raise bad_request(f"{name} is not an address: {error}") from error


# ------------------------------------------------------------------ saying an outcome


def words_in(refusal: Reply) -> str:
    """Return the words of a reply of `refused`, for contracts that have another form for them."""
    words: str = orjson.loads(refusal.body)["error"]
    return words


def rejected(outcome: Rejected) -> Reply:
    """Refuse a request that cannot be met: 400, and certainly nothing changed."""
    return refused(400, outcome.reason, DEFINITE)


def where_stored(stored: Stored) -> dict[str, str]:
    """Return our headers of every answer to a write."""
    return {"Kv-Acks": f"{stored.acks}/{stored.copies}", "Kv-Served-By": stored.home}


def missing_of(unmet: Unmet) -> str:
    """Return `actor=have/need, ...`.  The names come from a client's token, so they are escaped."""
    entries = sorted(unmet.missing.items())[:MISSING_MAX]
    return ", ".join(f"{quote(actor)}={have}/{need}" for actor, (have, need) in entries)
