"""`make bench`: how fast a node answers, as a ratio to a bare handler measured in the same run.

One shard of three nodes as local processes, and beside it the bare program of `cluster.bare`; wrk
with 32 connections on loopback.  Rounds go in turn (bare, ours, bare, ours ...) and medians are
reported, so that a busy machine slows both.  A second cluster of two shards shows the price of being
forwarded.  Only ratios are claimed; the report says what ran.
"""

import argparse
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from node.core.view import digest_of, first_view, slot_of

CONNECTIONS = 32
KEYS = 1000
VALUE = "x" * 100
FIRST_PORT = 18100

SCRIPT = """
local keys = {KEYS}
local n = 0
local body = '{"value":"VALUE","causal-metadata":{}}'
local headers = {["Content-Type"] = "application/json"}
request = function()
  n = n + 1
  local path = "/kvs/" .. keys[n % #keys + 1]
  if "METHOD" == "PUT" then return wrk.format("PUT", path, headers, body) end
  return wrk.format("GET", path)
end
"""


@dataclass
class Figure:
    """What the rounds of one load gave."""

    per_second: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    errors: int = 0

    def median(self) -> float:
        return statistics.median(self.per_second)


def keys_of(shard: str, ports: list[int], shards: int) -> list[str]:
    """Keys that live in this shard, by the same arithmetic as the nodes'."""
    view = first_view([f"127.0.0.1:{port}" for port in ports], shards)
    names = (f"key{i}" for i in range(100 * KEYS))
    mine = (key for key in names if view.shard_of(slot_of(digest_of(key, True))).id == shard)
    return [key for _, key in zip(range(KEYS), mine, strict=False)]


def load(port: int, method: str, keys: list[str], seconds: int, folder: Path) -> tuple[float, ...]:
    """One round of wrk: requests per second, p99 in ms, answers that were errors."""
    script = folder / f"{method}.lua"
    names = ",".join(f'"{key}"' for key in keys)
    text = SCRIPT.replace("KEYS", names).replace("VALUE", VALUE).replace("METHOD", method)
    script.write_text(text)
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
    )
    return parsed(done.stdout)


def parsed(report: str) -> tuple[float, ...]:
    """The figures in wrk's report."""
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
def program(command: list[str], environ: dict[str, str], ready: str) -> Iterator[None]:
    """A process of ours, from its first answer to its end."""
    process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL)
    try:
        wait_for(ready, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=15)


def wait_for(url: str, process: subprocess.Popen[bytes], patience_s: float = 20.0) -> None:
    """Until the address answers anything but 503; TimeoutError when it does not."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ChildProcessError(f"{process.args!r} ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{url} was not ready within {patience_s} s")


def start_nodes(stack: ExitStack, ports: list[int], shards: int, folder: Path) -> None:
    """A cluster of local processes; all are started before the first is awaited."""
    view = ",".join(f"127.0.0.1:{port}" for port in ports)
    processes = []
    for port in ports:
        environ = {
            "SOCKET_ADDRESS": f"127.0.0.1:{port}",
            "VIEW": view,
            "SHARD_COUNT": str(shards),
            "DATA_DIR": str(folder / str(port)),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "node"],
            env={**os.environ, **environ},
            stdout=subprocess.DEVNULL,
        )
        stack.callback(process.wait, timeout=15)
        stack.callback(process.send_signal, signal.SIGTERM)
        processes.append((port, process))
    for port, process in processes:
        wait_for(f"http://127.0.0.1:{port}/readyz", process)


def fill(port: int, keys: list[str]) -> None:
    """Every key is there before the first GET."""
    for key in keys:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/kvs/{key}",
            data=f'{{"value":"{VALUE}","causal-metadata":{{}}}}'.encode(),
            method="PUT",
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5):
            pass


def measure(rounds: int, seconds: int, say: Callable[[str], None]) -> dict[str, Figure]:
    """All figures by name: «bare GET», «GET», «PUT», «forwarded GET», «forwarded PUT»."""
    figures: dict[str, Figure] = {}
    folder = Path(tempfile.mkdtemp(prefix="coterie-bench-"))
    bare, one, two = FIRST_PORT, [FIRST_PORT + i for i in (1, 2, 3)], list(range(18104, 18110))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = f"http://127.0.0.1:{bare}/kvs/none"
        stack.enter_context(program([sys.executable, "-m", "cluster.bare", str(bare)], {}, url))
        local = keys_of("s1", one, 1)
        for shards, ports in ((1, one), (2, two)):
            with ExitStack() as nodes:
                say(f"starting {len(ports)} nodes, {shards} shard(s)")
                start_nodes(nodes, ports, shards, folder)
                away = keys_of("s2", two, 2) if shards == 2 else local
                kind = "forwarded " if shards == 2 else ""
                for port in (bare, ports[0]):
                    fill(port, away)
                for number in range(rounds):
                    for method in ("GET", "PUT"):
                        for name, port in ((f"bare {method}", bare), (kind + method, ports[0])):
                            say(f"round {number + 1}/{rounds}: {name}")
                            rate, p99, errors = load(port, method, away, seconds, folder)
                            figure = figures.setdefault(name, Figure())
                            figure.per_second.append(rate)
                            figure.p99_ms.append(p99)
                            figure.errors += int(errors)
    return figures


def report(figures: dict[str, Figure], rounds: int, seconds: int) -> Table:
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
    parser = argparse.ArgumentParser(prog="python -m cluster.benchmark", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    given = parser.parse_args()
    console = Console(stderr=True)
    if shutil.which("wrk") is None:
        console.print("make bench needs wrk, the load generator; on Debian: apt-get install wrk")
        return 1
    figures = measure(given.rounds, given.seconds, lambda line: console.print(f"  {line}"))
    Console(width=120).print(report(figures, given.rounds, given.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
