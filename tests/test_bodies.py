"""Large bodies take turns within one bound of memory; a node that stops does not wait for them."""

import asyncio
import json
import tracemalloc
from dataclasses import replace
from time import perf_counter

import pytest

from tests.web import LIMITS, PORT_LIMITS, VALUE_BYTES_MAX, Wire, request, served

KIB = 1024


@pytest.mark.parametrize("envelope", ["\\u00e9", "\\u20ac", "\\u0041", "\\ud83d\\ude00"])
async def test_a_value_of_the_limit_fits_with_escapes(envelope: str) -> None:
    value = json.loads(f'"{envelope}"') * (VALUE_BYTES_MAX * 6 // 10 // len(envelope))
    async with served() as site:
        body = json.dumps({"value": value}).encode()
        assert (await site.ask("PUT", "/kvs/a", body)).status == 201
        full = json.loads(f'"{envelope}"')
        full *= (VALUE_BYTES_MAX - 2) // len(full.encode())
        text = "".join(f"\\u{unit:04x}" for unit in _units(full))
        assert (await site.ask("PUT", "/kvs/b", b'{"value":"%b"}' % text.encode())).status == 201
        assert json.loads(site.driver.values["b"]) == full


def _units(text: str) -> memoryview:
    return memoryview(text.encode("utf-16-le")).cast("H")


async def test_a_value_with_indentation_fits() -> None:
    value = [[n] for n in range(80_000)]
    async with served() as site:
        body = json.dumps({"value": value}, indent=4).encode()
        assert len(body) > 2 * VALUE_BYTES_MAX
        assert (await site.ask("PUT", "/kvs/a", body)).status == 201
        assert json.loads(site.driver.values["a"]) == value


async def begun(wire: Wire, size: int, *lines: str) -> None:
    """Send the head of a request and the first byte of its body."""
    wire.send(request("PUT", "/kvs/a", b"", *(lines or (f"Content-Length: {size}",))) + b" ")
    await wire.writer.drain()


async def test_bodies_wait_for_room_and_get_it_in_turn() -> None:
    size = 400 * KIB
    limits = replace(PORT_LIMITS, bodies_bytes_max=1000 * KIB)
    async with served(port_limits=limits) as site:
        wires = [await site.wire() for _ in range(4)]
        for wire in wires:
            wire.send(
                request("PUT", "/kvs/a", b"", f"Content-Length: {size}", "Expect: 100-continue")
            )
        for wire in wires[:2]:
            assert (await wire.read()).status == 100
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wires[2].reader.readexactly(1), 0.2)
        body = b'{"value":1' + b" " * (size - 11) + b"}"
        wires[0].send(body)
        assert (await wires[0].read()).status == 201
        assert (await wires[2].read()).status == 100
        assert (await site.ask("PUT", "/kvs/b", b'{"value":1}')).status == 201  # short: no room
        for wire in (wires[1], wires[2]):
            wire.send(body)
            assert (await wire.read()).status == 200
        assert (await wires[3].read()).status == 100
        wires[3].send(body)
        assert (await wires[3].read()).status == 200


async def test_a_body_that_finds_no_room_is_refused() -> None:
    limits = replace(PORT_LIMITS, bodies_bytes_max=1, room_timeout_s=0.05)
    async with served(port_limits=limits) as site:
        first, second = await site.wire(), await site.wire()
        first.send(request("PUT", "/kvs/a", b"", "Content-Length: 11", "Expect: 100-continue"))
        assert (await first.read()).status == 100  # one has room, however large
        await begun(second, 11)
        said = await second.read()
        assert (said.status, said.headers["kv-outcome"]) == (503, "definite")
        assert "no room" in json.loads(said.body)["error"]
        first.send(b'{"value":1}')
        assert (await first.read()).status == 201
        assert (await (await site.wire()).ask("PUT", "/kvs/a", b'{"value":1}')).status == 200


async def test_many_large_bodies_at_once_fit_into_memory() -> None:
    """Of 60 bodies of 2 MB, which would be 120 MB, four have room."""
    room, size = 8_000_000, 2_000_000
    rest = memoryview(b'{"value":1' + b" " * (size - 12) + b"}")  # behind the first byte
    limits = replace(PORT_LIMITS, bodies_bytes_max=room)
    async with served(port_limits=limits) as site:
        wires = [await site.wire() for _ in range(60)]
        tracemalloc.start()
        try:
            for wire in wires:
                await begun(wire, size)

            async def sent(wire: Wire) -> int:
                for start in range(0, len(rest), 50_000):
                    wire.send(bytes(rest[start : start + 50_000]))
                    await wire.writer.drain()
                return (await wire.read()).status

            statuses = await asyncio.gather(*map(sent, wires))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert sorted(set(statuses)) == [200, 201]
    assert peak < 3 * room + 60 * 600_000  # each is copied; and what both ends of a socket hold


async def test_a_chunked_body_takes_the_largest_room() -> None:
    limits = replace(PORT_LIMITS, bodies_bytes_max=LIMITS.body_bytes_max + 10, room_timeout_s=0.05)
    async with served(port_limits=limits) as site:
        first, second = await site.wire(), await site.wire()
        first.send(
            request("PUT", "/kvs/a", b"", "Transfer-Encoding: chunked", "Expect: 100-continue")
        )
        assert (await first.read()).status == 100
        await begun(second, 11)
        assert (await second.read()).status == 503
        first.send(b'b\r\n{"value":1}\r\n0\r\n\r\n')
        assert (await first.read()).status == 201


async def test_a_node_that_stops_gives_up_bodies_that_are_half_here() -> None:
    async with served() as site:
        wires = [await site.wire() for _ in range(5)]
        for wire in wires:
            wire.send(request("PUT", "/kvs/a", b"", "Content-Length: 99", "Expect: 100-continue"))
            assert (await wire.read()).status == 100
            wire.send(b'{"value":')
        started = perf_counter()
        drain = asyncio.create_task(site.server.drain(60.0))
        for wire in wires:
            said = await wire.read()
            assert (said.status, said.headers["kv-outcome"]) == (503, "definite")
            assert said.headers["connection"] == "close"
            assert "shutting down" in json.loads(said.body)["error"]
        await drain
        assert perf_counter() - started < 4.0
        assert site.driver.values == {}
