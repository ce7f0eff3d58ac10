"""data_view, by a script that knows only HTTP and the contract.

Every row of the contract, one view from orders to every node at once, nodes whose addresses change,
and keys that wait only for themselves.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cluster.engines import node_client
from cluster.engines.console import Report
from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import ENGINES, DataView, speaking, whole
from tests.scenarios.ordering import (
    CLIENT_S,
    KEYS,
    Groups,
    data,
    filled,
    items_at,
    launched,
    put_view,
    views_at,
    written,
    wrong_at,
)
from tests.scenarios.script import ask, eventually
from tests.scenarios.stage import ON_PROCESSES, account, at_once, is_done

WAIT_S = 8.0
LEVEL_S = 10.0
PORT = 8081
OUTSIDE = (503, {"error": "this node is not in a view"})
TOO_LATE = "what this client depends on has not arrived in time"
UNREACHED = "no node that holds this can be reached"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module", params=ENGINES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("data_view")
    with speaking(request.param, DataView, folder, 2, 2, spare=4) as cluster:
        yield cluster


@pytest.fixture
def four(running: Cluster) -> Cluster:
    """Return four nodes that are in no view."""
    cluster = whole(running)
    launched(cluster)
    for url in cluster.urls.values():
        assert ask("PUT", f"{url}/view", {"view": {}})[:2] == (200, {})
    return cluster


# ------------------------------------------------------------------ a node alone


@contextmanager
def only_named(folder: Path) -> Iterator[str]:
    """A node that is told only its identifier."""
    path = str(Path(__file__).resolve().parents[2])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "node"],
            env={"NODE_IDENTIFIER": "7", "PYTHONPATH": path},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{PORT}"
    finally:
        process.terminate()
        process.wait(20)


@ON_PROCESSES
def test_a_node_with_only_an_identifier(tmp_path: Path) -> None:
    if node_client.ask("GET", PORT, "/ping")[0]:
        pytest.skip(f"PORT {PORT} IS TAKEN: a node told only its id listens there and is not tried")
    with only_named(tmp_path) as url:
        assert eventually(lambda: ask("GET", f"{url}/ping")[:2] == (200, {}), 20)
        assert data("GET", url, "k")[:2] == OUTSIDE
        view = {"view": [{"address": f"127.0.0.1:{PORT}", "id": 7}]}
        assert ask("PUT", f"{url}/view", view)[:2] == (200, {})
        written(url, "k", "v", {})
        assert items_at(url) == {"k": "v"}
        assert (tmp_path / "data" / "node-7").is_dir()
        assert ask("PUT", f"{url}/view", {"view": {}})[:2] == (200, {})
        assert data("GET", url, "k")[:2] == OUTSIDE
    with only_named(tmp_path) as url:
        assert eventually(lambda: ask("GET", f"{url}/ping")[:2] == (200, {}), 20)
        assert data("GET", url, "k")[:2] == OUTSIDE  # it remembers
        assert ask("PUT", f"{url}/view", view)[:2] == (200, {})
        assert items_at(url) == {"k": "v"}


# ------------------------------------------------------------------ every row


def rows_outside(url: str) -> None:
    """Requests before a view, after an empty one, and after one without this node."""
    assert ask("GET", f"{url}/ping")[:2] == (200, {})
    for method in ("GET", "PUT", "DELETE"):
        assert data(method, url, "row", {"value": 1, "causal-metadata": {}})[:2] == OUTSIDE
        assert data(method, url, "row", 7)[:2] == OUTSIDE
    assert ask("GET", f"{url}/data")[:2] == OUTSIDE


def rows_of_keys(url: str) -> None:
    assert data("PUT", url, "row", {"value": 1})[0] == 201
    status, said, _ = data("PUT", url, "row", {"value": 2})
    assert (status, set(said)) == (200, {"causal-metadata"})
    seen = written(url, "row", {"any": ["JSON", None, 1.5]}, said["causal-metadata"])
    for body in (None, {}, {"causal-metadata": None}, {"causal-metadata": seen}):
        status, said, _ = data("GET", url, "row", body)
        assert (status, said.pop("value")) == (200, {"any": ["JSON", None, 1.5]})
        assert set(said) == {"causal-metadata"}
    status, said, _ = data("DELETE", url, "row", {"causal-metadata": seen})
    assert (status, set(said)) == (200, {"causal-metadata"})
    for method in ("GET", "DELETE"):
        status, gone, _ = data(method, url, "row", said)
        assert (status, set(gone)) == (404, {"causal-metadata"})


def rows_of_refusals(cluster: Cluster, url: str) -> None:
    assert data("PUT", url, "row")[:2] == (400, {"error": "value is missing"})
    assert data("PUT", url, "row", {})[:2] == (400, {"error": "value is missing"})
    assert data("PUT", url, "row", 7)[:2] == (400, {"error": "request body is not a JSON object"})
    malformed = {"error": "causal-metadata is malformed: Expected `object`, got `int`"}
    for method in ("GET", "PUT", "DELETE"):
        body = {"value": 1, "causal-metadata": 7}
        assert data(method, url, "row", body)[:2] == (400, malformed)
    assert ask("GET", f"{url}/data", {"causal-metadata": 7})[:2] == (400, malformed)
    words = {"error": "view is not a list of nodes, or an object of 0 to 255 lists"}
    for wrong in (None, {}, {"view": None}, {"view": cluster.address("alice")}):
        assert ask("PUT", f"{url}/view", wrong)[:2] == (400, words)


def rows_of_lists(urls: list[str], seen: object) -> None:
    """Each row of the table for a view with the shards (0 1) and (2 3)."""
    shown = [items_at(url) for url in urls]
    assert shown[0] == shown[1]
    assert shown[2] == shown[3]
    assert shown[0] | shown[2] == {f"key{n}": n for n in range(KEYS)}
    assert not shown[0].keys() & shown[2].keys()
    bodies: list[dict[str, object]] = [{}, {"causal-metadata": {}}, {"causal-metadata": seen}]
    for body in bodies:
        status, said, _ = ask("GET", f"{urls[0]}/data", body, timeout_s=CLIENT_S)
        assert (status, said.pop("items")) == (200, shown[0])
        assert set(said) == {"causal-metadata"}


def rows_of_odd_keys(urls: list[str]) -> None:
    values: list[object] = ["", None, [], {}, 0, False]
    odd = ["k" * 1000, "é" * 1000, " ", "a/b", "a//b/", "\0", "?#%&=+", "{}", '"', "日本"]
    for n, key in enumerate(odd):
        for value in values:
            assert data("PUT", urls[n % 4], key, {"value": value})[0] in (200, 201), key
            status, said, _ = data("GET", urls[(n + 2) % 4], key)
            assert (status, said["value"]) == (200, value), key
    shown = {**items_at(urls[0]), **items_at(urls[2])}
    assert {key: shown[key] for key in odd} == dict.fromkeys(odd, False)
    for key in odd:
        assert data("DELETE", urls[0], key)[0] == 200


def test_every_row(four: Cluster) -> None:
    urls = list(four.urls.values())
    for url in urls:
        rows_outside(url)
    put_view(four, {"Red": four.names[:2], "Blue": four.names[2:]})
    for url in urls:
        rows_of_keys(url)
    rows_of_refusals(four, urls[0])
    rows_of_odd_keys(urls)
    seen = filled(urls)
    rows_of_lists(urls, seen)
    put_view(four, {"Red": four.names[:2], "Blue": ["carol"]})
    rows_outside(urls[3])
    assert wrong_at(urls[0], seen) == []
    assert ask("PUT", f"{urls[1]}/view", {"view": {}})[:2] == (200, {})
    rows_outside(urls[1])
    assert wrong_at(urls[0], seen) == []  # for the others it goes on
    assert eventually(lambda: is_done(urls), LEVEL_S), account(four)
    rows_of_the_dead(four)


def rows_of_the_dead(cluster: Cluster) -> None:
    """A key is unavailable without the nodes of its shard; keys of other shards are there."""
    url, theirs = cluster.urls["alice"], next(iter(items_at(cluster.urls["carol"])))
    cluster.engine.kill("carol")
    began = time.monotonic()
    status, said, _ = data("GET", url, theirs)
    assert (status, said.pop("error"), set(said)) == (408, UNREACHED, {"causal-metadata"})
    assert time.monotonic() - began < WAIT_S + 2
    for method in ("PUT", "DELETE"):
        status, said, headers = data(method, url, theirs, {"value": 1})
        assert (status, set(said), headers["Retry-After"]) == (503, {"error"}, "1")
    mine = next(iter(items_at(url)))
    assert data("GET", url, mine)[0] == 200


# ------------------------------------------------------------------ one view


def test_a_view_that_is_put_to_every_node_at_once_is_one_view(four: Cluster) -> None:
    names = four.names
    before = views_at(four)
    three: Groups = {"A": ["alice", "bob"], "B": ["carol"]}
    put_view(four, three)
    adopted = [now[len(was) :] for was, now in zip(before, views_at(four), strict=True)]
    assert adopted[:3] == [adopted[0]] * 3, account(four)
    assert len(adopted[0]) == 1
    rows_outside(four.urls["dave"])
    put_view(four, {**three, "C": ["dave"]})  # to a node that is in no view, too
    put_view(four, {"C": ["dave"], **three})
    adopted = views_at(four)
    assert [views[-1:] for views in adopted] == [adopted[0][-1:]] * 4, account(four)
    assert len(adopted[0]) == len(before[0]) + 2
    four.engine.kill("alice")  # it would propose first
    put_view(four, {"A": names[:2], "B": names[2:]}, names[1:])
    adopted = views_at(four, names[1:])
    assert [views[-1:] for views in adopted] == [adopted[0][-1:]] * 3, account(four)
    assert len(adopted[0]) == len(before[1]) + 3


def test_from_2_to_4_shards_few_keys_move(four: Cluster) -> None:
    urls = list(four.urls.values())
    put_view(four, {"Shard1": four.names[:2], "Shard2": four.names[2:]})
    seen = filled(urls)
    before = [set(items_at(urls[0])), set(items_at(urls[2]))]
    parted = {f"Shard{n + 1}": [name] for n, name in enumerate(four.names)}
    put_view(four, parted)
    after = [set(items_at(url)) for url in urls]
    assert sum(map(len, after)) == KEYS
    assert all(abs(len(keys) - KEYS / 4) < KEYS / 4 * 0.4 for keys in after)
    stayed = sum(len(one & other) for one, other in zip(before, after, strict=False))
    assert KEYS - stayed <= 0.7 * KEYS
    for url in urls:
        assert wrong_at(url, seen) == []
    put_view(four, {"Shard1": four.names})
    assert set(items_at(urls[3])) == {f"key{n}" for n in range(KEYS)}
    assert wrong_at(urls[3], seen) == []
    put_view(four, {"Shard1": four.names[:1]})
    for url in urls[1:]:  # left out, and named again
        rows_outside(url)
    assert wrong_at(urls[0], seen) == []
    put_view(four, parted)
    assert sum(len(items_at(url)) for url in urls) == KEYS
    assert wrong_at(urls[1], seen) == []


# ------------------------------------------------------------------ addresses that change


def moved(cluster: Cluster, *names: str) -> Cluster:
    """Move some nodes to other addresses; all nodes keep their disks."""
    cluster.engine.halt(list(names))
    said = {**cluster.topology.settings, "MOVED": ",".join(names)}
    topology = replace(cluster.topology, settings=said)
    cluster.engine.prepare(topology, Report(quiet=True))
    cluster.engine.launch(list(names))
    return Cluster(cluster.engine, topology)


def test_an_address_that_changes_with_the_next_view(four: Cluster) -> None:
    groups = {"Red": four.names[:2], "Blue": four.names[2:]}
    put_view(four, groups)
    seen = filled(list(four.urls.values()))
    one = moved(four, "carol")
    assert one.address("carol") != four.address("carol")
    launched(one)
    four.engine.kill("dave")  # only carol has the keys of Blue now
    put_view(one, groups, ["alice", "bob", "carol"])
    for name in ("alice", "bob", "carol"):
        assert wrong_at(one.urls[name], seen) == []
    seen = written(one.urls["carol"], "key0", 0, seen)
    four.engine.start("dave")
    launched(one)
    everybody = moved(one, *one.names)
    launched(everybody)
    assert not {*map(everybody.address, everybody.names)} & {*map(four.address, four.names)}
    put_view(everybody, groups)
    for url in everybody.urls.values():
        assert wrong_at(url, seen) == []
    adopted = views_at(everybody)
    assert adopted == [adopted[0]] * 4, account(everybody)
    four.topology = everybody.topology


# ------------------------------------------------------------------ causality


def test_a_needed_key_waits_and_no_other_does(four: Cluster) -> None:
    alice, bob, carol, _ = four.urls.values()
    put_view(four, {"Only": four.names[:3]})
    before = written(alice, "k", "before", {})
    fresh = partial(data, "GET", key="k")  # a client that has seen nothing
    assert eventually(lambda: all(fresh(url=url)[0] == 200 for url in (bob, carol)), 1.0)
    four.engine.split([["alice"], four.names[1:]])
    try:
        ahead = written(alice, "k", "alone", before)
        after = written(bob, "other", "after", ahead)
        began = time.monotonic()
        assert data("GET", bob, "unrelated", {"causal-metadata": ahead})[0] == 404
        assert data("GET", bob, "other", {"causal-metadata": after})[1]["value"] == "after"
        assert data("GET", bob, "k")[1]["value"] == "before"
        assert time.monotonic() - began < 2.0
        waits_in_vain(bob, after)
    finally:
        four.engine.heal()

    def level() -> bool:
        said = [data("GET", url, "k", {"causal-metadata": after}) for url in (alice, bob)]
        return [each[1].get("value") for each in said] == ["alone", "alone"]

    assert eventually(level, LEVEL_S), account(four)
    for url, key in ((alice, "k"), (bob, "other")):
        assert data("DELETE", url, key)[0] == 200


def waits_in_vain(url: str, seen: object) -> None:
    """A client waits in vain for a key, and for all of them."""
    began = time.monotonic()
    body = {"causal-metadata": seen}
    paths = ("data/k", "data")
    said = at_once(lambda path: ask("GET", f"{url}/{path}", body, timeout_s=CLIENT_S)[:2], paths)
    assert said == [(408, {"error": TOO_LATE, "causal-metadata": seen})] * 2
    assert WAIT_S - 0.5 < time.monotonic() - began < WAIT_S + 2
