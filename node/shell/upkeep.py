"""The server's own routes, for those who run a cluster: /metrics, /v1/faults, and the peers' door.

A fault ends by itself: who cuts a node off must say for how long, so that a test that dies leaves
no partition behind.  Where faults are not enabled their path does not exist.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from aiohttp import web

from node.dialects.contract import Call, Dialect, Handler, Reply, Route
from node.dialects.words import fields_of, refused

CUT_ADDRESSES_MAX = 1000
CUT_TTL_S_MAX = 3600

PEERS_ONLY = refused(426, "this path is for the links of other nodes", {"Upgrade": "websocket"})


class Links(Protocol):
    """The connections to other nodes; `stats` has numbers for each peer."""

    def accept(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]: ...
    def cut_off(self, peers: Sequence[str], ttl_s: float) -> None: ...
    def heal(self) -> None: ...
    def stats(self) -> Mapping[str, Mapping[str, Any]]: ...


def upkeep(links: Links, scrape: Handler, faults: bool) -> Dialect:
    """GET /peer and /metrics; with faults, PUT and DELETE /v1/faults."""
    routes = [Route("GET", "/peer", lambda call: PEERS_ONLY), Route("GET", "/metrics", scrape)]
    if faults:
        injector = Faults(links)
        routes.append(Route("PUT", "/v1/faults", injector.cut_off))
        routes.append(Route("DELETE", "/v1/faults", injector.heal))
    return Dialect("server", tuple(routes), lambda path: refused(404, "No such path"))


class Faults:
    """Cuts this node off from peers."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def cut_off(self, call: Call) -> Reply:
        fields = fields_of(call)
        if isinstance(fields, Reply):
            return fields
        peers, ttl_s = _addresses_of(fields.get("cut")), fields.get("ttl_s")
        if peers is None:
            return refused(400, f"cut must be a list of at most {CUT_ADDRESSES_MAX} addresses")
        if not isinstance(ttl_s, int | float) or isinstance(ttl_s, bool):
            return refused(400, "ttl_s must be a number: how long the cut lasts")
        if not 1 <= ttl_s <= CUT_TTL_S_MAX:
            return refused(400, f"ttl_s must be from 1 to {CUT_TTL_S_MAX}")
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
