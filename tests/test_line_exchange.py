"""Bodies of lines: answered while they come, bounded, and ended with a reason."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from node.api.contract import BodyLines, Call, Dialect, LineSteps, Reply, Route, Steps
from tests.web import PORT_LIMITS, Site, Wire, not_found, served

LINES_MAX, LINE_BYTES_MAX = 4, 300_000
HEAD = b"POST /lines HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


class Echo:
    """Says each line again; `sizes` are those of the batches, in bytes and in lines."""

    def __init__(self, opens_with: int = 0) -> None:
        self._opens_with = opens_with  # the status to which its opening leads; 0: it has none
        self.sizes: list[tuple[int, int]] = []
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    def begin(self, call: Call) -> BodyLines:
        headers, opening = {"Kv-Served-By": "here"}, self._open() if self._opens_with else None
        return BodyLines(self._answer, self._end, LINES_MAX, LINE_BYTES_MAX, headers, opening)

    def _open(self) -> Steps:
        yield 0.001
        return Reply(self._opens_with, b"{}")

    def _answer(self, lines: Sequence[bytes]) -> LineSteps:
        self.sizes.append((sum(map(len, lines)), len(lines)))
        self.begun.set()
        while not self.gate.is_set():
            yield 0.001
        return b"".join(line[:8] + b"\n" for line in lines)

    def _end(self, why: Reply | None) -> bytes:
        return b"end %d\n" % (why.status if why else 0)


@asynccontextmanager
async def echoing(opens_with: int = 0, **limits: Any) -> AsyncIterator[tuple[Site, Echo]]:
    echo = Echo(opens_with)
    route = Route("POST", "/lines", echo.begin, reads_lines=True)
    port_limits = replace(PORT_LIMITS, **limits)
    async with served(Dialect("lines", (route,), not_found), port_limits=port_limits) as site:
        yield site, echo


async def opened(site: Site, more: bytes = b"") -> tuple[Wire, bytes]:
    wire = await site.wire()
    wire.send(HEAD + more + b"\r\n")
    return wire, await wire.reader.readuntil(b"\r\n\r\n")


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


async def said(wire: Wire) -> bytes:
    """Return the next chunk of the answer; empty: it has ended."""
    async with asyncio.timeout(20):
        size = int(await wire.reader.readline(), 16)
        return (await wire.reader.readexactly(size + 2))[:-2]


async def rest_of(wire: Wire) -> bytes:
    found = b""
    while part := await said(wire):
        found += part
    return found


async def test_a_line_is_answered_before_the_next_one_comes() -> None:
    async with echoing() as (site, _):
        wire, head = await opened(site)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: application/x-ndjson\r\n" in head
        assert b"Kv-Served-By: here\r\n" in head
        assert b"Kv-View: 1\r\n" in head
        for line in (b"one\n", b"two\n"):
            wire.send(chunk(line))
            assert await said(wire) == line
        wire.send(chunk(b"thr"))
        wire.send(chunk(b"ee\nfour") + END)
        assert await rest_of(wire) == b"three\nfour\nend 0\n"
        assert (await wire.ask("GET", "/livez")).status == 200


async def test_a_body_without_lines_has_an_end() -> None:
    async with echoing() as (site, _):
        wire = await site.wire()
        wire.send(b"POST /lines HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n\r\n")
        await wire.reader.readuntil(b"\r\n\r\n")
        assert await rest_of(wire) == b"end 0\n"


async def test_a_client_that_asks_first_may_send() -> None:
    async with echoing() as (site, _):
        wire, head = await opened(site, b"Expect: 100-continue\r\n")
        assert head == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(chunk(b"one\n") + END)
        await wire.reader.readuntil(b"\r\n\r\n")
        assert await rest_of(wire) == b"one\nend 0\n"


async def test_a_batch_is_bounded_however_long_the_body_is() -> None:
    async with echoing() as (site, echo):
        wire, _ = await opened(site)
        reading = asyncio.ensure_future(rest_of(wire))
        count = 20_000
        for _ in range(count // 500):
            wire.send(chunk((b"x" * 999 + b"\n") * 500))
            await wire.writer.drain()
        wire.send(END)
        answer = await reading
        assert answer.count(b"xxxxxxxx\n") == count
        assert answer.endswith(b"end 0\n")
        assert max(lines for _, lines in echo.sizes) <= LINES_MAX
        assert max(size for size, _ in echo.sizes) <= LINES_MAX * 1000


async def test_a_client_that_reads_nothing_is_not_read_from() -> None:
    async with echoing() as (site, echo):
        echo.gate.clear()
        wire, _ = await opened(site)
        body = chunk((b"x" * 999 + b"\n") * 20_000)
        wire.send(body)
        async with asyncio.timeout(20):
            await echo.begun.wait()
        assert wire.writer.transport.get_write_buffer_size() > len(body) // 4
        assert len(echo.sizes) == 1
        echo.gate.set()
        wire.send(END)
        assert (await rest_of(wire)).count(b"xxxxxxxx\n") == 20_000


async def test_a_line_that_is_too_long_ends_it() -> None:
    async with echoing() as (site, _):
        wire, _ = await opened(site)
        wire.send(chunk(b"one\n" + b"x" * (LINE_BYTES_MAX + 200_000)))
        assert await said(wire) == b"one\n"
        assert await rest_of(wire) == b"end 413\n"
        assert await wire.is_closed()


async def test_a_client_that_sends_nothing_more_is_told_so() -> None:
    async with echoing(body_timeout_s=0.05) as (site, _):
        wire, _ = await opened(site)
        wire.send(chunk(b"one\n"))
        assert await rest_of(wire) == b"one\nend 408\n"
        assert await wire.is_closed()


async def test_a_drain_ends_it_after_the_batch_in_hand() -> None:
    async with echoing() as (site, echo):
        wire, _ = await opened(site)
        echo.gate.clear()
        wire.send(chunk(b"one\n"))
        async with asyncio.timeout(20):
            await echo.begun.wait()
            draining = asyncio.ensure_future(site.server.drain(10.0))
            await asyncio.sleep(0)
            assert not draining.done()
            echo.gate.set()
            assert await rest_of(wire) == b"one\nend 503\n"
            await draining


@pytest.mark.parametrize(
    ("limits", "more", "status"),
    [({"exchanges_max": 0}, "X-Nothing: 1", 503), ({}, "Content-Encoding: gzip", 415)],
)
async def test_says_why_none_can_begin(limits: dict[str, int], more: str, status: int) -> None:
    async with echoing(**limits) as (site, echo):
        assert (await site.ask("POST", "/lines", b"one\n", more)).status == status
        assert echo.sizes == []


async def test_a_client_that_goes_away_frees_its_place() -> None:
    async with echoing(exchanges_max=1) as (site, _):
        wire, _ = await opened(site)
        assert (await site.ask("POST", "/lines", b"one\n")).status == 503
        wire.writer.close()
        async with asyncio.timeout(20):
            while b"200 OK" not in (await _head_of_another(site)):
                pass


async def _head_of_another(site: Site) -> bytes:
    wire = await site.wire()
    wire.send(b"POST /lines HTTP/1.1\r\nHost: node\r\nContent-Length: 4\r\n\r\none\n")
    head = await wire.reader.readuntil(b"\r\n\r\n")
    wire.writer.close()
    return head


async def test_an_opening_leads_to_the_exchange_or_to_the_reply() -> None:
    async with echoing(opens_with=200) as (site, _):
        wire, head = await opened(site)
        wire.send(chunk(b"a\n") + END)
        assert head.startswith(b"HTTP/1.1 200")
        assert await rest_of(wire) == b"a\nend 0\n"
    async with echoing(opens_with=409) as (site, echo):
        refused = await site.ask("POST", "/lines", b"a\n")
        assert (refused.status, refused.body, echo.sizes) == (409, b"{}", [])
