"""The client for threads: `Client`, and the sessions that it makes.

Every call takes as long as `timeout` says at most, and raises a `CoterieError` (see `errors`).
`async_client` has the same surface with await.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from coterie import calls
from coterie.calls import Call, Context, OnMiss, ReadLevel, WriteLevel
from coterie.nodes import Nodes
from coterie.resolvers import Resolver
from coterie.retries import Patience, World
from coterie.session_core import REQUESTS_MAX, UNSET, Defaults, Edit, Job, SessionCore, Update
from coterie.transport import ThreadHttp, ThreadTransport, thread_http
from coterie.values import Head, Value, Written

T = TypeVar("T")


class Session:
    """A session: each call sees what earlier calls have written or read, at any node.

    Threads may share a session; at most 32 of its calls are under way at the same time.  A key is
    text of 1 to 1024 bytes.
    """

    def __init__(self, core: SessionCore, transport: ThreadTransport) -> None:
        """A program calls `Client`, or `session` of a client, instead."""
        self._core = core
        self._transport = transport
        self._slots = threading.BoundedSemaphore(REQUESTS_MAX)

    # -------------------------------------------------------------- the session
    @property
    def token(self) -> str:
        """Return what this session depends on, as text: another session may begin with it."""
        return self._core.seen.token

    def session(self, token: str = "") -> "Session":
        """Return another session over the same connections.

        It has seen nothing, or what the session has seen whose `token` is given.
        """
        return Session(SessionCore(self._core.world, self._core.defaults, token), self._transport)

    def context_of(self, key: str) -> str:
        """Return what this session has last seen of the key, for `context=`.

        It is "none" if the session has not used the key, or 1000 others since.
        """
        return self._core.seen.context_of(key)

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

    # -------------------------------------------------------------- why
    def explain(self, key: str, *, timeout: float | None = None) -> Mapping[str, Any]:
        """Return what all nodes have of a key, and which of them cover what this session has seen.

        It is the document of `GET /v1/explain/{key}` (docs/api.md).  Raises Unavailable,
        BadRequest (the token is of another cluster).
        """
        return self._call(calls.explain(key), timeout)

    def decode_token(
        self, token: str | None = None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Return what a token says, or that of this session, as `GET /v1/tokens/decode` does.

        Raises BadRequest if it is no token of this cluster, Unavailable.
        """
        text = self.token if token is None else token
        return self._call(calls.decode("/v1/tokens/decode", token=text), timeout)

    def decode_context(
        self, context: str, *, key: str | None = None, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Return what a context has seen, as `GET /v1/contexts/decode` does.

        Raises BadRequest if it is no context of this cluster, or with `key` one of another key;
        Unavailable.
        """
        return self._call(calls.decode("/v1/contexts/decode", context=context, key=key), timeout)

    # -------------------------------------------------------------- how calls are made
    def _call(self, call: Call[T], timeout: float | None) -> T:
        return self._run(partial(self._core.talk, call), timeout)

    def _run(self, job: Job[T], timeout: float | None) -> T:
        timeout_s = self._core.timeout_s(timeout)
        deadline = self._core.world.clock() + timeout_s
        if not self._slots.acquire(timeout=timeout_s):
            raise self._core.busy()
        try:
            return self._transport.run(job(deadline))
        finally:
            self._slots.release()


class Client(Session):
    """A client of a cluster, and its first session.

    `with Client(["http://localhost:8082", "http://localhost:8085"]) as kv: kv.put("cart", [])`
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
        http: ThreadHttp | None = None,
    ) -> None:
        """Take the URLs of some or all nodes of one cluster; nothing is sent yet.

        `w`, `r`, `timeout` (seconds, up to 300) and `on_miss` are those of calls that say nothing
        else.  `token`: of a session that this one continues.  `http`: a client of httpx2, with
        certificates or proxies of your own; the caller closes it.

        Raises ValueError for what is no URL of a node, or no timeout.
        """
        chance = random.SystemRandom()
        first = chance.randrange(1 << 16)
        known = Nodes([nodes] if isinstance(nodes, str) else nodes, time.monotonic, first)
        world = World(known, time.monotonic, chance, patience or Patience())
        core = SessionCore(world, Defaults(w, r, timeout, on_miss), token)
        self._is_own = http is None
        super().__init__(core, ThreadTransport(http or thread_http(known.is_encrypted)))

    def close(self) -> None:
        """Close all connections, also those of the other sessions."""
        if self._is_own:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
