"""The `coterie` command, run as a program against a cluster of a test."""

import json
import subprocess
import sys

from cluster.engines.engine import recalled
from cluster.engines.processes import ProcessEngine
from tests.launching import ROOT

PROGRAM = (
    "import sys; from pathlib import Path; from cluster.cli import app as m;"
    "m.Run.home = Path(sys.argv.pop(1)); m.main()"
)


def coterie(engine: ProcessEngine, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(engine.home), *words, "--name", engine.name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(engine: ProcessEngine, *words: str) -> str:
    """What the command prints; it must succeed."""
    ended = coterie(engine, *words)
    assert ended.returncode == 0, ended.stderr
    assert "\x1b[" not in ended.stdout + ended.stderr
    return ended.stdout


def shards(engine: ProcessEngine) -> dict[str, list[str]]:
    """The members of each shard, by name."""
    topology = recalled(engine)
    names = {node.address: node.name for node in topology.nodes}
    found = json.loads(done(engine, "view", "show", "--json"))["view"]["shards"]
    return {shard: [names[node] for node in members] for shard, members in found.items()}
