"""Links between nodes: which node dials, which callers may enter, what is dropped, how links
end.
"""

import asyncio
import socket

import aiohttp
import msgspec
import pytest
from aiohttp import web

from node.core.protocol.messages import Accept
from node.core.protocol.operations import Put
from node.shell.peers import link as link_module
from node.shell.peers.handshake import VERSION, Hello
from node.shell.peers.link_limits import LinkLimits
from tests.peers import Peer, address_of, cluster, envelope, free_ports, listening, until

encode = msgspec.msgpack.encode


async def test_every_pair_has_one_link_and_messages_go_both_ways() -> None:
    async with cluster(3) as peers:
        for sender in peers:
            for receiver in peers:
                if sender is not receiver:
                    sender.links.send(receiver.address, envelope(1))
        for peer in peers:
            others = sorted(other.address for other in peers if other is not peer)
            await peer.has_seen(4)
            assert sorted(peer.events[:2]) == [(other, "up") for other in others]
            assert sorted(source for source, _ in peer.events[2:]) == others


async def test_messages_of_one_turn_leave_in_one_frame_and_in_order() -> None:
    async with cluster() as (a, b):
        for number in range(500):
            a.links.send(b.address, envelope(number))
        await b.sees(envelope(499))
        assert b.events[1:] == [(a.address, envelope(number)) for number in range(500)]
        sent, received = a.links.stats()[b.address], b.links.stats()[a.address]
        assert sent["frames_out"] == received["frames_in"] == 1
        assert sent["bytes_out"] == received["bytes_in"]
        assert (sent["up"], sent["dropped"]) == (True, 0)


async def test_a_large_message_goes_through_and_one_over_the_bound_is_dropped() -> None:
    async with cluster() as (a, b):
        large, too_large = (
            envelope(Accept(1, Put("k", b"v" * (link_module.MESSAGE_BYTES_MAX - slack))))
            for slack in (1000, 0)
        )
        a.links.send(b.address, too_large)
        a.links.send(b.address, large)
        await b.sees("up", large)
        assert a.links.stats()[b.address]["dropped"] == 1


async def test_other_messages_pass_a_large_one_on_its_way() -> None:
    """So the peer hears from the node while that sends a large message."""
    async with cluster() as (a, b):
        large = envelope(Accept(1, Put("k", b"v" * 3_000_000)))
        a.links.send(b.address, large)
        for number in range(3):
            a.links.send(b.address, envelope(number))
        await b.sees("up", envelope(0), envelope(1), envelope(2), large)
        larger = envelope(Accept(1, Put("k", b"w" * 3_000_001)))
        a.links.send(b.address, large)
        a.links.send(b.address, larger)
        await b.sees(large, large, larger)
        assert a.links.stats()[b.address]["dropped"] == 0
        sent, received = a.links.stats()[b.address], b.links.stats()[a.address]
        assert sent["bytes_out"] == received["bytes_in"]


async def test_a_large_message_of_which_a_slice_is_lost_is_lost_and_no_other() -> None:
    async with cluster() as (a, b):
        link = a.link_with(b)
        large = envelope(Accept(1, Put("k", b"v" * 1_000_000)))
        assert link.send(encode(large))
        first = link._next_slice()
        link._next_slice()  # is lost
        await link.say(first)
        assert link.send(encode(large))
        await b.sees("up", large)
        assert a.link_with(b) is link


async def test_a_slice_of_a_frame_that_is_too_large_ends_the_link() -> None:
    async with cluster() as (a, b):
        size = link_module.RECEIVE_BYTES_MAX + 1
        await a.link_with(b).say(
            link_module.SLICE_HEADER.pack(link_module.SLICE_MARK, size, 0) + b"x"
        )
        await b.sees("up", "down", "up")


async def test_a_slow_link_is_not_given_up_while_a_large_message_comes() -> None:
    """Each slice is a sign of life: the whole takes longer than silence may last."""
    async with cluster() as (a, b):
        heard = b.link_with(a)
        before = heard._heard_at
        first = link_module.SLICE_HEADER.pack(link_module.SLICE_MARK, 1_000_000, 0) + b"v" * 1000
        await a.link_with(b).say(first)  # the rest is still to come
        await until(lambda: heard._heard_at > before)
        assert [event for _, event in b.events] == ["up"]


async def test_what_the_queue_does_not_take_is_dropped() -> None:
    async with cluster(limits=LinkLimits(queue_messages_max=3)) as (a, b):
        for number in range(5):
            a.links.send(b.address, envelope(number))
        await b.sees(envelope(2))
        assert a.links.stats()[b.address]["dropped"] == 2


async def test_a_peer_that_reads_nothing_costs_bounded_memory() -> None:
    ports = free_ports(2)
    a, b = map(address_of, ports)
    reading = asyncio.Event()

    async def say_hello_and_stop(request: web.BaseRequest) -> web.StreamResponse:
        web_socket = web.WebSocketResponse()
        await web_socket.prepare(request)
        await web_socket.receive()
        await web_socket.send_bytes(encode(Hello(VERSION, b)))
        await reading.wait()
        return web_socket

    async with listening(say_hello_and_stop, ports[1]):
        peer = Peer(a, limits=LinkLimits(queue_bytes_max=1_000_000))
        peer.start(b)
        await peer.sees("up")
        large = envelope(Accept(1, Put("k", b"v" * 500_000)))
        while not peer.links.stats()[b]["dropped"]:
            peer.links.send(b, large)
            await asyncio.sleep(0)
        reading.set()
        await peer.links.close()
    ports[0].close()


async def test_nothing_is_kept_for_a_peer_that_is_away() -> None:
    ports = free_ports(2)
    a, b = (Peer(address_of(port)) for port in ports)
    a.start(b.address)
    a.links.send(b.address, envelope(1))
    assert a.links.stats()[b.address]["dropped"] == 1
    async with listening(a.links.accept, ports[0]), listening(b.links.accept, ports[1]):
        b.start(a.address)
        await a.sees("up")
        a.links.send(b.address, envelope(2))
        await b.sees("up", envelope(2))
        await a.links.close()
        await b.sees("down")
        await b.links.close()


async def test_close_sends_what_is_queued() -> None:
    async with cluster() as (a, b):
        for number in range(1000):
            a.links.send(b.address, envelope(number))
        await a.links.close()
        await b.sees(envelope(999), "down")
        assert a.events[-1] == (b.address, "down")


@pytest.mark.parametrize("silent", [0, 1])
async def test_a_silent_link_ends_and_comes_back(silent: int) -> None:
    async with cluster(silence_s=0.3) as peers:
        talker, listener = peers[1 - silent], peers[silent]
        await talker.sees("up", "down", "up")
        await listener.sees("up", "down", "up")


async def test_knows_no_peer_until_told_and_never_itself() -> None:
    port = socket.create_server(("127.0.0.1", 0))
    a = Peer(address_of(port))
    async with listening(a.links.accept, port):
        a.start(a.address)
        a.links.send("10.1.1.1:1", envelope(1))
        assert a.links.stats() == {}
        await a.links.close()


# ------------------------------------------------------------------ bad peers


async def test_a_bad_frame_ends_just_its_link(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster() as (a, b):
        await a.link_with(b).socket.send_bytes(b"\xc1 no msgpack")
        await a.sees("up", "down", "up")
        await b.sees("up", "down", "up")
        a.links.send(b.address, envelope(1))
        await b.sees(envelope(1))
    assert "a frame cannot be read" in caplog.text


async def test_a_bug_in_a_handler_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster() as (a, b):
        for number in (1, 666, 666, 2):
            a.links.send(b.address, envelope(number))
        await b.sees("up", envelope(1), envelope(2))
    assert len(caplog.records) == 2
    assert caplog.text.count("Traceback") == 1


async def refused_because(hello: bytes, peer: Peer) -> str:
    """Return what a caller that begins like this is told."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{peer.address}/peer") as web_socket,
    ):
        await web_socket.send_bytes(hello)
        message = await web_socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, link_module.REFUSED)
        return str(message.extra)


async def test_refuses_another_version_and_a_caller_without_a_name() -> None:
    async with cluster() as (a, b):
        for hello, reason in (
            (b"nonsense", "no hello"),
            (encode(Hello(VERSION + 1, a.address)), f"version {VERSION + 1}"),
            (encode({"version": 1, "address": a.address, "view": "1-x"}), "version 1, this"),
            (encode(Hello(VERSION, b.address)), "it says it is this node"),
            (encode(Hello(VERSION, "a\nb:1")), "who it is"),
            (encode(Hello(VERSION, "x" * 10_000)), "who it is"),
        ):
            assert reason in await refused_because(hello, b)
        assert b.events == [(a.address, "up")]


async def test_a_dialed_node_that_says_it_is_another_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ports = free_ports(2)
    a, b = (Peer(address_of(port)) for port in ports)
    other = Peer("127.0.0.1:1")
    refused = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = await other.links.accept(request)
        refused.set()
        return response

    async with listening(a.links.accept, ports[0]), listening(answer, ports[1]):
        other.start()
        a.start(b.address)
        await refused.wait()
        await a.links.close()
        await other.links.close()
    assert a.events == []
    assert "it says it is 127.0.0.1:1" in caplog.text


async def test_a_new_link_of_the_same_dialer_replaces_the_old_one() -> None:
    """The dialer has restarted, and this node has not noticed yet."""
    async with (
        cluster() as (a, b),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{b.address}/peer") as web_socket,
    ):
        await web_socket.send_bytes(encode(Hello(VERSION, a.address)))
        assert msgspec.msgpack.decode(await web_socket.receive_bytes(), type=Hello)
        await web_socket.send_bytes(encode([envelope(7)]))
        await b.has_seen(4)
        assert [event for _, event in b.events[:4]] == ["up", "down", "up", envelope(7)]


# ------------------------------------------------------------------ faults


async def test_a_cut_drops_both_ways_until_it_heals() -> None:
    async with cluster() as (a, b):
        a.links.cut_off([b.address], 60.0)
        assert a.links.cut == {b.address}
        a.links.send(b.address, envelope(1))
        assert a.links._on_frame(a.link_with(b), encode([envelope(2)]))
        assert a.events == [(b.address, "up")]
        a.links.heal()
        a.links.send(b.address, envelope(3))
        await b.sees("up", envelope(3))
        b.links.send(a.address, envelope(4))
        await a.sees(envelope(4))
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
        if len(delays) == 9:
            enough.set()
        await real_sleep(0)

    monkeypatch.setattr("node.shell.peers.links.asyncio.sleep", sleep)
    ports = free_ports(2)
    a, b = map(address_of, ports)
    ports[1].close()
    peer = Peer(a)
    peer.start(b)
    await enough.wait()
    await peer.links.close()
    ports[0].close()
    wanted = [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    assert all(w / 2 <= delay_s <= w for delay_s, w in zip(delays, wanted, strict=False))
