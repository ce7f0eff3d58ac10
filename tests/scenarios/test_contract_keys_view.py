"""keys_view, by a script that knows only HTTP and the contract.

Every row of the contract, a change that replaces every node, and a partition.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import ENGINES, Containers, KeysView, speaking, whole
from tests.scenarios.script import ask, eventually
from tests.scenarios.stage import account, at_once

ANSWERED_S = 5.0
CLIENT_S = 20.0
LEVEL_S = 10.0
KEYS = 100
UNABLE = {"error": "Unable to satisfy request", "message": "Error in GET"}
NOTHING: dict[str, Any] = {}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module", params=ENGINES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Six nodes, the first four of them in two shards; two more are named by no view."""
    folder = tmp_path_factory.mktemp("keys_view")
    with speaking(request.param, KeysView, folder, 2, 3, FIRST="4", REPL_FACTOR="2") as cluster:
        yield cluster


@pytest.fixture
def six(running: Cluster) -> Cluster:
    return whole(running)


Said = tuple[int, dict[str, Any], Any]  # status, the body without its context, the context


def data(method: str, url: str, key: str, context: object, **fields: object) -> Said:
    """Request a key; the reply always has a context, which is an object."""
    body = {"causal-context": context, **fields}
    status, said, _ = ask(method, f"{url}/kvs/keys/{key}", body, timeout_s=CLIENT_S)
    got = said.pop("causal-context")
    assert type(got) is dict
    return status, said, got


def of(said: Said) -> tuple[int, dict[str, Any]]:
    """Drop the address of the node that served, which is some node of the key's shard."""
    return said[0], {name: each for name, each in said[1].items() if name != "address"}


def change(url: str, nodes: list[str], factor: int) -> tuple[int, dict[str, Any], float]:
    began = time.monotonic()
    body = {"view": ",".join(nodes), "repl-factor": factor}
    status, said, _ = ask("PUT", f"{url}/kvs/view-change", body, timeout_s=CLIENT_S)
    return status, said, time.monotonic() - began


def shards_at(url: str) -> list[dict[str, Any]]:
    """Return every shard, as this node reports it."""
    ids = ask("GET", f"{url}/kvs/shards", NOTHING)[1]["shards"]
    return [ask("GET", f"{url}/kvs/shards/{shard}", NOTHING)[1] for shard in ids]


def key_of(url: str, is_proxied: bool) -> str:
    """Return a key of the asked node's shard, or of another one."""

    def proxied(key: str) -> bool:
        said = data("PUT", url, key, {}, value="before")
        assert said[0] in (200, 201)
        return "address" in said[1]

    return next(key for key in map("probe{}".format, range(100)) if proxied(key) == is_proxied)


def is_met(url: str) -> bool:
    """Whether nodes take writes for keys of all shards; the keys are removed again.

    Nodes that have just started meet first.
    """
    put = [data("PUT", url, f"warm{n}", {}, value=0)[0] in (200, 201) for n in range(8)]
    deleted = [data("DELETE", url, f"warm{n}", {})[0] == 200 for n in range(8)]
    return all(put) and all(deleted)


def settled(cluster: Cluster, names: list[str], factor: int) -> list[str]:
    """Return the URLs of these nodes, after they have formed the view."""
    cluster.await_ready("alice")
    nodes, urls = [cluster.address(name) for name in names], [cluster.urls[n] for n in names]
    assert eventually(lambda: change(urls[0], nodes, factor)[0] == 200, 20), account(cluster)
    cluster.await_ready(*names)
    assert eventually(lambda: all(map(is_met, urls)), 20), account(cluster)
    return urls


def counted_alike(urls: list[str]) -> int:
    """Return the number of keys, once every node counts as many: the deletes of `is_met` are
    answered before they are at all nodes."""

    def counts() -> set[int]:
        return {sum(shard["key-count"] for shard in shards_at(url)) for url in urls}

    assert eventually(lambda: len(counts()) == 1, LEVEL_S)
    return counts().pop()


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


def test_every_row(six: Cluster) -> None:
    urls = settled(six, six.names[:4], 2)
    everybody = [six.address(name) for name in six.names[:4]]
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
    who_served(six)
    who_is_dead(six)


def who_served(cluster: Cluster) -> None:
    """A proxied request names the node that served it; another one does not."""
    url = cluster.urls["alice"]
    theirs, mine = key_of(url, is_proxied=True), key_of(url, is_proxied=False)
    others = [cluster.address("carol"), cluster.address("dave")]
    assert data("GET", url, theirs, {})[1]["address"] in others
    assert data("PUT", url, theirs, {}, value=1)[1]["address"] in others
    assert "address" not in data("GET", url, mine, {})[1]


def who_is_dead(cluster: Cluster) -> None:
    """Dead nodes stay in the view, and keys of a shard of dead nodes are unavailable."""
    url, theirs = cluster.urls["alice"], key_of(cluster.urls["alice"], is_proxied=True)
    at_once(cluster.engine.kill, ["carol", "dave"])
    assert eventually(lambda: data("GET", url, theirs, {})[:2] == (503, UNABLE), LEVEL_S)
    refused = {**UNABLE, "message": "Error in PUT"}
    assert data("PUT", url, theirs, {}, value=2)[:2] == (503, refused)
    assert ask("GET", f"{url}/kvs/shards", NOTHING)[1]["shards"] == ["1", "2"]
    assert ask("GET", f"{url}/kvs/shards/2", NOTHING)[0] == 503
    dead = [cluster.address("carol"), cluster.address("dave")]
    status, said, took = change(url, [cluster.address("alice"), *dead], 1)
    assert (status, took < ANSWERED_S) == (200, True)
    assert [shard["replicas"] for shard in said["shards"]] == [[cluster.address("alice")]] + [
        [node] for node in dead
    ]


def filled(urls: list[str]) -> dict[str, Any]:
    """Write a chain round-robin; return the context of each key."""
    contexts: dict[str, Any] = {}
    context: object = {}
    for n in range(KEYS):
        status, said, context = data("PUT", urls[n % len(urls)], f"key{n}", context, value=n)
        assert status == 201, said
        contexts[f"key{n}"] = context
    return contexts


def wrong_at(url: str, contexts: dict[str, Any]) -> list[object]:
    """Return the keys whose value is wrong."""

    def wrong(n: int) -> object:
        said = data("GET", url, f"key{n}", contexts[f"key{n}"])
        return None if (said[0], said[1].get("value")) == (200, n) else (n, said)

    return [each for each in at_once(wrong, range(KEYS)) if each is not None]


def changed(cluster: Cluster, at: str, names: list[str], factor: int, keys: int) -> None:
    """Demand an answer in time, all keys in their shards, and the change at every node."""
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
    assert sum(shard["key-count"] for shard in shards) == keys, (shards, account(cluster))
    told = [{"message": "Shard information retrieved successfully", **shard} for shard in shards]
    for name in names:
        assert eventually(partial(is_told, cluster.urls[name], told), LEVEL_S), account(cluster)


def is_told(url: str, shards: list[dict[str, Any]]) -> bool:
    return shards_at(url) == shards


def test_every_node_is_replaced_in_one_change(six: Cluster) -> None:
    old, new = six.names[:3], six.names[3:]
    urls = settled(six, old, 3)
    there = counted_alike(urls)
    contexts = filled(urls)
    for name in new:  # passive: holds nothing, and says so
        assert ask("GET", f"{six.urls[name]}/kvs/key-count", NOTHING)[:2] == (503, UNABLE)
    changed(six, "alice", new, 1, there + KEYS)
    for name in new:
        assert wrong_at(six.urls[name], contexts) == []
    everybody = {six.address(name) for name in new}
    assert data("GET", six.urls["bob"], "key0", {})[1]["address"] in everybody
    four = ["dave", "alice", "frank", "bob"]
    changed(six, "carol", four, 2, there + KEYS)  # carol is outside
    for name in four:
        assert wrong_at(six.urls[name], contexts) == []


def test_a_partition(six: Cluster) -> None:
    alice, bob, carol = settled(six, six.names[:3], 3)
    before = data("PUT", alice, "k", {}, value="before")[2]
    six.engine.split([["alice"], six.names[1:]])
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
        six.engine.heal()

    def level() -> bool:
        said = [data("GET", url, "k", accepted[2]) for url in (alice, bob, carol)]
        return [each[1].get("value") for each in said] == ["beside"] * 3

    assert eventually(level, LEVEL_S), account(six)


@pytest.mark.parametrize("running", ENGINES[1:], indirect=True)
def test_a_container_that_comes_back_with_another_ip(six: Cluster) -> None:
    """No node can call it where it was; it calls the others."""
    assert isinstance(six.engine, Containers)
    alice, bob, carol = settled(six, six.names[:3], 3)
    before = data("PUT", alice, "ip", {}, value="before")[2]
    six.engine.leave("carol")
    seen = data("PUT", alice, "ip", before, value="after")[2]
    assert data("GET", carol, "ip", seen)[:2] == (400, UNABLE)
    assert six.engine.come_back("carol") != six.topology.node("carol").ip
    after = {"message": "Retrieved successfully", "doesExist": True, "value": "after"}
    assert eventually(lambda: data("GET", carol, "ip", seen)[:2] == (200, after), LEVEL_S)
    seen = data("PUT", carol, "ip", seen, value="at carol's")[2]

    def is_everywhere() -> bool:
        said = [data("GET", url, "ip", seen) for url in (alice, bob, carol)]
        return [each[1].get("value") for each in said] == ["at carol's"] * 3

    assert eventually(is_everywhere, LEVEL_S), account(six)
