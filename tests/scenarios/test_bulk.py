"""A bulk loads thousands of keys into a cluster in few disk rounds, and its token counts."""

import json
import re
import urllib.request
from collections.abc import Iterable
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import OPENER, kv

KEYS = 2000


def bulk(url: str, operations: Iterable[dict[str, Any]], **headers: str) -> list[Any]:
    """Return what is said of the operations, line by line, and the last line."""
    body = b"".join(json.dumps(each).encode() + b"\n" for each in operations)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    request = urllib.request.Request(f"{url}/v1/bulk", body, named, method="POST")
    with OPENER.open(request, timeout=60.0) as reply:
        return [json.loads(line) for line in reply]


def commits(url: str) -> int:
    with OPENER.open(f"{url}/metrics", timeout=10.0) as reply:
        found = re.search(rb"^coterie_store_commits\w* (\d+)", reply.read(), re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.timeout(120)
def test_many_keys_are_loaded_in_few_rounds(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    before = sum(map(commits, urls))
    said = bulk(urls[0], ({"op": "put", "key": f"load/{n}", "value": n} for n in range(KEYS)))
    rounds = sum(map(commits, urls)) - before
    assert [line["status"] for line in said[:-1]] == [201] * KEYS
    assert said[-1]["done"] == KEYS
    assert rounds < KEYS, "each write is on three disks: one round for each would be 6000"
    token = said[-1]["token"]
    for number, url in enumerate(urls):
        read = kv(url, "GET", f"load/{number * 300}", Kv_Token=token)
        assert (read.status, read.body) == (200, b"%d" % (number * 300))


@pytest.mark.timeout(60)
def test_operations_of_one_key_go_on_one_after_the_other(cluster: Cluster) -> None:
    url = cluster.urls[cluster.names[-1]]
    operations = list[dict[str, Any]]()
    for n in range(20):
        operations += [{"op": "put", "key": "turns", "value": n}, {"op": "get", "key": "turns"}]
    said = bulk(url, [*operations, {"op": "delete", "key": "turns"}])
    shown = [line["siblings"][0]["value"] for line in said[1:40:2]]
    assert shown == list(range(20))
    assert said[40]["status"] == 204


@pytest.mark.timeout(60)
def test_a_bulk_that_is_sent_again_writes_once(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    operations = [{"op": "put", "key": f"again/{n}", "value": n} for n in range(40)]
    first = bulk(urls[0], operations, Idempotency_Key="load 7")
    again = bulk(urls[4], operations, Idempotency_Key="load 7")
    assert [line["etag"] for line in first[:-1]] == [line["etag"] for line in again[:-1]]
    assert [line["status"] for line in again[:-1]] == [201] * 40


@pytest.mark.timeout(60)
def test_writes_beside_each_other_are_siblings_for_the_next_read(cluster: Cluster) -> None:
    url = cluster.urls[cluster.names[0]]
    write = {"op": "put", "key": "beside", "value": 1, "context": "none"}
    said = bulk(f"{url}", [write, {**write, "value": 2}, {"op": "get", "key": "beside"}])
    assert sorted(each["value"] for each in said[2]["siblings"]) == [1, 2]
    [resolved, found, _] = bulk(
        url,
        [
            {"op": "put", "key": "beside", "value": 3, "context": said[2]["context"]},
            {"op": "get", "key": "beside"},
        ],
    )
    assert resolved["status"] == 200
    assert [each["value"] for each in found["siblings"]] == [3]
