"""A reshard completes although nodes die in the middle: one that gives slots away, then one that
gets them.

Both come back, and nothing is lost or left undone.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.script import ask, eventually, get, key_counts, put
from tests.scenarios.stage import BOTH_ENGINES, account, at_once, is_done, job, machines

KEYS = 3000
FILLING = "x" * 3000
SETTLED_S = 30.0
HOLD_STILL = ("carol", "frank")


def value(number: int) -> str:
    return f"{number} {FILLING}"


def fill(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())

    def write(number: int) -> None:
        status, body, _ = put(urls[number % len(urls)], f"key{number}", value(number), None)
        assert status == 201, (number, status, body)

    at_once(write, range(KEYS))


def wrong_keys(cluster: Cluster, names: list[str]) -> list[object]:
    """Return the keys with a wrong value, each asked of one of these nodes."""

    def wrong(number: int) -> object:
        url = cluster.urls[names[number % len(names)]]
        status, body, _ = get(url, f"key{number}", None)
        right = (status, body.get("value")) == (200, value(number))
        return None if right else (url, number, status, body)

    return [answer for answer in at_once(wrong, range(KEYS)) if answer is not None]


def reshard_killing(cluster: Cluster, shards: int, name: str) -> None:
    """Reshard while a node is being killed, which the change needs to end; then start it again.

    Clients can read meanwhile what the others hold.  Nodes that exchange slots with it hold still
    until the kill has hit, or it might have done its part before.
    """
    url = cluster.urls["bob"]
    for other in HOLD_STILL:
        cluster.engine.pause(other)
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(cluster.engine.kill, name)
        said = ask("PUT", f"{url}/shard/reshard", {"shard-count": shards})
        killed.result()
    for other in HOLD_STILL:
        cluster.engine.resume(other)
    assert said[:2] == (200, {"result": "resharded"})
    assert eventually(lambda: waits_for(cluster, url, name), 5.0), job(url)
    others = [other for other in cluster.names if other != name]
    assert wrong_keys(cluster, others) == []
    assert not is_done([url])
    cluster.engine.start(name)


def waits_for(cluster: Cluster, url: str, name: str) -> bool:
    waiting = [one["node"] for one in job(url)[1]["waiting_for"]]
    return cluster.address(name) in waiting


def settles(cluster: Cluster) -> bool:
    """Whether all nodes say that the change is over, count alike, and hold every key."""
    urls = list(cluster.urls.values())
    if not eventually(lambda: is_done(urls), SETTLED_S):
        return False
    counts = [key_counts(url) for url in urls]
    return counts.count(counts[0]) == len(counts) and sum(counts[0].values()) == KEYS


@BOTH_ENGINES
@pytest.mark.timeout(240)
def test_kill_the_source_then_the_target(kind: str, tmp_path: Path) -> None:
    with machines(kind, tmp_path, 2, 3) as cluster:
        cluster.await_ready()
        fill(cluster)
        # Two shards become three of two: alice gives slots away.
        reshard_killing(cluster, 3, "alice")
        assert settles(cluster), account(cluster)
        # Three become two again: alice gets slots back.
        reshard_killing(cluster, 2, "alice")
        assert settles(cluster), account(cluster)
        assert wrong_keys(cluster, cluster.names) == []
