"""The reaper ends what an interrupted run of the tests leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cluster.engines import node_client
from tests import reaper
from tests.launching import ROOT, are_gone

GONE_S = 15.0
START_S = 120.0


@contextmanager
def sleeper(data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Return a process in a session of its own, with its data there, as nodes are."""
    env = {"DATA_DIR": str(data)}
    with subprocess.Popen(["/bin/sleep", "600"], env=env, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_when_the_worker_has_ended_its_nodes_are_killed_and_no_others(tmp_path: Path) -> None:
    ours, others = tmp_path / "gw0", tmp_path / "gw01"
    with ExitStack() as stack:
        mine = stack.enter_context(sleeper(ours / "views" / "data" / "alice"))
        other = stack.enter_context(sleeper(others / "data"))
        reaping = reaper.started(ours)
        assert mine.poll() is None
        reaping.communicate(timeout=GONE_S)
        assert mine.wait(GONE_S) == -signal.SIGKILL
        assert other.poll() is None


def test_after_ctrl_c_a_worker_that_goes_on_keeps_no_nodes(tmp_path: Path) -> None:
    with sleeper(tmp_path / "data") as node:
        reaping = reaper.started(tmp_path)
        assert node_client.until(lambda: _catches_ctrl_c(reaping.pid) or None, GONE_S)
        reaping.send_signal(signal.SIGINT)
        assert node.wait(GONE_S) == -signal.SIGKILL
        assert reaping.poll() is None
        reaping.communicate(timeout=GONE_S)


def _catches_ctrl_c(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))  # set after SIGINT


@pytest.mark.parametrize(
    ("cluster", "is_ours"),
    [("views-47", True), ("causal-47-0", True), ("views-471", False), ("views-147", False),
     ("dev", False), ("47", False), ("", False)],
)  # fmt: skip
def test_the_clusters_of_a_worker_have_its_number(cluster: str, is_ours: bool) -> None:
    assert reaper.is_of(cluster, 47) is is_ours


def nodes_of(folder: str) -> list[int]:
    return list(reaper.nodes_below(folder))


@contextmanager
def ctrl_c_ends_children() -> Iterator[None]:
    """Let children see Ctrl-C, which a shell's background processes and their children ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_within_a_scenario_leaves_nothing(tmp_path: Path) -> None:
    options = ["-n", "1", "--dist", "loadgroup", "-q", "--basetemp", str(tmp_path / "run")]
    scenario = ["tests/scenarios/test_crash.py", "-k", "process"]
    command = [sys.executable, "-m", "pytest", *options, *scenario]
    env = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    with ctrl_c_ends_children():
        run = subprocess.Popen(
            command, cwd=ROOT, env=env, start_new_session=True, stdout=subprocess.DEVNULL
        )
    with run:
        try:
            below = str(tmp_path / "run")
            assert node_client.until(lambda: len(nodes_of(below)) == 6 or None, START_S)
            nodes = nodes_of(below)
            os.killpg(run.pid, signal.SIGINT)
            interrupted = time.monotonic()
            assert node_client.until(lambda: are_gone(nodes) or None, GONE_S)
            assert node_client.until(lambda: not nodes_of(below) or None, GONE_S)
            assert time.monotonic() - interrupted < GONE_S
            run.wait(2 * GONE_S)
            assert not nodes_of(below)
        finally:
            run.kill()
            reaper.kill_nodes(str(tmp_path))
