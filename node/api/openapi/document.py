"""From the routes that a node serves, and their descriptions, to one OpenAPI document.

The document has each of our own routes that is served, and no route of a contract: contracts are
described in docs/dialects.md.  HEAD is there wherever GET is, without bodies.
"""

import re
from collections.abc import Iterable

from node.api.admin import described as admin
from node.api.native import (
    described as native,
    described_many as many,
    explain_described as explain,
    merged_described as merged,
)
from node.api.openapi.parts import HEADERS, Json, Operations

OPENAPI = "3.1.0"
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")  # as they stand in the document
WORDS = re.compile(r"\w+")
PARTS = (native, many, merged, explain, admin)
OPERATIONS: Operations = {path: said for part in PARTS for path, said in part.OPERATIONS.items()}

ABOUT = (
    "Every node answers for every key. Tokens (`Kv-Token`), contexts (`Kv-Context`) and tags "
    "(`ETag`) are opaque: a client sends back those of an answer. Refusals under `/v1/kv`, "
    "`/v1/keys`, `/v1/bulk`, `/v1/snapshot`, `/v1/counters`, `/v1/sets`, `/v1/policies`, "
    "`/v1/problems` and `/v1/explain` are problem documents (RFC 9457), and so are those of what "
    "decodes tokens and contexts; the other routes, and "
    'refusals of pages of other origins, say `{"error": ...}`. '
    "A method that a path lacks is refused with 405, and `Allow` names those that it has. "
    "Whatever its path, a request that is not HTTP is refused with 400, one with a line that is "
    "too long with 431, and one whose body does not arrive in time with 408. The contracts that a "
    "node speaks beside this API have descriptions of their own."
)


def document_of(served: Iterable[tuple[str, str]], version: str) -> Json:
    """Return the document; `served` has the method and the pattern of each route."""
    found = [each for each in served if _described(*each) is not None]
    found.sort(key=lambda each: (each[1], METHODS.index(each[0])))
    paths: dict[str, Json] = {}
    for method, pattern in found:
        paths.setdefault(pattern, {})[method.lower()] = _operation(method, pattern)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Coterie",
            "version": version,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for part in PARTS for tag in part.TAGS],
        "paths": paths,
        "components": {
            "schemas": {name: schema for part in PARTS for name, schema in part.SCHEMAS.items()},
            "headers": HEADERS,
        },
    }


def _described(method: str, pattern: str) -> Json | None:
    return OPERATIONS.get(("GET" if method == "HEAD" else method, pattern))


def _operation(method: str, pattern: str) -> Json:
    said = _described(method, pattern)
    assert said is not None
    name = "_".join([method.lower(), *WORDS.findall(pattern)])
    if pattern.endswith("/"):
        name += "_"  # or else it is that of the path without the slash
    said = {"operationId": name, **said}
    return _without_bodies(said) if method == "HEAD" else said


def _without_bodies(said: Json) -> Json:
    answers = {
        status: {name: part for name, part in answer.items() if name != "content"}
        for status, answer in said["responses"].items()
    }
    return {**said, "summary": f"{said['summary']} (headers alone)", "responses": answers}
