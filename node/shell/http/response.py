"""What goes out: a reply as the bytes of one HTTP answer, written at once.

aiohttp's own response makes a multidict, sorts out compression, chunking and cookies, and writes in
five steps.  Our answers are whole, small and plain, and this takes a third of the time.
"""

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from time import time

from aiohttp import HttpVersion11
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from node.api.contract import Reply

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
BODILESS = frozenset({204, 304})


class Answer(StreamResponse):
    """One reply; `closes` ends the connection after it.  ValueError: a header has two lines."""

    def __init__(self, reply: Reply, view_number: int, closes: bool) -> None:
        # The base class is not initialised: it would make the multidict that this class avoids.
        self._reply, self._closes = reply, closes
        kind = "" if reply.status in BODILESS else f"Content-Type: {reply.content_type}\r\n"
        self._head = STATUS_LINES[reply.status] + (
            f"\r\n{kind}Server: coterie\r\nDate: {_date.text()}\r\nKv-View: {view_number}\r\n"
        )
        if reply.headers:
            self._head += lines_of(reply.headers)

    @property
    def keep_alive(self) -> bool:
        return not self._closes

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter:
        """Write the whole answer, and wait for a slow reader, so that answers do not pile up."""
        self._closes = self._closes or not request.keep_alive
        head, body, writer = self._head, self._reply.body, request.writer
        if self._closes:
            head += "Connection: close\r\n"
        elif request.version != HttpVersion11:
            head += "Connection: keep-alive\r\n"
        if self._reply.status not in BODILESS:
            head += f"Content-Length: {len(body)}\r\n"
        if request.method == "HEAD" or self._reply.status in BODILESS:
            body = b""
        await writer.write(f"{head}\r\n".encode() + body)
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has written everything."""


def lines_of(headers: Mapping[str, str]) -> str:
    """Return the header lines; raise ValueError when a value would begin a line of its own."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header holds a line break")
    return lines


class _Date:
    """The time as HTTP writes it, made again once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def text(self) -> str:
        second = int(time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


_date = _Date()
