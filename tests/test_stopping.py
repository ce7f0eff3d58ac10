"""A node ends in time, whatever its clients and peers do, and logs nothing unnecessary."""

import signal
import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

from node.core.protocol.effects import Record
from node.shell.disk.disk_limits import DiskLimits
from tests.node_process import (
    PATIENCE_S,
    call,
    called_until,
    environment,
    free_addresses,
    node,
    said,
)
from tests.stores import opened, written
from tests.web import request

STOP_S = 8.0  # Docker waits ten
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def client(address: str, sent: bytes) -> socket.socket:
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.settimeout(PATIENCE_S)
    connection.sendall(sent)
    return connection


def half_a_body(address: str, line: str) -> socket.socket:
    """Return a connection whose node has begun to read a body."""
    connection = client(address, request("PUT", "/kvs/k", b"", line, "Expect: 100-continue"))
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(b'9\r\n{"value":')
    return connection


def test_a_node_stops_in_time_with_half_bodies_and_silent_peers(tmp_path: Path) -> None:
    addresses = free_addresses(3)
    settings = {"VIEW": ",".join(addresses), "SHARD_COUNT": "1"}
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(node(environment(tmp_path, address, **settings)))
            for address in addresses
        ]
        for process in nodes:
            said(process, "serving at")
        called_until(201, "PUT", addresses[0], "/kvs/k", {"value": 1})
        for silent in nodes[1:]:
            silent.send_signal(signal.SIGSTOP)
        lines = ("Content-Length: 500000", "Transfer-Encoding: chunked")
        halves = [half_a_body(addresses[0], line) for line in lines for _ in range(3)]
        started = time.monotonic()
        nodes[0].send_signal(signal.SIGTERM)
        answers = [connection.recv(1000) for connection in halves]
        assert nodes[0].wait(PATIENCE_S) == 0
        assert time.monotonic() - started < STOP_S
        for answer, connection in zip(answers, halves, strict=True):
            assert b" 503 " in answer.partition(b"\r\n")[0]
            assert b"Kv-Outcome: definite" in answer
            connection.close()
        assert nodes[0].stdout is not None
        assert "Traceback" not in nodes[0].stdout.read()


def test_callers_that_gave_up_while_a_node_was_paused_are_no_crash(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    with node(environment(tmp_path, address)) as process:
        said(process, "serving at")
        process.send_signal(signal.SIGSTOP)
        for at in range(15):
            caller = client(address, request("GET", "/peer", b"", *UPGRADE))
            if at % 2:  # a reset, and not an end
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()
        gone = client(address, request("PUT", "/kvs/k", b"", "Content-Length: 9"))
        gone.close()
        process.send_signal(signal.SIGCONT)
        assert call("PUT", address, "/kvs/k", {"value": 1})[0] == 201
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        log = process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    assert "crashed" not in log
    assert "Traceback" not in log


async def test_what_has_not_settled_in_time_is_there_after_a_restart(tmp_path: Path) -> None:
    rows = [Record("item", f"key{n:05}", b"value" * 10) for n in range(3000)]
    async with opened(tmp_path, limits=DiskLimits(settling_at_end_s=-1.0)) as store:
        await written(store, *rows)
    async with opened(tmp_path) as store:
        assert store.scan("item", None, 5000) == [(row.key, row.value) for row in rows]
