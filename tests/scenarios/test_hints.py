"""A node of the other shard keeps a write for a replica that is down, and hands it over."""

from typing import Any

import pytest

from cluster.cli.commands import status_document
from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import TEXT, kv
from tests.scenarios.script import ask, eventually

NOTICED_S = 10.0
HANDED_OVER_S = 20.0


def status_of(cluster: Cluster, name: str) -> Any:
    return ask("GET", f"{cluster.urls[name]}/v1/status")[1]


def hints_of(cluster: Cluster, name: str) -> dict[str, int]:
    """Return how many writes a node keeps, by the addresses of the nodes that are to have them."""
    status = status_of(cluster, name)
    return dict(status["hints"]["for"]) if "hints" in status else {}


def kill(cluster: Cluster, name: str) -> None:
    """Kill a node, and wait until all others know that."""
    cluster.engine.kill(name)
    running = [n for n, state in cluster.engine.states().items() if state == "running"]

    def is_noticed() -> bool:
        told = [status_of(cluster, other)["peers"] for other in running]
        return not any(peers[cluster.address(name)]["reachable"] for peers in told)

    assert eventually(is_noticed, NOTICED_S)


@pytest.mark.timeout(180)
def test_a_write_is_kept_for_a_dead_replica_and_reaches_it_from_there_alone(
    cluster: Cluster,
) -> None:
    *living, dead = cluster.names[:3]
    others = cluster.names[3:]
    here = cluster.urls[others[0]]
    kill(cluster, dead)
    wrote, key = None, ""
    for n in range(100):
        key = f"kept/{n}"
        wrote = kv(here, "PUT", f"{key}?w=3", b"kept", **TEXT)
        assert wrote.status == 201
        if wrote.headers["Kv-Acks"] == "2/3":
            break
        assert (wrote.headers["Kv-Acks"], "Kv-Hints" in wrote.headers) == ("3/3", False)
    assert wrote is not None
    assert wrote.headers["Kv-Hints"] == "1"
    strictly = kv(here, "PUT", f"{key}?w=3&strict=true&timeout=0.5", b"kept", **TEXT)
    assert (strictly.status, strictly.json["definite"], strictly.json["acks"]) == (503, False, 2)

    [holder] = [name for name in others if hints_of(cluster, name)]
    assert hints_of(cluster, holder) == {cluster.address(dead): 1}
    told = {node["name"]: node["hints"] for node in status_document(cluster.engine)["nodes"]}
    assert told[holder] == {dead: 1}
    kill(cluster, holder)
    cluster.engine.start(holder)
    cluster.await_ready(holder)
    assert hints_of(cluster, holder) == {cluster.address(dead): 1}

    for name in living:
        kill(cluster, name)
    cluster.engine.start(dead)
    try:
        assert eventually(lambda: not hints_of(cluster, holder), HANDED_OVER_S)
        token, there = {"Kv_Token": wrote.headers["Kv-Token"]}, cluster.urls[dead]
        query = f"{key}?r=1&on-miss=fail&timeout=0.5"  # at first no node has vouched for its disk
        assert eventually(lambda: kv(there, "GET", query, **token).status == 200, HANDED_OVER_S)
        read = kv(there, "GET", query, **token)
        assert (read.body, read.headers["Kv-Served-By"]) == (b"kept", cluster.address(dead))
    finally:
        for name in living:
            cluster.engine.start(name)
        cluster.await_ready()
    assert kv(cluster.urls[dead], "PUT", f"{key}?w=3&strict=true", b"all", **TEXT).status == 200
