"""Nodes that have links and nothing else, for tests."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from aiohttp import web

from node.core.messages import CountKeys, Letter, Letters, Message, Stamp
from node.shell.links import PeerLinks
from node.shell.sockets import Link

FOREVER_S = 60.0  # longer than any test


def letter(content: Message | int) -> Letter:
    """This message, or one with this number."""
    return Letter(Stamp(), CountKeys(content) if isinstance(content, int) else content)


async def until(is_so: Callable[[], bool]) -> None:
    """Waits for what nobody is told of."""
    while not is_so():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)


class Peer:
    """A node that has links and nothing else; `events` is all that it was told."""

    def __init__(
        self, address: str, silence_s: float = FOREVER_S, where: Callable[[str], str] = str
    ) -> None:
        self.address = address
        self.links = PeerLinks(address, Random(1), silence_s, where)
        self.events: list[tuple[str, object]] = []
        self._pulse = asyncio.Event()

    def on_letter(self, peer: str, received: Letter | Letters) -> None:
        for each in received.letters if isinstance(received, Letters) else [received]:
            if each == letter(666):
                raise RuntimeError("a bug of a handler")
            self._note(peer, each)

    def _note(self, peer: str, event: object) -> None:
        self.events.append((peer, event))
        self._pulse.set()

    def start(self, *peers: str) -> None:
        """Begins, knowing these."""
        self.links.know(peers)
        self.links.start(
            self.on_letter,
            lambda peer: self._note(peer, "up"),
            lambda peer: self._note(peer, "down"),
        )

    def link_with(self, peer: "Peer") -> Link:
        link = self.links._peers[peer.address].link
        assert link is not None
        return link

    def dialer_of(self, peer: "Peer") -> str:
        """Who dialed the link with this peer; "" while there is none."""
        known = self.links._peers.get(peer.address)
        return known.link.dialer if known and known.link else ""

    async def has_seen(self, count: int) -> None:
        """Waits until so many things have happened."""
        while len(self.events) < count:
            self._pulse.clear()
            await self._pulse.wait()

    async def sees(self, *events: object) -> None:
        """Waits until these are the last things that happened."""
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
async def strangers(count: int = 2, silence_s: float = FOREVER_S) -> AsyncIterator[list[Peer]]:
    """Nodes that listen, in the order of their addresses; none knows another, none has begun."""
    ports = free_ports(count)
    async with AsyncExitStack() as stack:
        peers = [Peer(address_of(port), silence_s) for port in ports]
        for peer, port in zip(peers, ports, strict=True):
            await stack.enter_async_context(listening(peer.links.accept, port))
            stack.push_async_callback(peer.links.close)
        yield peers


@asynccontextmanager
async def cluster(count: int = 2, silence_s: float = FOREVER_S) -> AsyncIterator[list[Peer]]:
    """Nodes that know each other and have all met, in the order of their addresses."""
    async with strangers(count, silence_s) as peers:
        for peer in peers:
            peer.start(*(other.address for other in peers))
        for peer in peers:
            await peer.has_seen(count - 1)
        yield peers
