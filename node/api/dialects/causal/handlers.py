"""The causal contract: /put and /get, and /status with a vector clock and a delivery buffer.

Its clients need not pass anything on: a write without metadata depends on all that its node shows.
A write that arrives before its dependencies is in the buffer and not in the store, and the core
hides it from readers without metadata.  Metadata travel in the header, so replies have only the
contract's keys.  A vector clock names a node by its address.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route, Steps, Talk
from node.api.parsing import (
    METADATA_HEADER,
    bad_request,
    fields_of,
    in_doubt,
    missing_of,
    refused,
    rejected,
    said,
    session_of,
    token_of,
    value_of,
    where_stored,
)
from node.core.model.token import ALL_KEYS, COUNT_MAX, Token, encode
from node.core.protocol.operations import (
    Absent,
    Early,
    Found,
    Get,
    Look,
    Looked,
    Outcome,
    Put,
    Rejected,
    Stored,
    Unavailable,
    Unmet,
)
from node.security.scopes import ApiScope

METADATA = "causal-metadata"
KEY_CHARACTERS_MAX = 1000
PAGE_KEYS = 100

NO_KEY = "Key not found"
UNMET = "what this client depends on has not arrived; try again"
BAD_CLOCK = refused(400, "vector_clock is not an object of whole numbers by node")

Vector = Mapping[str, int]


def causal() -> Dialect:
    """Return the contract's routes and handlers."""
    return Dialect(
        "causal",
        (
            Route("GET", "/health", get_health, ApiScope.READ),
            Route("GET", "/get/{key}", get_key, ApiScope.READ),
            Route("POST", "/put", put_key, ApiScope.WRITE),
            Route("POST", "/replicate", replicate, ApiScope.WRITE),
            Route("GET", "/status", get_status, ApiScope.READ),
        ),
        lambda path: refused(404, "No such path"),
    )


def get_health(call: Call) -> Reply:
    """Answer at once, even before the node has a view."""
    return said(200, {"status": "healthy", "node_id": call.facts().address})


# ------------------------------------------------------------------ keys


def get_key(call: Call) -> Ask:
    _, token = session_of(call, METADATA)
    key = call.path["key"]
    get = Get(key, token=token, wait_s=call.limits.wait_s_max)
    return Ask(get, lambda outcome: say_get(key, outcome))


def put_key(call: Call) -> Ask:
    fields, value = _pair_of(call)
    token = token_of(call, fields, METADATA)
    keeps_no_session = METADATA not in fields and METADATA_HEADER not in call.headers
    wait_s = call.limits.wait_s_max
    put = Put(fields["key"], value, token=token, after_all=keeps_no_session, wait_s=wait_s)
    return Ask(put, lambda outcome: say_put(put.key, outcome))


def _pair_of(call: Call) -> tuple[dict[str, Any], bytes]:
    """Return the fields, with a usable key among them, and the value's text."""
    fields = fields_of(call)
    key = fields.get("key")
    if not isinstance(key, str) or not key:
        raise bad_request("key is missing, or not a string")
    if len(key) > KEY_CHARACTERS_MAX:
        raise bad_request(f"key has more than {KEY_CHARACTERS_MAX} characters")
    if "value" not in fields:
        raise bad_request("value is missing")
    return fields, value_of(call, fields["value"])


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
    if isinstance(outcome, Rejected):
        return rejected(outcome)
    raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


# ------------------------------------------------------------------ a peer's message


def replicate(call: Call) -> Talk:
    """Take a write from a node outside the cluster, with the vector clock of its dependencies.

    This node names the write and passes it on.
    """
    fields, value = _pair_of(call)
    clock = fields.get("vector_clock", {})
    if not _is_vector(clock):
        raise Refused(BAD_CLOCK)
    return Talk(_replicating(fields["key"], value, clock))


def _is_vector(clock: object) -> bool:
    if not isinstance(clock, dict):
        return False
    return all(type(n) is int and 0 <= n < COUNT_MAX for n in clock.values())


def _replicating(key: str, value: bytes, clock: Vector) -> Steps:
    [looked] = yield [Look()]
    if not isinstance(looked, Looked):
        return _say_otherwise(looked)
    known = {*looked.actors.values(), *looked.clock}
    unknown = sorted(node for node in clock if node not in known)
    if unknown:
        raise bad_request(f"vector_clock names {unknown[0]}, which is no node of this shard")
    floor: dict[str, int] = {}
    for node, n in clock.items():
        runs = _runs_of(node, n, looked)
        if runs is None:
            words = f"this node has not met the present run of {node} yet; try again"
            raise Refused(refused(503, words))
        floor |= runs
    token = Token(floor, {}, ALL_KEYS if floor else b"")
    [stored] = yield [Put(key, value, token=token, foretold=True)]
    if not isinstance(stored, Stored):
        return _say_otherwise(stored)
    [looked] = yield [Look()]
    early = looked.early if isinstance(looked, Looked) else []
    is_early = any(write.dot == stored.dot for write in early)
    status = "buffered" if is_early else "replicated"
    return said(200, {"status": status}, where_stored(stored))


# ------------------------------------------------------------------ the node


def get_status(call: Call) -> Ask:
    """Show clock, store and buffer of this node's shard at one moment; the store in pages."""
    address = call.facts().address
    look = Look(call.query.get("after"), PAGE_KEYS)
    return Ask(look, lambda outcome: say_status(address, outcome))


def say_status(address: str, outcome: Outcome) -> Reply:
    """Say the status; Kv-Next is the key (percent-encoded) after which the next page begins."""
    if not isinstance(outcome, Looked):
        return _say_otherwise(outcome)
    names = outcome.actors
    everybody = dict.fromkeys(names.values(), 0)
    status = {
        "node_id": address,
        "vector_clock": {**everybody, **_named(outcome.clock, outcome)},
        "kv_store": {key: orjson.Fragment(value) for key, value in outcome.items.items()},
        "buffer": [_shown(early, outcome) for early in outcome.early],
    }
    return said(200, status, {"Kv-Next": quote(outcome.after)} if outcome.after else {})


def _shown(early: Early, looked: Looked) -> dict[str, Any]:
    """Show a write that waits: its node, its clock with its dependencies, and what is missing."""
    clock = dict(early.deps.floor)
    for actor, n in (*early.deps.exact, early.dot):
        clock[actor] = max(n, clock.get(actor, 0))
    return {
        "key": early.key,
        "value": orjson.Fragment(b"null" if early.value is None else early.value),
        "node_id": looked.actors.get(early.dot[0], early.dot[0]),
        "vector_clock": _named(clock, looked),
        "waits_for": _named({a: n for a, (_, n) in early.missing.items()}, looked),
    }


def _named(clock: Vector, looked: Looked) -> dict[str, int]:
    """Name a clock's entries by node instead of by run.

    A run's number counts on from all writes of the node's earlier runs that this node knows.
    Actors of past incarnations and of old views keep their own names.
    """
    before = Counter[str]()
    named: dict[str, int] = {actor: n for actor, n in clock.items() if actor not in looked.actors}
    for actor, node in looked.actors.items():
        if actor in clock:
            named[node] = before[node] + clock[actor]
        before[node] += looked.clock.get(actor, 0)
    return named


def _runs_of(node: str, n: int, looked: Looked) -> dict[str, int] | None:
    """Translate a node's entry in a vector clock into entries of the node's runs.

    That is all of its past runs, as far as this node knows them, and the rest of the present one;
    None if this node does not know the present one.
    """
    if node in looked.clock or not n:
        return {node: n} if n else {}
    present = looked.present.get(node)
    runs = [actor for actor, name in looked.actors.items() if name == node and actor != present]
    past = {actor: known for actor in runs if (known := looked.clock.get(actor, 0))}
    rest = n - sum(past.values())
    if rest <= 0:
        return past
    return {**past, present: rest} if present is not None else None
