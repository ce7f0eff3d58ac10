"""The door of /peer with a secret: which callers it admits, and what the others learn."""

import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.hdrs import AUTHENTICATION_INFO, AUTHORIZATION, WWW_AUTHENTICATE

from node.security.cluster_secret import LISTENER
from node.shell.peers.gate import SCHEME, SWEEP_MIN, Gate
from node.shell.peers.handshake import VERSION, Hello, encode
from node.shell.peers.link import REFUSED
from tests.peers import Peer, address_of, envelope, free_ports, listening, until
from tests.security.callers import CALLER, ONE, TWO, audited, calling


@pytest.fixture
async def node() -> AsyncIterator[Peer]:
    """A node with a secret, and no peer."""
    (port,) = free_ports(1)
    peer = Peer(address_of(port), secrets=[ONE])
    async with listening(peer.links.accept, port):
        peer.start()
        yield peer
        await peer.links.close()


def gate_of(peer: Peer) -> Gate:
    return peer.links._gate


async def test_nodes_of_one_secret_meet_and_messages_go_both_ways() -> None:
    ports = free_ports(2)
    a, b = (Peer(address_of(port), secrets=[ONE]) for port in ports)
    async with listening(a.links.accept, ports[0]), listening(b.links.accept, ports[1]):
        a.start(b.address)
        b.start(a.address)
        await a.has_seen(1)
        a.links.send(b.address, envelope(1))
        await b.sees("up", envelope(1))
        b.links.send(a.address, envelope(2))
        await a.sees("up", envelope(2))
        await a.links.close()
        await b.links.close()


async def test_a_caller_that_proves_the_secret_is_a_peer(node: Peer) -> None:
    async with calling(node.address) as caller:
        assert (await caller.prove(ONE, await caller.challenge())).status == 101


async def test_a_caller_without_a_proof_gets_a_challenge_and_no_more(
    node: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://{node.address}/peer"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert (answer.status, await answer.read()) == (401, b"")
            assert answer.headers["Server"] == "coterie"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(url)
        assert refusal.value.status == 401
    assert (node.events, audited(caplog)) == ([], [])


async def test_what_is_refused_changes_nothing_and_leaves_one_line(
    node: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    async with calling(node.address) as known:
        await known.prove(ONE, await known.challenge())
        captured = {AUTHORIZATION: known.claim}
    assert audited(caplog) == []
    async with calling(node.address) as caller:
        assert (await caller.ask(**captured)).status == 401
        assert [each.split(" why=")[1] for each in audited(caplog)] == [
            "'it answers no challenge of this connection'"
        ]
        await caller.challenge()
        assert (await caller.ask(**captured)).status == 401
        (line,) = audited(caplog)
        assert line == (
            f"peer-refused from=127.0.0.1 node={CALLER} why='its proof is wrong for this meeting'"
        )
    for refused in (
        {"secret": TWO},
        {"secret": ONE, "listener": "127.0.0.1:8"},  # said to another node, and passed on
        {"secret": ONE, "side": LISTENER},  # what a node answers to its caller
        {"secret": ONE, "claimed": "127.0.0.1:8"},
    ):
        async with calling(node.address) as caller:
            await caller.prove(challenge=await caller.challenge(), **refused)
        assert len(audited(caplog)) == 1
    for credential in ("Bearer abc", "Basic YTpi", SCHEME, f'{SCHEME} node="a:1"', "x" * 5000):
        async with calling(node.address) as caller:
            await caller.challenge()
            assert (await caller.ask(Authorization=credential)).status == 401
        (line,) = audited(caplog)
        assert line.endswith("why='it has no proof of a node, but another credential'")
    assert node.events == []
    assert ONE.decode() not in caplog.text


async def test_a_challenge_is_good_for_one_answer(node: Peer) -> None:
    async with calling(node.address) as caller:
        challenge = await caller.challenge()
        await caller.challenge()
        await caller.prove(ONE, challenge)
    assert node.events == []


async def test_a_peer_has_the_name_that_it_has_proven(node: Peer) -> None:
    hello = encode(Hello(VERSION, "127.0.0.1:8"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        dialer = Gate(CALLER, node.secrets, gate_of(node)._audit)
        link = await dialer.dial(session, node.address, node.address, node.links._new_link)
        assert link is not None
        await link.say(hello)
        message = await link.socket.receive()
        assert (message.data, message.extra) == (REFUSED, "it says it is 127.0.0.1:8")
        link.abort()
    assert node.events == []


async def test_challenges_of_connections_that_have_gone_are_forgotten(node: Peer) -> None:
    challenges = gate_of(node)._challenges
    for _ in range(3):
        for _ in range(SWEEP_MIN):
            async with calling(node.address) as caller:
                await caller.challenge()
        await until(lambda: all(each.is_closing() for each in challenges))
    assert len(challenges) <= SWEEP_MIN


# ------------------------------------------------------------------ the node that dials


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (426, {}, "it does not ask for the secret"),
        (401, {WWW_AUTHENTICATE: f'{SCHEME} challenge="short"'}, "it does not ask for the secret"),
        (307, {"Location": "http://127.0.0.1:1/"}, "307"),
    ],
)
async def test_a_node_that_is_none_of_the_cluster_is_told_nothing(
    status: int, headers: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ports, asked = free_ports(2), list[str]()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.headers.get(AUTHORIZATION, ""))
        return web.Response(status=status, headers=headers)

    peer = Peer(address_of(ports[0]), secrets=[ONE])
    async with listening(answer, ports[1]):
        peer.start(address_of(ports[1]))
        await until(lambda: reason in caplog.text)
        await peer.links.close()
    assert set(asked) == {""}
    ports[0].close()


@pytest.mark.parametrize("info", [None, 'proof="x"', f'proof="{"A" * 43}"'])
async def test_a_node_that_pretends_hears_no_hello(
    info: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    ports, heard = free_ports(2), list[object]()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if AUTHORIZATION not in request.headers:
            asked = f'{SCHEME} challenge="{"A" * 43}"'
            return web.Response(status=401, headers={WWW_AUTHENTICATE: asked})
        socket = web.WebSocketResponse()
        if info is not None:
            socket.headers[AUTHENTICATION_INFO] = info
        await socket.prepare(request)
        heard.extend([message.data async for message in socket])
        return socket

    peer = Peer(address_of(ports[0]), secrets=[ONE])
    async with listening(answer, ports[1]):
        peer.start(address_of(ports[1]))
        await until(lambda: "peer-distrusted" in caplog.text)
        await peer.links.close()
    assert heard == []
    assert "it does not prove that it has the secret" in caplog.text
    assert peer.events == []
    ports[0].close()


# ------------------------------------------------------------------ other clusters, and new secrets


@pytest.mark.parametrize(("first", "second"), [([ONE], [TWO]), ([ONE], []), ([], [ONE])])
async def test_nodes_of_other_secrets_never_meet(
    first: list[bytes], second: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    ports = free_ports(2)
    a, b = (
        Peer(address_of(port), secrets=secrets)
        for port, secrets in zip(ports, (first, second), strict=True)
    )
    async with listening(a.links.accept, ports[0]), listening(b.links.accept, ports[1]):
        b.start()
        a.start(b.address)
        await until(lambda: f"no link with {b.address}" in caplog.text)
        b.links.know([a.address])
        await until(lambda: f"no link with {a.address}" in caplog.text)
        await a.links.close()
        await b.links.close()
    assert (a.events, b.events) == ([], [])


async def test_a_secret_is_replaced_while_nodes_run() -> None:
    ports = free_ports(2)
    a, b = (Peer(address_of(port), secrets=[ONE]) for port in ports)
    async with listening(a.links.accept, ports[0]), listening(b.links.accept, ports[1]):
        a.start(b.address)
        b.start(a.address)
        await a.has_seen(1)
        for secrets in ([ONE, TWO], [TWO, ONE]):
            for peer in (a, b):
                peer.secrets.renew(secrets)
                peer.links.end_distrusted()
        await b.has_seen(1)
        assert [event for _, event in a.events + b.events] == ["up", "up"]
        a.secrets.renew([TWO])
        a.links.end_distrusted()
        await a.sees("up", "down", "up")
        assert a.link_with(b).secret == TWO
        await a.links.close()
        await b.links.close()
