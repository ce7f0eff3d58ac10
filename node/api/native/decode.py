"""GET /v1/tokens/decode and /v1/contexts/decode: what opaque texts say, in words and as JSON.

The core looks at them first, as at those of any request, and refuses those of another cluster.
"""

from collections.abc import Iterable
from functools import partial, reduce
from typing import Any

import orjson

from node.api.contract import Ask, Call, Facts, Refused, Reply
from node.api.native.opaque import KeyContext, context_of, context_parts, token_of
from node.api.native.parameters import NOTHING_SEEN, check_query
from node.api.native.problems import malformed, not_recognized
from node.core.model.actors import view_of
from node.core.model.cluster_name import joined
from node.core.model.dots import Dot, Vector
from node.core.model.item import Past
from node.core.model.keys import KeyHash, slot_of
from node.core.model.token import Malformed, Token
from node.core.protocol.inspection import Recognize, Recognized
from node.core.protocol.operations import Outcome

Json = dict[str, Any]


def decode_token(call: Call) -> Ask:
    """Say what a token depends on; of several with commas between all count."""
    check_query(call, ("token",))
    texts = [text for text in _given(call, "token").split(",") if text]
    try:
        token = reduce(Token.joined, map(token_of, texts), Token())
    except Malformed as error:
        raise malformed(call, f"token is malformed: {error}") from error
    return Ask(Recognize(token), partial(say_token, call))


def decode_context(call: Call) -> Ask:
    """Say what a context has seen; with `key`, whether it is of this key."""
    check_query(call, ("context", "key"))
    text, key_hash, seen = _given(call, "context"), None, KeyContext(Past())
    try:
        if text != NOTHING_SEEN:
            key_hash, seen = context_parts(text)
            if "key" in call.query:
                context_of(call.query["key"], text)
    except Malformed as error:
        raise malformed(call, f"context is malformed: {error}") from error
    token = Token(name=joined("", seen.cluster))
    return Ask(Recognize(token, seen.past), partial(say_context, call, key_hash, seen))


def _given(call: Call, name: str) -> str:
    if name not in call.query:
        raise malformed(call, f"the parameter {name} is missing: give the text of an answer")
    return call.query[name]


# ------------------------------------------------------------------ what they say
def say_token(call: Call, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Recognized):
        raise Refused(not_recognized(call, outcome))
    facts, token = call.facts(), outcome.token
    writes = [
        {**_write(facts, dot), **_place(facts, tag)} for dot, tag in sorted(token.exact.items())
    ]
    floors = _up_to(facts, token.floor)
    said = {
        "writes": writes,
        "up_to": floors,
        "latest_at": token.timestamp[0] / 1000 or None,
        "view": str(token.view),
        "cluster": token.name,
        "words": [
            *(f"write {w['n']} of {w['node']}, to a key of slot {w['slot']}" for w in writes),
            *(f"writes of {f['node']} up to {f['n']}, to some keys" for f in floors),
        ],
    }
    return _said(facts, said, "it depends on nothing")


def say_context(call: Call, key_hash: KeyHash | None, seen: KeyContext, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Recognized):
        raise Refused(not_recognized(call, outcome))
    facts, past = call.facts(), outcome.context
    floors = _up_to(facts, past.base)
    writes = [_write(facts, dot) for dot in sorted(past.loose)]
    said = {
        "writes": writes,
        "up_to": floors,
        "named": sorted(past.namings),
        **({"slot": None, "shard": None} if key_hash is None else _place(facts, key_hash)),
        "cluster": seen.cluster,
        "words": [
            *(f"write {w['n']} of {w['node']}" for w in writes),
            *(f"all writes of {f['node']} up to {f['n']} that are to this key" for f in floors),
        ],
    }
    return _said(facts, said, "it has seen nothing of the key")


def _said(facts: Facts, said: Json, nothing: str) -> Reply:
    said["words"] = said["words"] or [nothing]
    return Reply(200, orjson.dumps(said), {"Kv-Served-By": facts.address})


def _write(facts: Facts, dot: Dot) -> Json:
    actor, n = dot
    return {
        "node": facts.node_of(actor) or actor,
        "actor": actor,
        "n": n,
        "named_in_view": str(view_of(actor)),
    }


def _up_to(facts: Facts, vector: Vector) -> list[Json]:
    dots: Iterable[Dot] = sorted(vector.items())
    return [_write(facts, dot) for dot in dots]


def _place(facts: Facts, key_hash: KeyHash) -> Json:
    slot = slot_of(key_hash)
    return {"slot": slot, "shard": facts.view.shard_of(slot).id}
