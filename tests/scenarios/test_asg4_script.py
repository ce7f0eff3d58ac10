"""The asg4 script: chained writes round-robin over six nodes, a crash in between, every key at the
end.
"""

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.script import ask, eventually, get, key_counts, put

KEYS = 600
CRASH_AT, RETURN_AT = 200, 400
VICTIM = "carol"
EVEN_SPREAD = 0.25


def live_view(url: str) -> list[str]:
    view: list[str] = ask("GET", f"{url}/view")[1].get("view", [])
    return view


def chain(cluster: Cluster) -> object:
    """Send 600 PUTs, each with the metadata of the last; one node dies and comes back."""
    metadata: object = None
    for i in range(KEYS):
        if i == CRASH_AT:
            cluster.engine.kill(VICTIM)
        if i == RETURN_AT:
            cluster.engine.start(VICTIM)
            cluster.await_ready(VICTIM)
        names = [n for n in cluster.names if n != VICTIM or not CRASH_AT <= i < RETURN_AT]
        url = cluster.urls[names[i % len(names)]]
        status, body, headers = put(url, f"key{i}", f"value{i}", metadata)
        assert (status, body.get("result")) == (201, "created"), (i, status, body, headers)
        metadata = body["causal-metadata"]
    return metadata


@pytest.mark.timeout(200)
def test_chained_writes_survive_a_crash_and_read_right_everywhere(cluster: Cluster) -> None:
    metadata = chain(cluster)
    urls = list(cluster.urls.values())
    everybody = [cluster.address(name) for name in cluster.names]
    assert eventually(lambda: all(live_view(url) == everybody for url in urls), 10.0)

    def counted() -> bool:
        counts = [key_counts(url) for url in urls]
        return counts.count(counts[0]) == len(counts) and sum(counts[0].values()) == KEYS

    assert eventually(counted, 5.0), [key_counts(url) for url in urls]
    even = KEYS / 2
    assert all(abs(n - even) < EVEN_SPREAD * even for n in key_counts(urls[0]).values())
    for i in range(KEYS):
        status, body, _ = get(urls[(i + 3) % len(urls)], f"key{i}", metadata)
        assert (status, body.get("value")) == (200, f"value{i}"), (i, status, body)


@pytest.mark.timeout(90)
def test_a_dead_member_leaves_the_live_view_and_comes_back(cluster: Cluster) -> None:
    others = [cluster.urls[name] for name in cluster.names if name != VICTIM]
    everybody = [cluster.address(name) for name in cluster.names]
    left = [cluster.address(name) for name in cluster.names if name != VICTIM]
    cluster.engine.kill(VICTIM)
    assert eventually(lambda: all(live_view(url) == left for url in others), 10.0)
    shard = cluster.shard_of(VICTIM)
    members = ask("GET", f"{others[0]}/shard/members/{shard}")[1]["shard-members"]
    assert cluster.address(VICTIM) not in members
    cluster.engine.start(VICTIM)
    cluster.await_ready(VICTIM)
    assert eventually(lambda: all(live_view(url) == everybody for url in others), 5.0)
