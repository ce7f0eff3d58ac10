"""The data_view contract: /data with causal metadata, and a view that is put to every node.

A node is told nothing but its id and finds itself, and where it is, in the view; until it does, and
when a view leaves it out, it serves no data.  The same view comes to all nodes at about the same
time and must become one view: they propose it in turn, and who is told of it meanwhile need not.
Writes are always taken; a read waits for the version of its key that its client depends on.
"""

from collections.abc import Callable, Mapping
from functools import partial

import orjson

from node.core.messages import (
    Absent,
    Found,
    Get,
    List,
    Listed,
    Outcome,
    Put,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.token import Token, encode
from node.core.view import address_in
from node.dialects.changes import LOOK_EVERY_S, adopting
from node.dialects.contract import Ask, Call, Dialect, Facts, Reply, Route, Steps, Talk
from node.dialects.orders import Order, order_of, without_address
from node.dialects.words import (
    METADATA_HEADER,
    fields_of,
    in_doubt,
    missing_of,
    refused,
    said,
    session_of,
    value_of,
    where_stored,
)

METADATA = "causal-metadata"
WAIT_S = 8.0
TURN_S = 0.3  # so long each node gives those before it to propose
TRIES = 16  # of a change that others overtake

DONE = said(200, {})
NOT_IN_VIEW = refused(503, "this node is not in a view")
NOT_CHANGED = refused(503, "the view cannot be changed now; try again", {"Retry-After": "1"})
NO_VALUE = refused(400, "value is missing")
TOO_LATE = "what this client depends on has not arrived in time"
NOBODY = "nobody who holds this can be reached"

Plain = Callable[[Call], Reply | Ask]


def data_view() -> Dialect:
    """The contract."""
    return Dialect(
        "data_view",
        (
            Route("GET", "/ping", lambda call: DONE),
            Route("PUT", "/view", put_view),
            Route("GET", "/data", _in_view(list_keys)),
            Route("PUT", "/data/{key}", _in_view(put_key)),
            Route("GET", "/data/{key}", _in_view(get_key)),
            Route("DELETE", "/data/{key}", _in_view(delete_key)),
        ),
        lambda path: refused(404, "no such path"),
    )


def is_in_view(facts: Facts) -> bool:
    """Whether the view names this node, and says where it is."""
    has_shard = facts.view.number > 0 and facts.view.shard_with(facts.address) is not None
    return has_shard and bool(address_in(facts.view, facts.address))


def _in_view(handler: Plain) -> Plain:
    return lambda call: handler(call) if is_in_view(call.facts()) else NOT_IN_VIEW


# ------------------------------------------------------------------ the view


def put_view(call: Call) -> Reply | Talk:
    """The whole view; an empty one is about the asked node alone."""
    fields = fields_of(call)
    order = fields if isinstance(fields, Reply) else order_of(fields)
    if isinstance(order, Reply):
        return order
    return Talk(_obeying(call, order) if order.nodes else _leaving(call))


def _obeying(call: Call, order: Order) -> Steps:
    """Propose it in our turn, unless it has come by then; wait for what is ours by it."""
    facts = call.facts()
    if facts.address not in (*order.nodes, *facts.view.nodes):
        return DONE  # nothing of it concerns this node
    ours = facts.now + TURN_S * order.turn_of(facts.address, facts.view)
    until = facts.now + WAIT_S
    while call.facts().now < ours and not order.is_shown_by(call.facts().view):
        yield LOOK_EVERY_S
    if (yield from adopting(call, order.layout, TRIES)) is None:
        return NOT_CHANGED
    while (lacking := _lacking(call.facts())) is not None and call.facts().now < until:
        yield LOOK_EVERY_S
    return DONE if lacking is None else said(200, {}, {"Kv-Lacking": f"{lacking} slots"})


def _lacking(facts: Facts) -> int | None:
    """The slots that have not arrived here; None when all have, and everybody who lives has the
    view."""
    nodes = facts.movement()["nodes"]
    lacking: int = nodes[facts.address]["lacking"] if facts.address in nodes else 0
    return lacking if lacking or not _is_known(facts) else None


def _is_known(facts: Facts) -> bool:
    """Whether everybody who lives has the view."""
    nodes = facts.movement()["nodes"].values()
    return all(node["in_view"] for node in nodes if node["alive"])


def _leaving(call: Call) -> Steps:
    """This node serves no clients until a view names it again.  For the others it goes on: what it
    holds stays theirs to ask for until a view leaves it out.  Another node may leave at the same
    time: a view in which that one alone has left is changed again."""
    layout_of = partial(without_address, call.facts().address)
    until = call.facts().now + WAIT_S
    while is_in_view(call.facts()) or (not _is_known(call.facts()) and call.facts().now < until):
        if not is_in_view(call.facts()):
            yield LOOK_EVERY_S
        elif (yield from adopting(call, layout_of, TRIES)) is None:
            return NOT_CHANGED
    return DONE


# ------------------------------------------------------------------ data


def put_key(call: Call) -> Reply | Ask:
    session = session_of(call, METADATA)
    if isinstance(session, Reply):
        return session
    fields, token = session
    if "value" not in fields:
        return NO_VALUE
    value = value_of(call, fields["value"])
    if isinstance(value, Reply):
        return value
    return Ask(Put(call.path["key"], value, token=token), partial(say_put, METADATA in fields))


def get_key(call: Call) -> Reply | Ask:
    session = session_of(call, METADATA)
    if isinstance(session, Reply):
        return session
    get = Get(call.path["key"], token=session[1], wait_s=WAIT_S)
    return Ask(get, partial(say_get, session[1]))


def delete_key(call: Call) -> Reply | Ask:
    session = session_of(call, METADATA)
    if isinstance(session, Reply):
        return session
    delete = Put(call.path["key"], None, token=session[1], if_present=True)
    return Ask(delete, partial(say_delete, session[1]))


def list_keys(call: Call) -> Reply | Ask:
    """The asked node's shard; who asks without a body is given the bare map."""
    session = session_of(call, METADATA)
    if isinstance(session, Reply):
        return session
    say = partial(say_list, session[1], is_bare=not call.body)
    return Ask(List(token=session[1], wait_s=WAIT_S), say)


def say_put(is_causal: bool, outcome: Outcome) -> Reply:
    """Only who sends no metadata is told whether the key is new."""
    match outcome:
        case Stored(token=token, replaced=replaced):
            status = 200 if is_causal or replaced else 201
            return _with_token(status, token, where_stored(outcome))
        case Unavailable(reason=reason):
            return refused(503, reason, in_doubt(outcome))
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no put")


def say_get(seen: Token, outcome: Outcome) -> Reply:
    match outcome:
        case Found(values=values, token=token, served_by=served_by):
            body = b'{"value":%b,"causal-metadata":%b}' % (values[0], encode(token))
            return Reply(200, body, {"Kv-Served-By": served_by})
        case Absent(token=token, served_by=served_by):
            return _with_token(404, token, {"Kv-Served-By": served_by})
        case _:
            return _timed_out(seen, outcome)


def say_delete(seen: Token, outcome: Outcome) -> Reply:
    match outcome:
        case Stored(token=token):
            return _with_token(200, token, where_stored(outcome))
        case Unavailable(reason=reason):
            return refused(503, reason, in_doubt(outcome))
        case _:
            return say_get(seen, outcome)


def say_list(seen: Token, outcome: Outcome, is_bare: bool) -> Reply:
    if not isinstance(outcome, Listed):
        return _timed_out(seen, outcome)
    items = {key: orjson.Fragment(values[0]) for key, values in sorted(outcome.items.items())}
    metadata = encode(outcome.token)
    if is_bare:
        return said(200, items, {METADATA_HEADER: metadata.decode()})
    return said(200, {"items": items, METADATA: orjson.Fragment(metadata)})


def _timed_out(seen: Token, outcome: Outcome) -> Reply:
    """What the client depends on did not come, or nobody who may know of it can be reached."""
    words, headers = NOBODY, {}
    if isinstance(outcome, Unmet):
        words, headers = TOO_LATE, {"Kv-Missing": missing_of(outcome)}
    return said(408, {"error": words, METADATA: orjson.Fragment(encode(seen))}, headers)


def _with_token(status: int, token: Token, headers: Mapping[str, str]) -> Reply:
    return Reply(status, b'{"causal-metadata":%b}' % encode(token), headers)
