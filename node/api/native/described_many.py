"""The requests about many keys described: every parameter, header and answer of their routes."""

from node.api.native.bulk import PATH as BULK_PATH
from node.api.native.described import (
    AGAIN,
    AT_FAULT,
    MISS,
    OF_BODIES,
    OPAQUE,
    OUT_OF_REACH,
    PREFER,
    STRANGER,
    STRICT,
    TIMEOUT,
    TOKEN,
    R,
    W,
)
from node.api.native.export import PATH as EXPORT_PATH
from node.api.native.imports import PATH as IMPORT_PATH
from node.api.native.key_lists import LIMIT_MAX, PATH as KEYS_PATH
from node.api.native.parameters import BOOLEANS, KEY_BYTES_MAX
from node.api.native.snapshots import KEYS_MAX, PATH as SNAPSHOT_PATH
from node.api.native.watch import LAST_ID, PATH as WATCH_PATH
from node.api.openapi.parts import (
    BOOLEAN,
    INTEGER,
    JSON,
    STRING,
    STRINGS,
    Json,
    Operations,
    answer,
    body,
    fields,
    header,
    list_of,
    one_of,
    operation,
    or_null,
    problems,
    query,
    record,
    ref,
)

TAGS = (MANY,) = ("Many keys",)
NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
EXAMPLE = '{"op":"put","key":"a","value":1}\n{"op":"get","key":"a"}\n'
EXPORTED = '{"key":"a","content_type":"application/json","value":1}\n{"counter":"b","value":5}\n'
PART_OF_A_KEY: Json = {
    "type": "string",
    "maxLength": KEY_BYTES_MAX,
    "pattern": "^[^\\u0000]*$",
}
KEYS_OF_A_SNAPSHOT: Json = {
    **fields(
        {
            "keys": {
                "type": "array",
                "items": {**PART_OF_A_KEY, "minLength": 1},
                "minItems": 1,
                "maxItems": KEYS_MAX,
                "uniqueItems": True,
            }
        }
    ),
    "required": ["keys"],
}
DELIMITER = query(
    "delimiter", PART_OF_A_KEY, "Keys are grouped up to the first of these behind the prefix."
)
LIST_PARAMETERS = (
    query("prefix", PART_OF_A_KEY, "Only keys that begin so."),
    query("after", PART_OF_A_KEY, "Only keys behind this one: `next` of the last answer."),
    query(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX},
        "How many keys and groups the answer has at most.",
    ),
    DELIMITER,
    TIMEOUT,
    TOKEN,
)
COUNTS = query("counts", one_of(*BOOLEANS), "`true`: groups say how many keys they have.")

OPERATIONS: Operations = {
    ("GET", KEYS_PATH): operation(
        MANY,
        "List keys in their order, page by page; `counts` wants a `delimiter`",
        {
            "200": answer(
                "The keys and groups; where to go on (`next`), or null; and whether all shards "
                "have answered.",
                {JSON: ref("Keys")},
                always=("Kv-Token", "Kv-Served-By"),
            ),
            **AT_FAULT,
            **OUT_OF_REACH,
        },
        (*LIST_PARAMETERS, COUNTS),
    ),
    ("GET", WATCH_PATH): operation(
        MANY,
        "Watch a key, or all keys of a prefix",
        {
            "200": answer(
                "Events `change`, `delete`, `expire` and `reset`, until one side ends.",
                {EVENTS: STRING},
                always=("Kv-Token", "Kv-Served-By"),
            ),
            **AT_FAULT,
            **problems("unavailable", sometimes=("Kv-Token",)),
        },
        (
            query("prefix", PART_OF_A_KEY, "The keys that begin so; not with `key`."),
            query("key", {**PART_OF_A_KEY, "minLength": 1}, "This key alone."),
            TIMEOUT,
            TOKEN,
            header(LAST_ID, OPAQUE, "Go on from the event with this id."),
        ),
    ),
    ("POST", BULK_PATH): operation(
        MANY,
        "Carry out many operations",
        {
            "200": answer(
                "A line for each operation, in their order, with its `status`; and a last line, "
                "with the number of those that are `done` and the `token`.",
                {NDJSON: STRING},
                always=("Kv-Served-By",),
            ),
            **STRANGER,
            **AT_FAULT,
            **problems("encoding", "unavailable"),
        },
        (W, R, STRICT, TIMEOUT, MISS, TOKEN, AGAIN, PREFER),
        body(
            'Lines: `{"op":"put","key","value"}` (JSON) or `"value_base64"` (bytes); '
            '`{"op":"get","key"}`; `{"op":"delete","key"}`. Writes may have a `context`.',
            {NDJSON: {"schema": {}, "example": EXAMPLE}},
            required=False,
        ),
    ),
    ("GET", EXPORT_PATH): operation(
        MANY,
        "Export all that the cluster holds",
        {
            "200": answer(
                "Lines: what the export is, policies, and shard by shard the values, counters and "
                "sets; and a last line, with the number of these that are `done`, or the `problem` "
                "that broke it off.",
                {NDJSON: STRING},
                always=("Kv-Served-By",),
            ),
            **STRANGER,
            **AT_FAULT,
            **problems("unavailable"),
        },
        (
            query("partial", one_of(*BOOLEANS), "`true`: go without nodes that do not answer."),
            TIMEOUT,
        ),
    ),
    ("POST", IMPORT_PATH): operation(
        MANY,
        "Import the lines of an export",
        {
            "200": answer(
                "A line for each line that failed, with its `problem`; and a last line, with how "
                "many were `written`, `there` already, `expired` and `failed`, and the `token`.",
                {NDJSON: STRING},
                always=("Kv-Served-By",),
            ),
            **STRANGER,
            **AT_FAULT,
            **problems("encoding", "unavailable", "not-empty"),
        },
        (
            query("merge", one_of(*BOOLEANS), "`true`: the cluster may have keys already."),
            W,
            TIMEOUT,
        ),
        body(
            "The lines of an export, or some of them.",
            {NDJSON: {"schema": {}, "example": EXPORTED}},
            required=False,
        ),
    ),
    ("POST", SNAPSHOT_PATH): operation(
        MANY,
        "Read keys so that their values are causally consistent with each other",
        {
            "200": answer(
                "The values of each key, in the order of the request; none where it has none.",
                {JSON: ref("Snapshot")},
                always=("Kv-Token", "Kv-Served-By"),
            ),
            **STRANGER,
            **AT_FAULT,
            **OF_BODIES,
            **OUT_OF_REACH,
        },
        (TIMEOUT, TOKEN, PREFER),
        body(
            "The keys.",
            {JSON: {"schema": KEYS_OF_A_SNAPSHOT, "example": {"keys": ["album", "photo"]}}},
            required=True,
        ),
    ),
}

SCHEMAS: dict[str, Json] = {
    "Keys": record(
        {"keys": STRINGS, "next": or_null(STRING), "complete": BOOLEAN},
        {
            "groups": list_of(record({"prefix": STRING}, {"count": INTEGER})),
            "unanswered": STRINGS,
        },
    ),
    "Snapshot": record({"values": list_of(ref("Envelope")), "token": STRING}),
}
