"""The examples on real nodes: each story goes as it is told, also where a partition is left out."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from examples.stage.real import NODES_WANTED
from tests.examples.page import ROOT, commands
from tests.examples.told import STORIES
from tests.node_process import await_ready, environment, free_addresses, node
from tests.scenarios.conftest import Cluster
from tests.scenarios.stage import ON_PROCESSES

ON_A_CLUSTER = [shown for shown in commands() if "--url" in shown.command]
PORT_OF_ALICE = 8082


def told_by(arguments: list[str]) -> str:
    """Run a story; return its log as it stands."""
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    return run.stdout


def unwrapped(log: str) -> str:
    return " ".join(log.split())


def told_at(name: str, urls: list[str]) -> str:
    options = [word for url in urls for word in ("--url", url)]
    return told_by([sys.executable, "-m", f"examples.{name}", *options])


@pytest.mark.parametrize(
    "cluster", [pytest.param("process", marks=ON_PROCESSES)], indirect=True, scope="module"
)
class TestOnACluster:
    """Six nodes in two shards, which let clients cut them off."""

    @pytest.mark.parametrize("name", STORIES)
    def test_a_story_goes_as_it_is_told(self, cluster: Cluster, name: str) -> None:
        log = told_at(name, list(cluster.urls.values())[:NODES_WANTED])
        assert "left out" not in log
        assert ("is cut off from all others" in log) == (name in ("partition", "read_repair"))

    @pytest.mark.parametrize("name", STORIES)
    def test_one_url_is_enough(self, cluster: Cluster, name: str) -> None:
        told_at(name, list(cluster.urls.values())[:1])

    def test_a_partition_wants_nodes_of_one_shard(self, cluster: Cluster) -> None:
        log = told_at("partition", list(cluster.urls.values())[1:4])
        assert "left out: a partition needs --url three times" in unwrapped(log)

    def test_the_page_says_what_its_command_prints(self, cluster: Cluster) -> None:
        [shown] = ON_A_CLUSTER
        command = " ".join(shown.arguments)
        for place, url in enumerate(cluster.urls.values()):
            command = command.replace(f"http://localhost:{PORT_OF_ALICE + place}", url)
        assert shown.missing_in(told_by(command.split())) == ""


@ON_PROCESSES
def test_without_faults_a_story_says_what_it_leaves_out(tmp_path: Path) -> None:
    addresses = free_addresses(NODES_WANTED)
    view = {"VIEW": ",".join(addresses), "SHARD_COUNT": "1"}
    with ExitStack() as nodes:
        for address in addresses:
            nodes.enter_context(node(environment(tmp_path, address, **view)))
        for address in addresses:
            await_ready(address)
        for name in ("partition", "read_repair"):
            log = told_at(name, [f"http://{address}" for address in addresses])
            assert "left out: these nodes take no faults" in unwrapped(log)
