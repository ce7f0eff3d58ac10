"""Shared by the tests that start a deployment: docker's command, questions to nodes, patience."""

import json
import os
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
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
    if shutil.which("docker") is None and shutil.which("docker-compose") is None:
        pytest.skip("NO DOCKER COMMAND: an engine answers, and no program can start a deployment")
    return client


def compose_words() -> list[str]:
    """Return the words of the command; skip the test loudly where there is none."""
    plugin = ["docker", "compose", "version"]
    if shutil.which("docker") and not subprocess.run(plugin, capture_output=True).returncode:
        return ["docker", "compose"]
    if shutil.which("docker-compose") is None:
        pytest.skip("NO COMPOSE: neither `docker compose` nor `docker-compose` is installed")
    return ["docker-compose"]


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
    port: int,
    method: str,
    path: str,
    body: object = None,
    token: str = "",
    authority: Path | None = None,
) -> tuple[int, dict[str, Any]]:
    """Return status and document of an answer; status 0 where none comes.

    With the file of an authority, the node must show a certificate of it.
    """
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    sent = None if body is None else json.dumps(body).encode()
    url = f"http{'s' if authority else ''}://localhost:{port}{path}"
    opener = OPENER if authority is None else trusting(authority)
    request = urllib.request.Request(url, sent, headers, method=method)
    try:
        with opener.open(request, timeout=10.0) as answer:
            return answer.status, read(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, read(refusal.read())
    except (OSError, HTTPException):
        return 0, {}


def trusting(authority: Path) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=str(authority))
    handler = urllib.request.HTTPSHandler(context=context)
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)


def read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"value": found}


AT_ALL = "w=all&strict=true&timeout=20"  # all owners have the write on disk


def until(condition: Callable[[], bool], within_s: float, wrong: Callable[[], object]) -> None:
    """Wait until the condition holds; otherwise fail with what `wrong` says."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {wrong()}")
        pause.wait(LOOK_EVERY_S)
