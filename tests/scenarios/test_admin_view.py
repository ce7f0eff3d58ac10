"""Operators put views: shards and nodes come and go, and within ten seconds all nodes are level.

Sometimes all nodes but one of every shard have died before, or a cut is in force.
"""

import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.script import Answer, ask, eventually, patiently
from tests.scenarios.stage import BOTH_ENGINES, at_once, is_done, machines

KEYS = 120
LEVEL_S = 10.0
PUT_VIEW_S = 15.0
CUT_NOTICED_S = 5.0

CHANGES = [((4, 2), (4, 3)), ((4, 2), (5, 3)), ((4, 2), (2, 2)), ((4, 3), (2, 1))]


def put_view(cluster: Cluster, at: str, names: list[str], shards: int) -> Answer:
    nodes = [cluster.address(name) for name in names]
    body = {"num_shards": shards, "nodes": nodes}
    return ask("PUT", f"{cluster.urls[at]}/kvs/admin/view", body, PUT_VIEW_S)


def view_at(cluster: Cluster, name: str) -> list[Any]:
    view: list[Any] = ask("GET", f"{cluster.urls[name]}/kvs/admin/view")[1].get("view", [])
    return view


def is_up(cluster: Cluster, names: list[str]) -> bool:
    return all(ask("GET", f"{cluster.urls[n]}/kvs/admin/view")[0] == 200 for n in names)


def put(cluster: Cluster, name: str, key: str, metadata: object, patience_s: float = 0.0) -> object:
    """Write a value; return the metadata."""
    body = {"val": f"value of {key}", "causal-metadata": metadata}
    url = f"{cluster.urls[name]}/kvs/data/{key}"
    said = patiently("PUT", url, body, patience_s) if patience_s else ask("PUT", url, body, 25)
    status, answer, _ = said
    assert status in (200, 201), (name, key, status, answer)
    return answer["causal-metadata"]


def get(cluster: Cluster, name: str, key: str, metadata: object) -> Answer:
    return ask(
        "GET", f"{cluster.urls[name]}/kvs/data/{key}", {"causal-metadata": metadata}, timeout_s=25
    )


def filled(cluster: Cluster, names: list[str], keys: int = KEYS) -> object:
    """Write a chain round-robin; return what the last write depends on."""
    metadata: object = {}
    for number in range(1, keys + 1):
        metadata = put(cluster, names[number % len(names)], f"key-{number}", metadata)
    return metadata


def wrong_keys(cluster: Cluster, names: list[str], metadata: object) -> list[object]:
    """Return the keys whose value is wrong at one of these nodes."""

    def wrong(place: tuple[str, int]) -> object:
        name, number = place
        status, said, headers = get(cluster, name, f"key-{number}", metadata)
        right = (status, said.get("val")) == (200, f"value of key-{number}")
        return None if right else (name, number, status, said, headers)

    places = [(name, number) for name in names for number in range(1, KEYS + 1)]
    return [answer for answer in at_once(wrong, places) if answer is not None]


def are_right(cluster: Cluster, names: list[str], metadata: object) -> bool:
    return wrong_keys(cluster, names, metadata) == []


def are_level(cluster: Cluster, names: list[str], nodes: int, shards: int) -> bool:
    """Whether all these nodes report one view of the right sizes."""
    views = [view_at(cluster, name) for name in names]
    sizes = sorted(len(shard["nodes"]) for shard in views[0])
    least, larger = divmod(nodes, shards)
    ids = [shard["shard_id"] for shard in views[0]]
    return (
        views.count(views[0]) == len(views)
        and sizes == [least] * (shards - larger) + [least + 1] * larger
        and ids == [str(i + 1) for i in range(shards)]
    )


def told(cluster: Cluster, names: list[str], shards: int) -> object:
    """Give a cluster its first view and its keys; return what they depend on."""
    assert eventually(lambda: is_up(cluster, cluster.names), 20)
    assert ask("GET", f"{cluster.urls['alice']}/kvs/data/k")[:2] == (
        418,
        {"error": "uninitialized"},
    )
    assert put_view(cluster, "alice", names, shards)[0] == 200
    assert eventually(lambda: are_level(cluster, names, len(names), shards), LEVEL_S)
    return filled(cluster, names)


def survivors(cluster: Cluster, names: list[str]) -> list[str]:
    """Kill all but the first node of every shard; return those that are left."""
    addresses = {cluster.address(name): name for name in names}
    groups = [[addresses[n] for n in shard["nodes"]] for shard in view_at(cluster, names[0])]
    killed = [name for group in groups for name in group[1:]]
    at_once(cluster.engine.kill, killed)
    return [name for name in names if name not in killed]


@BOTH_ENGINES
@pytest.mark.parametrize("killed", [False, True], ids=["all up", "one left of each shard"])
@pytest.mark.parametrize(("before", "after"), CHANGES, ids=str)
@pytest.mark.timeout(150)
def test_a_view_is_put(
    kind: str, killed: bool, before: tuple[int, int], after: tuple[int, int], tmp_path: Path
) -> None:
    (nodes, shards), (new_nodes, new_shards) = before, after
    fresh_nodes = max(0, new_nodes - (shards if killed else nodes))
    with machines(kind, tmp_path, nodes + fresh_nodes, 1, DIALECT="admin_view") as cluster:
        names, fresh = cluster.names[:nodes], cluster.names[nodes:]
        metadata = told(cluster, names, shards)
        left = survivors(cluster, names) if killed else names
        chosen = (left + fresh)[:new_nodes]
        assert put_view(cluster, left[0], chosen, new_shards)[0] == 200
        level = threading.Event()

        def all_right() -> bool:
            if are_level(cluster, chosen, new_nodes, new_shards):
                level.set()
            return level.is_set() and wrong_keys(cluster, chosen, metadata) == []

        assert eventually(all_right, LEVEL_S), (
            level.is_set(),
            [view_at(cluster, name) for name in chosen],
            wrong_keys(cluster, chosen, metadata)[:5],
        )
        assert eventually(partial(are_listed, cluster, chosen, metadata), LEVEL_S)


def are_listed(cluster: Cluster, names: list[str], metadata: object) -> bool:
    """Whether the members of exactly one shard list each key."""
    listed: dict[str, set[str]] = {}
    for name in names:
        url = f"{cluster.urls[name]}/kvs/data"
        status, said, _ = ask("GET", url, {"causal-metadata": metadata}, 25)
        assert (status, said["count"]) == (200, len(said["keys"]))
        if listed.setdefault(said["shard_id"], set(said["keys"])) != set(said["keys"]):
            return False
    keys = [key for shard in listed.values() for key in shard]
    return sorted(keys) == sorted(f"key-{number}" for number in range(1, KEYS + 1))


@BOTH_ENGINES
@pytest.mark.timeout(150)
def test_a_node_that_is_left_out_or_forgets_is_as_at_first(kind: str, tmp_path: Path) -> None:
    with machines(kind, tmp_path, 3, 1, DIALECT="admin_view") as cluster:
        metadata = told(cluster, cluster.names, 1)
        urls = cluster.urls
        assert put_view(cluster, "alice", ["alice", "bob"], 1)[0] == 200
        assert eventually(lambda: is_done([urls["alice"], urls["bob"]]), LEVEL_S)
        assert (view_at(cluster, "carol"), get(cluster, "carol", "key-1", {})[0]) == ([], 418)
        assert ask("DELETE", f"{urls['carol']}/kvs/admin/view")[0] == 418
        assert ask("DELETE", f"{urls['bob']}/kvs/admin/view")[0] == 200
        assert (view_at(cluster, "bob"), get(cluster, "bob", "key-1", {})[0]) == ([], 418)
        assert are_right(cluster, ["alice"], metadata)


@BOTH_ENGINES
@pytest.mark.timeout(150)
def test_dead_nodes_are_named_and_come_back(kind: str, tmp_path: Path) -> None:
    with machines(kind, tmp_path, 5, 1, DIALECT="admin_view") as cluster:
        names = cluster.names
        metadata = told(cluster, names[:4], 2)
        left = [*survivors(cluster, names[:4]), names[4]]
        dead = [name for name in names if name not in left]
        assert put_view(cluster, left[0], names, 3)[0] == 200
        assert eventually(lambda: are_level(cluster, left, 5, 3), LEVEL_S)
        assert eventually(partial(are_right, cluster, left, metadata), LEVEL_S)
        metadata = put(cluster, left[0], "key-1", metadata)
        for name in dead:
            cluster.engine.start(name)
        assert eventually(lambda: are_level(cluster, names, 5, 3), LEVEL_S)
        assert eventually(partial(are_right, cluster, names, metadata), LEVEL_S)


@BOTH_ENGINES
@pytest.mark.timeout(150)
def test_a_view_is_put_at_a_newcomer_and_at_one_that_was_left_out(
    kind: str, tmp_path: Path
) -> None:
    with machines(kind, tmp_path, 5, 1, DIALECT="admin_view") as cluster:
        names, old = cluster.names, cluster.names[:4]
        metadata = told(cluster, old, 2)
        for chosen, shards, at in ((names, 3, "erin"), (old, 2, "bob"), (names, 3, "erin")):
            assert put_view(cluster, at, chosen, shards)[0] == 200
            assert wrong_keys(cluster, [name for name in old if name in chosen], metadata) == []
            level = partial(are_level, cluster, chosen, len(chosen), shards)
            assert eventually(level, LEVEL_S)
            assert eventually(partial(are_right, cluster, chosen, metadata), LEVEL_S)


@BOTH_ENGINES
@pytest.mark.timeout(150)
def test_a_view_is_put_on_one_side_of_a_cut(kind: str, tmp_path: Path) -> None:
    with machines(kind, tmp_path, 4, 1, DIALECT="admin_view") as cluster:
        names = cluster.names
        told(cluster, names, 2)
        groups = [[name for name in names if name in view] for view in sides(cluster)]
        cluster.engine.split(groups)
        here, there = groups
        assert put_view(cluster, here[0], [*here, there[0]], 2)[0] == 200
        assert eventually(lambda: are_level(cluster, here, 3, 2), LEVEL_S)
        # Until the nodes notice the silence of those cut off, an origin may give one of them a
        # write.
        seen = put(cluster, there[0], "key-2", {}, CUT_NOTICED_S)
        metadata = put(cluster, there[1], "key-1", seen, CUT_NOTICED_S)
        cluster.engine.heal()
        level = [*here, there[0]]
        assert eventually(lambda: are_level(cluster, level, 3, 2), LEVEL_S)
        assert eventually(partial(are_right, cluster, level, metadata), LEVEL_S)
        left_out = view_at(cluster, there[1]), get(cluster, there[1], "key-1", {})[0]
        assert left_out == ([], 418)


def sides(cluster: Cluster) -> tuple[list[str], list[str]]:
    """Return a member of each shard on either side."""
    addresses = {cluster.address(name): name for name in cluster.names}
    first, second = (
        [addresses[node] for node in shard["nodes"]] for shard in view_at(cluster, "alice")
    )
    return [first[0], second[0]], [first[1], second[1]]


# ------------------------------------------------------------------ how evenly, and how little

MANY = 2000
MOVED_KEYS_MAX, MOVED_SLOTS_MAX = 1.25, 1.05
EVEN_SPREAD = 0.25


def owners(cluster: Cluster) -> list[str]:
    """Return the node that serves each key, in the order of the keys."""

    def owner(number: int) -> str:
        name = cluster.names[number % 6]
        status, _, headers = get(cluster, name, f"key-{number}", {})
        assert status == 200, (name, number)
        return headers["Kv-Served-By"]

    return at_once(owner, range(1, MANY + 1))


def add_a_shard(cluster: Cluster, names: list[str]) -> None:
    """Add a shard with one more node, one node a shard; as few slots as can be move."""
    shards = len(names)
    wanted = {"shards": shards, "nodes": [cluster.address(name) for name in names]}
    plan = ask("POST", f"{cluster.urls['alice']}/v1/view?plan=true", wanted)[1]
    assert plan["moves"]["slots"] <= MOVED_SLOTS_MAX * plan["moves"]["ideal_slots"]
    assert put_view(cluster, "alice", names, shards)[0] == 200
    assert eventually(lambda: are_level(cluster, names, shards, shards), LEVEL_S)
    assert eventually(lambda: is_done([cluster.urls[name] for name in names]), LEVEL_S)


@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(200)
def test_one_more_shard_takes_its_share_and_no_more(tmp_path: Path) -> None:
    with machines("process", tmp_path, 8, 1, DIALECT="admin_view") as cluster:
        six = cluster.names[:6]
        assert eventually(lambda: is_up(cluster, cluster.names), 20)
        assert put_view(cluster, "alice", six, 6)[0] == 200
        assert eventually(lambda: are_level(cluster, six, 6, 6), LEVEL_S)
        at_once(lambda n: put(cluster, six[n % 6], f"key-{n}", {}), range(1, MANY + 1))
        before = owners(cluster)
        for shards in (7, 8):
            names = cluster.names[:shards]
            add_a_shard(cluster, names)
            after = owners(cluster)
            even, counts = MANY / shards, Counter(after)
            assert sorted(counts) == sorted(cluster.address(name) for name in names)
            assert all(abs(count - even) < EVEN_SPREAD * even for count in counts.values())
            moved = sum(one != other for one, other in zip(before, after, strict=True))
            assert moved == counts[cluster.address(names[-1])]  # nothing moves between the old
            assert moved <= MOVED_KEYS_MAX * even
            before = after
