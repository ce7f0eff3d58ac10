"""Shared by the tests that start a deployment: docker's command, questions to nodes, patience."""

import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.containers import docker_client

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LOOK_EVERY_S = 0.5
COMMAND_S = 240
ROOT = Path(__file__).resolve().parents[2]


def engine() -> Any:
    """Return a client of the engine; skip the test loudly where none answers."""
    client, problem = docker_client()
    if client is None:
        pytest.skip(f"NO DOCKER ENGINE: no deployment is started ({problem})")
    return client


def run(*words: str, **settings: str) -> str:
    """Run a command to its end; it must succeed."""
    ended = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert ended.returncode == 0, f"{' '.join(words)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def ask(
    port: int, method: str, path: str, body: object = None, token: str = ""
) -> tuple[int, dict[str, Any]]:
    """Return status and document of an answer; status 0 where none comes."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    sent = None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, sent, headers, method=method)
    try:
        with OPENER.open(request, timeout=10.0) as answer:
            return answer.status, read(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, read(refusal.read())
    except OSError:
        return 0, {}


def read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"value": found}


def until(condition: Callable[[], bool], within_s: float, wrong: Callable[[], object]) -> None:
    """Wait until the condition holds; otherwise fail with what `wrong` says."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {wrong()}")
        pause.wait(LOOK_EVERY_S)
