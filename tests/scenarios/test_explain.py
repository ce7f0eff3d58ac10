"""Real nodes explain a key during a cut, with a token that is ahead, and after the heal."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import OPENER, TEXT, kv
from tests.scenarios.script import ask, eventually

NOTICED_S, HEALED_S = 15.0, 30.0
KEY = "why"


def explained(url: str, token: str = "") -> Any:
    headers = {"Kv-Token": token} if token else {}
    request = urllib.request.Request(f"{url}/v1/explain/{KEY}", headers=headers)
    with OPENER.open(request, timeout=30.0) as reply:
        return json.loads(reply.read())


def replica(document: Any, node: str) -> Any:
    return next(each for each in document["replicas"] if each["node"] == node)


def are_cut(cluster: Cluster, name: str) -> bool:
    """Whether no other node can reach this one, and it knows that of itself."""
    told = {n: ask("GET", f"{url}/v1/status")[1]["peers"] for n, url in cluster.urls.items()}
    others = [peers[cluster.address(name)]["reachable"] for n, peers in told.items() if n != name]
    return not any(others) and not any(peer["reachable"] for peer in told[name].values())


@pytest.mark.timeout(180)
def test_a_cut_is_explained_on_both_sides_and_after_the_heal(cluster: Cluster) -> None:
    urls = cluster.urls
    first = kv(urls["alice"], "PUT", f"{KEY}?w=all&strict=true", b"Ann", **TEXT)
    assert first.status == 201
    owners = explained(urls["bob"])["owners"]
    away = next(name for name in cluster.names if cluster.address(name) == owners[2])
    here = next(name for name in cluster.names if cluster.address(name) not in owners)
    cluster.engine.split([[name for name in cluster.names if name != away], [away]])
    try:
        assert eventually(lambda: are_cut(cluster, away), NOTICED_S)
        wrote = kv(urls[here], "PUT", f"{KEY}?w=3&timeout=20", b"Bob", **TEXT)
        token = wrote.headers["Kv-Token"]
        assert (wrote.status, wrote.headers["Kv-Hints"]) == (200, "1")
        seen = explained(urls[here], token)
        alone = explained(urls[away], token)
    finally:
        cluster.engine.heal()

    assert [each["node"] for each in seen["unreached"]] == [owners[2]]
    assert replica(seen, owners[2])["reason"] == "unreachable"
    assert replica(seen, owners[2])["heard_s_ago"] > 0
    assert [replica(seen, node)["covers_token"] for node in owners[:2]] == [True, True]
    [hint], [version] = seen["hints"], seen["versions"]
    assert (hint["target"], hint["id"]) == (owners[2], version["id"])

    assert alone["reached"] == [owners[2]]
    assert len(alone["unreached"]) == len(cluster.names) - 1
    lacking = replica(alone, owners[2])
    assert lacking["covers_token"] is False
    assert [(each["actor"], each["need"]) for each in lacking["missing"]] == [
        (version["actor"], version["n"])
    ]
    assert [each["id"] for each in alone["versions"]] != [version["id"]]

    def is_whole() -> bool:
        said = explained(urls[away], token)
        held = [each["held_by"] for each in said["versions"]]
        return bool(held == [sorted(owners)] and not said["unreached"] and not said["hints"])

    assert eventually(is_whole, HEALED_S)
    after = explained(urls[away], token)
    assert [each["covers_token"] for each in after["replicas"]] == [True] * 3
    assert [each["id"] for each in after["versions"]] == [version["id"]]
    came = [each["what"] for each in after["events"] if each["node"] == owners[2]]
    assert len(came) >= 2, (
        came
    )  # both writes: the second by its hint, by repair, or late by its link
    assert set(came) <= {"named", "stored", "taken over", "pulled"}


def test_a_token_that_no_node_has_given_is_refused(cluster: Cluster) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        explained(cluster.urls["alice"], "abc")
    with refused.value as answer:
        problem = json.loads(answer.read())
    assert (problem["status"], problem["type"]) == (400, "/v1/problems/malformed")
