"""One open WebSocket to a peer: frames out, frames in, and an end when it falls silent.

A frame is a msgpack list of letters.  A letter is encoded when it is sent, so what happens to its
parts afterwards does not show; all letters of one turn of the loop leave in one frame.  What is
over the queue's bounds is refused, never kept: the owner counts it and repair finds it.  Knows
neither who may talk to us nor what a letter means.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from aiohttp import web

QUEUE_MESSAGES_MAX = 65_536
QUEUE_BYTES_MAX = 64 * 1024 * 1024
FRAME_BYTES_MAX = 1024 * 1024  # more than this goes in several frames
MESSAGE_BYTES_MAX = 32 * 1024 * 1024  # a larger message is dropped, a larger frame ends the link
FRAME_SLACK_BYTES = 1024
RECEIVE_BYTES_MAX = MESSAGE_BYTES_MAX + FRAME_SLACK_BYTES
SILENCE_S = 2.0  # four beats missed
CLOSE_S = 1.0
REFUSED = 4403
REASON_BYTES_MAX = 123  # what a close frame holds

WebSocket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
LIST_HEADER: Final = struct.Struct(">BI")  # msgpack's array 32


class Link:
    """Sends and receives over one socket, from the hello on, until either side ends it.

    `peer` and `dialer` are addresses: who is at the other end, and which of the two dialed; both
    are empty until the hello.
    """

    def __init__(
        self, web_socket: WebSocket, transport: asyncio.Transport, silence_s: float
    ) -> None:
        self.peer = self.dialer = ""
        self.socket, self._transport, self._silence_s = web_socket, transport, silence_s
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._wake = self._loop.create_future()
        self._idle = asyncio.Event()
        self._closing = asyncio.Lock()
        self.on_sent: Callable[[int], None] = lambda frame_bytes: None

    def send(self, message: bytes) -> bool:
        """Queues an encoded message; False when it does not fit and is dropped."""
        size = len(message)
        if (
            size > MESSAGE_BYTES_MAX
            or len(self._queue) >= QUEUE_MESSAGES_MAX
            or (self._queue and self._queue_bytes + size > QUEUE_BYTES_MAX)
        ):
            return False
        self._queue.append(message)
        self._queue_bytes += size
        if not self._wake.done():
            self._wake.set_result(None)
        return True

    def heard(self) -> None:
        """The peer lives: silence counts from now."""
        self._heard_at = self._loop.time()

    def abort(self) -> None:
        """Ends the link at once; what the kernel still holds is thrown away, not delivered."""
        raw = self._transport.get_extra_info("socket")
        if raw is not None and not self._transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        if isinstance(self.socket, aiohttp.ClientWebSocketResponse):
            self.socket._response.close()  # or aiohttp waits for somebody to close it

    async def run(self, on_frame: Callable[["Link", Any], bool]) -> None:
        """Sends and receives until the link ends; `on_frame` says whether it may go on."""
        sender = asyncio.create_task(self._send_queue())
        self._watch()
        try:
            async for message in self.socket:
                if not on_frame(self, message.data):
                    break
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            await self._close(aiohttp.WSCloseCode.GOING_AWAY, "")

    async def say(self, message: bytes) -> None:
        """Sends these bytes as they are, before `run`; ConnectionError: the socket is gone."""
        await self.socket.send_bytes(message)

    async def refuse(self, reason: str) -> None:
        await self._close(REFUSED, reason)

    async def finish(self) -> None:
        """Sends what is queued, or what of it leaves within a second, and ends the link."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._idle.wait()
        await self._close(aiohttp.WSCloseCode.GOING_AWAY, "")

    async def _close(self, code: int, reason: str) -> None:
        """Says good-bye if the peer listens; the socket is gone in any case."""
        text = reason.encode("ascii", "replace")[:REASON_BYTES_MAX]
        async with self._closing:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self.socket.close(code=code, message=text)
            except TimeoutError:
                pass
            finally:
                self.abort()

    async def _send_queue(self) -> None:
        """Ends, and the link with it, when the socket is gone."""
        try:
            while True:
                if not self._queue:
                    self._idle.set()
                    self._wake = self._loop.create_future()
                    await self._wake
                    self._idle.clear()
                frame = self._next_frame()
                await self.socket.send_bytes(frame)  # waits when the kernel takes no more
                self.on_sent(len(frame))
        except ConnectionError:
            self.abort()

    def _next_frame(self) -> bytes:
        messages, size = [b""], 0
        while self._queue and (size == 0 or size + len(self._queue[0]) <= FRAME_BYTES_MAX):
            messages.append(self._queue.popleft())
            size += len(messages[-1])
        self._queue_bytes -= size
        messages[0] = LIST_HEADER.pack(0xDD, len(messages) - 1)
        return b"".join(messages)

    def _watch(self) -> None:
        """Looks again when the silence would be long enough."""
        silent_at = self._heard_at + self._silence_s
        if silent_at <= self._loop.time():
            self.abort()
        elif not self._transport.is_closing():
            self._loop.call_at(silent_at, self._watch)
