"""The HTTP port: what it reads, what it refuses, and that an answer is always one of ours."""

import asyncio
import json
import socket
from dataclasses import replace

import aiohttp
import pytest

import node.shell.intake as intake
from node.core.messages import Unavailable
from node.dialects.asg4 import asg4
from node.dialects.contract import Call, Dialect, Reply, Route
from node.shell.answer import lines_of
from node.shell.server import BODY_SLACK_BYTES, Server
from tests.web import LIMITS, VALUE_BYTES_MAX, ScriptedDriver, ScriptedLinks, request, served

PUT = b'{"value":1}'


def crash(call: Call) -> Reply:
    raise RuntimeError("a secret")


def not_found(path: str) -> Reply:
    return Reply(404, b"{}")


CRASHING = Dialect("crashing", (Route("GET", "/crash", crash),), not_found)


async def test_a_value_goes_in_and_out() -> None:
    async with served() as site:
        wire = await site.wire()
        created = await wire.ask("PUT", "/kvs/cart", b'{"value":{"a":[1.5,"x"]}}')
        found = await wire.ask("GET", "/kvs/cart")
        assert (created.status, found.status) == (201, 200)
        assert json.loads(found.body)["value"] == {"a": [1.5, "x"]}
        assert found.headers["content-type"] == "application/json"
        assert found.headers["server"] == "coterie"
        assert found.headers["kv-view"] == "1"
        assert "date" in found.headers


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/kvs/a%20b%2Fc", "a b/c"),
        ("/kvs/a/b", "a/b"),
        ("/kvs/%C3%A9", "é"),
        ("/kvs/a?x=1", "a"),
        ("/kvs/a+b", "a+b"),
        ("/kvs/..", ".."),
        ("/kvs/%2e%2e%2fview", "../view"),
        ("/kvs/%00", "\0"),
    ],
)
async def test_keys(path: str, key: str) -> None:
    async with served() as site:
        assert (await site.ask("PUT", path, PUT)).status == 201
        assert list(site.driver.values) == [key]


@pytest.mark.parametrize("path", ["/kvs/%FF", "/kvs/%C3", "/kvs/%ED%A0%80"])
async def test_a_key_that_is_not_text_is_refused(path: str) -> None:
    async with served() as site:
        assert (await site.ask("PUT", path, PUT)).status == 400
        assert site.driver.values == {}


async def test_raw_bytes_that_are_not_text_are_refused() -> None:
    async with served() as site:
        wire = await site.wire()
        wire.send(b"GET /kvs/\xff HTTP/1.1\r\nHost: node\r\n\r\n")
        assert (await wire.read()).status == 400


@pytest.mark.parametrize("path", ["/", "/kvs", "/kvs/", "/nothing", "/view/x", "/v1/faults"])
async def test_a_path_of_nobody(path: str) -> None:
    async with served() as site:
        said = await site.ask("GET", path)
        assert (said.status, json.loads(said.body)) == (404, {"error": "No such path"})


async def test_a_method_that_a_path_does_not_have() -> None:
    async with served() as site:
        said = await site.ask("POST", "/kvs/cart", PUT)
        assert said.status == 405
        assert said.headers["allow"] == "DELETE, GET, HEAD, PUT"
        assert "error" in json.loads(said.body)
        assert (await site.ask("DELETE", "/shard/ids")).headers["allow"] == "GET, HEAD"


async def test_head_is_get_without_its_body() -> None:
    async with served() as site:
        wire = await site.wire()
        await wire.ask("PUT", "/kvs/cart", PUT)
        got = await wire.ask("GET", "/kvs/cart")
        head = await wire.ask("HEAD", "/kvs/cart")
        again = await wire.ask("GET", "/kvs/cart")
        assert head.status == 200
        assert head.headers["content-length"] == got.headers["content-length"]
        assert again.body == got.body


async def test_a_body_on_get() -> None:
    async with served() as site:
        assert (await site.ask("GET", "/kvs/cart", b'{"causal-metadata":7}')).status == 400
        assert (await site.ask("GET", "/kvs/cart", b'{"causal-metadata":{}}')).status == 404


async def test_a_chunked_body() -> None:
    async with served() as site:
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", b"", "Transfer-Encoding: chunked"))
        for part in (PUT[:4], PUT[4:]):
            wire.send(b"%x\r\n%b\r\n" % (len(part), part))
            await wire.writer.drain()
        wire.send(b"0\r\n\r\n")
        assert (await wire.read()).status == 201
        assert site.driver.values == {"cart": b"1"}


async def test_a_malformed_chunk_is_refused() -> None:
    async with served() as site:
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", b"", "Transfer-Encoding: chunked") + b"zz\r\n")
        assert (await wire.read()).status == 400
        assert await wire.is_closed()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with served() as site:
        wire = await site.wire()
        site.driver.holds = True
        wire.send(b"".join(request("PUT", f"/kvs/{n}", b'{"value":%d}' % n) for n in range(50)))
        wire.send(request("GET", "/shard/ids"))
        for n in range(50):
            operation, done = await site.driver.held.get()
            assert getattr(operation, "key", "") == str(n)
            done(site.driver.outcome_of(operation))
            assert (await wire.read()).status == 201
        assert json.loads((await wire.read()).body) == {"shard-ids": ["s1"]}


BODY_BYTES_MAX = VALUE_BYTES_MAX + BODY_SLACK_BYTES


async def test_a_body_that_announces_too_much_is_not_read() -> None:
    async with served() as site:
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", b"", f"Content-Length: {BODY_BYTES_MAX + 1}"))
        said = await wire.read()
        assert said.status == 413
        assert str(BODY_BYTES_MAX) in json.loads(said.body)["error"]
        assert said.headers["connection"] == "close"


async def test_a_body_that_turns_out_too_long_is_refused() -> None:
    async with served() as site:
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", b"", "Transfer-Encoding: chunked"))
        for _ in range(BODY_BYTES_MAX // 10_000 + 1):
            wire.send(b"2710\r\n%b\r\n" % (b"x" * 10_000))
        assert (await wire.read()).status == 413


async def test_a_value_of_the_limit_fits_and_one_beyond_does_not() -> None:
    async with served() as site:
        text = b"v" * (VALUE_BYTES_MAX - 2)
        assert (await site.ask("PUT", "/kvs/a", b'{"value":"%b"}' % text)).status == 201
        assert (await site.ask("PUT", "/kvs/a", b'{"value":"%bv"}' % text)).status == 413


async def test_an_encoded_body_is_refused() -> None:
    async with served() as site:
        said = await site.ask("PUT", "/kvs/cart", PUT, "Content-Encoding: gzip")
        assert said.status == 415
        said = await site.ask("PUT", "/kvs/cart", PUT, "Content-Encoding: Identity")
        assert said.status == 201


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b'{"value":NaN}', b"[" * 100_000, b"\xff", b'{"value":1}x']
)
async def test_a_malformed_body_is_refused_and_the_connection_stays(body: bytes) -> None:
    async with served() as site:
        wire = await site.wire()
        assert (await wire.ask("PUT", "/kvs/cart", body)).status == 400
        assert (await wire.ask("PUT", "/kvs/cart", PUT)).status == 201


async def test_a_client_that_waits_for_100_continue() -> None:
    async with served() as site:
        wire = await site.wire()
        length = f"Content-Length: {len(PUT)}"
        wire.send(request("PUT", "/kvs/cart", b"", length, "Expect: 100-continue"))
        assert (await wire.read()).status == 100
        wire.send(PUT)
        assert (await wire.read()).status == 201


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"no request at all\r\n\r\n", 400),
        (b"GET /view HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /view HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /kvs/" + b"k" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /view HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 400),
    ],
)
async def test_bytes_that_are_no_request(raw: bytes, status: int) -> None:
    async with served() as site:
        wire = await site.wire()
        wire.send(raw)
        said = await wire.read()
        assert said.status == status
        assert "error" in json.loads(said.body)
        assert await wire.is_closed()


async def test_http_1_0_closes_unless_asked_not_to() -> None:
    async with served() as site:
        wire = await site.wire()
        wire.send(b"GET /view HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await wire.read()).headers["connection"] == "keep-alive"
        wire.send(b"GET /view HTTP/1.0\r\n\r\n")
        assert (await wire.read()).headers["connection"] == "close"
        assert await wire.is_closed()


async def test_headers_that_do_not_end_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "IDLE_TIMEOUT_S", 0.05)
    async with served() as site:
        wire = await site.wire()
        wire.send(b"GET /view HTTP/1.1\r\nX: ")
        assert await wire.is_closed()


async def test_a_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "BODY_TIMEOUT_S", 0.05)
    async with served() as site:
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", b"", "Content-Length: 9"))
        assert (await wire.read()).status == 408


async def test_a_crash_is_told_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    async with served(CRASHING) as site:
        wire = await site.wire()
        said = await wire.ask("GET", "/crash")
        assert (said.status, said.body) == (500, b'{"error":"internal error"}')
        assert "a secret" in caplog.text
        assert (await wire.ask("GET", "/livez")).status == 200
        assert site.server.metrics.crashes == 1


async def test_a_client_that_goes_away_loses_only_its_answer() -> None:
    async with served() as site:
        site.driver.holds = True
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", PUT))
        operation, done = await site.driver.held.get()
        wire.writer.transport.abort()
        done(site.driver.outcome_of(operation))
        site.driver.holds = False
        assert (await site.ask("GET", "/kvs/cart")).status == 200


async def test_two_dialects_that_claim_one_route_are_refused() -> None:
    other = Dialect("other", (Route("PUT", "/kvs/{name}", crash),), not_found)
    with pytest.raises(ValueError, match=r"asg4 and other both claim PUT /kvs/\{name\}"):
        Server(ScriptedDriver(), ScriptedLinks(), (asg4(), other), LIMITS, False)


async def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(ScriptedDriver(), ScriptedLinks(), (asg4(),), LIMITS, False)
        with pytest.raises(OSError, match="in use"):
            await server.start("127.0.0.1", taken.getsockname()[1])
        await server.drain(1.0)


async def test_faults_are_told_to_the_links() -> None:
    async with served(faults=True) as site:
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
        async with session.ws_connect(url) as guest:
            await guest.send_str("hello")
            assert await guest.receive_str() == "hello"
        assert (await site.ask("HEAD", "/peer")).status == 426


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


async def test_a_drain_ends_in_time_and_sends_guests_home() -> None:
    async with served() as site, aiohttp.ClientSession() as session:
        guest = await session.ws_connect(f"http://127.0.0.1:{site.server.port}/peer")
        await guest.send_str("hello")
        await guest.receive_str()
        site.driver.holds = True
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", PUT))
        _, done = await site.driver.held.get()
        await site.server.drain(0.01)
        assert site.links.guests == 0
        assert await wire.is_closed()
        done(Unavailable("too late", definite=False))
        await guest.close()


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
