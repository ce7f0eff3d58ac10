"""A node dials again and again for a first contact, beside attempts that hang, and within
bounds.
"""

import asyncio
from random import Random

import pytest
from aiohttp import web

from node.shell.peers.link_limits import USUAL
from node.shell.peers.redial_pace import HASTE_S, SOUGHT_MAX, RedialPace
from tests.peers import Peer, address_of, free_ports, listening

SLACK_S = 0.25  # of a machine that does more than this


@pytest.mark.parametrize("caller", [0, 1], ids=["the smaller address", "the larger address"])
async def test_a_node_that_is_sought_is_met_at_once_however_long_it_was_away(caller: int) -> None:
    """After a while without an answer the usual pauses are of one second, and half of one more."""
    sockets_of = {address_of(port): port for port in free_ports(2)}
    addresses = list(sockets_of)
    peer = Peer(addresses[caller], seeks=lambda peer: True)
    other = Peer(addresses[1 - caller])
    loop = asyncio.get_running_loop()
    other.start()
    async with listening(peer.links.accept, sockets_of[peer.address]):
        peer.start(other.address)
        await asyncio.sleep(2.0)  # the port is taken and no program listens: attempts hang or fail
        began = loop.time()
        async with listening(other.links.accept, sockets_of[other.address]):
            await peer.sees("up")
            assert loop.time() - began < 0.2 + SLACK_S
            await peer.links.close()
            await other.links.close()


async def test_attempts_that_hang_do_not_keep_others_from_being_made() -> None:
    """A network that drops everything is back before the old attempt has noticed."""
    ports = free_ports(2)
    a, b = (Peer(address_of(port), seeks=lambda peer: True) for port in ports)
    silent, hellos = 4, asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal silent
        silent -= 1
        if silent >= 0:
            await hellos.wait()
            return web.Response()
        return await b.links.accept(request)

    loop = asyncio.get_running_loop()
    async with listening(a.links.accept, ports[0]), listening(answer, ports[1]):
        b.start()
        began = loop.time()
        a.start(b.address)
        await a.sees("up")
        assert loop.time() - began < 1.5  # one attempt after the other takes 2 s each
        await asyncio.sleep(0.3)
        assert [event for _, event in a.events] == ["up"]  # those that hung have been given up
        hellos.set()
        await a.links.close()
        await b.links.close()


async def test_a_node_that_stops_does_not_wait_for_attempts_that_hang() -> None:
    ports = free_ports(2)
    a, b = map(address_of, ports)
    peer, loop = Peer(a, seeks=lambda peer: True), asyncio.get_running_loop()
    calls, enough, over = 0, asyncio.Event(), asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 3:
            enough.set()
        await over.wait()
        return web.Response()

    async with listening(hang, ports[1]):
        peer.start(b)
        await enough.wait()
        began = loop.time()
        await peer.links.close()
        assert loop.time() - began < SLACK_S
        over.set()
    ports[0].close()


def test_all_that_are_sought_are_dialed_a_bounded_number_of_times() -> None:
    for sought in (1, 8, 100):
        pace = RedialPace(USUAL.head_start_s, Random(1))
        for _ in range(20):
            pace.on_attempt(0.001, False)
        usual_s = pace.pause_s(0)
        assert usual_s > 0.9
        assert pace.pause_s(sought) == min(usual_s, HASTE_S * max(1.0, sought / SOUGHT_MAX))
