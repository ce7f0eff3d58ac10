"""Counters and sets described: every parameter, header and answer of their routes."""

from node.api.native.described import (
    AGAIN,
    AT_FAULT,
    MISS,
    NONE_MATCH,
    OF_BODIES,
    OUT_OF_REACH,
    PREFER,
    STRANGER,
    STRICT,
    TIMEOUT,
    TOKEN,
    R,
    W,
)
from node.api.native.merged_keys import COUNTER, SET, MergedKind
from node.api.native.parameters import KEY_BYTES_MAX
from node.api.openapi.parts import (
    BOOLEAN,
    INTEGER,
    JSON,
    NUMBER,
    STRING,
    Answers,
    Json,
    Operations,
    answer,
    body,
    fields,
    list_of,
    operation,
    path,
    problems,
    record,
    ref,
)
from node.core.model.counters import COUNT_MAX

TAGS = (MERGED,) = ("Counters and sets",)
SCALAR: Json = {"anyOf": [STRING, INTEGER, NUMBER, BOOLEAN, {"type": "null"}]}
ELEMENTS: Json = {"type": "array", "items": SCALAR}
ACKNOWLEDGED: dict[str, Json] = {"token": STRING, "acks": INTEGER, "copies": INTEGER}
AMOUNT: Json = {"type": "integer", "minimum": -COUNT_MAX, "maximum": COUNT_MAX}

READ_ALWAYS = ("Kv-Token", "Kv-Served-By", "Kv-Reads", "ETag")
READ_SOMETIMES = ("Kv-Siblings", "Kv-Missing")
WRITE_ALWAYS = ("Kv-Token", "Kv-Served-By", "Kv-Acks")
WRITE_SOMETIMES = ("ETag", "Kv-Hints", "Kv-Siblings")
NOTHING_THERE = problems(
    "absent", always=("Kv-Token",), sometimes=("Kv-Reads", "Kv-Missing", "Kv-Siblings")
)


def _key(kind: MergedKind, example: str) -> Json:
    return path(
        "key",
        {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX},
        f"The name: everything behind `{kind.path}`. 1 to 1024 bytes of UTF-8, no NUL.",
        example,
    )


def _shown(schema: str) -> Answers:
    content = {JSON: ref(schema)}
    return {
        "200": answer("What it is.", content, always=READ_ALWAYS, sometimes=READ_SOMETIMES),
        "304": answer("The client has this.", always=READ_ALWAYS, sometimes=READ_SOMETIMES),
        **AT_FAULT,
        **NOTHING_THERE,
        **OUT_OF_REACH,
    }


def _minimal(text: str, *more: str) -> Answers:
    return {"204": answer(text, always=WRITE_ALWAYS, sometimes=(*WRITE_SOMETIMES, *more))}


REFUSED: Answers = {
    **STRANGER,
    **AT_FAULT,
    **OUT_OF_REACH,
    **problems("siblings", always=("Kv-Token",)),
}


def _changed(schema: str) -> Answers:
    words = "What it is then, as the home of the key sees it."
    content = {JSON: ref(schema)}
    return {
        "200": answer(words, content, always=WRITE_ALWAYS, sometimes=WRITE_SOMETIMES),
        **_minimal("The same, with `Prefer: return=minimal`.", "Preference-Applied"),
        **REFUSED,
        **OF_BODIES,
        **problems("reused", "bounds", always=("Kv-Token",)),
    }


RESET: Answers = {
    **_minimal("What the home has seen is gone; what was added beside it stays."),
    **REFUSED,
    **NOTHING_THERE,
    **problems("reused", always=("Kv-Token",)),
}
READ = (R, STRICT, TIMEOUT, MISS, TOKEN, NONE_MATCH, PREFER)
WRITE = (W, STRICT, TIMEOUT, TOKEN, AGAIN, PREFER)
COUNTER_BODY = body(
    "How much is added: an integer of 64 bits, of any sign.",
    {JSON: {"schema": ref("Addition"), "example": {"add": 5}}},
    required=True,
)
SET_BODY = body(
    "The elements that are removed, and those that are then added: texts, numbers, booleans, null.",
    {JSON: {"schema": ref("Elements"), "example": {"add": ["milk"], "remove": []}}},
    required=True,
)

OPERATIONS: Operations = {
    each: said
    for kind, name, example, shown, changed, request in (
        (COUNTER, "counter", "visits", "Counter", "CounterChanged", COUNTER_BODY),
        (SET, "set", "tags", "Set", "SetChanged", SET_BODY),
    )
    for key in (_key(kind, example),)
    for each, said in (
        (
            ("GET", kind.path + "{key}"),
            operation(MERGED, f"Read a {name}", _shown(shown), (key, *READ)),
        ),
        (
            ("POST", kind.path + "{key}"),
            operation(MERGED, f"Change a {name}", _changed(changed), (key, *WRITE), request),
        ),
        (
            ("DELETE", kind.path + "{key}"),
            operation(MERGED, f"Delete a {name}", RESET, (key, *WRITE)),
        ),
        *(
            (
                (method, kind.path),
                operation(MERGED, "Refused: the key is empty", {**AT_FAULT, **more}),
            )
            for method, more in (("GET", {}), ("POST", STRANGER), ("DELETE", STRANGER))
        ),
    )
}

SCHEMAS: dict[str, Json] = {
    "Addition": {**fields({"add": AMOUNT}), "required": ["add"]},
    "Elements": fields({"add": ELEMENTS, "remove": ELEMENTS}),
    "Counter": record({"key": STRING, "value": INTEGER}),
    "CounterChanged": record({"key": STRING, "value": INTEGER, **ACKNOWLEDGED}),
    "Set": record({"key": STRING, "elements": list_of(SCALAR)}),
    "SetChanged": record({"key": STRING, "elements": list_of(SCALAR), **ACKNOWLEDGED}),
}
