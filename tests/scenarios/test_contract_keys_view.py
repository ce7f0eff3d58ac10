"""keys_view, by a script that knows HTTP and the contract alone: every row, a change that replaces
every node, and a partition."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import KeysView, speaking
from tests.scenarios.script import ask, eventually
from tests.scenarios.stage import account, at_once

ANSWERED_S = 5.0
CLIENT_S = 20.0
LEVEL_S = 10.0
KEYS = 100
UNABLE = {"error": "Unable to satisfy request", "message": "Error in GET"}
NOTHING: dict[str, Any] = {}

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes"), pytest.mark.timeout(150)]

Said = tuple[int, dict[str, Any], Any]  # status, the body without its context, the context


def data(method: str, url: str, key: str, context: object, **fields: object) -> Said:
    """A request for a key; its reply always has a context, which is an object."""
    body = {"causal-context": context, **fields}
    status, said, _ = ask(method, f"{url}/kvs/keys/{key}", body, timeout_s=CLIENT_S)
    got = said.pop("causal-context")
    assert type(got) is dict
    return status, said, got


def of(said: Said) -> tuple[int, dict[str, Any]]:
    """Without the address of who served it, which is some node of the key's shard."""
    return said[0], {name: each for name, each in said[1].items() if name != "address"}


def change(url: str, nodes: list[str], factor: int) -> tuple[int, dict[str, Any], float]:
    began = time.monotonic()
    body = {"view": ",".join(nodes), "repl-factor": factor}
    status, said, _ = ask("PUT", f"{url}/kvs/view-change", body, timeout_s=CLIENT_S)
    return status, said, time.monotonic() - began


def shards_at(url: str) -> list[dict[str, Any]]:
    """Every shard, as this node tells it."""
    ids = ask("GET", f"{url}/kvs/shards", NOTHING)[1]["shards"]
    return [ask("GET", f"{url}/kvs/shards/{shard}", NOTHING)[1] for shard in ids]


def key_of(url: str, is_proxied: bool) -> str:
    """A key that the asked node's shard holds, or another's."""

    def proxied(key: str) -> bool:
        said = data("PUT", url, key, {}, value="before")
        assert said[0] in (200, 201)
        return "address" in said[1]

    return next(key for key in map("probe{}".format, range(100)) if proxied(key) == is_proxied)


def writable(url: str) -> bool:
    """Whether writes are taken for keys of all shards: nodes that have just started meet first."""
    return all(data("PUT", url, f"warm{n}", {}, value=0)[0] in (200, 201) for n in range(8))


def settled(cluster: Cluster, names: list[str]) -> None:
    cluster.await_ready(*names)
    assert eventually(lambda: all(writable(cluster.urls[n]) for n in names), 20), account(cluster)


def rows_of_keys(url: str) -> None:
    """Each row of the table once, at a node that may hold the key or not."""
    added = data("PUT", url, "row", {}, value={"any": ["JSON", None, 1.5]})
    assert of(added) == (201, {"message": "Added successfully", "replaced": False})
    updated = data("PUT", url, "row", added[2], value="tea")
    assert of(updated) == (200, {"message": "Updated successfully", "replaced": True})
    found = data("GET", url, "row", updated[2])
    retrieved = {"message": "Retrieved successfully", "doesExist": True, "value": "tea"}
    assert of(found) == (200, retrieved)
    deleted = data("DELETE", url, "row", found[2])
    assert of(deleted) == (200, {"message": "Deleted successfully", "doesExist": True})
    gone = {"message": "Error in GET", "error": "Key does not exist", "doesExist": False}
    assert of(data("GET", url, "row", deleted[2])) == (404, gone)
    again = {**gone, "message": "Error in DELETE"}
    assert of(data("DELETE", url, "row", deleted[2])) == (404, again)


def rows_of_refusals(url: str) -> None:
    missing = {"error": "Value is missing", "message": "Error in PUT"}
    assert data("PUT", url, "row", {})[:2] == (400, missing)
    long = {"error": "Key is too long", "message": "Error in PUT"}
    assert data("PUT", url, "k" * 51, {}, value=1)[:2] == (400, long)
    assert data("PUT", url, "k" * 50, {}, value=1)[0] == 201
    assert data("GET", url, "row", "seen")[0] == 400
    for body in ({}, {"view": "a", "repl-factor": 1}, {"view": "a:1", "repl-factor": 2}):
        assert ask("PUT", f"{url}/kvs/view-change", body)[0] == 400


def test_every_row(tmp_path: Path) -> None:
    with speaking(KeysView, tmp_path, 2, 2, FIRST="4", REPL_FACTOR="2") as cluster:
        settled(cluster, cluster.names)
        urls = list(cluster.urls.values())
        everybody = [cluster.address(name) for name in cluster.names]
        for url in urls:
            rows_of_keys(url)
            told = ask("GET", f"{url}/kvs/shards", NOTHING)[:2]
            words = {"message": "Shard membership retrieved successfully", "shards": ["1", "2"]}
            assert told == (200, words)
            assert ask("GET", f"{url}/kvs/shards/3", NOTHING)[0] == 404
        rows_of_refusals(urls[0])
        one, two = shards_at(urls[0])
        assert (one["replicas"], two["replicas"]) == (everybody[:2], everybody[2:])
        expected = {"shard-id": "1", "key-count": one["key-count"], "replicas": everybody[:2]}
        assert one == {"message": "Shard information retrieved successfully", **expected}
        for url, shard in zip(urls, (one, one, two, two), strict=True):
            count = {"key-count": shard["key-count"], "shard-id": shard["shard-id"]}
            words = {"message": "Key count retrieved successfully", **count}
            assert ask("GET", f"{url}/kvs/key-count", NOTHING)[:2] == (200, words)
        who_served(cluster)
        who_is_dead(cluster)


def who_served(cluster: Cluster) -> None:
    """A request that is proxied says who served it; one that is not, does not."""
    url = cluster.urls["alice"]
    theirs, mine = key_of(url, is_proxied=True), key_of(url, is_proxied=False)
    others = [cluster.address("carol"), cluster.address("dave")]
    assert data("GET", url, theirs, {})[1]["address"] in others
    assert data("PUT", url, theirs, {}, value=1)[1]["address"] in others
    assert "address" not in data("GET", url, mine, {})[1]


def who_is_dead(cluster: Cluster) -> None:
    """Dead nodes stay; without them their keys cannot be had."""
    url, theirs = cluster.urls["alice"], key_of(cluster.urls["alice"], is_proxied=True)
    at_once(cluster.engine.kill, ["carol", "dave"])
    assert eventually(lambda: data("GET", url, theirs, {})[:2] == (503, UNABLE), LEVEL_S)
    assert data("PUT", url, theirs, {}, value=2)[:2] == (503, UNABLE)
    assert ask("GET", f"{url}/kvs/shards", NOTHING)[1]["shards"] == ["1", "2"]
    assert ask("GET", f"{url}/kvs/shards/2", NOTHING)[0] == 503
    dead = [cluster.address("carol"), cluster.address("dave")]
    status, said, took = change(url, [cluster.address("alice"), *dead], 1)
    assert (status, took < ANSWERED_S) == (200, True)
    assert [shard["replicas"] for shard in said["shards"]] == [[cluster.address("alice")]] + [
        [node] for node in dead
    ]


def is_met(url: str) -> bool:
    """Whether a write is taken; nothing is left of it."""
    put, deleted = data("PUT", url, "warm", {}, value=0), data("DELETE", url, "warm", {})
    return (put[0] in (200, 201), deleted[0]) == (True, 200)


def filled(urls: list[str]) -> dict[str, Any]:
    """Chained writes, round-robin; the context of each key's."""
    contexts: dict[str, Any] = {}
    context: object = {}
    for n in range(KEYS):
        status, said, context = data("PUT", urls[n % len(urls)], f"key{n}", context, value=n)
        assert status == 201, said
        contexts[f"key{n}"] = context
    return contexts


def wrong_at(url: str, contexts: dict[str, Any]) -> list[object]:
    """What is not the right value of a key."""

    def wrong(n: int) -> object:
        said = data("GET", url, f"key{n}", contexts[f"key{n}"])
        return None if (said[0], said[1].get("value")) == (200, n) else (n, said)

    return [each for each in at_once(wrong, range(KEYS)) if each is not None]


def changed(cluster: Cluster, at: str, names: list[str], factor: int) -> None:
    """The change is answered in time, with all keys in their shards, and everybody tells it."""
    nodes = [cluster.address(name) for name in names]
    status, said, took = change(cluster.urls[at], nodes, factor)
    assert status == 200, said
    assert took < ANSWERED_S
    assert said.keys() == {"message", "shards"}
    assert said["message"] == "View change successful"
    shards = said["shards"]
    assert [shard["shard-id"] for shard in shards] == [
        str(n + 1) for n in range(len(names) // factor)
    ]
    assert sorted(node for shard in shards for node in shard["replicas"]) == sorted(nodes)
    assert sum(shard["key-count"] for shard in shards) == KEYS, (shards, account(cluster))
    told = [{"message": "Shard information retrieved successfully", **shard} for shard in shards]
    for name in names:
        assert eventually(partial(is_told, cluster.urls[name], told), LEVEL_S), account(cluster)


def is_told(url: str, shards: list[dict[str, Any]]) -> bool:
    return shards_at(url) == shards


def test_every_node_is_replaced_in_one_change(tmp_path: Path) -> None:
    with speaking(KeysView, tmp_path, 2, 3, FIRST="3", REPL_FACTOR="3") as cluster:
        old, new = cluster.names[:3], cluster.names[3:]
        cluster.await_ready(*old)
        urls = [cluster.urls[name] for name in old]
        assert eventually(lambda: all(map(is_met, urls)), 20), account(cluster)
        contexts = filled(urls)
        for name in new:  # passive: holds nothing, and says so
            assert ask("GET", f"{cluster.urls[name]}/kvs/key-count", NOTHING)[:2] == (503, UNABLE)
        changed(cluster, "alice", new, 1)
        for name in new:
            assert wrong_at(cluster.urls[name], contexts) == []
        everybody = {cluster.address(name) for name in new}
        assert data("GET", cluster.urls["bob"], "key0", {})[1]["address"] in everybody
        changed(cluster, "carol", ["dave", "alice", "frank", "bob"], 2)  # carol is outside
        for name in ("dave", "alice", "frank", "bob"):
            assert wrong_at(cluster.urls[name], contexts) == []


def test_a_partition(tmp_path: Path) -> None:
    with speaking(KeysView, tmp_path, 1, 3, FIRST="3", REPL_FACTOR="3") as cluster:
        alice, bob, _ = (cluster.urls[name] for name in cluster.names)
        settled(cluster, cluster.names)
        before = data("PUT", alice, "k", {}, value="before")[2]
        cluster.engine.split([["alice"], ["bob", "carol"]])
        try:
            status, _, ahead = data("PUT", alice, "k", before, value="alone")
            assert status == 200
            accepted = data("PUT", bob, "other", ahead, value="after")
            assert accepted[:2] == (201, {"message": "Added successfully", "replaced": False})
            began = time.monotonic()
            assert data("GET", bob, "k", accepted[2])[:2] == (400, UNABLE)
            assert time.monotonic() - began < ANSWERED_S
            assert data("GET", bob, "k", {})[1]["value"] == "before"
            began = time.monotonic()
            assert data("GET", bob, "unrelated", ahead)[0] == 404
            assert data("GET", bob, "other", accepted[2])[1]["value"] == "after"
            assert time.monotonic() - began < 1.0  # other keys never wait
            assert data("PUT", bob, "k", ahead, value="beside")[0] == 200
        finally:
            cluster.engine.heal()

        def level() -> bool:
            said = [data("GET", url, "k", accepted[2]) for url in cluster.urls.values()]
            return [each[1].get("value") for each in said] == ["beside"] * 3

        assert eventually(level, LEVEL_S), account(cluster)
