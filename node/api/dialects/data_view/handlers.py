"""The data_view contract: /data with causal metadata, and a view that a client puts to every node.

A node knows only its id, and finds itself and its address in the view.  It serves no data before
that, and none when a view leaves it out.  A client puts the same view to all nodes at about the
same time, and it must become one view: the nodes propose it in turn, and a node that is told of it
by then need not.  A node always accepts a write; a read waits for the version of its key that its
client depends on.
"""

from collections.abc import Callable, Generator, Mapping
from functools import partial

import orjson

from node.api.contract import Ask, Call, Dialect, Facts, Refused, Reply, Route, Steps, Talk
from node.api.dialects.data_view.orders import ViewOrder, order_of, without_address
from node.api.parsing import (
    METADATA_HEADER,
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
from node.api.view_change import LOOK_EVERY_S, adopting
from node.core.model.conditions import RefuseWhen
from node.core.model.token import Token, encode
from node.core.model.view import View, address_in
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    List,
    Listed,
    Outcome,
    Put,
    Rejected,
    Stored,
    Unavailable,
    Unmet,
)
from node.security.scopes import ApiScope

METADATA = "causal-metadata"
WAIT_S = 8.0
TURN_S = 0.3  # how long a node waits for each node before it to propose
TRIES = 16  # attempts at a change that others overtake

DONE = said(200, {})
NOT_IN_VIEW = refused(503, "this node is not in a view", in_doubt(None))
NO_VALUE = refused(400, "value is missing")
TOO_LATE = "what this client depends on has not arrived in time"
NOBODY = "no node that holds this can be reached"

Plain = Callable[[Call], Reply | Ask]


def data_view() -> Dialect:
    """Return the contract's routes and handlers."""
    return Dialect(
        "data_view",
        (
            Route("GET", "/ping", lambda call: DONE, ApiScope.READ),
            Route("PUT", "/view", put_view, ApiScope.ADMIN),
            Route("GET", "/data", _in_view(list_keys), ApiScope.READ),
            Route("PUT", "/data/{key}", _in_view(put_key), ApiScope.WRITE),
            Route("GET", "/data/{key}", _in_view(get_key), ApiScope.READ),
            Route("DELETE", "/data/{key}", _in_view(delete_key), ApiScope.WRITE),
        ),
        lambda path: refused(404, "no such path"),
    )


def is_in_view(facts: Facts) -> bool:
    """Whether the view names this node, and says its address."""
    has_shard = facts.view.number > 0 and facts.view.shard_with(facts.address) is not None
    return has_shard and bool(address_in(facts.view, facts.address))


def _in_view(handler: Plain) -> Plain:
    return lambda call: handler(call) if is_in_view(call.facts()) else NOT_IN_VIEW


# ------------------------------------------------------------------ the view


def put_view(call: Call) -> Talk:
    """Change the view to the one in the body; an empty one concerns the asked node alone."""
    order = order_of(fields_of(call))
    return Talk(_obeying(call, order) if order.nodes else _leaving(call))


def _obeying(call: Call, order: ViewOrder) -> Steps:
    """Propose the view in this node's turn, unless it came earlier; wait for this node's slots."""
    facts = call.facts()
    if facts.address not in (*order.nodes, *facts.view.nodes):
        return DONE  # the order does not concern this node
    until = facts.now + WAIT_S
    yield from _awaiting_turn(call, order)
    adopted = yield from adopting(call, order.layout, TRIES)
    if not isinstance(adopted, View):
        return _not_changed(adopted)
    while (lacking := _lacking(call.facts())) is not None and call.facts().now < until:
        yield LOOK_EVERY_S
    return DONE if lacking is None else said(200, {}, {"Kv-Lacking": f"{lacking} slots"})


def _awaiting_turn(call: Call, order: ViewOrder) -> Generator[float, object, None]:
    """Wait until this node's turn, or until the others' view is here.

    Nodes that have just started may not propose yet.  Their turns begin once they may; otherwise
    all of them would propose at that moment.
    """
    facts = call.facts()
    turn_s = TURN_S * order.turn_of(facts.address, facts.view)
    ours = facts.now + turn_s
    while not order.is_shown_by(facts.view) and (facts.now < ours or not facts.confirmed):
        yield LOOK_EVERY_S
        was_confirmed, facts = facts.confirmed, call.facts()
        if not was_confirmed:
            ours = facts.now + turn_s


def _lacking(facts: Facts) -> int | None:
    """Return the number of slots that have not arrived here.

    None means that all have, and that every live node has the view.
    """
    nodes = facts.movement()["nodes"]
    lacking: int = nodes[facts.address]["lacking"] if facts.address in nodes else 0
    return lacking if lacking or not _is_known(facts) else None


def _is_known(facts: Facts) -> bool:
    """Whether every live node has the view."""
    nodes = facts.movement()["nodes"].values()
    return all(node["in_view"] for node in nodes if node["alive"])


def _leaving(call: Call) -> Steps:
    """Serve no clients from now on, until a view names this node again.

    The other nodes can still ask for what it holds, until a view leaves it out.  If another node
    leaves at the same time, the view may show only that one as gone; then this node changes the
    view again.
    """
    layout_of = partial(without_address, call.facts().address)
    until = call.facts().now + WAIT_S
    while is_in_view(call.facts()) or (not _is_known(call.facts()) and call.facts().now < until):
        if not is_in_view(call.facts()):
            yield LOOK_EVERY_S
            continue
        adopted = yield from adopting(call, layout_of, TRIES)
        if not isinstance(adopted, View):
            return _not_changed(adopted)
    return DONE


def _not_changed(outcome: Outcome | None) -> Reply:
    return refused(503, "the view cannot be changed now; try again", in_doubt(outcome))


# ------------------------------------------------------------------ data


def put_key(call: Call) -> Ask:
    fields, token = session_of(call, METADATA)
    if "value" not in fields:
        raise Refused(NO_VALUE)
    value = value_of(call, fields["value"])
    put = Put(call.path["key"], value, token=token, wait_s=WAIT_S)
    return Ask(put, partial(say_put, METADATA in fields))


def get_key(call: Call) -> Ask:
    _, token = session_of(call, METADATA)
    get = Get(call.path["key"], token=token, wait_s=WAIT_S)
    return Ask(get, partial(say_get, token))


def delete_key(call: Call) -> Ask:
    _, token = session_of(call, METADATA)
    refuse_when = RefuseWhen(absent=True)
    delete = Put(call.path["key"], None, token=token, refuse_when=refuse_when, wait_s=WAIT_S)
    return Ask(delete, partial(say_delete, token))


def list_keys(call: Call) -> Ask:
    """List the asked node's shard; a request without a body gets the bare map."""
    _, token = session_of(call, METADATA)
    say = partial(say_list, token, is_bare=not call.body)
    return Ask(List(token=token, wait_s=WAIT_S), say)


def say_put(is_causal: bool, outcome: Outcome) -> Reply:
    """Say a put; the status says whether the key is new only if the client sent no metadata."""
    match outcome:
        case Stored(token=token, replaced=replaced):
            status = 200 if is_causal or replaced else 201
            return _with_token(status, token, where_stored(outcome))
        case Unavailable(reason=reason):
            return refused(503, reason, in_doubt(outcome))
        case Rejected():
            return rejected(outcome)
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
    """Say a failed request: dependencies are late, no node could serve, or it cannot be met."""
    if isinstance(outcome, Rejected):
        return rejected(outcome)
    words, headers = NOBODY, in_doubt(outcome)
    if isinstance(outcome, Unmet):
        words, headers = TOO_LATE, {"Kv-Missing": missing_of(outcome)}
    return said(408, {"error": words, METADATA: orjson.Fragment(encode(seen))}, headers)


def _with_token(status: int, token: Token, headers: Mapping[str, str]) -> Reply:
    return Reply(status, b'{"causal-metadata":%b}' % encode(token), headers)
