"""Answers that go on: server-sent events, until they end, the client goes away or the node drains.

A stream is no request in flight: a drain ends it instead of waiting for it.  Each is bounded, in
number and in the time that a reader may take for what it was sent.
"""

import asyncio

from aiohttp import web

from node.dialects.contract import Events

STREAMS_MAX = 64
STALLED_S = 30.0  # a reader that takes nothing for so long is let go
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "Server": "coterie",
}


class Streams:
    """The streams of a server; no new one is to begin while `is_full`."""

    def __init__(self) -> None:
        self._open = 0
        self._ending = asyncio.Event()

    @property
    def is_full(self) -> bool:
        return self._open >= STREAMS_MAX or self._ending.is_set()

    def end(self) -> None:
        """All of them end at once, and none begins."""
        self._ending.set()

    async def serve(self, request: web.BaseRequest, events: Events) -> web.StreamResponse:
        """Sends what `events` has to say until it has said all."""
        response = web.StreamResponse(headers=HEADERS)
        self._open += 1
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await self._send(request, response, events)
            await response.write_eof()
        except (ConnectionError, TimeoutError):  # the client went away, or sleeps
            response.force_close()
        finally:
            self._open -= 1
        return response

    async def _send(
        self, request: web.BaseRequest, response: web.StreamResponse, events: Events
    ) -> None:
        while (said := events.poll()) is not None and not self._ending.is_set():
            if request.transport is None or request.transport.is_closing():
                raise ConnectionError("the client went away")
            if said:
                async with asyncio.timeout(STALLED_S):
                    await response.write(said)
            await self._pause(events.every_s)

    async def _pause(self, length_s: float) -> None:
        try:
            async with asyncio.timeout(length_s):
                await self._ending.wait()
        except TimeoutError:
            return
