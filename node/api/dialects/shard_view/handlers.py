"""The shard_view contract: /key-value-store, its view and its shards, with causal metadata.

The metadata of a GET are what the PUT of that value answered, at every replica and for ever.  So
the node stores values with their metadata; no other contract can read them, and a node that speaks
this one speaks no other.  A header has what a reader depends on beyond that.  A write waits until
its dependencies have arrived in its shard, and so does a read of a key.  The view that is shown has
no dead nodes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from msgspec.structs import replace

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route, Steps, Talk
from node.api.kept_values import kept, opened, reading, told
from node.api.parsing import (
    METADATA_HEADER,
    address_of,
    bad_request,
    fields_of,
    in_doubt,
    missing_of,
    refused,
    rejected,
    said,
    session_of,
    value_of,
    where_stored,
    words_in,
)
from node.api.view_change import changed, is_in_view
from node.core.model.conditions import RefuseWhen, Scope
from node.core.model.keys import key_hash_of, slot_of
from node.core.model.placement import reshaped, with_member, with_node, without
from node.core.model.token import Token, encode
from node.core.model.view import Shard
from node.core.protocol.operations import (
    Absent,
    Count,
    Counted,
    Found,
    Get,
    Outcome,
    Put,
    Rejected,
    Stored,
    Unavailable,
    Unmet,
)
from node.security.scopes import ApiScope

METADATA = "causal-metadata"
KEY_CHARACTERS_MAX = 50
SHARD_NODES_MIN = 2  # a smaller shard cannot lose a node
WAIT_S = 19.5  # below 20 s, within which the contract answers a client
ASK_AGAIN_S = 0.1

NO_KEY = "Key does not exist"
UNMET = "Causal dependencies not satisfied; try again later"
NO_SHARD = refused(404, "Shard ID does not exist")
NO_OWN_SHARD = refused(404, "This node is a member of no shard")
NOT_IN_VIEW = refused(404, "Socket address does not exist in the view")
IN_VIEW = refused(404, "Socket address already exists in the view")
TOO_FEW = "Not enough nodes to provide fault-tolerance with the given shard count!"
TOO_FEW_NODES = said(400, {"message": TOO_FEW})

Words = Mapping[str, object]


def shard_view() -> Dialect:
    """Return the contract's routes and handlers."""
    shard = "/key-value-store-shard"
    return Dialect(
        "shard_view",
        (
            Route("PUT", "/key-value-store/{key}", put_key, ApiScope.WRITE),
            Route("GET", "/key-value-store/{key}", get_key, ApiScope.READ),
            Route("DELETE", "/key-value-store/{key}", delete_key, ApiScope.WRITE),
            Route("GET", "/key-value-store-view", get_view, ApiScope.READ),
            Route("PUT", "/key-value-store-view", add_node, ApiScope.ADMIN),
            Route("DELETE", "/key-value-store-view", delete_node, ApiScope.ADMIN),
            Route("GET", f"{shard}/shard-ids", get_shard_ids, ApiScope.READ),
            Route("GET", f"{shard}/node-shard-id", get_own_shard, ApiScope.READ),
            Route("GET", f"{shard}/shard-id-members/{{shard}}", get_members, ApiScope.READ),
            Route("GET", f"{shard}/shard-id-key-count/{{shard}}", count_keys, ApiScope.READ),
            Route("PUT", f"{shard}/add-member/{{shard}}", add_member, ApiScope.ADMIN),
            Route("PUT", f"{shard}/reshard", reshard, ApiScope.ADMIN),
        ),
        lambda path: refused(404, "No such path"),
        _reworded,
    )


def _reworded(call: Call, reply: Reply) -> Reply:
    """Say a refusal in the form of this contract."""
    words = {"error": words_in(reply), "message": f"Error in {call.method}"}
    return said(reply.status, words, reply.headers)


# ------------------------------------------------------------------ keys


def put_key(call: Call) -> Talk:
    fields, seen = _session(call)
    if "value" not in fields:
        raise bad_request("Value is missing")
    if len(call.path["key"]) > KEY_CHARACTERS_MAX:
        raise bad_request("Key is too long")
    value = value_of(call, fields["value"])
    ours = seen.given_as(call.facts().cluster, call.facts().now)
    refuse_when = RefuseWhen(unmet=Scope.SHARD)
    put = Put(call.path["key"], kept(ours, value), token=seen, refuse_when=refuse_when)
    return Talk(_written(call, put, partial(say_put, call, ours)))


def get_key(call: Call) -> Ask:
    _, seen = _session(call)
    get = Get(call.path["key"], token=reading(seen), wait_s=WAIT_S)
    return Ask(get, partial(say_get, call, seen))


def delete_key(call: Call) -> Talk:
    _, seen = _session(call)
    refuse_when = RefuseWhen(unmet=Scope.SHARD, absent=True)
    delete = Put(call.path["key"], None, token=seen, refuse_when=refuse_when)
    return Talk(_written(call, delete, partial(say_delete, call)))


def _session(call: Call) -> tuple[dict[str, Any], Token]:
    """Return the fields of the body and what the client has seen, trimmed as it is stored."""
    fields, seen = session_of(call, METADATA)
    return fields, seen.trimmed({})


def _written(call: Call, put: Put, say: Callable[[Outcome], Reply]) -> Steps:
    """Ask for the write again until its dependencies are there; a refused write did not happen."""
    until = call.facts().now + WAIT_S
    while True:
        left_s = max(0.0, until - call.facts().now)
        (outcome,) = yield (replace(put, wait_s=left_s),)
        if not isinstance(outcome, Unmet) or not left_s:
            return say(outcome)
        yield ASK_AGAIN_S


def say_put(call: Call, seen: Token, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(call, outcome)
    status, word = (200, "Updated") if outcome.replaced else (201, "Added")
    token = told(call.path["key"], seen, outcome)
    return _stored(call, status, {"message": f"{word} successfully"}, token, outcome)


def say_get(call: Call, seen: Token, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Found):
        return _say_otherwise(call, outcome)
    token, value = opened(call.path["key"], outcome)
    words = {
        "message": "Retrieved successfully",
        METADATA: orjson.Fragment(encode(token)),
        "value": orjson.Fragment(value),
        "doesExist": True,
    }
    return said(200, words, _for_reader(seen.joined(outcome.token), outcome.served_by))


def say_delete(call: Call, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(call, outcome)
    words = {"message": "Deleted successfully", "doesExist": True}
    return _stored(call, 200, words, outcome.token, outcome)


def _stored(call: Call, status: int, words: Words, token: Token, outcome: Stored) -> Reply:
    shard = call.facts().view.shard_of(slot_of(key_hash_of(call.path["key"], True)))
    more = {METADATA: orjson.Fragment(encode(token)), "shard-id": shard.id}
    return said(status, {**words, **more}, where_stored(outcome))


def _say_otherwise(call: Call, outcome: Outcome) -> Reply:
    match outcome:
        case Absent(token=token, served_by=served_by):
            words = {"doesExist": False, "error": NO_KEY, "message": f"Error in {call.method}"}
            return said(404, words, _for_reader(token, served_by))
        case Unmet():
            raise Refused(refused(503, UNMET, {"Kv-Missing": missing_of(outcome)}))
        case Rejected():
            raise Refused(rejected(outcome))
        case Unavailable(reason=reason):
            raise Refused(refused(503, reason, in_doubt(outcome)))
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


def _for_reader(token: Token, served_by: str) -> dict[str, str]:
    """Return the header with all that this reader depends on; a client may send it back."""
    return {METADATA_HEADER: encode(token).decode(), "Kv-Served-By": served_by}


# ------------------------------------------------------------------ the view


def get_view(call: Call) -> Reply:
    """Show the live nodes of the view; a node that was told no view shows itself alone."""
    facts = call.facts()
    shown = facts.alive() if facts.view.number else [facts.address]
    return said(200, {"message": "View retrieved successfully", "view": shown})


def add_node(call: Call) -> Reply | Ask:
    """Add a node to the view.

    The view that is shown has no dead nodes.  Adding a dead node changes nothing, since it may come
    back.
    """
    address = _address(call)
    if address in call.facts().alive():
        raise Refused(IN_VIEW)
    done = said(201, {"message": "Replica added successfully to the view"})
    if is_in_view(call, address):
        return done
    return changed(call, lambda view: with_node(view, address), done)


def delete_node(call: Call) -> Reply | Ask:
    address = _address(call)
    if call.facts().view.number and not is_in_view(call, address):
        raise Refused(NOT_IN_VIEW)
    done = said(200, {"message": "Replica deleted successfully from the view"})
    return changed(call, lambda view: without(view, address), done)


def _address(call: Call) -> str:
    return address_of(fields_of(call), "socket-address")


# ------------------------------------------------------------------ shards


def get_shard_ids(call: Call) -> Reply:
    words = {"message": "Shard IDs retrieved successfully"}
    return said(200, {**words, "shard-ids": [shard.id for shard in call.facts().view.shards]})


def get_own_shard(call: Call) -> Reply:
    shard = call.facts().view.shard_with(call.facts().address)
    if shard is None:
        raise Refused(NO_OWN_SHARD)
    words = {"message": "Shard ID of the node retrieved successfully"}
    return said(200, {**words, "shard-id": shard.id})


def get_members(call: Call) -> Reply:
    members = [node for node in _shard(call).members if node in call.facts().alive()]
    words = {"message": "Members of shard ID retrieved successfully"}
    return said(200, {**words, "shard-id-members": members})


def count_keys(call: Call) -> Ask:
    return Ask(Count(_shard(call).id), partial(say_count, call))


def say_count(call: Call, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Counted):
        return _say_otherwise(call, outcome)
    words = {"message": "Key count of shard ID retrieved successfully"}
    return said(200, {**words, "shard-id-key-count": outcome.keys})


def add_member(call: Call) -> Reply | Ask:
    shard, address = _shard(call), _address(call)
    if not is_in_view(call, address):
        raise Refused(NOT_IN_VIEW)
    done = said(200, {"message": "Node added to shard successfully"})
    if address in shard.members:
        return done
    return changed(call, lambda view: with_member(view, shard.id, address), done)


def _shard(call: Call) -> Shard:
    shard = call.facts().view.shard_named(call.path["shard"])
    if shard is None:
        raise Refused(NO_SHARD)
    return shard


def reshard(call: Call) -> Reply | Ask:
    """Spread all nodes of the view, those without a shard too, over this number of shards."""
    count = fields_of(call).get("shard-count")
    if type(count) is not int:
        raise bad_request("shard-count is missing, or not an integer")
    if (view := call.facts().view).number and not 1 <= count <= len(view.nodes) // SHARD_NODES_MIN:
        return TOO_FEW_NODES
    done = said(200, {"message": "Resharding done successfully"})
    return changed(call, lambda view: reshaped(view, view.nodes, count), done)
