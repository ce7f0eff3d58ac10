"""The administrative routes described, those that the HTTP server has itself among them.

A test compares this with the routes and, by requests, with what the handlers do.
"""

from typing import Any

from node.api.admin.view_plans import NODES_MAX
from node.api.openapi.parts import (
    BOOLEAN,
    INTEGER,
    JSON,
    NUMBER,
    STRING,
    STRINGS,
    TEXT,
    Answers,
    Json,
    Operations,
    answer,
    body,
    fields,
    list_of,
    map_of,
    one_of,
    operation,
    or_null,
    query,
    record,
    ref,
    refusals,
)
from node.core.model.placement import SHARDS_MAX

TAGS = VIEWS, HEALTH, FAULTS, DOCUMENTS = "Views", "Health", "Faults", "This description"
EVENTS, HTML = "text/event-stream", "text/html"
ANY_OBJECT: Json = {"type": "object"}


def shown(text: str, schema: Json, kind: str = JSON) -> Answers:
    return {"200": answer(text, {kind: schema})}


# ------------------------------------------------------------------ health
READY = query("verbose", {"type": "string"}, "List each check.")
READY["allowEmptyValue"] = True
KEY = query("key", STRING, "Show the slot, the shard and the nodes of this key, too.", "users/42")
PLAN = query("plan", one_of("true", "false"), "`true`: say what a change would do.", "true")

# ------------------------------------------------------------------ views
CHANGE_BODY = body(
    "With `plan=true`, what is wanted; what is left out stays as it is. Else the name of a plan.",
    {
        JSON: {
            "schema": {"anyOf": [ref("ChangeRequest"), ref("Commit")]},
            "example": {"shards": 3},
        }
    },
    required=False,
)
WRONG = "The request is not as it should be; the words say what was expected."
STRANGER = "A page of another origin may not write: see the setting `CORS_ORIGINS`."
TOO_LARGE, ENCODED = "The body is too large.", "The body has a `Content-Encoding`."
OF_BODIES = {403: STRANGER, 413: TOO_LARGE, 415: ENCODED}
NO_CHANGE = "The view or the change under way does not allow it; the words say what to do."
DOUBT = "Too few nodes can be reached; `Kv-Outcome` says if anything may have changed."
JOB: Answers = {
    "202": answer(
        "The view has changed, and data moves: the job.",
        {JSON: record({"job": ref("Job")})},
        always=("Location",),
    )
}
COMMITS: Answers = {
    **shown("The plan.", ref("Plan")),
    **JOB,
    **refusals({400: WRONG, 404: "This node has no such plan.", 409: NO_CHANGE, 503: DOUBT}),
    **refusals(OF_BODIES),
}
TAKEN_BACK: Answers = {**JOB, **refusals({403: STRANGER, 409: NO_CHANGE, 503: DOUBT})}
STREAM: Answers = {
    "200": {
        "description": "Events `progress`, each with the job, then one event `done`.",
        "content": {EVENTS: {"schema": {}}},
    },
    **refusals({503: "Too many event streams are open."}),
}

# ------------------------------------------------------------------ faults
CUT = record({"cut": STRINGS}, {"ttl_s": NUMBER})
CUT_BODY = body(
    "The nodes with which this one exchanges no messages, and for how many seconds.",
    {JSON: {"schema": ref("Cut"), "example": {"cut": ["10.10.0.3:8090"], "ttl_s": 60}}},
    required=True,
)

OPERATIONS: Operations = {
    ("GET", "/livez"): operation(
        HEALTH, "Ask whether the process runs", shown("It runs.", STRING, TEXT)
    ),
    ("GET", "/readyz"): operation(
        HEALTH,
        "Ask whether the node serves",
        {
            **shown("It serves.", STRING, TEXT),
            "503": answer("It does not serve yet, or no more.", {TEXT: STRING}),
        },
        (READY,),
    ),
    ("GET", "/v1/status"): operation(
        HEALTH, "Show what the node knows and does", shown("The status.", ref("Status"))
    ),
    ("GET", "/v1/limits"): operation(
        HEALTH, "Show the bounds that the node enforces", shown("The bounds.", ref("Limits"))
    ),
    ("GET", "/metrics"): operation(
        HEALTH, "Show the node's counts, for Prometheus", shown("The counts.", STRING, TEXT)
    ),
    ("GET", "/v1/view"): operation(
        VIEWS,
        "Show the view, and how far its change is",
        shown("The view.", ref("Movement")),
        (KEY,),
    ),
    ("POST", "/v1/view"): operation(
        VIEWS, "Plan a change of the view, or commit a plan", COMMITS, (PLAN,), CHANGE_BODY
    ),
    ("GET", "/v1/view/job"): operation(
        VIEWS, "Show how far the change is", shown("The job.", ref("Job"))
    ),
    ("DELETE", "/v1/view/job"): operation(VIEWS, "Take the change under way back", TAKEN_BACK),
    ("GET", "/v1/view/events"): operation(VIEWS, "Follow the change under way", STREAM),
    ("PUT", "/v1/faults"): operation(
        FAULTS,
        "Cut this node off from others for a time (with `ENABLE_FAULTS`)",
        {**shown("The cut.", CUT), **refusals({400: WRONG, **OF_BODIES})},
        (),
        CUT_BODY,
    ),
    ("DELETE", "/v1/faults"): operation(
        FAULTS,
        "End the cut (with `ENABLE_FAULTS`)",
        {**shown("There is no cut.", CUT), **refusals({403: STRANGER})},
    ),
    ("GET", "/openapi.json"): operation(
        DOCUMENTS, "Describe all routes but those of contracts", shown("The document.", ANY_OBJECT)
    ),
    ("GET", "/v1/docs"): operation(
        DOCUMENTS, "Show this description as a page", shown("The page.", STRING, HTML)
    ),
}


# ------------------------------------------------------------------ schemas
def about(counts: str) -> dict[str, Any]:
    """Describe counts that a node may not know."""
    return {name: or_null(INTEGER) for name in counts.split()}


def numbers(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), INTEGER)


SHAPE = {"nodes": STRINGS, "shards": map_of(STRINGS), "slots": map_of(INTEGER)}
VIEW = record({"id": STRING, "number": INTEGER, **SHAPE})
NAMED: dict[str, Json] = {"nodes": STRINGS, "add": STRINGS, "remove": STRINGS, "lost": STRINGS}
SCHEMAS: dict[str, Json] = {
    "Refusal": record({"error": STRING}),
    "Cut": fields(
        {
            "cut": {**STRINGS, "maxItems": 1000},
            "ttl_s": {"type": "number", "minimum": 1, "maximum": 3600},
        }
    ),
    "Limits": record(
        {
            **numbers("value_bytes_max token_bytes_max token_dots_max repeats_max"),
            **numbers("counter_max set_elements_max set_bytes_max"),
            "wait_s_max": NUMBER,
        }
    ),
    "ChangeRequest": fields(
        {
            "shards": {"type": "integer", "minimum": 1, "maximum": SHARDS_MAX},
            **{name: {**schema, "maxItems": NODES_MAX} for name, schema in NAMED.items()},
            "force": BOOLEAN,
        }
    ),
    "Commit": {**fields({"plan": STRING, "force": BOOLEAN}), "required": ["plan"]},
    "Plan": record(
        {
            "plan": STRING,
            "base": STRING,
            "before": record(SHAPE),
            "after": record(SHAPE),
            "moves": record(
                {
                    **numbers("slots ideal_slots copied_slots"),
                    **about("keys bytes"),
                    "nodes": list_of(
                        record({"node": STRING, "from": or_null(STRING), "to": or_null(STRING)})
                    ),
                }
            ),
            "lost": map_of(record({"members": STRINGS, "slots": INTEGER, **about("keys bytes")})),
            "warnings": STRINGS,
        }
    ),
    "Movement": record(
        {
            "view": VIEW,
            "previous": or_null(VIEW),
            "settled": BOOLEAN,
            **numbers("lacking_slots leaving_slots moved_items"),
            "started": NUMBER,
            "nodes": map_of(
                record(
                    {"in_view": BOOLEAN, "alive": BOOLEAN, "done": BOOLEAN}
                    | numbers("lacking leaving")
                )
            ),
            "history": {"type": "array"},
        },
        {
            "key": record(
                {"key": STRING, "slot": INTEGER, "shard": or_null(STRING), "nodes": STRINGS}
            )
        },
    ),
    "Job": record(
        {
            "view": STRING,
            "phase": one_of("adopting", "moving", "retiring", "done"),
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
            "slots": record(numbers("to_copy lacking leaving")),
            "items": INTEGER,
            "items_per_s": NUMBER,
            "started": NUMBER,
            "waiting_for": list_of(record({"node": STRING, "why": STRING})),
            "history": {"type": "array"},
        }
    ),
    "Status": record(
        {
            "address": STRING,
            "node_id": STRING,
            "actor": STRING,
            "began_anew": or_null(STRING),
            "shard": or_null(STRING),
            "arrived": BOOLEAN,
            "settled": BOOLEAN,
            **numbers("lacking_slots leaving_slots"),
            "waited_for": STRINGS,
            "view": record({"id": STRING, "number": INTEGER, "nodes": STRINGS}),
            **dict.fromkeys(("clock", "peers", "waiting", "store", "hints", "repair"), ANY_OBJECT),
            **{name: {} for name in ("lives", "stable")},
        }
    ),
}
