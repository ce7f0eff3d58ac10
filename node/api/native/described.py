"""The native API described: every parameter, header and answer of its routes.

A test compares this with the routes and, by requests, with what the handlers do.
"""

from node.api.native.key_values import ON_MISS
from node.api.native.parameters import (
    BOOLEANS,
    IDEMPOTENCY_KEY_MAX,
    KEY_BYTES_MAX,
    NOTHING_SEEN,
    TIMEOUT_S_MAX,
    TTL_S_MAX,
)
from node.api.native.policies import PATH as POLICIES_PATH
from node.api.native.problems import KINDS, PATH as PROBLEMS_PATH
from node.api.openapi.parts import (
    ANY_TYPE,
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
    header,
    list_of,
    map_of,
    one_of,
    operation,
    or_null,
    path,
    problems,
    query,
    record,
    ref,
)
from node.core.model.policies import BLINDS, MERGES

TAGS = KEYS, POLICIES, PROBLEMS = "Single keys", "Policies", "Problems"
NUMBER_OF_REPLICAS = {
    "type": "string",
    "pattern": "^[1-9][0-9]*$",
    "description": "a number, up to that of the key's replicas",
}
LEVEL = {"anyOf": [one_of("one", "quorum", "all"), NUMBER_OF_REPLICAS]}
WRITE_LEVEL = {"anyOf": [one_of("available"), *LEVEL["anyOf"]]}
SEEN = ("Kv-Token", "Kv-Context")
ETAGS: Json = {
    "type": "string",
    "pattern": r'^(\*|((W/)?"[!#-~]*"|[ ,])*)$',
    "description": '`*`, or tags such as `"abc"`, with commas between them',
}
OPAQUE: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]*$", "description": "opaque text"}


def seconds(most: float) -> Json:
    return {"type": "number", "exclusiveMinimum": 0, "maximum": most}


# ------------------------------------------------------------------ what requests have
KEY = path(
    "key",
    {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX},
    "The key: everything behind `/v1/kv/`, with its slashes. 1 to 1024 bytes of UTF-8, no NUL.",
    "users/42",
)
PREFIX = path(
    "prefix",
    {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX},
    "The prefix of keys that the policy is for.",
    "carts/",
)
TIMEOUT = query(
    "timeout", seconds(TIMEOUT_S_MAX), "Seconds to wait; `Prefer: wait=N` says the same."
)
W = query(
    "w", WRITE_LEVEL, "How many replicas or hints have the write on disk before it is answered."
)
R = query("r", LEVEL, "The read joins the states of so many replicas.")
STRICT = query(
    "strict",
    one_of(*BOOLEANS),
    "`true`: only owners of the key count for the level, and no node keeps a hint.",
)
TTL = query("ttl", seconds(TTL_S_MAX), "Seconds until the value expires.")
TOKEN = header("Kv-Token", OPAQUE, "The session: that of the last answer, as it is.")
CONTEXT = header(
    "Kv-Context",
    OPAQUE,
    f"What the client has seen of this key: that of an answer about it, or `{NOTHING_SEEN}`.",
)
MATCH = header("If-Match", ETAGS, "Only if the key shows one of these versions; `*`: any value.")
NONE_MATCH = header(
    "If-None-Match", ETAGS, "Only if the key shows none of these versions; `*`: no value."
)
PREFER = header("Prefer", STRING, "`wait=N`; of a PUT also `return=minimal`, for 204 and no body.")
AGAIN = header(
    "Idempotency-Key",
    {"type": "string", "maxLength": IDEMPOTENCY_KEY_MAX, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "A name for this write: the same request with the same name is the same write, for 10 minutes.",
)
MISS = query("on-miss", one_of(*ON_MISS), "What to do if the token is ahead of all replicas.")
CONDITIONS = (MATCH, NONE_MATCH)
READ = (
    KEY,
    R,
    STRICT,
    TIMEOUT,
    MISS,
    query("sibling", STRING, "The `id` of one of several values: answer that one alone."),
    query("envelope", one_of(*BOOLEANS), "`true`: the JSON form, also of a single value."),
    TOKEN,
    *CONDITIONS,
    PREFER,
)
WRITE = (KEY, W, STRICT, TIMEOUT, TOKEN, CONTEXT, *CONDITIONS, AGAIN, PREFER)
VALUE = body(
    "The value: any bytes. Their `Content-Type` and headers `Kv-Meta-NAME` are kept with them.",
    {
        TEXT: {"schema": STRING, "example": "Ann"},
        JSON: {"schema": {}},
        "application/octet-stream": {"schema": {}},
        ANY_TYPE: {"schema": {}},
    },
    required=False,
)

# ------------------------------------------------------------------ what answers have
STRANGER: Answers = {
    "403": answer(
        "A page of another origin may not write: see the setting `CORS_ORIGINS`.",
        {JSON: ref("Refusal")},
        always=("Kv-Outcome",),
    )
}
AT_FAULT = problems("malformed")
OUT_OF_REACH = problems("unmet", "unavailable", sometimes=("Kv-Token",))
ABOUT_A_KEY = {"always": (*SEEN,), "sometimes": ("ETag", "Kv-Reads", "Kv-Missing", "Kv-Siblings")}
NO_VALUE = problems("absent", **ABOUT_A_KEY)
EXCLUDED = problems("condition", **ABOUT_A_KEY)
READ_ALWAYS = (*SEEN, "Kv-Served-By", "Kv-Reads", "ETag")
READ_SOMETIMES = ("Kv-Siblings", "Kv-Missing", "Kv-Expires")
WRITE_ALWAYS = (*SEEN, "Kv-Served-By", "Kv-Acks")
WRITE_SOMETIMES = ("ETag", "Kv-Hints", "Kv-Siblings", "Kv-Expires")
READS: Answers = {
    "200": answer(
        "The value, with its type and its headers `Kv-Meta-NAME`; or the JSON form.",
        {ANY_TYPE: {}},
        always=READ_ALWAYS,
        sometimes=READ_SOMETIMES,
    ),
    "300": answer(
        "The key has several values: all of them.",
        {JSON: ref("Envelope")},
        always=READ_ALWAYS,
        sometimes=READ_SOMETIMES,
    ),
    "304": answer("The client has these versions.", always=READ_ALWAYS, sometimes=READ_SOMETIMES),
    **AT_FAULT,
    **NO_VALUE,
    **EXCLUDED,
    **OUT_OF_REACH,
}


def written(status: str, text: str, *, has_body: bool = True) -> Answers:
    content = {JSON: ref("Written")} if has_body else None
    minimal = () if has_body else ("Preference-Applied",)
    sometimes = (*WRITE_SOMETIMES, *minimal)
    return {status: answer(text, content, always=WRITE_ALWAYS, sometimes=sometimes)}


OF_WRITES: Answers = {**STRANGER, **AT_FAULT, **EXCLUDED, **OUT_OF_REACH}
OF_BODIES = problems("too-large", "encoding")
PUTS: Answers = {
    **written("200", "The value is written; the key had one."),
    **written("201", "The value is written; the key had none."),
    **written("204", "The value is written: with `Prefer: return=minimal`.", has_body=False),
    **OF_WRITES,
    **OF_BODIES,
    **problems("siblings", "reused", "context", "labels", sometimes=SEEN),
}
PATCHES: Answers = {
    **written("200", "The value expires at the new instant."),
    **written("201", "The same; the home of the key did not have the value yet."),
    **written("204", "The same, with `Prefer: return=minimal`.", has_body=False),
    **OF_WRITES,
    **NO_VALUE,
    **problems("siblings", "reused", "context", sometimes=SEEN),
}
DELETES: Answers = {
    **written("204", "The value is deleted.", has_body=False),
    **OF_WRITES,
    **NO_VALUE,
    **problems("siblings", "reused", "context", sometimes=SEEN),
}
SHOWN = {"200": answer("The policies that there are then.", {JSON: ref("Policies")})}
CHANGED: Answers = {**SHOWN, **STRANGER, **AT_FAULT, **problems("unavailable")}
POLICY_BODY = body(
    "The fields of the policy; each that is left out has its usual value.",
    {JSON: {"schema": ref("PolicyFields"), "example": {"merge": "union", "w": "quorum"}}},
    required=True,
)

OPERATIONS: Operations = {
    ("GET", "/v1/kv/{key}"): operation(KEYS, "Read a key", READS, READ),
    ("PUT", "/v1/kv/{key}"): operation(KEYS, "Write a value", PUTS, (*WRITE, TTL), VALUE),
    ("PATCH", "/v1/kv/{key}"): operation(
        KEYS,
        "Let the value expire at another instant",
        PATCHES,
        (
            KEY,
            {**TTL, "required": True, "example": 60},
            *(W, STRICT, TIMEOUT, TOKEN, *CONDITIONS, AGAIN, PREFER),
        ),
    ),
    ("DELETE", "/v1/kv/{key}"): operation(KEYS, "Delete the value of a key", DELETES, WRITE),
    **{
        (method, "/v1/kv/"): operation(KEYS, "Refused: the key is empty", {**AT_FAULT, **more})
        for method, more in (
            ("GET", {}),
            ("PUT", STRANGER),
            ("PATCH", STRANGER),
            ("DELETE", STRANGER),
        )
    },
    ("GET", POLICIES_PATH): operation(POLICIES, "List the policies", SHOWN),
    ("PUT", POLICIES_PATH): operation(
        POLICIES, "Set the policy of all keys", {**CHANGED, **OF_BODIES}, (), POLICY_BODY
    ),
    ("DELETE", POLICIES_PATH): operation(POLICIES, "Remove the policy of all keys", CHANGED),
    ("PUT", POLICIES_PATH + "/{prefix}"): operation(
        POLICIES, "Set the policy of a prefix", {**CHANGED, **OF_BODIES}, (PREFIX,), POLICY_BODY
    ),
    ("DELETE", POLICIES_PATH + "/{prefix}"): operation(
        POLICIES, "Remove the policy of a prefix", CHANGED, (PREFIX,)
    ),
    ("GET", PROBLEMS_PATH + "{kind}"): operation(
        PROBLEMS,
        "Explain a kind of problem",
        {"200": answer("The explanation.", {TEXT: STRING}), **AT_FAULT, **problems("absent")},
        (path("kind", one_of(*KINDS), "The kind: the last part of a problem's `type`.", "absent"),),
    ),
}

# ------------------------------------------------------------------ schemas
SIBLING = record(
    {
        "id": STRING,
        "etag": STRING,
        "content_type": STRING,
        "meta": map_of(STRING),
        "written_at": NUMBER,
        "expires_at": or_null(NUMBER),
        "node": STRING,
    },
    {"value": {}, "value_base64": STRING},
)
POLICY_FIELDS: dict[str, Json] = {
    "merge": one_of(*MERGES),
    "blind": one_of(*BLINDS),
    "w": {"anyOf": [WRITE_LEVEL, {"type": "integer", "minimum": 1}]},
    "r": {"anyOf": [LEVEL, {"type": "integer", "minimum": 1}]},
    "ttl": or_null(seconds(TTL_S_MAX)),
}
SCHEMAS: dict[str, Json] = {
    "Problem": record(
        {
            "type": STRING,
            "title": STRING,
            "status": INTEGER,
            "detail": STRING,
            "definite": BOOLEAN,
            "retryable": BOOLEAN,
            "node": STRING,
        },
        {
            "missing": list_of(record({"actor": STRING, "have": INTEGER, "need": INTEGER})),
            "acks": INTEGER,
            "reached": STRINGS,
            "limit": INTEGER,
        },
    ),
    "Written": record(
        {
            "key": STRING,
            "etag": or_null(STRING),
            "context": STRING,
            "token": STRING,
            "acks": INTEGER,
            "copies": INTEGER,
        }
    ),
    "Envelope": record({"key": STRING, "siblings": list_of(SIBLING), "context": STRING}),
    "Policy": record({"prefix": STRING, **POLICY_FIELDS}),
    "Policies": record({"view": STRING, "policies": list_of(ref("Policy"))}),
    "PolicyFields": fields(POLICY_FIELDS),
}
