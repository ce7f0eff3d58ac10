"""A node that is cut off from its two peers takes writes, answers honestly, and heals
afterwards.
"""

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.script import ask, eventually, get, put

ALONE, PEER = "alice", "bob"
LEVEL_AGAIN_S = 10.0
AT_ONCE_S = 1.0


def keys_of_first_shard(cluster: Cluster, count: int) -> list[str]:
    """Return keys of the cut-off node: after a write there, that node is the one that served."""
    url = cluster.urls[ALONE]
    members = {cluster.address(name) for name in cluster.names[: cluster.topology.replicas]}
    found = []
    for i in range(100):
        headers = put(url, f"cut{i}", "before", None)[2]
        if headers["Kv-Served-By"] in members:
            found.append(f"cut{i}")
        if len(found) == count:
            return found
    raise AssertionError("too few keys of the first shard")


@pytest.mark.timeout(120)
def test_a_node_that_is_cut_off(cluster: Cluster) -> None:
    mine, theirs = keys_of_first_shard(cluster, 2)
    members = cluster.names[: cluster.topology.replicas]
    cluster.engine.split([[ALONE], [name for name in cluster.names if name != ALONE]])
    try:
        status, body, headers = put(cluster.urls[ALONE], mine, "alone", None, AT_ONCE_S)
        assert (status, headers["Kv-Acks"]) == (200, "1/3")
        assert get(cluster.urls[ALONE], mine, body["causal-metadata"])[1]["value"] == "alone"
        ahead = put(cluster.urls[PEER], theirs, "ahead", None)[1]["causal-metadata"]
        for method, extra in (("GET", {}), ("PUT", {"value": "x"})):
            url = f"{cluster.urls[ALONE]}/kvs/{theirs}"
            status, body, _ = ask(method, url, {"causal-metadata": ahead, **extra}, AT_ONCE_S)
            words = "Causal dependencies not satisfied; try again later"
            assert (status, body) == (503, {"error": words})
        assert ask("GET", f"{cluster.urls[ALONE]}/kvs/{theirs}")[1]["value"] == "before"
    finally:
        cluster.engine.heal()

    def level() -> bool:
        shown = [
            (get(cluster.urls[name], mine, None)[1], get(cluster.urls[name], theirs, None)[1])
            for name in members
        ]
        values = [(a.get("value"), b.get("value")) for a, b in shown]
        return values == [("alone", "ahead")] * len(members)

    assert eventually(level, LEVEL_AGAIN_S)
