"""The client for asyncio: `AsyncClient`, and the sessions that it makes.

It has the surface of `client`, with await; what each call takes, returns and raises is said there.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from coterie import calls
from coterie.calls import Call, Context, OnMiss, ReadLevel, WriteLevel
from coterie.nodes import Nodes
from coterie.resolvers import Resolver
from coterie.retries import Patience, World
from coterie.session_core import REQUESTS_MAX, UNSET, Defaults, Edit, Job, SessionCore, Update
from coterie.transport import TaskHttp, TaskTransport, task_http
from coterie.values import Head, Value, Written

T = TypeVar("T")


class AsyncSession:
    """A session, as `Session`; tasks of one event loop may share it."""

    def __init__(self, core: SessionCore, transport: TaskTransport) -> None:
        """A program calls `AsyncClient`, or `session` of a client, instead."""
        self._core = core
        self._transport = transport
        self._slots = asyncio.BoundedSemaphore(REQUESTS_MAX)

    # -------------------------------------------------------------- the session
    @property
    def token(self) -> str:
        """Return what this session depends on, as text: another session may begin with it."""
        return self._core.seen.token

    def session(self, token: str = "") -> "AsyncSession":
        """Return another session over the same connections, as `Session.session`."""
        core = SessionCore(self._core.world, self._core.defaults, token)
        return AsyncSession(core, self._transport)

    def context_of(self, key: str) -> str:
        """Return what this session has last seen of the key, as `Session.context_of`."""
        return self._core.seen.context_of(key)

    # -------------------------------------------------------------- reads
    async def get(
        self,
        key: str,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
        resolve: Resolver | None = None,
        sibling: str | None = None,
        if_match: str | None = None,
    ) -> Value:
        """As `Session.get`."""
        level, miss = self._core.r(r), self._core.on_miss(on_miss)
        call = calls.get(
            key, r=level, on_miss=miss, resolve=resolve, sibling=sibling, if_match=if_match
        )
        return await self._call(call, timeout)

    async def get_changed(
        self,
        key: str,
        etag: str,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
        resolve: Resolver | None = None,
    ) -> Value | None:
        """As `Session.get_changed`."""
        level, miss = self._core.r(r), self._core.on_miss(on_miss)
        call = calls.get_changed(key, etag, r=level, on_miss=miss, resolve=resolve)
        return await self._call(call, timeout)

    async def head(
        self,
        key: str,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
    ) -> Head:
        """As `Session.head`."""
        call = calls.head(key, r=self._core.r(r), on_miss=self._core.on_miss(on_miss))
        return await self._call(call, timeout)

    # -------------------------------------------------------------- writes
    async def put(
        self,
        key: str,
        value: object,
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        context: Context | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        ttl: float | None = None,
        meta: Mapping[str, str] | None = None,
        content_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """As `Session.put`."""
        named = self._core.write_options(key, w, context, if_match, if_none_match, idempotency_key)
        call = calls.put(key, value, named, ttl=ttl, meta=meta, content_type=content_type)
        return await self._call(call, timeout)

    async def delete(
        self,
        key: str,
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        context: Context | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """As `Session.delete`."""
        named = self._core.write_options(key, w, context, if_match, None, idempotency_key)
        return await self._call(calls.delete(key, named), timeout)

    async def set_ttl(
        self,
        key: str,
        ttl: float,
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """As `Session.set_ttl`."""
        named = self._core.write_options(key, w, None, if_match, None, idempotency_key)
        return await self._call(calls.set_ttl(key, ttl, named), timeout)

    @asynccontextmanager
    async def update(
        self,
        key: str,
        *,
        resolve: Resolver | None = None,
        default: object = UNSET,
        r: ReadLevel | None = None,
        on_miss: OnMiss | None = None,
        w: WriteLevel | None = None,
        ttl: float | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Edit]:
        """As `Session.update`, with `async with`."""
        update = Update(resolve=resolve, default=default, r=r, on_miss=on_miss, w=w, ttl=ttl)
        edit = await self._run(partial(self._core.begin, key, update), timeout)
        yield edit
        await self._run(partial(self._core.end, edit, update), timeout)

    # -------------------------------------------------------------- why
    async def explain(self, key: str, *, timeout: float | None = None) -> Mapping[str, Any]:
        """As `Session.explain`."""
        return await self._call(calls.explain(key), timeout)

    async def decode_token(
        self, token: str | None = None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """As `Session.decode_token`."""
        text = self.token if token is None else token
        return await self._call(calls.decode("/v1/tokens/decode", token=text), timeout)

    async def decode_context(
        self, context: str, *, key: str | None = None, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """As `Session.decode_context`."""
        call = calls.decode("/v1/contexts/decode", context=context, key=key)
        return await self._call(call, timeout)

    # -------------------------------------------------------------- how calls are made
    async def _call(self, call: Call[T], timeout: float | None) -> T:
        return await self._run(partial(self._core.talk, call), timeout)

    async def _run(self, job: Job[T], timeout: float | None) -> T:
        timeout_s = self._core.timeout_s(timeout)
        deadline = self._core.world.clock() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise self._core.busy() from None
        try:
            return await self._transport.run(job(deadline))
        finally:
            self._slots.release()


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
    ) -> None:
        """As `Client`, within one event loop."""
        chance = random.SystemRandom()
        first = chance.randrange(1 << 16)
        known = Nodes([nodes] if isinstance(nodes, str) else nodes, time.monotonic, first)
        world = World(known, time.monotonic, chance, patience or Patience())
        core = SessionCore(world, Defaults(w, r, timeout, on_miss), token)
        self._is_own = http is None
        super().__init__(core, TaskTransport(http or task_http(known.is_encrypted)))

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
