"""Checks whether a cluster can be started here, and says what to do if not.

Each check yields a `Finding`: good, a warning (something works in another way), or bad.
"""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from cluster.engines import docker_image, docker_subnets
from cluster.engines.containers import docker_client
from cluster.engines.host import busy_among
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import HOST_PORT, SUBNETS, overlapping

PYTHON_LOWEST = (3, 11)
NODE_NEEDS = ("aiohttp", "msgspec", "orjson", "prometheus_client")
DISK_BYTES_LOWEST = 2_000_000_000
PORTS = range(HOST_PORT, HOST_PORT + 6)

Verdict = Literal["good", "warning", "bad"]


@dataclass(frozen=True)
class Finding:
    """What one check found, and what to do about it."""

    verdict: Verdict
    text: str


def examine(home: Path) -> Iterator[Finding]:
    """Run every check, and yield its finding."""
    yield _python()
    yield _dependencies()
    client, problem = docker_client()
    if client is None:
        yield Finding("warning", f"{problem}: clusters run as local processes (ENGINE=process)")
    else:
        yield from _docker(client)
    yield _ports(home)
    yield _disk(home)


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info[:2] >= PYTHON_LOWEST:
        return Finding("good", f"Python {version}")
    return Finding("bad", f"Python {version}; expected 3.11 or later: make .venv with a newer one")


def _dependencies() -> Finding:
    missing = [name for name in NODE_NEEDS if find_spec(name) is None]
    if missing:
        return Finding("bad", f"{', '.join(missing)} not installed: run `make venv`")
    return Finding("good", "what a node needs is installed")


def _docker(client: Any) -> Iterator[Finding]:
    version = client.version()
    yield Finding("good", f"Docker {version['Version']} (API {version['ApiVersion']})")
    tags = {tag for one in client.images.list() for tag in one.tags}
    if docker_image.TAG in tags:
        yield Finding("good", f"image {docker_image.TAG}")
    else:
        yield Finding(
            "warning", f"image {docker_image.TAG} not built yet (`make cluster` builds it)"
        )
    clash = overlapping(SUBNETS[0], docker_subnets.taken(client))
    if clash:
        yield Finding("warning", f'subnet {SUBNETS[0]} overlaps "{clash}"; take SUBNET=auto')
    else:
        yield Finding("good", f"subnet {SUBNETS[0]} free")


def _ports(home: Path) -> Finding:
    busy = busy_among(PORTS)
    span = f"{PORTS[0]}-{PORTS[-1]}"
    if not busy:
        return Finding("good", f"ports {span} free")
    listed = ", ".join(map(str, busy))
    ours = "" if ProcessEngine("dev", home).recall() is None else " (by our own cluster?)"
    return Finding("warning", f"ports {listed} of {span} in use{ours}; --port takes others")


def _disk(home: Path) -> Finding:
    place = next(part for part in (home, *home.parents) if part.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Finding("bad", f"{place} cannot be written; run from a directory that can")
    if free < DISK_BYTES_LOWEST:
        return Finding("warning", f"{free / 1e9:.1f} GB free on disk; expected 2 GB")
    return Finding("good", f"{free / 1e9:.0f} GB free on disk")
