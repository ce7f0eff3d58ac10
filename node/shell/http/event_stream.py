"""Answers that go on: server-sent events, until they end, the client leaves or the node drains.

A drain ends a stream instead of waiting for it, since no request is in flight there.  The number of
streams is bounded, and so is the time that a reader may take for what was sent.
"""

import asyncio
from collections.abc import Mapping

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from node.api.contract import Events
from node.shell.http.router import NOTHING

STALLED_S = 30.0  # the server ends a stream whose reader takes nothing for this long
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "Server": "coterie",
}


class Streams:
    """At most so many streams of a server; it begins no new one while `is_full`."""

    def __init__(self, streams_max: int) -> None:
        self._open, self._max = 0, streams_max
        self._ending = asyncio.Event()

    @property
    def is_full(self) -> bool:
        return self._open >= self._max or self._ending.is_set()

    def end(self) -> None:
        """End all streams at once, and begin no more."""
        self._ending.set()

    async def serve(
        self, request: BaseRequest, events: Events, more: Mapping[str, str] = NOTHING
    ) -> StreamResponse:
        """Send what `events` has to say until it has said all; `more` are headers."""
        response = StreamResponse(headers={**HEADERS, **more})
        self._open += 1
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await self._send(request, response, events)
            await response.write_eof()
        except (ConnectionError, TimeoutError):  # the client has left, or reads nothing
            response.force_close()
        finally:
            self._open -= 1
        return response

    async def _send(self, request: BaseRequest, response: StreamResponse, events: Events) -> None:
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
