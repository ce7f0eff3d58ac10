"""The commands of docs/command.md, in their order, at a real cluster: each prints what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.engines.processes import ProcessEngine
from tests.coterie_command import PROGRAM
from tests.launching import ROOT
from tests.scenarios.conftest import Cluster
from tests.scenarios.printed import Example, is_printed
from tests.scenarios.script import ask, eventually
from tests.tables import DOCS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

PAGE = (DOCS / "command.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HERE = "<<'END'"  # a command that goes on to a line END
NOTICED_S = 15.0


def examples_in(page: str) -> list[Example]:
    found = []
    for block in CONSOLE.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            if HERE in command:
                rest, _, printed = printed.partition("\nEND\n")
                command = f"{command}\n{rest}\nEND"
            found.append(Example(command, printed.rstrip("\n")))
    return found


def command_for(engine: ProcessEngine, folder: Path) -> None:
    """Write a `coterie` into the folder that is for the cluster of this engine."""
    program = folder / "coterie"
    run = f'exec {sys.executable} -c "{PROGRAM}" {engine.home} "$@" --name {engine.name}'
    program.write_text(f"#!/bin/sh\n{run}\n")
    program.chmod(0o755)


def await_the_cut(cluster: Cluster) -> None:
    """Wait until the other nodes know that they cannot reach frank, and he knows it of them."""
    frank = cluster.address("frank")

    def is_noticed() -> bool:
        said = {name: ask("GET", f"{url}/v1/status")[1] for name, url in cluster.urls.items()}
        told = {name: status["peers"] for name, status in said.items()}
        others = [peers[frank]["reachable"] for name, peers in told.items() if name != "frank"]
        return not any(others) and not any(p["reachable"] for p in told["frank"].values())

    assert eventually(is_noticed, NOTICED_S)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("cluster", ["process"], indirect=True)
def test_each_command_prints_what_the_page_says(cluster: Cluster, tmp_path: Path) -> None:
    engine = cluster.engine
    assert isinstance(engine, ProcessEngine)
    command_for(engine, tmp_path)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "no_proxy": "*"}
    examples = examples_in(PAGE)
    assert len(examples) == PAGE.count("\n$ ") >= 20
    for example in examples:
        ended = subprocess.run(
            ["sh", "-c", f"{{ {example.command}\n}} 2>&1"],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert is_printed(example, ended.stdout), f"{example.command}\n{ended.stdout}"
        if example.command.startswith("coterie split"):
            await_the_cut(cluster)


def test_other_text_is_noticed() -> None:
    example = Example("coterie get cart", "a ... c\nd")
    assert is_printed(example, "a b\nb c\nd\n")
    assert not is_printed(example, "a b c\n")
    assert not is_printed(example, "a b c\nd\ne")
