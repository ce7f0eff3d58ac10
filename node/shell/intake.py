"""What comes in: connections, bytes that may be no HTTP request, and bodies of any length.

Everything here is bounded: lines, headers, bodies, and the time that each may take.  aiohttp's
parser refuses what is malformed; we only say so in JSON, and without a line in the log for each.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING, EXPECT
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD

from node.dialects.contract import Reply
from node.dialects.words import refused

BODY_TIMEOUT_S = 60.0  # for a body that does not come with its headers
IDLE_TIMEOUT_S = 75.0  # for a connection without a request, and for headers that do not end
LINGER_S = 2.0  # for the rest of a refused body: a client that still sends would miss the answer
LINE_BYTES_MAX = 16 * 1024  # of a request line, and of one header
HEADERS_MAX = 100

log = logging.getLogger(__name__)

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Refuse = Callable[[Reply], web.StreamResponse]


class Connection(web.RequestHandler):
    """aiohttp's protocol of one connection, with our words for a malformed request."""

    __slots__ = ("_refuse",)

    def __init__(self, refuse: Refuse, manager: web.Server, loop: asyncio.AbstractEventLoop):
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=IDLE_TIMEOUT_S,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp turns it off
            auto_decompress=False,
            lingering_time=LINGER_S,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )
        self._refuse = refuse

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Also called when a WebSocket's handler raises: that is a bug of ours."""
        if status == 500:
            log.error("%s %s crashed", request.method, request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: nothing can be said, only closed")
        return self._refuse(_reply_to_error(status, exc, message))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called after each read of a body: aiohttp would feed its parser for nothing."""
        if self._reading_paused:
            super().resume_reading(resume_parser)


class Listener(web.Server):
    """Makes a `Connection` for each client."""

    def __init__(self, answer: Answer, refuse: Refuse) -> None:
        super().__init__(answer)
        self._refuse = refuse

    def __call__(self) -> web.RequestHandler:
        return Connection(self._refuse, self, self._loop)


def _reply_to_error(status: int, error: BaseException | None, message: str | None) -> Reply:
    if isinstance(error, LineTooLong):
        return refused(431, f"the URL or a header has more than {LINE_BYTES_MAX} bytes")
    if status == 500:
        return refused(500, "internal error")
    lines = (message or "malformed request").strip().splitlines()
    return refused(status, lines[0].rstrip(":"))  # the others show the request


def arrived_body_of(request: web.BaseRequest, bytes_max: int) -> bytes | Reply | None:
    """The body, or why it is not read; None while it has not arrived, which is the rare case."""
    content = request.content
    if content is EMPTY_PAYLOAD:
        return b""
    if request.headers.get(CONTENT_ENCODING, "identity").lower() != "identity":
        return refused(415, "Content-Encoding must be identity")
    if not content.is_eof():
        return too_large(bytes_max) if (request.content_length or 0) > bytes_max else None
    body = content.read_nowait()
    return body if len(body) <= bytes_max else too_large(bytes_max)


async def body_of(request: web.BaseRequest, bytes_max: int) -> bytes | Reply:
    """The whole body, or why it is not read."""
    try:
        if request.headers.get(EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _rest_of(request.content, bytes_max)
    except TimeoutError:  # also when a chunk was malformed: the parser tells nobody who waits
        return refused(408, f"request body did not arrive within {BODY_TIMEOUT_S:.0f} s")


async def _rest_of(content: Any, bytes_max: int) -> bytes | Reply:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > bytes_max:
            return too_large(bytes_max)
    return bytes(body)


def too_large(bytes_max: int) -> Reply:
    return refused(413, f"request body is too large: the limit is {bytes_max} bytes")
