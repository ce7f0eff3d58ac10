"""The links port on WebSockets: one link per pair of nodes, at /peer of the node's one port.

The node with the smaller address dials, the other accepts.  Both say hello first; a stranger, or a
node with another view or version, is refused.  A message is sent at most once: what cannot leave
now is dropped and counted, nothing waits for a link to come back, and a new link ends the old one,
so that nothing old arrives after something new.  The core's beats keep links alive.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from node.core.messages import Message
from node.core.view import View
from node.shell.sockets import RECEIVE_BYTES_MAX, REFUSED, SILENCE_S, Link, WebSocket

VERSION = 1
PATH = "/peer"
HELLO_S = 2.0  # dialing and both hellos
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 1.0

logger = logging.getLogger("coterie.links")


class Hello(msgspec.Struct, frozen=True):
    """The first message of both sides."""

    version: int
    address: str
    view: str


@dataclass(slots=True)
class Tally:
    """What one peer has cost since the node's start."""

    up: bool = False
    frames_out: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    dropped: int = 0


OnMessage = Callable[[str, Message], None]
OnPeer = Callable[[str], None]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Message]).decode
_decode_hello = msgspec.msgpack.Decoder(Hello).decode


class PeerLinks:
    """Links to all other nodes of the view; silent until `start`."""

    def __init__(
        self, address: str, view: View, random: Random, silence_s: float = SILENCE_S
    ) -> None:
        self._hello = Hello(VERSION, address, view.id)
        self._random, self._silence_s = random, silence_s
        self._peers = tuple(node for node in view.nodes if node != address)
        self._tallies = {peer: Tally() for peer in self._peers}
        self._links: dict[str, Link] = {}
        self._cuts: dict[str, float] = {}  # peer -> deadline, on the loop's clock
        self._refused: dict[str, str] = {}  # peer -> the reason that was logged last
        self._bugs: set[str] = set()
        self._is_open = False
        self._dialers: list[asyncio.Task[None]] = []
        self._on_message: OnMessage = lambda peer, message: None
        self._on_up: OnPeer = lambda peer: None
        self._on_down: OnPeer = lambda peer: None

    def start(self, on_message: OnMessage, on_up: OnPeer, on_down: OnPeer) -> None:
        """Dials, and accepts from now on.  All messages of a peer lie between its up and down."""
        self._on_message, self._on_up, self._on_down = on_message, on_up, on_down
        self._is_open = True
        larger = [peer for peer in self._peers if self._hello.address < peer]
        self._dialers = [asyncio.create_task(self._keep_dialing(peer)) for peer in larger]

    async def close(self) -> None:
        """Sends what is queued, then ends all links; nothing is accepted or dialed any more."""
        self._is_open = False
        await asyncio.gather(*(link.finish() for link in self._links.values()))
        for dialer in self._dialers:
            dialer.cancel()
        await asyncio.gather(*self._dialers, return_exceptions=True)
        for peer in list(self._links):
            self._end(peer)

    def send(self, peer: str, message: Message) -> None:
        link = self._links.get(peer)
        if link is None or (self._cuts and self._is_cut(peer)) or not link.send(_encode(message)):
            self._tallies[peer].dropped += 1

    def stats(self) -> dict[str, dict[str, int]]:
        return {peer: asdict(tally) for peer, tally in self._tallies.items()}

    # -------------------------------------------------------------- faults, for tests of clusters

    @property
    def cut(self) -> set[str]:
        """The peers that are cut off now."""
        return {peer for peer in self._cuts if self._is_cut(peer)}

    def cut_off(self, peers: Iterable[str], ttl_s: float) -> None:
        """Drops everything to and from these peers, in silence, for so long; others as before."""
        deadline = asyncio.get_running_loop().time() + ttl_s
        self._cuts.update((peer, deadline) for peer in peers)

    def heal(self) -> None:
        self._cuts.clear()

    def _is_cut(self, peer: str) -> bool:
        deadline = self._cuts.get(peer)
        if deadline is not None and deadline <= asyncio.get_running_loop().time():
            del self._cuts[peer]
            return False
        return deadline is not None

    # -------------------------------------------------------------- how links begin

    async def accept(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serves GET /peer for as long as the link lasts."""
        transport = request.transport
        if not self._is_open or transport is None:
            return web.Response(status=503, text="not open to peers")
        web_socket = web.WebSocketResponse(compress=False, max_msg_size=RECEIVE_BYTES_MAX)
        await web_socket.prepare(request)
        link = Link("", web_socket, transport, self._silence_s)
        try:
            async with asyncio.timeout(HELLO_S):
                hello = await _receive_hello(web_socket)
                if await self._admit(link, hello, ""):
                    await web_socket.send_bytes(_encode(self._hello))
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a caller left before its hello: %r", error)
            link.abort()
        if link.peer:
            await self._run(link)
        return web_socket

    async def _keep_dialing(self, peer: str) -> None:
        """For good.  Only a link that lasted makes the next attempt come soon."""
        loop = asyncio.get_running_loop()
        connector = aiohttp.TCPConnector(use_dns_cache=False, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        backoff_s = BACKOFF_MIN_S
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                began = loop.time()
                link = None if self._is_cut(peer) else await self._dial(session, peer)
                if link is not None:
                    await self._run(link)
                if self._is_cut(peer) or loop.time() - began > 2 * BACKOFF_MAX_S:
                    backoff_s = BACKOFF_MIN_S
                await asyncio.sleep(backoff_s * self._random.uniform(0.5, 1.0))
                backoff_s = min(BACKOFF_MAX_S, 2 * backoff_s)

    async def _dial(self, session: aiohttp.ClientSession, peer: str) -> Link | None:
        """One attempt: the link, once both sides have agreed to it."""
        link = None
        try:
            async with asyncio.timeout(HELLO_S):
                web_socket = await session.ws_connect(
                    f"http://{peer}{PATH}", max_msg_size=RECEIVE_BYTES_MAX
                )
                # aiohttp does not show a client's transport; only that can end a link at once.
                connection = web_socket._response.connection
                if connection is None or connection.transport is None:
                    return None
                link = Link("", web_socket, connection.transport, self._silence_s)
                await web_socket.send_bytes(_encode(self._hello))
                if await self._admit(link, await _receive_hello(web_socket), peer):
                    return link
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.debug("%s cannot be reached: %r", peer, error)
            if link is not None:
                link.abort()
        return None

    async def _admit(self, link: Link, hello: Hello | str, dialed: str) -> bool:
        """Names the link's peer, if the other side is who may talk to us."""
        reason = self._objection(hello, dialed)
        peer = hello.address if isinstance(hello, Hello) else dialed
        if reason:
            known = peer if peer in self._tallies else ""
            if self._refused.get(known) != reason:
                self._refused[known] = reason
                logger.warning("no link with %s: %s", peer or "a stranger", reason)
            await link.refuse(reason)
        elif self._is_cut(peer):
            link.abort()
        else:
            self._refused.pop(peer, None)
            link.peer = peer
        return bool(link.peer)

    def _objection(self, hello: Hello | str, dialed: str) -> str:
        if isinstance(hello, str):
            return hello
        if hello.version != VERSION:
            return f"it speaks version {hello.version}, this node {VERSION}"
        if hello.address not in self._tallies:
            return f"{hello.address} is not another node of the view"
        if hello.view != self._hello.view:
            return f"its view is {hello.view}, this node's {self._hello.view}"
        if dialed and hello.address != dialed:
            return f"it says it is {hello.address}"
        if not dialed and hello.address > self._hello.address:
            return f"{self._hello.address} dials {hello.address}, not the other way"
        return ""

    # -------------------------------------------------------------- how links live and end

    async def _run(self, link: Link) -> None:
        peer, tally = link.peer, self._tallies[link.peer]
        self._end(peer)
        self._links[peer] = link
        tally.up = True

        def on_sent(frame_bytes: int) -> None:
            tally.frames_out += 1
            tally.bytes_out += frame_bytes

        link.on_sent = on_sent
        logger.info("link with %s up", peer)
        self._on_up(peer)
        try:
            await link.run(self._on_frame)
        finally:
            if self._links.get(peer) is link:
                self._end(peer)

    def _end(self, peer: str) -> None:
        link = self._links.pop(peer, None)
        if link is not None:
            link.abort()
            self._tallies[peer].up = False
            logger.info("link with %s down", peer)
            self._on_down(peer)

    def _on_frame(self, link: Link, frame: Any) -> bool:
        if self._links.get(link.peer) is not link:
            return False
        if self._cuts and self._is_cut(link.peer):
            return True
        link.heard()
        tally = self._tallies[link.peer]
        try:
            messages = _decode(frame)
        except (msgspec.MsgspecError, TypeError) as error:
            what = repr(frame)[:100] if isinstance(frame, Exception) else error
            logger.warning("link with %s closed: a frame cannot be read: %s", link.peer, what)
            return False
        tally.frames_in += 1
        tally.bytes_in += len(frame)
        for message in messages:
            self._hand_over(link.peer, message)
        return True

    def _hand_over(self, peer: str, message: Message) -> None:
        try:
            self._on_message(peer, message)
        except Exception as error:  # noqa: BLE001 - a bug in one handler must not end the link
            bug = f"{type(message).__name__}: {error!r}"[:200]
            self._log_bug(peer, bug)

    def _log_bug(self, peer: str, bug: str) -> None:
        """With its traceback the first time, counted as a line after that."""
        is_new = bug not in self._bugs and len(self._bugs) < 1000
        self._bugs.add(bug) if is_new else None
        logger.error("cannot handle what %s sent: %s", peer, bug, exc_info=is_new)


async def _receive_hello(web_socket: WebSocket) -> Hello | str:
    """What the other side says first, or what is wrong with it."""
    message = await web_socket.receive()
    if message.type is aiohttp.WSMsgType.CLOSE and message.data == REFUSED:
        return f"it refuses this node: {message.extra}"
    if message.type is not aiohttp.WSMsgType.BINARY:
        raise ConnectionResetError("closed before its hello")
    try:
        return _decode_hello(message.data)
    except msgspec.MsgspecError as error:
        return f"its first message is no hello: {error}"
