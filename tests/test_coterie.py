"""The `coterie` command: what it prints, where, and with which exit code it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cli.commands import contents_of, corruption_in, hints_in
from cluster.cli.engine_choice import expect_no_rival
from cluster.engines import node_client
from cluster.engines.containers import ContainerEngine
from cluster.engines.host import is_busy
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Trouble
from tests.launching import FAKE, ROOT, WAIT_S, eventually, free_block, started


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def engine(home: Path) -> Iterator[ProcessEngine]:
    engine = ProcessEngine("lab", home, FAKE)
    yield engine
    engine.clean()


PROGRAM = (
    "import sys; from pathlib import Path; from cluster.cli import app as m;"
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
    assert [node["content"] for node in status["nodes"]] == [None, "6b1f00d5" * 4]
    shown = coterie(home, "status", "--name", "lab").stdout
    assert " 6b1f00d5 " in shown
    assert "bob: found 2 damaged rows, repaired 2" in shown
    assert "bob: keeps writes for other nodes: 3 for alice" in shown
    assert coterie(home, "down", "--name", "lab").returncode == 0
    assert not (home / "lab" / "env").exists()
    asked = coterie(home, "clean", "--name", "lab")
    assert (asked.returncode, (home / "lab").exists()) == (2, True)
    assert "Expected --yes, because there is no terminal" in asked.stderr
    assert coterie(home, "clean", "--name", "lab", "--yes").returncode == 0
    assert not (home / "lab").exists()


def told_by(name: str, shard: str | None, content: str | None) -> dict[str, str | None]:
    return {"name": name, "shard": shard, "content": content}


def test_contents_are_compared_shard_by_shard() -> None:
    nodes = [
        told_by("alice", "s1", "11"), told_by("bob", "s1", "11"), told_by("carol", "s1", None),
        told_by("dave", "s2", "22"), told_by("erin", "s2", "23"), told_by("frank", "s2", "22"),
        told_by("grace", "s3", "33"), told_by("heidi", None, "00"),
    ]  # fmt: skip
    contents = {"s1": "equal at alice,bob", "s2": "differs: dave,frank | erin"}
    assert contents_of(nodes) == contents


def test_rot_is_told_by_those_that_count_it() -> None:
    scrub = {"found": 3, "repaired": 2, "suspect": 1}
    assert corruption_in({"store": {"scrub": scrub}}) == {"found": 3, "repaired": 2}
    assert [
        corruption_in(None),
        corruption_in({"store": None}),
        corruption_in({"store": {"scrub": {}}}),
    ] == [None] * 3


def test_hints_are_told_by_the_names_of_their_targets() -> None:
    names = {"10.10.0.3:8090": "bob"}
    said = {"hints": {"kept": 3, "for": {"10.10.0.3:8090": 2, "10.10.0.9:8090": 1}}}
    assert hints_in(said, names) == {"bob": 2, "10.10.0.9:8090": 1}
    assert [hints_in(said, names) for said in (None, {}, {"hints": None})] == [{}] * 3


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
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as launcher:
        assert eventually(lambda: node_client.ask("GET", port, "/livez")[0] == 200)
        launcher.send_signal(number)
        _, said = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 130
    assert "rolled back" in said
    assert "Traceback" not in said
    assert not is_busy(port)
    assert not (home / "lab").exists()


def test_down_and_clean_of_nothing_are_done_at_once(home: Path) -> None:
    for verb in ("down", "clean"):
        done = coterie(home, verb, "--name", "none")
        assert done.returncode == 0
        assert 'no cluster "none" here' in done.stderr


def test_another_engine_of_the_same_name_is_refused(engine: ProcessEngine, home: Path) -> None:
    started(engine, home)
    rival = ContainerEngine("lab", None, home)
    with pytest.raises(Trouble, match='"lab" is here already with ENGINE=process'):
        expect_no_rival(rival, home, FAKE)
    expect_no_rival(engine, home, FAKE)
