"""The asg4 contract, the default: /kvs, /view and /shard with causal metadata.

A write replaces what its home holds; a request whose metadata is ahead of every replica that was
reached is refused at once and the client tries again.  Status codes, keys and sentences are
compared literally by scripts written for it: what is ours goes into headers only.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from node.core.messages import (
    Absent,
    Adopted,
    Count,
    Counted,
    Found,
    Get,
    Outcome,
    Outdated,
    Propose,
    Put,
    Scope,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.placement import reshaped, with_member, with_node, without
from node.core.token import Token, encode
from node.core.view import Layout, Shard, View
from node.dialects.contract import Ask, Call, Dialect, Reply, Route
from node.dialects.words import (
    METADATA_HEADER,
    NOT_TOLD,
    OVERTAKEN,
    address_of,
    fields_of,
    in_doubt,
    missing_of,
    refused,
    said,
    session_of,
    value_of,
    where_stored,
)

KEY_CHARACTERS_MAX = 50
SHARD_NODES_MIN = 2  # fewer cannot lose a node
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


def asg4(replaced_word: str = "replaced") -> Dialect:
    """The contract; an older wording of it says "updated" for a value that was there before."""
    put = partial(put_key, say=partial(say_put, replaced_word=replaced_word))
    return Dialect(
        "asg4",
        (
            Route("PUT", "/kvs/{key}", put),
            Route("GET", "/kvs/{key}", get_key),
            Route("DELETE", "/kvs/{key}", delete_key),
            Route("GET", "/view", get_view),
            Route("PUT", "/view", add_node),
            Route("DELETE", "/view", delete_node),
            Route("GET", "/shard/ids", get_shard_ids),
            Route("GET", "/shard/node-shard-id", get_own_shard),
            Route("GET", "/shard/members/{shard}", get_members),
            Route("GET", "/shard/key-count/{shard}", count_keys),
            Route("PUT", "/shard/add-member/{shard}", add_member),
            Route("PUT", "/shard/reshard", reshard),
        ),
        lambda path: refused(404, "No such path"),
    )


# ------------------------------------------------------------------ keys


def put_key(call: Call, say: Callable[[Outcome], Reply]) -> Reply | Ask:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    fields, token = session
    if "value" not in fields:
        return NO_VALUE
    value = value_of(call, fields["value"])
    if isinstance(value, Reply):
        return value
    put = Put(call.path["key"], value, token=token, refuse_unmet=Scope.SHARD)
    return Ask(put, say)


def get_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    return Ask(Get(call.path["key"], token=session[1], scope=Scope.SHARD), say_get)


def delete_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    delete = Put(
        call.path["key"], None, token=session[1], refuse_unmet=Scope.SHARD, if_present=True
    )
    return Ask(delete, say_delete)


def _session(call: Call) -> tuple[dict[str, Any], Token] | Reply:
    """The fields of the body and what the client has seen."""
    if len(call.path["key"]) > KEY_CHARACTERS_MAX:
        return KEY_TOO_LONG
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
    """The three ways in which a request can fail; only what is certain is called definite."""
    match outcome:
        case Absent(token=token, served_by=served_by):
            headers = {METADATA_HEADER: encode(token).decode(), "Kv-Served-By": served_by}
            return refused(404, NO_KEY, headers)
        case Unmet():
            return refused(503, UNMET, {"Kv-Missing": missing_of(outcome)})
        case Unavailable(reason=reason):
            return refused(503, reason, in_doubt(outcome))
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


# ------------------------------------------------------------------ the view


def get_view(call: Call) -> Reply:
    """Who is alive of the view; a node that has not been told one knows of itself alone."""
    facts = call.facts()
    return said(200, {"view": facts.alive if facts.view.number else [facts.address]})


def add_node(call: Call) -> Reply | Ask:
    address = _address(call)
    if isinstance(address, Reply):
        return address
    if _has(call, address):
        return said(200, {"result": "already present"})
    return _changed(call, lambda view: with_node(view, address), said(201, {"result": "added"}))


def delete_node(call: Call) -> Reply | Ask:
    address = _address(call)
    if isinstance(address, Reply):
        return address
    if not _has(call, address):
        return NO_REPLICA if call.facts().view.number else NOT_TOLD
    return _changed(call, lambda view: without(view, address), said(200, {"result": "deleted"}))


def _address(call: Call) -> str | Reply:
    fields = fields_of(call)
    return fields if isinstance(fields, Reply) else address_of(fields, "socket-address")


def _has(call: Call, address: str) -> bool:
    """Whether the node is in the view; nobody is in the view of a node without one."""
    view = call.facts().view
    return view.number > 0 and address in view.nodes


def _changed(call: Call, layout_of: Callable[[View], Layout], done: Reply) -> Reply | Ask:
    """Change the view to this layout of its nodes; at once where it is so already."""
    view = call.facts().view
    if not view.number:
        return NOT_TOLD
    try:
        layout = layout_of(view)
    except ValueError as error:
        return refused(400, str(error))
    if layout == view.layout:
        return done
    return Ask(Propose(layout, view.id), partial(say_changed, done=done))


def say_changed(outcome: Outcome, done: Reply) -> Reply:
    match outcome:
        case Adopted():
            return done
        case Outdated():
            return OVERTAKEN
        case _:
            return _say_otherwise(outcome)


# ------------------------------------------------------------------ shards


def get_shard_ids(call: Call) -> Reply:
    return said(200, {"shard-ids": [shard.id for shard in call.facts().view.shards]})


def get_own_shard(call: Call) -> Reply:
    facts = call.facts()
    shard = facts.view.shard_with(facts.address)
    return said(200, {"node-shard-id": shard.id}) if shard else NO_OWN_SHARD


def get_members(call: Call) -> Reply:
    shard = _shard(call)
    if shard is None:
        return NO_SHARD
    alive = call.facts().alive
    return said(200, {"shard-members": [node for node in shard.members if node in alive]})


def count_keys(call: Call) -> Reply | Ask:
    shard = _shard(call)
    return Ask(Count(shard.id), say_count) if shard else NO_SHARD


def say_count(outcome: Outcome) -> Reply:
    if isinstance(outcome, Counted):
        return said(200, {"shard-key-count": outcome.keys})
    return _say_otherwise(outcome)


def add_member(call: Call) -> Reply | Ask:
    shard, address = _shard(call), _address(call)
    if shard is None:
        return NO_SHARD
    if isinstance(address, Reply):
        return address
    if not _has(call, address):
        return NO_REPLICA
    done = said(200, {"result": "node added to shard"})
    if address in shard.members:
        return done
    return _changed(call, lambda view: with_member(view, shard.id, address), done)


def _shard(call: Call) -> Shard | None:
    return call.facts().view.shard_named(call.path["shard"])


def reshard(call: Call) -> Reply | Ask:
    """All nodes of the view, also those that were in no shard, form so many shards."""
    fields = fields_of(call)
    if isinstance(fields, Reply):
        return fields
    count = fields.get("shard-count")
    if type(count) is not int:
        return refused(400, "shard-count is missing, or not an integer")
    view = call.facts().view
    if view.number and not 1 <= count <= len(view.nodes) // SHARD_NODES_MIN:
        return TOO_FEW_NODES
    done = said(200, {"result": "resharded"})
    return _changed(call, lambda view: reshaped(view, view.nodes, count), done)
