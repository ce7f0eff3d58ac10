"""The keys_view contract: /kvs/keys with a causal context, and a view that an operator changes.

Replies to requests for keys have only the contract's JSON keys.  The context is always among them;
a refusal has the context of the request.  A node always accepts a PUT; a GET waits for the version
of its key that its context names.  Shards are shown as "1", "2", ... Membership never changes by
itself: dead nodes stay.  A node answers a view change when the live nodes hold what they own, or
after a while.
"""

from collections.abc import Callable, Mapping
from functools import partial

import orjson

from node.api.contract import Ask, Call, Dialect, Facts, Refused, Reply, Route, Steps, Talk
from node.api.parsing import (
    DEFINITE,
    address_of,
    bad_request,
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
from node.api.view_change import LOOK_EVERY_S, adopting
from node.core.model.conditions import RefuseWhen
from node.core.model.placement import reshaped
from node.core.model.token import Token, encode
from node.core.model.view import Layout, View
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

CONTEXT = "causal-context"
KEY_CHARACTERS_MAX = 50
WAIT_S = 4.5  # below 5 s, within which the contract answers a client
WATCHED_S = 4.2  # how long a node watches a view change; then it counts keys, which takes a moment
HALF_DEAD_S = 2.5  # or 2 s, where no node of a shard is alive
TRIES = 3  # attempts at a change that another one has overtaken

NO_KEY = "Key does not exist"
UNABLE = "Unable to satisfy request"
NO_SHARD = said(404, {"error": "Shard does not exist", "message": "Error in GET"})

Words = Mapping[str, object]


def keys_view() -> Dialect:
    """Return the contract's routes and handlers."""
    return Dialect(
        "keys_view",
        (
            Route("PUT", "/kvs/keys/{key}", put_key, ApiScope.WRITE),
            Route("GET", "/kvs/keys/{key}", get_key, ApiScope.READ),
            Route("DELETE", "/kvs/keys/{key}", delete_key, ApiScope.WRITE),
            Route("GET", "/kvs/key-count", count_keys, ApiScope.READ),
            Route("GET", "/kvs/shards", get_shards, ApiScope.READ),
            Route("GET", "/kvs/shards/{shard}", get_shard, ApiScope.READ),
            Route("PUT", "/kvs/view-change", change_view, ApiScope.ADMIN),
        ),
        lambda path: refused(404, "No such path"),
        _reworded,
    )


def _reworded(call: Call, reply: Reply) -> Reply:
    """Say a refusal in the form of this contract; for a key, with the context of the request."""
    words: dict[str, object] = {"error": words_in(reply), "message": f"Error in {call.method}"}
    if "key" in call.path:
        words[CONTEXT] = orjson.Fragment(encode(_seen(call)))
    return said(reply.status, words, reply.headers)


def _seen(call: Call) -> Token:
    """Return what the client has seen; an empty token if that cannot be read."""
    try:
        return session_of(call, CONTEXT)[1]
    except Refused:
        return Token()


# ------------------------------------------------------------------ keys


def put_key(call: Call) -> Ask:
    fields, token = session_of(call, CONTEXT)
    if "value" not in fields:
        raise bad_request("Value is missing")
    if len(call.path["key"]) > KEY_CHARACTERS_MAX:
        raise bad_request("Key is too long")
    put = Put(call.path["key"], value_of(call, fields["value"]), token=token, wait_s=WAIT_S)
    return Ask(put, partial(say_put, call))


def get_key(call: Call) -> Ask:
    _, token = session_of(call, CONTEXT)
    get = Get(call.path["key"], token=token, wait_s=WAIT_S)
    return Ask(get, partial(say_get, call))


def delete_key(call: Call) -> Ask:
    _, token = session_of(call, CONTEXT)
    refuse_when = RefuseWhen(absent=True)
    delete = Put(call.path["key"], None, token=token, refuse_when=refuse_when, wait_s=WAIT_S)
    return Ask(delete, partial(say_delete, call))


def say_put(call: Call, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(call, outcome)
    status, word = (200, "Updated") if outcome.replaced else (201, "Added")
    words = {"message": f"{word} successfully", "replaced": outcome.replaced}
    return _say(call, status, words, outcome.token, outcome.home, where_stored(outcome))


def say_get(call: Call, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Found):
        return _say_otherwise(call, outcome)
    value = orjson.Fragment(outcome.values[0])
    words = {"message": "Retrieved successfully", "doesExist": True, "value": value}
    headers = {"Kv-Served-By": outcome.served_by}
    return _say(call, 200, words, outcome.token, outcome.served_by, headers)


def say_delete(call: Call, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(call, outcome)
    words = {"message": "Deleted successfully", "doesExist": True}
    return _say(call, 200, words, outcome.token, outcome.home, where_stored(outcome))


def _say_otherwise(call: Call, outcome: Outcome) -> Reply:
    match outcome:
        case Absent(token=token, served_by=served_by):
            words = {"message": f"Error in {call.method}", "error": NO_KEY, "doesExist": False}
            return _say(call, 404, words, token, served_by, {"Kv-Served-By": served_by})
        case Unmet():
            raise Refused(refused(400, UNABLE, {"Kv-Missing": missing_of(outcome)}))
        case Unavailable():
            raise _nobody(outcome)
        case Rejected(reason=reason):
            words = {"error": reason, "message": f"Error in {call.method}"}
            return _say(call, 400, words, Token(), "", DEFINITE)
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request for a key")


def _say(
    call: Call, status: int, words: Words, token: Token, served_by: str, headers: Mapping[str, str]
) -> Reply:
    """Say these words and the context, and name the node that served if it is of another shard."""
    body = {**words, CONTEXT: orjson.Fragment(encode(token))}
    if served_by and _is_proxied(call.facts(), served_by):
        body["address"] = served_by
    return said(status, body, headers)


def _nobody(outcome: Outcome | None = None) -> Refused:
    """Refuse: no node of the shard, or of the view, could answer."""
    return Refused(refused(503, UNABLE, in_doubt(outcome)))


def _is_proxied(facts: Facts, served_by: str) -> bool:
    shard = facts.view.shard_with(facts.address)
    return shard is None or served_by not in shard.members


# ------------------------------------------------------------------ shards


def count_keys(call: Call) -> Ask:
    """Count the keys of the asked node's shard."""
    facts = call.facts()
    shard = facts.view.shard_with(facts.address)
    if shard is None:
        raise _nobody()
    words = {"shard-id": _shown(facts.view.shards.index(shard))}
    return Ask(Count(shard.id), partial(say_own_count, words))


def say_own_count(words: Words, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Counted):
        raise _nobody(outcome)
    message = "Key count retrieved successfully"
    return said(200, {"message": message, "key-count": outcome.keys, **words})


def get_shards(call: Call) -> Reply:
    shards = [_shown(place) for place in range(len(call.facts().view.shards))]
    return said(200, {"message": "Shard membership retrieved successfully", "shards": shards})


def get_shard(call: Call) -> Reply | Ask:
    view, asked = call.facts().view, call.path["shard"]
    for place, shard in enumerate(view.shards):
        if asked == _shown(place):
            return Ask(Count(shard.id), partial(say_shard, view, place))
    return NO_SHARD


def say_shard(view: View, place: int, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Counted):
        raise _nobody(outcome)
    message = "Shard information retrieved successfully"
    return said(200, {"message": message, **_described(view, place, outcome.keys)})


def _shown(place: int) -> str:
    return str(place + 1)


def _described(view: View, place: int, keys: int | None) -> dict[str, object]:
    return {"shard-id": _shown(place), "key-count": keys, "replicas": view.shards[place].members}


# ------------------------------------------------------------------ the view


def change_view(call: Call) -> Talk:
    """Change the view to these nodes, in shards of the given number of replicas."""
    fields = fields_of(call)
    nodes = _nodes_of(fields.get("view"))
    factor = fields.get("repl-factor")
    if type(factor) is not int or not 1 <= factor <= len(nodes):
        raise bad_request(f"repl-factor is missing, or not a number from 1 to {len(nodes)}")

    def layout_of(view: View) -> Layout:
        return reshaped(view, nodes, len(nodes) // factor)

    try:
        layout_of(call.facts().view)
    except ValueError as error:
        raise bad_request(str(error)) from error
    return Talk(_changing(call, layout_of))


def _nodes_of(text: object) -> tuple[str, ...]:
    if type(text) is not str:
        raise bad_request("view is missing, or not a string")
    words = filter(None, map(str.strip, text.split(",")))
    nodes = tuple(address_of({"view": word}, "view") for word in words)
    if not nodes:
        raise bad_request("view names no node")
    return nodes


def _changing(call: Call, layout_of: Callable[[View], Layout]) -> Steps:
    """Propose the layout, watch the slots move, and count the keys of every shard."""
    started = call.facts().now
    view = yield from adopting(call, layout_of, TRIES)
    if not isinstance(view, View):
        raise _nobody(view)
    while not _is_moved(call.facts()) and call.facts().now < started + _patience_s(call.facts()):
        yield LOOK_EVERY_S
    shards = []
    outcomes = yield [Count(shard.id) for shard in view.shards]
    for place, counted in enumerate(outcomes):
        keys = counted.keys if isinstance(counted, Counted) else None
        shards.append(_described(view, place, keys))
    return said(200, {"message": "View change successful", "shards": shards})


def _patience_s(facts: Facts) -> float:
    shards = facts.view.shards
    is_whole = all(any(node in facts.alive() for node in shard.members) for shard in shards)
    return WATCHED_S if is_whole else HALF_DEAD_S


def _is_moved(facts: Facts) -> bool:
    """Whether every live node has the view, and all that it owns in it.

    A silent node is dead, or new.  This node waits for a new one, with which it has not talked yet.
    """
    movement = facts.movement()
    before = (movement["previous"] or movement["view"])["nodes"]
    new = [node for node in movement["view"]["nodes"] if node not in before]
    awaited = [told for node, told in movement["nodes"].items() if told["alive"] or node in new]
    return movement["settled"] or all(n["in_view"] and not n["lacking"] for n in awaited)
