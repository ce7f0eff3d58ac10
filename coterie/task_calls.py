"""How a session makes its calls in the tasks of an event loop: `thread_calls`, with await."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from coterie.calls import Call
from coterie.key_lists import Listing
from coterie.session_core import REQUESTS_MAX, Job, SessionCore
from coterie.steps import Stream
from coterie.transport import TaskTransport
from coterie.watching import Change, Progress

T = TypeVar("T")


class TaskCalls:
    """A session, as `ThreadCalls`."""

    def __init__(self, core: SessionCore, transport: TaskTransport) -> None:
        """A program calls `AsyncClient`, or `session` of a client, instead."""
        self._core = core
        self._transport = transport
        self._slots = asyncio.BoundedSemaphore(REQUESTS_MAX)

    @property
    def token(self) -> str:
        """Return what this session depends on, as text: another session may begin with it."""
        return self._core.seen.token

    def context_of(self, key: str) -> str:
        """Return what this session has last seen of the key, as `Session.context_of`."""
        return self._core.seen.context_of(key)

    async def _call(self, call: Call[T], timeout: float | None) -> T:
        return await self._run(partial(self._core.talk, call), timeout)

    async def _run(self, job: Job[T], timeout: float | None) -> T:
        timeout_s = self._core.timeout_s(timeout)
        deadline = self._core.world.clock() + timeout_s
        async with self._slot(timeout_s):
            return await self._transport.run(job(deadline))

    async def _items(self, steps: Stream[T], timeout_s: float | None) -> AsyncGenerator[T, None]:
        """Give the items of a stream.  It is a call under way while the program waits for it; one
        without a time is none."""
        stream = self._transport.stream(steps)
        try:
            while True:
                async with self._slot(timeout_s):
                    emitted = await stream.next()
                if emitted is None:
                    return
                yield emitted.item
        finally:
            await stream.close()

    @asynccontextmanager
    async def _slot(self, timeout_s: float | None) -> AsyncIterator[None]:
        if timeout_s is None:
            yield
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise self._core.busy() from None
        try:
            yield
        finally:
            self._slots.release()


class AsyncItems(AsyncIterator[T]):
    """What nodes give, one by one, as `Items`."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        """A program calls a method of a session instead."""
        self._items = items

    async def __anext__(self) -> T:
        return await anext(self._items)

    async def close(self) -> None:
        """End it, and the request that is under way."""
        await self._items.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncListed(AsyncItems[T]):
    """What is listed of keys, as `Listed`."""

    def __init__(self, items: AsyncGenerator[T, None], listing: Listing) -> None:
        """A program calls `keys` or `groups` of a session instead."""
        super().__init__(items)
        self._listing = listing

    @property
    def unanswered(self) -> list[str]:
        """Return the shards whose keys are lacking so far, as `Listed.unanswered`."""
        return sorted(self._listing.unanswered)


class AsyncWatch(AsyncIterator[Change]):
    """A watch under way, as `Watch`; `async with` begins it."""

    def __init__(self, items: AsyncGenerator[Change | None, None], progress: Progress) -> None:
        """A program calls `watch` of a session instead."""
        self._items = items
        self._progress = progress

    @property
    def last_id(self) -> str:
        """Return how far the watch has come, as `Watch.last_id`."""
        return self._progress.last_id

    async def __anext__(self) -> Change:
        while (change := await anext(self._items)) is None:
            pass
        return change

    async def close(self) -> None:
        """End the watch."""
        await self._items.aclose()

    async def __aenter__(self) -> Self:
        await anext(self._items)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
