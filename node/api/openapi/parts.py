"""The words of a description: parameters, bodies, headers and answers of one operation.

Each function returns a piece of the OpenAPI document.  What many operations share stands once
among the components of the document, and is referred to by its name.
"""

from collections.abc import Mapping
from typing import Any

from node.api.native.problems import KINDS, PATH, PROBLEM_JSON

Json = dict[str, Any]
Answers = dict[str, Json]
Operations = Mapping[tuple[str, str], Json]  # by method and pattern of the route

JSON = "application/json"
TEXT = "text/plain"
ANY_TYPE = "*/*"
STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
NUMBER: Json = {"type": "number"}
BOOLEAN: Json = {"type": "boolean"}
OPAQUE: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
COUNTED: Json = {"type": "string", "pattern": "^[0-9]+/[0-9]+$"}
TAG: Json = {"type": "string", "pattern": '^"[^"]*"$'}
STRINGS: Json = {"type": "array", "items": STRING}


# ------------------------------------------------------------------ schemas
def ref(name: str, kind: str = "schemas") -> Json:
    """Refer to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def one_of(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


def or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def map_of(schema: Json) -> Json:
    return {"type": "object", "additionalProperties": schema}


def record(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    """Describe an object that an answer shows; later versions may add fields."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": list(required), "properties": properties}


def fields(optional: Mapping[str, Json]) -> Json:
    """Describe an object that a client sends: all fields may be left out, others are refused."""
    return {"type": "object", "properties": dict(optional), "additionalProperties": False}


# ------------------------------------------------------------------ what a request has
def _parameter(place: str, name: str, schema: Json, text: str, example: object) -> Json:
    shown = {} if example is None else {"example": example}
    return {"name": name, "in": place, "description": text, "schema": schema, **shown}


def path(name: str, schema: Json, text: str, example: object) -> Json:
    return {**_parameter("path", name, schema, text, example), "required": True}


def query(name: str, schema: Json, text: str, example: object = None) -> Json:
    return _parameter("query", name, schema, text, example)


def header(name: str, schema: Json, text: str) -> Json:
    return _parameter("header", name, schema, text, None)


def body(text: str, content: Mapping[str, Json], *, required: bool) -> Json:
    """Describe a request's body; `content` has a schema, and perhaps an example, by type."""
    return {"description": text, "required": required, "content": dict(content)}


# ------------------------------------------------------------------ what an answer has
def answer(
    text: str,
    content: Mapping[str, Json] | None = None,
    *,
    always: tuple[str, ...] = (),
    sometimes: tuple[str, ...] = (),
) -> Json:
    """Describe an answer: the schema of its body by type, and its headers by name."""
    said: Json = {"description": text, "headers": headers("Kv-View", *always, sometimes=sometimes)}
    if content:
        said["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    return said


def headers(*always: str, sometimes: tuple[str, ...] = ()) -> Json:
    return {
        **{name: ref(name, "headers") for name in sometimes},
        **{name: {**HEADERS[name], "required": True} for name in always},
    }


def problems(*kinds: str, always: tuple[str, ...] = (), sometimes: tuple[str, ...] = ()) -> Answers:
    """Describe the refusals of these kinds, by status; all kinds of one status share an answer."""
    by_status: dict[int, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(KINDS[kind].status, []).append(kind)
    return {
        str(status): _problem(status, names, always, sometimes)
        for status, names in by_status.items()
    }


def _problem(
    status: int, names: list[str], always: tuple[str, ...], sometimes: tuple[str, ...]
) -> Json:
    text = "; ".join(f"`{name}`: {KINDS[name].title}" for name in names)
    types = {"type": one_of(*(PATH + name for name in names)), "status": {"const": status}}
    schema = {"allOf": [ref("Problem"), {"type": "object", "properties": types}]}
    in_doubt = ("Retry-After", "Kv-Outcome") if status == 503 else ()
    always = ("Kv-Served-By", *in_doubt, *always)
    return answer(text, {PROBLEM_JSON: schema}, always=always, sometimes=sometimes)


def refusals(texts: Mapping[int, str]) -> Answers:
    """Describe the refusals of the administrative routes: {"error": words}."""
    in_doubt = ("Retry-After", "Kv-Outcome")
    return {
        str(status): answer(
            text, {JSON: ref("Refusal")}, sometimes=in_doubt if status == 503 else ()
        )
        for status, text in texts.items()
    }


def operation(
    tag: str,
    summary: str,
    answers: Answers,
    parameters: tuple[Json, ...] = (),
    request: Json | None = None,
) -> Json:
    """Describe one method of one path."""
    said: Json = {"tags": [tag], "summary": summary}
    if parameters:
        said["parameters"] = list(parameters)
    if request is not None:
        said["requestBody"] = request
    said["responses"] = dict(sorted(answers.items()))
    return said


HEADERS: dict[str, Json] = {
    name: {"description": text, "schema": schema}
    for name, schema, text in (
        ("ETag", TAG, "The versions that the key shows."),
        ("Kv-Acks", COUNTED, "How many of the key's replicas have the write on disk."),
        ("Kv-Context", OPAQUE, "What this answer shows of the key."),
        ("Kv-Expires", NUMBER, "When the value expires, in seconds since the epoch."),
        (
            "Kv-Hints",
            {"type": "integer", "minimum": 1},
            "For how many other replicas a node of another shard has the write on disk.",
        ),
        ("Kv-Missing", STRING, "The writes that the token names and this answer lacks."),
        ("Kv-Outcome", one_of("definite", "unknown"), "`definite`: certainly nothing changed."),
        ("Kv-Reads", COUNTED, "How many of the key's replicas were read."),
        ("Kv-Served-By", STRING, "The address of the node that decided."),
        ("Kv-Siblings", {"type": "integer", "minimum": 2}, "How many values the key has."),
        ("Kv-Token", OPAQUE, "The session, to send back."),
        ("Kv-View", {"type": "integer", "minimum": 0}, "The number of the node's view."),
        ("Location", STRING, "Where the job is."),
        ("Preference-Applied", STRING, "The preference that was followed."),
        ("Retry-After", INTEGER, "How many seconds to wait before the request is repeated."),
    )
}
