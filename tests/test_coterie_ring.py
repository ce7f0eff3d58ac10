"""`coterie ring`, against a small cluster of real nodes: it grows, shrinks, and loses no key."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cli.ring_commands import preference
from cluster.engines.engine import NodeState, recalled
from cluster.engines.launch import UpOptions, up
from cluster.engines.processes import ProcessEngine
from tests.coterie_command import coterie, done, shards
from tests.launching import QUIET, WAIT_S
from tests.scenarios.conftest import free_port_block
from tests.scenarios.script import ask

PORTS = 29700
KEYS = 30

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("coterie-view")]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ProcessEngine]:
    """Four nodes in two shards, as local processes."""
    engine = ProcessEngine("ring", tmp_path)
    try:
        up(engine, UpOptions(2, 2, port=free_port_block(6, PORTS), wait_s=WAIT_S), QUIET, tmp_path)
        yield engine
    finally:
        engine.clean()


def missing(engine: ProcessEngine, name: str) -> list[int]:
    """Return the keys that do not read back at this node."""
    url = recalled(engine).node(name).url
    said = [ask("GET", f"{url}/getData?key=key{n}")[1] for n in range(KEYS)]
    return [n for n, found in enumerate(said) if found.get("value") != n]


@pytest.mark.timeout(120)
def test_a_node_comes_and_another_goes(engine: ProcessEngine) -> None:
    url = recalled(engine).node("alice").url
    for n in range(KEYS):
        assert ask("POST", f"{url}/storeData", {"key": f"key{n}", "value": n})[0] == 201

    listed = json.loads(done(engine, "ring", "nodes", "a / key", "-n", "3", "--json"))
    first, second, third = listed["nodes"]
    assert (first["owner"], second["owner"], third["owner"]) == (True, True, False)
    assert first["shard"] == second["shard"] == listed["shard"] != third["shard"]
    heads, *rows = done(engine, "ring", "nodes", "a / key", "-n", "9").splitlines()[1:]
    assert heads.split() == ["NODE", "SHARD", "OWNER", "UP"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4"]
    assert {row.split()[1] for row in rows} == {"alice", "bob", "carol", "dave"}

    *_, added = done(engine, "ring", "add-node").splitlines()
    assert added.split()[0] == "erin"
    assert sorted(map(len, shards(engine).values())) == [2, 3]
    assert any("erin" in members for members in shards(engine).values())
    assert missing(engine, "erin") == []

    done(engine, "ring", "remove-node", "alice", "--yes")
    assert not any("alice" in members for members in shards(engine).values())
    assert engine.states()["alice"] == NodeState.STOPPED
    assert missing(engine, "erin") == missing(engine, "dave") == []
    ended = coterie(engine, "ring", "remove-node", "alice")
    assert (ended.returncode, "alice is not in the ring" in ended.stderr) == (3, True)

    heads, *rows = done(engine, "ring", "containers").splitlines()
    assert heads.split() == ["NODE", "ENGINE", "CONTAINER", "STATE", "HOST", "ADDRESS"]
    assert [row.split()[0] for row in rows] == ["alice", "bob", "carol", "dave", "erin"]
    alice, bob, *_ = json.loads(done(engine, "ring", "containers", "--json"))
    assert (alice["container"], alice["state"]) == ("", "stopped")
    assert bob["container"].startswith("process ")


def test_there_must_be_a_ring(tmp_path: Path) -> None:
    engine = ProcessEngine("asleep", tmp_path)
    for words in (("nodes", "k"), ("containers",), ("add-node",), ("remove-node", "alice")):
        ended = coterie(engine, "ring", *words)
        assert (ended.returncode, 'cluster "asleep"' in ended.stderr) == (3, True)


def test_which_nodes_are_asked_for_a_key() -> None:
    shards = {"s1": ["a", "b"], "s2": ["c"]}
    nodes = {node: {"alive": node != "b"} for node in "abc"}
    key = {"key": "k", "slot": 7, "shard": "s2", "nodes": ["c", "a", "b"]}
    rows = preference({"view": {"shards": shards}, "nodes": nodes, "key": key}, 2)
    assert rows == [
        {"node": "c", "shard": "s2", "owner": True, "alive": True},
        {"node": "a", "shard": "s1", "owner": False, "alive": True},
    ]
