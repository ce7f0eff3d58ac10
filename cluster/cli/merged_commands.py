"""What `coterie counter` and `coterie set` do: requests of the native API, and what they print.

A change has a name of its own, so it is one change however many nodes it is sent to.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from cluster.cli import session_file
from cluster.cli.client_session import UNMET, Asked
from cluster.engines.console import say
from cluster.engines.topology import (
    CONFLICT,
    FAILURE,
    NOT_FOUND,
    UNAVAILABLE,
    USAGE,
    Trouble,
)

CODES = {404: NOT_FOUND, 409: CONFLICT, 400: USAGE, 422: USAGE, 503: UNAVAILABLE}
NO_NODE = "no node answered in time"
WAIT_S_MAX = 60.0  # that a node accepts

# A proxy of the environment must not stand between this host and its own ports.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def counter(asked: Asked, key: str, amount: int | None, level: str | None, as_json: bool) -> None:
    """Add to a counter, or read it; print its value."""
    body = None if amount is None else {"add": amount}
    document = _ask(asked, f"/v1/counters/{quote(key)}", body, level)
    say(json.dumps(document) if as_json else str(document["value"]))


def change_set(
    asked: Asked, key: str, add: list[str], remove: list[str], level: str | None, as_json: bool
) -> None:
    """Add to a set and remove from it, or read it; print its elements, one a line."""
    body = {"add": [*map(element_of, add)], "remove": [*map(element_of, remove)]}
    document = _ask(asked, f"/v1/sets/{quote(key)}", body if add or remove else None, level)
    if as_json:
        say(json.dumps(document, ensure_ascii=False))
    for element in () if as_json else document["elements"]:
        is_plain = isinstance(element, str) and element_of(element) == element
        say(element if is_plain else json.dumps(element, ensure_ascii=False))


def element_of(text: str) -> Any:
    """Return the JSON scalar that an argument is, or the argument as a text."""
    try:
        element = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(element, list | dict) else element


def delete(asked: Asked, path: str, key: str, level: str | None) -> None:
    """Delete a counter or a set."""
    _ask(asked, f"/v1/{path}/{quote(key)}", None, level, method="DELETE")
    say("deleted")


def _ask(
    asked: Asked, path: str, body: object, level: str | None, method: str = "GET"
) -> dict[str, Any]:
    """Ask one node after the other until one answers, with the session's token, and keep the token
    of the answer.  A refusal ends the command with its exit code."""
    method = method if body is None else "POST"
    saved = session_file.load(asked.session)
    query = {"timeout": f"{min(asked.timeout_s, WAIT_S_MAX):g}"}
    query |= {} if level is None else {("r" if method == "GET" else "w"): level}
    headers = {"Kv-Token": saved.token} if saved.token else {}
    headers |= {} if method == "GET" else {"Idempotency-Key": uuid4().hex}
    data = None if body is None else json.dumps(body).encode()
    trouble = Trouble(NO_NODE, UNAVAILABLE)
    for url in asked.urls:
        target = f"{url}{path}?{urlencode(query)}"
        try:
            request = urllib.request.Request(target, data, headers, method=method)
            with _OPENER.open(request, timeout=asked.timeout_s) as answer:
                saved.token = answer.headers["Kv-Token"]
                session_file.save(asked.session, saved)
                text = answer.read()
                return json.loads(text) if text else {}
        except urllib.error.HTTPError as refusal:
            with refusal:
                trouble = _trouble(refusal.code, dict(refusal.headers), refusal.read())
            if refusal.code != 503:
                break
        except ValueError as error:
            raise Trouble(f"{url} is no URL of a node: {error}", USAGE) from error
        except (OSError, HTTPException):
            continue
    raise trouble


def _trouble(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    try:
        problem = json.loads(body)
        detail = str(problem["detail"])
        kind = str(problem["type"]).rpartition("/")[2]
    except (ValueError, KeyError, TypeError):
        return Trouble(f"a node answered {status}", FAILURE)
    if headers.get("Kv-Outcome") == "unknown":
        detail += "; the change may be done or not"
    return Trouble(detail, UNMET if kind == "unmet" else CODES.get(status, FAILURE))
