"""What explains, described: a key, a token, a context.

A test compares this with the routes and, by requests, with what the handlers do.
"""

from node.api.native.described import AT_FAULT, KEY, TOKEN, seconds
from node.api.native.explain import PATH
from node.api.native.parameters import TIMEOUT_S_MAX
from node.api.openapi.parts import (
    BOOLEAN,
    INTEGER,
    JSON,
    NUMBER,
    STRING,
    STRINGS,
    Json,
    Operations,
    answer,
    list_of,
    one_of,
    operation,
    or_null,
    problems,
    query,
    record,
    ref,
)
from node.core.protocol.inspection import INSPECT_S

TAGS = (WHY,) = ("Why",)
NODES_S = query(
    "timeout",
    seconds(TIMEOUT_S_MAX),
    f"Seconds to wait for nodes that can be reached and do not answer; {INSPECT_S:g} if not given.",
)
TOKEN_TEXT = query("token", STRING, "A token, or several with commas between.", "")
CONTEXT_TEXT = query("context", STRING, "A context of one key; `none`: nothing is seen.", "none")
OF_KEY = query("key", STRING, "Refuse the context unless it is of this key.")
UNKNOWN = problems("unavailable")

OPERATIONS: Operations = {
    ("GET", PATH + "{key}"): operation(
        WHY,
        "Explain what a key shows",
        {
            "200": answer(
                "What all nodes that can be reached have of the key, and what they lack.",
                {JSON: ref("Explanation")},
                always=("Kv-Token", "Kv-Served-By"),
            ),
            **AT_FAULT,
            **UNKNOWN,
        },
        (KEY, NODES_S, TOKEN),
    ),
    ("GET", "/v1/tokens/decode"): operation(
        WHY,
        "Say what a token depends on",
        {
            "200": answer(
                "The writes that it names.", {JSON: ref("TokenSays")}, always=("Kv-Served-By",)
            ),
            **AT_FAULT,
            **UNKNOWN,
        },
        ({**TOKEN_TEXT, "required": True},),
    ),
    ("GET", "/v1/contexts/decode"): operation(
        WHY,
        "Say what a context has seen",
        {
            "200": answer(
                "The writes that it has seen.",
                {JSON: ref("ContextSays")},
                always=("Kv-Served-By",),
            ),
            **AT_FAULT,
            **UNKNOWN,
        },
        ({**CONTEXT_TEXT, "required": True}, OF_KEY),
    ),
}

# ------------------------------------------------------------------ schemas
ACTOR: dict[str, Json] = {"node": STRING, "actor": STRING}
WRITE: dict[str, Json] = {**ACTOR, "n": INTEGER, "named_in_view": STRING}
SLOT: dict[str, Json] = {"slot": INTEGER, "shard": STRING}
LACKED: Json = record({**ACTOR, "have": INTEGER, "need": INTEGER, "held_by": STRINGS})
STATES = (
    *("shown", "delete", "hidden", "repeated", "expired", "early"),
    *("replaced", "lacking"),
)
SILENCE: dict[str, Json] = {
    "reason": one_of("unreachable", "silent"),
    "heard_s_ago": or_null(NUMBER),
}
SCHEMAS: dict[str, Json] = {
    "Explanation": record(
        {
            "key": STRING,
            "at": NUMBER,
            "node": STRING,
            "view": STRING,
            **SLOT,
            "owners": STRINGS,
            "reached": STRINGS,
            "unreached": list_of(record({"node": STRING, **SILENCE})),
            "policy": ref("Policy"),
            "replicas": list_of(ref("ReplicaOfKey")),
            "versions": list_of(ref("VersionOfKey")),
            "hints": list_of(
                record({"holder": STRING, "target": STRING, "id": STRING, "kept_at": NUMBER})
            ),
            "waiting": list_of(
                record(
                    {
                        "node": STRING,
                        "kind": one_of("read", "write"),
                        "for_s": NUMBER,
                        "nodes": STRINGS,
                        "missing": list_of(LACKED),
                    }
                )
            ),
            "events": list_of(
                record({"at": NUMBER, "node": STRING, "what": STRING, "source": STRING})
            ),
        }
    ),
    "ReplicaOfKey": record(
        {"node": STRING, "owner": BOOLEAN, "reached": BOOLEAN},
        {
            **SILENCE,
            "view": STRING,
            "whole": BOOLEAN,
            "damaged": BOOLEAN,
            "versions": list_of(record({"id": STRING, "state": one_of(*STATES)})),
            "clock": list_of(record({**ACTOR, "upto": INTEGER, "beyond": list_of(INTEGER)})),
            "lacks": list_of(record({**ACTOR, "writes": INTEGER})),
            "covers_token": BOOLEAN,
            "missing": list_of(LACKED),
        },
    ),
    "VersionOfKey": record(
        {
            "id": STRING,
            **ACTOR,
            "n": INTEGER,
            "written_at": NUMBER,
            "size": INTEGER,
            "content_type": or_null(STRING),
            "expires_at": or_null(NUMBER),
            "held_by": STRINGS,
            "replaced_at": STRINGS,
            "lacking_at": STRINGS,
            "replaces": STRINGS,
        }
    ),
    "TokenSays": record(
        {
            "writes": list_of(record({**WRITE, **SLOT})),
            "up_to": list_of(record(WRITE)),
            "latest_at": or_null(NUMBER),
            "view": STRING,
            "cluster": STRING,
            "words": STRINGS,
        }
    ),
    "ContextSays": record(
        {
            "writes": list_of(record(WRITE)),
            "up_to": list_of(record(WRITE)),
            "named": STRINGS,
            "slot": or_null(INTEGER),
            "shard": or_null(STRING),
            "cluster": STRING,
            "words": STRINGS,
        }
    ),
}
