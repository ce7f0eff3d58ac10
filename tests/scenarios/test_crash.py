"""No acknowledged write is lost when all six nodes die at once in the middle of writes.

Then one of them loses its disk as well.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.script import ask, get

WRITES = 5000
KILL_AFTER = 2500
WRITERS = 8
WIPED = "bob"


class Writers:
    """Eight clients in closed loops; remembers the writes that so many disks acknowledged."""

    def __init__(self, urls: list[str], prefix: str, copies: int) -> None:
        self._urls, self._prefix, self._copies = urls, prefix, copies
        self.acked: dict[str, str] = {}
        self._enough = threading.Event()
        self._stop = threading.Event()

    def run(self, writer: int) -> None:
        for i in range(writer, WRITES, WRITERS):
            if self._stop.is_set():
                return
            key, url = f"{self._prefix}{i}", self._urls[i % len(self._urls)]
            body = {"value": f"v{i}", "causal-metadata": {}}
            status, _, headers = ask("PUT", f"{url}/kvs/{key}", body)
            if status in (200, 201) and int(headers["Kv-Acks"][0]) >= self._copies:
                self.acked[key] = f"v{i}"
            if len(self.acked) >= KILL_AFTER:
                self._enough.set()

    def run_until_killed(self, kill: "threading.Thread") -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            jobs = [pool.submit(self.run, writer) for writer in range(WRITERS)]
            try:
                assert self._enough.wait(120), f"only {len(self.acked)} writes were acknowledged"
                kill.start()
                kill.join()
            finally:
                self._stop.set()
            for job in jobs:
                job.result()


def kill_all(cluster: Cluster) -> None:
    with ThreadPoolExecutor(len(cluster.names)) as pool:
        list(pool.map(cluster.engine.kill, cluster.names))


def unread(cluster: Cluster, acked: dict[str, str]) -> list[str]:
    """Return the acknowledged writes that do not read back, each asked of some node."""
    urls = list(cluster.urls.values())

    def is_wrong(item: tuple[int, tuple[str, str]]) -> str | None:
        number, (key, value) = item
        status, body, _ = get(urls[number % len(urls)], key, None)
        return None if (status, body.get("value")) == (200, value) else f"{key}: {status} {body}"

    with ThreadPoolExecutor(WRITERS) as pool:
        return [wrong for wrong in pool.map(is_wrong, enumerate(acked.items())) if wrong]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("wiped", [None, WIPED], ids=["disks survive", "one disk is lost"])
def test_what_was_acknowledged_reads_back(cluster: Cluster, wiped: str | None) -> None:
    writers = Writers(list(cluster.urls.values()), f"{wiped or 'all'}-", copies=2 if wiped else 1)
    writers.run_until_killed(threading.Thread(target=kill_all, args=(cluster,)))
    if wiped:
        cluster.engine.wipe(wiped)
    for name in cluster.names:
        cluster.engine.start(name)
    cluster.await_ready()
    assert len(writers.acked) >= KILL_AFTER
    assert unread(cluster, writers.acked) == []
