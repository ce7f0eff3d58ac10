"""The server's own routes: /metrics, /openapi.json, /v1/docs, /v1/faults, and the door for peers.

A fault ends by itself: a client that cuts a node off must say for how long, so that a test that
dies leaves no partition behind.  If faults are not enabled, their path does not exist.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from node.api.contract import Call, Dialect, Handler, Reply, Route
from node.api.parsing import bad_request, fields_said_once, refused
from node.security.scopes import ApiScope
from node.shell.http.api_document import ApiDocument

CUT_ADDRESSES_MAX = 1000
CUT_TTL_S_MAX = 3600

PEERS_ONLY = refused(426, "this path is for the links of other nodes", {"Upgrade": "websocket"})


class LinkControl(Protocol):
    """The connections to other nodes; `stats` has numbers for each peer, `misfits` says how the
    settings of known nodes differ from ours."""

    @property
    def misfits(self) -> Mapping[str, str]: ...
    def accept(self, request: BaseRequest) -> Awaitable[StreamResponse]: ...
    def cut_off(self, peers: Sequence[str], ttl_s: float) -> None: ...
    def heal(self) -> None: ...
    def stats(self) -> Mapping[str, Mapping[str, Any]]: ...


def server_routes(
    links: LinkControl, scrape: Handler, described: ApiDocument, faults: bool
) -> Dialect:
    """Return GET /peer, /metrics, /openapi.json and /v1/docs; with faults, also /v1/faults."""
    routes = [
        Route("GET", "/peer", lambda call: PEERS_ONLY, ApiScope.PEERS),
        Route("GET", "/metrics", scrape, ApiScope.READ),
        Route("GET", "/openapi.json", described.document, ApiScope.OPEN),
        Route("GET", "/v1/docs", described.page, ApiScope.OPEN),
    ]
    if faults:
        injector = Faults(links)
        routes.append(Route("PUT", "/v1/faults", injector.cut_off, ApiScope.ADMIN))
        routes.append(Route("DELETE", "/v1/faults", injector.heal, ApiScope.ADMIN))
    return Dialect("server", tuple(routes), lambda path: refused(404, "No such path"))


class Faults:
    """Cuts this node off from peers."""

    def __init__(self, links: LinkControl) -> None:
        self._links = links

    def cut_off(self, call: Call) -> Reply:
        fields = fields_said_once(call)
        peers, ttl_s = _addresses_of(fields.get("cut")), fields.get("ttl_s")
        if peers is None:
            raise bad_request(f"cut must be a list of at most {CUT_ADDRESSES_MAX} addresses")
        if not isinstance(ttl_s, int | float) or isinstance(ttl_s, bool):
            raise bad_request("ttl_s must be a number: how long the cut lasts")
        if not 1 <= ttl_s <= CUT_TTL_S_MAX:
            raise bad_request(f"ttl_s must be from 1 to {CUT_TTL_S_MAX}")
        self._links.cut_off(peers, ttl_s)
        return Reply(200, orjson.dumps({"cut": peers, "ttl_s": ttl_s}))

    def heal(self, call: Call) -> Reply:
        self._links.heal()
        return Reply(200, b'{"cut":[]}')


def _addresses_of(peers: object) -> list[str] | None:
    if not isinstance(peers, list) or len(peers) > CUT_ADDRESSES_MAX:
        return None
    addresses = [peer for peer in peers if isinstance(peer, str) and peer]
    return addresses if len(addresses) == len(peers) else None
