"""Bodies that arrive after their headers take turns, so that those under way fit into memory.

A short body arrives with its headers, and needs nothing here.  A longer one first gets room for all
of it, and keeps the room until its request is answered.  Its client waits while there is no room,
and the kernel holds what the client sends.  When the node stops it gives up every body that has not
fully arrived: nothing of it was carried out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.hdrs import EXPECT
from aiohttp.streams import StreamReader
from aiohttp.web_request import BaseRequest

from node.api.contract import Reply
from node.api.parsing import refused
from node.shell.http.port_limits import PortLimits
from node.shell.http.request_body import too_large

RETRY = {"Kv-Outcome": "definite", "Retry-After": "1"}
STOPPING = refused(
    503, "this node is shutting down and has not carried out the request: ask another one", RETRY
)
LATE = refused(408, "the request body did not arrive in time")


class Bodies:
    """Room for bodies of up to `bytes_max` bytes each."""

    def __init__(self, bytes_max: int, limits: PortLimits) -> None:
        self._bytes_max, self._limits = bytes_max, limits
        self._taken = 0
        self._turn = asyncio.Lock()  # first come, first served, large bodies too
        self._freed = asyncio.Event()
        self._waits: set[asyncio.Timeout] = set()  # for room, or for bytes
        self._are_given_up = False

    def give_up(self) -> None:
        """Give up all bodies that wait or come from now on, since the node stops."""
        self._are_given_up = True
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(0.0)

    @asynccontextmanager
    async def read(self, request: BaseRequest) -> AsyncIterator[bytes | Reply]:
        """Yield the whole body, or the reply that says why not; keep its room inside the block."""
        size = request.content_length
        room = self._bytes_max if size is None else size
        if room > self._bytes_max:
            yield too_large(self._bytes_max)
            return
        if not await self._has_room(room):
            yield STOPPING if self._are_given_up else _no_room(self._limits.room_timeout_s)
            return
        try:
            yield await self._body_of(request)
        finally:
            self._taken -= room
            self._freed.set()

    async def _has_room(self, size: int) -> bool:
        """Take room; return False if there was none in time, or the node stops."""
        try:
            async with self._patience(self._limits.room_timeout_s), self._turn:
                while self._taken and self._taken + size > self._limits.bodies_bytes_max:
                    self._freed.clear()
                    await self._freed.wait()
                self._taken += size
        except TimeoutError:
            return False
        return True

    async def _body_of(self, request: BaseRequest) -> bytes | Reply:
        try:
            async with self._patience(self._limits.body_grace_s) as wait:
                if request.headers.get(EXPECT, "").lower() == "100-continue":
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.writer.output_size = 0  # the answer itself has not begun
                return await self._rest_of(request.content, wait)
        except TimeoutError:  # also after a malformed chunk, of which the parser tells no reader
            return STOPPING if self._are_given_up else LATE

    async def _rest_of(self, content: StreamReader, wait: asyncio.Timeout) -> bytes | Reply:
        """Read on; what has come says how much longer the rest is waited for."""
        limits, body = self._limits, bytearray()
        began = asyncio.get_running_loop().time()
        while chunk := await content.readany():
            body += chunk
            if len(body) > self._bytes_max:
                return too_large(self._bytes_max)
            due_s = limits.body_grace_s + len(body) / limits.body_bytes_per_s
            if not self._are_given_up and not wait.expired():
                wait.reschedule(began + min(due_s, limits.body_timeout_s))
        return bytes(body)

    @asynccontextmanager
    async def _patience(self, length_s: float) -> AsyncIterator[asyncio.Timeout]:
        """Raise TimeoutError when the block lasts longer, or the node stops."""
        async with asyncio.timeout(0.0 if self._are_given_up else length_s) as wait:
            self._waits.add(wait)
            try:
                yield wait
            finally:
                self._waits.discard(wait)


def _no_room(waited_s: float) -> Reply:
    words = f"too many large requests: no room for this one within {waited_s:.0f} s; try again"
    return refused(503, words, RETRY)
