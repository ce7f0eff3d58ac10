"""`make bench`: how fast a node answers, as a ratio to a bare handler measured in the same run.

The benchmark runs one shard of three nodes as local processes, and beside it the bare program of
`cluster.benchmarks.bare_server`; wrk loads them with 32 connections on loopback.  Rounds alternate
(bare, ours, bare, ours ...) and the report has medians, so a busy machine slows both.  The nodes
take requests of the asg4 contract, and as "native" those of the native API.  A second cluster of
two shards shows the price of forwarding.  The report claims only ratios, and says what ran.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology
from node.core.model.keys import key_hash_of, slot_of
from node.core.model.placement import first_view

CONNECTIONS = 32
KEYS = 1000
VALUE = "x" * 100
FIRST_PORT = 18100
READY_S = 20.0

SCRIPT = """
local keys = {KEYS}
local n = 0
local body = 'BODY'
local headers = {["Content-Type"] = "TYPE"}
request = function()
  n = n + 1
  local path = "PATH" .. keys[n % #keys + 1]
  if "METHOD" == "PUT" then return wrk.format("PUT", path, headers, body) end
  return wrk.format("GET", path)
end
"""


class Target(NamedTuple):
    """Where a load goes, and what a write sends there."""

    port: int
    path: str = "/kvs/"
    body: str = f'{{"value":"{VALUE}","causal-metadata":{{}}}}'
    content_type: str = "application/json"


@dataclass
class Figure:
    """The figures of one load, by round."""

    per_second: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    errors: int = 0

    def median(self) -> float:
        return statistics.median(self.per_second)


def keys_of(shard: str, topology: Topology) -> list[str]:
    """Return keys of this shard, by the nodes' own arithmetic."""
    view = first_view([node.address for node in topology.nodes], topology.shards)
    names = (f"key{i}" for i in range(100 * KEYS))
    mine = (key for key in names if view.shard_of(slot_of(key_hash_of(key, True))).id == shard)
    return list(islice(mine, KEYS))


def load(
    target: Target, method: str, keys: list[str], seconds: int, folder: Path
) -> tuple[float, ...]:
    """Run one round of wrk: requests per second, p99 in ms, number of errors."""
    script = folder / f"{method}.lua"
    names = ",".join(f'"{key}"' for key in keys)
    text = SCRIPT.replace("KEYS", names).replace("METHOD", method).replace("PATH", target.path)
    script.write_text(text.replace("BODY", target.body).replace("TYPE", target.content_type))
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{target.port}"], capture_output=True, text=True, check=True
    )
    return parsed(done.stdout)


def parsed(report: str) -> tuple[float, ...]:
    """Return the figures in wrk's report."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", report)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report
    )
    if rate is None or p99 is None:
        raise ValueError(f"wrk said something unexpected:\n{report}")
    factor = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    errors = int(bad[1]) if bad else 0
    errors += sum(map(int, broken.groups())) if broken else 0
    return float(rate[1]), float(p99[1]) * factor, errors


@contextmanager
def bare_program(port: int) -> Iterator[None]:
    """Run the yardstick for the block, from its first answer on."""
    process = subprocess.Popen([sys.executable, "-m", "cluster.benchmarks.bare_server", str(port)])
    try:
        if (
            node_client.until(lambda: node_client.ask("GET", port, "/kvs/none")[0] or None, READY_S)
            is None
        ):
            raise TimeoutError(f"the bare program did not answer within {READY_S} s")
        yield
    finally:
        process.terminate()
        process.wait(timeout=READY_S)


@contextmanager
def nodes(topology: Topology, home: Path, report: Report) -> Iterator[None]:
    """Run a ready cluster of local processes for the block, and remove it afterwards."""
    engine = ProcessEngine(topology.name, home)
    ports = [node.host_port for node in topology.nodes]
    try:
        engine.prepare(topology, report)
        engine.launch([node.name for node in topology.nodes])
        if (
            node_client.until(lambda: not any(map(node_client.unready, ports)) or None, READY_S)
            is None
        ):
            raise TimeoutError(f"{topology.shape} were not ready within {READY_S} s")
        yield
    finally:
        engine.clean()


def fill(port: int, keys: list[str]) -> None:
    """Write every key before the first GET."""
    for key in keys:
        node_client.ask("PUT", port, f"/kvs/{key}", {"value": VALUE, "causal-metadata": {}})


Figures = dict[str, Figure]


def measure(rounds: int, seconds: int, report: Report) -> Figures:
    """Return all figures by name: "bare GET", "GET", "native GET", "forwarded GET" and so on."""
    figures: Figures = {}
    one = Topology("bench-one", 1, 3, "process", base_port=FIRST_PORT + 1)
    two = Topology("bench-two", 2, 3, "process", base_port=FIRST_PORT + 4)
    with tempfile.TemporaryDirectory(prefix="coterie-bench-") as folder, bare_program(FIRST_PORT):
        for topology, shard, kind in ((one, "s1", ""), (two, "s2", "forwarded ")):
            with nodes(topology, Path(folder), report):
                keys = keys_of(shard, topology)
                port = topology.nodes[0].host_port
                targets = {
                    "bare ": Target(FIRST_PORT),
                    kind: Target(port),
                    f"{kind}native ": Target(port, "/v1/kv/", VALUE, "text/plain"),
                }
                fill(FIRST_PORT, keys)
                fill(port, keys)
                for number in range(rounds):
                    report.note(f"{kind or 'local '}round {number + 1} of {rounds}")
                    one_round(figures, targets, keys, seconds, Path(folder))
    return figures


def one_round(
    figures: Figures, targets: dict[str, Target], keys: list[str], seconds: int, folder: Path
) -> None:
    """Run GET and PUT at each of the targets, bare and ours in turn."""
    for method in ("GET", "PUT"):
        for kind, target in targets.items():
            rate, p99, errors = load(target, method, keys, seconds, folder)
            figure = figures.setdefault(kind + method, Figure())
            figure.per_second.append(rate)
            figure.p99_ms.append(p99)
            figure.errors += int(errors)


def table_of(figures: Figures, rounds: int, seconds: int) -> Table:
    title = (
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, "
        f"wrk -c{CONNECTIONS}, {rounds} rounds of {seconds} s in turn, medians, "
        f"{len(VALUE)} B values, DURABILITY=full"
    )
    table = Table(title=title)
    for heading in ("load", "requests/s", "x bare", "p99 ms", "p99 x bare", "errors"):
        table.add_column(heading, justify="left" if heading == "load" else "right")
    for name, figure in figures.items():
        bare = figures["bare GET" if name.endswith("GET") else "bare PUT"]
        p99, bare_p99 = statistics.median(figure.p99_ms), statistics.median(bare.p99_ms)
        ratio, tail = figure.median() / bare.median(), p99 / bare_p99
        row = f"{figure.median():.0f}", f"{ratio:.2f}", f"{p99:.1f}", f"{tail:.1f}"
        table.add_row(name, *row, str(figure.errors))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.benchmarks.requests", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    given = parser.parse_args()
    report = Report()
    if shutil.which("wrk") is None:
        report.error("make bench needs wrk, the load generator; on Debian: apt-get install wrk")
        return 1
    figures = measure(given.rounds, given.seconds, report)
    Console(width=120).print(table_of(figures, given.rounds, given.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
