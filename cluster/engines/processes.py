"""Nodes as local processes on 127.0.0.1: no image, no subnet, the same ports and commands.

The engine signals a process only if its number and its time of birth are the recorded ones, since
the system may have given the number to another process.  Nodes live in sessions of their own and
outlive the launcher.  The nodes themselves make a split (`PUT /v1/faults`).
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.engine import STOP_TIMEOUT_S, TAIL_LINES, NodeState, expect_state, recalled
from cluster.engines.host import expect_free, life_of
from cluster.engines.partition_file import SplitFile, settle, tell
from cluster.engines.topology import EngineKind, Topology

LOG_BYTES_MAX = 50_000_000  # a longer log is renamed, once, when its node starts again
TAIL_BYTES_MAX = 256_000
FOLLOW_EVERY_S = 0.2
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE")
# The shell ends at once, so no launcher is the parent of a node and has to wait for its end.
DETACH = 'exec "$@" </dev/null >>"$LOG" 2>&1 & echo $!'


class ProcessEngine:
    """A cluster of local processes; all its files are below `home`/NAME."""

    kind: EngineKind = "process"

    def __init__(self, name: str, home: Path, module: str = "node") -> None:
        self.name = name
        self.home = home.resolve()
        self.module = module
        self.place = self.home / name
        self.split_file = SplitFile(self.place / "split.json")

    def recall(self) -> Topology | None:
        """Read the topology that `prepare` wrote beside the data."""
        return _topology_in(self.place)

    def neighbours(self) -> list[Topology]:
        """Read the topologies of the other clusters below `home`."""
        found = [_topology_in(place) for place in sorted(self.home.glob("*/"))]
        return [topology for topology in found if topology and topology.name != self.name]

    def subnets_taken(self) -> dict[str, str]:
        """Return none: all local processes share 127.0.0.1."""
        return {}

    def prepare(self, topology: Topology, report: Report) -> None:
        """Make the directories, and refuse ports that other programs listen on."""
        states = self.states()
        for node in topology.nodes:
            if states.get(node.name, NodeState.STOPPED) in (NodeState.STOPPED, NodeState.MISSING):
                expect_free(node.host_port)
        with report.phase(f"data in {_short(self.place / 'data')}"):
            for part in ("data", "logs"):
                (self.place / part).mkdir(parents=True, exist_ok=True)
            _write(self.place / "process.json", topology.to_json())

    def launch(self, names: Sequence[str]) -> None:
        """Start the nodes that do not run."""
        topology = recalled(self)
        states = self.states()
        for name in names:
            if states[name] == NodeState.STOPPED:
                self._spawn(topology, name)

    def _spawn(self, topology: Topology, name: str) -> None:
        log = self.log_of(name)
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        settings = topology.environment(topology.node(name))
        data = str(self.place / "data" / name)
        passed_on = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        environment = {**passed_on, **settings, "DATA_DIR": data, "PYTHONUNBUFFERED": "1"}
        number = subprocess.run(
            ["/bin/sh", "-c", DETACH, "sh", sys.executable, "-m", self.module],
            env={**environment, "LOG": str(log)},
            cwd=Path(__file__).resolve().parents[2],
            stdout=subprocess.PIPE,
            check=True,
            start_new_session=True,
        ).stdout
        pid = int(number)
        records = self._records()
        records[name] = [pid, life_of(pid)[0]]
        _write(self.place / "pids.json", records)

    def halt(self, names: Sequence[str]) -> None:
        """Ask the nodes to end, all at once; kill them after the timeout."""
        self._signal(names, signal.SIGTERM)
        self._signal(names, signal.SIGCONT)
        if not self._gone(names):
            self._signal(names, signal.SIGKILL)
            self._gone(names)

    def stop(self) -> None:
        """Stop all recorded processes; data and logs stay."""
        self.halt(list(self._records()))
        (self.place / "pids.json").unlink(missing_ok=True)
        self.split_file.write([])

    def clean(self) -> None:
        """Stop all processes, and remove the cluster's directory."""
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def kill(self, node: str) -> None:
        """Send SIGKILL and wait until the process is gone."""
        expect_state(self, node, NodeState.RUNNING, NodeState.PAUSED)
        self._signal([node], signal.SIGKILL)
        self._gone([node])

    def start(self, node: str) -> None:
        """Start the process again; while the cluster is split, cut it off once it answers."""
        expect_state(self, node, NodeState.STOPPED)
        topology = recalled(self)
        expect_free(topology.node(node).host_port)
        self._spawn(topology, node)
        settle(topology, self.split_file.read(), node)

    def pause(self, node: str) -> None:
        """Send SIGSTOP and wait until the process has stopped."""
        expect_state(self, node, NodeState.RUNNING)
        self._signal([node], signal.SIGSTOP)
        self._arrives(node, NodeState.PAUSED)

    def resume(self, node: str) -> None:
        """Send SIGCONT, and tell the node how the split has changed meanwhile."""
        expect_state(self, node, NodeState.PAUSED)
        self._signal([node], signal.SIGCONT)
        self._arrives(node, NodeState.RUNNING)
        tell(recalled(self), self.split_file.read(), [node])

    def wipe(self, node: str) -> None:
        """Remove the node's data directory."""
        expect_state(self, node, NodeState.STOPPED)
        shutil.rmtree(self.place / "data" / node, ignore_errors=True)

    def split(self, groups: Sequence[Sequence[str]]) -> None:
        """Tell every running node to ignore the other groups."""
        topology = recalled(self)
        self.split_file.write(groups)
        tell(topology, groups, self._running())

    def heal(self) -> None:
        """Let every running node end its cuts."""
        topology = recalled(self)
        self.split_file.write([])
        tell(topology, [], self._running())

    def log_of(self, node: str) -> Path:
        """Return the file with the node's output."""
        return self.place / "logs" / f"{node}.log"

    def groups(self) -> list[list[str]]:
        """Read the groups that `split` wrote."""
        return self.split_file.read()

    def logs(self, node: str, tail: int = TAIL_LINES) -> list[str]:
        """Return the last lines of the node's log file."""
        recalled(self).node(node)
        if not self.log_of(node).exists():
            return []
        with self.log_of(node).open("rb") as log:
            lines = _tail_of(log).decode(errors="replace").splitlines()
        return lines[-tail:] if tail else []

    def follow(self, node: str, tail: int = TAIL_LINES) -> Iterator[str]:
        """Yield the last lines, then each new line."""
        recalled(self).node(node)
        self.log_of(node).touch()
        with self.log_of(node).open("rb") as log:
            pending = _tail_of(log)
            *lines, pending = pending.split(b"\n")
            yield from (
                line.decode(errors="replace") for line in lines[max(0, len(lines) - tail) :]
            )
            while True:
                *lines, pending = (pending + log.read()).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
                time.sleep(FOLLOW_EVERY_S)

    def states(self) -> dict[str, NodeState]:
        """Return the state of every node's process."""
        topology = self.recall()
        records = self._records()
        nodes = topology.nodes if topology else ()
        return {node.name: _state_of(records.get(node.name)) for node in nodes}

    def endpoints(self) -> dict[str, str]:
        """Return the URL of every node."""
        return {node.name: node.url for node in recalled(self).nodes}

    def containers(self) -> dict[str, str]:
        """Return the number of each node's process."""
        states = self.states()
        there = {n: r for n, r in self._records().items() if states.get(n) != NodeState.STOPPED}
        return {name: f"process {record[0]}" for name, record in there.items()}

    def _records(self) -> dict[str, list[int | str | None]]:
        path = self.place / "pids.json"
        records: dict[str, list[int | str | None]] = (
            json.loads(path.read_text()) if path.exists() else {}
        )
        return records

    def _running(self) -> list[str]:
        return [name for name, state in self.states().items() if state == NodeState.RUNNING]

    def _signal(self, names: Sequence[str], what: signal.Signals) -> None:
        records = self._records()
        for name in names:
            if _state_of(records.get(name)) != NodeState.STOPPED:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(str(records[name][0])), what)

    def _arrives(self, node: str, state: NodeState) -> None:
        node_client.until(lambda: self.states()[node] == state or None, STOP_TIMEOUT_S)

    def _gone(self, names: Sequence[str]) -> bool:
        records = [record for name, record in self._records().items() if name in names]
        gone = {NodeState.STOPPED}
        return bool(
            node_client.until(
                lambda: {_state_of(record) for record in records} <= gone or None, STOP_TIMEOUT_S
            )
        )


def _state_of(record: list[int | str | None] | None) -> NodeState:
    if record is None:
        return NodeState.STOPPED
    birth, letter = life_of(int(str(record[0])))
    if birth is None or birth != record[1] or letter in "ZX":
        return NodeState.STOPPED
    return NodeState.PAUSED if letter in "Tt" else NodeState.RUNNING


def _tail_of(log: BinaryIO) -> bytes:
    log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES_MAX))
    return log.read()


def _topology_in(place: Path) -> Topology | None:
    path = place / "process.json"
    return Topology.from_json(json.loads(path.read_text())) if path.exists() else None


def _write(path: Path, document: object) -> None:
    """Replace the file whole: a launcher that dies leaves the old one or the new one."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(document, indent=1))
    draft.replace(path)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
