"""Eight sessions in closed loops run while two shards become three and two again.

No request fails, every written key is found, and every session reads its own writes.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import pytest

from tests.scenarios.script import ask, eventually, patiently
from tests.scenarios.stage import BOTH_ENGINES, is_done, machines

SESSIONS, KEYS_EACH = 8, 500
SETTLED_S = 40.0
OPERATIONS_BETWEEN = 400
UNMET = {"error": "Causal dependencies not satisfied; try again later"}


@dataclass
class Session:
    """A client that writes its own keys, changes node each time, and passes its metadata on."""

    number: int
    urls: list[str]
    values: dict[str, int] = field(default_factory=dict)
    metadata: object = None
    asked: int = 0
    wrong: list[object] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        random = Random(self.number)
        for step in count():
            if stop.is_set():
                return
            key = f"s{self.number}-{random.randrange(KEYS_EACH)}"
            url = self.urls[random.randrange(len(self.urls))]
            if key in self.values and step % 2:
                self._get(url, key)
            else:
                self._put(url, key, step)

    def _put(self, url: str, key: str, value: int) -> None:
        """Write a key; a new owner may call it created, as long as it lacks the old value."""
        status, body = self._ask("PUT", url, key, {"value": value})
        if status in (200, 201):
            self.values[key], self.metadata = value, body["causal-metadata"]
        else:
            self.wrong.append((url, key, value, status, body))

    def _get(self, url: str, key: str) -> None:
        status, body = self._ask("GET", url, key, {})
        if (status, body.get("value")) == (200, self.values[key]):
            self.metadata = body["causal-metadata"]
        else:
            self.wrong.append((url, key, self.values[key], status, body))

    def _ask(
        self, method: str, url: str, key: str, fields: dict[str, int]
    ) -> tuple[int, dict[str, object]]:
        """Return the first answer, or the next where the session is ahead of the replica.

        That is the contract's way to say "not yet", under a view change or not.
        """
        body = {**fields, "causal-metadata": self.metadata}
        status, said, _ = ask(method, f"{url}/kvs/{key}", body)
        self.asked += 1
        if said == UNMET:
            status, said, _ = patiently(method, f"{url}/kvs/{key}", body)
        return status, said


@contextmanager
def under_load(urls: list[str]) -> Iterator[list[Session]]:
    """Run the sessions until the end of the block."""
    sessions = [Session(number, urls) for number in range(SESSIONS)]
    stop = threading.Event()
    with ThreadPoolExecutor(SESSIONS) as pool:
        jobs: list[Future[None]] = [pool.submit(session.run, stop) for session in sessions]
        try:
            yield sessions
        finally:
            stop.set()
        for job in jobs:
            job.result()


def go_on(sessions: list[Session], operations: int) -> bool:
    """Whether this many more operations have been done."""
    before = sum(session.asked for session in sessions)
    return eventually(lambda: sum(s.asked for s in sessions) - before >= operations, 60.0)


@BOTH_ENGINES
@pytest.mark.timeout(240)
def test_no_session_notices(kind: str, tmp_path: Path) -> None:
    with machines(kind, tmp_path, 2, 3) as cluster:
        cluster.await_ready()
        urls = list(cluster.urls.values())
        with under_load(urls) as sessions:
            assert go_on(sessions, 2 * OPERATIONS_BETWEEN)
            for shards in (3, 2):
                said = ask("PUT", f"{urls[0]}/shard/reshard", {"shard-count": shards})
                assert said[:2] == (200, {"result": "resharded"})
                assert go_on(sessions, OPERATIONS_BETWEEN)
                assert eventually(lambda: is_done(urls), SETTLED_S)
                assert go_on(sessions, OPERATIONS_BETWEEN)
        assert [wrong for session in sessions for wrong in session.wrong] == []
        assert sum(session.asked for session in sessions) >= 6 * OPERATIONS_BETWEEN
