"""The HTTP port of a node: reads a request whole, lets a dialect and the driver decide, answers.

What a client is told is decided by the dialects, except where HTTP itself is broken (a body over
the limit, a path of nobody, bytes that are no request).  A request is in flight until its answer
is made; a client that goes away loses only its answer.  Built on aiohttp's low-level server: an
application's routing and signals would cost more than all the rest of a request.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from aiohttp import web

from node.core import report
from node.core.messages import Outcome, Request
from node.dialects.contract import (
    Ask,
    Call,
    Dialect,
    Events,
    Facts,
    Handler,
    Limits,
    Reply,
    Steps,
    Talk,
)
from node.dialects.words import refused
from node.driver import Driver
from node.shell.answer import Answer
from node.shell.intake import Listener, arrived_body_of, body_of
from node.shell.metrics import Metrics, Stats
from node.shell.routes import NOTHING, Endpoint, Table, decoded
from node.shell.streams import Streams
from node.shell.upkeep import Links, upkeep

BODY_SLACK_BYTES = 64 * 1024  # metadata, and JSON's escapes, beside the value
BACKLOG_CONNECTIONS = 1024
CLOSE_TIMEOUT_S = 1.0  # for answers that are still being written when a drain ends
CLOSING = frozenset({408, 413})  # the rest of such a body is not worth waiting for
INTERNAL_ERROR = refused(500, "internal error")
NOT_TEXT = refused(400, "the path is not percent-encoded UTF-8")
STREAMS_FULL = refused(503, "too many event streams are open", {"Retry-After": "1"})

log = logging.getLogger(__name__)


def facts_of(driver: Driver, server: "Server") -> Facts:
    """What this node can say of itself now; a node that drains is not ready, whatever else."""
    replica, now = driver.replica, driver.now()
    checks = report.checks(replica)
    if server.draining:
        checks = (*checks, ("serving", "the node is shutting down"))
    return Facts(
        address=replica.address,
        view=replica.view,
        alive=report.alive(replica, now),
        ready=not any(wrong for _, wrong in checks),
        checks=checks,
        status=partial(report.status, replica, now),
        movement=partial(report.movement, replica, now),
        slot_loads=partial(report.slot_loads, replica),
        content=partial(report.content, replica),
        previous=replica.moving.previous,
        now=now,
    )


class Server:
    """One port, all dialects.  Raises ValueError when two dialects claim one route.

    The first dialect answers for paths of nobody; `store_stats` is for /metrics.
    """

    def __init__(
        self,
        driver: Driver,
        links: Links,
        dialects: Sequence[Dialect],
        limits: Limits,
        faults: bool,
        store_stats: Callable[[], Stats] = dict,
    ) -> None:
        self.draining = False
        self._driver, self._links, self._limits = driver, links, limits
        self._body_bytes_max = limits.value_bytes_max + BODY_SLACK_BYTES
        self._facts = partial(facts_of, driver, self)
        self._not_found = dialects[0].not_found
        self.metrics = Metrics(
            lambda: report.status(driver.replica, driver.now()), links.stats, store_stats
        )
        self._table = Table((*dialects, upkeep(links, self.metrics.reply, faults)))
        self._peer = self._table.at("GET", "/peer")
        self._nobody = Endpoint("server", "any", "unmatched")
        self._malformed = Endpoint("server", "any", "malformed")
        self.metrics.endpoints = (*self._table.endpoints(), self._nobody, self._malformed)
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._guests: set[asyncio.Task[Any]] = set()  # the WebSockets of peers
        self._streams = Streams()
        self._runner: web.ServerRunner | None = None
        self.port = 0  # the one it listens on, once started

    # -------------------------------------------------------------- life

    async def start(self, host: str | None, port: int) -> None:
        """Listens; None means all interfaces, port 0 any free one.  OSError: the port is taken."""
        self._new_future = asyncio.get_running_loop().create_future
        runner = web.ServerRunner(
            Listener(self._answer, self._refuse), shutdown_timeout=CLOSE_TIMEOUT_S
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, backlog=BACKLOG_CONNECTIONS).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self.port = runner, int(runner.addresses[0][1])

    async def drain(self, timeout_s: float) -> None:
        """Not ready from now on: accepts nobody, finishes what is in flight, closes everything.

        Peers stay connected until then, since what is in flight needs them.
        """
        self.draining = True
        self._streams.end()
        if self._runner is None:
            return
        for site in self._runner.sites:
            await site.stop()
        if self._in_flight:
            await self._until_idle(timeout_s)
        for guest in self._guests:
            guest.cancel()
        await self._runner.cleanup()

    async def _until_idle(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d requests were not answered within %g s", self._in_flight, timeout_s)

    # -------------------------------------------------------------- one request

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        started = perf_counter()
        path, _, query = request.raw_path.partition("?")
        endpoint, placeholders = self._table.find(request.method, path) or (self._nobody, NOTHING)
        if endpoint is self._peer:
            return await self._accept(request)
        self._in_flight += 1
        reply: Reply | Events
        try:
            if endpoint.handler is None:
                reply = self._reply_of_nobody(path)
            else:
                reply = await self._reply(request, endpoint.handler, placeholders, query)
            answer = reply if isinstance(reply, Events) else self._say(reply)
        except ConnectionError:  # the client went away in the middle of its body
            raise
        except Exception:
            log.exception("%s %s crashed", endpoint.method, endpoint.pattern)
            self.metrics.crashes += 1
            reply, answer = INTERNAL_ERROR, self._say(INTERNAL_ERROR)
        finally:
            self._in_flight -= 1
            if self.draining and not self._in_flight:
                self._idle.set()
        status = reply.status if isinstance(reply, Reply) else 200
        endpoint.count(status, perf_counter() - started)
        if isinstance(answer, Events):
            return await self._streams.serve(request, answer)
        return answer

    async def _reply(
        self,
        request: web.BaseRequest,
        handler: Handler,
        placeholders: Mapping[str, str],
        query: str,
    ) -> Reply | Events:
        path = decoded(placeholders)
        if path is None:
            return NOT_TEXT
        body = arrived_body_of(request, self._body_bytes_max)
        if body is None:
            body = await body_of(request, self._body_bytes_max)
        if isinstance(body, Reply):
            return body
        words = request.rel_url.query if query else NOTHING
        said = handler(
            Call(request.method, path, words, request.headers, body, self._facts, self._limits)
        )
        if isinstance(said, Ask):
            return said.say(await self._outcome(said.request))  # no turn of the loop when at once
        if isinstance(said, Talk):
            return await self._talk(said.steps)
        return STREAMS_FULL if isinstance(said, Events) and self._streams.is_full else said

    def _outcome(self, request: Request) -> asyncio.Future[Outcome]:
        answer: asyncio.Future[Outcome] = self._new_future()
        self._driver.submit(request, partial(_resolve, answer))
        return answer

    async def _talk(self, steps: Steps) -> Reply:
        """Step by step to the reply; a client that goes away ends it between two steps."""
        try:
            wish = next(steps)
            while True:
                outcomes: list[Outcome] = []
                if isinstance(wish, float):
                    await asyncio.sleep(wish)
                else:
                    asked = [self._outcome(request) for request in wish]
                    outcomes = [await outcome for outcome in asked]
                wish = steps.send(outcomes)
        except StopIteration as end:
            reply: Reply = end.value
            return reply

    def _reply_of_nobody(self, path: str) -> Reply:
        methods = self._table.methods_of(path)
        if not methods:
            return self._not_found(path)
        allow = ", ".join(methods)
        return refused(405, f"this path has only {allow}", {"Allow": allow})

    def _say(self, reply: Reply) -> Answer:
        closes = self.draining or reply.status in CLOSING
        return Answer(reply, self._driver.replica.view.number, closes)

    def _refuse(self, reply: Reply) -> Answer:
        """Counts what never became a request, and closes: where the next one begins is unknown."""
        self._malformed.count(reply.status, 0.0)
        return Answer(reply, self._driver.replica.view.number, closes=True)

    async def _accept(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._guests.add(task)
        try:
            return await self._links.accept(request)
        finally:
            self._guests.discard(task)


def _resolve(answer: asyncio.Future[Outcome], outcome: Outcome) -> None:
    """The request may have been cancelled meanwhile: then nobody waits."""
    if not answer.done():
        answer.set_result(outcome)
