"""How a session makes its calls in the thread that asks for them."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from coterie.calls import Call
from coterie.key_lists import Listing
from coterie.session_core import REQUESTS_MAX, Job, SessionCore
from coterie.steps import Stream
from coterie.transport import ThreadTransport
from coterie.watching import Change, Progress

T = TypeVar("T")


class ThreadCalls:
    """A session: what it has seen, and the connections that it uses."""

    def __init__(self, core: SessionCore, transport: ThreadTransport) -> None:
        """A program calls `Client`, or `session` of a client, instead."""
        self._core = core
        self._transport = transport
        self._slots = threading.BoundedSemaphore(REQUESTS_MAX)

    @property
    def token(self) -> str:
        """Return what this session depends on, as text: another session may begin with it."""
        return self._core.seen.token

    def context_of(self, key: str) -> str:
        """Return what this session has last seen of the key, for `context=`.

        It is "none" if the session has not used the key, or 1000 others since.
        """
        return self._core.seen.context_of(key)

    def _call(self, call: Call[T], timeout: float | None) -> T:
        return self._run(partial(self._core.talk, call), timeout)

    def _run(self, job: Job[T], timeout: float | None) -> T:
        timeout_s = self._core.timeout_s(timeout)
        deadline = self._core.world.clock() + timeout_s
        with self._slot(timeout_s):
            return self._transport.run(job(deadline))

    def _items(self, steps: Stream[T], timeout_s: float | None) -> Generator[T, None, None]:
        """Give the items of a stream.  It is a call under way while the program waits for it; one
        without a time is none."""
        stream = self._transport.stream(steps)
        try:
            while True:
                with self._slot(timeout_s):
                    emitted = stream.next()
                if emitted is None:
                    return
                yield emitted.item
        finally:
            stream.close()

    @contextmanager
    def _slot(self, timeout_s: float | None) -> Iterator[None]:
        if timeout_s is None:
            yield
            return
        if not self._slots.acquire(timeout=timeout_s):
            raise self._core.busy()
        try:
            yield
        finally:
            self._slots.release()


class Items(Iterator[T]):
    """What nodes give, one by one.  A program that leaves it early may close it at once."""

    def __init__(self, items: Generator[T, None, None]) -> None:
        """A program calls a method of a session instead."""
        self._items = items

    def __next__(self) -> T:
        return next(self._items)

    def close(self) -> None:
        """End it, and the request that is under way."""
        self._items.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Listed(Items[T]):
    """What is listed of keys."""

    def __init__(self, items: Generator[T, None, None], listing: Listing) -> None:
        """A program calls `keys` or `groups` of a session instead."""
        super().__init__(items)
        self._listing = listing

    @property
    def unanswered(self) -> list[str]:
        """Return the shards whose keys are lacking so far; there are some only if the program
        wants partial lists."""
        return sorted(self._listing.unanswered)


class Watch(Iterator[Change]):
    """A watch under way: each change of each key that is watched, at least once.

    `with kv.watch("carts/") as changes:` begins it before the block, so that a program can read
    what there is without missing what comes; otherwise it begins with the first change that is
    asked for.
    """

    def __init__(self, items: Generator[Change | None, None, None], progress: Progress) -> None:
        """A program calls `watch` of a session instead."""
        self._items = items
        self._progress = progress

    @property
    def last_id(self) -> str:
        """Return how far the watch has come with all that the program was given.

        Another watch of the same keys goes on from there.
        """
        return self._progress.last_id

    def __next__(self) -> Change:
        while (change := next(self._items)) is None:
            pass
        return change

    def close(self) -> None:
        """End the watch."""
        self._items.close()

    def __enter__(self) -> Self:
        next(self._items)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
