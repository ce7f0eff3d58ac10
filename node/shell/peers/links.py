"""The links port on WebSockets: one link per pair of nodes, at /peer of the node's one port.

The set of known nodes changes while a node runs.  A node dials all nodes that it knows, and the
smaller address of a pair dials first; if both dial, the link that the smaller one dialed stays.
Any node may call.  A caller that is not known is an *unlisted peer*: it gets what is sent to it
while its link lasts.

A message is sent at most once.  The node drops and counts what cannot leave now, and never keeps it
for a later link.  A new link ends the old one, so that nothing old arrives after something new.
The core's heartbeats keep links alive, also those of unlisted peers.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import asdict
from functools import partial
from random import Random
from typing import Any

import aiohttp
import msgspec
from aiohttp import web_request, web_response, web_ws

from node.core.protocol.events import Envelopes, together
from node.core.protocol.messages import Envelope
from node.security.audit import Audit
from node.security.cluster_secret import ClusterSecrets
from node.shell.peers.cuts import Cuts
from node.shell.peers.encoded import LastEncoded
from node.shell.peers.gate import Admitted, Distrusted, Gate
from node.shell.peers.handshake import (
    VERSION,
    FirstView,
    Hello,
    encode,
    new_session,
    objection,
    other_settings,
    received_hello,
)
from node.shell.peers.link import RECEIVE_BYTES_MAX, Link, Silence
from node.shell.peers.link_limits import USUAL, LinkLimits
from node.shell.peers.link_log import LinkLog
from node.shell.peers.peer import Peer
from node.shell.peers.redial_pace import RedialPace

HELLO_S = 2.0  # for dialing and both hellos

logger = logging.getLogger("coterie.links")

OnEnvelope = Callable[[str, Envelope | Envelopes], None]
OnPeer = Callable[[str], None]
Where = Callable[[str], str]
Seeks = Callable[[str], bool]
_decode = msgspec.msgpack.Decoder(list[Envelope]).decode


class PeerLinks:
    """The links to all nodes that this one knows, and to those that call it; silent until `start`.

    `silence_s` says how long a link may hear nothing.  `where` says where to dial a node, if that
    is not its name ("": nowhere, it may call).  `seeks` says whether this node waits for a first
    contact with another: then it dials again and again.  `first_view`: see the hello.
    """

    def __init__(
        self,
        address: str,
        random: Random,
        silence_s: Silence,
        where: Where = str,
        seeks: Seeks = lambda peer: False,
        limits: LinkLimits = USUAL,
        gate: Gate | None = None,
        first_view: Callable[[], FirstView | None] = lambda: None,
    ) -> None:
        self._address, self._limits, self._first_view = address, limits, first_view
        self._gate = gate or Gate(address, ClusterSecrets(), Audit())
        self._random, self._where, self._seeks = random, where, seeks
        self._new_link = partial(Link, silence_s=silence_s, limits=limits)
        self._known: frozenset[str] = frozenset()
        self._peers: dict[str, Peer] = {}
        self._cuts = Cuts()
        self._log = LinkLog()
        self._encoded = LastEncoded()
        self._session: aiohttp.ClientSession | None = None  # while it is open
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_envelope: OnEnvelope = lambda peer, envelope: None
        self._on_up: OnPeer = lambda peer: None
        self._on_down: OnPeer = lambda peer: None

    def start(self, on_envelope: OnEnvelope, on_up: OnPeer, on_down: OnPeer) -> None:
        """Dial and accept from now on.  All messages of a peer come between its up and its down."""
        self._on_envelope, self._on_up, self._on_down = on_envelope, on_up, on_down
        self._session = new_session(force_close=True, limit=0)
        self.know(self._known)

    def know(self, peers: Collection[str]) -> None:
        """Replace the set of known nodes.  This node dials new ones, and those whose address has
        changed.  It dials the others no more: each is an unlisted peer while its link lasts."""
        self._known = frozenset(peers) - {self._address}
        for address, peer in list(self._peers.items()):
            if address not in self._known:
                self._forget(address, peer)
        for address in sorted(self._known):
            peer = self._peers.setdefault(address, Peer())
            before, peer.where = peer.where, self._where(address)
            if peer.where != before:
                peer.dial_no_more()
            if self._session is not None and peer.dialer is None:
                peer.dialer = self._spawn(self._keep_linked(self._session, address, peer))

    def end_distrusted(self) -> None:
        """End the links whose secret is valid no more; their nodes dial anew."""
        for peer in list(self._peers.values()):
            if peer.link is not None and not self._gate.trusts(peer.link):
                self._end(peer.link)

    def _forget(self, address: str, peer: Peer) -> None:
        peer.dial_no_more()
        if peer.link is None:
            del self._peers[address]
        self._log.forget(address)

    async def close(self) -> None:
        """Send what is queued, then end all links; accept and dial no more."""
        session, self._session = self._session, None
        for peer in self._peers.values():
            peer.dial_no_more()
        links = [peer.link for peer in self._peers.values() if peer.link is not None]
        await asyncio.gather(*(link.finish() for link in links))
        for link in links:
            self._end(link)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if session is not None:
            await session.close()

    def send(self, peer: str, envelope: Envelope) -> None:
        """Queue the message.  Drop and count it without a link; ignore it for no peer."""
        known = self._peers.get(peer)
        if known is None:
            return
        link = known.link
        is_cut = self._cuts.has(peer)
        if link is None or is_cut or not link.send(self._encoded.bytes_of(envelope)):
            known.counts.dropped += 1

    def stats(self) -> dict[str, dict[str, int]]:
        """Return each peer's tally, with those of present unlisted peers."""
        return {name: asdict(peer.counts) for name, peer in self._peers.items()}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -------------------------------------------------------------- faults, for tests of clusters

    @property
    def cut(self) -> set[str]:
        """The peers that are cut off now."""
        return self._cuts.now()

    def cut_off(self, peers: Collection[str], ttl_s: float) -> None:
        """Drop all traffic with these peers, by name or address, silently, for this time."""
        named = [*peers, *(name for name, peer in self._peers.items() if peer.where in peers)]
        self._cuts.add(named, ttl_s)

    def heal(self) -> None:
        self._cuts.clear()

    # -------------------------------------------------------------- how links begin

    @property
    def _hello(self) -> Hello:
        return Hello(VERSION, self._address, self._first_view())

    @property
    def misfits(self) -> dict[str, str]:
        """Known nodes that began with other settings, and how these differ."""
        return {name: peer.misfit for name, peer in self._peers.items() if peer.misfit}

    async def accept(self, request: web_request.BaseRequest) -> web_response.StreamResponse:
        """Serve GET /peer for as long as the link lasts."""
        transport = request.transport
        if self._session is None or transport is None:
            return web_response.Response(status=503, text="not open to peers")
        caller = self._gate.admit(request, transport)
        if not isinstance(caller, Admitted):
            return caller
        web_socket = web_ws.WebSocketResponse(compress=False, max_msg_size=RECEIVE_BYTES_MAX)
        web_socket.headers.update(caller.headers)
        await web_socket.prepare(request)  # ConnectionError: the caller has given up meanwhile
        link = self._new_link(web_socket, transport)
        link.secret = caller.secret
        try:
            async with asyncio.timeout(HELLO_S):
                hello = await received_hello(web_socket)
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a caller left before its hello: %r", error)
            link.abort()
        else:
            if await self._admit(link, hello, caller.name, is_dialed=False):
                await self._run(link, encode(self._hello))
        return web_socket

    async def _keep_linked(self, session: aiohttp.ClientSession, address: str, peer: Peer) -> None:
        """Dial whenever there is no link, for good."""
        head_start_s = 0.0 if self._address < address else self._limits.head_start_s
        loop, pace = asyncio.get_running_loop(), RedialPace(head_start_s, self._random)
        while True:
            sought = sum(map(self._seeks, self._known)) if self._seeks(address) else 0
            await asyncio.sleep(pace.pause_s(sought))
            began, was_cut = loop.time(), self._cuts.has(address)
            if peer.link is None and peer.where and not was_cut:
                attempt = self._dial(session, address, peer.where)
                if sought:
                    peer.try_beside(self._spawn(attempt))
                else:
                    await attempt
            if peer.link is not None:
                await peer.apart.wait()
            pace.on_attempt(loop.time() - began, was_cut)

    async def _dial(self, session: aiohttp.ClientSession, peer: str, where: str) -> None:
        """Make one attempt; once both sides agree to it, the link runs in a task of its own."""
        link, began = None, False
        try:
            async with asyncio.timeout(HELLO_S):
                link = await self._gate.dial(session, peer, where, self._new_link)
                if link is None:
                    return
                await link.say(encode(self._hello))
                hello = await received_hello(link.socket)
            began = await self._admit(link, hello, peer, is_dialed=True)
        except Distrusted as error:
            self._log.refusal(peer, str(error), self._known)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.debug("%s cannot be reached at %s: %r", peer, where, error)
        finally:
            if link is not None and not began:
                link.abort()
        if began:
            assert link is not None
            self._spawn(self._run(link))

    async def _admit(self, link: Link, hello: Hello | str, expected: str, is_dialed: bool) -> bool:
        """Begin the link, if the other side may talk to us and has no better link."""
        reason = self._objection(hello, expected)
        misfit = "" if reason else other_settings(hello, self._hello)
        if reason or misfit:
            name = hello.address if isinstance(hello, Hello) else expected
            if misfit and name in self._known:
                self._peers[name].misfit = misfit
            if misfit and not is_dialed:
                await link.say_last(encode(self._hello))  # so that it sees the difference, too
            self._log.refusal(name, reason or misfit, self._known)
            await link.refuse(reason or misfit)
            return False
        assert isinstance(hello, Hello)
        link.peer, link.dialer = hello.address, self._address if is_dialed else hello.address
        known = self._peers.get(link.peer)
        has_better = known and known.link and known.link.dialer < link.dialer
        if self._session is None or has_better or self._cuts.has(link.peer):
            link.abort()
            return False
        self._begin(link)
        return True

    def _objection(self, hello: Hello | str, expected: str) -> str:
        reason = objection(hello, self._hello, expected)
        if reason or not isinstance(hello, Hello) or hello.address in self._peers:
            return reason
        unlisted_max = self._limits.unlisted_max
        is_full = len(self._peers) - len(self._known) >= unlisted_max
        return f"this node has {unlisted_max} unlisted peers and takes no more" if is_full else ""

    # -------------------------------------------------------------- how links live and end

    def _begin(self, link: Link) -> None:
        known = self._peers.get(link.peer)
        if known and known.link:
            self._end(known.link)
        peer = self._peers.setdefault(link.peer, Peer())
        tally = peer.counts
        peer.link, peer.misfit, tally.up = link, "", True
        peer.apart.clear()
        peer.drop_attempts()

        def on_sent(frame_bytes: int) -> None:
            tally.frames_out += 1
            tally.bytes_out += frame_bytes

        link.on_sent = on_sent
        self._log.forget(link.peer)
        logger.info("link with %s up", link.peer)
        self._hand_over(self._on_up, link.peer)

    async def _run(self, link: Link, hello: bytes = b"") -> None:
        """Run a link that has begun, until it ends; this hello leaves before what is queued."""
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
            return  # another link has taken its place
        link.abort()
        peer.link, peer.counts.up = None, False
        peer.apart.set()
        if link.peer not in self._known:
            del self._peers[link.peer]
        logger.info("link with %s down", link.peer)
        self._hand_over(self._on_down, link.peer)

    def _on_frame(self, link: Link, frame: Any) -> bool:
        peer = self._peers.get(link.peer)
        if peer is None or peer.link is not link:
            return False
        if self._cuts.has(link.peer):
            return True
        link.heard()
        try:
            whole = link.joined(frame)
            envelopes = _decode(whole) if whole is not None else []
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            what = repr(frame)[:100] if isinstance(frame, Exception) else error
            logger.warning("link with %s closed: a frame cannot be read: %s", link.peer, what)
            return False
        peer.counts.frames_in += 1
        peer.counts.bytes_in += len(frame)
        for envelope in together(envelopes):
            self._hand_over(self._on_envelope, link.peer, envelope)
        return True

    def _hand_over(
        self, handler: Callable[..., None], peer: str, *envelope: Envelope | Envelopes
    ) -> None:
        try:
            handler(peer, *envelope)
        except Exception as error:  # noqa: BLE001 - a bug in one handler must not end the link
            self._log.bug(peer, envelope[0] if envelope else None, error)
