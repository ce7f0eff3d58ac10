"""The HTTP port of a node: reads a request whole, lets a dialect and the driver decide, answers.

Dialects decide what a client is told, except for errors of HTTP itself: a body over the limit, a
path without a route, bytes that are no request.  The server catches the `Refused` that a dialect
raises, in one place, and answers in that dialect's words.  A request is in flight until its answer
is made; a client that goes away loses only its answer.  The server stands on aiohttp's low-level
one, since an application's routing and signals would cost more than all the rest of a request.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from aiohttp.hdrs import ORIGIN
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from msgspec.structs import replace

from node.api.contract import (
    Ask,
    BodyLines,
    Call,
    Dialect,
    Events,
    Feed,
    Limits,
    Refused,
    Reply,
    Talk,
)
from node.api.parsing import refused
from node.core import status
from node.driver import Driver
from node.security.audit import Audit
from node.security.scopes import ApiScope
from node.security.tokens import ApiTokens
from node.shell.http.admin_routes import LinkControl, server_routes
from node.shell.http.api_document import ApiDocument
from node.shell.http.body_queue import Bodies
from node.shell.http.core_calls import CoreCalls
from node.shell.http.doorman import Doorman
from node.shell.http.event_stream import Streams
from node.shell.http.facts import checks_of, facts_of
from node.shell.http.feed import EXPORTS_FULL, Feeds, OpenFeed
from node.shell.http.line_exchange import LineExchanges
from node.shell.http.origins import Origins, is_asked_first, origin_form, permission
from node.shell.http.port_limits import USUAL, PortLimits
from node.shell.http.rates import Rates
from node.shell.http.request_body import Listener, arrived_body_of
from node.shell.http.response import Answer
from node.shell.http.router import NOTHING, Endpoint, Table, decoded

CLOSING = frozenset({408, 413})  # the rest of such a body is not worth the wait
NOTHING_DONE = {"Retry-After": "1", "Kv-Outcome": "definite"}
BUSY = refused(503, "this node has too many requests under way; try again", NOTHING_DONE)
INTERNAL_ERROR = refused(500, "internal error")
NOT_TEXT = refused(400, "the path is not percent-encoded UTF-8")
STREAMS_FULL = refused(503, "too many event streams are open; try again", {"Retry-After": "1"})

Going = Reply | Events | OpenFeed | BodyLines  # what a handler's words lead to

log = logging.getLogger(__name__)


class Server:
    """One port, all dialects.  Raises ValueError when two dialects claim one route.

    The first dialect answers for paths without a route.  `store_stats` is for /metrics.  Pages of
    `origins` may write like pages of the node's own origin.  A contract knows its `limits`, not
    those of the port.
    """

    def __init__(
        self,
        driver: Driver,
        links: LinkControl,
        dialects: Sequence[Dialect],
        limits: Limits,
        faults: bool,
        store_stats: Callable[[], Mapping[str, Any]] = dict,
        origins: Collection[str] = (),
        port_limits: PortLimits = USUAL,
        doorman: Doorman | None = None,
    ) -> None:
        self.draining = False
        self._driver, self._links = driver, links
        self._limits, self._port_limits = limits, port_limits
        self._body_bytes_max = limits.body_bytes_max
        self._bodies = Bodies(limits.body_bytes_max, port_limits)
        self._origins = Origins(origins)
        self._doorman = doorman or Doorman(ApiTokens(), Audit())
        check = self._doorman.check if self._doorman.networks else None
        self._core = CoreCalls(driver, check)
        checks = partial(checks_of, driver, lambda: self.draining, lambda: links.misfits, faults)
        self._facts = partial(facts_of, driver, checks)
        self._not_found = dialects[0].not_found
        self._store_stats = store_stats
        self._crashes = 0
        described = ApiDocument(self.endpoints)
        own = server_routes(links, self._metrics, described, faults)
        self._table = Table((*dialects, own))
        self._peer = self._table.at("GET", "/peer")
        natives = (each for each in self._table.endpoints() if each.pattern == "/v1/kv/{key}")
        self._native = next(natives, None)  # refuses paths below /v1/ that no part of the API has
        self._nobody = Endpoint("server", "any", "unmatched")
        self._malformed = Endpoint("server", "any", "malformed")
        self._in_flight, self._in_flight_max = 0, port_limits.in_flight_max
        self._rates = Rates(port_limits.requests_per_s_max, perf_counter)
        self._judges = self._doorman.asks or port_limits.requests_per_s_max > 0
        self._idle = asyncio.Event()
        self._unlisted: set[asyncio.Task[Any]] = set()  # the WebSockets of peers
        self._streams = Streams(port_limits.streams_max)
        feeds, watchers_max = partial(Feeds, port_limits, self._core.talk), port_limits.watchers_max
        self._feeds = feeds(self._core.outcomes, watchers_max)
        self._exports = feeds(self._core.outcomes, port_limits.exports_max, EXPORTS_FULL)
        self._exchanges = LineExchanges(port_limits, self._core.talk)
        self._listener: Listener | None = None
        self.port = 0  # the port it listens on, once started

    def endpoints(self) -> Iterable[Endpoint]:
        """Return all that this port serves."""
        return self._table.endpoints()

    # -------------------------------------------------------------- incarnation

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve clients at these listening sockets; the drain closes them."""
        self._core.start()
        door = self._doorman.tls_door(self._port_limits)
        listener = Listener(self._answer, self._refuse, self._port_limits, door)
        await listener.open(sockets)
        self._listener, self.port = listener, int(sockets[0].getsockname()[1])

    async def drain(self, timeout_s: float) -> None:
        """Stop being ready, accept no clients, finish the requests in flight, close everything.

        Peers stay connected until then, since requests in flight need them.
        """
        self.draining = True
        self._streams.end()
        self._feeds.end()
        self._exports.end()
        self._exchanges.end()
        self._bodies.give_up()
        if self._listener is None:
            return
        self._listener.accept_no_more()
        if self._in_flight:
            await self._until_idle(timeout_s)
        for peer in self._unlisted:
            peer.cancel()
        await self._listener.close()

    async def _until_idle(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d requests were not answered within %g s", self._in_flight, timeout_s)

    # -------------------------------------------------------------- one request

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        started = perf_counter()
        target, host = origin_form(request.raw_path)
        path, _, query = target.partition("?")
        endpoint, placeholders = self._table.find(request.method, path) or (self._nobody, NOTHING)
        is_of_page = ORIGIN in request.headers
        refusal = self._origins.refusal(request, host) if is_of_page else None
        if endpoint is self._peer and refusal is None:
            return await self._accept(request)
        if refusal is None and (self._judges or self._in_flight >= self._in_flight_max):
            refusal = self._turned_away(request, endpoint, path)
        self._in_flight += 1
        reply: Going
        try:
            if refusal is not None:
                reply = refusal
            elif endpoint.handler is None:
                reply = self._reply_of_nobody(request, path)
            elif endpoint.reads_lines:
                begun = self._exchanges.refusal(request) or b""
                reply = await self._reply(request, endpoint, placeholders, query, begun)
            elif (body := arrived_body_of(request, self._body_bytes_max)) is None:  # rare
                reply = await self._late_reply(request, endpoint, placeholders, query)
            else:
                reply = await self._reply(request, endpoint, placeholders, query, body)
            allowed = self._origins.headers(request) if is_of_page else NOTHING
            answer = self._say(reply, allowed) if isinstance(reply, Reply) else reply
        except ConnectionError:  # the client left in the middle of its body
            raise
        except Exception:
            log.exception("%s %s crashed", endpoint.method, endpoint.pattern)
            self._crashes += 1
            reply, answer = INTERNAL_ERROR, self._say(INTERNAL_ERROR)
        finally:
            self._in_flight -= 1
            if self.draining and not self._in_flight:
                self._idle.set()
        code = reply.status if isinstance(reply, Reply) else 200
        endpoint.count(code, perf_counter() - started)
        if endpoint.scope is ApiScope.ADMIN and refusal is None:
            self._doorman.note(request, path, code)
        if isinstance(answer, Events):
            return await self._streams.serve(request, answer, self._origins.headers(request))
        if isinstance(answer, OpenFeed):
            headers = {**self._view_header(), **self._origins.headers(request)}
            return await answer.feeds.serve(request, answer, headers)
        return await self._exchange(request, answer) if isinstance(answer, BodyLines) else answer

    def _turned_away(self, request: BaseRequest, endpoint: Endpoint, path: str) -> Reply | None:
        """Refuse a request that would wait too long, or that its client may not make."""
        if self._in_flight >= self._in_flight_max and endpoint.scope is not ApiScope.OPEN:
            return self._early_refusal(request, endpoint, BUSY)
        refusal = self._doorman.refusal(request, endpoint, path, self._facts, self._limits)
        if refusal or not self._port_limits.requests_per_s_max or endpoint.scope is ApiScope.OPEN:
            return refusal
        too_many = self._rates.refusal(self._doorman.name_of(request))
        return self._early_refusal(request, endpoint, too_many) if too_many else None

    def _view_header(self) -> dict[str, str]:
        return {"Kv-View": str(self._driver.replica.view.number)}

    async def _exchange(self, request: BaseRequest, lines: BodyLines) -> StreamResponse:
        """Answer the lines of a body; they are in flight until the last of them is answered."""
        self._in_flight += 1
        headers = {**self._view_header(), **lines.headers, **self._origins.headers(request)}
        try:
            return await self._exchanges.serve(request, lines, headers)
        finally:
            self._in_flight -= 1
            if self.draining and not self._in_flight:
                self._idle.set()

    async def _late_reply(
        self,
        request: BaseRequest,
        endpoint: Endpoint,
        placeholders: Mapping[str, str],
        query: str,
    ) -> Going:
        """Wait for the body, unless the path is malformed."""
        if decoded(placeholders) is None:
            return self._early_refusal(request, endpoint, NOT_TEXT)
        async with self._bodies.read(request) as late:
            return await self._reply(request, endpoint, placeholders, query, late)

    async def _reply(
        self,
        request: BaseRequest,
        endpoint: Endpoint,
        placeholders: Mapping[str, str],
        query: str,
        body: bytes | Reply,
    ) -> Going:
        """Let the handler decide, and carry out what it says."""
        path = decoded(placeholders)
        words = request.rel_url.query if query else NOTHING
        if path is None or isinstance(body, Reply):
            refusal = body if isinstance(body, Reply) else NOT_TEXT
            return self._early_refusal(request, endpoint, refusal)
        call = Call(request.method, path, words, request.headers, body, self._facts, self._limits)
        if self._doorman.asks:
            call = self._doorman.known(request, endpoint, call)
        assert endpoint.handler is not None
        try:
            said = endpoint.handler(call)
            if isinstance(said, Ask):  # an early outcome needs no turn of the loop
                return said.say(await self._core.outcome(said.request))
            if isinstance(said, Talk):
                return await self._core.talk(said.steps)
            if isinstance(said, Feed):
                feeds = self._feeds if said.is_watch else self._exports
                begun = await feeds.begin(said)
                return endpoint.reword(call, begun) if isinstance(begun, Reply) else begun
            if isinstance(said, BodyLines) and said.opening is not None:
                opened = await self._core.talk(said.opening)
                return said if opened.status == 200 else endpoint.reword(call, opened)
        except Refused as refusal:
            return endpoint.reword(call, refusal.reply)
        return STREAMS_FULL if isinstance(said, Events) and self._streams.is_full else said

    def _metrics(self, call: Call) -> Reply:
        """Answer GET /metrics.

        Its module is imported at the first scrape, so that a start is faster.
        """
        from node.shell.http.metrics import Metrics

        driver, endpoints = self._driver, self._table.endpoints()
        metrics = Metrics(
            lambda: status.status(driver.replica, driver.now()),
            self._links.stats,
            self._store_stats,
        )
        metrics.crashes, metrics.feeds = self._crashes, self._feeds
        metrics.endpoints = (*endpoints, self._nobody, self._malformed)
        return metrics.reply(call)

    def _reply_of_nobody(self, request: BaseRequest, path: str) -> Reply:
        methods = self._table.methods_of(path)
        if not methods and self._native is not None and path.startswith("/v1/"):
            words = f"there is no path {path[:200]}; /v1/docs names all that there are"
            return self._early_refusal(request, self._native, refused(404, words))
        if not methods:
            return self._not_found(path)
        if request.method == "OPTIONS" and is_asked_first(request):
            return permission(methods)
        allow = ", ".join(methods)
        refusal = refused(405, f"this path has only {allow}", {"Allow": allow})
        other, _ = self._table.find(methods[0], path) or (self._nobody, NOTHING)
        return self._early_refusal(request, other, refusal)

    def _early_refusal(self, request: BaseRequest, endpoint: Endpoint, refusal: Reply) -> Reply:
        """Refuse, in the words of the endpoint's contract, what no handler has seen."""
        said_of = request.method, NOTHING, NOTHING, request.headers, b""
        return endpoint.reword_early(Call(*said_of, self._facts, self._limits), refusal)

    def _say(self, reply: Reply, more: Mapping[str, str] = NOTHING) -> Answer:
        closes = self.draining or reply.status in CLOSING
        if more:
            reply = replace(reply, headers={**reply.headers, **more})
        return Answer(reply, self._driver.replica.view.number, closes)

    def _refuse(self, reply: Reply) -> Answer:
        """Count bytes that never became a request, and close: the next request could be
        anywhere.
        """
        self._malformed.count(reply.status, 0.0)
        return Answer(reply, self._driver.replica.view.number, closes=True)

    async def _accept(self, request: BaseRequest) -> StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._unlisted.add(task)
        try:
            return await self._links.accept(request)
        finally:
            self._unlisted.discard(task)
