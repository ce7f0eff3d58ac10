"""GET /v1/explain/{key}: what all nodes have of a key, and why it shows what it shows."""

from functools import partial

import orjson

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route
from node.api.native.decode import decode_context, decode_token
from node.api.native.explanation import explanation
from node.api.native.opaque import token_text
from node.api.native.parameters import (
    TIMEOUT_S_MAX,
    KeyRequest,
    check_query,
    request_of,
    seconds_in,
)
from node.api.native.problems import dialect, not_recognized
from node.core.protocol.inspection import INSPECT_S, Explain, Explained
from node.core.protocol.operations import Outcome
from node.security.scopes import ApiScope

PATH = "/v1/explain/"
PARAMETERS = frozenset({"timeout"})


def explanations() -> Dialect:
    """Return the routes that explain: a key, a token, a context."""
    return dialect(
        "explain",
        Route("GET", PATH + "{key}", explain_key, ApiScope.READ),
        Route("GET", "/v1/tokens/decode", decode_token, ApiScope.READ),
        Route("GET", "/v1/contexts/decode", decode_context, ApiScope.READ),
    )


def explain_key(call: Call) -> Ask:
    check_query(call, PARAMETERS)
    text = call.query.get("timeout")
    timeout_s = INSPECT_S if text is None else seconds_in(call, "timeout", text, TIMEOUT_S_MAX)
    asked = request_of(call)
    return Ask(Explain(asked.key, asked.token, timeout_s), partial(say_explained, asked))


def say_explained(asked: KeyRequest, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Explained):
        raise Refused(not_recognized(asked.call, outcome))
    facts = asked.call.facts()
    headers = {"Kv-Token": token_text(asked.token), "Kv-Served-By": facts.address}
    return Reply(200, orjson.dumps(explanation(asked, facts, outcome)), headers)
