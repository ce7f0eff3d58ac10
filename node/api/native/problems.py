"""Refusals as problem documents.  (RFC 9457.)

Every refusal says of what kind it is, what was wrong with this request, whether anything may have
been written (`definite`: certainly nothing), and whether the same request may succeed later
(`retryable`).  `type` is a path under which every node explains the kind.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from node.api.contract import Call, Dialect, Refused, Reply, Route
from node.api.parsing import refused, words_in
from node.core.protocol.operations import Outcome, Rejected, Unavailable

PROBLEM_JSON = "application/problem+json"
TEXT = "text/plain; charset=utf-8"
PATH = "/v1/problems/"


class ProblemKind(NamedTuple):
    """One kind of problem: its status, its title, and what a person should know of it."""

    status: int
    title: str
    text: str


KINDS = {
    "malformed": ProblemKind(
        400,
        "The request is malformed",
        "A parameter, a header, the key or the body is not as the API wants it.  The detail names\n"
        "it and says what was expected.  Nothing was written.",
    ),
    "unauthorized": ProblemKind(
        401,
        "The request has no valid token",
        "The node has bearer tokens for its clients.  Send one of them in the header\n"
        "Authorization: Bearer TOKEN.  Nothing was written.",
    ),
    "forbidden": ProblemKind(
        403,
        "The token does not allow this",
        "A token has some of the scopes read, write and admin.  The path or the operation wants\n"
        "another one, which the detail names.  Nothing was written.",
    ),
    "absent": ProblemKind(
        404,
        "The key has no value",
        "Nothing was written under this key, or it was deleted, as far as the replicas that were\n"
        "asked know.  Ask more replicas with r=quorum or r=all.",
    ),
    "path": ProblemKind(
        404,
        "There is no such path",
        "The API has no such path.  /openapi.json and /v1/docs name all that it has.  Nothing was\n"
        "written.",
    ),
    "not-empty": ProblemKind(
        409,
        "The cluster has keys",
        "An import goes into a cluster without any key, counter or set, also deleted ones.  With\n"
        "merge=true it adds to what there is.  Nothing was written.",
    ),
    "method": ProblemKind(
        405,
        "The path has no such method",
        "The header Allow names the methods that it has.  Nothing was written.",
    ),
    "siblings": ProblemKind(
        409,
        "The key has several concurrent values",
        "A write would stand beside the values that there are, and a key may have only so many.\n"
        "Or it has had more writes with an Idempotency-Key in 10 minutes than are remembered.\n"
        "Or a PATCH cannot tell which of them lives on.  Read the key, and write one value with\n"
        "the Kv-Context of that answer.",
    ),
    "condition": ProblemKind(
        412,
        "A condition of the request does not hold",
        "If-Match or If-None-Match excludes what the key shows.  Nothing was written.  Read the\n"
        "key again, and decide anew.",
    ),
    "reused": ProblemKind(
        422,
        "The Idempotency-Key was used for another write",
        "In the last 10 minutes this key was written with the same Idempotency-Key, and another\n"
        "body, type, context or condition.  Nothing was written.  Give each write its own.",
    ),
    "bounds": ProblemKind(
        422,
        "The counter or the set would exceed a bound",
        "A counter has 64 bits, and a set only so many elements; /v1/limits says how many.\n"
        "Nothing was added and nothing was removed.",
    ),
    "context": ProblemKind(
        428,
        "The policy of the key wants a context",
        "A policy of this prefix refuses writes that do not say what their client has seen.  Read\n"
        "the key, and send the Kv-Context of that answer, or a condition.",
    ),
    "too-large": ProblemKind(
        413,
        "The value is too large",
        "The detail says the limit.  Nothing was written.",
    ),
    "labels": ProblemKind(
        431,
        "The labels of the value are too large",
        "A value may have 32 headers Kv-Meta-NAME, which have 8 KiB together with its content\n"
        "type.  Nothing was written.",
    ),
    "encoding": ProblemKind(
        415,
        "The body is encoded",
        "A value is stored as the bytes that are sent: send it without Content-Encoding.",
    ),
    "too-many": ProblemKind(
        429,
        "The client asks too often",
        "The node bounds how often one client may ask (REQUESTS_PER_S_MAX).  Ask again after the\n"
        "seconds that Retry-After names, or another node.  Nothing was written.",
    ),
    "unmet": ProblemKind(
        503,
        "The token is ahead of all replicas that can be reached",
        "The client depends on writes that no replica within reach has.  `missing` names them.\n"
        "Try again, ask with a longer timeout, or read with on-miss=stale.",
    ),
    "unavailable": ProblemKind(
        503,
        "Too few replicas can be reached",
        "If `definite` is true nothing was written.  If it is false the write may be done: read\n"
        "the key, or write again with the context that you had.",
    ),
}


KIND_OF = {
    404: "path",
    405: "method",
    413: "too-large",
    415: "encoding",
    429: "too-many",
    503: "unavailable",
}


def problem(
    call: Call,
    kind: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    *,
    definite: bool = True,
    **more: Any,
) -> Reply:
    """Return the problem document as a reply; `more` are fields that belong to the kind."""
    (status, title, _), address = KINDS[kind], call.facts().address
    body = {
        "type": PATH + kind,
        "title": title,
        "status": status,
        "detail": detail,
        "definite": definite,
        "retryable": status in (429, 503),
        "node": address,
        **more,
    }
    more_headers = {"Kv-Served-By": address}
    if status == 503:
        more_headers["Retry-After"] = "1"
        more_headers["Kv-Outcome"] = "definite" if definite else "unknown"
    return Reply(status, orjson.dumps(body), {**more_headers, **(headers or {})}, PROBLEM_JSON)


def not_recognized(call: Call, outcome: Outcome) -> Reply:
    """Refuse a request whose token or context the node does not take."""
    match outcome:
        case Rejected(reason=reason):
            return problem(call, "malformed", reason)
        case Unavailable(reason=reason, definite=definite):
            return problem(call, "unavailable", reason, definite=definite)
        case _:
            raise AssertionError(f"{type(outcome).__name__} is no answer to this request")


def malformed(call: Call, detail: str) -> Refused:
    """Return the exception to raise for a request that is not as the API wants it."""
    return Refused(problem(call, "malformed", detail))


def reworded(call: Call, reply: Reply) -> Reply:
    """Turn a refusal of the server, of a request that no handler has seen, into a problem."""
    if reply.content_type == PROBLEM_JSON:
        return reply
    kind = KIND_OF.get(reply.status, "malformed")
    return problem(call, kind, words_in(reply), reply.headers)


def dialect(name: str, *routes: Route) -> Dialect:
    """Return a part of the native API: the server's own refusals are problems there, too."""
    not_found = refused(404, "No such path")
    return Dialect(name, routes, lambda path: not_found, reworded, reworded)


def explain(call: Call) -> Reply:
    """Explain one kind of problem, for a person."""
    kind = KINDS.get(call.path["kind"])
    if kind is None:
        words = f"there is no such kind of problem; there are {', '.join(KINDS)}"
        return problem(call, "absent", words)
    return Reply(200, f"{kind.title} ({kind.status})\n{kind.text}\n".encode(), content_type=TEXT)
