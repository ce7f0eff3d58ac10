"""Links between nodes: who dials, who is let in, what is dropped, and when a link ends."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import aiohttp
import msgspec
import pytest
from aiohttp import web

from node.core.messages import Accept, CountKeys, Message, Put
from node.core.view import View, first_view
from node.shell import sockets
from node.shell.links import VERSION, Hello, PeerLinks

encode = msgspec.msgpack.encode


class LogWatch(logging.Handler):
    """Sets `seen` when a line with these words is logged."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words, self.seen = words, asyncio.Event()
        logging.getLogger("coterie").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.seen.set()


class Peer:
    """A node that has links and nothing else; `events` is all that it was told."""

    def __init__(self, address: str, view: View, silence_s: float) -> None:
        self.address = address
        self.links = PeerLinks(address, view, Random(1), silence_s)
        self.events: list[tuple[str, object]] = []
        self._pulse = asyncio.Event()

    def on_message(self, peer: str, message: Message) -> None:
        if message == CountKeys(666):
            raise RuntimeError("a bug of a handler")
        self._note(peer, message)

    def _note(self, peer: str, event: object) -> None:
        self.events.append((peer, event))
        self._pulse.set()

    def start(self) -> None:
        self.links.start(
            self.on_message,
            lambda peer: self._note(peer, "up"),
            lambda peer: self._note(peer, "down"),
        )

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
async def cluster(count: int = 2, silence_s: float = 60.0) -> AsyncIterator[list[Peer]]:
    """Nodes that have all met, in the order of their addresses."""
    ports = free_ports(count)
    view = first_view([address_of(port) for port in ports], 1)
    async with AsyncExitStack() as stack:
        peers = [Peer(address, view, silence_s) for address in view.nodes]
        for peer, port in zip(peers, ports, strict=True):
            await stack.enter_async_context(listening(peer.links.accept, port))
            stack.push_async_callback(peer.links.close)
            peer.start()
        for peer in peers:
            await peer.has_seen(count - 1)
        yield peers


async def test_every_pair_has_one_link_and_messages_go_both_ways() -> None:
    async with cluster(3) as peers:
        for sender in peers:
            for receiver in peers:
                if sender is not receiver:
                    sender.links.send(receiver.address, CountKeys(1))
        for peer in peers:
            others = sorted(other.address for other in peers if other is not peer)
            await peer.has_seen(4)
            assert sorted(peer.events[:2]) == [(other, "up") for other in others]
            assert sorted(source for source, _ in peer.events[2:]) == others


async def test_messages_of_one_turn_leave_in_one_frame_and_in_order() -> None:
    async with cluster() as (a, b):
        for number in range(500):
            a.links.send(b.address, CountKeys(number))
        await b.sees(CountKeys(499))
        assert b.events[1:] == [(a.address, CountKeys(number)) for number in range(500)]
        sent, received = a.links.stats()[b.address], b.links.stats()[a.address]
        assert sent["frames_out"] == received["frames_in"] == 1
        assert sent["bytes_out"] == received["bytes_in"]
        assert (sent["up"], sent["dropped"]) == (True, 0)


async def test_a_large_message_goes_through_and_one_over_the_bound_is_dropped() -> None:
    async with cluster() as (a, b):
        large, too_large = (
            Accept(1, Put("k", b"v" * (sockets.MESSAGE_BYTES_MAX - slack))) for slack in (1000, 0)
        )
        a.links.send(b.address, too_large)
        a.links.send(b.address, large)
        await b.sees("up", large)
        assert a.links.stats()[b.address]["dropped"] == 1


async def test_what_the_queue_does_not_take_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "QUEUE_MESSAGES_MAX", 3)
    async with cluster() as (a, b):
        for number in range(5):
            a.links.send(b.address, CountKeys(number))
        await b.sees(CountKeys(2))
        assert a.links.stats()[b.address]["dropped"] == 2


async def test_a_peer_that_reads_nothing_costs_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "QUEUE_BYTES_MAX", 1_000_000)
    ports = free_ports(2)
    view = first_view([address_of(port) for port in ports], 1)
    reading = asyncio.Event()

    async def say_hello_and_stop(request: web.BaseRequest) -> web.StreamResponse:
        web_socket = web.WebSocketResponse()
        await web_socket.prepare(request)
        await web_socket.receive()
        await web_socket.send_bytes(encode(Hello(VERSION, view.nodes[1], view.id)))
        await reading.wait()
        return web_socket

    async with listening(say_hello_and_stop, ports[1]):
        peer = Peer(view.nodes[0], view, 60.0)
        peer.start()
        await peer.sees("up")
        message = Accept(1, Put("k", b"v" * 500_000))
        while not peer.links.stats()[view.nodes[1]]["dropped"]:
            peer.links.send(view.nodes[1], message)
            await asyncio.sleep(0)
        reading.set()
        await peer.links.close()
    ports[0].close()


async def test_nothing_is_kept_for_a_peer_that_is_away() -> None:
    ports = free_ports(2)
    view = first_view([address_of(port) for port in ports], 1)
    a, b = (Peer(address, view, 60.0) for address in view.nodes)
    a.start()
    a.links.send(b.address, CountKeys(1))
    assert a.links.stats()[b.address]["dropped"] == 1
    async with listening(a.links.accept, ports[0]), listening(b.links.accept, ports[1]):
        b.start()
        await a.sees("up")
        a.links.send(b.address, CountKeys(2))
        await b.sees("up", CountKeys(2))
        await a.links.close()
        await b.sees("down")
        await b.links.close()


async def test_close_sends_what_is_queued() -> None:
    async with cluster() as (a, b):
        for number in range(1000):
            a.links.send(b.address, CountKeys(number))
        await a.links.close()
        await b.sees(CountKeys(999), "down")
        assert a.events[-1] == (b.address, "down")


@pytest.mark.parametrize("silent", [0, 1])
async def test_a_silent_link_ends_and_comes_back(silent: int) -> None:
    async with cluster(silence_s=0.3) as peers:
        talker, listener = peers[1 - silent], peers[silent]
        await talker.sees("up", "down", "up")
        await listener.sees("up", "down", "up")


# ------------------------------------------------------------------ bad peers


async def test_a_bad_frame_ends_just_its_link(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster() as (a, b):
        await a.links._links[b.address]._socket.send_bytes(b"\xc1 no msgpack")
        await a.sees("up", "down", "up")
        await b.sees("up", "down", "up")
        a.links.send(b.address, CountKeys(1))
        await b.sees(CountKeys(1))
    assert "a frame cannot be read" in caplog.text


async def test_a_bug_in_a_handler_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster() as (a, b):
        for number in (1, 666, 666, 2):
            a.links.send(b.address, CountKeys(number))
        await b.sees("up", CountKeys(1), CountKeys(2))
    assert len(caplog.records) == 2
    assert caplog.text.count("Traceback") == 1


async def refused_because(hello: bytes, peer: Peer) -> str:
    """What a caller is told who begins like this."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{peer.address}/peer") as web_socket,
    ):
        await web_socket.send_bytes(hello)
        message = await web_socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, sockets.REFUSED)
        return str(message.extra)


async def test_refuses_whom_it_does_not_know() -> None:
    async with cluster() as (a, b):
        view = b.links._hello.view
        for hello, reason in (
            (b"nonsense", "no hello"),
            (encode(Hello(VERSION, "10.1.1.1:1", view)), "not another node of the view"),
            (encode(Hello(VERSION, b.address, view)), "not another node of the view"),
            (encode(Hello(VERSION, a.address, "2-other")), "its view is 2-other"),
            (encode(Hello(VERSION + 1, a.address, view)), f"version {VERSION + 1}"),
        ):
            assert reason in await refused_because(hello, b)
        to_be_dialed = encode(Hello(VERSION, b.address, view))
        assert "not the other way" in await refused_because(to_be_dialed, a)
        assert b.events == [(a.address, "up")]


async def test_two_views_do_not_mix() -> None:
    ports = free_ports(2)
    nodes = [address_of(port) for port in ports]
    a, b = (Peer(nodes[i], first_view(nodes, i + 1), 60.0) for i in range(2))
    async with listening(a.links.accept, ports[0]), listening(b.links.accept, ports[1]):
        refused = LogWatch("it refuses this node: its view is")
        a.start()
        b.start()
        await refused.seen.wait()
        logging.getLogger("coterie").removeHandler(refused)
        assert not a.events
        assert not b.events
        await a.links.close()
        await b.links.close()


async def test_a_new_link_replaces_the_old_one() -> None:
    """The dialer has restarted and this node has not noticed yet."""
    async with (
        cluster() as (a, b),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{b.address}/peer") as web_socket,
    ):
        await web_socket.send_bytes(encode(a.links._hello))
        assert msgspec.msgpack.decode(await web_socket.receive_bytes(), type=Hello)
        await web_socket.send_bytes(encode([CountKeys(7)]))
        await b.has_seen(4)
        assert [event for _, event in b.events[:4]] == ["up", "down", "up", CountKeys(7)]


# ------------------------------------------------------------------ faults


async def test_a_cut_drops_both_ways_until_it_heals() -> None:
    async with cluster() as (a, b):
        a.links.cut_off([b.address], 60.0)
        assert a.links.cut == {b.address}
        a.links.send(b.address, CountKeys(1))
        assert a.links._on_frame(a.links._links[b.address], encode([CountKeys(2)]))
        assert a.events == [(b.address, "up")]
        a.links.heal()
        a.links.send(b.address, CountKeys(3))
        await b.sees("up", CountKeys(3))
        b.links.send(a.address, CountKeys(4))
        await a.sees(CountKeys(4))
        assert a.links.stats()[b.address]["dropped"] == 1


async def test_a_cut_ends_by_itself_and_takes_the_link_with_it_when_long() -> None:
    async with cluster(silence_s=0.2) as (a, b):
        a.links.cut_off([b.address], 1.0)
        await a.sees("down")
        assert a.links.cut == {b.address}
        await a.sees("down", "up")
        assert a.links.cut == set()
        await b.sees("down", "up")


async def test_backs_off_from_a_peer_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    enough = asyncio.Event()
    real_sleep = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        delays.append(delay_s)
        if len(delays) == 8:
            enough.set()
        await real_sleep(0)

    monkeypatch.setattr("node.shell.links.asyncio.sleep", sleep)
    ports = free_ports(2)
    view = first_view([address_of(port) for port in ports], 1)
    ports[1].close()
    peer = Peer(view.nodes[0], view, 60.0)
    peer.start()
    await enough.wait()
    await peer.links.close()
    ports[0].close()
    wished = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    assert all(w / 2 <= delay_s <= w for delay_s, w in zip(delays, wished, strict=False))
