"""The causal contract: /put and /get, and /status with a vector clock and a delivery buffer.

Its clients need not pass anything on: a write that comes without metadata depends on all that its
node shows.  A write that comes before what it depends on is in the buffer and not in the store; the
core holds it back, from readers without metadata.  Metadata come and go in the header, so replies
have just the contract's keys.  In vector clocks a node goes by its address.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from node.core.messages import (
    Absent,
    Early,
    Found,
    Get,
    Look,
    Looked,
    Outcome,
    Put,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.token import ALL_KEYS, COUNT_MAX, Token, encode
from node.dialects.contract import Ask, Call, Dialect, Reply, Route, Steps, Talk
from node.dialects.words import (
    METADATA_HEADER,
    fields_of,
    in_doubt,
    missing_of,
    refused,
    said,
    session_of,
    token_of,
    value_of,
    where_stored,
)

METADATA = "causal-metadata"
KEY_CHARACTERS_MAX = 1000
PAGE_KEYS = 100

NO_KEY = "Key not found"
UNMET = "what this client depends on has not arrived; try again"
BAD_CLOCK = refused(400, "vector_clock is not an object of whole numbers by node")

Vector = Mapping[str, int]


def causal() -> Dialect:
    """The contract."""
    return Dialect(
        "causal",
        (
            Route("GET", "/health", get_health),
            Route("GET", "/get/{key}", get_key),
            Route("POST", "/put", put_key),
            Route("POST", "/replicate", replicate),
            Route("GET", "/status", get_status),
        ),
        lambda path: refused(404, "No such path"),
    )


def get_health(call: Call) -> Reply:
    """At once, before any view."""
    return said(200, {"status": "healthy", "node_id": call.facts().address})


# ------------------------------------------------------------------ keys


def get_key(call: Call) -> Reply | Ask:
    session = session_of(call, METADATA)
    if isinstance(session, Reply):
        return session
    key = call.path["key"]
    get = Get(key, token=session[1], wait_s=call.limits.wait_s_max)
    return Ask(get, lambda outcome: say_get(key, outcome))


def put_key(call: Call) -> Reply | Ask:
    pair = _pair_of(call)
    if isinstance(pair, Reply):
        return pair
    fields, value = pair
    token = token_of(call, fields, METADATA)
    if isinstance(token, Reply):
        return token
    keeps_no_session = METADATA not in fields and METADATA_HEADER not in call.headers
    put = Put(fields["key"], value, token=token, after_all=keeps_no_session)
    return Ask(put, lambda outcome: say_put(put.key, outcome))


def _pair_of(call: Call) -> tuple[dict[str, Any], bytes] | Reply:
    """The fields, among them a usable key, and the value's text."""
    fields = fields_of(call)
    if isinstance(fields, Reply):
        return fields
    key = fields.get("key")
    if not isinstance(key, str) or not key:
        return refused(400, "key is missing, or not a string")
    if len(key) > KEY_CHARACTERS_MAX:
        return refused(400, f"key has more than {KEY_CHARACTERS_MAX} characters")
    if "value" not in fields:
        return refused(400, "value is missing")
    value = value_of(call, fields["value"])
    return value if isinstance(value, Reply) else (fields, value)


def say_get(key: str, outcome: Outcome) -> Reply:
    match outcome:
        case Found(values=values, token=token, served_by=served_by):
            body = {"key": key, "value": orjson.Fragment(values[0])}
            return said(200, body, {"Kv-Served-By": served_by, **_metadata(token)})
        case Absent(token=token, served_by=served_by):
            return refused(404, NO_KEY, {"Kv-Served-By": served_by, **_metadata(token)})
        case Unmet():
            return refused(503, UNMET, {"Kv-Missing": missing_of(outcome), "Retry-After": "1"})
        case _:
            return _say_otherwise(outcome)


def say_put(key: str, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(outcome)
    headers = {**where_stored(outcome), **_metadata(outcome.token)}
    return said(200, {"status": "success", "key": key}, headers)


def _metadata(token: Token) -> dict[str, str]:
    return {METADATA_HEADER: encode(token).decode()}


def _say_otherwise(outcome: Outcome) -> Reply:
    if isinstance(outcome, Unavailable):
        return refused(503, outcome.reason, in_doubt(outcome))
    raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


# ------------------------------------------------------------------ a peer's message


def replicate(call: Call) -> Reply | Talk:
    """A write with the vector clock of what it depends on, from whoever is no node of ours: this
    node names it and passes it on."""
    pair = _pair_of(call)
    if isinstance(pair, Reply):
        return pair
    fields, value = pair
    clock = fields.get("vector_clock", {})
    if not _is_vector(clock):
        return BAD_CLOCK
    return Talk(_replicating(fields["key"], value, clock))


def _is_vector(clock: object) -> bool:
    if not isinstance(clock, dict):
        return False
    return all(type(n) is int and 0 <= n < COUNT_MAX for n in clock.values())


def _replicating(key: str, value: bytes, clock: Vector) -> Steps:
    [looked] = yield [Look()]
    if not isinstance(looked, Looked):
        return _say_otherwise(looked)
    actors = {node: actor for actor, node in looked.actors.items()}
    actors |= {actor: actor for actor in looked.clock}
    unknown = sorted(node for node in clock if node not in actors)
    if unknown:
        return refused(400, f"vector_clock names {unknown[0]}, who is no node of this shard")
    floor = {actors[node]: n for node, n in clock.items() if n}
    [stored] = yield [Put(key, value, token=Token(floor, {}, ALL_KEYS if floor else b""))]
    if not isinstance(stored, Stored):
        return _say_otherwise(stored)
    [looked] = yield [Look()]
    early = looked.early if isinstance(looked, Looked) else []
    is_early = any(write.dot == stored.dot for write in early)
    status = "buffered" if is_early else "replicated"
    return said(200, {"status": status}, where_stored(stored))


# ------------------------------------------------------------------ the node


def get_status(call: Call) -> Reply | Ask:
    """Clock, store and buffer of this node's shard, of one moment; the store in pages."""
    address = call.facts().address
    look = Look(call.query.get("after"), PAGE_KEYS)
    return Ask(look, lambda outcome: say_status(address, outcome))


def say_status(address: str, outcome: Outcome) -> Reply:
    """The next page, if there is one, begins behind the key in Kv-Next (percent-encoded)."""
    if not isinstance(outcome, Looked):
        return _say_otherwise(outcome)
    names = outcome.actors
    everybody = dict.fromkeys(names.values(), 0)
    status = {
        "node_id": address,
        "vector_clock": {**everybody, **_named(outcome.clock, names)},
        "kv_store": {key: orjson.Fragment(value) for key, value in outcome.items.items()},
        "buffer": [_shown(early, names) for early in outcome.early],
    }
    return said(200, status, {"Kv-Next": quote(outcome.after)} if outcome.after else {})


def _shown(early: Early, names: Mapping[str, str]) -> dict[str, Any]:
    """A write that waits: whose it is, what it depends on and itself, and what of that is
    missing."""
    clock = dict(early.deps.floor)
    for actor, n in (*early.deps.exact, early.dot):
        clock[actor] = max(n, clock.get(actor, 0))
    return {
        "key": early.key,
        "value": orjson.Fragment(b"null" if early.value is None else early.value),
        "node_id": names.get(early.dot[0], early.dot[0]),
        "vector_clock": _named(clock, names),
        "waits_for": _named({a: n for a, (_, n) in early.missing.items()}, names),
    }


def _named(clock: Vector, names: Mapping[str, str]) -> dict[str, int]:
    """By node; actors of past lives and views keep their own names."""
    return {names.get(actor, actor): n for actor, n in clock.items()}
