"""The admin_view contract: string values at /kvs/data, and a view that somebody puts.

A node begins without a view and is 418 until it is told one, by a client (PUT /kvs/admin/view at
any node of the old view or the new one) or by another node; so is a node that a later view leaves
out.  PUTs are always accepted; a GET waits for the past it depends on.  Shards are shown as "1",
"2", ...; a view that was put without shards has one, whose id tells all nodes how to show it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from msgspec.structs import replace

from node.core.messages import (
    Absent,
    Adopted,
    Forget,
    Forgotten,
    Found,
    Get,
    List,
    Listed,
    Outcome,
    Outdated,
    Propose,
    Put,
    Stored,
    Unmet,
)
from node.core.placement import reshaped
from node.core.token import Token, encode
from node.core.view import Layout, Shard, View, digest_of, slot_of
from node.dialects.contract import Ask, Call, Dialect, Facts, Reply, Route
from node.dialects.words import (
    OVERTAKEN,
    address_of,
    fields_of,
    missing_of,
    refused,
    said,
    session_of,
    value_of,
    where_stored,
)

METADATA = "causal-metadata"
WHOLE = "whole"  # the id of the only shard of a view that was put as {"view": [...]}
WAIT_S = 19.5  # a client is answered within 20 s
VALUE_BYTES_MAX = 8 * 1024 * 1024

UNINITIALIZED = refused(418, "uninitialized")
BAD_REQUEST = refused(400, "bad request")
VALUE_TOO_LARGE = refused(400, "val too large")
TIMED_OUT = "timed out while waiting for depended updates"
DONE = said(200, {})

Plain = Callable[[Call], Reply | Ask]


def admin_view() -> Dialect:
    """The contract."""
    return Dialect(
        "admin_view",
        (
            Route("PUT", "/kvs/admin/view", put_view),
            Route("GET", "/kvs/admin/view", get_view),
            Route("DELETE", "/kvs/admin/view", _once_told(delete_view)),
            Route("GET", "/kvs/data", _once_told(list_keys)),
            Route("PUT", "/kvs/data/{key}", _once_told(put_key)),
            Route("GET", "/kvs/data/{key}", _once_told(get_key)),
            Route("DELETE", "/kvs/data/{key}", _once_told(delete_key)),
        ),
        lambda path: refused(404, "no such path"),
    )


def is_told(facts: Facts) -> bool:
    """Whether this node is in a view that it knows."""
    return facts.view.number > 0 and facts.address in facts.view.nodes


def _once_told(handler: Plain) -> Plain:
    return lambda call: handler(call) if is_told(call.facts()) else UNINITIALIZED


# ------------------------------------------------------------------ the view


def put_view(call: Call) -> Reply | Ask:
    """An operator's order, carried out at once, whichever of its nodes are up."""
    fields, view = fields_of(call), call.facts().view
    if isinstance(fields, Reply):
        return BAD_REQUEST
    if "view" in fields:
        layout = _whole(view, fields["view"])
    else:
        layout = _sharded(view, fields.get("nodes"), fields.get("num_shards"))
    if layout is None:
        return BAD_REQUEST
    if layout == view.layout:
        return DONE
    return Ask(Propose(layout, view.id if view.number else None), say_view)


def _sharded(view: View, nodes: Any, count: Any) -> Layout | None:
    """The nodes in so many shards; None when that is no wish, or an impossible one."""
    if not _are_addresses(nodes) or type(count) is not int:
        return None
    try:
        return reshaped(view, nodes, count)
    except ValueError:
        return None


def _whole(view: View, nodes: Any) -> Layout | None:
    layout = _sharded(view, nodes, 1)
    return layout and replace(layout, shards=(Shard(WHOLE, layout.shards[0].members),))


def _are_addresses(nodes: Any) -> bool:
    return type(nodes) is list and all(
        isinstance(address_of({"node": node}, "node"), str) for node in nodes
    )


def say_view(outcome: Outcome) -> Reply:
    match outcome:
        case Adopted():
            return DONE
        case Outdated():
            return OVERTAKEN
        case _:
            return refused(503, "upstream down", {"Retry-After": "1"})


def get_view(call: Call) -> Reply:
    """In the shape in which it was put; dead nodes stay in it."""
    facts = call.facts()
    shards = facts.view.shards if is_told(facts) else ()
    if not shards or shards[0].id == WHOLE:
        return said(200, {"view": [node for shard in shards for node in shard.members]})
    return said(200, {"view": [_shown(shards, place) for place in range(len(shards))]})


def _shown(shards: tuple[Shard, ...], place: int) -> dict[str, Any]:
    return {"shard_id": str(place + 1), "nodes": shards[place].members}


def delete_view(call: Call) -> Reply | Ask:
    """The asked node alone forgets its data and its view, whatever the others still need of it."""
    return Ask(Forget(), say_forgotten)


def say_forgotten(outcome: Outcome) -> Reply:
    return DONE if isinstance(outcome, Forgotten) else refused(503, "upstream down")


# ------------------------------------------------------------------ keys


def list_keys(call: Call) -> Reply | Ask:
    """The asked node's shard: each key is in exactly one."""
    session = _session(call)
    if session is None:
        return BAD_REQUEST
    return Ask(List(token=session[1], wait_s=WAIT_S), partial(say_list, call, seen=session[1]))


def say_list(call: Call, outcome: Outcome, seen: Token) -> Reply:
    if isinstance(outcome, Unmet):
        return _timed_out(seen, {"Kv-Missing": missing_of(outcome)})
    if not isinstance(outcome, Listed):
        return _timed_out(seen, {})
    shards = [shard.id for shard in call.facts().view.shards]
    if outcome.shard not in shards:  # another view came meanwhile
        return _timed_out(seen, {})
    place = shards.index(outcome.shard)
    keys = orjson.dumps(sorted(outcome.items))
    body = b'{"count":%d,"keys":%b,"causal-metadata":%b,"shard_id":"%d"}'
    return Reply(200, body % (len(outcome.items), keys, encode(outcome.token), place + 1))


def put_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if session is None:
        return BAD_REQUEST
    fields, token = session
    text = fields.get("val")
    if type(text) is not str:
        return BAD_REQUEST
    value = value_of(call, text)
    if isinstance(value, Reply) or len(text.encode()) > VALUE_BYTES_MAX:
        return VALUE_TOO_LARGE
    return Ask(Put(call.path["key"], value, token=token), partial(say_put, down=_down(call)))


def get_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if session is None:
        return BAD_REQUEST
    get = Get(call.path["key"], token=session[1], wait_s=WAIT_S)
    return Ask(get, partial(say_get, seen=session[1], down=_down(call)))


def delete_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if session is None:
        return BAD_REQUEST
    delete = Put(call.path["key"], None, token=session[1], if_present=True)
    return Ask(delete, partial(say_delete, down=_down(call)))


def _session(call: Call) -> tuple[dict[str, Any], Token] | None:
    """The fields of the body and what the client has seen; None when either is malformed."""
    session = session_of(call, METADATA)
    return None if isinstance(session, Reply) else session


def _down(call: Call) -> Callable[[], Reply]:
    """How it is said that the key's shard cannot be reached, by the view of that moment."""

    def say() -> Reply:
        view = call.facts().view
        place = view.owner[slot_of(digest_of(call.path["key"], False))]
        body = {"error": "upstream down", "upstream": _shown(view.shards, place)}
        return said(503, body, {"Retry-After": "1"})

    return say


def say_put(outcome: Outcome, down: Callable[[], Reply]) -> Reply:
    if not isinstance(outcome, Stored):
        return down()
    return _with_token(200 if outcome.replaced else 201, outcome.token, where_stored(outcome))


def say_delete(outcome: Outcome, down: Callable[[], Reply]) -> Reply:
    match outcome:
        case Stored(token=token):
            return _with_token(200, token, where_stored(outcome))
        case Absent(token=token, served_by=served_by):
            return _with_token(404, token, {"Kv-Served-By": served_by})
        case _:
            return down()


def say_get(outcome: Outcome, seen: Token, down: Callable[[], Reply]) -> Reply:
    match outcome:
        case Found(values=values, token=token, served_by=served_by):
            body = b'{"val":%b,"causal-metadata":%b}' % (values[0], encode(token))
            return Reply(200, body, {"Kv-Served-By": served_by})
        case Absent(token=token, served_by=served_by):
            return _with_token(404, token, {"Kv-Served-By": served_by})
        case Unmet():
            return _timed_out(seen, {"Kv-Missing": missing_of(outcome)})
        case _:
            return down()


def _timed_out(seen: Token, headers: Mapping[str, str]) -> Reply:
    body = b'{"error":"%b","causal-metadata":%b}' % (TIMED_OUT.encode(), encode(seen))
    return Reply(500, body, headers)


def _with_token(status: int, token: Token, headers: Mapping[str, str]) -> Reply:
    return Reply(status, b'{"causal-metadata":%b}' % encode(token), headers)
