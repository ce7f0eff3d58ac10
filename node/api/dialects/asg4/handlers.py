"""The asg4 contract, the default: /kvs, /view and /shard with causal metadata.

A write replaces what its home holds.  A node refuses a request at once when its metadata is ahead
of every replica that the node reached, and the client tries again.  Scripts compare status codes,
keys and sentences literally, so everything beyond the contract is in headers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route
from node.api.parsing import (
    METADATA_HEADER,
    NOT_TOLD,
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
)
from node.api.view_change import changed, is_in_view
from node.core.model.conditions import RefuseWhen, Scope
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

KEY_CHARACTERS_MAX = 50
SHARD_NODES_MIN = 2  # a smaller shard cannot lose a node
METADATA = "causal-metadata"

NO_VALUE = refused(400, "PUT request does not specify a value")
KEY_TOO_LONG = refused(400, "Key is too long")
NO_KEY = "Key does not exist"
UNMET = "Causal dependencies not satisfied; try again later"
NO_REPLICA = refused(404, "View has no such replica")
NO_SHARD = refused(404, "No such shard")
NO_OWN_SHARD = refused(404, "This node is a member of no shard")
TOO_FEW_NODES = refused(
    400, "Not enough nodes to provide fault tolerance with requested shard count"
)


def asg4(replaced_word: str = "replaced", name: str = "asg4") -> Dialect:
    """Return the contract's routes and handlers.

    An older wording of the contract says "updated" for a write over a value.  By the name asg3 it
    is the contract for a cluster without shards; the view says whether the cluster is one.
    """
    put = partial(put_key, say=partial(say_put, replaced_word=replaced_word))
    return Dialect(
        name,
        (
            Route("PUT", "/kvs/{key}", put, ApiScope.WRITE),
            Route("GET", "/kvs/{key}", get_key, ApiScope.READ),
            Route("DELETE", "/kvs/{key}", delete_key, ApiScope.WRITE),
            Route("GET", "/view", get_view, ApiScope.READ),
            Route("PUT", "/view", add_node, ApiScope.ADMIN),
            Route("DELETE", "/view", delete_node, ApiScope.ADMIN),
            Route("GET", "/shard/ids", get_shard_ids, ApiScope.READ),
            Route("GET", "/shard/node-shard-id", get_own_shard, ApiScope.READ),
            Route("GET", "/shard/members/{shard}", get_members, ApiScope.READ),
            Route("GET", "/shard/key-count/{shard}", count_keys, ApiScope.READ),
            Route("PUT", "/shard/add-member/{shard}", add_member, ApiScope.ADMIN),
            Route("PUT", "/shard/reshard", reshard, ApiScope.ADMIN),
        ),
        lambda path: refused(404, "No such path"),
    )


# ------------------------------------------------------------------ keys


def put_key(call: Call, say: Callable[[Outcome], Reply]) -> Ask:
    fields, token = _session(call)
    if "value" not in fields:
        raise Refused(NO_VALUE)
    value = value_of(call, fields["value"])
    put = Put(call.path["key"], value, token=token, refuse_when=RefuseWhen(unmet=Scope.SHARD))
    return Ask(put, say)


def get_key(call: Call) -> Ask:
    _, token = _session(call)
    return Ask(Get(call.path["key"], token=token, scope=Scope.SHARD), say_get)


def delete_key(call: Call) -> Ask:
    _, token = _session(call)
    refuse_when = RefuseWhen(unmet=Scope.SHARD, absent=True)
    delete = Put(call.path["key"], None, token=token, refuse_when=refuse_when)
    return Ask(delete, say_delete)


def _session(call: Call) -> tuple[dict[str, Any], Token]:
    """Return the fields of the body, and what the client has seen."""
    if len(call.path["key"]) > KEY_CHARACTERS_MAX:
        raise Refused(KEY_TOO_LONG)
    return session_of(call, METADATA)


def say_put(outcome: Outcome, replaced_word: str) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(outcome)
    status, word = (200, replaced_word) if outcome.replaced else (201, "created")
    return _stored(status, word, outcome)


def say_delete(outcome: Outcome) -> Reply:
    return (
        _stored(200, "deleted", outcome) if isinstance(outcome, Stored) else _say_otherwise(outcome)
    )


def say_get(outcome: Outcome) -> Reply:
    if not isinstance(outcome, Found):
        return _say_otherwise(outcome)
    metadata = encode(outcome.token)
    body = b'{"result":"found","value":%b,"causal-metadata":%b}' % (outcome.values[0], metadata)
    return Reply(200, body, {"Kv-Served-By": outcome.served_by})


def _stored(status: int, word: str, outcome: Stored) -> Reply:
    body = b'{"result":"%b","causal-metadata":%b}' % (word.encode(), encode(outcome.token))
    return Reply(status, body, where_stored(outcome))


def _say_otherwise(outcome: Outcome) -> Reply:
    """Say why a request failed; the header calls an outcome definite only if it is certain."""
    match outcome:
        case Absent(token=token, served_by=served_by):
            headers = {METADATA_HEADER: encode(token).decode(), "Kv-Served-By": served_by}
            return refused(404, NO_KEY, headers)
        case Unmet():
            return refused(503, UNMET, {"Kv-Missing": missing_of(outcome)})
        case Rejected():
            return rejected(outcome)
        case Unavailable(reason=reason):
            return refused(503, reason, in_doubt(outcome))
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


# ------------------------------------------------------------------ the view


def get_view(call: Call) -> Reply:
    """Show the live nodes of the view; a node that was told no view shows itself alone."""
    facts = call.facts()
    return said(200, {"view": facts.alive() if facts.view.number else [facts.address]})


def add_node(call: Call) -> Reply | Ask:
    address = _address(call)
    if is_in_view(call, address):
        return said(200, {"result": "already present"})
    return changed(call, lambda view: with_node(view, address), said(201, {"result": "added"}))


def delete_node(call: Call) -> Reply | Ask:
    address = _address(call)
    if not is_in_view(call, address):
        raise Refused(NO_REPLICA if call.facts().view.number else NOT_TOLD)
    return changed(call, lambda view: without(view, address), said(200, {"result": "deleted"}))


def _address(call: Call) -> str:
    return address_of(fields_of(call), "socket-address")


# ------------------------------------------------------------------ shards


def get_shard_ids(call: Call) -> Reply:
    return said(200, {"shard-ids": [shard.id for shard in call.facts().view.shards]})


def get_own_shard(call: Call) -> Reply:
    facts = call.facts()
    shard = facts.view.shard_with(facts.address)
    if shard is None:
        raise Refused(NO_OWN_SHARD)
    return said(200, {"node-shard-id": shard.id})


def get_members(call: Call) -> Reply:
    alive = call.facts().alive()
    return said(200, {"shard-members": [node for node in _shard(call).members if node in alive]})


def count_keys(call: Call) -> Ask:
    return Ask(Count(_shard(call).id), say_count)


def say_count(outcome: Outcome) -> Reply:
    if isinstance(outcome, Counted):
        return said(200, {"shard-key-count": outcome.keys})
    return _say_otherwise(outcome)


def add_member(call: Call) -> Reply | Ask:
    shard, address = _shard(call), _address(call)
    if not is_in_view(call, address):
        raise Refused(NO_REPLICA)
    done = said(200, {"result": "node added to shard"})
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
    view = call.facts().view
    if view.number and not 1 <= count <= len(view.nodes) // SHARD_NODES_MIN:
        raise Refused(TOO_FEW_NODES)
    done = said(200, {"result": "resharded"})
    return changed(call, lambda view: reshaped(view, view.nodes, count), done)
