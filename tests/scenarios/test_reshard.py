"""The asg4 script of a growing cluster: a seventh node joins, and two shards become three.

Every node still serves every key to a client with its old metadata.
"""

from pathlib import Path

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.script import ask, eventually, get, key_counts, put
from tests.scenarios.stage import BOTH_ENGINES, at_once, machines, with_one_more

KEYS = 600
EVEN_SPREAD = 0.25
TOO_FEW = "Not enough nodes to provide fault tolerance with requested shard count"


def filled(cluster: Cluster) -> object:
    """Send 600 chained PUTs, round-robin; return the metadata of the last one."""
    urls, metadata = list(cluster.urls.values()), None
    for i in range(KEYS):
        status, body, headers = put(urls[i % len(urls)], f"key{i}", f"value{i}", metadata)
        assert (status, body.get("result")) == (201, "created"), (i, status, body, headers)
        metadata = body["causal-metadata"]
    return metadata


def views(cluster: Cluster) -> list[list[str]]:
    return [ask("GET", f"{url}/view")[1].get("view", []) for url in cluster.urls.values()]


def members(url: str) -> dict[str, list[str]]:
    ids = ask("GET", f"{url}/shard/ids")[1]["shard-ids"]
    return {i: ask("GET", f"{url}/shard/members/{i}")[1]["shard-members"] for i in ids}


def wrong_keys(cluster: Cluster, metadata: object) -> list[object]:
    """Return the keys whose value is wrong at some node."""
    urls = list(cluster.urls.values())

    def wrong(place: tuple[int, str]) -> object:
        number, url = place
        status, body, headers = get(url, f"key{number}", metadata)
        right = (status, body.get("value")) == (200, f"value{number}")
        return None if right else (url, number, status, body, headers)

    answers = at_once(wrong, [(number, url) for number in range(KEYS) for url in urls])
    return [answer for answer in answers if answer is not None]


def add_a_member(cluster: Cluster, newcomer: str, shard: str) -> None:
    body = {"socket-address": cluster.address(newcomer)}
    url = cluster.urls[newcomer]
    said = ask("PUT", f"{cluster.urls['bob']}/shard/add-member/{shard}", body)
    assert said[:2] == (200, {"result": "node added to shard"})
    peers = [cluster.urls[name] for name in ("alice", "bob", "carol")]

    def like_its_peers() -> bool:
        if ask("GET", f"{url}/shard/node-shard-id")[1].get("node-shard-id") != shard:
            return False
        counts = [key_counts(one)[shard] for one in (url, *peers)]
        return counts[0] > 0 and len(set(counts)) == 1

    assert eventually(like_its_peers, 5.0), [key_counts(one) for one in (url, *peers)]


@BOTH_ENGINES
@pytest.mark.timeout(200)
def test_a_cluster_grows(kind: str, tmp_path: Path) -> None:
    with machines(kind, tmp_path, 2, 3, spare=1) as six:
        six.await_ready()
        metadata = filled(six)
        seven = with_one_more(six)
        everybody = [seven.address(name) for name in seven.names]
        assert eventually(lambda: views(seven) == [everybody] * 7, 5.0), views(seven)
        add_a_member(seven, "grace", "s1")

        url = seven.urls["dave"]
        refused = ask("PUT", f"{url}/shard/reshard", {"shard-count": 10})
        assert refused[:2] == (400, {"error": TOO_FEW})
        accepted = ask("PUT", f"{url}/shard/reshard", {"shard-count": 3})
        assert accepted[:2] == (200, {"result": "resharded"})
        urls = list(seven.urls.values())

        def settled() -> bool:
            shapes = [sorted(map(len, members(one).values())) for one in urls]
            counts = [key_counts(one) for one in urls]
            return (
                shapes == [[2, 2, 3]] * 7
                and counts.count(counts[0]) == 7
                and sum(counts[0].values()) == KEYS
            )

        assert eventually(settled, 20.0), ([members(url) for url in urls], key_counts(url))
        even = KEYS / 3
        assert all(abs(n - even) < EVEN_SPREAD * even for n in key_counts(url).values())
        assert wrong_keys(seven, metadata) == []
