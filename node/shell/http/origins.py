"""Pages of other origins may not write: CORS, and a check of every change.

A browser sends the requests of any page, and asks the server first only for unusual ones.  So a
page that a user opens could write to a node that only this user can reach.  But a browser names the
page's origin with every request that could change something.  A node refuses a change from another
origin than its own, unless the operator allows that origin.  A client that is no browser sends no
origin.  (Fetch standard, fetch.spec.whatwg.org, "CORS protocol"; RFC 6454.)
"""

from collections.abc import Collection, Mapping, Sequence

from aiohttp.hdrs import (
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD,
    HOST,
    ORIGIN,
    UPGRADE,
    VARY,
)
from aiohttp.web_request import BaseRequest

from node.api.contract import Reply
from node.api.parsing import METADATA_HEADER, refused

ANY_ORIGIN = "*"
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1
REMEMBERED_S = 600  # how long a browser may remember the answer to a preflight
SHOWN_CHARACTERS = 200
EXPOSED = (
    "ETag, Kv-Acks, Kv-Context, Kv-Expires, Kv-Hints, Kv-Lacking, Kv-Missing, Kv-Next, Kv-Outcome, "
    "Kv-Reads, Kv-Served-By, Kv-Siblings, Kv-Token, Kv-View, Location, Preference-Applied, "
    f"Retry-After, {METADATA_HEADER}"
)
ACCEPTED = (
    "Authorization, Content-Type, If-Match, If-None-Match, Kv-Context, Kv-Token, Prefer, "
    f"{METADATA_HEADER}"
)


def origin_form(target: str) -> tuple[str, str | None]:
    """Return the path and query of a request's target, and the host if the target names one.

    That host counts instead of the header then (RFC 9112, 3.2.2).
    """
    if target.startswith("/"):
        return target, None
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in DEFAULT_PORTS:
        return target, None  # such as *, of OPTIONS, or host:port, of CONNECT
    end = next((at for at, letter in enumerate(rest) if letter in "/?#"), len(rest))
    path = rest[end:]
    return (path if path.startswith("/") else f"/{path}"), rest[:end]


class Origins:
    """The rights of origins; `allowed` are those beside the node's own, or `ANY_ORIGIN`."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def is_allowed(self, origin: str) -> bool:
        """Whether pages of this origin may write.  An origin is ASCII text (RFC 6454, 6.2)."""
        return origin.isascii() and (ANY_ORIGIN in self._allowed or origin.lower() in self._allowed)

    def refusal(self, request: BaseRequest, host: str | None) -> Reply | None:
        """Return the refusal of a request that its origin may not make; None: it may.

        `host` is that of the target, if it names one.  A peer's link may change everything, so it
        counts too.
        """
        origin = request.headers.get(ORIGIN)
        if origin is None:
            return None
        is_preflight = request.method == "OPTIONS" and is_asked_first(request)
        is_safe = request.method in SAFE_METHODS and UPGRADE not in request.headers
        if (is_safe and not is_preflight) or self.is_allowed(origin):
            return None
        if is_own(origin, request.headers.get(HOST, "") if host is None else host):
            return None
        shown = origin[:SHOWN_CHARACTERS].encode("ascii", "backslashreplace").decode()
        words = f"requests from pages of {shown} are refused"
        advice = "name this origin in the setting CORS_ORIGINS of the node to allow them"
        return refused(403, f"{words}: {advice}", {"Kv-Outcome": "definite"})

    def headers(self, request: BaseRequest) -> Mapping[str, str]:
        """Return the headers that every answer has for a page of an allowed origin."""
        origin = request.headers.get(ORIGIN)
        if origin is None or not self.is_allowed(origin):
            return {}
        return {
            ACCESS_CONTROL_ALLOW_ORIGIN: origin,
            ACCESS_CONTROL_EXPOSE_HEADERS: EXPOSED,
            VARY: ORIGIN,
        }


def is_asked_first(request: BaseRequest) -> bool:
    """Whether the request is a preflight: a browser asks what a page may do."""
    return ORIGIN in request.headers and ACCESS_CONTROL_REQUEST_METHOD in request.headers


def permission(methods: Sequence[str]) -> Reply:
    """Answer a preflight: a page may use these methods of the path, and no unusual headers."""
    allowed = ", ".join(methods)
    return Reply(
        204,
        b"",
        {
            ACCESS_CONTROL_ALLOW_METHODS: allowed,
            ACCESS_CONTROL_ALLOW_HEADERS: ACCEPTED,
            ACCESS_CONTROL_MAX_AGE: str(REMEMBERED_S),
        },
    )


def is_own(origin: str, host: str) -> bool:
    """Whether a page comes from the node itself, as the client calls it.

    An origin is a scheme, a host and a port; a proxy may have added the `s` of https.
    """
    scheme, separator, rest = origin.lower().partition("://")
    default = DEFAULT_PORTS.get(scheme)
    if not separator or default is None or not host:
        return False
    return _with_port(rest, default) == _with_port(host.lower(), default)


def _with_port(host: str, default: str) -> str:
    has_port = ":" in host.rpartition("]")[2]
    return host if has_port else host + default
