"""Writes that begin at the instant of a cut are all taken, and none of them is done twice.

The cut leaves three parts, each with one node of each shard.  A node notices it after some time;
until then it may give a write to a home that it cannot reach any more (decision 0049).
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from cluster.engines.topology import TopologyNode
from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import AdminView, speaking
from tests.scenarios.native_calls import TEXT, kv, values_of
from tests.scenarios.script import ask, eventually

WRITES = 117
START_S, HEALED_S = 20.0, 15.0

Write = Callable[[str, str], int]  # at this node, of this key: the status


class AdminViewWithFaults(AdminView):
    """The contract's ADDRESS, and the faults by which processes are cut."""

    def environment(self, node: TopologyNode) -> dict[str, str]:
        return {**super().environment(node), "ENABLE_FAULTS": "1"}


def begun_at_a_cut(cluster: Cluster, writes: Sequence[tuple[Write, str]]) -> list[int]:
    """Begin all writes at once, at all nodes in turn, and cut; return their statuses."""
    copies, urls = cluster.topology.replicas, list(cluster.urls.values())
    parts = [cluster.names[part::copies] for part in range(copies)]
    start = threading.Barrier(len(writes) + 1)

    def begin(number: int) -> int:
        write, key = writes[number]
        start.wait()
        return write(urls[number % len(urls)], key)

    with ThreadPoolExecutor(len(writes)) as pool:
        begun = [pool.submit(begin, number) for number in range(len(writes))]
        start.wait()
        cluster.engine.split(parts)
        try:
            return [each.result() for each in begun]
        finally:
            cluster.engine.heal()


def by_asg4(url: str, key: str) -> int:
    return ask("PUT", f"{url}/kvs/{key}", {"value": key, "causal-metadata": None})[0]


def by_the_native_api(url: str, key: str) -> int:
    return kv(url, "PUT", key, key.encode(), **TEXT).status


def by_admin_view(url: str, key: str) -> int:
    return ask("PUT", f"{url}/kvs/data/{key}", {"val": key, "causal-metadata": {}})[0]


@pytest.mark.timeout(120)
def test_by_asg4_and_the_native_api(cluster: Cluster) -> None:
    asg4 = [f"asg4-{n}" for n in range(WRITES)]
    native = [f"native-{n}" for n in range(WRITES)]
    statuses = begun_at_a_cut(cluster, [(by_asg4, key) for key in asg4])
    assert set(statuses) == {201}, statuses
    cluster.await_ready()
    statuses = begun_at_a_cut(cluster, [(by_the_native_api, key) for key in native])
    assert set(statuses) == {201}, statuses
    urls = list(cluster.urls.values())

    def is_once(key: str) -> bool:
        shown = [kv(url, "GET", f"{key}?envelope=true&r=all") for url in urls[::3]]
        return all(said.status == 200 and values_of(said) == [key] for said in shown)

    def is_shown(key: str) -> bool:
        shown = [ask("GET", f"{url}/kvs/{key}")[1] for url in urls[::3]]
        return all(said.get("value") == key for said in shown)

    for key in native:
        assert eventually(partial(is_once, key), HEALED_S), key
    for key in asg4:
        assert eventually(partial(is_shown, key), HEALED_S), key


@pytest.mark.timeout(120)
@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_by_admin_view(tmp_path: Path) -> None:
    with speaking("process", AdminViewWithFaults, tmp_path, 2, 3) as cluster:
        view = {"nodes": [cluster.address(name) for name in cluster.names], "num_shards": 2}
        first = cluster.urls[cluster.names[0]]
        assert eventually(lambda: ask("PUT", f"{first}/kvs/admin/view", view)[0] == 200, START_S)
        cluster.await_ready()
        keys = [f"k{n}" for n in range(WRITES)]
        statuses = begun_at_a_cut(cluster, [(by_admin_view, key) for key in keys])
        assert set(statuses) == {201}, statuses

        def shows(url: str, key: str) -> bool:
            return ask("GET", f"{url}/kvs/data/{key}", {"causal-metadata": {}})[1].get("val") == key

        for url in list(cluster.urls.values())[::3]:
            for key in keys:
                assert eventually(partial(shows, url, key), HEALED_S), (url, key)
