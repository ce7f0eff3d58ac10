"""Feeds: a client is sent what the steps say, and holds them up while it does not read."""

import asyncio
from dataclasses import replace

from node.api.contract import Call, Dialect, Feed, FeedSteps, FeedWords, Reply, Route, Steps
from tests.web import PORT_LIMITS, Site, Wire, not_found, request, served

OFTEN_S, NEVER_S = 0.001, 3600.0
EVENTS = "text/event-stream"
CHUNK = b"x" * 256 * 1024


class Script:
    """One route, /feed, that says these things and ends, or that refuses; `said` counts."""

    def __init__(
        self, *words: bytes, status: int = 200, pause_s: float = OFTEN_S, is_watch: bool = True
    ) -> None:
        self._words, self._status, self._pause_s = words, status, pause_s
        self._is_watch = is_watch
        self.said = 0

    @property
    def dialect(self) -> Dialect:
        return Dialect("feeding", (Route("GET", "/feed", self._feed),), not_found)

    def _feed(self, call: Call) -> Feed:
        return Feed(self._open(), self._go_on, self._is_watch)

    def _open(self) -> Steps:
        yield OFTEN_S
        return Reply(self._status, b"{}", {"Kv-Token": "seen"}, EVENTS)

    def _go_on(self) -> FeedSteps:
        while True:
            for text in self._words:
                yield FeedWords(text, 1)
                self.said += 1
                yield self._pause_s
            if self._pause_s == OFTEN_S and self._words != (CHUNK,):
                return


async def opened(site: Site) -> tuple[Wire, bytes]:
    """Return a feed, and the head of its answer."""
    wire = await site.wire()
    wire.send(request("GET", "/feed"))
    return wire, await wire.reader.readuntil(b"\r\n\r\n")


async def test_words_come_one_by_one_behind_the_head_of_the_opening() -> None:
    async with served(Script(b"data: 1\n\n", b"data: 2\n\n").dialect) as site:
        wire, head = await opened(site)
        assert b"Content-Type: text/event-stream\r\n" in head
        assert b"Kv-Token: seen\r\n" in head
        assert b"Kv-View: 1\r\n" in head
        rest = await wire.reader.readuntil(b"\r\n0\r\n\r\n")
        assert rest == b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
        metrics = (await wire.ask("GET", "/metrics")).body
        assert b"coterie_watches 0.0" in metrics
        assert b"coterie_watch_events_total 2.0" in metrics


async def test_an_opening_that_refuses_is_the_answer() -> None:
    async with served(Script(status=503).dialect) as site:
        said = await site.ask("GET", "/feed")
        assert (said.status, said.headers["kv-token"]) == (503, "seen")
        assert b"coterie_watches 0.0" in (await site.ask("GET", "/metrics")).body


async def test_head_of_a_feed_has_no_words() -> None:
    async with served(Script(b"data: 1\n\n").dialect) as site:
        wire = await site.wire()
        said = await wire.ask("HEAD", "/feed")
        assert (said.status, said.body) == (200, b"")


async def test_a_drain_does_not_wait_for_feeds() -> None:
    script = Script(b"data: 1\n\n", pause_s=NEVER_S)
    async with served(script.dialect) as site:
        wire, _ = await opened(site)
        await wire.reader.readuntil(b"data: 1\n\n\r\n")
        async with asyncio.timeout(10):
            await site.server.drain(NEVER_S)
            assert await wire.reader.read() == b"0\r\n\r\n"


async def test_so_many_are_open_and_a_client_that_goes_away_makes_room() -> None:
    limits = replace(PORT_LIMITS, watchers_max=1)
    script = Script(CHUNK)
    async with served(script.dialect, port_limits=limits) as site:
        wire, _ = await opened(site)
        full = await site.ask("GET", "/feed")
        assert (full.status, full.headers["retry-after"]) == (503, "1")
        assert b"WATCHERS_MAX" in full.body
        wire.writer.close()
        async with asyncio.timeout(10):
            while (await site.ask("HEAD", "/feed")).status != 200:
                pass


async def test_a_client_that_does_not_read_holds_its_feed_up_and_is_let_go() -> None:
    script = Script(CHUNK)
    limits = replace(PORT_LIMITS, reader_timeout_s=0.5)
    async with served(script.dialect, port_limits=limits) as site:
        await opened(site)
        async with asyncio.timeout(20):
            while b"coterie_watches 0.0" not in (await site.ask("GET", "/metrics")).body:
                pass
        assert script.said < 100  # what the buffers of both sides take, and no more


async def test_what_is_no_watch_has_a_bound_of_its_own() -> None:
    limits = replace(PORT_LIMITS, watchers_max=0, exports_max=1)
    script = Script(CHUNK, is_watch=False)
    async with served(script.dialect, port_limits=limits) as site:
        _, head = await opened(site)
        assert head.startswith(b"HTTP/1.1 200")
        full = await site.ask("GET", "/feed")
        assert (full.status, full.headers["retry-after"]) == (503, "1")
        assert b"too many exports" in full.body


async def test_a_drain_does_not_wait_for_what_is_no_watch_either() -> None:
    script = Script(b"line\n", pause_s=NEVER_S, is_watch=False)
    async with served(script.dialect) as site:
        wire, _ = await opened(site)
        await wire.reader.readuntil(b"line\n\r\n")
        async with asyncio.timeout(10):
            await site.server.drain(NEVER_S)
            assert await wire.reader.read() == b"0\r\n\r\n"
