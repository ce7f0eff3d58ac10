"""The peers contract: ping, store, replicate, a content hash, and catching up.

Every node has every key.  Nodes of ours replicate and catch up by links of their own: what is sent
to `/replicate` comes from elsewhere, and is a write like any other.  The hash is kept up to date by
the core, so it costs the same whatever is stored.  The contract has no metadata: a session that
wants its past speaks another dialect of the same store.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from node.core.messages import Absent, Found, Get, Outcome, Put, Stored, Unavailable
from node.dialects.contract import Ask, Call, Dialect, Reply, Route, Steps, Talk
from node.dialects.words import (
    NOT_TOLD,
    fields_of,
    refused,
    said,
    value_of,
    where_stored,
)

KEY_BYTES_MAX = 4096

PONG = said(200, {"message": "pong"})
NO_KEY = refused(400, "key is missing, or not a string with characters")
KEY_TOO_LONG = refused(400, f"key has more than {KEY_BYTES_MAX} bytes")
NO_VALUE = refused(400, "value is missing")
NOT_FOUND = "Key not found"
COUNTING = refused(503, "what was stored is still being counted", {"Retry-After": "1"})

Fields = Mapping[str, Any]


def peers() -> Dialect:
    """The contract."""
    return Dialect(
        "peers",
        (
            Route("GET", "/ping", ping),
            Route("POST", "/store", store),
            Route("POST", "/replicate", replicate),
            Route("GET", "/store/hash", get_hash),
            Route("GET", "/store/key", get_key),
        ),
        lambda path: refused(404, "No such path"),
    )


def ping(call: Call) -> Reply:
    """Who asks wants to know whether this process answers, whatever else it knows."""
    return PONG


# ------------------------------------------------------------------ keys


def store(call: Call) -> Reply | Ask:
    put = _put_of(call)
    return put if isinstance(put, Reply) else Ask(put, say_stored)


def replicate(call: Call) -> Reply | Talk:
    """A value that is here already is not written again, however often a peer sends it."""
    put = _put_of(call)
    return put if isinstance(put, Reply) else Talk(_replicating(put))


def _replicating(put: Put) -> Steps:
    (found,) = yield (Get(put.key),)
    if isinstance(found, Found) and found.values[0] == put.value:
        return said(200, {"message": "stored"}, {"Kv-Served-By": found.served_by})
    (outcome,) = yield (put,)
    return say_stored(outcome)


def get_key(call: Call) -> Reply | Ask:
    fields = fields_of(call) if "key" not in call.query else dict(call.query)
    if isinstance(fields, Reply):
        return fields
    key = _key_of(fields)
    return key if isinstance(key, Reply) else Ask(Get(key, wait_s=call.limits.wait_s_max), say_key)


def _put_of(call: Call) -> Put | Reply:
    fields = fields_of(call)
    if isinstance(fields, Reply):
        return fields
    key = _key_of(fields)
    if isinstance(key, Reply):
        return key
    if "value" not in fields:
        return NO_VALUE
    value = value_of(call, fields["value"])
    return value if isinstance(value, Reply) else Put(key, value)


def _key_of(fields: Fields) -> str | Reply:
    key = fields.get("key")
    if not isinstance(key, str) or not key:
        return NO_KEY
    return key if len(key.encode()) <= KEY_BYTES_MAX else KEY_TOO_LONG


def say_stored(outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(outcome)
    return said(200, {"message": "stored"}, where_stored(outcome))


def say_key(outcome: Outcome) -> Reply:
    if not isinstance(outcome, Found):
        return _say_otherwise(outcome)
    value = orjson.Fragment(outcome.values[0])
    return said(200, {"value": value}, {"Kv-Served-By": outcome.served_by})


def _say_otherwise(outcome: Outcome) -> Reply:
    match outcome:
        case Absent(served_by=served_by):
            return refused(404, NOT_FOUND, {"Kv-Served-By": served_by})
        case Unavailable(reason=reason, definite=definite):
            certainty = "definite" if definite else "unknown"
            return refused(503, reason, {"Retry-After": "1", "Kv-Outcome": certainty})
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


# ------------------------------------------------------------------ the hash


def get_hash(call: Call) -> Reply:
    """Of what this node holds: equal at nodes of one shard exactly when they hold the same."""
    facts = call.facts()
    if not facts.view.number:
        return NOT_TOLD
    content = facts.content()
    return COUNTING if content is None else said(200, {"hash": content})
