"""Single nodes as processes, for tests that start them, talk to them and end them."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.engines import node_client

PATIENCE_S = 20.0


def environment(directory: Path, address: str, **settings: str) -> dict[str, str]:
    ours = {"SOCKET_ADDRESS": address, "DATA_DIR": str(directory / address), **settings}
    return {"PATH": os.environ.get("PATH", ""), **ours}


def failed_start(env: dict[str, str], *flags: str) -> str:
    """Start a node that cannot start; return its one line on stderr."""
    command = [sys.executable, "-m", "node", *flags]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def free_addresses(count: int) -> list[str]:
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    for port in ports:
        port.close()
    return addresses


@contextmanager
def node(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a node for the block; kill it at the end if it still runs."""
    command = [sys.executable, "-m", "node"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], words: str) -> str:
    """Return the next line of the node's log that has these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"ended without saying {words!r}")


def call(method: str, address: str, path: str, body: Any = None) -> tuple[int, Any]:
    text = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{address}{path}", text, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def called_until(status: int, method: str, address: str, path: str, body: Any) -> Any:
    """Call until the answer has this status: nodes that have just started meet first."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        code, answer = call(method, address, path, body)
        if code == status:
            return answer
        assert time.monotonic() < deadline, (code, answer)


def await_ready(address: str) -> None:
    port = int(address.rpartition(":")[2])
    assert node_client.until(lambda: node_client.unready(port) is None or None, PATIENCE_S)
