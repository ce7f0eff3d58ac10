"""`make bench-move`: what a view change costs the clients of a running cluster.

The benchmark runs six nodes as local processes with a hundred thousand keys.  Sessions in a closed
loop (half reads, half writes, each passing its metadata on) go on while the cluster goes from two
shards to three and back.  The report compares the sessions' answers in calm and during the moves.
It also says how fast keys moved, and how many slots did, next to the fewest possible.  It compares
latencies within the run.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from cluster.benchmarks.requests import VALUE, nodes
from cluster.engines.console import Report
from cluster.engines.topology import Topology
from node.core.model.keys import SLOTS
from node.core.model.placement import first_view, moved_slots, reshaped
from node.core.model.view import Layout

FIRST_PORT = 18200
FILLERS = 32
CALM_S = 6.0
SETTLED_WITHIN_S = 120.0
LOOK_EVERY_S = 0.1
RETRY_S = 1.2  # how long a client of this contract retries when its metadata is ahead
UNMET = {"error": "Causal dependencies not satisfied; try again later"}


@dataclass
class Phase:
    """A stretch of the run: the seconds of its requests, retries included, and failed answers."""

    name: str
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Move:
    """One change of the number of shards; `copies` counts a key once for each node that got it."""

    shards: int
    seconds: float
    keys: int
    copies: int
    slots: int
    fewest: int


class Load:
    """Sessions on a cluster; their answers count for the current phase."""

    def __init__(self, client: aiohttp.ClientSession, topology: Topology, keys: int) -> None:
        self._client, self.keys = client, keys
        self.ports = [node.host_port for node in topology.nodes]
        addresses = [node.address for node in topology.nodes]
        self.layout: Layout = first_view(addresses, topology.shards).layout
        self.phases = [Phase("calm")]
        self.over = False

    async def ask(
        self, method: str, port: int, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        url = f"http://127.0.0.1:{port}{path}"
        async with self._client.request(method, url, json=body) as answer:
            return answer.status, await answer.json()

    async def fill(self) -> None:
        numbers = iter(range(self.keys))

        async def work() -> None:
            for number in numbers:
                port = self.ports[number % len(self.ports)]
                body = {"value": VALUE, "causal-metadata": {}}
                status, said = await self.ask("PUT", port, f"/kvs/key{number}", body)
                if status not in (200, 201):
                    raise RuntimeError(f"key{number} was answered {status}: {said}")

        await asyncio.gather(*(work() for _ in range(FILLERS)))

    async def session(self, number: int) -> None:
        """Run one client in a closed loop, at any node, until the end of the run."""
        chance = random.Random(number)
        metadata: Any = {}
        while not self.over:
            key, port = chance.randrange(self.keys), chance.choice(self.ports)
            method = chance.choice(("GET", "PUT"))
            body = {"causal-metadata": metadata}
            if method == "PUT":
                body["value"] = f"{number}-{key}"
            phase, began = self.phases[-1], time.perf_counter()
            status, said = await self.ask(method, port, f"/kvs/key{key}", body)
            while said == UNMET and time.perf_counter() - began < RETRY_S:
                status, said = await self.ask(method, port, f"/kvs/key{key}", body)
            phase.seconds.append(time.perf_counter() - began)
            if status in (200, 201):
                metadata = said["causal-metadata"]
            else:
                phase.failed.append(f"{method} key{key}: {status} {said}")

    async def statuses(self) -> list[dict[str, Any]]:
        asked = (self.ask("GET", port, "/v1/status", {}) for port in self.ports)
        return [status for _, status in await asyncio.gather(*asked)]

    async def move(self, shards: int) -> Move:
        """Reshard, and wait until every node has handed its old slots to the new owners."""
        then = reshaped(self.layout, self.layout.nodes, shards)
        moved, fewest = len(moved_slots(self.layout, then)), fewest_slots(self.layout, shards)
        self.layout = then
        before = await self._pulled()
        self.phases.append(Phase(f"to {shards} shards"))
        began = time.perf_counter()
        request = {"shard-count": shards}
        status, said = await self.ask("PUT", self.ports[0], "/shard/reshard", request)
        if status != 200:
            raise RuntimeError(f"reshard was answered {status}: {said}")
        while not all(s["settled"] and not s["leaving_slots"] for s in await self.statuses()):
            if time.perf_counter() - began > SETTLED_WITHIN_S:
                raise TimeoutError(f"not settled within {SETTLED_WITHIN_S} s")
            await asyncio.sleep(LOOK_EVERY_S)
        seconds = time.perf_counter() - began
        self.phases.append(Phase("calm"))
        copies = await self._pulled() - before
        return Move(shards, seconds, self.keys * moved // SLOTS, copies, moved, fewest)

    async def _pulled(self) -> int:
        return sum(status["repair"]["pulled_items"] for status in await self.statuses())


def fewest_slots(layout: Layout, shards: int) -> int:
    """Return the fewest slots that must change their shard for equal shares."""
    had = Counter(layout.owner)
    share = [SLOTS // shards + (i < SLOTS % shards) for i in range(shards)]
    return SLOTS - sum(min(had[shard], share[shard]) for shard in range(shards))


async def measure(
    topology: Topology, keys: int, sessions: int, report: Report
) -> tuple[Load, list[Move]]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        load = Load(client, topology, keys)
        report.note(f"writing {keys} keys")
        await load.fill()
        moves = []
        async with asyncio.TaskGroup() as group:
            for number in range(sessions):
                group.create_task(load.session(number))
            await asyncio.sleep(CALM_S)
            for shards in (topology.shards + 1, topology.shards):
                report.note(f"moving to {shards} shards")
                moves.append(await load.move(shards))
                await asyncio.sleep(CALM_S)
            load.over = True
    return load, moves


def table_of_phases(load: Load) -> Table:
    calm = Phase("calm", [s for p in load.phases if p.name == "calm" for s in p.seconds])
    table = Table(title="what the sessions met")
    for heading in ("phase", "requests", "p50 ms", "p99 ms", "p99 x calm", "longest ms", "failed"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    moving = [phase for phase in load.phases if phase.name != "calm"]
    for phase in (calm, *moving):
        p99 = phase.quantile_ms(0.99)
        figures = (phase.quantile_ms(0.5), p99, p99 / calm.quantile_ms(0.99), phase.quantile_ms(1))
        failed = sum(len(p.failed) for p in load.phases if p.name == phase.name)
        words = (f"{figure:.1f}" for figure in figures)
        table.add_row(phase.name, str(len(phase.seconds)), *words, str(failed))
    return table


def table_of_moves(moves: list[Move]) -> Table:
    table = Table(title="what moved")
    for heading in ("to", "seconds", "keys", "keys/s", "copies", "copies/s", "slots", "x fewest"):
        table.add_column(heading, justify="right")
    for move in moves:
        rates = f"{move.keys / move.seconds:.0f}", f"{move.copies / move.seconds:.0f}"
        table.add_row(
            f"{move.shards} shards",
            f"{move.seconds:.2f}",
            str(move.keys),
            rates[0],
            str(move.copies),
            rates[1],
            str(move.slots),
            f"{move.slots / move.fewest:.3f}",
        )
    return table


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.benchmarks.resharding", description=__doc__
    )
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=8)
    given = parser.parse_args()
    report, console = Report(), Console(width=120)
    topology = Topology("bench-move", 2, 3, "process", base_port=FIRST_PORT)
    with (
        tempfile.TemporaryDirectory(prefix="coterie-bench-") as folder,
        nodes(topology, Path(folder), report),
    ):
        load, moves = asyncio.run(measure(topology, given.keys, given.sessions, report))
    console.print(table_of_phases(load))
    console.print(table_of_moves(moves))
    for phase in load.phases:
        for failure in phase.failed[:3]:
            console.print(f"[{phase.name}] {failure}", markup=False)
    return 1 if any(phase.failed for phase in load.phases) else 0


if __name__ == "__main__":
    sys.exit(main())
