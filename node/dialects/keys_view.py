"""The keys_view contract: /kvs/keys with a causal context, and a view that an operator changes.

Replies to requests for keys have just the contract's JSON keys; the context is among them always,
in refusals that of the request.  PUTs are always accepted; a GET waits for the version of its key
that its context names.  Shards are shown as "1", "2", ...  Membership never changes by itself: dead
nodes stay.  A view change is answered when the living nodes hold what they own, or after a while.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from node.core.messages import (
    Absent,
    Count,
    Counted,
    Found,
    Get,
    Outcome,
    Put,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.placement import reshaped
from node.core.token import Token, encode
from node.core.view import Layout, View
from node.dialects.changes import LOOK_EVERY_S, adopting
from node.dialects.contract import Ask, Call, Dialect, Facts, Reply, Route, Steps, Talk
from node.dialects.words import (
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

CONTEXT = "causal-context"
KEY_CHARACTERS_MAX = 50
WAIT_S = 4.5  # a client is answered within 5 s
WATCHED_S = 4.2  # so long a view change is watched; then keys are counted, which takes a moment
HALF_DEAD_S = 2.5  # or 2 s, where nobody of a shard lives
TRIES = 3  # of a change that another one has overtaken

NO_KEY = "Key does not exist"
UNABLE = {"error": "Unable to satisfy request", "message": "Error in GET"}  # whatever was asked
NO_SHARD = said(404, {"error": "Shard does not exist", "message": "Error in GET"})
NOBODY = said(503, UNABLE, {"Retry-After": "1"})
NOT_CHANGED = said(503, {**UNABLE, "message": "Error in PUT"}, {"Retry-After": "1"})

Words = Mapping[str, object]


def keys_view() -> Dialect:
    """The contract."""
    return Dialect(
        "keys_view",
        (
            Route("PUT", "/kvs/keys/{key}", put_key),
            Route("GET", "/kvs/keys/{key}", get_key),
            Route("DELETE", "/kvs/keys/{key}", delete_key),
            Route("GET", "/kvs/key-count", count_keys),
            Route("GET", "/kvs/shards", get_shards),
            Route("GET", "/kvs/shards/{shard}", get_shard),
            Route("PUT", "/kvs/view-change", change_view),
        ),
        lambda path: refused(404, "No such path"),
    )


# ------------------------------------------------------------------ keys


def put_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    fields, token = session
    if "value" not in fields:
        return _refused(call, 400, "Value is missing", token)
    if len(call.path["key"]) > KEY_CHARACTERS_MAX:
        return _refused(call, 400, "Key is too long", token)
    value = value_of(call, fields["value"])
    if isinstance(value, Reply):
        return _reworded(call, value, token)
    return Ask(Put(call.path["key"], value, token=token), partial(say_put, call, token))


def get_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    get = Get(call.path["key"], token=session[1], wait_s=WAIT_S)
    return Ask(get, partial(say_get, call, session[1]))


def delete_key(call: Call) -> Reply | Ask:
    session = _session(call)
    if isinstance(session, Reply):
        return session
    delete = Put(call.path["key"], None, token=session[1], if_present=True)
    return Ask(delete, partial(say_delete, call, session[1]))


def _session(call: Call) -> tuple[dict[str, Any], Token] | Reply:
    """The fields of the body and what the client has seen."""
    session = session_of(call, CONTEXT)
    return _reworded(call, session, Token()) if isinstance(session, Reply) else session


def say_put(call: Call, seen: Token, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(call, seen, outcome)
    status, word = (200, "Updated") if outcome.replaced else (201, "Added")
    words = {"message": f"{word} successfully", "replaced": outcome.replaced}
    return _say(call, status, words, outcome.token, outcome.home, where_stored(outcome))


def say_get(call: Call, seen: Token, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Found):
        return _say_otherwise(call, seen, outcome)
    value = orjson.Fragment(outcome.values[0])
    words = {"message": "Retrieved successfully", "doesExist": True, "value": value}
    headers = {"Kv-Served-By": outcome.served_by}
    return _say(call, 200, words, outcome.token, outcome.served_by, headers)


def say_delete(call: Call, seen: Token, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Stored):
        return _say_otherwise(call, seen, outcome)
    words = {"message": "Deleted successfully", "doesExist": True}
    return _say(call, 200, words, outcome.token, outcome.home, where_stored(outcome))


def _say_otherwise(call: Call, seen: Token, outcome: Outcome) -> Reply:
    match outcome:
        case Absent(token=token, served_by=served_by):
            words = {"message": f"Error in {call.method}", "error": NO_KEY, "doesExist": False}
            return _say(call, 404, words, token, served_by, {"Kv-Served-By": served_by})
        case Unmet():
            return _say(call, 400, UNABLE, seen, "", {"Kv-Missing": missing_of(outcome)})
        case Unavailable():
            return _say(call, 503, UNABLE, seen, "", in_doubt(outcome))
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request for a key")


def _say(
    call: Call, status: int, words: Words, token: Token, served_by: str, headers: Mapping[str, str]
) -> Reply:
    """These words, the context, and who served it, where that was a node of another shard."""
    body = {**words, CONTEXT: orjson.Fragment(encode(token))}
    if served_by and _is_proxied(call.facts(), served_by):
        body["address"] = served_by
    return said(status, body, headers)


def _is_proxied(facts: Facts, served_by: str) -> bool:
    shard = facts.view.shard_with(facts.address)
    return shard is None or served_by not in shard.members


def _refused(call: Call, status: int, error: str, token: Token) -> Reply:
    return _say(call, status, {"error": error, "message": f"Error in {call.method}"}, token, "", {})


def _reworded(call: Call, reply: Reply, token: Token) -> Reply:
    """A refusal of `words` in the form of this contract."""
    return _refused(call, reply.status, words_in(reply), token)


# ------------------------------------------------------------------ shards


def count_keys(call: Call) -> Reply | Ask:
    """The asked node's own shard."""
    facts = call.facts()
    shard = facts.view.shard_with(facts.address)
    if shard is None:
        return NOBODY
    words = {"shard-id": _shown(facts.view.shards.index(shard))}
    return Ask(Count(shard.id), partial(say_own_count, words))


def say_own_count(words: Words, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Counted):
        return NOBODY
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
        return NOBODY
    message = "Shard information retrieved successfully"
    return said(200, {"message": message, **_described(view, place, outcome.keys)})


def _shown(place: int) -> str:
    return str(place + 1)


def _described(view: View, place: int, keys: int | None) -> dict[str, object]:
    return {"shard-id": _shown(place), "key-count": keys, "replicas": view.shards[place].members}


# ------------------------------------------------------------------ the view


def change_view(call: Call) -> Reply | Talk:
    """These nodes, in as many shards as have so many replicas each."""
    fields = fields_of(call)
    if isinstance(fields, Reply):
        return _reworded_plainly(fields)
    nodes = _nodes_of(fields.get("view"))
    if isinstance(nodes, Reply):
        return _reworded_plainly(nodes)
    factor = fields.get("repl-factor")
    if type(factor) is not int or not 1 <= factor <= len(nodes):
        words = f"repl-factor is missing, or not a number from 1 to {len(nodes)}"
        return _reworded_plainly(refused(400, words))

    def layout_of(view: View) -> Layout:
        return reshaped(view, nodes, len(nodes) // factor)

    try:
        layout_of(call.facts().view)
    except ValueError as error:
        return _reworded_plainly(refused(400, str(error)))
    return Talk(_changing(call, layout_of))


def _nodes_of(text: object) -> tuple[str, ...] | Reply:
    if type(text) is not str:
        return refused(400, "view is missing, or not a string")
    nodes = tuple(word.strip() for word in text.split(",") if word.strip())
    for node in nodes:
        address = address_of({"view": node}, "view")
        if isinstance(address, Reply):
            return address
    return nodes or refused(400, "view names no node")


def _changing(call: Call, layout_of: Callable[[View], Layout]) -> Steps:
    """Propose it, watch what moves, and count the keys of every shard."""
    started = call.facts().now
    view = yield from adopting(call, layout_of, TRIES)
    if view is None:
        return NOT_CHANGED
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
    is_whole = all(any(node in facts.alive for node in shard.members) for shard in shards)
    return WATCHED_S if is_whole else HALF_DEAD_S


def _is_moved(facts: Facts) -> bool:
    """Whether everybody who lives has the view, and all of what it owns by it.  Who is silent is
    dead, or new: a newcomer, with whom nobody here has talked yet, is waited for."""
    movement = facts.movement()
    before = (movement["previous"] or movement["view"])["nodes"]
    new = [node for node in movement["view"]["nodes"] if node not in before]
    awaited = [told for node, told in movement["nodes"].items() if told["alive"] or node in new]
    return movement["settled"] or all(n["in_view"] and not n["lacking"] for n in awaited)


def _reworded_plainly(reply: Reply) -> Reply:
    return said(reply.status, {"error": words_in(reply), "message": "Error in PUT"})
