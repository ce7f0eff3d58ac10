"""The image of a node: built from the Dockerfile on a Python image, or on a substitute for one.

The base is the official image if a registry answers.  Otherwise this module makes the base once
from Debian's packages (debootstrap, `docker import`), with this host's certificates and pip
configuration, so that pip works inside a build wherever it works outside.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from cluster.engines import docker_base_image
from cluster.engines.console import Report
from cluster.engines.topology import UNAVAILABLE, Trouble

TAG = "coterie:dev"
OFFICIAL_BASE = "python:3.13-slim-bookworm"
STAND_IN_BASE = "coterie-base:bookworm"
PULL_QUIET_S = 20  # a pull that says nothing for this long is given up
PULL_TIMEOUT_S = 600
BUILD_TIMEOUT_S = 600
LINES_SHOWN = 20
ROOT = Path(__file__).resolve().parents[2]
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def build(client: Any, report: Report) -> str:
    """Build the node image, unless it is up to date; return its id."""
    if not (ROOT / "Dockerfile").exists():
        raise Trouble(f"no Dockerfile in {ROOT}; run from a checkout, or take ENGINE=process")
    with alone(report):
        return _build(client, report)


@contextlib.contextmanager
def alone(report: Report) -> Iterator[None]:
    """Allow one build at a time on this host; a second one then finds the image up to date."""
    path = Path(tempfile.gettempdir()) / f"coterie-image-{os.getuid()}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.note("   the image is being built already: waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(client: Any, report: Report) -> str:
    arguments = {name: os.environ[name] for name in PROXIES if name in os.environ}
    arguments["PYTHON_IMAGE"] = base(client, report)
    before = _identity(client, TAG)
    steps = _patient(BUILD_TIMEOUT_S).build(
        path=str(ROOT),
        tag=TAG,
        rm=True,
        forcerm=True,
        decode=True,
        network_mode="host",
        buildargs=arguments,
    )
    _expect_built(list(_without_breaks(steps)))
    built = _identity(client, TAG)
    if before not in (None, built):
        with contextlib.suppress(docker.errors.APIError):  # a container may still be made of it
            client.images.remove(before)
    return built or ""


def base(client: Any, report: Report) -> str:
    """Return the image to build on: the one in the settings, or a local, pulled or made one."""
    wanted = os.environ.get("PYTHON_IMAGE", "")
    if wanted:
        return wanted
    for present in (OFFICIAL_BASE, STAND_IN_BASE):
        if _identity(client, present):
            return present
    report.note(f"   fetching {OFFICIAL_BASE}")
    problem = pull()
    if problem is None:
        return OFFICIAL_BASE
    report.note(
        f"   no image registry answers ({problem}): making the stand-in base {STAND_IN_BASE}"
        " from Debian's packages, once, in a minute or two"
    )
    _import(client, docker_base_image.base_archive())
    return STAND_IN_BASE


def _identity(client: Any, name: str) -> str | None:
    """Return the id of the local image of this name, or None."""
    try:
        identity: str = client.images.get(name).id
    except docker.errors.ImageNotFound:
        return None
    return identity


def pull() -> str | None:
    """Pull the official base; return the reason if it cannot be had, else None."""
    repository, _, tag = OFFICIAL_BASE.partition(":")
    deadline = time.monotonic() + PULL_TIMEOUT_S
    try:
        events = _patient(PULL_QUIET_S).pull(repository, tag=tag, stream=True, decode=True)
        for event in events:
            if "error" in event:
                return str(event["error"])
            if time.monotonic() > deadline:
                return f"not complete after {PULL_TIMEOUT_S} s"
    except docker.errors.APIError as refusal:
        return _last_part(str(refusal.explanation or refusal))
    except (requests.exceptions.RequestException, OSError):
        return f"silent for {PULL_QUIET_S} s"
    return None


def _last_part(text: str) -> str:
    """Return the reason at the end of a chain of reasons."""
    return text.rstrip('")').rpartition(": ")[2]


def _import(client: Any, archive: Iterator[bytes]) -> None:
    changes = [
        f"ENV PIP_CERT={docker_base_image.BUNDLE} SSL_CERT_FILE={docker_base_image.BUNDLE}",
        'CMD ["python3"]',
    ]
    repository, _, tag = STAND_IN_BASE.partition(":")
    # The archive goes out in chunks, and is never whole in memory.
    client.api.import_image_from_data(archive, repository=repository, tag=tag, changes=changes)
    if not _identity(client, STAND_IN_BASE):
        raise Trouble(f"Docker did not import {STAND_IN_BASE}; see the engine's log", UNAVAILABLE)


def _patient(timeout_s: int) -> Any:
    """Return a client of the engine that waits this long for each part of an answer."""
    return docker.from_env(timeout=timeout_s).api


def _without_breaks(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the events of a build; end with an error event if the engine falls silent."""
    try:
        yield from events
    except (requests.exceptions.RequestException, OSError):
        yield {"error": f"the engine said nothing for {BUILD_TIMEOUT_S} s"}


def _expect_built(events: Iterable[dict[str, Any]]) -> None:
    said = "".join(str(event.get("stream", "")) for event in events).splitlines()
    problem = next((str(event["error"]) for event in events if "error" in event), None)
    if problem:
        raise Trouble(
            "\n".join(
                [
                    f"the image {TAG} could not be built: {problem}; see the lines below, or take"
                    " ENGINE=process, which needs no image",
                    *said[-LINES_SHOWN:],
                ]
            ),
            UNAVAILABLE,
        )
