"""From answers of a node to what calls return, or raise.

An answer that is not one of docs/api.md raises `Unexpected`: then this is no node.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from coterie.errors import (
    Absent,
    BadRequest,
    Conflict,
    ContextWanted,
    CoterieError,
    KeyReused,
    NotEmpty,
    OutOfBounds,
    PreconditionFailed,
    Problem,
    TooLarge,
    TooManySiblings,
    Unavailable,
    Unexpected,
    Unmet,
)
from coterie.resolvers import Resolver, Unresolvable, resolved
from coterie.steps import Answer
from coterie.values import BINARY, Head, Missing, Sibling, Value, Written, decoded, encoded

META = "kv-meta-"
KINDS = "/v1/problems/"
SOME_VALUE, SEVERAL_VALUES, AS_BEFORE = 200, 300, 304
TRY_AGAIN = (429, 502, 503, 504)  # a node may say so, or what stands before it


# ------------------------------------------------------------------ reads
def value_in(key: str, resolve: Resolver | None, answer: Answer) -> Value:
    """Read the answer to a GET; raise Conflict, or what a refusal says."""
    if answer.status == SOME_VALUE:
        content_type = answer.headers.get("content-type", BINARY)
        return _value(key, answer, decoded(answer.body, content_type), content_type, _meta(answer))
    if answer.status != SEVERAL_VALUES:
        raise error_in(answer, is_write=False)
    siblings = siblings_in(answer, _document(answer))
    value = one_of(key, siblings, header_of(answer, "kv-context"), resolve)
    return _value(key, answer, value, encoded(value)[1], {}, len(siblings))


def one_of(key: str, siblings: list[Sibling], context: str, resolve: Resolver | None) -> Any:
    """Return the value that the resolver makes of several; raise Conflict."""
    reason = "give a resolver, or write one in their place"
    if resolve is not None:
        try:
            return resolved(resolve, list(siblings))
        except Unresolvable as error:
            reason = str(error)
    words = f"{key!r} has {len(siblings)} concurrent values: {reason}"
    raise Conflict(key, siblings, context, words)


def document_in(answer: Answer, *, is_write: bool = False) -> Mapping[str, Any]:
    """Read an answer that is one JSON object; raise what a refusal says."""
    if answer.status != SOME_VALUE:
        raise error_in(answer, is_write=is_write)
    return _document(answer)


def change_in(key: str, resolve: Resolver | None, answer: Answer) -> Value | None:
    """Read the answer to a GET with If-None-Match: None if the client has what there is."""
    return None if answer.status == AS_BEFORE else value_in(key, resolve, answer)


def head_in(key: str, answer: Answer) -> Head:
    if answer.status not in (SOME_VALUE, SEVERAL_VALUES):
        raise error_in(answer, is_write=False)
    reads, copies = _fraction(answer, "kv-reads")
    return Head(
        key=key,
        content_type=answer.headers.get("content-type", BINARY),
        etag=header_of(answer, "etag"),
        context=header_of(answer, "kv-context"),
        meta=_meta(answer),
        expires=_seconds(answer, "kv-expires"),
        is_conflict=answer.status == SEVERAL_VALUES,
        reads=reads,
        copies=copies,
        missing=_missing(answer),
        served_by=header_of(answer, "kv-served-by"),
    )


def _value(
    key: str,
    answer: Answer,
    value: Any,
    content_type: str,
    meta: Mapping[str, str],
    siblings: int = 0,
) -> Value:
    reads, copies = _fraction(answer, "kv-reads")
    return Value(
        key=key,
        value=value,
        raw=encoded(value)[0] if answer.status == SEVERAL_VALUES else answer.body,
        content_type=content_type,
        etag=header_of(answer, "etag"),
        context=header_of(answer, "kv-context"),
        meta=meta,
        expires=_seconds(answer, "kv-expires"),
        siblings=siblings or _count(answer, "kv-siblings", 1),
        reads=reads,
        copies=copies,
        missing=_missing(answer),
        served_by=header_of(answer, "kv-served-by"),
    )


def siblings_in(answer: Answer, document: Mapping[str, Any]) -> list[Sibling]:
    """Read the siblings of the JSON form of a key."""
    try:
        return [_sibling(each) for each in document["siblings"]]
    except (ValueError, KeyError, TypeError) as error:
        raise unexpected(answer, f"siblings are not as expected: {error!r}") from error


def _document(answer: Answer) -> Mapping[str, Any]:
    """Return the JSON object that an answer is."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise unexpected(answer, "its body is no JSON object")
    return document


def _sibling(said: Mapping[str, Any]) -> Sibling:
    raw = said.get("value_base64")
    return Sibling(
        id=said["id"],
        etag=said["etag"],
        value=said["value"] if raw is None else base64.b64decode(raw),
        content_type=said["content_type"],
        meta=said["meta"],
        written_at=said["written_at"],
        expires=said["expires_at"],
        node=said["node"],
    )


def _meta(answer: Answer) -> dict[str, str]:
    """Return the client's own labels; HTTP has no case in their names."""
    headers = answer.headers.items()
    return {name[len(META) :]: text for name, text in headers if name.startswith(META)}


def _missing(answer: Answer) -> tuple[Missing, ...]:
    text = answer.headers.get("kv-missing", "")
    found = []
    for entry in filter(None, text.split(", ")):
        actor, _, counts = entry.rpartition("=")
        have, need = _two(answer, "kv-missing", counts)
        found.append(Missing(unquote(actor), have, need))
    return tuple(found)


# ------------------------------------------------------------------ writes
def written_in(key: str, answer: Answer) -> Written:
    """Read the answer to a write; raise what a refusal says."""
    if answer.status not in (200, 201, 204):
        raise error_in(answer, is_write=True)
    acks, copies, hints = acks_in(answer)
    return Written(
        key=key,
        created=answer.status == 201,
        etag=answer.headers.get("etag", ""),
        context=header_of(answer, "kv-context"),
        expires=_seconds(answer, "kv-expires"),
        siblings=_count(answer, "kv-siblings", 1),
        acks=acks,
        copies=copies,
        hints=hints,
        served_by=header_of(answer, "kv-served-by"),
    )


def acks_in(answer: Answer) -> tuple[int, int, int]:
    """Return how many replicas have a write on disk, of how many, and for how many of the others
    it is kept."""
    return *_fraction(answer, "kv-acks"), _count(answer, "kv-hints", 0)


# ------------------------------------------------------------------ refusals
def is_worth_another_try(answer: Answer) -> bool:
    """Whether the same request may succeed later, or at another node."""
    return answer.status in TRY_AGAIN


def is_crowded(answer: Answer) -> bool:
    """Whether the key has too many values, or has had too many writes with a name lately."""
    return answer.status == 409


def is_unmet(answer: Answer) -> bool:
    problem = _problem_in(answer)
    return problem is not None and problem.kind == "unmet"


def error_in(answer: Answer, *, is_write: bool) -> CoterieError:
    """Return the error that a refusal means."""
    problem, status = _problem_in(answer), answer.status
    definite = problem.definite if problem else not is_write
    words = problem.detail if problem else f"the node answered {status}"
    context = answer.headers.get("kv-context", "")
    is_ours = problem is not None or "kv-served-by" in answer.headers  # a HEAD has no document
    if status in TRY_AGAIN:
        kind = Unmet if is_unmet(answer) else Unavailable
        return kind(words, definite=definite, problem=problem)
    if not is_ours:
        return unexpected(answer, "this is no problem document", definite=definite)
    if status == 404:
        return Absent(words, definite=definite, problem=problem, context=context)
    if status == 412:
        etag = answer.headers.get("etag", "")
        return PreconditionFailed(
            words, definite=definite, problem=problem, etag=etag, context=context
        )
    if problem is not None and problem.kind == "bounds":
        return OutOfBounds(words, definite=definite, problem=problem)
    if problem is not None and problem.kind == "not-empty":
        return NotEmpty(words, definite=definite, problem=problem)
    if status in BY_STATUS:
        return BY_STATUS[status](words, definite=definite, problem=problem)
    if 400 <= status < 500:
        return BadRequest(words, definite=definite, problem=problem)
    if status >= 500:
        return Unavailable(words, definite=definite, problem=problem)
    return unexpected(answer, "no call asks for that", definite=definite)


BY_STATUS: dict[int, type[CoterieError]] = {
    409: TooManySiblings,
    413: TooLarge,
    422: KeyReused,
    428: ContextWanted,
    431: TooLarge,
}


def _problem_in(answer: Answer) -> Problem | None:
    """Return the problem document of an answer, if it has one."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        said = json.loads(answer.body)
        kind = str(said.pop("type")).removeprefix(KINDS)
        own = {name: said.pop(name) for name in ("title", "status", "detail", "definite")}
        return Problem(
            kind, **own, retryable=said.pop("retryable"), node=said.pop("node"), more=said
        )
    except (ValueError, KeyError, AttributeError):
        return None


def unexpected(answer: Answer, why: str, *, definite: bool = True) -> Unexpected:
    """Return the error of an answer that is none of a node."""
    words = f"the answer with status {answer.status} is not one of a node: {why}"
    return Unexpected(words, definite=definite)


# ------------------------------------------------------------------ headers
def header_of(answer: Answer, name: str) -> str:
    """Return a header that every such answer of a node has."""
    if name not in answer.headers:
        raise unexpected(answer, f"it has no {name}", definite=False)
    return answer.headers[name]


def _fraction(answer: Answer, name: str) -> tuple[int, int]:
    return _two(answer, name, header_of(answer, name))


def _two(answer: Answer, name: str, text: str) -> tuple[int, int]:
    one, _, other = text.partition("/")
    try:
        return int(one), int(other)
    except ValueError:
        raise unexpected(answer, f"{name} is {text!r}", definite=False) from None


def _count(answer: Answer, name: str, usual: int) -> int:
    text = answer.headers.get(name, "")
    return int(text) if text.isdecimal() else usual


def _seconds(answer: Answer, name: str) -> float | None:
    text = answer.headers.get(name)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise unexpected(answer, f"{name} is {text!r}", definite=False) from None
