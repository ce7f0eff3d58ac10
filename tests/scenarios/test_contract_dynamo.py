"""dynamo, by a script that knows only HTTP and the contract.

Every row of the contract, one and two stopped nodes, a stale replica, both sides of a cut, and data
that survives its containers.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.topology import Topology, TopologyNode
from node.core.model.vector_clock import compare
from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import speaking
from tests.scenarios.script import Answer, ask, eventually
from tests.scenarios.stage import BOTH_ENGINES, account, at_once, machines

PORTS = {"process": 30000, "docker": 31000}
MET_S = 20.0
LEVEL_S = 10.0
MENDED_S = 2.0
REST_S = "60"  # between two comparisons: what is level before that was mended by a read
KEYS = 40

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def store(url: str, key: str, value: object) -> Answer:
    return ask("POST", f"{url}/storeData", {"key": key, "value": value})


def read(url: str, key: str) -> Answer:
    return ask("GET", f"{url}/getData?key={key}")


def held(url: str, key: str) -> Answer:
    return ask("GET", f"{url}/getReplicasValue", {"key": key})


def with_clock(method: str, url: str, key: str, value: object, clock: object) -> Answer:
    return ask("POST", f"{url}/{method}", {"key": key, "value": value, "vectorClock": clock})


@contextmanager
def three_nodes(kind: str, folder: Path, **settings: str) -> Iterator[Cluster]:
    """Return one shard of three nodes that have met, so that two copies are had at once."""
    with machines(kind, folder, 1, 3, 0, PORTS[kind], **settings) as cluster:
        cluster.await_ready()

        def have_met() -> bool:
            said = [store(url, "warm", 0) for url in cluster.urls.values()]
            return [status for status, _, _ in said] == [201] * 3

        assert eventually(have_met, MET_S), account(cluster)
        yield cluster


# ------------------------------------------------------------------ every row


@BOTH_ENGINES
def test_every_row(tmp_path: Path, kind: str) -> None:
    with three_nodes(kind, tmp_path, REPAIR_EVERY_S=REST_S) as cluster:
        for name, url in cluster.urls.items():
            clock = rows_of_two(cluster, url, f"row-{name}")
            rows_of_one(cluster, url, f"one-{name}", clock)
        rows_of_refusals(cluster.urls["alice"])
        beside_asg4(cluster)


def rows_of_two(cluster: Cluster, url: str, key: str) -> dict[str, int]:
    """What is stored on two nodes is read from two; return the clock of the second value."""
    everybody = {cluster.address(name) for name in cluster.names}
    clocks = []
    for value in ("tea", {"any": ["JSON", None, 1.5]}):
        status, said, headers = store(url, key, value)
        assert (status, set(said)) == (201, {"result", "nodes", "vectorClock"})
        assert said["result"] == "stored"
        assert set(said["nodes"]) <= everybody
        assert len(said["nodes"]) >= 2
        assert headers["Kv-Acks"] == f"{len(said['nodes'])}/3"
        clocks.append(said["vectorClock"])
        for other in cluster.urls.values():
            found = {"key": key, "value": value, "vectorClock": clocks[-1]}
            assert read(other, key)[:2] == (200, found)
            assert ask("GET", f"{other}/getData", {"key": key})[:2] == (200, found)
    assert compare(*clocks) == "before"
    missing: tuple[int, dict[str, Any]] = (404, {"error": "Key does not exist"})
    assert read(url, f"not-{key}")[:2] == missing
    assert held(url, f"not-{key}")[:2] == missing
    last: dict[str, int] = clocks[-1]
    return last


def rows_of_one(cluster: Cluster, url: str, key: str, clock: dict[str, int]) -> None:
    """Clients write and read one replica alone: the others know nothing of it."""
    others = [other for other in cluster.urls.values() if other != url]
    here = next(cluster.address(name) for name, at in cluster.urls.items() if at == url)
    words = {"result": "stored", "nodes": [here], "vectorClock": clock}
    assert with_clock("storeReplicas", url, key, "one", clock)[:2] == (200, words)
    found = {"key": key, "value": "one", "vectorClock": clock}
    assert held(url, key)[:2] == (200, found)
    assert ask("GET", f"{url}/getReplicasValue?key={key}")[:2] == (200, found)
    assert [held(other, key)[0] for other in others] == [404, 404]

    later = {**clock, "client": 1}
    words = {"result": "updated", "nodes": [here], "vectorClock": later}
    assert with_clock("updateReplica", url, key, "two", later)[:2] == (200, words)
    words = {"result": "unchanged", "nodes": [here], "vectorClock": later}
    assert with_clock("updateReplica", url, key, "two", later)[:2] == (200, words)
    newer = {"error": "this replica has a newer version", "value": "two", "vectorClock": later}
    assert with_clock("updateReplica", url, key, "one", clock)[:2] == (409, newer)
    assert held(url, key)[1]["value"] == "two"


def rows_of_refusals(url: str) -> None:
    """A refused request stores nothing."""
    for path in ("storeData", "storeReplicas", "updateReplica"):
        bad = {"error": "value is missing"}
        assert ask("POST", f"{url}/{path}", {"key": "bad"})[:2] == (400, bad)
        bad = {"error": "key is missing, or not a string"}
        assert ask("POST", f"{url}/{path}", {"value": 1})[:2] == (400, bad)
        assert ask("POST", f"{url}/{path}", [])[0] == 400
    for path in ("storeReplicas", "updateReplica"):
        assert with_clock(path, url, "bad", 1, "seen")[0] == 400
    for path in ("getData", "getReplicasValue"):
        bad = {"error": "key is missing, or not a string"}
        assert ask("GET", f"{url}/{path}")[:2] == (400, bad)
        assert ask("GET", f"{url}/{path}?key=bad")[:2] == (404, {"error": "Key does not exist"})
    body = {"key": "bad", "value": 1, "causal-metadata": {"v": 9}}
    assert ask("POST", f"{url}/storeData", body)[0] == 400
    assert ask("PUT", f"{url}/storeData", {"key": "bad", "value": 1})[0] == 405
    plain = {"Content-Type": "text/plain"}
    raw = json.dumps({"key": "plain", "value": 1}).encode()
    request = urllib.request.Request(f"{url}/storeData", raw, plain, method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
        assert reply.status == 201


def beside_asg4(cluster: Cluster) -> None:
    """Both contracts stand on one port, and on the same data."""
    alice, bob = cluster.urls["alice"], cluster.urls["bob"]
    stored = store(alice, "shared", "dynamo's")
    seen = json.loads(stored[2]["X-Causal-Metadata"])
    status, said, _ = ask("GET", f"{bob}/kvs/shared", {"causal-metadata": seen})
    assert (status, said["value"]) == (200, "dynamo's")
    body = {"value": "asg4's", "causal-metadata": said["causal-metadata"]}
    assert ask("PUT", f"{bob}/kvs/shared", body)[0] == 200
    found = read(alice, "shared")
    assert (found[0], found[1]["value"]) == (200, "asg4's")
    assert compare(stored[1]["vectorClock"], found[1]["vectorClock"]) == "before"


# ------------------------------------------------------------------ nodes that are stopped


@BOTH_ENGINES
def test_one_and_two_of_three_stopped(tmp_path: Path, kind: str) -> None:
    with three_nodes(kind, tmp_path) as cluster:
        alice, bob = cluster.urls["alice"], cluster.urls["bob"]
        values: dict[str, object] = {f"all{n}": n for n in range(KEYS)}
        assert at_once(lambda k: store(alice, k, values[k])[0], values) == [201] * KEYS

        cluster.engine.kill("carol")
        two = [cluster.address("alice"), cluster.address("bob")]
        for url in (alice, bob):
            status, said, _ = store(url, "two", "of three")
            assert (status, sorted(said["nodes"])) == (201, sorted(two))
            assert read(url, "two")[1]["value"] == "of three"
            assert wrong_at(url, values) == []
        values["two"] = "of three"

        cluster.engine.kill("bob")
        status, said, headers = store(alice, "lone", "of three")
        assert (status, said["nodes"]) == (503, two[:1]), said
        assert headers["Kv-Outcome"] == "unknown"
        status, said, headers = read(alice, "two")
        assert (status, said["nodes"], headers["Kv-Outcome"]) == (503, two[:1], "definite")
        assert held(alice, "two")[1]["value"] == "of three"

        for name in ("bob", "carol"):
            cluster.engine.start(name)
        cluster.await_ready()
        for url in cluster.urls.values():
            assert eventually(partial(reads_back, url, values), LEVEL_S)
        assert eventually(lambda: read(bob, "lone")[1].get("value") == "of three", LEVEL_S)

        cluster.engine.halt(cluster.names)  # with Docker the containers are removed
        cluster.engine.launch(cluster.names)
        cluster.await_ready()
        for url in cluster.urls.values():
            assert eventually(partial(reads_back, url, values), LEVEL_S)


def reads_back(url: str, values: dict[str, object]) -> bool:
    return not wrong_at(url, values)


def wrong_at(url: str, values: dict[str, object]) -> list[object]:
    """Return what does not read back, each with the answer."""

    def wrong(key: str) -> object:
        status, said, _ = read(url, key)
        return None if (status, said.get("value")) == (200, values[key]) else (key, said)

    return [each for each in at_once(wrong, values) if each is not None]


# ------------------------------------------------------------------ stale replicas


@BOTH_ENGINES
def test_a_stale_replica_is_repaired_by_one_read(tmp_path: Path, kind: str) -> None:
    with three_nodes(kind, tmp_path, REPAIR_EVERY_S=REST_S) as cluster:
        urls = cluster.urls
        for n, reader in enumerate(urls.values()):
            key = f"stale{n}"
            clock = store(urls["alice"], key, "old")[1]["vectorClock"]
            assert eventually(partial(all_show, urls, key, "old"), LEVEL_S)
            newer = {**clock, "client": 1}
            assert with_clock("storeReplicas", urls["bob"], key, "new", newer)[0] == 200
            assert shown(urls, key) == ["old", "new", "old"]

            one_read = read(reader, key)
            assert one_read[0] == 200
            assert eventually(partial(all_show, urls, key, "new"), MENDED_S)
            clocks = [held(url, key)[1]["vectorClock"] for url in urls.values()]
            assert clocks == [newer] * 3


def shown(urls: dict[str, str], key: str) -> list[object]:
    """Return what each replica holds."""
    return [held(url, key)[1].get("value") for url in urls.values()]


def all_show(urls: dict[str, str], key: str, value: object) -> bool:
    return shown(urls, key) == [value] * 3


@BOTH_ENGINES
def test_both_sides_of_a_cut_are_shown_until_a_client_stores(tmp_path: Path, kind: str) -> None:
    with three_nodes(kind, tmp_path) as cluster:
        alice, bob, carol = cluster.urls.values()
        before = store(alice, "cut", "before")[1]["vectorClock"]
        assert eventually(partial(all_show, cluster.urls, "cut", "before"), LEVEL_S)
        cluster.engine.split([["alice"], ["bob", "carol"]])
        try:
            status, said, _ = store(alice, "cut", "alone")
            assert (status, said["nodes"]) == (503, [cluster.address("alice")])
            lone = held(alice, "cut")[1]["vectorClock"]
            beside = store(bob, "cut", "two")[1]["vectorClock"]
            assert read(carol, "cut")[1]["value"] == "two"
        finally:
            cluster.engine.heal()
        assert [compare(before, lone), compare(before, beside)] == ["before", "before"]
        assert compare(lone, beside) == "concurrent"

        def both() -> bool:
            said = [read(url, "cut")[1] for url in cluster.urls.values()]
            values = [sorted(each.get("values", [])) for each in said]
            return values == [["alone", "two"]] * 3 and len({each["value"] for each in said}) == 1

        assert eventually(both, LEVEL_S), account(cluster)
        joined = read(carol, "cut")[1]["vectorClock"]
        assert [compare(joined, lone), compare(joined, beside)] == ["after", "after"]
        after = store(carol, "cut", "after")[1]["vectorClock"]
        assert compare(after, joined) == "after"
        for url in cluster.urls.values():
            found = {"key": "cut", "value": "after", "vectorClock": after}
            assert read(url, "cut")[:2] == (200, found)


# ------------------------------------------------------------------ before a view exists


class Newcomer(Topology):
    """A node that is told of another one, which is absent, and of no number of shards."""

    def environment(self, node: TopologyNode) -> dict[str, str]:
        settings = super().environment(node)
        del settings["SHARD_COUNT"]
        return {**settings, "VIEW": f"{node.address},127.0.0.1:1"}


@pytest.mark.xdist_group("processes")
def test_before_a_view_exists(tmp_path: Path) -> None:
    with speaking("process", Newcomer, tmp_path, 1, 1) as cluster:
        url = cluster.urls["alice"]
        assert eventually(lambda: ask("GET", f"{url}/v1/limits")[0] == 200, MET_S)
        told = {"error": "this node has not been told its view yet", "nodes": []}
        for path in ("storeData", "storeReplicas", "updateReplica"):
            assert ask("POST", f"{url}/{path}", {"key": "k", "value": 1})[:2] == (503, told)
        for path in ("getData", "getReplicasValue"):
            assert ask("GET", f"{url}/{path}?key=k")[:2] == (503, told)
        assert ask("POST", f"{url}/storeData", {"key": "k"})[0] == 400


@pytest.mark.xdist_group("processes")
def test_the_only_owner_of_a_key_stores_nothing(tmp_path: Path) -> None:
    with speaking("process", Topology, tmp_path, 1, 1) as cluster:
        cluster.await_ready()
        url, alice = cluster.urls["alice"], cluster.address("alice")
        few = {"error": "fewer than two nodes hold this key", "nodes": [alice]}
        assert store(url, "k", 1)[:2] == (503, few)
        assert read(url, "k")[:2] == (503, few)
        assert held(url, "k")[0] == 404
