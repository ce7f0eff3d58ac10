"""What a route may do, and so what its caller must be allowed to do."""

from enum import Enum


class ApiScope(Enum):
    """The first three are given to tokens; the others say how a route is guarded instead."""

    READ = "read"  # values, keys, and what a node reports of itself
    WRITE = "write"  # values
    ADMIN = "admin"  # the view, policies, faults
    EACH = "each"  # any token may ask; the handler looks at each part of the request
    OPEN = "open"  # for all callers: health, and texts that are the same everywhere
    PEERS = "peers"  # nodes alone, by the cluster's secret


Scopes = frozenset[ApiScope]

GIVEN = (ApiScope.READ, ApiScope.WRITE, ApiScope.ADMIN)
ALL: Scopes = frozenset(GIVEN)
NONE: Scopes = frozenset()


def scopes_in(text: str) -> Scopes:
    """Read scopes with commas between them.  Raises ValueError."""
    scopes = frozenset(map(ApiScope, text.split(",")))
    if not scopes <= ALL:
        raise ValueError(text)
    return scopes


def text_of(scopes: Scopes) -> str:
    return ",".join(scope.value for scope in GIVEN if scope in scopes)
