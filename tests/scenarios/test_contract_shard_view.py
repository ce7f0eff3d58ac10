"""shard_view, by a script that knows only HTTP and the contract.

Every row of the contract, metadata that are the same at every replica, writes that wait for their
dependencies, and dead nodes.
"""

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import ENGINES, ShardView, speaking, whole
from tests.scenarios.script import Answer, ask, eventually
from tests.scenarios.stage import account, at_once, with_one_more

CLIENT_S = 25.0
LEVEL_S = 10.0
CHANGED_S = 20.0
KEYS = 60
SHARD = "key-value-store-shard"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module", params=ENGINES)
def six(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Two shards of three; a scenario adds one node more."""
    folder = tmp_path_factory.mktemp("shard_view")
    with speaking(request.param, ShardView, folder, 2, 3, spare=1) as cluster:
        settled(cluster)
        yield cluster


@pytest.fixture(scope="module", params=ENGINES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One shard of three."""
    folder = tmp_path_factory.mktemp("shard_view")
    with speaking(request.param, ShardView, folder, 1, 3) as cluster:
        yield cluster


@pytest.fixture
def three(running: Cluster) -> Cluster:
    settled(whole(running))
    return running


def put(url: str, key: str, value: object, metadata: object = "") -> Answer:
    body = {"value": value, "causal-metadata": metadata}
    return ask("PUT", f"{url}/key-value-store/{key}", body, timeout_s=CLIENT_S)


def get(url: str, key: str, body: object = None) -> Answer:
    return ask("GET", f"{url}/key-value-store/{key}", body, timeout_s=CLIENT_S)


def view_at(url: str) -> list[str]:
    view: list[str] = ask("GET", f"{url}/key-value-store-view")[1].get("view", [])
    return view


def tell(method: str, url: str, path: str, address: str) -> Answer:
    return ask(method, f"{url}/{path}", {"socket-address": address}, timeout_s=CLIENT_S)


def key_counts(url: str) -> dict[str, int]:
    ids = ask("GET", f"{url}/{SHARD}/shard-ids")[1]["shard-ids"]
    asked = {shard: ask("GET", f"{url}/{SHARD}/shard-id-key-count/{shard}")[1] for shard in ids}
    return {shard: said["shard-id-key-count"] for shard, said in asked.items()}


def settled(cluster: Cluster) -> None:
    """Wait until nodes that have just started have met."""
    cluster.await_ready()
    urls = cluster.urls.values()

    def writable(url: str) -> bool:
        return all(put(url, f"warm{n}", n)[0] in (200, 201) for n in range(4))

    assert eventually(lambda: all(map(writable, urls)), 20), account(cluster)
    for n in range(4):
        ask("DELETE", f"{cluster.urls['alice']}/key-value-store/warm{n}", timeout_s=CLIENT_S)


def filled(cluster: Cluster) -> dict[str, Any]:
    """Write a chain round-robin; return the metadata of each key's PUT."""
    told: dict[str, Any] = {}
    metadata: object = ""
    for n in range(KEYS):
        url = cluster.urls[cluster.names[n % len(cluster.names)]]
        status, said, _ = put(url, f"key{n}", f"value{n}", metadata)
        assert (status, said["message"]) == (201, "Added successfully"), (n, said)
        assert said.keys() == {"message", "causal-metadata", "shard-id"}
        metadata = told[f"key{n}"] = said["causal-metadata"]
    return told


def wrong_at(url: str, told: dict[str, Any], seen: object = None) -> list[object]:
    """Return the keys with a wrong value, or with other metadata than their PUT's answer."""

    def wrong(n: int) -> object:
        status, said, headers = get(url, f"key{n}", seen)
        right = {
            "message": "Retrieved successfully",
            "causal-metadata": told[f"key{n}"],
            "value": f"value{n}",
            "doesExist": True,
        }
        return None if (status, said) == (200, right) else (n, status, said, headers)

    return [each for each in at_once(wrong, range(KEYS)) if each is not None]


def test_every_row_of_keys_and_shards(six: Cluster) -> None:
    for url in six.urls.values():
        rows_of_keys(url)
        rows_of_shards(six, url)


def rows_of_keys(url: str) -> None:
    status, said, _ = put(url, "row", 1)
    assert (status, said["message"]) == (201, "Added successfully")
    assert said.keys() == {"message", "causal-metadata", "shard-id"}
    status, said, _ = put(url, "row", 2, said["causal-metadata"])
    assert (status, said["message"]) == (200, "Updated successfully")
    assert get(url, "row")[:2] == (
        200,
        {
            "message": "Retrieved successfully",
            "causal-metadata": said["causal-metadata"],
            "value": 2,
            "doesExist": True,
        },
    )
    row, seen = f"{url}/key-value-store/row", {"causal-metadata": said["causal-metadata"]}
    status, said, _ = ask("DELETE", row, seen, CLIENT_S)
    assert (status, said["message"], said["doesExist"]) == (200, "Deleted successfully", True)
    gone = {"doesExist": False, "error": "Key does not exist", "message": "Error in GET"}
    after = {"causal-metadata": said["causal-metadata"]}
    assert get(url, "row", after)[:2] == (404, gone)
    assert ask("DELETE", row, after)[:2] == (404, {**gone, "message": "Error in DELETE"})
    missing = {"error": "Value is missing", "message": "Error in PUT"}
    assert ask("PUT", row, {"causal-metadata": ""})[:2] == (400, missing)
    long = {"error": "Key is too long", "message": "Error in PUT"}
    assert put(url, "k" * 51, 1)[:2] == (400, long)


def rows_of_shards(cluster: Cluster, url: str) -> None:
    own = "s1" if url in list(cluster.urls.values())[:3] else "s2"
    everybody = [cluster.address(name) for name in cluster.names]

    def said(path: str) -> tuple[int, dict[str, Any]]:
        return ask("GET", f"{url}/{SHARD}/{path}")[:2]

    ids = {"message": "Shard IDs retrieved successfully", "shard-ids": ["s1", "s2"]}
    assert said("shard-ids") == (200, ids)
    mine = {"message": "Shard ID of the node retrieved successfully", "shard-id": own}
    assert said("node-shard-id") == (200, mine)
    words = {"message": "Members of shard ID retrieved successfully"}
    assert said("shard-id-members/s1") == (200, {**words, "shard-id-members": everybody[:3]})
    counted = {"message": "Key count of shard ID retrieved successfully", "shard-id-key-count": 0}
    assert eventually(lambda: said("shard-id-key-count/s2") == (200, counted), LEVEL_S)
    assert said("shard-id-members/s3")[0] == said("shard-id-key-count/s3")[0] == 404


def test_metadata_is_the_same_at_every_replica_before_and_after_a_change(six: Cluster) -> None:
    told = filled(six)
    urls = list(six.urls.values())
    last = {"causal-metadata": told[f"key{KEYS - 1}"]}
    for url in urls:
        assert wrong_at(url, told) == []
        assert wrong_at(url, told, last) == []
    late(six)
    status, said, _ = ask("PUT", f"{urls[1]}/{SHARD}/reshard", {"shard-count": 3}, CLIENT_S)
    assert (status, said) == (200, {"message": "Resharding done successfully"})
    assert wrong_at(urls[0], told) == []  # also while keys move
    assert eventually(lambda: are_counted(urls, 3), CHANGED_S), account(six)
    for url in urls:
        assert wrong_at(url, told, last) == []


def are_counted(urls: list[str], shards: int) -> bool:
    counts = [key_counts(url) for url in urls]
    one = counts[0]
    return counts.count(one) == len(counts) and (len(one), sum(one.values())) == (shards, KEYS)


def late(cluster: Cluster) -> None:
    """A late node is in every node's view, and in no shard before it is added to one."""
    urls = list(cluster.urls.values())
    cluster.topology = with_one_more(cluster).topology
    node = cluster.topology.nodes[-1]
    everywhere = list(cluster.urls.values())
    url = everywhere[-1]
    assert eventually(lambda: all(node.address in view_at(each) for each in everywhere), LEVEL_S)
    assert ask("GET", f"{url}/{SHARD}/node-shard-id")[0] == 404
    assert tell("PUT", urls[0], f"{SHARD}/add-member/s9", node.address)[0] == 404
    assert tell("PUT", urls[0], f"{SHARD}/add-member/s2", node.address)[0] == 200
    assert eventually(partial(is_member, urls[3], "s2", node.address), LEVEL_S), account(cluster)
    assert eventually(lambda: key_counts(url) == key_counts(urls[0]), LEVEL_S), account(cluster)


def is_member(url: str, shard: str, address: str) -> bool:
    said = ask("GET", f"{url}/{SHARD}/shard-id-members/{shard}")[1]
    return said["message"] == "Members of shard ID retrieved successfully" and (
        address in said["shard-id-members"]
    )


def test_every_row_of_the_view(six: Cluster) -> None:
    """In the end one node is in no shard any more."""
    url, everybody = six.urls["alice"], [six.address(name) for name in six.names]
    words = {"message": "View retrieved successfully", "view": everybody}
    assert ask("GET", f"{url}/key-value-store-view")[:2] == (200, words)
    there = {"error": "Socket address already exists in the view", "message": "Error in PUT"}
    path = "key-value-store-view"
    assert tell("PUT", url, path, everybody[-1])[:2] == (404, there)
    not_there = {
        "error": "Socket address does not exist in the view",
        "message": "Error in DELETE",
    }
    assert tell("DELETE", url, path, "127.0.0.1:1")[:2] == (404, not_there)
    few = "Not enough nodes to provide fault-tolerance with the given shard count!"
    body = {"shard-count": 4}
    assert ask("PUT", f"{url}/{SHARD}/reshard", body)[:2] == (400, {"message": few})
    deleted = {"message": "Replica deleted successfully from the view"}
    assert tell("DELETE", url, path, everybody[-1])[:2] == (200, deleted)
    assert eventually(lambda: view_at(six.urls["carol"]) == everybody[:-1], LEVEL_S)
    added = {"message": "Replica added successfully to the view"}
    assert tell("PUT", url, path, everybody[-1])[:2] == (201, added)
    assert eventually(lambda: view_at(six.urls[six.names[-1]]) == everybody, LEVEL_S)


def test_a_write_waits_for_its_past(three: Cluster) -> None:
    alice, bob, _ = three.urls.values()
    three.engine.split([["alice"], ["bob", "carol"]])
    ahead = put(alice, "cause", "alone")[1]["causal-metadata"]
    answers: list[Answer] = []
    writer = threading.Thread(
        target=lambda: answers.append(put(bob, "effect", "after", ahead)), daemon=True
    )
    writer.start()
    assert get(bob, "effect")[0] == 404
    assert put(bob, "unrelated", 1)[0] == 201  # what depends on nothing does not wait
    assert not answers
    three.engine.heal()
    writer.join(CLIENT_S)
    assert [answer[0] for answer in answers] == [201], account(three)
    metadata = answers[0][1]["causal-metadata"]
    for url in three.urls.values():
        assert eventually(partial(is_told, url, metadata), LEVEL_S)
        seen = {"causal-metadata": metadata}
        assert get(url, "cause", seen)[1]["value"] == "alone"


def is_told(url: str, metadata: object) -> bool:
    return bool(get(url, "effect")[1].get("causal-metadata") == metadata)


def test_a_dead_node_leaves_the_view_and_is_back_with_its_data(three: Cluster) -> None:
    told = filled(three)
    everybody = [three.address(name) for name in three.names]
    three.engine.kill("carol")
    others = [three.urls["alice"], three.urls["bob"]]
    assert eventually(lambda: all(view_at(u) == everybody[:2] for u in others), LEVEL_S)
    three.engine.start("carol")
    three.await_ready("carol")
    urls = list(three.urls.values())
    assert eventually(lambda: all(view_at(url) == everybody for url in urls), LEVEL_S)
    assert wrong_at(three.urls["carol"], told) == []
