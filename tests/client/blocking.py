"""An AsyncClient that is called without await, so that both kinds of client have the same tests.

Each has an event loop of its own, and belongs to the thread that calls it.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, cast

from coterie import AsyncClient, Client, Edit

ITERATORS = {"keys", "groups", "bulk", "watch"}
HANDLES = {"counter", "set"}


class BlockingItems:
    """Runs an iterator of an AsyncClient step by step."""

    def __init__(self, items: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._items, self._loop = items, loop

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return self._loop.run_until_complete(anext(self._items))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self._loop.run_until_complete(self._items.close())

    def __enter__(self) -> Self:
        self._loop.run_until_complete(self._items.__aenter__())
        return self

    def __exit__(self, *raised: object) -> None:
        self._loop.run_until_complete(self._items.__aexit__(*raised))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._items, name)


class Blocking:
    """Runs every call of a session, or of a handle of one, to its end."""

    def __init__(self, session: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner, self._loop = session, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.iscoroutinefunction(found):
            return self._running(found)
        if name in HANDLES:
            return lambda *given: Blocking(found(*given), self._loop)
        return self._iterating(found) if name in ITERATORS else found

    def _iterating(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: BlockingItems(method(*given, **named), self._loop)

    def _running(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: self._loop.run_until_complete(method(*given, **named))

    def session(self, token: str = "") -> "Blocking":
        return Blocking(self._inner.session(token), self._loop)

    @contextmanager
    def update(self, key: str, **options: Any) -> Iterator[Edit]:
        manager = self._inner.update(key, **options)
        edit = self._loop.run_until_complete(manager.__aenter__())
        try:
            yield edit
        except BaseException as error:
            leaving = manager.__aexit__(type(error), error, error.__traceback__)
            self._loop.run_until_complete(leaving)
            raise
        self._loop.run_until_complete(manager.__aexit__(None, None, None))


@contextmanager
def blocking(*given: Any, **named: Any) -> Iterator[Client]:
    """Make an AsyncClient that looks like a Client, for the block."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        client = AsyncClient(*given, **named)
        try:
            yield cast(Client, Blocking(client, loop))
        finally:
            loop.run_until_complete(client.close())
