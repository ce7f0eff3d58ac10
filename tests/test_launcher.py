"""The launcher drives real processes (a stand-in node) and, where Docker answers, real containers.

Each test has its own directory, ports and cluster name, so workers do not meet.  Whatever a test
starts is gone when it ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import probe
from cluster.containers import ContainerEngine, docker_client
from cluster.engine import Engine, State, recalled
from cluster.host import is_busy, life_of
from cluster.launch import Wish, topology_for, up
from cluster.processes import ProcessEngine
from cluster.report import Report
from cluster.topology import Topology, Trouble

FAKE = "tests.fake_node"
WAIT_S = 20.0
ROOT = Path(__file__).resolve().parents[1]
QUIET = Report(quiet=True)


def free_block(size: int) -> int:
    """Return the first of `size` free ports in a row, apart from those of other workers."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 21000 + worker * 1000 + (os.getpid() * 7) % 900
    while any(is_busy(port) for port in range(first, first + size)):
        first += size
    return first


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def engine(home: Path) -> Iterator[ProcessEngine]:
    engine = ProcessEngine("lab", home, FAKE)
    yield engine
    engine.clean()


def started(engine: Engine, home: Path, shards: int = 1, **settings: str) -> Topology:
    """Bring up a cluster of three nodes a shard."""
    port = free_block(3 * shards)
    named = {key: str(port + int(index)) for key, index in settings.items()}
    return up(engine, Wish(shards, 3, port=port, settings=named, wait_s=WAIT_S), QUIET, home)


def told(topology: Topology, name: str) -> dict[str, Any]:
    """Return what the node tells about itself; it must answer."""
    status = probe.status_of(topology.node(name).host_port)
    assert status is not None
    return status


def cut_of(topology: Topology, name: str) -> set[str]:
    """Return the names of the nodes that the node ignores."""
    cut = told(topology, name)["cut"]
    return {node.name for node in topology.nodes if node.address in cut}


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether the condition came true in time."""
    return bool(probe.until(lambda: condition() or None, WAIT_S))


def pids(engine: ProcessEngine) -> list[int]:
    """Return the recorded process numbers."""
    return [record[0] for record in json.loads((engine.place / "pids.json").read_text()).values()]


def are_gone(numbers: list[int]) -> bool:
    """Tell whether none of the processes is there (an unburied one is not)."""
    return all(life_of(number)[1] in ("", "Z", "X") for number in numbers)


# ------------------------------------------------------------------ processes


def test_up_starts_all_nodes_and_writes_where_they_are(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home, shards=2)
    assert set(engine.states().values()) == {State.RUNNING}
    written = json.loads((home / "lab" / "cluster.json").read_text())
    assert [node["shard"] for node in written["nodes"]] == ["s1", "s2"] * 3
    assert [node["url"] for node in written["nodes"]] == list(engine.endpoints().values())
    urls = ",".join(node.url for node in topology.nodes)
    assert (home / "lab" / "env").read_text() == f"export COTERIE_URLS={urls}\n"


def test_up_again_leaves_what_runs_alone(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    before = pids(engine)
    assert up(engine, Wish(wait_s=WAIT_S), QUIET, home) == topology
    assert pids(engine) == before


def test_up_again_starts_what_is_missing(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    engine.kill("alice")
    engine.pause("bob")
    up(engine, Wish(wait_s=WAIT_S), QUIET, home)
    assert [told(topology, node.name)["starts"] for node in topology.nodes] == [2, 1, 1]


def test_another_shape_is_refused_while_the_data_is_there(
    engine: ProcessEngine, home: Path
) -> None:
    started(engine, home)
    engine.stop()
    with pytest.raises(Trouble, match="with shards 1, not 2; ask for the same"):
        up(engine, Wish(shards=2), QUIET, home)
    with pytest.raises(Trouble, match="FRESH=1"):
        up(engine, Wish(settings={"DURABILITY": "os"}), QUIET, home)


def test_down_leaves_no_process_and_no_port_but_the_data(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    numbers = pids(engine)
    engine.stop()
    assert are_gone(numbers)
    assert not any(is_busy(node.host_port) for node in topology.nodes)
    assert set(engine.states().values()) == {State.STOPPED}
    assert engine.recall() == topology
    up(engine, Wish(wait_s=WAIT_S), QUIET, home)
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
        "alice": State.STOPPED,
        "bob": State.RUNNING,
        "carol": State.RUNNING,
    }
    assert probe.ask("GET", port, "/livez")[0] == 0
    engine.wipe("alice")
    engine.start("alice")
    assert eventually(lambda: probe.unready(port) is None)
    assert told(topology, "alice")["starts"] == 1
    engine.pause("alice")
    assert engine.states()["alice"] == State.PAUSED
    assert probe.ask("GET", port, "/livez", timeout_s=0.3)[0] == 0
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
        assert engine.states()["alice"] == State.STOPPED
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
        ("FAKE_UNREADY", r"carol is not ready: \[-\]recovery still reading, 2 s after the start"),
        ("FAKE_DISSENTS", "carol has another view than alice"),
    ],
)
def test_a_cluster_that_is_not_usable_in_time_is_rolled_back(
    engine: ProcessEngine, home: Path, setting: str, words: str
) -> None:
    port = free_block(3)
    wish = Wish(1, 3, port=port, settings={setting: str(port + 2)}, wait_s=2)
    with pytest.raises(Trouble, match=words) as failure:
        up(engine, wish, QUIET, home)
    assert failure.value.code == 5
    assert engine.recall() is None
    assert not any(is_busy(port + index) for index in range(3))


def test_a_failed_start_is_kept_when_wished(engine: ProcessEngine, home: Path) -> None:
    port = free_block(3)
    settings = {"FAKE_UNREADY": str(port)}
    wish = Wish(1, 3, port=port, settings=settings, wait_s=1, retain=True)
    with pytest.raises(Trouble):
        up(engine, wish, QUIET, home)
    assert set(engine.states().values()) == {State.RUNNING}


def test_rolling_back_keeps_the_data_that_was_there(engine: ProcessEngine, home: Path) -> None:
    topology = started(engine, home)
    engine.stop()
    port = topology.nodes[1].host_port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(Trouble, match=f"port {port} is in use"),
    ):
        up(engine, Wish(wait_s=WAIT_S), QUIET, home)
    assert engine.recall() == topology
    assert set(engine.states().values()) == {State.STOPPED}


def test_another_name_stays_clear_of_the_neighbours(engine: ProcessEngine, home: Path) -> None:
    first = topology_for(engine, Wish())
    assert first.base_port >= 8082 + 6
    with_neighbour = started(engine, home)
    other = topology_for(ProcessEngine("other", home, FAKE), Wish())
    ports = {node.host_port for node in with_neighbour.nodes}
    assert not ports & {node.host_port for node in other.nodes}
    assert topology_for(ProcessEngine("dev", home, FAKE), Wish()).base_port == 8082


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


# ------------------------------------------------------------------ the command itself

PROGRAM = (
    "import sys; from pathlib import Path; from cluster import __main__ as m;"
    f"m.Run.home, m.Run.module = Path(sys.argv.pop(1)), {FAKE!r}; m.main()"
)


def coterie(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with the stand-in node."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_from_up_to_clean(engine: ProcessEngine, home: Path) -> None:
    port = free_block(2)
    base = ("--shards", "2", "--replicas", "1", "--engine", "process", "--port", str(port))
    done = coterie(home, "up", "--name", "lab", *base)
    assert done.returncode == 0, done.stderr
    heads, alice, bob, *_ = done.stdout.splitlines()
    assert heads.split() == ["NODE", "SHARD", "HOST", "ADDRESS"]
    assert alice.split() == ["alice", "s1", f"http://localhost:{port}", f"127.0.0.1:{port}"]
    assert bob.split()[1] == "s2"
    assert done.stdout.count("curl -X") == 2
    assert "✓ all 2 nodes are ready" in done.stderr
    assert "\x1b[" not in done.stdout + done.stderr
    listed = json.loads(coterie(home, "endpoints", "--json", "--name", "lab").stdout)
    assert [node["address"] for node in listed["nodes"]] == [
        f"127.0.0.1:{port}",
        f"127.0.0.1:{port + 1}",
    ]
    assert coterie(home, "kill", "alice", "--name", "lab").returncode == 0
    status = json.loads(coterie(home, "status", "--json", "--name", "lab").stdout)
    assert [node["state"] for node in status["nodes"]] == ["stopped", "running"]
    assert [node["ready"] for node in status["nodes"]] == [False, True]
    assert coterie(home, "down", "--name", "lab").returncode == 0
    assert not (home / "lab" / "env").exists()
    assert coterie(home, "clean", "--name", "lab").returncode == 0
    assert not (home / "lab").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("status", "--name", "none"), 3, 'no cluster "none" here; start one'),
        (("kill", "alice", "--name", "none"), 3, 'no cluster "none" here'),
        (("up", "--name", "NO"), 2, 'cluster name "NO" is not usable'),
        (("up", "--name", "lab", "--engine", "process", "--shards", "0"), 2, "shards is 0"),
        (("up", "--name", "lab", "--env", "nothing"), 2, "expected KEY=VALUE"),
        (("up", "--engine", "podman"), 2, "podman"),
        (("dance",), 2, "dance"),
    ],
)
def test_exit_codes_and_sentences(
    engine: ProcessEngine, home: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    done = coterie(home, *words)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_is_rolled_back(
    engine: ProcessEngine, home: Path, number: signal.Signals
) -> None:
    port = free_block(2)
    words = ["up", "--name", "lab", "--shards", "1", "--replicas", "2", "--engine", "process"]
    words += ["--port", str(port), "--env", f"FAKE_UNREADY={port}"]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as launcher:
        assert eventually(lambda: probe.ask("GET", port, "/livez")[0] == 200)
        launcher.send_signal(number)
        _, said = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 130
    assert "rolled back" in said
    assert "Traceback" not in said
    assert not is_busy(port)
    assert not (home / "lab").exists()


# ------------------------------------------------------------------ containers

docker_tests = pytest.mark.xdist_group("docker")


@pytest.fixture
def containers(home: Path) -> Iterator[ContainerEngine]:
    client, problem = docker_client()
    if client is None:
        pytest.skip(f"NO TEST OF CONTAINERS: {problem}")
    engine = ContainerEngine("pytest", client, home)
    engine.clean()
    yield engine
    engine.clean()
    client.close()


def docker_wish() -> Wish:
    """Return a small cluster that stays clear of others."""
    return Wish(1, 3, subnet="auto", port=free_block(3), wait_s=60)


@docker_tests
def test_containers_from_up_to_clean(containers: ContainerEngine, home: Path) -> None:
    topology = up(containers, docker_wish(), QUIET, home)
    assert set(containers.states().values()) == {State.RUNNING}
    assert recalled(containers) == topology
    assert up(containers, Wish(wait_s=60), QUIET, home) == topology
    containers.kill("alice")
    assert containers.states()["alice"] == State.STOPPED
    containers.wipe("alice")
    containers.start("alice")
    port = topology.node("alice").host_port
    assert eventually(lambda: probe.unready(port) is None)
    containers.pause("bob")
    assert containers.states()["bob"] == State.PAUSED
    containers.resume("bob")
    assert containers.logs("carol") != []
    containers.stop()
    assert set(containers.states().values()) == {State.MISSING}
    assert not any(is_busy(node.host_port, "") for node in topology.nodes)
    assert up(containers, Wish(wait_s=60), QUIET, home) == topology
    containers.clean()
    assert containers.recall() is None


@docker_tests
def test_a_split_cuts_containers_off_and_they_stay_reachable(
    containers: ContainerEngine, home: Path
) -> None:
    topology = up(containers, docker_wish(), QUIET, home)
    ports = {node.name: node.host_port for node in topology.nodes}

    def on_subnet() -> dict[str, str]:
        network = containers.client.networks.list(names=["coterie-pytest"], greedy=True)[0]
        found = network.attrs["Containers"].values()
        return {one["Name"].rpartition("-")[2]: one["IPv4Address"] for one in found}

    whole = on_subnet()
    assert whole == {node.name: f"{node.ip}/16" for node in topology.nodes}
    containers.split([["alice"], ["bob", "carol"]])
    assert set(on_subnet()) == {"bob", "carol"}
    assert probe.ask("GET", ports["alice"], "/livez")[0] == 200
    containers.kill("alice")
    containers.start("alice")
    assert set(on_subnet()) == {"bob", "carol"}
    assert eventually(lambda: probe.ask("GET", ports["alice"], "/livez")[0] == 200)
    containers.heal()
    assert on_subnet() == whole


@docker_tests
def test_an_overlapping_subnet_is_refused_by_name(containers: ContainerEngine, home: Path) -> None:
    topology = up(containers, docker_wish(), QUIET, home)
    other = ContainerEngine("pytest-other", containers.client, home)
    wish = Wish(1, 1, subnet=topology.subnet, port=free_block(1))
    with pytest.raises(Trouble, match=r'overlaps the network "coterie-pytest".*SUBNET=auto'):
        up(other, wish, QUIET, home)
    assert other.recall() is None
    assert topology_for(other, Wish(1, 1)).subnet != topology.subnet


@docker_tests
def test_nothing_of_ours_is_named_as_graders_name_theirs(
    containers: ContainerEngine, home: Path
) -> None:
    up(containers, docker_wish(), QUIET, home)
    label = {"label": "io.coterie.cluster=pytest"}
    found = containers.client.containers.list(filters=label)
    assert {one.labels["io.coterie.node"] for one in found} == {"alice", "bob", "carol"}
    assert all(one.name.startswith("coterie-pytest-") for one in found)
    assert {one.attrs["Config"]["User"] for one in found} == {"10001:10001"}
