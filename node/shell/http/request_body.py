"""What comes in: connections, bytes that may be no HTTP request, and bodies that arrived early.

Lines, headers and bodies are bounded, and so is the time that each may take. aiohttp's parser
refuses malformed requests; this module words the refusals as JSON, and logs no line for each.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from aiohttp.hdrs import CONTENT_ENCODING
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from node.api.contract import Reply
from node.api.parsing import refused
from node.door import BACKLOG_CONNECTIONS
from node.shell.http.places import ConnectionPlace, Places
from node.shell.http.port_limits import PortLimits
from node.shell.http.tls_door import TlsDoor

LINE_BYTES_MAX = 16 * 1024  # of a request line, and of one header
HEADERS_MAX = 100
PEER_PATH = "/peer"
FULL = refused(503, "this node has no room for more connections; try again", {"Retry-After": "1"})
ENCODED = refused(415, "Content-Encoding must be identity")

log = logging.getLogger(__name__)

Answer = Callable[[BaseRequest], Awaitable[StreamResponse]]
Refuse = Callable[[Reply], StreamResponse]


class Connection(RequestHandler):
    """aiohttp's protocol of one connection, with our words for a malformed request."""

    __slots__ = ("_address", "_head_timer", "_listener", "_place", "_refuse")

    def __init__(
        self,
        refuse: Refuse,
        limits: PortLimits,
        manager: "Listener",
        loop: asyncio.AbstractEventLoop,
    ):
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=limits.idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp turns it off
            auto_decompress=False,
            lingering_time=limits.linger_s,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )
        self._refuse, self._listener = refuse, manager
        self._place, self._address = ConnectionPlace.NONE, ""
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place; without one the connection ends at once."""
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._place = self._listener.places.take(self._address)
        if self._place is ConnectionPlace.NONE:
            cast(asyncio.Transport, transport).abort()
            return
        if self._place is ConnectionPlace.RESERVED:
            self._request_handler = self._listener.answer_peers
        super().connection_made(transport)
        timeout_s = self._listener.limits.head_timeout_s
        self._head_timer = self._loop.call_later(timeout_s, self._end_without_request)

    def _end_without_request(self) -> None:
        if not self._request_count:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._listener.places.free(self._address, self._place)
        self._place = ConnectionPlace.NONE
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """Answer an error of the request or of its handler.

        aiohttp also calls this when a WebSocket's handler raises; that is a bug of ours, unless the
        peer has gone.
        """
        if isinstance(exc, ConnectionError):
            raise exc  # aiohttp expects this of a connection that has gone
        if status == 500:
            log.error("%s %s crashed", request.method, request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: nothing can be said, only closed")
        return self._refuse(_reply_to_error(status, exc, message))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume only a connection that has paused.

        aiohttp calls this after each read of a body, and would feed its parser for nothing.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)


class Listener(Server):
    """Makes a `Connection` for each client of the listening sockets.

    aiohttp's runners and `aiohttp.web` would do this too, but a start would import all of its
    applications, routes and files for them.
    """

    def __init__(
        self, answer: Answer, refuse: Refuse, limits: PortLimits, door: TlsDoor | None
    ) -> None:
        super().__init__(answer)
        self._answer, self._refuse, self._door = answer, refuse, door
        self.limits, self.places = limits, Places(limits)
        self._ports: list[asyncio.Server] = []

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept the clients of these listening sockets."""
        new = self if self._door is None else self._door.before(self)
        for each in sockets:
            port = await self._loop.create_server(new, sock=each, backlog=BACKLOG_CONNECTIONS)
            self._ports.append(port)

    async def answer_peers(self, request: BaseRequest) -> StreamResponse:
        """Answer a connection in the reserve."""
        if request.rel_url.path == PEER_PATH:
            return await self._answer(request)
        return self._refuse(FULL)

    def accept_no_more(self) -> None:
        """Close the listening sockets; clients that are connected stay so."""
        for port in self._ports:
            port.close()

    async def close(self) -> None:
        """Disconnect all clients: idle ones at once, the others when their answers are written."""
        await asyncio.sleep(0)  # so that requests that have just come begin
        if self._door is not None:
            self._door.close()
        self.pre_shutdown()
        await self.shutdown(self.limits.close_timeout_s)

    def __call__(self) -> RequestHandler:
        return Connection(self._refuse, self.limits, self, self._loop)


def _reply_to_error(status: int, error: BaseException | None, message: str | None) -> Reply:
    if isinstance(error, LineTooLong):
        return refused(431, f"the URL or a header has more than {LINE_BYTES_MAX} bytes")
    if status == 500:
        return refused(500, "internal error")
    lines = (message or "malformed request").strip().splitlines()
    return refused(status, lines[0].rstrip(":"))  # the other lines show the request


def arrived_body_of(request: BaseRequest, bytes_max: int) -> bytes | Reply | None:
    """Return the body, or the reply that says why not; None while it has not arrived (rare)."""
    content = request.content
    if content is EMPTY_PAYLOAD:
        return b""
    if request.headers.get(CONTENT_ENCODING, "identity").lower() != "identity":
        return ENCODED
    if not content.is_eof():
        return too_large(bytes_max) if (request.content_length or 0) > bytes_max else None
    body = content.read_nowait()
    return body if len(body) <= bytes_max else too_large(bytes_max)


def too_large(bytes_max: int) -> Reply:
    return refused(413, f"request body is too large: the limit is {bytes_max} bytes")
