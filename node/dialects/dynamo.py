"""The dynamo contract: stores on two nodes, reads from two, and single replicas for who looks on.

A store is answered when two nodes have it on disk, a read by what two nodes know together; owners
that turn out to lack something are told (read repair).  Concurrent values are all shown, the newest
first.  `vectorClock` is of one key: which writes a value has replaced, and its own, by actor.  A
store replaces what its home holds.  A clock that a client brings is compared and kept with its
value; nothing else is decided by it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from node.core.clock import Order, Vector, compare, join_vectors
from node.core.messages import (
    Absent,
    Found,
    Get,
    Keep,
    Mode,
    Outcome,
    Peek,
    Put,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.siblings import CLOCK_ENTRIES_MAX
from node.core.token import COUNT_MAX, Token, encode
from node.core.view import digest_of, slot_of
from node.dialects.contract import Ask, Call, Dialect, Reply, Route
from node.dialects.words import (
    METADATA_HEADER,
    NOT_TOLD,
    fields_of,
    missing_of,
    refused,
    said,
    token_of,
    value_of,
    where_stored,
)

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

Fields = dict[str, Any]


def dynamo() -> Dialect:
    """The contract."""
    return Dialect(
        "dynamo",
        (
            Route("POST", "/storeData", store),
            Route("GET", "/getData", read),
            Route("POST", "/storeReplicas", store_here),
            Route("GET", "/getReplicasValue", read_here),
            Route("POST", "/updateReplica", update_here),
        ),
        lambda path: refused(404, "No such path"),
    )


# ------------------------------------------------------------------ on two nodes


def store(call: Call) -> Reply | Ask:
    asked = _asked(call)
    if isinstance(asked, Reply):
        return asked
    key, fields = asked
    value = _value(call, fields)
    if isinstance(value, Reply):
        return value
    token = token_of(call, fields, METADATA)
    if isinstance(token, Reply):
        return token
    put = Put(key, value, token=token, level=str(COPIES), clocked=True)
    return _too_few(call, key) or Ask(put, say_stored)


def read(call: Call) -> Reply | Ask:
    asked = _asked(call)
    if isinstance(asked, Reply):
        return asked
    key, fields = asked
    token = token_of(call, fields, METADATA)
    if isinstance(token, Reply):
        return token
    get = Get(key, Mode.SIBLINGS, token, copies=COPIES, mend=True)
    return _too_few(call, key) or Ask(get, partial(say_found, key))


def _too_few(call: Call, key: str) -> Reply | None:
    """A refusal, unless there are as many owners as copies are wanted."""
    owners = _owners(call, key)
    if owners is None:
        return _not_told()
    return None if len(owners) >= COPIES else _unavailable(TOO_FEW_OWNERS, True, owners)


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
    """The newest value, all of them where there are several, and the clock that covers them."""
    latest = _latest(found)
    values = [orjson.Fragment(found.values[place]) for place in latest]
    clock: Vector = {}
    for place in latest:
        clock = join_vectors(clock, found.clocks[place])
    shown: dict[str, object] = {"value": values[0], CLOCK: clock}
    return {**shown, "values": values} if len(values) > 1 else shown


def _latest(found: Found) -> list[int]:
    """The places of values that no other one is after; of equal clocks the newest."""
    clocks = found.clocks
    return [
        place
        for place, clock in enumerate(clocks)
        if not any(compare(clock, other) is Order.BEFORE for other in clocks)
        and not any(compare(clock, other) is Order.EQUAL for other in clocks[:place])
    ]


# ------------------------------------------------------------------ on this replica alone


def store_here(call: Call) -> Reply | Ask:
    return _kept(call, only_new=False)


def update_here(call: Call) -> Reply | Ask:
    return _kept(call, only_new=True)


def _kept(call: Call, only_new: bool) -> Reply | Ask:
    asked = _asked(call)
    if isinstance(asked, Reply):
        return asked
    key, fields = asked
    value = _value(call, fields)
    if isinstance(value, Reply):
        return value
    clock = clock_in(fields)
    if isinstance(clock, Reply):
        return clock
    keep = Keep(key, value, clock, only_new)
    return _elsewhere(call, key) or Ask(keep, partial(say_kept, keep))


def read_here(call: Call) -> Reply | Ask:
    asked = _asked(call)
    if isinstance(asked, Reply):
        return asked
    elsewhere = _elsewhere(call, asked[0])
    return elsewhere or Ask(Peek(asked[0]), partial(say_found, asked[0]))


def _elsewhere(call: Call, key: str) -> Reply | None:
    """A refusal, unless this node is an owner of the key."""
    owners = _owners(call, key)
    if owners is None:
        return _not_told()
    if call.facts().address in owners:
        return None
    return said(404, {"error": NOT_OURS, "nodes": owners})


def say_kept(keep: Keep, outcome: Outcome) -> Reply:
    """What is there already changes nothing, and so does what is older; the second is said to be
    a mistake."""
    match outcome:
        case Stored(clock=clock):
            words = {"result": "updated" if keep.only_new else "stored", "nodes": outcome.nodes}
            return said(200, {**words, CLOCK: clock}, where_stored(outcome))
        case Found(values=values, clocks=clocks):
            if keep.clock not in clocks:
                return said(409, {"error": NEWER, **_shown(outcome)})
            if keep.value in values:
                return said(
                    200, {"result": "unchanged", "nodes": [outcome.served_by], CLOCK: keep.clock}
                )
            return said(409, {"error": OTHER, **_shown(outcome)})
        case Absent():
            return refused(409, NEWER)
        case _:
            return _say_otherwise(outcome)


# ------------------------------------------------------------------ words


def _asked(call: Call) -> tuple[str, Fields] | Reply:
    """The key, in the query or the body, and the fields of the body."""
    fields = fields_of(call)
    if isinstance(fields, Reply):
        return fields
    key = call.query.get("key", fields.get("key"))
    if type(key) is not str or not key:
        return refused(400, "key is missing, or not a string")
    if len(key) > KEY_CHARACTERS_MAX:
        return refused(400, "Key is too long")
    return key, fields


def _value(call: Call, fields: Mapping[str, Any]) -> bytes | Reply:
    return value_of(call, fields["value"]) if "value" in fields else NO_VALUE


def clock_in(fields: Mapping[str, Any]) -> Vector | Reply:
    """The vector clock in a body; null, {}, "" and none are «nothing seen»."""
    clock = fields.get(CLOCK)
    if clock is None or clock == {} or clock == "":
        return {}
    if type(clock) is not dict or len(clock) > CLOCK_ENTRIES_MAX:
        words = f"expected an object with at most {CLOCK_ENTRIES_MAX} entries"
        return refused(400, f"{CLOCK} is malformed: {words}")
    for actor, n in clock.items():
        if (
            not 0 < len(actor) <= ACTOR_CHARACTERS_MAX
            or type(n) is not int
            or not 0 <= n < COUNT_MAX
        ):
            words = f"expected actors of up to {ACTOR_CHARACTERS_MAX} characters with whole numbers"
            return refused(400, f"{CLOCK} is malformed: {words}")
    return {actor: n for actor, n in clock.items() if n}


def _owners(call: Call, key: str) -> tuple[str, ...] | None:
    """The nodes that hold the key; None where no view is known."""
    view = call.facts().view
    return view.shard_of(slot_of(digest_of(key, True))).members if view.shards else None


def _metadata(token: Token) -> dict[str, str]:
    return {METADATA_HEADER: encode(token).decode()}


def _not_told() -> Reply:
    return said(NOT_TOLD.status, {**orjson.loads(NOT_TOLD.body), "nodes": []}, NOT_TOLD.headers)


def _unavailable(reason: str, definite: bool, nodes: tuple[str, ...]) -> Reply:
    certainty = "definite" if definite else "unknown"
    headers = {"Retry-After": "1", "Kv-Outcome": certainty}
    return said(503, {"error": reason, "nodes": nodes}, headers)


def _say_otherwise(outcome: Outcome) -> Reply:
    match outcome:
        case Absent(token=token, served_by=served_by):
            return refused(404, NO_KEY, {"Kv-Served-By": served_by, **_metadata(token)})
        case Unmet():
            return refused(503, UNMET, {"Kv-Missing": missing_of(outcome)})
        case Unavailable(reason=reason, definite=definite, nodes=nodes):
            return _unavailable(reason, definite, nodes)
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")
