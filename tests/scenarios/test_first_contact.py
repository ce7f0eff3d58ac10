"""Nodes take writes from the first second: they start apart, and meet for half a second.

A write waits for that meeting, and a node is cut off in a view of its own.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.engines import node_client
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology, TopologyNode
from tests.scenarios.conftest import Cluster, free_port_block
from tests.scenarios.script import Answer, ask, eventually
from tests.scenarios.stage import QUIET, account, is_done, machines

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(120)]

PORTS = 27400
APART = [["alice"], ["bob"]]
MEETING_S = 0.5
AT_ONCE_S = 1.0
REFUSED_ELSE_S = 0.8  # a node refuses by then a write for which it can reach no replica


@contextmanager
def started_apart(folder: Path, shards: int, dialect: str = "asg4") -> Iterator[Cluster]:
    """Return two nodes that have never heard of each other."""
    engine = ProcessEngine("apart", folder)
    first = free_port_block(2, PORTS)
    topology = Topology(
        "apart", shards, 2 // shards, "process", "", first, settings={"DIALECT": dialect}
    )
    running = Cluster(engine, topology)
    try:
        engine.prepare(topology, QUIET)
        engine.start("alice")
        assert eventually(lambda: ask("GET", f"{running.urls['alice']}/view")[0] > 0, 10.0)
        engine.split(APART)
        engine.start("bob")
        yield running
    finally:
        engine.clean()


def written(url: str, key: str, timeout_s: float = 10.0) -> Answer:
    return ask("PUT", f"{url}/kvs/{key}", {"value": 1, "causal-metadata": {}}, timeout_s)


def is_known(node: TopologyNode) -> bool:
    """Whether the node says that another one has heard of it."""
    return "[+]known ok" in node_client.ask("GET", node.host_port, "/readyz?verbose")[1]


@pytest.mark.parametrize("shards", [1, 2])
def test_half_a_second_is_enough_to_be_writable_for_good(shards: int, tmp_path: Path) -> None:
    with started_apart(tmp_path, shards) as cluster:
        for url in cluster.urls.values():  # by then the usual pauses are the longest
            status, body, headers = written(url, "early")
            assert (status, headers["Kv-Outcome"]) == (503, "definite"), body
        cluster.engine.heal()
        assert eventually(lambda: all(map(is_known, cluster.topology.nodes)), MEETING_S)
        cluster.engine.split(APART)
        taken = {
            name: [written(url, f"key{i}")[0] for i in range(8)]
            for name, url in cluster.urls.items()
        }
        if shards == 1:
            assert taken == dict.fromkeys(cluster.urls, [201] * 8)
        else:  # what belongs to the other one cannot be written here
            assert [201 in statuses for statuses in taken.values()] == [True, True], taken


def test_a_write_waits_for_the_first_contact(tmp_path: Path) -> None:
    with started_apart(tmp_path, 1) as cluster, ThreadPoolExecutor(2) as pool:
        began = node_client.now()
        writes = [pool.submit(written, url, name) for name, url in cluster.urls.items()]
        assert not eventually(lambda: any(write.done() for write in writes), REFUSED_ELSE_S)
        cluster.engine.heal()
        answers = [write.result() for write in writes]
        assert [status for status, _, _ in answers] == [201, 201], answers
        assert node_client.now() - began < 2.0


def test_a_node_in_a_view_of_its_own_takes_writes_that_depend_on_nothing(tmp_path: Path) -> None:
    with machines("process", tmp_path, 2, 1) as cluster:
        cluster.await_ready()
        alice = cluster.urls["alice"]
        before = {f"key{i}": ask("GET", f"{alice}/kvs/key{i}", {})[0] for i in range(8)}
        assert set(before.values()) == {404}
        cluster.engine.split(APART)
        assert ask("PUT", f"{alice}/shard/reshard", {"shard-count": 1})[:2] == (
            200,
            {"result": "resharded"},
        )
        for key in before:
            status, body, headers = written(alice, key, AT_ONCE_S)
            assert (status, body["result"], headers["Kv-Acks"]) == (201, "created", "1/2")
            again = {"value": 2, "causal-metadata": body["causal-metadata"]}
            assert ask("PUT", f"{alice}/kvs/{key}", again, AT_ONCE_S)[0] == 200
        cluster.engine.heal()
        bob = cluster.urls["bob"]
        assert eventually(
            lambda: all(ask("GET", f"{bob}/kvs/{key}", {})[1].get("value") == 2 for key in before),
            10.0,
        )


def test_a_mistyped_address_is_forgotten_when_it_is_taken_out_again(tmp_path: Path) -> None:
    with machines("process", tmp_path, 2, 2) as cluster:
        cluster.await_ready()
        alice, typo = cluster.urls["alice"], {"socket-address": "127.0.0.1:9"}
        assert ask("PUT", f"{alice}/view", typo)[:2] == (201, {"result": "added"})
        assert ask("PUT", f"{alice}/shard/add-member/s1", typo)[0] == 200
        assert ask("DELETE", f"{alice}/view", typo)[:2] == (200, {"result": "deleted"})
        assert eventually(lambda: is_done(cluster.urls.values()), 20.0), account(cluster)
        own = cluster.address("alice").replace("127.0.0.1", "127.0.0.1.")
        assert ask("PUT", f"{alice}/view", {"socket-address": own})[:2] == (
            200,
            {"result": "already present"},
        )
        refused = ask("PUT", f"{alice}/view", {"socket-address": "127.1:8090"})
        assert (refused[0], "four numbers" in refused[1]["error"]) == (400, True)
