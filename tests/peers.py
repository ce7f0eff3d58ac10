"""Nodes that have only links, for tests."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from aiohttp import web

from node.core.protocol.events import Envelopes
from node.core.protocol.key_pages import CountKeys
from node.core.protocol.messages import Envelope, Epoch, Message
from node.security.audit import Audit
from node.security.cluster_secret import ClusterSecrets
from node.security.tls import TlsContexts
from node.shell.peers.gate import Gate
from node.shell.peers.handshake import FirstView
from node.shell.peers.link import Link
from node.shell.peers.link_limits import USUAL, LinkLimits
from node.shell.peers.links import PeerLinks

FOREVER_S = 60.0  # longer than any test


def envelope(content: Message | int) -> Envelope:
    """Return a letter with this message, or with one of this number."""
    return Envelope(Epoch(), CountKeys(content) if isinstance(content, int) else content)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition of which no event tells."""
    while not is_so():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)


class Peer:
    """A node that has only links; `events` is all that they told it."""

    def __init__(
        self,
        address: str,
        silence_s: float = FOREVER_S,
        where: Callable[[str], str] = str,
        seeks: Callable[[str], bool] = lambda peer: False,
        limits: LinkLimits = USUAL,
        secrets: Sequence[bytes] = (),
        tls: TlsContexts | None = None,
        first_view: FirstView | None = None,
    ) -> None:
        self.address, self.secrets = address, ClusterSecrets(secrets)
        gate = Gate(address, self.secrets, Audit(), tls)
        self.links = PeerLinks(
            address, Random(1), lambda: silence_s, where, seeks, limits, gate, lambda: first_view
        )
        self.events: list[tuple[str, object]] = []
        self._pulse = asyncio.Event()

    def on_envelope(self, peer: str, received: Envelope | Envelopes) -> None:
        for each in received.envelopes if isinstance(received, Envelopes) else [received]:
            if each == envelope(666):
                raise RuntimeError("a bug of a handler")
            self._note(peer, each)

    def _note(self, peer: str, event: object) -> None:
        self.events.append((peer, event))
        self._pulse.set()

    def start(self, *peers: str) -> None:
        """Start the links with these known nodes."""
        self.links.know(peers)
        self.links.start(
            self.on_envelope,
            lambda peer: self._note(peer, "up"),
            lambda peer: self._note(peer, "down"),
        )

    def link_with(self, peer: "Peer") -> Link:
        link = self.links._peers[peer.address].link
        assert link is not None
        return link

    def dialer_of(self, peer: "Peer") -> str:
        """Return the node that dialed the link with this peer; "" while there is none."""
        known = self.links._peers.get(peer.address)
        return known.link.dialer if known and known.link else ""

    async def has_seen(self, count: int) -> None:
        """Wait until so many events have come."""
        while len(self.events) < count:
            self._pulse.clear()
            await self._pulse.wait()

    async def sees(self, *events: object) -> None:
        """Wait until these are the last events."""
        while [event for _, event in self.events[-len(events) :]] != list(events):
            self._pulse.clear()
            await self._pulse.wait()


@asynccontextmanager
async def listening(
    accept: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], port: socket.socket
) -> AsyncIterator[None]:
    runner = web.ServerRunner(web.Server(accept), shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


def free_ports(count: int) -> list[socket.socket]:
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    return sorted(ports, key=address_of)


def address_of(port: socket.socket) -> str:
    return f"127.0.0.1:{port.getsockname()[1]}"


@asynccontextmanager
async def unlisted_peers(
    count: int = 2, silence_s: float = FOREVER_S, limits: LinkLimits = USUAL
) -> AsyncIterator[list[Peer]]:
    """Yield listening nodes, in the order of their addresses; none knows another or has started."""
    ports = free_ports(count)
    async with AsyncExitStack() as stack:
        peers = [Peer(address_of(port), silence_s, limits=limits) for port in ports]
        for peer, port in zip(peers, ports, strict=True):
            await stack.enter_async_context(listening(peer.links.accept, port))
            stack.push_async_callback(peer.links.close)
        yield peers


@asynccontextmanager
async def cluster(
    count: int = 2, silence_s: float = FOREVER_S, limits: LinkLimits = USUAL
) -> AsyncIterator[list[Peer]]:
    """Yield nodes that know each other and have all met, in the order of their addresses."""
    async with unlisted_peers(count, silence_s, limits) as peers:
        for peer in peers:
            peer.start(*(other.address for other in peers))
        for peer in peers:
            await peer.has_seen(count - 1)
        yield peers
