"""Ends what a run of the tests leaves behind: `python -m tests.reaper WORKER FOLDER`.

A fixture that is interrupted does not clean up, and neither does a worker that is killed.  So each
process that runs tests has a reaper beside it, which reads its end of a pipe.  When the worker has
ended in any way, the reaper kills the nodes that have their data below its folder, and removes the
containers, networks and volumes of clusters that have its number in their name.  After Ctrl-C,
which this process gets too, it gives the worker a few seconds to end by itself.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

PATIENCE_S = 5.0  # for fixtures that clean up by themselves
AGAIN_EVERY_S = 1.0  # a worker that goes on may start more
ROOT = Path(__file__).parent.parent


def started(folder: Path) -> "subprocess.Popen[bytes]":
    """Run a reaper for this process; it reaps when its stdin closes."""
    command = [sys.executable, "-m", "tests.reaper", str(os.getpid()), str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)


def nodes_below(folder: str) -> Iterator[int]:
    """Return the processes whose DATA_DIR is below the folder, except this one."""
    wanted = f"DATA_DIR={folder}/".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # the process has ended, or is not ours
            environment = (entry / "environ").read_bytes().split(b"\0")
            if any(variable.startswith(wanted) for variable in environment):
                yield int(entry.name)


def kill_nodes(folder: str) -> None:
    for pid in nodes_below(folder):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def is_of(cluster: str, worker: int) -> bool:
    """Whether a cluster's name has this worker's number, such as `views-4711`."""
    return re.search(rf"-{worker}(-|$)", cluster) is not None


def remove_clusters(worker: int) -> None:
    """Remove the clusters of Docker, where an engine answers, by label as the launcher does."""
    from cluster.engines.containers import LABEL, docker_client  # slow, and mostly not needed

    client, _ = docker_client()
    if client is None:
        return
    filters = {"label": LABEL}

    def ours(things: list[Any]) -> list[Any]:
        labels = [(thing, thing.attrs.get("Labels") or {}) for thing in things]
        return [thing for thing, found in labels if is_of(found.get(LABEL, ""), worker)]

    containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
    for container in containers:
        if is_of(container.labels.get(LABEL, ""), worker):
            _gone(lambda container=container: container.remove(v=True, force=True))
    for network in ours(client.networks.list(filters=filters)):
        _gone(network.remove)
    for volume in ours(client.volumes.list(filters=filters)):
        _gone(lambda volume=volume: volume.remove(force=True))
    client.close()


def _gone(remove: Any) -> None:
    """Ignore that another program has removed something meanwhile."""
    import docker.errors

    with contextlib.suppress(docker.errors.APIError):
        remove()


def reap(worker: int, folder: str) -> None:
    kill_nodes(folder)
    remove_clusters(worker)


def main(worker: int, folder: str) -> None:
    """Wait for the end of the worker, or for Ctrl-C, and reap."""
    interrupted, interrupt = os.pipe()
    os.set_blocking(interrupt, False)

    def note(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(interrupt, b"!")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    has_ended = sys.stdin.fileno() in select.select([sys.stdin.fileno(), interrupted], [], [])[0]
    wait_s = PATIENCE_S
    while not has_ended:
        has_ended = bool(select.select([sys.stdin.fileno()], [], [], wait_s)[0])
        if not has_ended:
            reap(worker, folder)
        wait_s = AGAIN_EVERY_S
    reap(worker, folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
