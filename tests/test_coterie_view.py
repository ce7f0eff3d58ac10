"""`coterie view` and `coterie add`, against a small cluster of real nodes: output and refusals."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.cli import view_commands
from cluster.cli.view_commands import Change
from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.launch import UpOptions, topology_for, up
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology, Trouble
from tests.coterie_command import coterie, done, shards
from tests.launching import QUIET, WAIT_S, eventually, free_block

pytestmark = pytest.mark.xdist_group("coterie-view")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    """Four nodes in two shards, as local processes."""
    home = tmp_path_factory.mktemp("home")
    engine = ProcessEngine("views", home)
    try:
        up(engine, UpOptions(2, 2, port=free_block(6), wait_s=WAIT_S), QUIET, home)
        yield engine
    finally:
        engine.clean()


def test_from_plan_to_done_and_one_node_more(engine: ProcessEngine) -> None:
    assert "view 1, settled" in done(engine, "view", "show")
    *lines, last = done(engine, "view", "plan", "--shards", "1").splitlines()
    assert lines[0].split() == ["SHARD", "BEFORE", "AFTER", "SLOTS", "THEN"]
    assert " ".join(lines[1].split()) == "s1 alice bob alice bob carol dave 2048 4096"
    assert "moving: 2048 slots (50% of all; ideal 2048), about 0 keys of 0 bytes" in lines
    assert "copying: 8192 slots to nodes that are new to them" in lines
    assert last.startswith("coterie view commit p-")
    assert list(shards(engine)) == ["s1", "s2"]  # a plan changes nothing

    done(engine, "view", "commit", last.split()[-1])
    assert "done 100%" in coterie(engine, "view", "watch").stderr
    assert shards(engine) == {"s1": ["alice", "bob", "carol", "dave"]}

    assert done(engine, "add").split()[0] == "erin"
    assert "in no shard: erin" in done(engine, "view", "show")
    coterie(engine, "view", "watch")
    again = done(engine, "view", "commit", "--shards", "2", "--remove", "dave", "--yes")
    assert "carol erin" in again
    coterie(engine, "view", "watch")
    assert shards(engine) == {"s1": ["alice", "bob"], "s2": ["carol", "erin"]}
    assert "nothing would change" in done(engine, "view", "commit", "--shards", "2")
    assert done(engine, "status").startswith('Cluster "views": 2 shards of 2, 2 nodes, process')
    with pytest.raises(Trouble, match="coterie view commit --shards 3"):
        topology_for(engine, UpOptions(shards=3))
    assert topology_for(engine, UpOptions(shards=2)) == engine.recall()


def test_an_option_may_name_several_nodes_and_be_repeated() -> None:
    topology = Topology("views", 2, 2, "process")
    change = Change(add=["h1:1", "h2:1, h3:1"], remove=["alice", "bob,carol"])
    gone = [topology.node(name).address for name in ("alice", "bob", "carol")]
    assert change.request(topology) == {"add": ["h1:1", "h2:1", "h3:1"], "remove": gone}


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("plan", "--shards", "9"), 2, "nodes make between 1 and"),
        (("plan", "--add", "nobody"), 3, 'no node "nobody" in cluster'),
        (("plan", "--add", "alice"), 2, "add: alice is in the view already"),
        (("plan", "--nodes", "alice,alice"), 2, "nodes has alice more than once"),
        (("plan", "--remove", "10.0.0.1:1"), 2, "remove: 10.0.0.1:1 is not in the view"),
        (
            ("plan", "--nodes", "alice", "--shards", "1"),
            4,
            "handed over; --force does it all the same",
        ),
        (("commit", "p-12345678"), 3, "no plan p-12345678"),
        (("commit",), 2, "expected the name of a plan, or what to change"),
        (("commit", "p-12345678", "--shards", "2"), 2, "expected the name of a plan"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    engine: ProcessEngine, words: tuple[str, ...], code: int, sentence: str
) -> None:
    coterie(engine, "view", "watch")
    ended = coterie(engine, "view", *words)
    assert ended.returncode == code
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_change_that_waits_for_a_dead_node_can_be_taken_back(engine: ProcessEngine) -> None:
    coterie(engine, "view", "watch")
    before = shards(engine)
    assert coterie(engine, "view", "abort").returncode == 4
    stranger = "127.0.0.1:1"
    plan = done(engine, "view", "plan", "--add", stranger).split()[-1]
    done(engine, "view", "commit", plan)
    late = coterie(engine, "view", "watch", "--wait", "0.5")
    assert late.returncode == 5
    assert f"{stranger} cannot be reached" in late.stderr
    running = coterie(engine, "view", "commit", "--shards", "1")
    assert running.returncode == 4
    assert "still under way; wait for it, or add --force" in running.stderr
    stale = coterie(engine, "view", "commit", plan)
    assert (stale.returncode, "is stale" in stale.stderr) == (4, True)
    done(engine, "view", "abort")
    assert shards(engine) == before
    done(engine, "view", "watch", "--wait", "20")  # no node has ever heard of it


def test_a_dead_node_is_given_up_while_the_change_waits_for_it(engine: ProcessEngine) -> None:
    coterie(engine, "view", "watch")
    before, stranger = shards(engine), "127.0.0.1:1"
    done(engine, "view", "commit", "--add", stranger)
    assert coterie(engine, "view", "watch", "--wait", "0.5").returncode == 5
    done(engine, "view", "commit", "--lost", stranger)
    assert shards(engine) == before
    done(engine, "view", "watch", "--wait", "20")


def test_a_cluster_that_does_not_run_has_no_view(tmp_path: Path) -> None:
    engine = ProcessEngine("asleep", tmp_path)
    assert coterie(engine, "view", "show").returncode == 3
    assert coterie(engine, "add").returncode == 3
    engine.prepare(Topology("asleep", 1, 1, "process", base_port=free_block(1)), QUIET)
    assert "no node of cluster" in coterie(engine, "view", "show").stderr
    assert "start it first" in coterie(engine, "add").stderr


def test_a_node_that_is_killed_is_passed_over(engine: ProcessEngine) -> None:
    coterie(engine, "view", "watch")
    engine.kill("alice")
    assert "SHARD" in done(engine, "view", "show")
    engine.start("alice")
    assert eventually(lambda: coterie(engine, "view", "watch", "--wait", "1").returncode == 0)


# ------------------------------------------------------------------ without nodes


def job(phase: str, progress: float, **more: Any) -> dict[str, Any]:
    waiting = [{"node": "10.10.0.2:8090", "why": "lacks 7 of its slots"}]
    said = {"view": "2.ab", "phase": phase, "progress": progress, "waiting_for": waiting}
    return {**said, "items_per_s": 1234.5, **more}


def told(is_terminal: bool, *jobs: dict[str, Any]) -> str:
    report = Report()
    written = io.StringIO()
    report.console = Console(file=written, force_terminal=is_terminal, width=120)
    with view_commands.teller(report) as tell:
        for each in jobs:
            tell(each, "alice lacks 7 of its slots")
    return written.getvalue()


def test_a_terminal_has_a_bar() -> None:
    said = told(True, job("moving", 0.1), job("moving", 0.52))
    assert "moving" in said
    assert "52%" in said
    assert "1234 items/s" in said
    assert "alice lacks 7 of its slots" in said


def test_elsewhere_each_step_is_a_line() -> None:
    steps = [job("moving", 0.11), job("moving", 0.12), job("moving", 0.51), job("done", 1.0)]
    assert [line.split(":")[0] for line in told(False, *steps).splitlines()] == [
        "view 2.ab moving 11%",
        "view 2.ab moving 51%",
        "view 2.ab done 100%",
    ]


def test_the_newest_job_counts_and_all_nodes_that_move_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {
        1: (200, json.dumps(job("done", 1.0, view="1"))),
        2: (200, json.dumps(job("done", 1.0))),
        3: (200, json.dumps(job("moving", 0.5))),
        4: (0, "no answer"),
    }
    monkeypatch.setattr(view_commands, "running_ports", lambda engine: list(said))
    monkeypatch.setattr(node_client, "ask", lambda method, port, path: said[port])
    engine = ProcessEngine("none", Path("none"))
    newest = view_commands.job_of(engine)
    assert (newest["view"], newest["phase"], newest["items_per_s"]) == ("2.ab", "moving", 2469.0)
    del said[1], said[2], said[3]
    with pytest.raises(Trouble, match="no node tells"):
        view_commands.job_of(engine)
