"""Take the steps of a conversation: send requests and wait, in a thread or in a task.

This is the only place that knows the HTTP library.  Redirects, proxies of the environment and
compression are off: a value is the bytes that the node has.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar, cast

import httpx2

from coterie.steps import (
    Answer,
    Emit,
    More,
    NoAnswer,
    Open,
    Opened,
    Pause,
    Send,
    Steps,
    Stream,
    Told,
)

T = TypeVar("T")
ThreadHttp: TypeAlias = httpx2.Client
TaskHttp: TypeAlias = httpx2.AsyncClient

CONNECT_S = 1.0  # a node in reach takes a connection sooner
CONNECTIONS = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
USUAL_HEADERS = {"User-Agent": "coterie-client", "Accept": "*/*", "Accept-Encoding": "identity"}
SILENT = NoAnswer("the answer took too long", was_sent=True)
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
            told = self.take(step)

    def take(self, step: Send | Pause) -> Told:
        """Take one step; return what came of it."""
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
                    return SILENT
            return _answer(response, bytes(body))

    def stream(self, steps: Stream[T]) -> "ThreadStream[T]":
        """Begin a stream."""
        return ThreadStream(self, steps)

    def close(self) -> None:
        self.http.close()


@dataclass(slots=True)
class ThreadStream(Generic[T]):
    """A stream on its way, which has at most one answer open."""

    transport: ThreadTransport
    steps: Stream[T]
    response: httpx2.Response | None = None
    parts: Iterator[bytes] | None = None

    def next(self) -> Emit[T] | None:
        """Take steps up to the next item; None: there is none any more."""
        told: Told = None
        while True:
            try:
                step = self.steps.send(told)
            except StopIteration:
                return None
            match step:
                case Emit():
                    return step
                case Open():
                    told = self._open(step.request, step.part_s)
                case More():
                    told = self._more()
                case _:
                    told = self.transport.take(step)

    def _open(self, send: Send, part_s: float) -> Opened | NoAnswer:
        self.hang_up()
        try:
            request = _streamed(self.transport.http, send)
            self.response = self.transport.http.send(request, stream=True, follow_redirects=False)
        except httpx2.TransportError as error:
            return _no_answer(error)
        request.extensions["timeout"]["read"] = part_s
        self.parts = self.response.iter_raw()
        return _opened(self.response)

    def _more(self) -> bytes | NoAnswer:
        assert self.parts is not None, "an answer is open"
        try:
            return next(self.parts, b"")
        except httpx2.TransportError as error:
            return _no_answer(error)

    def hang_up(self) -> None:
        """Close the open answer."""
        if self.response is not None:
            self.response.close()
            self.response = None

    def close(self) -> None:
        """End the stream."""
        self.steps.close()
        self.hang_up()


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
            told = await self.take(step)

    async def take(self, step: Send | Pause) -> Told:
        """Take one step; return what came of it."""
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            async with asyncio.timeout(step.timeout_s):
                return await self._send(step)
        except TimeoutError:
            return SILENT
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

    def stream(self, steps: Stream[T]) -> "TaskStream[T]":
        """Begin a stream."""
        return TaskStream(self, steps)

    async def close(self) -> None:
        await self.http.aclose()


@dataclass(slots=True)
class TaskStream(Generic[T]):
    """A stream on its way, which has at most one answer open."""

    transport: TaskTransport
    steps: Stream[T]
    response: httpx2.Response | None = None
    parts: AsyncIterator[bytes] | None = None
    part_s: float = 0.0

    async def next(self) -> Emit[T] | None:
        """Take steps up to the next item; None: there is none any more."""
        told: Told = None
        while True:
            try:
                step = self.steps.send(told)
            except StopIteration:
                return None
            match step:
                case Emit():
                    return step
                case Open():
                    told = await self._open(step.request, step.part_s)
                case More():
                    told = await self._more()
                case _:
                    told = await self.transport.take(step)

    async def _open(self, send: Send, part_s: float) -> Opened | NoAnswer:
        await self.hang_up()
        self.part_s, http = part_s, self.transport.http
        try:
            async with asyncio.timeout(send.timeout_s):
                request = _streamed(http, send)
                self.response = await http.send(request, stream=True, follow_redirects=False)
        except TimeoutError:
            return SILENT
        except httpx2.TransportError as error:
            return _no_answer(error)
        request.extensions["timeout"]["read"] = part_s
        self.parts = self.response.aiter_raw()
        return _opened(self.response)

    async def _more(self) -> bytes | NoAnswer:
        assert self.parts is not None, "an answer is open"
        try:
            async with asyncio.timeout(self.part_s):
                return await anext(self.parts, b"")
        except TimeoutError:
            return SILENT
        except httpx2.TransportError as error:
            return _no_answer(error)

    async def hang_up(self) -> None:
        """Close the open answer."""
        if self.response is not None:
            response, self.response = self.response, None
            await response.aclose()

    async def close(self) -> None:
        """End the stream."""
        self.steps.close()
        await self.hang_up()


def thread_http(is_encrypted: bool, api_token: str = "", ca: str = "") -> httpx2.Client:
    """Return a client of the HTTP library; certificates are read only where they are needed."""
    return httpx2.Client(
        verify=_authority(is_encrypted, ca),
        trust_env=False,
        limits=CONNECTIONS,
        headers=_credentials(api_token),
    )


def task_http(is_encrypted: bool, api_token: str = "", ca: str = "") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        verify=_authority(is_encrypted, ca),
        trust_env=False,
        limits=CONNECTIONS,
        headers=_credentials(api_token),
    )


def _authority(is_encrypted: bool, ca: str) -> ssl.SSLContext | bool:
    """Return what decides on a node's certificate.  Raises ValueError for no such authority."""
    if not is_encrypted or not ca:
        return is_encrypted
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ValueError(f"ca is no file with certificates: {error}") from error


def _credentials(api_token: str) -> dict[str, str]:
    if not api_token.isascii() or not (api_token.isprintable() and " " not in api_token):
        raise ValueError("api_token is no token: it has letters, digits, - and _")
    return {"Authorization": f"Bearer {api_token}"} if api_token else {}


def _raw(send: Send) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes: meta may be any text, as UTF-8."""
    headers = (*USUAL_HEADERS.items(), *send.headers)
    return [(name.encode("ascii"), text.encode()) for name, text in headers]


def _streamed(http: httpx2.Client | httpx2.AsyncClient, send: Send) -> httpx2.Request:
    """Return a request whose answer is read part by part."""
    return http.build_request(
        send.method, send.url, headers=_raw(send), content=send.body, timeout=_timeout(send)
    )


def _timeout(send: Send) -> httpx2.Timeout:
    return httpx2.Timeout(send.timeout_s, connect=min(send.timeout_s, CONNECT_S))


def _answer(response: httpx2.Response, body: bytes) -> Answer:
    return Answer(response.status_code, _headers_of(response), body)


def _opened(response: httpx2.Response) -> Opened:
    return Opened(response.status_code, _headers_of(response))


def _headers_of(response: httpx2.Response) -> dict[str, str]:
    return {name.lower(): text for name, text in response.headers.items()}


def _no_answer(error: httpx2.TransportError) -> NoAnswer:
    reason = str(error) or type(error).__name__
    return NoAnswer(reason, was_sent=not isinstance(error, NOT_SENT))
