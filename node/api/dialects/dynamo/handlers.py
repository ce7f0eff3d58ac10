"""The dynamo contract: writes to two nodes, reads from two, and requests to a single replica.

A node answers a write when two nodes have it on disk, and a read with what two nodes know together;
it tells owners what they turn out to lack (read repair).  It shows all concurrent values, the
newest first.  `vectorClock` is of one key: the writes that a value has replaced, and its own, by
actor.  A write replaces what its home holds.  The node compares a clock that a client brings and
stores it with its value; the clock decides nothing else.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route
from node.api.json_values import are_equal
from node.api.parsing import (
    METADATA_HEADER,
    NOT_TOLD,
    bad_request,
    fields_of,
    missing_of,
    refused,
    rejected,
    said,
    token_of,
    value_of,
    where_stored,
    words_in,
)
from node.api.repeated_names import all_of
from node.core.model.conditions import Mode
from node.core.model.dots import Vector, join_vectors
from node.core.model.keys import key_hash_of, slot_of
from node.core.model.token import COUNT_MAX, Token, encode
from node.core.model.vector_clock import CLOCK_ENTRIES_MAX, Order, compare
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Outcome,
    Overfull,
    Peek,
    Put,
    Rejected,
    Stored,
    StoreLocally,
    Unavailable,
    Unmet,
)
from node.security.scopes import ApiScope

METADATA = "causal-metadata"
CLOCK = "vectorClock"
COPIES = 2
KEY_CHARACTERS_MAX = 1000
ACTOR_CHARACTERS_MAX = 64

NO_KEY = "Key does not exist"
NO_VALUE = refused(400, "value is missing")
TOO_FEW_OWNERS = "fewer than two nodes hold this key"
NOT_OURS = "this node holds no replica of the key"
UNMET = "Causal dependencies not satisfied; try again later"
NEWER = "this replica has a newer version"
OTHER = "this replica has another value with this vectorClock"
TO_DO = "store one value that replaces them (POST /storeData), then try again"

Fields = dict[str, Any]


def dynamo() -> Dialect:
    """Return the contract's routes and handlers."""
    return Dialect(
        "dynamo",
        (
            Route("POST", "/storeData", store, ApiScope.WRITE),
            Route("GET", "/getData", read, ApiScope.READ),
            Route("POST", "/storeReplicas", store_here, ApiScope.WRITE),
            Route("GET", "/getReplicasValue", read_here, ApiScope.READ),
            Route("POST", "/updateReplica", update_here, ApiScope.WRITE),
        ),
        lambda path: refused(404, "No such path"),
    )


# ------------------------------------------------------------------ on two nodes


def store(call: Call) -> Ask:
    key, fields = _asked(call)
    value, token = _value(call, fields), token_of(call, fields, METADATA)
    _expect_enough_owners(call, key)
    return Ask(Put(key, value, token=token, level=str(COPIES), clocked=True), say_stored)


def read(call: Call) -> Ask:
    key, fields = _asked(call)
    token = token_of(call, fields, METADATA)
    _expect_enough_owners(call, key)
    get = Get(key, Mode.SIBLINGS, token, copies=COPIES, repair=True)
    return Ask(get, partial(say_found, key))


def _expect_enough_owners(call: Call, key: str) -> None:
    """Refuse a key with fewer owners than the contract wants copies."""
    owners = _owners(call, key)
    if len(owners) < COPIES:
        raise Refused(_unavailable(TOO_FEW_OWNERS, True, owners))


def say_stored(outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(outcome)
    words = {"result": "stored", "nodes": outcome.nodes, CLOCK: outcome.clock}
    return said(201, words, {**where_stored(outcome), **_metadata(outcome.token)})


def say_found(key: str, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Found):
        return _say_otherwise(outcome)
    headers = {"Kv-Served-By": outcome.served_by, **_metadata(outcome.token)}
    return said(200, {"key": key, **_shown(outcome)}, headers)


def _shown(found: Found) -> dict[str, object]:
    """Show the newest value, all values if there are several, and the clock that covers them."""
    latest = _latest(found)
    values = [orjson.Fragment(found.values[place]) for place in latest]
    clock: Vector = {}
    for place in latest:
        clock = join_vectors(clock, found.clocks[place])
    shown: dict[str, object] = {"value": values[0], CLOCK: clock}
    return {**shown, "values": values} if len(values) > 1 else shown


def _latest(found: Found) -> list[int]:
    """Return the places of values that no other one is after; of equal clocks, the newest."""
    clocks = found.clocks
    return [
        place
        for place, clock in enumerate(clocks)
        if not any(compare(clock, other) is Order.BEFORE for other in clocks)
        and not any(compare(clock, other) is Order.EQUAL for other in clocks[:place])
    ]


# ------------------------------------------------------------------ on this replica alone


def store_here(call: Call) -> Ask:
    return _kept(call, only_new=False)


def update_here(call: Call) -> Ask:
    return _kept(call, only_new=True)


def _kept(call: Call, only_new: bool) -> Ask:
    key, fields = _asked(call)
    keep = StoreLocally(key, _value(call, fields), clock_in(fields), only_new)
    _expect_ours(call, key)
    return Ask(keep, partial(say_kept, keep))


def read_here(call: Call) -> Ask:
    key, _ = _asked(call)
    _expect_ours(call, key)
    return Ask(Peek(key), partial(say_found, key))


def _expect_ours(call: Call, key: str) -> None:
    """Refuse a key that this node does not own."""
    owners = _owners(call, key)
    if call.facts().address not in owners:
        raise Refused(said(404, {"error": NOT_OURS, "nodes": owners}))


def say_kept(keep: StoreLocally, outcome: Outcome) -> Reply:
    """Say a write to one replica.

    A value that is there already changes nothing.  An older one changes nothing either, and is a
    mistake of the client: 409.
    """
    match outcome:
        case Stored(clock=clock):
            words = {"result": "updated" if keep.only_new else "stored", "nodes": outcome.nodes}
            return said(200, {**words, CLOCK: clock}, where_stored(outcome))
        case Found(values=values, clocks=clocks):
            if keep.clock not in clocks:
                return said(409, {"error": NEWER, **_shown(outcome)})
            if any(are_equal(keep.value, value) for value in values):
                return said(
                    200, {"result": "unchanged", "nodes": [outcome.served_by], CLOCK: keep.clock}
                )
            return said(409, {"error": OTHER, **_shown(outcome)})
        case Absent():
            return refused(409, NEWER)
        case _:
            return _say_otherwise(outcome)


# ------------------------------------------------------------------ words


def _asked(call: Call) -> tuple[str, Fields]:
    """Return the key, from the query or the body, and the fields of the body."""
    fields = fields_of(call)
    keys = all_of(call.query, "key")
    if len(keys) > 1:
        raise bad_request("key is given more than once in the query")
    key = keys[0] if keys else fields.get("key")
    if type(key) is not str or not key:
        raise bad_request("key is missing, or not a string")
    if len(key) > KEY_CHARACTERS_MAX:
        raise bad_request("Key is too long")
    return key, fields


def _value(call: Call, fields: Mapping[str, Any]) -> bytes:
    if "value" not in fields:
        raise Refused(NO_VALUE)
    return value_of(call, fields["value"])


def clock_in(fields: Mapping[str, Any]) -> Vector:
    """Read the vector clock in a body; null, {}, "" or none means that nothing was seen."""
    clock = fields.get(CLOCK)
    if clock is None or clock == {} or clock == "":
        return {}
    if type(clock) is not dict or len(clock) > CLOCK_ENTRIES_MAX:
        words = f"expected an object with at most {CLOCK_ENTRIES_MAX} entries"
        raise bad_request(f"{CLOCK} is malformed: {words}")
    for actor, n in clock.items():
        if (
            not 0 < len(actor) <= ACTOR_CHARACTERS_MAX
            or type(n) is not int
            or not 0 <= n < COUNT_MAX
        ):
            words = f"expected actors of up to {ACTOR_CHARACTERS_MAX} characters with whole numbers"
            raise bad_request(f"{CLOCK} is malformed: {words}")
    return {actor: n for actor, n in clock.items() if n}


def _owners(call: Call, key: str) -> tuple[str, ...]:
    """Return the nodes that hold the key."""
    view = call.facts().view
    if not view.shards:
        words = {"error": words_in(NOT_TOLD), "nodes": []}
        raise Refused(said(NOT_TOLD.status, words, NOT_TOLD.headers))
    return view.shard_of(slot_of(key_hash_of(key, True))).members


def _metadata(token: Token) -> dict[str, str]:
    return {METADATA_HEADER: encode(token).decode()}


def _unavailable(reason: str, definite: bool, nodes: tuple[str, ...]) -> Reply:
    certainty = "definite" if definite else "unknown"
    headers = {"Retry-After": "1", "Kv-Outcome": certainty}
    return said(503, {"error": reason, "nodes": nodes}, headers)


def _say_otherwise(outcome: Outcome) -> Reply:
    match outcome:
        case Absent(token=token, served_by=served_by):
            return refused(404, NO_KEY, {"Kv-Served-By": served_by, **_metadata(token)})
        case Overfull(reason=reason):
            return refused(409, f"{reason}: {TO_DO}", {"Kv-Outcome": "definite"})
        case Unmet():
            return refused(503, UNMET, {"Kv-Missing": missing_of(outcome)})
        case Rejected():
            return rejected(outcome)
        case Unavailable(reason=reason, definite=definite, nodes=nodes):
            return _unavailable(reason, definite, nodes)
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")
