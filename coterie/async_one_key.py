"""Calls of a session about one key, for asyncio: those of `one_key`, with await."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from coterie import calls
from coterie.calls import Context, OnMiss, ReadLevel, WriteLevel
from coterie.resolvers import Resolver
from coterie.session_core import UNSET, Edit, Update
from coterie.task_calls import TaskCalls
from coterie.values import Head, Value, Written


class AsyncOneKey(TaskCalls):
    """Reads and writes of a key, as `OneKey`."""

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
