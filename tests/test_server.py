"""The HTTP port: what it reads, what it refuses, and that an answer is always one of ours."""

import json
from dataclasses import replace

import pytest

from node.api.contract import Dialect, Reply, Route
from tests.web import CRASHING, LIMITS, PORT_LIMITS, VALUE_BYTES_MAX, not_found, request, served

PUT = b'{"value":1}'


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
async def test_a_path_without_a_route(path: str) -> None:
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


BODY_BYTES_MAX = LIMITS.body_bytes_max


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


async def test_a_long_body_behind_a_slow_request_is_read_when_its_turn_comes() -> None:
    async with served() as site:
        site.driver.holds = True
        wire = await site.wire()
        text = b'{"value":"%b"}' % (b"v" * (VALUE_BYTES_MAX - 2))
        wire.send(request("GET", "/kvs/a") + request("PUT", "/kvs/a", text))
        wire.send(request("GET", "/kvs/a"))
        for _ in range(3):
            operation, done = await site.driver.held.get()
            done(site.driver.outcome_of(operation))
        statuses = [(await wire.read()).status for _ in range(3)]
        assert statuses == [404, 201, 200]


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


async def test_headers_that_do_not_end_are_not_waited_for() -> None:
    async with served(port_limits=replace(PORT_LIMITS, idle_timeout_s=0.05)) as site:
        wire = await site.wire()
        wire.send(b"GET /view HTTP/1.1\r\nX: ")
        assert await wire.is_closed()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with served(port_limits=replace(PORT_LIMITS, body_timeout_s=0.05)) as site:
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
        assert b"coterie_http_crashes_total 1.0" in (await wire.ask("GET", "/metrics")).body


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


async def test_a_status_without_a_body_has_no_length() -> None:
    empty = Dialect("empty", (Route("GET", "/empty", lambda call: Reply(204, b"")),), not_found)
    async with served(empty) as site:
        wire = await site.wire()
        said = await wire.ask("GET", "/empty")
        assert said.status == 204
        assert "content-length" not in said.headers
        assert (await wire.ask("GET", "/livez")).body == b"ok\n"


async def test_a_malformed_chunk_behind_a_good_one_is_not_stored() -> None:
    async with served(port_limits=replace(PORT_LIMITS, body_timeout_s=0.05, linger_s=0.05)) as site:
        wire = await site.wire()
        lines = ("Transfer-Encoding: chunked", "Expect: 100-continue")
        wire.send(request("PUT", "/kvs/cart", b"", *lines))
        assert (await wire.read()).status == 100
        wire.send(b"b\r\n" + PUT + b"\r\nzz\r\n")
        assert (await wire.read()).status == 408
        assert await wire.is_closed()
        assert site.driver.values == {}


async def test_a_client_that_goes_away_within_its_body() -> None:
    async with served() as site:
        wire = await site.wire()
        length = "Content-Length: 9"
        wire.send(request("PUT", "/kvs/cart", b"", length, "Expect: 100-continue"))
        await wire.read()
        wire.writer.transport.abort()
        assert (await site.ask("GET", "/livez")).status == 200
