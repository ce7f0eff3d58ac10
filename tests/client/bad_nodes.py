"""Listeners that look like nodes and are none: one never answers, one loses the answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHUNK = 65536
WAIT_S = 20.0


@contextmanager
def mute() -> Iterator[str]:
    """A port that takes connections and requests, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield url_of(listener)


@contextmanager
def forgetful(node_url: str) -> Iterator[str]:
    """A port that hands each request to the node, and closes when the answer has come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, node_url))
        thread.start()
        try:
            yield url_of(listener)
        finally:
            with socket.create_connection(listener.getsockname()):
                pass  # wakes the thread, which ends at a request without a byte
            thread.join()


@dataclass
class Telling:
    """A port that answers each connection with the next text, and closes; the last one stays open.
    `asked` has the heads of the requests."""

    texts: list[bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def serve(self, listener: socket.socket, is_over: threading.Event) -> None:
        while self.texts:
            client, _ = listener.accept()
            client.settimeout(WAIT_S)
            with client:
                if not (request := _message(client)):
                    return
                self.asked.append(request.decode("latin-1"))
                client.sendall(self.texts.pop(0))
                if not self.texts:
                    assert is_over.wait(WAIT_S)


@contextmanager
def telling(*texts: bytes) -> Iterator[Telling]:
    """Serve these texts, for the block."""
    told, is_over = Telling(list(texts)), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told.url = url_of(listener)
        thread = threading.Thread(target=told.serve, args=(listener, is_over))
        thread.start()
        try:
            yield told
        finally:
            is_over.set()
            with socket.create_connection(listener.getsockname()):
                pass  # wakes the thread, which ends at a request without a byte
            thread.join()


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _serve(listener: socket.socket, node_url: str) -> None:
    while True:
        client, _ = listener.accept()
        client.settimeout(WAIT_S)
        with client:
            request = _message(client)
            if not request:
                return
            port = urlsplit(node_url).port
            with socket.create_connection(("127.0.0.1", port), WAIT_S) as node:
                node.sendall(request)
                assert _message(node).startswith(b"HTTP/1.1 20")


def _message(source: socket.socket) -> bytes:
    """Read one message: its head, and as many bytes as the head says."""
    read = b""
    while b"\r\n\r\n" not in read:
        if not (chunk := source.recv(CHUNK)):
            return read
        read += chunk
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
    while len(body) < length:
        chunk = source.recv(CHUNK)
        read, body = read + chunk, body + chunk
    return read
