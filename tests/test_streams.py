"""Answers that go on: what a reader of a stream gets, and how a stream ends."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from node.api.contract import Call, Dialect, Events, Route
from tests.web import PORT_LIMITS, Site, Wire, not_found, request, served

OFTEN_S, NEVER_S = 0.001, 3600.0


def dialect(*said: bytes, every_s: float = OFTEN_S) -> Dialect:
    """Return one route, /events, that says these things and ends; without any it never ends."""

    def events(call: Call) -> Events:
        rest: Iterator[bytes] = iter(said)
        return Events(lambda: next(rest, None) if said else b": still here\n\n", every_s)

    return Dialect("streaming", (Route("GET", "/events", events),), not_found)


async def opened(site: Site) -> tuple[Wire, bytes]:
    """Return a stream, and the head of its answer."""
    wire = await site.wire()
    wire.send(request("GET", "/events"))
    return wire, await wire.reader.readuntil(b"\r\n\r\n")


async def test_events_come_one_by_one_and_then_the_next_answer() -> None:
    async with served(dialect(b"data: 1\n\n", b"", b"data: 2\n\n")) as site:
        wire, head = await opened(site)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: text/event-stream\r\n" in head
        rest = await wire.reader.readuntil(b"\r\n0\r\n\r\n")
        assert rest == b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
        assert (await wire.ask("GET", "/livez")).status == 200


async def test_head_of_a_stream_has_no_events() -> None:
    async with served(dialect()) as site:
        wire = await site.wire()
        said = await wire.ask("HEAD", "/events")
        assert (said.status, said.body) == (200, b"")
        assert (await wire.ask("GET", "/livez")).status == 200


async def test_a_drain_does_not_wait_for_streams() -> None:
    async with served(dialect(b"data: 1\n\n", b"data: 2\n\n", every_s=NEVER_S)) as site:
        wire, _ = await opened(site)
        await wire.reader.readuntil(b"data: 1\n\n\r\n")
        async with asyncio.timeout(10):
            await site.server.drain(NEVER_S)
            assert b"data: 2" not in await wire.reader.read()


async def test_a_client_that_goes_away_ends_its_stream() -> None:
    async with served(dialect(), port_limits=replace(PORT_LIMITS, streams_max=1)) as site:
        wire, _ = await opened(site)
        full = await site.ask("GET", "/events")
        assert (full.status, full.headers["retry-after"]) == (503, "1")
        wire.writer.close()
        async with asyncio.timeout(10):
            while (await site.ask("HEAD", "/events")).status != 200:
                pass


async def test_a_stream_that_crashes_only_closes(caplog: pytest.LogCaptureFixture) -> None:
    def poll() -> bytes:
        raise RuntimeError("a secret")

    broken = Dialect(
        "broken", (Route("GET", "/events", lambda call: Events(poll, OFTEN_S)),), not_found
    )
    async with served(broken) as site:
        wire, _ = await opened(site)
        assert await wire.is_closed()
        assert "GET /events crashed" in caplog.text
