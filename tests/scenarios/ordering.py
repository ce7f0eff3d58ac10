"""A client of the data_view contract that puts views to every node and reads their keys."""

from typing import Any
from urllib.parse import quote

from tests.scenarios.conftest import Cluster
from tests.scenarios.script import Answer, ask, eventually
from tests.scenarios.stage import account, at_once

CLIENT_S = 20.0
KEYS = 200

Groups = dict[str, list[str]]


def order(cluster: Cluster, groups: Groups) -> dict[str, Any]:
    """Return the view of these nodes, by their names here; their ids are their places."""
    return {
        "view": {
            shard: [
                {"address": cluster.address(name), "id": cluster.names.index(name)}
                for name in members
            ]
            for shard, members in groups.items()
        }
    }


def put_view(cluster: Cluster, groups: Groups, at: list[str] | None = None) -> None:
    """Put the view to every node at the same time."""
    body = order(cluster, groups)

    def put(name: str) -> Answer:
        return ask("PUT", f"{cluster.urls[name]}/view", body, timeout_s=CLIENT_S)

    for status, said, headers in at_once(put, at or cluster.names):
        assert (status, said) == (200, {}), account(cluster)
        assert "Kv-Lacking" not in headers


def views_at(cluster: Cluster, names: list[str] | None = None) -> list[list[str]]:
    """Return the views that each node has adopted since its start."""
    urls = [cluster.urls[name] for name in names or cluster.names]
    return [[view["id"] for view in ask("GET", f"{url}/v1/view")[1]["history"]] for url in urls]


def data(method: str, url: str, key: str, body: object = None) -> Answer:
    return ask(method, f"{url}/data/{quote(key, safe='')}", body, timeout_s=CLIENT_S)


def written(url: str, key: str, value: object, seen: object) -> object:
    """Return the metadata after a write."""
    status, said, _ = data("PUT", url, key, {"value": value, "causal-metadata": seen})
    assert (status, set(said)) == (200, {"causal-metadata"}), said
    return said["causal-metadata"]


def items_at(url: str) -> dict[str, Any]:
    """Return the keys of the asked node's shard."""
    status, said, _ = ask("GET", f"{url}/data", timeout_s=CLIENT_S)
    assert status == 200, said
    return said


def filled(urls: list[str]) -> object:
    """Write a chain round-robin; return what the last write depends on."""
    seen: object = {}
    for n in range(KEYS):
        seen = written(urls[n % len(urls)], f"key{n}", n, seen)
    return seen


def wrong_at(url: str, seen: object) -> list[object]:
    """Return the keys whose value is wrong."""

    def wrong(n: int) -> object:
        status, said, _ = data("GET", url, f"key{n}", {"causal-metadata": seen})
        return None if (status, said.get("value")) == (200, n) else (n, status, said)

    return [each for each in at_once(wrong, range(KEYS)) if each is not None]


def are_up(cluster: Cluster) -> bool:
    return all(ask("GET", f"{url}/ping")[:2] == (200, {}) for url in cluster.urls.values())


def launched(cluster: Cluster) -> None:
    assert eventually(lambda: are_up(cluster), 20), account(cluster)
