"""Take the steps of a conversation: send requests and wait, in a thread or in a task.

This is the only place that knows the HTTP library.  Redirects, proxies of the environment and
compression are off: a value is the bytes that the node has.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

import httpx2

from coterie.steps import Answer, NoAnswer, Pause, Send, Steps, Told

T = TypeVar("T")
ThreadHttp: TypeAlias = httpx2.Client
TaskHttp: TypeAlias = httpx2.AsyncClient

CONNECT_S = 1.0  # a node in reach takes a connection sooner
CONNECTIONS = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
USUAL_HEADERS = {"User-Agent": "coterie-client", "Accept": "*/*", "Accept-Encoding": "identity"}
NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(slots=True)
class ThreadTransport:
    """Takes steps in the thread of the caller; threads may share it."""

    http: httpx2.Client

    def run(self, steps: Steps[T]) -> T:
        """Take all steps; return what the conversation returns, raise what it raises."""
        told: Told = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                return cast(T, end.value)
            told = self._take(step)

    def _take(self, step: Send | Pause) -> Told:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._send(step)
        except httpx2.TransportError as error:
            return _no_answer(error)

    def _send(self, send: Send) -> Answer | NoAnswer:
        """Send a request; the wait ends with the part of the answer during which time ran out."""
        until = time.monotonic() + send.timeout_s
        with self.http.stream(
            send.method,
            send.url,
            headers=_raw(send),
            content=send.body,
            timeout=_timeout(send),
            follow_redirects=False,
        ) as response:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if time.monotonic() > until:
                    return NoAnswer("the answer took too long", was_sent=True)
            return _answer(response, bytes(body))

    def close(self) -> None:
        self.http.close()


@dataclass(slots=True)
class TaskTransport:
    """Takes steps in the task of the caller; tasks of one event loop may share it."""

    http: httpx2.AsyncClient

    async def run(self, steps: Steps[T]) -> T:
        """Take all steps; return what the conversation returns, raise what it raises."""
        told: Told = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                return cast(T, end.value)
            told = await self._take(step)

    async def _take(self, step: Send | Pause) -> Told:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            async with asyncio.timeout(step.timeout_s):
                return await self._send(step)
        except TimeoutError:
            return NoAnswer("the answer took too long", was_sent=True)
        except httpx2.TransportError as error:
            return _no_answer(error)

    async def _send(self, send: Send) -> Answer:
        async with self.http.stream(
            send.method,
            send.url,
            headers=_raw(send),
            content=send.body,
            timeout=_timeout(send),
            follow_redirects=False,
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
            return _answer(response, bytes(body))

    async def close(self) -> None:
        await self.http.aclose()


def thread_http(is_encrypted: bool) -> httpx2.Client:
    """Return a client of the HTTP library; certificates are read only where they are needed."""
    return httpx2.Client(verify=is_encrypted, trust_env=False, limits=CONNECTIONS)


def task_http(is_encrypted: bool) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(verify=is_encrypted, trust_env=False, limits=CONNECTIONS)


def _raw(send: Send) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes: meta may be any text, as UTF-8."""
    headers = (*USUAL_HEADERS.items(), *send.headers)
    return [(name.encode("ascii"), text.encode()) for name, text in headers]


def _timeout(send: Send) -> httpx2.Timeout:
    return httpx2.Timeout(send.timeout_s, connect=min(send.timeout_s, CONNECT_S))


def _answer(response: httpx2.Response, body: bytes) -> Answer:
    headers = {name.lower(): text for name, text in response.headers.items()}
    return Answer(response.status_code, headers, body)


def _no_answer(error: httpx2.TransportError) -> NoAnswer:
    reason = str(error) or type(error).__name__
    return NoAnswer(reason, was_sent=not isinstance(error, NOT_SENT))
