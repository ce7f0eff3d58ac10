"""What a client cannot take: connections, time, requests, memory; and bytes that hide requests."""

import asyncio
import json
from dataclasses import replace

import pytest

from node.api.admin.view_jobs import views
from node.api.native.bulk import bulk
from node.api.native.key_values import key_values
from node.api.native.policies import policies
from node.api.native.snapshots import snapshots
from node.shell.http.places import ConnectionPlace, Places
from node.shell.http.port_limits import FILES_BESIDE, PortLimits, fitting
from tests.web import PORT_LIMITS, Said, Wire, request, served

HALF_OPEN = 200
PUT = b'{"value":1}'


# ------------------------------------------------------------------ connections


async def test_half_open_connections_are_closed_and_others_are_served() -> None:
    """Those that say nothing, and those of which a header does not end."""
    async with served(port_limits=replace(PORT_LIMITS, head_timeout_s=0.3)) as site:
        healthy = await site.wire()
        assert (await healthy.ask("GET", "/livez")).status == 200
        half_open = [await site.wire() for _ in range(HALF_OPEN)]
        for wire in half_open[::2]:
            wire.send(b"GET /livez HTTP/1.1\r\nX: ")
        assert (await healthy.ask("GET", "/livez")).status == 200
        assert all(await asyncio.gather(*(wire.is_closed() for wire in half_open)))
        assert (await healthy.ask("GET", "/livez")).status == 200


async def test_the_reserve_is_for_peers() -> None:
    limits = replace(PORT_LIMITS, connections_max=2, reserve_max=1)
    async with served(port_limits=limits) as site:
        first, second = await site.wire(), await site.wire()
        for wire in (first, second):
            assert (await wire.ask("GET", "/livez")).status == 200
        client = await site.wire()
        said = await client.ask("GET", "/livez")
        assert (said.status, said.headers["retry-after"]) == (503, "1")
        assert await client.is_closed()
        peer = await site.wire()
        peer.send(UPGRADE)
        assert (await peer.read()).status == 101
        assert await (await site.wire()).is_closed()
        first.writer.write_eof()
        assert await first.is_closed()
        assert (await site.ask("GET", "/livez")).status == 200


UPGRADE = request(
    "GET",
    "/peer",
    b"",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


def test_an_address_has_its_share() -> None:
    limits = PortLimits(connections_max=3, connections_of_address_max=2, reserve_max=1)
    places = Places(limits)
    usual, reserved, none = ConnectionPlace.USUAL, ConnectionPlace.RESERVED, ConnectionPlace.NONE
    assert [places.take("a") for _ in range(4)] == [usual, usual, reserved, none]
    assert [places.take("b") for _ in range(2)] == [usual, none]
    places.free("a", none)
    places.free("a", reserved)
    places.free("a", usual)
    assert [places.take("b") for _ in range(2)] == [usual, reserved]
    for address, place in (("a", usual), ("b", usual), ("b", usual), ("b", reserved)):
        places.free(address, place)
    assert (places._usual, places._reserved, places._taken) == (0, 0, {})


def test_there_are_no_more_connections_than_files() -> None:
    limits = fitting(PortLimits(connections_max=10**9))
    assert 0 < limits.connections_max < 10**9 or FILES_BESIDE > 0
    assert fitting(PortLimits(connections_max=1)).connections_max == 1


# ------------------------------------------------------------------ requests


async def test_one_request_too_many_is_refused_at_once() -> None:
    limits = replace(PORT_LIMITS, in_flight_max=2)
    async with served(key_values(), port_limits=limits) as site:
        site.driver.holds = True
        wires = [await site.wire() for _ in range(2)]
        held = []
        for wire in wires:
            wire.send(request("PUT", "/v1/kv/cart", PUT))
            held.append(await site.driver.held.get())
        said = await site.ask("PUT", "/v1/kv/cart", PUT)
        body = json.loads(said.body)
        assert (said.status, said.headers["retry-after"]) == (503, "1")
        assert (body["definite"], body["retryable"]) == (True, True)
        assert (await site.ask("PUT", "/kvs/cart", PUT)).status == 503
        assert (await site.ask("GET", "/livez")).status == 200
        for operation, done in held:
            done(site.driver.outcome_of(operation))
        for wire in wires:
            assert (await wire.read()).status in (200, 201)
        site.driver.holds = False
        assert (await site.ask("PUT", "/kvs/cart", PUT)).status == 200


async def test_a_body_that_comes_too_slowly_is_not_waited_for() -> None:
    """Although each of its bytes comes before the patience with one ends."""
    limits = replace(PORT_LIMITS, body_grace_s=0.3, body_bytes_per_s=1000.0)
    async with served(port_limits=limits) as site:
        wire = await site.wire()
        wire.send(request("PUT", "/kvs/cart", b"", "Content-Length: 100000"))
        answer = asyncio.create_task(wire.read())
        while not answer.done():
            wire.send(b"x")
            await asyncio.wait([answer], timeout=0.01)
        assert (await answer).status == 408


async def test_a_body_that_comes_fast_enough_is_read() -> None:
    limits = replace(PORT_LIMITS, body_grace_s=0.5, body_bytes_per_s=10_000.0)
    async with served(port_limits=limits) as site:
        wire = await site.wire()
        body = b'{"value":"%b"}' % (b"x" * 20_000)
        wire.send(request("PUT", "/kvs/cart", b"", f"Content-Length: {len(body)}"))
        for start in range(0, len(body), 2000):
            wire.send(body[start : start + 2000])
            await asyncio.wait([asyncio.create_task(wire.writer.drain())], timeout=0.1)
        assert (await wire.read()).status == 201


async def test_a_compressed_body_is_refused_before_it_is_read() -> None:
    """Whatever it would become: a node never inflates one."""
    async with served(key_values()) as site:
        for size in (10, 900_000):
            wire = await site.wire()
            lines = ("Content-Encoding: gzip", f"Content-Length: {size}")
            wire.send(request("PUT", "/v1/kv/cart", b"", *lines))
            assert (await wire.read()).status == 415
        assert site.driver.values == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/kvs/cart"),
        ("PUT", "/v1/policies/cart"),
        ("POST", "/v1/bulk"),
        ("POST", "/v1/snapshot"),
        ("POST", "/v1/view"),
        ("PUT", "/v1/faults"),
    ],
)
async def test_open_brackets_are_refused(method: str, path: str) -> None:
    async with served(policies(), bulk(), snapshots(), views(), faults=True) as site:
        for body in (b"[" * 100_000, b'{"a":' * 50_000):
            wire = await site.wire()
            wire.send(request(method, path, body, "Connection: close"))
            said = (await wire.reader.read()).decode()
            assert " 400 " in said.split("\r\n")[0] or '"status":400' in said, said[:500]
        assert (await site.ask("GET", "/livez")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/faults", b'{"cut":[],"cut":["10.0.0.1:1"],"ttl_s":5}'),
        ("POST", "/v1/view?plan=true", b'{"shards":1,"shards":2}'),
        ("PUT", "/v1/policies/cart", b'{"merge":"lww","merge":"siblings"}'),
    ],
)
async def test_an_administrator_says_nothing_twice(method: str, path: str, body: bytes) -> None:
    """Two parsers, of a proxy and a node, may each take another one."""
    async with served(policies(), views(), faults=True) as site:
        said = await site.ask(method, path, body)
        assert (said.status, b"more than once" in said.body) == (400, True), said.body
        assert site.links.cut == []


# ------------------------------------------------------------------ bytes that hide requests

HEAD = b"PUT /kvs/cart HTTP/1.1\r\nHost: node\r\n"
HIDDEN = b"PUT /kvs/hidden HTTP/1.1\r\nHost: node\r\nContent-Length: 11\r\n\r\n" + PUT
CHUNKED = b"Transfer-Encoding: chunked\r\n"
VECTORS = {
    "length and chunks": HEAD + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 11\r\n\r\n",
    "a list of lengths": HEAD + b"Content-Length: 0, 11\r\n\r\n",
    "a signed length": HEAD + b"Content-Length: +0\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length in hex": HEAD + b"Content-Length: 0x0\r\n\r\n",
    "a length with _": HEAD + b"Content-Length: 1_1\r\n\r\n",
    "an empty length": HEAD + b"Content-Length: \r\n\r\n",
    "another coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then another": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": HEAD + b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "CR in a value": HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\0b\r\n\r\n",
    "NUL in a name": HEAD + b"X\0: a\r\n\r\n",
    "a size with 0x": HEAD + CHUNKED + b"\r\n0x0\r\n\r\n",
    "a signed size": HEAD + CHUNKED + b"\r\n+0\r\n\r\n",
    "a negative size": HEAD + CHUNKED + b"\r\n-1\r\n\r\n",
    "LF in an extension": HEAD + CHUNKED + b"\r\n0;a\nb\r\n\r\n",
    "a chunk that is too long": HEAD + CHUNKED + b"\r\n3\r\nabcdef\r\n0\r\n\r\n",
    "a size that overflows": HEAD + CHUNKED + b"\r\n" + b"f" * 40 + b"\r\n",
    "no version": b"GET /kvs/cart\r\n\r\n",
    "version 0.9": b"GET /kvs/cart HTTP/0.9\r\n\r\n",
    "version 3.0": b"GET /kvs/cart HTTP/3.0\r\nHost: node\r\n\r\n",
    "a version with a space": b"GET /kvs/cart HTTP/1.1 \r\nHost: node\r\n\r\n",
    "a target with a space": b"GET /kvs/ca rt HTTP/1.1\r\nHost: node\r\n\r\n",
    "a method with a bracket": b"G(T /kvs/cart HTTP/1.1\r\nHost: node\r\n\r\n",
    "headers of another kind": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


async def _said_until_closed(wire: Wire) -> bytes:
    return await wire.reader.read()


@pytest.mark.parametrize("vector", VECTORS)
async def test_bytes_that_hide_a_request_end_the_connection(vector: str) -> None:
    limits = replace(PORT_LIMITS, head_timeout_s=0.3, body_grace_s=0.2, linger_s=0.05)
    async with served(port_limits=limits) as site:
        wire = await site.wire()
        wire.send(VECTORS[vector] + HIDDEN)
        said = await asyncio.wait_for(_said_until_closed(wire), 5)
        statuses = [line.split(b" ")[1] for line in said.splitlines() if line.startswith(b"HTTP/")]
        assert len(statuses) <= 1, said
        assert all(status in (b"400", b"408", b"501", b"505") for status in statuses), said
        assert site.driver.values == {}


async def test_too_many_headers_are_refused() -> None:
    async with served() as site:
        for line in (b"X-%d: y\r\n", b"Cookie: a%d=b\r\n"):
            wire = await site.wire()
            lines = b"".join(line % number for number in range(10_000))
            wire.send(b"GET /livez HTTP/1.1\r\nHost: node\r\n" + lines + b"\r\n")
            said: Said = await wire.read()
            assert said.status in (400, 431)
            assert await wire.is_closed()
