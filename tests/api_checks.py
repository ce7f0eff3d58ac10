"""What schemathesis does with each request to our API, and what it checks beside the description.

The program loads this file by SCHEMATHESIS_HOOKS.  A random token or context is refused at once, so
requests that should be accepted get those of earlier answers, and many of them are about one key.
"""

import contextlib
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response, SerializationContext

PATIENT_S = 10.0
HURRIED_S = 2.0  # a client that gives the nodes less time may be told that there was too little
SHARED_KEY = "users/42"
# What a described request may be refused for: how many replicas there are is not in the document,
# the path without a key refuses everything, one parameter cannot be described to want another, and
# lengths are described in characters.
REFUSED = re.compile(r"[wr](: it)? is |the key is empty|counts=true counts|[a-z ]+ has .* bytes")

STATUSES = Path(os.environ["API_STATUSES"])
Request = Case[Any]


@dataclass
class Client:
    """What the client of all requests has seen."""

    requests: int = 0
    token: str = ""
    contexts: dict[str, str] = field(default_factory=dict)  # of keys that have a value


CLIENT = Client()


def hurries_in(case: Request) -> list[str]:
    """Return the parameters that leave the nodes no time."""
    times = {name: (case.query or {}).get(name) for name in ("timeout", "ttl")}
    return [name for name, text in times.items() if text and _seconds(text) < HURRIED_S]


def is_meant_well(case: Request) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def write(url: str, *, beside: bool) -> None:
    """Write a value in place of what there is, or beside it."""
    headers = {"Kv-Context": "none"} if beside else {}
    request = urllib.request.Request(url, b"Ann", headers, method="PUT")
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30):
        pass  # a policy may refuse it


@schemathesis.hook
def before_call(context: HookContext, case: Request, kwargs: dict[str, Any]) -> None:
    """Let half of the requests be about a key that has a value, or several, and half of those
    unconditional; two in three know what its client has seen."""
    CLIENT.requests += 1
    if not is_meant_well(case):
        return
    if "key" in case.path_parameters and CLIENT.requests % 2:
        case.path_parameters["key"] = SHARED_KEY
        write(f"{case.operation.base_url}v1/kv/{SHARED_KEY}", beside=CLIENT.requests % 8 < 4)
    if "Kv-Token" in case.headers:
        case.headers["Kv-Token"] = CLIENT.token
    if "token" in (case.query or {}):
        case.query["token"] = CLIENT.token
    if "context" in (case.query or {}):
        case.query["context"] = next(iter(CLIENT.contexts.values()), "none")
        case.query.pop("key", None)  # of another key it would be refused
    if "Kv-Context" in case.headers:
        seen = CLIENT.contexts.get(str(case.path_parameters.get("key")))
        case.headers["Kv-Context"] = seen if seen and CLIENT.requests % 3 else "none"
        if case.method == "DELETE" and case.headers["Kv-Context"] == "none":
            del case.headers["Kv-Context"]  # there is nothing to delete of what was not seen
    if CLIENT.requests % 5:  # the least number that is allowed is tried now and then
        for name in hurries_in(case):
            case.query[name] = PATIENT_S
    if CLIENT.requests % 4 < 2:
        for name in ("If-Match", "If-None-Match"):
            case.headers.pop(name, None)


@schemathesis.hook
def after_call(context: HookContext, case: Request, response: Response) -> None:
    """Keep the token and the context of the answer, and say in a file which status it has."""
    with STATUSES.open("a") as file:
        file.write(f"{response.status_code}\n")
    for token in response.headers.get("kv-token", ()):
        CLIENT.token = token
    if "etag" in response.headers:
        for seen in response.headers.get("kv-context", ()):
            CLIENT.contexts[str(case.path_parameters.get("key"))] = seen


@schemathesis.serializer("application/x-ndjson")
def lines(context: SerializationContext, value: Any) -> Any:
    """Send lines as they are."""
    return str(value).encode("utf-8", "surrogatepass")


@schemathesis.check
def a_healthy_cluster_serves(ctx: CheckContext, response: Response, case: Request) -> None:
    """No answer is 5xx, but for 503 to a client that leaves the nodes no time."""
    assert response.status_code < 500 or (response.status_code == 503 and hurries_in(case))


@schemathesis.check
def what_is_described_is_accepted(ctx: CheckContext, response: Response, case: Request) -> None:
    """The native API calls no described request malformed."""
    if is_meant_well(case) and response.status_code == 400 and response.content:
        problem = response.json()
        assert "detail" not in problem or REFUSED.match(problem["detail"]), problem


def _seconds(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
