"""admin_view, by a script that knows only HTTP and the contract.

The nodes are told ADDRESS and nothing else; every row of the contract, and the largest values.
test_admin_view.py tests what views do.
"""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import BOTH_ENGINES, AdminView, speaking
from tests.scenarios.script import Answer, ask, eventually
from tests.scenarios.stage import account

LEVEL_S = 10.0
LARGEST = 8 * 1024 * 1024
UNINITIALIZED = (418, {"error": "uninitialized"})
BAD = (400, {"error": "bad request"})
NOTHING: tuple[object, ...] = (None, {}, "")
NOTHING_SEEN: list[dict[str, object]] = [{}, *({"causal-metadata": seen} for seen in NOTHING)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def data(method: str, url: str, key: str, body: object = None) -> Answer:
    return ask(method, f"{url}/kvs/data/{key}", body, timeout_s=25)


def put(url: str, key: str, value: object, seen: object = None) -> tuple[int, object]:
    """Write; return status and metadata."""
    status, said, _ = data("PUT", url, key, {"val": value, "causal-metadata": seen})
    assert set(said) == {"causal-metadata"}, said
    return status, said["causal-metadata"]


@BOTH_ENGINES
def test_every_row(tmp_path: Path, kind: str) -> None:
    with speaking(kind, AdminView, tmp_path, 2, 1) as cluster:
        urls = list(cluster.urls.values())
        for url in urls:
            assert eventually(partial(is_told, url, []), 20), account(cluster)
            rows_before_a_view(url)
        rows_of_the_view(cluster, urls)
        for url in urls:
            rows_of_keys(url)
            rows_of_refusals(url)
        largest_values(urls)
        rows_of_lists(urls)
        rows_of_the_dead(cluster, urls[0])
        rows_of_forgetting(urls[0])


def rows_before_a_view(url: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        for body in (None, 7, {"val": 7}, {"val": "v", "causal-metadata": {}}):
            assert data(method, url, "row", body)[:2] == UNINITIALIZED
    assert ask("GET", f"{url}/kvs/data")[:2] == UNINITIALIZED
    assert ask("DELETE", f"{url}/kvs/admin/view")[:2] == UNINITIALIZED


def rows_of_the_view(cluster: Cluster, urls: list[str]) -> None:
    nodes = [cluster.address(name) for name in cluster.names]
    path = f"{urls[0]}/kvs/admin/view"
    orders: list[object] = [{}, {"view": nodes[0]}, {"num_shards": 3, "nodes": nodes}]
    for wrong in (None, 7, *orders, {"nodes": nodes}):
        assert ask("PUT", path, wrong)[:2] == BAD
    sharded = [{"shard_id": "1", "nodes": nodes[:1]}, {"shard_id": "2", "nodes": nodes[1:]}]
    views: list[tuple[object, list[Any]]] = [
        ({"view": nodes}, nodes),
        ({"num_shards": "2", "nodes": nodes}, sharded),
    ]
    for order, shown in views:
        assert ask("PUT", path, order, 20)[:2] == (200, {})
        for url in urls:
            assert eventually(partial(is_told, url, shown), LEVEL_S), account(cluster)


def is_told(url: str, view: list[Any]) -> bool:
    return ask("GET", f"{url}/kvs/admin/view")[:2] == (200, {"view": view})


def rows_of_keys(url: str) -> None:
    assert put(url, "row", "tea")[0] == 201
    status, seen = put(url, "row", "", {})
    assert status == 200
    for body in (None, *NOTHING_SEEN, {"causal-metadata": seen}):
        status, said, _ = data("GET", url, "row", body)
        assert (status, said.pop("val"), set(said)) == (200, "", {"causal-metadata"})
    status, said, _ = data("DELETE", url, "row", {"causal-metadata": seen})
    assert (status, set(said)) == (200, {"causal-metadata"})
    for method in ("GET", "DELETE"):
        status, gone, _ = data(method, url, "row", said)
        assert (status, set(gone)) == (404, {"causal-metadata"})


def rows_of_refusals(url: str) -> None:
    for body in (None, 7, {}, {"val": 7}, {"val": "v", "causal-metadata": 7}):
        assert data("PUT", url, "refused", body)[:2] == BAD
    for method in ("GET", "DELETE"):
        assert data(method, url, "refused", {"causal-metadata": 7})[:2] == BAD
    assert ask("GET", f"{url}/kvs/data", {"causal-metadata": 7})[:2] == BAD
    assert data("GET", url, "refused")[0] == 404
    assert ask("GET", f"{url}/kvs/nothing")[:2] == (404, {"error": "no such path"})


def largest_values(urls: list[str]) -> None:
    """Values of 8 MB at either shard; one more byte is too many, and so are many more."""
    for n, url in enumerate(urls):
        assert put(url, f"large{n}", "v" * LARGEST)[0] == 201
        for other in urls:
            assert data("GET", other, f"large{n}")[1]["val"] == "v" * LARGEST
        for more in (1, 1_000_000):
            too_large = (400, {"error": "val too large"})
            assert data("PUT", url, "larger", {"val": "v" * (LARGEST + more)})[:2] == too_large
        assert data("DELETE", url, f"large{n}")[0] == 200


def rows_of_lists(urls: list[str]) -> None:
    keys = [f"key{n}" for n in range(40)]
    seen: object = None
    for n, key in enumerate(keys):
        seen = put(urls[n % 2], key, key, seen)[1]
    found: list[str] = []
    for n, url in enumerate(urls):
        for body in (*NOTHING_SEEN, {"causal-metadata": seen}):
            status, said, _ = ask("GET", f"{url}/kvs/data", body, 25)
            assert (status, said["shard_id"], said["count"]) == (200, str(n + 1), len(said["keys"]))
            assert set(said) == {"count", "keys", "causal-metadata", "shard_id"}
        found += said["keys"]
    assert sorted(found) == sorted(keys)


def rows_of_the_dead(cluster: Cluster, url: str) -> None:
    """A key of the other shard."""
    theirs = ask("GET", f"{cluster.urls['bob']}/kvs/data")[1]["keys"][0]
    cluster.engine.kill("bob")
    upstream = {"shard_id": "2", "nodes": [cluster.address("bob")]}
    down = (503, {"error": "upstream down", "upstream": upstream})
    for method in ("GET", "PUT", "DELETE"):
        assert data(method, url, theirs, {"val": "v"})[:2] == down


def rows_of_forgetting(url: str) -> None:
    assert ask("DELETE", f"{url}/kvs/admin/view")[:2] == (200, {})
    assert ask("GET", f"{url}/kvs/admin/view")[:2] == (200, {"view": []})
    rows_before_a_view(url)
