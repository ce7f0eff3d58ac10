"""The launcher drives local processes (of a stand-in node): up, hurt, split, roll back, down."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.engines import node_client
from cluster.engines.engine import NodeState
from cluster.engines.host import is_busy
from cluster.engines.launch import UpOptions, topology_for, up
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Trouble
from tests.launching import (
    FAKE,
    QUIET,
    WAIT_S,
    are_gone,
    cut_of,
    eventually,
    free_block,
    pids,
    started,
    told,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def engine(home: Path) -> Iterator[ProcessEngine]:
    engine = ProcessEngine("lab", home, FAKE)
    yield engine
    engine.clean()


def test_up_starts_all_nodes_and_writes_where_they_are(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home, shards=2)
    assert set(engine.states().values()) == {NodeState.RUNNING}
    written = json.loads((home / "lab" / "cluster.json").read_text())
    assert [node["shard"] for node in written["nodes"]] == ["s1", "s2"] * 3
    assert [node["url"] for node in written["nodes"]] == list(engine.endpoints().values())
    urls = ",".join(node.url for node in topology.nodes)
    assert (home / "lab" / "env").read_text() == f"export COTERIE_URLS={urls}\n"


def test_up_again_leaves_what_runs_alone(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    before = pids(engine)
    assert up(engine, UpOptions(wait_s=WAIT_S), QUIET, home) == topology
    assert pids(engine) == before


def test_up_again_starts_what_is_missing(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    engine.kill("alice")
    engine.pause("bob")
    up(engine, UpOptions(wait_s=WAIT_S), QUIET, home)
    assert [told(topology, node.name)["starts"] for node in topology.nodes] == [2, 1, 1]


def test_another_shape_is_refused_while_the_data_is_there(
    engine: ProcessEngine, home: Path
) -> None:
    started(engine, home)
    engine.stop()
    with pytest.raises(Trouble, match="with shards 1, not 2; ask for the same"):
        up(engine, UpOptions(shards=2), QUIET, home)
    with pytest.raises(Trouble, match="FRESH=1"):
        up(engine, UpOptions(settings={"DURABILITY": "os"}), QUIET, home)


def test_down_leaves_no_process_and_no_port_but_the_data(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    numbers = pids(engine)
    engine.stop()
    assert are_gone(numbers)
    assert not any(is_busy(node.host_port) for node in topology.nodes)
    assert set(engine.states().values()) == {NodeState.STOPPED}
    assert engine.recall() == topology
    up(engine, UpOptions(wait_s=WAIT_S), QUIET, home)
    assert told(topology, "alice")["starts"] == 2


def test_clean_leaves_nothing(engine: ProcessEngine, home: Path) -> None:
    started(engine, home)
    engine.pause("carol")
    numbers = pids(engine)
    engine.clean()
    assert are_gone(numbers)
    assert not (home / "lab").exists()
    assert engine.recall() is None


def test_kill_start_pause_resume_wipe(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    port = topology.node("alice").host_port
    engine.kill("alice")
    assert engine.states() == {
        "alice": NodeState.STOPPED,
        "bob": NodeState.RUNNING,
        "carol": NodeState.RUNNING,
    }
    assert node_client.ask("GET", port, "/livez")[0] == 0
    engine.wipe("alice")
    engine.start("alice")
    assert eventually(lambda: node_client.unready(port) is None)
    assert told(topology, "alice")["starts"] == 1
    engine.pause("alice")
    assert engine.states()["alice"] == NodeState.PAUSED
    assert node_client.ask("GET", port, "/livez", timeout_s=0.3)[0] == 0
    engine.resume("alice")
    assert told(topology, "alice")["starts"] == 1


def test_commands_refuse_a_node_in_the_wrong_state(engine: ProcessEngine, home: Path) -> None:
    started(engine, home)
    for refused in (engine.start, engine.resume, engine.wipe):
        with pytest.raises(Trouble, match="alice is running; expected it"):
            refused("alice")
    engine.kill("alice")
    with pytest.raises(Trouble, match="alice is stopped; expected it running or paused"):
        engine.kill("alice")
    with pytest.raises(Trouble, match='no node "zoe"'):
        engine.kill("zoe")


def test_split_and_heal_tell_the_nodes(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    engine.split([["alice"], ["bob", "carol"]])
    cuts = {node.name: cut_of(topology, node.name) for node in topology.nodes}
    assert cuts == {"alice": {"bob", "carol"}, "bob": {"alice"}, "carol": {"alice"}}
    engine.heal()
    assert [cut_of(topology, node.name) for node in topology.nodes] == [set(), set(), set()]
    assert engine.groups() == []


def test_a_node_that_comes_back_is_on_its_side_of_the_split(
    engine: ProcessEngine, home: Path
) -> None:
    topology = started(engine, home)
    engine.pause("bob")
    engine.split([["alice"], ["bob", "carol"]])
    engine.kill("carol")
    engine.start("carol")
    engine.resume("bob")
    assert cut_of(topology, "carol") == {"alice"}
    assert cut_of(topology, "bob") == {"alice"}


def test_a_process_with_a_recycled_number_is_never_signalled(
    engine: ProcessEngine, home: Path
) -> None:
    started(engine, home)
    engine.kill("alice")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        path = engine.place / "pids.json"
        records = json.loads(path.read_text())
        path.write_text(json.dumps({**records, "alice": [stranger.pid, "1"]}))
        assert engine.states()["alice"] == NodeState.STOPPED
        engine.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_node_that_ends_by_itself_fails_the_start_with_its_last_words(
    engine: ProcessEngine, home: Path
) -> None:
    with pytest.raises(Trouble, match="bob ended by itself") as failure:
        started(engine, home, FAKE_REFUSES="1")
    shown = str(failure.value).splitlines()
    assert shown[-1] == "  bob | SHARD_COUNT is wrong; expected another"
    assert len(shown) == 21
    assert failure.value.code == 5
    assert not (home / "lab").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("FAKE_UNREADY", r"carol is not ready: \[-\]recovery still reading, 5 s after the start"),
        ("FAKE_DISSENTS", "carol has another view than alice"),
    ],
)
def test_a_cluster_that_is_not_usable_in_time_is_rolled_back(
    engine: ProcessEngine, home: Path, setting: str, words: str
) -> None:
    port = free_block(3)
    options = UpOptions(1, 3, port=port, settings={setting: str(port + 2)}, wait_s=5)
    with pytest.raises(Trouble, match=words) as failure:
        up(engine, options, QUIET, home)
    assert failure.value.code == 5
    assert engine.recall() is None
    assert not any(is_busy(port + index) for index in range(3))


def test_a_failed_start_is_kept_when_asked(engine: ProcessEngine, home: Path) -> None:
    port = free_block(3)
    settings = {"FAKE_UNREADY": str(port)}
    options = UpOptions(1, 3, port=port, settings=settings, wait_s=1, retain=True)
    with pytest.raises(Trouble):
        up(engine, options, QUIET, home)
    assert set(engine.states().values()) == {NodeState.RUNNING}


def test_rolling_back_keeps_the_data_that_was_there(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    engine.stop()
    port = topology.nodes[1].host_port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(Trouble, match=f"port {port} is in use"),
    ):
        up(engine, UpOptions(wait_s=WAIT_S), QUIET, home)
    assert engine.recall() == topology
    assert set(engine.states().values()) == {NodeState.STOPPED}


def test_another_name_stays_clear_of_the_neighbours(engine: ProcessEngine, home: Path) -> None:
    first = topology_for(engine, UpOptions())
    assert first.base_port >= 8082 + 6
    with_neighbour = started(engine, home)
    other = topology_for(ProcessEngine("other", home, FAKE), UpOptions())
    ports = {node.host_port for node in with_neighbour.nodes}
    assert not ports & {node.host_port for node in other.nodes}
    assert topology_for(ProcessEngine("dev", home, FAKE), UpOptions()).base_port == 8082


def test_logs_and_following_them(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    line = json.dumps({"listening": topology.nodes[0].address})
    assert engine.logs("alice") == [line]
    assert engine.logs("alice", 0) == []
    with engine.log_of("alice").open("a") as log:
        following = engine.follow("alice", 1)
        assert next(following) == line
        log.write("one\ntwo\nthr")
        log.flush()
        assert [next(following), next(following)] == ["one", "two"]
        log.write("ee\n")
        log.flush()
        assert next(following) == "three"
