"""Streams whose words come from the core: watches, as server-sent events, and exports, as lines.

The server takes the steps of a feed one after the other.  It writes what one says, and takes the
next step when the client has read that; so a client that does not read stops its own feed, and
holds nothing but the words in hand.  A client that takes nothing for too long is let go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from node.api.contract import Feed, FeedSteps, FeedWords, Reply, Steps
from node.api.parsing import refused
from node.core.protocol.operations import Outcome, Request
from node.shell.http.event_stream import HEADERS
from node.shell.http.port_limits import PortLimits

FULL = refused(503, "as many watches as WATCHERS_MAX are open; try again", {"Retry-After": "1"})
EXPORTS_FULL = refused(503, "too many exports are under way; try again", {"Retry-After": "1"})

Talk = Callable[[Steps], Awaitable[Reply]]
Do = Callable[[Sequence[Request]], Awaitable[list[Outcome]]]


class OpenFeed(msgspec.Struct, frozen=True):
    """A feed whose head is known, and those that it is one of."""

    headers: Mapping[str, str]
    steps: FeedSteps
    feeds: "Feeds"


class Feeds:
    """Some kind of feeds of a server: `feeds_max` at most, and `full` is told one that is too many.
    `talk` takes steps to a reply, `do` carries out requests.

    `open`: so many are open; `events`: so many events were sent.
    """

    def __init__(
        self, limits: PortLimits, talk: Talk, do: Do, feeds_max: int, full: Reply = FULL
    ) -> None:
        self._limits, self._talk, self._do = limits, talk, do
        self._max, self._full = feeds_max, full
        self._ending = asyncio.Event()
        self.open = self.events = 0

    def end(self) -> None:
        """End all feeds at once, and begin no more."""
        self._ending.set()

    async def begin(self, feed: Feed) -> Reply | OpenFeed:
        """Take the first steps.  The caller serves the open feed that it gets."""
        if self.open >= self._max or self._ending.is_set():
            return self._full
        self.open += 1
        begun = False
        try:
            reply = await self._talk(feed.opening)
            begun = reply.status == 200
        finally:
            self.open -= not begun
        headers = {"Content-Type": reply.content_type, **reply.headers}
        return OpenFeed(headers, feed.go_on(), self) if begun else reply

    async def serve(
        self, request: BaseRequest, feed: OpenFeed, more: Mapping[str, str]
    ) -> StreamResponse:
        """Say all of it; `more` are headers."""
        response = StreamResponse(headers={**HEADERS, **feed.headers, **more})
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await self._send(request, response, feed.steps)
            await response.write_eof()
        except (ConnectionError, TimeoutError):  # the client has left, or reads nothing
            response.force_close()
        finally:
            self.open -= 1
        return response

    async def _send(self, request: BaseRequest, response: StreamResponse, steps: FeedSteps) -> None:
        wanted = next(steps, None)
        while wanted is not None and not self._ending.is_set():
            if request.transport is None or request.transport.is_closing():
                raise ConnectionError("the client went away")
            outcomes: list[Outcome] = []
            if isinstance(wanted, FeedWords):
                async with asyncio.timeout(self._limits.reader_timeout_s):
                    await response.write(wanted.text)
                self.events += wanted.events
            elif isinstance(wanted, float):
                await self._pause(wanted)
            else:
                outcomes = await self._do(wanted)
            wanted = _next_of(steps, outcomes)

    async def _pause(self, length_s: float) -> None:
        try:
            async with asyncio.timeout(length_s):
                await self._ending.wait()
        except TimeoutError:
            return


def _next_of(
    steps: FeedSteps, outcomes: Sequence[Outcome]
) -> Sequence[Request] | float | FeedWords | None:
    """Return the next step; None: there is none."""
    try:
        return steps.send(outcomes)
    except StopIteration:
        return None
