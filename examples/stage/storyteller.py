"""The client of a story: the calls of `coterie.Client`, one request each, at a node of its choice.

It makes requests and reads answers as that client does, so errors and values are the same.  It
keeps the token of the last answer, and sends it with the next request.  It never repeats a request
by itself: a reader of the log sees every one.
"""

from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlencode

from coterie import Conflict, calls
from coterie.calls import Call, ReadLevel, WriteLevel, WriteOptions
from coterie.resolvers import Resolver
from coterie.values import Value, Written
from examples.stage.cluster import Cluster, NotAsTold, Request
from examples.stage.page import Page

T = TypeVar("T")


class Person:
    """One client and its session."""

    def __init__(self, name: str, cluster: Cluster, page: Page) -> None:
        self.name, self.token = name, ""
        self._cluster, self._page = cluster, page

    def get(
        self, key: str, *, at: str, r: ReadLevel | None = None, timeout: float | None = None,
        resolve: Resolver | None = None,
    ) -> Value:  # fmt: skip
        """Return the value of a key; raise Absent, Conflict or Unavailable, as `Client.get` does.

        `timeout` is in seconds, and None: that of the node.
        """
        call = calls.get(key, r=r, on_miss=None, resolve=resolve)
        if timeout is not None:
            call = replace(call, query=(*call.query, ("timeout", f"{timeout:g}")))
        return self._call(call, at)

    def siblings(self, key: str, *, at: str) -> Conflict:
        """Read all replicas; return what `Client.get` raises where a key has several values."""
        try:
            self.get(key, at=at, r="all")
        except Conflict as conflict:
            return conflict
        raise NotAsTold(f"{self.name} expected siblings of {key} at {at}")

    def put(
        self, key: str, value: object, *, at: str, context: str | None = None,
        w: WriteLevel | None = None, idempotency_key: str = "",
    ) -> Written:  # fmt: skip
        """Write a value in place of what `context` has seen, as `Client.put` does."""
        return self._write(calls.put(key, value, _options(context, w, idempotency_key)), at)

    def delete(
        self, key: str, *, at: str, context: str | None = None, w: WriteLevel | None = None
    ) -> Written:
        """Delete what `context` has seen, as `Client.delete` does."""
        return self._write(calls.delete(key, _options(context, w, "")), at)

    def _write(self, call: Call[Written], at: str) -> Written:
        return self._call(call.nameless(), at)

    def _call(self, call: Call[T], at: str) -> T:
        token = (("Kv-Token", self.token),) if self.token else ()
        headers = (*call.headers, *token)
        request = Request(call.method, call.path, urlencode(call.query), headers, call.body)
        cluster, page = self._cluster, self._page
        page.request(cluster.now_ms(), self.name, at, request, cluster.in_short)
        answer = cluster.send(at, request)
        page.answer(cluster.now_ms(), self.name, at, answer, cluster.in_short)
        self.token = answer.headers.get("kv-token", self.token)
        return call.read(answer)


def _options(context: str | None, w: WriteLevel | None, name: str) -> WriteOptions:
    """Return what a write says; without a name of the story, `nameless` takes the one away."""
    return WriteOptions(name=name or "none", is_drawn=not name, w=w, context=context)
