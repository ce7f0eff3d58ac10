"""What the launcher asks a node over HTTP: whether it is up or ready, its view, to obey a cut.

Every call is one short request with a timeout.  A node that does not answer is a value and no
exception, since most of the callers ask just that.  The environment says with which token the
launcher asks, and which authority vouches for nodes that speak TLS.
"""

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http.client import HTTPException
from typing import Any, TypeVar

from cluster.engines.topology import USAGE, Trouble

TOKEN_VARIABLE, CA_VARIABLE = "COTERIE_TOKEN", "COTERIE_CA"
REFUSALS = {
    401: "it wants a token: set COTERIE_TOKEN to one that `coterie token create` has made for it",
    403: "the token in COTERIE_TOKEN lacks a scope: status wants read, changes want admin",
}
ASK_TIMEOUT_S = 2.0
POLL_EVERY_S = 0.1
ASK_AT_ONCE_MAX = 16
CUT_TTL_S = 600

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@cache
def _opener(ca: str) -> urllib.request.OpenerDirector:
    """Return what opens connections; a proxy of the environment must not stand between this host
    and its own ports.  Raises Trouble for a file that is no authority."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if ca:
        try:
            context = ssl.create_default_context(cafile=ca)
        except OSError as error:
            words = f"{CA_VARIABLE} is {ca!r}, no file with certificates ({error})"
            raise Trouble(words, USAGE) from error
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


def ask(
    method: str, port: int, path: str, body: object = None, timeout_s: float = ASK_TIMEOUT_S
) -> tuple[int, str]:
    """Return status and text of a node's answer; status 0 and the reason if none came."""
    token, ca = os.environ.get(TOKEN_VARIABLE, ""), os.environ.get(CA_VARIABLE, "")
    request = urllib.request.Request(
        f"{'https' if ca else 'http'}://127.0.0.1:{port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with _opener(ca).open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode(errors="replace")
    except (OSError, ValueError) as problem:
        return 0, str(getattr(problem, "reason", problem)) or type(problem).__name__
    except HTTPException as problem:
        return 0, f"not HTTP: {type(problem).__name__}"


def unready(port: int) -> str | None:
    """Return the check of /readyz that fails at the node; None if it is ready."""
    status, text = ask("GET", port, "/readyz?verbose")
    if status == 200:
        return None
    if status == 0:
        return f"no answer ({text})"
    failing = [line for line in text.splitlines() if line.startswith("[-]")]
    return "; ".join(failing) or f"/readyz answers {status}"


def unready_but_for_a_view(port: int) -> str | None:
    """Return the same, but accept a node that waits for its first view."""
    view = view_of(port)
    return None if view is not None and not view.get("number") else unready(port)


def status_of(port: int) -> dict[str, Any] | None:
    """Return the node's /v1/status; None if it does not answer."""
    status, text = ask("GET", port, "/v1/status")
    if status != 200:
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def refusal_of(port: int) -> str | None:
    """Return why the node does not tell its status to this caller; None if it would, or is
    silent."""
    return REFUSALS.get(ask("GET", port, "/v1/status")[0])


def view_of(port: int) -> dict[str, Any] | None:
    """Return the node's current view; None if it does not tell."""
    return view_in(status_of(port))


def view_in(status: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the view in a node's status; None if it has none."""
    view = (status or {}).get("view")
    return view if isinstance(view, dict) else None


def cut(port: int, addresses: Iterable[str]) -> bool:
    """Let the node drop all frames to and from exactly these peers; return whether it obeyed."""
    peers = sorted(addresses)
    if peers:
        status, _ = ask("PUT", port, "/v1/faults", {"cut": peers, "ttl_s": CUT_TTL_S})
    else:
        status, _ = ask("DELETE", port, "/v1/faults")
    return status in (200, 204)


def everyone(question: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Put one question to many nodes at the same time; return the answers in their order."""
    with ThreadPoolExecutor(ASK_AT_ONCE_MAX) as pool:
        return list(pool.map(question, items))


def until(condition: Callable[[], Answer | None], wait_s: float) -> Answer | None:
    """Return the first answer of the condition that is not None; None after this time."""
    deadline = time.monotonic() + wait_s
    while (answer := condition()) is None and time.monotonic() < deadline:
        time.sleep(POLL_EVERY_S)
    return answer


def now() -> float:
    """Return the time by which waits are measured."""
    return time.monotonic()
