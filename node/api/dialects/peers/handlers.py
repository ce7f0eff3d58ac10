"""The peers contract: ping, store, replicate, a content hash, and catching up.

Every node has every key.  Nodes replicate and catch up by their own links, so a node takes a value
that comes to `/replicate` from outside, and treats it as a write like any other.  The core keeps
the hash up to date, so it costs the same whatever is stored.  The contract has no metadata: a
session that wants causal reads speaks another dialect of the same store.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route, Steps, Talk
from node.api.json_values import are_equal
from node.api.parsing import NOT_TOLD, fields_of, in_doubt, refused, said, value_of, where_stored
from node.api.repeated_names import all_of
from node.core.protocol.operations import Absent, Found, Get, Outcome, Put, Stored, Unavailable
from node.security.scopes import ApiScope

KEY_BYTES_MAX = 4096

PONG = said(200, {"message": "pong"})
KEY_TWICE = refused(400, "key is given more than once in the query")
NO_KEY = refused(400, "key is missing, or not a string with characters")
KEY_TOO_LONG = refused(400, f"key has more than {KEY_BYTES_MAX} bytes")
NO_VALUE = refused(400, "value is missing")
NOT_FOUND = "Key not found"
COUNTING = refused(503, "this node still counts what it has stored; try again", in_doubt(None))

Fields = Mapping[str, Any]


def peers() -> Dialect:
    """Return the contract's routes and handlers."""
    return Dialect(
        "peers",
        (
            Route("GET", "/ping", ping, ApiScope.READ),
            Route("POST", "/store", store, ApiScope.WRITE),
            Route("POST", "/replicate", replicate, ApiScope.WRITE),
            Route("GET", "/store/hash", get_hash, ApiScope.READ),
            Route("GET", "/store/key", get_key, ApiScope.READ),
        ),
        lambda path: refused(404, "No such path"),
    )


def ping(call: Call) -> Reply:
    """Answer that the process runs, whatever else the node knows."""
    return PONG


# ------------------------------------------------------------------ keys


def store(call: Call) -> Ask:
    return Ask(_put_of(call), say_stored)


def replicate(call: Call) -> Talk:
    """Write a value that a peer sends, unless it is here already."""
    return Talk(_replicating(_put_of(call)))


def _replicating(put: Put) -> Steps:
    (found,) = yield (Get(put.key),)
    assert put.value is not None
    if isinstance(found, Found) and are_equal(found.values[0], put.value):
        return said(200, {"message": "stored"}, {"Kv-Served-By": found.served_by})
    (outcome,) = yield (put,)
    return say_stored(outcome)


def get_key(call: Call) -> Ask:
    keys = all_of(call.query, "key")
    if len(keys) > 1:
        raise Refused(KEY_TWICE)
    key = _key_of({"key": keys[0]} if keys else fields_of(call))
    return Ask(Get(key, wait_s=call.limits.wait_s_max), say_key)


def _put_of(call: Call) -> Put:
    fields = fields_of(call)
    key = _key_of(fields)
    if "value" not in fields:
        raise Refused(NO_VALUE)
    return Put(key, value_of(call, fields["value"]), wait_s=call.limits.wait_s_max)


def _key_of(fields: Fields) -> str:
    key = fields.get("key")
    if not isinstance(key, str) or not key:
        raise Refused(NO_KEY)
    if len(key.encode()) > KEY_BYTES_MAX:
        raise Refused(KEY_TOO_LONG)
    return key


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
        case Unavailable(reason=reason):
            return refused(503, reason, in_doubt(outcome))
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


# ------------------------------------------------------------------ the hash


def get_hash(call: Call) -> Reply:
    """Return the hash of this node's data, equal at nodes of one shard that hold the same."""
    facts = call.facts()
    if not facts.view.number:
        raise Refused(NOT_TOLD)
    content = facts.content()
    if content is None:
        raise Refused(COUNTING)
    return said(200, {"hash": content})
