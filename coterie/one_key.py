"""Calls of a session about one key, for threads; `async_one_key` has them with await."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from coterie import calls
from coterie.calls import Context, OnMiss, ReadLevel, WriteLevel
from coterie.resolvers import Resolver
from coterie.session_core import UNSET, Edit, Update
from coterie.thread_calls import ThreadCalls
from coterie.values import Head, Value, Written


class OneKey(ThreadCalls):
    """Reads and writes of a key, which is text of 1 to 1024 bytes."""

    # -------------------------------------------------------------- reads
    def get(
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
        """Return the value of a key.

        `r`: how many replicas are read.  `on_miss`: what happens if no replica within reach has all
        that the session has seen: "wait" until the timeout, "fail" at once, or answer "stale".
        `resolve`: makes one value of several, by "union", "lww", "max", "min" or a function of the
        list of siblings; nothing is written.  `sibling`: the id of one of several values.
        `if_match`: the ETag that the key must have.

        Raises Absent, Conflict (several values and no resolver that fits), PreconditionFailed,
        Unmet, Unavailable, BadRequest.
        """
        level, miss = self._core.r(r), self._core.on_miss(on_miss)
        call = calls.get(
            key, r=level, on_miss=miss, resolve=resolve, sibling=sibling, if_match=if_match
        )
        return self._call(call, timeout)

    def get_changed(
        self,
        key: str,
        etag: str,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
        resolve: Resolver | None = None,
    ) -> Value | None:
        """Return the value of a key, or None if its ETag is still this one.  As `get` otherwise."""
        level, miss = self._core.r(r), self._core.on_miss(on_miss)
        call = calls.get_changed(key, etag, r=level, on_miss=miss, resolve=resolve)
        return self._call(call, timeout)

    def head(
        self,
        key: str,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
    ) -> Head:
        """Return what there is to know of a key without its value.

        Raises Absent, Unavailable (also where `get` raises Unmet), BadRequest; never Conflict.
        """
        call = calls.head(key, r=self._core.r(r), on_miss=self._core.on_miss(on_miss))
        return self._call(call, timeout)

    # -------------------------------------------------------------- writes
    def put(
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
        """Write a value: bytes and text as they are, everything else as JSON.

        `w`: how many replicas have the write on disk before it is answered.  `context`: what the
        write replaces: just what that context has seen; SEEN stands for what this session has seen,
        NOTHING for nothing; without it the write replaces what the home of the key holds.
        `if_match`, `if_none_match`: ETags, or "*", that the key must have or not have.  `ttl`:
        seconds until the value expires.  `meta`: labels that come back with the value; their names
        come back in lower case.  `idempotency_key`: the name of this write, if the program itself
        may repeat it; otherwise the call draws one.

        Raises PreconditionFailed, Unavailable, Unmet, TooManySiblings, ContextWanted, TooLarge,
        KeyReused, BadRequest; TypeError and ValueError for what is no JSON or no header.
        """
        named = self._core.write_options(key, w, context, if_match, if_none_match, idempotency_key)
        call = calls.put(key, value, named, ttl=ttl, meta=meta, content_type=content_type)
        return self._call(call, timeout)

    def delete(
        self,
        key: str,
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        context: Context | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """Delete what `context` has seen of a key; without a context, what its home holds.

        Raises Absent if the key has no value, and what `put` raises.
        """
        named = self._core.write_options(key, w, context, if_match, None, idempotency_key)
        return self._call(calls.delete(key, named), timeout)

    def set_ttl(
        self,
        key: str,
        ttl: float,
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """Let the value of a key expire in so many seconds from now, without sending it again.

        Raises Absent if the key has no value, TooManySiblings if it has several, and what `put`
        raises.
        """
        named = self._core.write_options(key, w, None, if_match, None, idempotency_key)
        return self._call(calls.set_ttl(key, ttl, named), timeout)

    @contextmanager
    def update(
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
    ) -> Iterator[Edit]:
        """Read a value, let the block change it, and write it over what was read.

        `with kv.update("cart", resolve="union", default=[]) as edit: edit.value.append("eggs")`

        If others have written meanwhile, the key has siblings then; with a resolver, the update
        reads them, makes one value of them and writes that, up to 8 times.  The block runs once;
        if it raises, nothing is written.  `default`: the value of an absent key; without it the
        update raises Absent.  `timeout` is for the read and for the write.  Content type and meta
        stay as they were.

        Raises what `get` and `put` raise.
        """
        update = Update(resolve=resolve, default=default, r=r, on_miss=on_miss, w=w, ttl=ttl)
        edit = self._run(partial(self._core.begin, key, update), timeout)
        yield edit
        self._run(partial(self._core.end, edit, update), timeout)
