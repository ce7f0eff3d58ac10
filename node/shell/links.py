"""The links port on WebSockets: one link per pair of nodes, at /peer of the node's one port.

Whom a node knows changes while it runs.  It dials all it knows, the smaller address of a pair
first; when both dial, the link dialed by the smaller one stays.  Anybody may call: whoever is not
known is a *guest*, and gets what is sent to it while its link lasts.  A letter is sent at most
once: what cannot leave now is dropped and counted, nothing waits for a link to come back, and a new
link ends the old one, so that nothing old arrives after something new.  The core's beats keep
links alive, those of guests too.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import asdict
from random import Random
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from node.core.messages import Letter, Letters, together
from node.shell.greeting import (
    VERSION,
    Hello,
    connected,
    encode,
    objection,
    received_hello,
)
from node.shell.peers import Peer
from node.shell.sockets import RECEIVE_BYTES_MAX, SILENCE_S, Link

HELLO_S = 2.0  # dialing and both hellos
HEAD_START_S = 0.5  # the larger address dials when the smaller one has not for so long
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 1.0
GUESTS_MAX = 64  # one more is refused
BUGS_MAX = 1000  # different ones, of which each is logged once with its traceback

logger = logging.getLogger("coterie.links")


OnLetter = Callable[[str, Letter | Letters], None]
OnPeer = Callable[[str], None]
Where = Callable[[str], str]
_decode = msgspec.msgpack.Decoder(list[Letter]).decode


class PeerLinks:
    """Links to all nodes this one knows, and to those that call it; silent until `start`.
    `where` tells where a node is dialed, if that is not its name ("": nowhere, it may call)."""

    def __init__(
        self, address: str, random: Random, silence_s: float = SILENCE_S, where: Where = str
    ) -> None:
        self._address, self._hello = address, Hello(VERSION, address)
        self._random, self._silence_s, self._where = random, silence_s, where
        self._known: frozenset[str] = frozenset()
        self._peers: dict[str, Peer] = {}
        self._cuts: dict[str, float] = {}  # peer -> deadline, on the loop's clock
        self._refused: dict[str, str] = {}  # peer -> the reason that was logged last
        self._bugs: set[str] = set()
        self._encoded: tuple[Letter | None, bytes] = None, b""  # the last letter
        self._session: aiohttp.ClientSession | None = None  # while it is open
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_letter: OnLetter = lambda peer, letter: None
        self._on_up: OnPeer = lambda peer: None
        self._on_down: OnPeer = lambda peer: None

    def start(self, on_letter: OnLetter, on_up: OnPeer, on_down: OnPeer) -> None:
        """Dials, and accepts from now on.  All letters of a peer lie between its up and down."""
        self._on_letter, self._on_up, self._on_down = on_letter, on_up, on_down
        connector = aiohttp.TCPConnector(use_dns_cache=False, force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self.know(self._known)

    def know(self, peers: Collection[str]) -> None:
        """These are the other nodes from now on: new ones, and those that are elsewhere now, are
        dialed.  The others are dialed no more: each is a guest while its link lasts."""
        self._known = frozenset(peers) - {self._address}
        for address, peer in list(self._peers.items()):
            if address not in self._known:
                self._forget(address, peer)
        for address in sorted(self._known):
            peer = self._peers.setdefault(address, Peer())
            before, peer.where = peer.where, self._where(address)
            if peer.dialer is not None and peer.where != before:
                peer.dialer.cancel()
                peer.dialer = None
            if self._session is not None and peer.dialer is None:
                peer.dialer = self._spawn(self._keep_linked(self._session, address, peer))

    def _forget(self, address: str, peer: Peer) -> None:
        if peer.dialer is not None:
            peer.dialer.cancel()
            peer.dialer = None
        if peer.link is None:
            del self._peers[address]
        self._refused.pop(address, None)

    async def close(self) -> None:
        """Sends what is queued, then ends all links; nothing is accepted or dialed any more."""
        session, self._session = self._session, None
        for peer in self._peers.values():
            if peer.dialer is not None:
                peer.dialer.cancel()
        links = [peer.link for peer in self._peers.values() if peer.link is not None]
        await asyncio.gather(*(link.finish() for link in links))
        for link in links:
            self._end(link)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if session is not None:
            await session.close()

    def send(self, peer: str, letter: Letter) -> None:
        """Queues the letter.  Without a link it is dropped; for who is no peer, without a trace."""
        known = self._peers.get(peer)
        if known is None:
            return
        link = known.link
        if link is None or (self._cuts and self._is_cut(peer)) or not link.send(self._text(letter)):
            known.tally.dropped += 1

    def _text(self, letter: Letter) -> bytes:
        """A letter to several peers comes several times in a row, and is encoded once."""
        if letter is not self._encoded[0]:
            self._encoded = letter, encode(letter)
        return self._encoded[1]

    def stats(self) -> dict[str, dict[str, int]]:
        """Each peer's tally; the guests of this moment are among them."""
        return {address: asdict(peer.tally) for address, peer in self._peers.items()}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -------------------------------------------------------------- faults, for tests of clusters

    @property
    def cut(self) -> set[str]:
        """The peers that are cut off now."""
        return {peer for peer in list(self._cuts) if self._is_cut(peer)}

    def cut_off(self, peers: Collection[str], ttl_s: float) -> None:
        """Drops everything to and from these peers, by name or address, in silence, for so long."""
        named = [*peers, *(name for name, peer in self._peers.items() if peer.where in peers)]
        deadline = asyncio.get_running_loop().time() + ttl_s
        self._cuts.update(dict.fromkeys(named, deadline))

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
        if self._session is None or transport is None:
            return web.Response(status=503, text="not open to peers")
        web_socket = web.WebSocketResponse(compress=False, max_msg_size=RECEIVE_BYTES_MAX)
        await web_socket.prepare(request)
        link = Link(web_socket, transport, self._silence_s)
        try:
            async with asyncio.timeout(HELLO_S):
                hello = await received_hello(web_socket)
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a caller left before its hello: %r", error)
            link.abort()
        else:
            if await self._admit(link, hello, ""):
                await self._run(link, encode(self._hello))
        return web_socket

    async def _keep_linked(self, session: aiohttp.ClientSession, address: str, peer: Peer) -> None:
        """Dials whenever there is no link, for good.  Only a link that lasted makes the next
        attempt come soon."""
        loop = asyncio.get_running_loop()
        head_start_s = 0.0 if self._address < address else HEAD_START_S
        pause_s, backoff_s = head_start_s, BACKOFF_MIN_S
        while True:
            await asyncio.sleep(pause_s)
            began, was_cut = loop.time(), self._is_cut(address)
            if peer.link is None and peer.where and not was_cut:
                await self._dial(session, address, peer.where)
            if peer.link is not None:
                await peer.apart.wait()
            if was_cut or loop.time() - began > 2 * BACKOFF_MAX_S:
                backoff_s = BACKOFF_MIN_S
            pause_s = head_start_s + backoff_s * self._random.uniform(0.5, 1.0)
            backoff_s = min(BACKOFF_MAX_S, 2 * backoff_s)

    async def _dial(self, session: aiohttp.ClientSession, peer: str, where: str) -> None:
        """One attempt; the link runs by itself, once both sides have agreed to it."""
        link, began = None, False
        try:
            async with asyncio.timeout(HELLO_S):
                link = await connected(session, where, self._silence_s)
                if link is None:
                    return
                await link.say(encode(self._hello))
                hello = await received_hello(link.socket)
            began = await self._admit(link, hello, peer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.debug("%s cannot be reached at %s: %r", peer, where, error)
        finally:
            if link is not None and not began:
                link.abort()
        if began:
            assert link is not None
            self._spawn(self._run(link))

    async def _admit(self, link: Link, hello: Hello | str, dialed: str) -> bool:
        """Begins the link, if the other side is who may talk to us and has no better one."""
        reason = self._objection(hello, dialed)
        if reason:
            self._log_refusal(hello.address if isinstance(hello, Hello) else dialed, reason)
            await link.refuse(reason)
            return False
        assert isinstance(hello, Hello)
        link.peer, link.dialer = hello.address, self._address if dialed else hello.address
        known = self._peers.get(link.peer)
        has_better = known and known.link and known.link.dialer < link.dialer
        if self._session is None or has_better or self._is_cut(link.peer):
            link.abort()
            return False
        self._begin(link)
        return True

    def _objection(self, hello: Hello | str, dialed: str) -> str:
        reason = objection(hello, self._hello, dialed)
        if reason or not isinstance(hello, Hello) or hello.address in self._peers:
            return reason
        is_full = len(self._peers) - len(self._known) >= GUESTS_MAX
        return f"this node has {GUESTS_MAX} guests and takes no more" if is_full else ""

    def _log_refusal(self, peer: str, reason: str) -> None:
        """Once for each reason, and not for each attempt."""
        known = peer if peer in self._known else ""
        if self._refused.get(known) != reason:
            self._refused[known] = reason
            logger.warning("no link with %.300s: %.300s", peer or "a stranger", reason)

    # -------------------------------------------------------------- how links live and end

    def _begin(self, link: Link) -> None:
        known = self._peers.get(link.peer)
        if known and known.link:
            self._end(known.link)
        peer = self._peers.setdefault(link.peer, Peer())
        tally = peer.tally
        peer.link, tally.up = link, True
        peer.apart.clear()

        def on_sent(frame_bytes: int) -> None:
            tally.frames_out += 1
            tally.bytes_out += frame_bytes

        link.on_sent = on_sent
        self._refused.pop(link.peer, None)
        logger.info("link with %s up", link.peer)
        self._hand_over(self._on_up, link.peer)

    async def _run(self, link: Link, hello: bytes = b"") -> None:
        """Until the link ends; it has begun, and what it was given to send follows this hello."""
        try:
            if hello:
                await link.say(hello)
            await link.run(self._on_frame)
        except ConnectionError as error:
            logger.debug("%s left at once: %r", link.peer, error)
        finally:
            self._end(link)

    def _end(self, link: Link) -> None:
        peer = self._peers.get(link.peer)
        if peer is None or peer.link is not link:
            return  # another one has taken its place
        link.abort()
        peer.link, peer.tally.up = None, False
        peer.apart.set()
        if link.peer not in self._known:
            del self._peers[link.peer]
        logger.info("link with %s down", link.peer)
        self._hand_over(self._on_down, link.peer)

    def _on_frame(self, link: Link, frame: Any) -> bool:
        peer = self._peers.get(link.peer)
        if peer is None or peer.link is not link:
            return False
        if self._cuts and self._is_cut(link.peer):
            return True
        link.heard()
        try:
            letters = _decode(frame)
        except (msgspec.MsgspecError, TypeError) as error:
            what = repr(frame)[:100] if isinstance(frame, Exception) else error
            logger.warning("link with %s closed: a frame cannot be read: %s", link.peer, what)
            return False
        peer.tally.frames_in += 1
        peer.tally.bytes_in += len(frame)
        for letter in together(letters):
            self._hand_over(self._on_letter, link.peer, letter)
        return True

    def _hand_over(
        self, handler: Callable[..., None], peer: str, *letter: Letter | Letters
    ) -> None:
        try:
            handler(peer, *letter)
        except Exception as error:  # noqa: BLE001 - a bug in one handler must not end the link
            what = _name_of(letter[0]) if letter else "a link"
            self._log_bug(peer, f"{what}: {error!r}"[:200])

    def _log_bug(self, peer: str, bug: str) -> None:
        """With its traceback the first time, counted as a line after that."""
        is_new = bug not in self._bugs and len(self._bugs) < BUGS_MAX
        self._bugs.add(bug) if is_new else None
        logger.error("cannot handle what %s sent: %s", peer, bug, exc_info=is_new)


def _name_of(letter: Letter | Letters) -> str:
    last = letter.letters[-1] if isinstance(letter, Letters) else letter
    return type(last.message).__name__
