"""One open WebSocket to a peer: frames out, frames in, and an end when it falls silent.

A frame is a msgpack list of messages.  `Link` queues encoded messages, so a later change of a
message's parts does not show; all messages of one turn of the loop leave in one frame.  A large
message leaves in slices, each a frame of its own, with other frames between them: so beats do not
wait, and the peer hears from us while the message is on its way.  The link refuses what exceeds the
queue's bounds and keeps nothing back: the owner counts it, and repair finds it.  Knows neither
which nodes may talk to us nor what a message means.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from aiohttp.web_ws import WebSocketResponse

from node.shell.peers.link_limits import USUAL, LinkLimits

FRAME_BYTES_MAX = 1024 * 1024  # more than this leaves in several frames
SLICE_BYTES_MAX = 256 * 1024  # a larger message leaves in slices
# Twice the largest value: the core sends no larger message (node/core/protocol/pieces.py).  The
# peer drops a larger message; a larger frame, or the slice of a larger message, ends the link.
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
FRAME_SLACK_BYTES = 1024
RECEIVE_BYTES_MAX = MESSAGE_BYTES_MAX + FRAME_SLACK_BYTES
CLOSE_S = 1.0
REFUSED = 4403
REASON_BYTES_MAX = 123  # the most that a close frame holds

WebSocket = WebSocketResponse | aiohttp.ClientWebSocketResponse
Silence = Callable[[], float]  # how long a link may hear nothing, at this moment
LIST_HEADER: Final = struct.Struct(">BI")  # msgpack's array 32
SLICE_HEADER: Final = struct.Struct(">BII")  # a mark, the bytes of the whole, where the slice is
SLICE_MARK = 0xC1  # no msgpack begins with it


class Link:
    """Sends and receives over one socket, from the hello on, until either side ends it.

    `peer` is the address of the node at the other end, `dialer` of the node that dialed; both are
    empty until the hello.  `secret` is the one that both nodes have proven, if they were asked to.
    """

    def __init__(
        self,
        web_socket: WebSocket,
        transport: asyncio.Transport,
        silence_s: Silence,
        limits: LinkLimits = USUAL,
    ) -> None:
        self.peer = self.dialer = ""
        self.secret = b""
        self.socket, self._transport, self._silence_s = web_socket, transport, silence_s
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._messages_max, self._bytes_max = limits.queue_messages_max, limits.queue_bytes_max
        self._queue: deque[bytes] = deque()
        self._large: deque[bytes] = deque()  # frames to slice
        self._sliced = 0  # how much of the first one has left
        self._may_slice = True  # the last frame was no slice
        self._queue_bytes = 0
        self._received = bytearray()  # the slices of a frame that have come
        self._wake = self._loop.create_future()
        self._idle = asyncio.Event()
        self._closing = asyncio.Lock()
        self.on_sent: Callable[[int], None] = lambda frame_bytes: None

    def send(self, message: bytes) -> bool:
        """Queue an encoded message; return False when it does not fit and is dropped."""
        size = len(message)
        if (
            size > MESSAGE_BYTES_MAX
            or len(self._queue) >= self._messages_max
            or (self._queue_bytes and self._queue_bytes + size > self._bytes_max)
        ):
            return False
        if size > SLICE_BYTES_MAX:
            message = LIST_HEADER.pack(0xDD, 1) + message
            self._large.append(message)
        else:
            self._queue.append(message)
        self._queue_bytes += len(message)
        if not self._wake.done():
            self._wake.set_result(None)
        return True

    def heard(self) -> None:
        """Note that the peer lives: its silence counts from now."""
        self._heard_at = self._loop.time()

    def abort(self) -> None:
        """End the link at once, and throw away what the kernel still holds."""
        is_open = not self._transport.is_closing()
        raw = self._transport.get_extra_info("socket") if is_open else None
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        if isinstance(self.socket, aiohttp.ClientWebSocketResponse):
            self.socket._response.close()  # aiohttp would wait for a close

    async def run(self, on_frame: Callable[["Link", Any], bool]) -> None:
        """Send and receive until the link ends; `on_frame` says whether it may go on."""
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
        """Send these bytes as they are, before `run`; ConnectionError: the socket is gone."""
        await self.socket.send_bytes(message)

    async def say_last(self, message: bytes) -> None:
        """Send these bytes to a side that may be gone already."""
        with contextlib.suppress(ConnectionError):
            await self.say(message)

    async def refuse(self, reason: str) -> None:
        await self._close(REFUSED, reason)

    async def finish(self) -> None:
        """Send what is queued, as far as it leaves within a second, and end the link."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._idle.wait()
        await self._close(aiohttp.WSCloseCode.GOING_AWAY, "")

    async def _close(self, code: int, reason: str) -> None:
        """Say good-bye if the peer listens; the socket is gone in any case."""
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
        """Send queued frames; end the link when the socket is gone."""
        try:
            while True:
                if not self._queue and not self._large:
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
        """Take the next frame; slices and other messages alternate where both wait."""
        self._may_slice = bool(self._large) and (self._may_slice or not self._queue)
        if self._may_slice:
            self._may_slice = False
            return self._next_slice()
        self._may_slice = True
        messages, size = [b""], 0
        while self._queue and (size == 0 or size + len(self._queue[0]) <= FRAME_BYTES_MAX):
            messages.append(self._queue.popleft())
            size += len(messages[-1])
        self._queue_bytes -= size
        messages[0] = LIST_HEADER.pack(0xDD, len(messages) - 1)
        return b"".join(messages)

    def _next_slice(self) -> bytes:
        whole, start = self._large[0], self._sliced
        some = memoryview(whole)[start : start + SLICE_BYTES_MAX]
        self._queue_bytes -= len(some)
        self._sliced += len(some)
        if self._sliced == len(whole):
            self._large.popleft()
            self._sliced = 0
        return SLICE_HEADER.pack(SLICE_MARK, len(whole), start) + some

    def joined(self, frame: bytes) -> bytes | bytearray | None:
        """Return a frame as it is, or the one that this slice completes; None: more is to come.

        Drops slices that do not follow each other, because some were lost.  Raises ValueError for a
        slice of a frame that is too large.
        """
        if frame[0] != SLICE_MARK or len(frame) < SLICE_HEADER.size:
            return frame
        _, size, start = SLICE_HEADER.unpack_from(frame)
        if size > RECEIVE_BYTES_MAX:
            raise ValueError(f"{size} bytes in slices; the limit is {RECEIVE_BYTES_MAX}")
        if start == 0:
            self._received = bytearray()
        if start != len(self._received):
            return None
        self._received += memoryview(frame)[SLICE_HEADER.size :]
        if len(self._received) < size:
            return None
        whole, self._received = self._received, bytearray()
        return whole

    def _watch(self) -> None:
        """End the link when it has been silent for too long; look again at that time."""
        silent_at = self._heard_at + self._silence_s()
        if silent_at <= self._loop.time():
            self.abort()
        elif not self._transport.is_closing():
            self._loop.call_at(silent_at, self._watch)
