"""Bodies of lines that are answered while they come: neither side keeps the whole.

The server reads as many lines as have come, up to a bound, has them carried out, and writes what is
said of them before it reads on.  So it holds one batch for each client, and a client that does not
read its answers is not read from either, once the kernel's buffers are full.  A drain ends an
exchange between two batches, and says so in its last line.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from aiohttp.hdrs import CONTENT_ENCODING, EXPECT
from aiohttp.streams import StreamReader
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from node.api.contract import BodyLines, LineSteps, Reply
from node.api.parsing import refused
from node.shell.http.body_queue import STOPPING
from node.shell.http.port_limits import PortLimits
from node.shell.http.request_body import ENCODED, too_large

HEADERS = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store", "Server": "coterie"}
FULL = refused(503, "too many bulk requests are under way; try again", {"Retry-After": "1"})

Talk = Callable[[LineSteps], Awaitable[bytes]]


class Broken(Exception):
    """The body is not read to its end, for the reason that `reply` gives."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class LineExchanges:
    """At most so many exchanges of a server; `talk` carries out the steps of a batch."""

    def __init__(self, limits: PortLimits, talk: Talk) -> None:
        self._limits, self._talk, self._open = limits, talk, 0
        self._ending = asyncio.Event()

    def end(self) -> None:
        """End all exchanges after the batches in hand, and begin no more."""
        self._ending.set()

    def refusal(self, request: BaseRequest) -> Reply | None:
        """Return why no exchange can begin, or None."""
        if request.headers.get(CONTENT_ENCODING, "identity").lower() != "identity":
            return ENCODED
        if self._ending.is_set():
            return STOPPING
        return FULL if self._open >= self._limits.exchanges_max else None

    async def serve(
        self, request: BaseRequest, lines: BodyLines, more: Mapping[str, str]
    ) -> StreamResponse:
        """Answer the lines of the body; `more` are headers."""
        response = StreamResponse(headers={**HEADERS, **more})
        self._open += 1
        try:
            if request.headers.get(EXPECT, "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # the answer itself has not begun
            await response.prepare(request)
            await self._answer(request.content, lines, response)
            await response.write_eof()
        except (ConnectionError, TimeoutError):  # the client has left, or reads nothing
            response.force_close()
        finally:
            self._open -= 1
        return response

    async def _answer(
        self, content: StreamReader, lines: BodyLines, response: StreamResponse
    ) -> None:
        why: Reply | None = None
        try:
            async for batch in self._batches(content, lines):
                await self._say(response, await self._talk(lines.answer(batch)))
        except Broken as broken:
            why = broken.reply
            response.force_close()  # the rest of the body is not read
        await self._say(response, lines.end(why))

    async def _say(self, response: StreamResponse, said: bytes) -> None:
        async with asyncio.timeout(self._limits.reader_timeout_s):
            await response.write(said)

    async def _batches(self, content: StreamReader, lines: BodyLines) -> AsyncIterator[list[bytes]]:
        """Yield the lines as they come, some at a time; raise Broken."""
        rest = bytearray()
        while chunk := await self._next_chunk(content):
            whole, found, begun = chunk.rpartition(b"\n")
            if found:
                come = (bytes(rest) + whole).split(b"\n")
                rest = bytearray(begun)
                for at in range(0, len(come), lines.lines_max):
                    if self._ending.is_set():
                        raise Broken(STOPPING)
                    yield come[at : at + lines.lines_max]
            else:
                rest += chunk
            if len(rest) > lines.line_bytes_max:
                raise Broken(too_large(lines.line_bytes_max))
        if rest:
            yield [bytes(rest)]

    async def _next_chunk(self, content: StreamReader) -> bytes:
        """Return what has come since the last time, waiting for something; empty: the end."""
        reading = asyncio.ensure_future(content.readany())
        ending = asyncio.ensure_future(self._ending.wait())
        timeout_s = self._limits.body_timeout_s
        try:
            await asyncio.wait(
                (reading, ending), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ending.cancel()
            if not reading.done():
                reading.cancel()
        if reading.done() and not reading.cancelled():
            return reading.result()
        if self._ending.is_set():
            raise Broken(STOPPING)
        raise Broken(refused(408, f"no line has come for {timeout_s:.0f} s"))
