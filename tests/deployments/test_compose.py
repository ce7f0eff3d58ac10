"""The Compose file: up, a key with the operator's token, the demonstration, down, and nothing is
left.

It wants Docker's command `compose` or the older program `docker-compose`.  The images have names of
the test, so that it replaces no other one.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.engines import docker_image
from cluster.engines.console import Report
from tests.coterie_command import PROGRAM
from tests.deployments import deployed
from tests.deployments.deployed import AT_ALL, ROOT, ask, compose_words, run, until
from tests.launching import free_block

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(600)]

NAME, SIZE = "composetest", 6
IMAGE = f"{NAME}:dev"
START_S = 60.0


@dataclass
class Project:
    """What the Compose file has started."""

    client: Any
    words: list[str]
    base: str
    port: int

    def compose(self, *words: str) -> str:
        return run(*self.words, *words, PYTHON_IMAGE=self.base)

    @property
    def ports(self) -> list[int]:
        return [self.port + index for index in range(SIZE)]

    def is_ready(self) -> bool:
        return all(ask(port, "GET", "/readyz")[0] == 200 for port in self.ports)

    def left(self) -> list[str]:
        """Return the names of all that belongs to the project."""
        mine = {"label": f"com.docker.compose.project={NAME}"}
        found = self.client.containers.list(all=True, filters=mine, ignore_removed=True)
        found += self.client.networks.list(filters=mine) + self.client.volumes.list(filters=mine)
        return [thing.name for thing in found]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    client = deployed.engine()
    words, home = compose_words(), tmp_path_factory.mktemp("compose")
    port = free_block(SIZE)
    run(
        *(sys.executable, "-c", PROGRAM, str(home), "deploy", "compose", "--name", NAME),
        *("--image", IMAGE, "--port", str(port), "--to", str(home)),
    )
    # The file builds what lies one folder above its project's.
    file = str(home / "compose.yaml")
    words += ["--project-name", NAME, "--project-directory", str(ROOT / "deploy"), "--file", file]
    base = docker_image.base(client, Report(quiet=True))
    running = Project(client, words, base, port)
    running.compose("--profile", "demo", "down", "--volumes")  # of an interrupted test
    try:
        yield running
    finally:
        running.compose("--profile", "demo", "down", "--volumes", "--rmi", "all")


def test_up_demo_down_and_nothing_is_left(project: Project) -> None:
    project.compose("up", "--build", "--detach")
    until(project.is_ready, START_S, lambda: project.compose("logs", "--tail", "20"))
    path = "/run/secrets/operator-token"
    token = project.compose("exec", "-T", f"{NAME}-0", "cat", path).strip()
    assert ask(project.port, "PUT", "/v1/kv/cart", ["milk"])[0] == 401
    assert ask(project.port, "PUT", f"/v1/kv/cart?{AT_ALL}", ["milk"], token)[0] == 201
    assert ask(project.port + 5, "GET", "/v1/kv/cart", None, token)[1] == {"value": ["milk"]}
    project.compose("--profile", "demo", "build", "demo")
    said = project.compose("--profile", "demo", "run", "--rm", "demo")
    assert "than the token names." in " ".join(said.split())  # both stories come to their end
    assert "can be merged in any order." in " ".join(said.split())
    assert token not in said
    nodes_have_no_rights(project)
    project.compose("down")
    project.compose("up", "--detach")
    until(project.is_ready, START_S, lambda: project.compose("logs", "--tail", "20"))
    assert ask(project.port + 5, "GET", "/v1/kv/cart", None, token)[1] == {"value": ["milk"]}
    project.compose("--profile", "demo", "down", "--volumes")
    assert project.left() == []


def nodes_have_no_rights(project: Project) -> None:
    filters = {"label": f"com.docker.compose.project={NAME}", "status": "running"}
    containers = project.client.containers.list(filters=filters)
    assert len(containers) == SIZE
    for container in containers:
        host = container.attrs["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert (host["Memory"], host["PidsLimit"]) == (512 * 1024 * 1024, 128)
        assert container.attrs["Config"]["User"] == "10001:10001"
