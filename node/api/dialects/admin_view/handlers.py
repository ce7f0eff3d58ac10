"""The admin_view contract: string values at /kvs/data, and a view that an administrator puts.

A node begins without a view.  It answers 418 until a client (PUT /kvs/admin/view at any node of the
old view or the new one) or another node tells it a view, and again when a later view leaves it out.
A node always accepts a PUT; a GET waits for its dependencies.  Shards are shown as "1", "2", ...; a
view that was put without shards has a single one, whose id tells all nodes how to show it.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from msgspec.structs import replace

from node.api.contract import Ask, Call, Dialect, Facts, Refused, Reply, Route
from node.api.json_values import string_in
from node.api.parsing import (
    DEFINITE,
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
from node.core.model.conditions import RefuseWhen
from node.core.model.keys import key_hash_of, slot_of
from node.core.model.placement import reshaped
from node.core.model.token import Token, encode
from node.core.model.view import Layout, Shard, View
from node.core.protocol.operations import (
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
    Rejected,
    Stored,
    Unmet,
)
from node.security.scopes import ApiScope

METADATA = "causal-metadata"
WHOLE = "whole"  # the id of the only shard of a view that was put as {"view": [...]}
COUNT = re.compile(r"[0-9]{1,4}")
WAIT_S = 19.5  # below 20 s, within which the contract answers a client
VALUE_BYTES_MAX = 8 * 1024 * 1024

UNINITIALIZED = refused(418, "uninitialized")
BAD_REQUEST = refused(400, "bad request")
VALUE_TOO_LARGE = refused(400, "val too large")
TIMED_OUT = "timed out while waiting for depended updates"
DONE = said(200, {})

Plain = Callable[[Call], Reply | Ask]
Down = Callable[[Outcome], Reply]


def admin_view() -> Dialect:
    """Return the contract's routes and handlers."""
    return Dialect(
        "admin_view",
        (
            Route("PUT", "/kvs/admin/view", put_view, ApiScope.ADMIN),
            Route("GET", "/kvs/admin/view", get_view, ApiScope.READ),
            Route("DELETE", "/kvs/admin/view", _once_told(delete_view), ApiScope.ADMIN),
            Route("GET", "/kvs/data", _once_told(list_keys), ApiScope.READ),
            Route("PUT", "/kvs/data/{key}", _once_told(put_key), ApiScope.WRITE),
            Route("GET", "/kvs/data/{key}", _once_told(get_key), ApiScope.READ),
            Route("DELETE", "/kvs/data/{key}", _once_told(delete_key), ApiScope.WRITE),
        ),
        lambda path: refused(404, "no such path"),
        _reworded,
    )


def _reworded(call: Call, reply: Reply) -> Reply:
    """Say a refusal in the contract's words: one for all that is malformed, and no 413."""
    return {400: BAD_REQUEST, 413: VALUE_TOO_LARGE}.get(reply.status, reply)


def is_told(facts: Facts) -> bool:
    """Whether this node knows a view, and is in it."""
    return facts.view.number > 0 and facts.address in facts.view.nodes


def _once_told(handler: Plain) -> Plain:
    return lambda call: handler(call) if is_told(call.facts()) else UNINITIALIZED


# ------------------------------------------------------------------ the view


def put_view(call: Call) -> Reply | Ask:
    """Change the view to the one in the body at once, whichever of its nodes are up."""
    fields, view = fields_of(call), call.facts().view
    if "view" in fields:
        layout = _whole(view, fields["view"])
    else:
        layout = _sharded(view, fields.get("nodes"), fields.get("num_shards"))
    if layout == view.layout:
        return DONE
    return Ask(Propose(layout, view.id if view.number else None), say_view)


def _sharded(view: View, nodes: Any, count: Any) -> Layout:
    """Lay out these nodes in this number of shards, which is a number or its digits."""
    if isinstance(count, str) and COUNT.fullmatch(count):
        count = int(count)
    if type(nodes) is not list or type(count) is not int:
        raise Refused(BAD_REQUEST)
    addresses = [address_of({"node": node}, "node") for node in nodes]
    try:
        return reshaped(view, addresses, count)
    except ValueError as error:
        raise Refused(BAD_REQUEST) from error


def _whole(view: View, nodes: Any) -> Layout:
    layout = _sharded(view, nodes, 1)
    return replace(layout, shards=(Shard(WHOLE, layout.shards[0].members),))


def say_view(outcome: Outcome) -> Reply:
    match outcome:
        case Adopted():
            return DONE
        case Outdated():
            return OVERTAKEN
        case _:
            return refused(503, "upstream down", in_doubt(outcome))


def get_view(call: Call) -> Reply:
    """Show the view in the form in which it was put; dead nodes stay in it."""
    facts = call.facts()
    shards = facts.view.shards if is_told(facts) else ()
    if not shards or shards[0].id == WHOLE:
        return said(200, {"view": [node for shard in shards for node in shard.members]})
    return said(200, {"view": [_shown(shards, place) for place in range(len(shards))]})


def _shown(shards: tuple[Shard, ...], place: int) -> dict[str, Any]:
    return {"shard_id": str(place + 1), "nodes": shards[place].members}


def delete_view(call: Call) -> Ask:
    """Let the asked node forget its data and its view, even data that other nodes still need.  It
    comes back as an empty node where other nodes hold what only its view may take, and no node of
    that view is left."""
    return Ask(Forget(), say_forgotten)


def say_forgotten(outcome: Outcome) -> Reply:
    if isinstance(outcome, Forgotten):
        return DONE
    return refused(503, "upstream down", in_doubt(outcome))


# ------------------------------------------------------------------ keys


def list_keys(call: Call) -> Ask:
    """List the keys of the asked node's shard; each key is in exactly one shard."""
    _, token = session_of(call, METADATA)
    return Ask(List(token=token, wait_s=WAIT_S), partial(say_list, call, seen=token))


def say_list(call: Call, outcome: Outcome, seen: Token) -> Reply:
    if isinstance(outcome, Rejected):
        return _rejected(outcome)
    if isinstance(outcome, Unmet):
        return _timed_out(seen, {"Kv-Missing": missing_of(outcome)})
    if not isinstance(outcome, Listed):
        return _timed_out(seen, in_doubt(outcome))
    shards = [shard.id for shard in call.facts().view.shards]
    if outcome.shard not in shards:  # the view has changed meanwhile
        return _timed_out(seen, in_doubt(None))
    place = shards.index(outcome.shard)
    keys = orjson.dumps(sorted(outcome.items))
    body = b'{"count":%d,"keys":%b,"causal-metadata":%b,"shard_id":"%d"}'
    return Reply(200, body % (len(outcome.items), keys, encode(outcome.token), place + 1))


def put_key(call: Call) -> Reply | Ask:
    fields, token = session_of(call, METADATA)
    text = string_in(fields.get("val"))
    if text is None:
        raise Refused(BAD_REQUEST)
    value = value_of(call, fields["val"])
    if len(text.encode()) > VALUE_BYTES_MAX:
        return VALUE_TOO_LARGE
    put = Put(call.path["key"], value, token=token, wait_s=WAIT_S)
    return Ask(put, partial(say_put, down=_down(call)))


def get_key(call: Call) -> Ask:
    _, token = session_of(call, METADATA)
    get = Get(call.path["key"], token=token, wait_s=WAIT_S)
    return Ask(get, partial(say_get, seen=token, down=_down(call)))


def delete_key(call: Call) -> Ask:
    _, token = session_of(call, METADATA)
    refuse_when = RefuseWhen(absent=True)
    delete = Put(call.path["key"], None, token=token, refuse_when=refuse_when, wait_s=WAIT_S)
    return Ask(delete, partial(say_delete, down=_down(call)))


def _down(call: Call) -> Down:
    """Return how to say that no node of the key's shard answers, by the view of that moment."""

    def say(outcome: Outcome) -> Reply:
        view = call.facts().view
        place = view.owner[slot_of(key_hash_of(call.path["key"], False))]
        body = {"error": "upstream down", "upstream": _shown(view.shards, place)}
        return said(503, body, in_doubt(outcome))

    return say


def say_put(outcome: Outcome, down: Down) -> Reply:
    if isinstance(outcome, Rejected):
        return _rejected(outcome)
    if not isinstance(outcome, Stored):
        return down(outcome)
    return _with_token(200 if outcome.replaced else 201, outcome.token, where_stored(outcome))


def say_delete(outcome: Outcome, down: Down) -> Reply:
    match outcome:
        case Stored(token=token):
            return _with_token(200, token, where_stored(outcome))
        case Absent(token=token, served_by=served_by):
            return _with_token(404, token, {"Kv-Served-By": served_by})
        case Rejected():
            return _rejected(outcome)
        case _:
            return down(outcome)


def say_get(outcome: Outcome, seen: Token, down: Down) -> Reply:
    match outcome:
        case Found(values=values, token=token, served_by=served_by):
            body = b'{"val":%b,"causal-metadata":%b}' % (values[0], encode(token))
            return Reply(200, body, {"Kv-Served-By": served_by})
        case Absent(token=token, served_by=served_by):
            return _with_token(404, token, {"Kv-Served-By": served_by})
        case Unmet():
            return _timed_out(seen, {"Kv-Missing": missing_of(outcome)})
        case Rejected():
            return _rejected(outcome)
        case _:
            return down(outcome)


def _rejected(outcome: Rejected) -> Reply:
    """Say a rejection: the contract's words are "bad request", and the reason is in a header."""
    headers = {**DEFINITE, "Kv-Reason": outcome.reason}
    return Reply(BAD_REQUEST.status, BAD_REQUEST.body, headers)


def _timed_out(seen: Token, headers: Mapping[str, str]) -> Reply:
    body = b'{"error":"%b","causal-metadata":%b}' % (TIMED_OUT.encode(), encode(seen))
    return Reply(500, body, headers)


def _with_token(status: int, token: Token, headers: Mapping[str, str]) -> Reply:
    return Reply(status, b'{"causal-metadata":%b}' % encode(token), headers)
