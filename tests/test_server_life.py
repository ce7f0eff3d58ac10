"""The server's incarnation: its start, its own routes, the peers' door, and how it ends."""

import asyncio
import json
from dataclasses import replace

import aiohttp
import orjson
import pytest

from node.api.contract import Call, Dialect, Reply, Route
from node.api.dialects.asg4.handlers import asg4
from node.core.model.options import Start
from node.core.model.placement import first_view
from node.core.model.view import FIRST, no_view
from node.core.protocol.messages import Envelope, Epoch, Gossip, Views
from node.core.protocol.operations import Unavailable
from node.shell.http.response import lines_of
from node.shell.http.server import Server
from tests.web import (
    CRASHING,
    LIMITS,
    NODES,
    ScriptedDriver,
    ScriptedLinks,
    crash,
    not_found,
    request,
    served,
)

PUT = b'{"value":1}'


async def test_two_dialects_that_claim_one_route_are_refused() -> None:
    other = Dialect("other", (Route("PUT", "/kvs/{name}", crash),), not_found)
    with pytest.raises(ValueError, match=r"asg4 and other both claim PUT /kvs/\{name\}"):
        Server(ScriptedDriver(), ScriptedLinks(), (asg4(), other), LIMITS, False)


async def test_faults_are_told_to_the_links() -> None:
    async with served(faults=True) as site:
        shown = (await site.ask("GET", "/readyz?verbose")).body
        assert b"[+]ENABLE_FAULTS=1: clients may cut this node off, ok" in shown
        body = b'{"cut":["127.0.0.1:8091"],"ttl_s":2.5}'
        assert (await site.ask("PUT", "/v1/faults", body)).status == 200
        assert site.links.cut == [(["127.0.0.1:8091"], 2.5)]
        assert (await site.ask("DELETE", "/v1/faults")).status == 200
        assert site.links.heals == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b'{"cut":["a:1"]}', b'{"ttl_s":1}', b'{"cut":"a:1","ttl_s":1}',
     b'{"cut":["a:1"],"ttl_s":0}', b'{"cut":["a:1"],"ttl_s":3601}', b'{"cut":[1],"ttl_s":1}',
     b'{"cut":["a:1"],"ttl_s":true}', b'{"cut":[""],"ttl_s":1}', b'{"cut":["a:1"],"ttl_s":"1"}'],
)  # fmt: skip
async def test_malformed_faults_are_refused(body: bytes) -> None:
    async with served(faults=True) as site:
        assert (await site.ask("PUT", "/v1/faults", body)).status == 400
        assert site.links.cut == []


async def test_peers_have_their_own_door() -> None:
    async with served() as site, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{site.server.port}/peer"
        async with session.ws_connect(url) as unlisted:
            await unlisted.send_str("hello")
            assert await unlisted.receive_str() == "hello"
        assert (await site.ask("HEAD", "/peer")).status == 426


async def test_a_crash_at_the_peers_door_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as site:
        site.links.is_broken = True
        assert (await site.ask("GET", "/peer")).status == 500
        assert "a secret" in caplog.text


async def test_a_crash_after_the_upgrade_only_closes(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as site, aiohttp.ClientSession() as session:
        unlisted = await session.ws_connect(f"http://127.0.0.1:{site.server.port}/peer")
        await unlisted.send_str("crash")
        assert (await unlisted.receive()).type in (
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        )
        assert "GET /peer crashed" in caplog.text
        await unlisted.close()


async def test_a_drain_finishes_what_is_in_flight() -> None:
    async with served() as site:
        site.driver.holds = True
        busy, idle = await site.wire(), await site.wire()
        assert (await idle.ask("GET", "/readyz")).status in (200, 503)
        busy.send(request("PUT", "/kvs/cart", PUT))
        operation, done = await site.driver.held.get()
        drain = asyncio.create_task(site.server.drain(60.0))
        said = await idle.ask("GET", "/readyz?verbose")
        assert said.status == 503
        assert b"[-]serving the node is shutting down" in said.body
        assert said.headers["connection"] == "close"
        with pytest.raises(ConnectionRefusedError):
            await site.wire()
        assert not drain.done()
        done(site.driver.outcome_of(operation))
        assert (await busy.read()).status == 201
        await drain


async def test_a_drain_ends_in_time_and_sends_unlisted_peers_home() -> None:
    async with served() as site, aiohttp.ClientSession() as session:
        unlisted = await session.ws_connect(f"http://127.0.0.1:{site.server.port}/peer")
        await unlisted.send_str("hello")
        await unlisted.receive_str()
        site.driver.holds = True
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", PUT))
        _, done = await site.driver.held.get()
        await site.server.drain(0.01)
        assert site.links.unlisted == 0
        assert await wire.is_closed()
        done(Unavailable("too late", definite=False))
        await unlisted.close()


def say_facts(call: Call) -> Reply:
    facts = call.facts()
    said = {"view": facts.view.number, "moves": facts.movement(), "loads": facts.slot_loads()}
    return Reply(200, orjson.dumps(said, option=orjson.OPT_NON_STR_KEYS))


FACTS = Dialect("facts", (Route("GET", "/facts", say_facts),), not_found)


async def test_what_a_node_says_of_itself_follows_its_view() -> None:
    async with served(FACTS, start=Start(no_view(NODES), join=True)) as site:
        before = await site.ask("GET", "/facts")
        ready = await site.ask("GET", "/readyz?verbose")
        view = first_view(NODES, 2)
        views = Views([view], FIRST, Gossip({}, {}))
        site.driver.receive(NODES[1], Envelope(Epoch(view.id, FIRST), views))
        after = await site.ask("GET", "/facts")
    assert before.headers["kv-view"] == "0"
    assert json.loads(before.body)["view"] == 0
    assert json.loads(before.body)["loads"] == {}
    assert (ready.status, b"[-]view" in ready.body) == (503, True)
    assert after.headers["kv-view"] == "1"
    assert json.loads(after.body)["moves"]["view"]["slots"] == {"s1": 2048, "s2": 2048}


def test_a_header_cannot_begin_a_line_of_its_own() -> None:
    assert lines_of({"A": "b", "C": "d"}) == "A: b\r\nC: d\r\n"
    for text in ("b\r\nC: d", "b\nC", "b\r"):
        with pytest.raises(ValueError, match="line break"):
            lines_of({"A": text})


async def test_an_answer_with_a_broken_header_is_an_internal_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Reply(200, b"{}", {"A": "b\r\nC: d"})
    dialect = replace(CRASHING, routes=(Route("GET", "/broken", lambda call: broken),))
    async with served(dialect) as site:
        said = await site.ask("GET", "/broken")
        assert said.status == 500
        assert "c" not in said.headers
