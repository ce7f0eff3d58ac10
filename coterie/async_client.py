"""The client for asyncio: `AsyncClient`, and the sessions that it makes.

It has the surface of `client`, with await; what each call takes, returns and raises is said there.
"""

import random
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from coterie.async_many_keys import AsyncManyKeys
from coterie.async_one_key import AsyncOneKey
from coterie.calls import OnMiss, ReadLevel, WriteLevel
from coterie.cluster_calls import AsyncClusterCalls
from coterie.merged_handles import AsyncCounter, AsyncSet
from coterie.nodes import Nodes
from coterie.retries import Patience, World
from coterie.session_core import Defaults, SessionCore
from coterie.transport import TaskHttp, TaskTransport, task_http


class AsyncSession(AsyncOneKey, AsyncManyKeys, AsyncClusterCalls):
    """A session, as `Session`; tasks of one event loop may share it."""

    def session(self, token: str = "") -> "AsyncSession":
        """Return another session over the same connections, as `Session.session`."""
        core = SessionCore(self._core.world, self._core.defaults, token)
        return AsyncSession(core, self._transport)

    def counter(self, key: str) -> AsyncCounter:
        """Return a handle of a counter, as `Session.counter`."""
        return AsyncCounter(self, key)

    def set(self, key: str) -> AsyncSet:
        """Return a handle of a set, as `Session.set`."""
        return AsyncSet(self, key)


class AsyncClient(AsyncSession):
    """A client of a cluster, and its first session.

    `async with AsyncClient(["http://localhost:8082"]) as kv: await kv.put("cart", [])`
    """

    def __init__(
        self,
        nodes: str | Sequence[str],
        *,
        w: WriteLevel | None = None,
        r: ReadLevel | None = None,
        timeout: float = 20.0,
        on_miss: OnMiss | None = None,
        token: str = "",
        patience: Patience | None = None,
        http: TaskHttp | None = None,
        api_token: str = "",
        ca: str = "",
    ) -> None:
        """As `Client`, within one event loop."""
        chance = random.SystemRandom()
        first = chance.randrange(1 << 16)
        known = Nodes([nodes] if isinstance(nodes, str) else nodes, time.monotonic, first)
        world = World(known, time.monotonic, chance, patience or Patience())
        core = SessionCore(world, Defaults(w, r, timeout, on_miss), token)
        self._is_own = http is None
        super().__init__(core, TaskTransport(http or task_http(known.is_encrypted, api_token, ca)))

    async def close(self) -> None:
        """Close all connections, also those of the other sessions."""
        if self._is_own:
            await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
