"""Each command of docs/api.md is answered by a real cluster as its row says."""

import os
import shutil
import subprocess

import pytest

from tests.api_page import ROWS
from tests.scenarios.conftest import Cluster

PORT_OF_ALICE = 8082
ENV = {**os.environ, "no_proxy": "*"}
ANSWERED = "curl -s -o /dev/null -w '%{http_code}' --max-time 30 "


def at_the_cluster(command: str, cluster: Cluster) -> str:
    """Return the command for the ports of this cluster, so that it prints the status alone."""
    for place, name in enumerate(cluster.names):
        port = cluster.topology.node(name).host_port
        command = command.replace(f"localhost:{PORT_OF_ALICE + place}/", f"127.0.0.1:{port}/")
    return ANSWERED + command.removeprefix("curl ").replace("\\|", "|")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "cluster",
    [pytest.param("process", marks=pytest.mark.xdist_group("processes"))],
    indirect=True,
)
def test_each_command_is_answered_as_its_row_says(cluster: Cluster) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NO CURL: the commands of docs/api.md are not run")
    answers = []
    for row in ROWS:
        command = at_the_cluster(row.command, cluster)
        ended = subprocess.run(["sh", "-c", command], env=ENV, capture_output=True, text=True)
        answers.append((row.command, ended.stdout))
    assert answers == [(row.command, row.status) for row in ROWS]
