"""Links while the nodes of a cluster change: unlisted, new peers, peers known no more, two
dialers.
"""

import asyncio
from itertools import permutations

import aiohttp
import msgspec
import pytest
from aiohttp import web

from node.shell.peers.handshake import VERSION, Hello
from node.shell.peers.link_limits import LinkLimits
from tests.peers import (
    Peer,
    address_of,
    cluster,
    envelope,
    free_ports,
    listening,
    unlisted_peers,
    until,
)

encode = msgspec.msgpack.encode
NO_HEAD_START = LinkLimits(head_start_s=0.0)  # a larger address dials as soon as a smaller one


def is_in_order(peer: Peer) -> bool:
    """Whether everything that it was told of each other node lies between an up and a down."""
    is_up: dict[str, bool] = {}
    for source, event in peer.events:
        if (event == "up") == is_up.get(source, False):
            return False
        is_up[source] = event != "down"
    return True


# ------------------------------------------------------------------ unlisted


@pytest.mark.parametrize("unlisted_peer", [0, 1])
async def test_the_node_that_knows_dials_and_the_other_takes_it_as_an_unlisted_peer(
    unlisted_peer: int,
) -> None:
    async with unlisted_peers() as peers:
        host, unlisted = peers[unlisted_peer], peers[1 - unlisted_peer]
        host.start()
        unlisted.start(host.address)
        unlisted_sent, host_sent = envelope(1), envelope(2)
        await unlisted.sees("up")
        unlisted.links.send(host.address, unlisted_sent)
        await host.sees("up", unlisted_sent)
        host.links.send(unlisted.address, host_sent)
        await unlisted.sees("up", host_sent)
        assert host.links.stats()[unlisted.address]["frames_in"] == 1


async def test_nothing_is_remembered_of_an_unlisted_peer_that_has_gone() -> None:
    async with unlisted_peers() as (a, b):
        b.start()
        a.start(b.address)
        await b.sees("up")
        await a.links.close()
        await b.sees("up", "down")
        assert b.links.stats() == {}
        b.links.send(a.address, envelope(1))
        assert b.links.stats() == {}


async def test_unlisted_peers_are_bounded_and_known_peers_are_not_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with unlisted_peers(3, limits=LinkLimits(unlisted_max=1)) as (a, b, host):
        host.start()
        a.start(host.address)
        await host.sees("up")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{host.address}/peer") as caller,
        ):
            await caller.send_bytes(encode(Hello(VERSION, b.address)))
            assert "takes no more" in str((await caller.receive()).extra)
        host.links.know([a.address])
        b.start(host.address)
        await b.sees("up")
        await host.sees("up", "up")
    assert "this node has 1 unlisted peers" in caplog.text


# ------------------------------------------------------------------ known later, known no more


async def test_a_peer_that_is_known_later_is_dialed() -> None:
    async with unlisted_peers(3) as (a, b, c):
        for peer in (a, b, c):
            peer.start()
        b.links.know([a.address, c.address])
        await b.has_seen(2)
        assert sorted(b.events) == [(a.address, "up"), (c.address, "up")]
        b.links.send(a.address, envelope(1))
        await a.sees("up", envelope(1))
        assert set(b.links.stats()) == {a.address, c.address}


async def test_an_unlisted_peer_that_becomes_known_keeps_its_link_and_is_dialed_when_it_ends() -> (
    None
):
    async with unlisted_peers() as (a, b):
        a.start()
        b.start(a.address)
        await b.sees("up")
        first = a.link_with(b)
        a.links.know([b.address])
        b.links.know([])
        b.links.send(a.address, envelope(1))
        await a.sees("up", envelope(1))
        assert a.link_with(b) is first
        first.abort()
        await a.sees("down", "up")
        assert a.link_with(b).dialer == a.address


async def test_a_peer_that_is_known_no_more_is_unlisted_and_not_dialed() -> None:
    async with cluster(3) as (a, b, c):
        b.links.know([c.address])
        a.links.send(b.address, envelope(1))
        await b.sees(envelope(1))
        a.links.know([c.address])
        a.link_with(b).abort()
        for peer in (a, b):
            await peer.sees("down")
            assert set(peer.links.stats()) == {c.address}
            assert len(dialers(peer)) == 1
            assert is_in_order(peer)


def dialers(peer: Peer) -> list[asyncio.Task[None]]:
    tasks = peer.links._tasks
    return [task for task in tasks if "_keep_linked" in str(task.get_coro()) and not task.done()]


async def test_a_link_on_which_neither_side_speaks_ends_and_stays_away() -> None:
    async with cluster(silence_s=0.3) as peers:
        for peer in peers:
            peer.links.know([])
        for peer in peers:
            await peer.sees("down")
            assert peer.links.stats() == {}


async def test_a_peer_that_is_known_again_is_dialed_again() -> None:
    async with cluster() as (a, b):
        a.links.know([])
        b.links.know([])
        a.links.know([b.address])
        assert a.events == [(b.address, "up")]
        a.link_with(b).abort()
        await a.sees("up", "down", "up")
        await b.sees("up", "down", "up")


# ------------------------------------------------------------------ names that are no addresses


async def test_a_peer_is_dialed_where_it_is_and_anew_once_it_is_elsewhere() -> None:
    before, after = free_ports(2)
    places = {"b": address_of(before)}
    a, b, other = Peer("a", where=lambda name: places[name]), Peer("b"), Peer("other")
    other_was_called = asyncio.Event()

    async def accept_at_other(request: web.BaseRequest) -> web.StreamResponse:
        other_was_called.set()
        return await other.links.accept(request)

    async with listening(accept_at_other, before), listening(b.links.accept, after):
        other.start()
        b.start()
        a.start("b")
        await other_was_called.wait()
        places["b"] = address_of(after)
        a.links.know(["b"])
        await a.sees("up")
        first = a.link_with(b)
        places["b"] = "127.0.0.1:1"  # an open link stays, wherever its node is said to be
        a.links.know(["b"])
        a.links.send("b", envelope(1))
        await b.sees("up", envelope(1))
        assert a.link_with(b) is first
        assert a.events == [("b", "up")]
        for peer in (a, b, other):
            await peer.links.close()
    assert other.events == []


async def test_a_peer_that_is_nowhere_is_not_dialed_and_may_call() -> None:
    ports = free_ports(2)
    places = {"a": address_of(ports[0]), "b": ""}
    a, b = (Peer(name, where=lambda name: places[name]) for name in places)
    async with listening(a.links.accept, ports[0]), listening(b.links.accept, ports[1]):
        a.start("b")
        b.start("a")
        await a.sees("up")
        assert a.dialer_of(b) == "b"
        await a.links.close()
        await b.links.close()


async def test_a_peer_is_cut_off_by_its_name_or_by_where_it_is() -> None:
    port = free_ports(1)[0]
    a, b = Peer("a", where=lambda name: address_of(port)), Peer("b")
    async with listening(b.links.accept, port):
        b.start()
        a.start("b")
        await a.sees("up")
        a.links.cut_off([address_of(port)], 60.0)
        assert "b" in a.links.cut
        a.links.heal()
        a.links.cut_off(["b"], 60.0)
        assert a.links.cut == {"b"}
        await a.links.close()
        await b.links.close()


async def test_a_dial_under_way_ends_when_its_peer_is_known_no_more() -> None:
    ports = free_ports(2)
    called, gone = asyncio.Event(), asyncio.Event()

    async def never_say_hello(request: web.BaseRequest) -> web.StreamResponse:
        web_socket = web.WebSocketResponse()
        await web_socket.prepare(request)
        await web_socket.receive()
        called.set()
        await web_socket.receive()
        gone.set()
        return web_socket

    async with listening(never_say_hello, ports[1]):
        peer = Peer(address_of(ports[0]))
        peer.start(address_of(ports[1]))
        await called.wait()
        peer.links.know([])
        await gone.wait()
        await peer.links.close()
    ports[0].close()
    assert peer.events == []


# ------------------------------------------------------------------ both dial at once


async def test_two_that_dial_each_other_at_once_end_with_one_link() -> None:
    """Both have connected before either is heard."""
    ports = free_ports(2)
    a, b = peers = [Peer(address_of(port), limits=NO_HEAD_START) for port in ports]
    both = asyncio.Barrier(2)

    async def accept_at_a(request: web.BaseRequest) -> web.StreamResponse:
        await both.wait()
        return await a.links.accept(request)

    async def accept_at_b(request: web.BaseRequest) -> web.StreamResponse:
        await both.wait()
        return await b.links.accept(request)

    async with listening(accept_at_a, ports[0]), listening(accept_at_b, ports[1]):
        a.start(b.address)
        b.start(a.address)
        await until(lambda: a.dialer_of(b) == b.dialer_of(a) == a.address)
        a.links.send(b.address, envelope(1))
        b.links.send(a.address, envelope(2))
        await b.sees(envelope(1))
        await a.sees(envelope(2))
        assert all(is_in_order(peer) for peer in peers)
        await a.links.close()
        await b.links.close()


async def test_a_link_dialed_by_the_smaller_is_not_replaced_by_the_larger_one() -> None:
    async with (
        cluster() as (a, b),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{a.address}/peer") as caller,
    ):
        await caller.send_bytes(encode(Hello(VERSION, b.address)))
        assert (await caller.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert a.events == [(b.address, "up")]


async def test_a_link_dialed_by_the_larger_is_replaced_by_the_smaller_one() -> None:
    async with unlisted_peers(limits=NO_HEAD_START) as (a, b):
        a.start()
        b.start(a.address)
        await b.sees("up")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{b.address}/peer") as caller,
        ):
            await caller.send_bytes(encode(Hello(VERSION, a.address)))
            assert msgspec.msgpack.decode(await caller.receive_bytes(), type=Hello)
            await b.sees("up", "down", "up")
            await a.sees("up", "down")


async def test_a_wave_of_links_ends_with_one_for_each_pair() -> None:
    """This holds in whatever order the six nodes come to know each other."""
    async with unlisted_peers(6, limits=LinkLimits(head_start_s=0.01)) as peers:
        addresses = [peer.address for peer in peers]
        for number, peer in enumerate(peers):
            peer.start(*addresses[number::2])
        for peer in reversed(peers):
            peer.links.know(addresses)
        pairs = list(permutations(peers, 2))
        await until(lambda: all(a.dialer_of(b) == b.dialer_of(a) != "" for a, b in pairs))
        for sender, receiver in pairs:
            sender.links.send(receiver.address, envelope(1))
        await until(lambda: all((a.address, envelope(1)) in b.events for a, b in pairs))
        assert all(is_in_order(peer) for peer in peers)
