"""The shard_view contract: /key-value-store, its view and its shards, with causal metadata.

The metadata of a GET is what the PUT of that value answered, at every replica and for ever: values
are kept with it, so no other contract may read them, and this one is spoken alone.  What a reader
depends on beyond that goes into a header.  A write whose past has not arrived in its shard waits
for it, and so does a read of a key.  Dead nodes are not shown in the view.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from node.core.messages import (
    Absent,
    Adopted,
    Count,
    Counted,
    Found,
    Get,
    Outcome,
    Propose,
    Put,
    Scope,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.placement import reshaped, with_member, with_node, without
from node.core.token import Token, encode
from node.core.view import Layout, Shard, View, digest_of, slot_of
from node.dialects.contract import Ask, Call, Dialect, Reply, Route, Steps, Talk
from node.dialects.kept import kept, opened, reading, told
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
    words_in,
)

METADATA = "causal-metadata"
KEY_CHARACTERS_MAX = 50
SHARD_NODES_MIN = 2  # fewer cannot lose a node
WAIT_S = 19.5  # a client is answered within 20 s
ASK_AGAIN_S = 0.1

NO_KEY = "Key does not exist"
UNMET = "Causal dependencies not satisfied; try again later"
TOO_FEW_NODES = said(
    400, {"message": "Not enough nodes to provide fault-tolerance with the given shard count!"}
)

Words = Mapping[str, object]


def shard_view() -> Dialect:
    """The contract."""
    shard = "/key-value-store-shard"
    return Dialect(
        "shard_view",
        (
            Route("PUT", "/key-value-store/{key}", put_key),
            Route("GET", "/key-value-store/{key}", get_key),
            Route("DELETE", "/key-value-store/{key}", delete_key),
            Route("GET", "/key-value-store-view", get_view),
            Route("PUT", "/key-value-store-view", add_node),
            Route("DELETE", "/key-value-store-view", delete_node),
            Route("GET", f"{shard}/shard-ids", get_shard_ids),
            Route("GET", f"{shard}/node-shard-id", get_own_shard),
            Route("GET", f"{shard}/shard-id-members/{{shard}}", get_members),
            Route("GET", f"{shard}/shard-id-key-count/{{shard}}", count_keys),
            Route("PUT", f"{shard}/add-member/{{shard}}", add_member),
            Route("PUT", f"{shard}/reshard", reshard),
        ),
        lambda path: refused(404, "No such path"),
    )


# ------------------------------------------------------------------ keys


def put_key(call: Call) -> Reply | Talk:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    fields, seen = session
    if "value" not in fields:
        return _refused(call, 400, "Value is missing")
    if len(call.path["key"]) > KEY_CHARACTERS_MAX:
        return _refused(call, 400, "Key is too long")
    value = value_of(call, fields["value"])
    if isinstance(value, Reply):
        return _reworded(call, value)
    put = Put(call.path["key"], kept(seen, value), token=seen, refuse_unmet=Scope.SHARD)
    return Talk(_written(call, put, partial(say_put, call, seen)))


def get_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    get = Get(call.path["key"], token=reading(session[1]), wait_s=WAIT_S)
    return Ask(get, partial(say_get, call, session[1]))


def delete_key(call: Call) -> Reply | Talk:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    delete = Put(
        call.path["key"], None, token=session[1], refuse_unmet=Scope.SHARD, if_present=True
    )
    return Talk(_written(call, delete, partial(say_delete, call)))


def _session(call: Call) -> tuple[dict[str, Any], Token] | Reply:
    """The fields of the body and what the client has seen, as short as it is kept."""
    session = session_of(call, METADATA)
    if isinstance(session, Reply):
        return _reworded(call, session)
    return session[0], session[1].trimmed({})


def _written(call: Call, put: Put, say: Callable[[Outcome], Reply]) -> Steps:
    """A write that is refused certainly did not happen: it is asked for until its past is there."""
    until = call.facts().now + WAIT_S
    while True:
        (outcome,) = yield (put,)
        if not isinstance(outcome, Unmet) or call.facts().now >= until:
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
    shard = call.facts().view.shard_of(slot_of(digest_of(call.path["key"], True)))
    more = {METADATA: orjson.Fragment(encode(token)), "shard-id": shard.id}
    return said(status, {**words, **more}, where_stored(outcome))


def _say_otherwise(call: Call, outcome: Outcome) -> Reply:
    match outcome:
        case Absent(token=token, served_by=served_by):
            message = f"Error in {call.method}"
            words = {"doesExist": False, "error": NO_KEY, "message": message}
            return said(404, words, _for_reader(token, served_by))
        case Unmet():
            return _refused(call, 503, UNMET, {"Kv-Missing": missing_of(outcome)})
        case Unavailable(reason=reason):
            return _refused(call, 503, reason, in_doubt(outcome))
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this contract")


def _for_reader(token: Token, served_by: str) -> dict[str, str]:
    """All that this reader depends on from now on; a client may send the header back."""
    return {METADATA_HEADER: encode(token).decode(), "Kv-Served-By": served_by}


def _refused(
    call: Call, status: int, error: str, headers: Mapping[str, str] | None = None
) -> Reply:
    return said(status, {"error": error, "message": f"Error in {call.method}"}, headers)


def _reworded(call: Call, reply: Reply) -> Reply:
    """A refusal of `words` in the form of this contract."""
    return _refused(call, reply.status, words_in(reply), reply.headers)


# ------------------------------------------------------------------ the view


def get_view(call: Call) -> Reply:
    """Who is alive of the view; a node that has not been told one knows of itself alone."""
    facts = call.facts()
    shown = facts.alive if facts.view.number else [facts.address]
    return said(200, {"message": "View retrieved successfully", "view": shown})


def add_node(call: Call) -> Reply | Ask:
    """A dead node has left the view that is shown: adding it changes nothing, it may come back."""
    address = _address(call)
    if isinstance(address, Reply):
        return address
    if address in call.facts().alive:
        return _refused(call, 404, "Socket address already exists in the view")
    done = said(201, {"message": "Replica added successfully to the view"})
    if _has(call, address):
        return done
    return _changed(call, lambda view: with_node(view, address), done)


def delete_node(call: Call) -> Reply | Ask:
    address = _address(call)
    if isinstance(address, Reply):
        return address
    if call.facts().view.number and not _has(call, address):
        return _refused(call, 404, "Socket address does not exist in the view")
    done = said(200, {"message": "Replica deleted successfully from the view"})
    return _changed(call, lambda view: without(view, address), done)


def _address(call: Call) -> str | Reply:
    fields = fields_of(call)
    address = fields if isinstance(fields, Reply) else address_of(fields, "socket-address")
    return _reworded(call, address) if isinstance(address, Reply) else address


def _has(call: Call, address: str) -> bool:
    """Whether the node is in the view; nobody is in the view of a node without one."""
    view = call.facts().view
    return view.number > 0 and address in view.nodes


def _changed(call: Call, layout_of: Callable[[View], Layout], done: Reply) -> Reply | Ask:
    """Change the view to this layout of its nodes; at once where it is so already."""
    view = call.facts().view
    if not view.number:
        return _reworded(call, NOT_TOLD)
    try:
        layout = layout_of(view)
    except ValueError as error:
        return _refused(call, 400, str(error))
    if layout == view.layout:
        return done
    return Ask(Propose(layout, view.id), partial(say_changed, call, done))


def say_changed(call: Call, done: Reply, outcome: Outcome) -> Reply:
    if isinstance(outcome, Adopted):
        return done
    if isinstance(outcome, Unavailable):
        return _say_otherwise(call, outcome)
    return _reworded(call, OVERTAKEN)


# ------------------------------------------------------------------ shards


def get_shard_ids(call: Call) -> Reply:
    ids = [shard.id for shard in call.facts().view.shards]
    return said(200, {"message": "Shard IDs retrieved successfully", "shard-ids": ids})


def get_own_shard(call: Call) -> Reply:
    facts = call.facts()
    shard = facts.view.shard_with(facts.address)
    if shard is None:
        return _refused(call, 404, "This node is a member of no shard")
    message = "Shard ID of the node retrieved successfully"
    return said(200, {"message": message, "shard-id": shard.id})


def get_members(call: Call) -> Reply:
    shard = _shard(call)
    if shard is None:
        return _no_shard(call)
    alive = call.facts().alive
    members = [node for node in shard.members if node in alive]
    message = "Members of shard ID retrieved successfully"
    return said(200, {"message": message, "shard-id-members": members})


def count_keys(call: Call) -> Reply | Ask:
    shard = _shard(call)
    return Ask(Count(shard.id), partial(say_count, call)) if shard else _no_shard(call)


def say_count(call: Call, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Counted):
        return _say_otherwise(call, outcome)
    message = "Key count of shard ID retrieved successfully"
    return said(200, {"message": message, "shard-id-key-count": outcome.keys})


def add_member(call: Call) -> Reply | Ask:
    shard, address = _shard(call), _address(call)
    if shard is None:
        return _no_shard(call)
    if isinstance(address, Reply):
        return address
    if not _has(call, address):
        return _refused(call, 404, "Socket address does not exist in the view")
    done = said(200, {"message": "Node added to shard successfully"})
    if address in shard.members:
        return done
    return _changed(call, lambda view: with_member(view, shard.id, address), done)


def _shard(call: Call) -> Shard | None:
    return call.facts().view.shard_named(call.path["shard"])


def _no_shard(call: Call) -> Reply:
    return _refused(call, 404, "Shard ID does not exist")


def reshard(call: Call) -> Reply | Ask:
    """All nodes of the view, also those that were in no shard, form so many shards."""
    fields = fields_of(call)
    if isinstance(fields, Reply):
        return _reworded(call, fields)
    count = fields.get("shard-count")
    if type(count) is not int:
        return _refused(call, 400, "shard-count is missing, or not an integer")
    view = call.facts().view
    if view.number and not 1 <= count <= len(view.nodes) // SHARD_NODES_MIN:
        return TOO_FEW_NODES
    done = said(200, {"message": "Resharding done successfully"})
    return _changed(call, lambda view: reshaped(view, view.nodes, count), done)
