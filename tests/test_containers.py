"""The launcher drives real containers of the real node; skipped with a loud reason without
Docker.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.engines import docker_image, node_client
from cluster.engines.containers import ContainerEngine, docker_client
from cluster.engines.engine import NodeState, recalled
from cluster.engines.host import is_busy
from cluster.engines.launch import UpOptions, topology_for, up
from cluster.engines.topology import MEMORY_MIB, PROCESSES_MAX, Trouble
from node.config import SETTINGS
from tests.launching import QUIET, eventually, free_block

DOCKER_NAME = f"pytest-{os.getpid()}"  # two runs at a time must not meet

pytestmark = pytest.mark.xdist_group("docker")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def containers(home: Path) -> Iterator[ContainerEngine]:
    client, problem = docker_client()
    if client is None:
        pytest.skip(f"NO TEST OF CONTAINERS: {problem}")
    engine = ContainerEngine(DOCKER_NAME, client, home)
    yield engine
    engine.clean()
    client.close()


def docker_options() -> UpOptions:
    """Return a small cluster that stays clear of others."""
    return UpOptions(1, 3, subnet="auto", port=free_block(3), wait_s=60)


def test_containers_from_up_to_clean(containers: ContainerEngine, home: Path) -> None:
    topology = up(containers, docker_options(), QUIET, home)
    assert set(containers.states().values()) == {NodeState.RUNNING}
    assert containers.containers()["bob"] == f"coterie-{DOCKER_NAME}-bob"
    assert recalled(containers) == topology
    assert up(containers, UpOptions(wait_s=60), QUIET, home) == topology
    containers.kill("alice")
    assert containers.states()["alice"] == NodeState.STOPPED
    containers.wipe("alice")
    containers.start("alice")
    port = topology.node("alice").host_port
    assert eventually(lambda: node_client.unready(port) is None)
    containers.pause("bob")
    assert containers.states()["bob"] == NodeState.PAUSED
    containers.resume("bob")
    assert containers.logs("carol") != []
    containers.stop()
    assert set(containers.states().values()) == {NodeState.MISSING}
    assert not any(is_busy(node.host_port, "") for node in topology.nodes)
    assert up(containers, UpOptions(wait_s=60), QUIET, home) == topology
    containers.clean()
    assert containers.recall() is None


def test_a_node_has_no_rights(containers: ContainerEngine, home: Path) -> None:
    up(containers, docker_options(), QUIET, home)
    container = containers.client.containers.get(f"coterie-{DOCKER_NAME}-alice")
    host = container.attrs["HostConfig"]
    assert container.attrs["Config"]["User"].partition(":")[0] == "10001"
    assert (host["ReadonlyRootfs"], host["Privileged"], host["CapAdd"]) == (True, False, None)
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert (host["PidsLimit"], host["Memory"]) == (PROCESSES_MAX, MEMORY_MIB * 1024 * 1024)
    assert container.exec_run("touch /app/new").exit_code == 1
    assert container.exec_run("touch /data/new").exit_code == 0
    image = containers.client.images.get(docker_image.TAG)
    steps = " ".join(str(step["CreatedBy"]) for step in image.history())
    assert not re.search(r"\b(ENV|ARG) (CLUSTER_SECRET|API_TOKENS|TLS)", steps)
    told = {pair.partition("=")[0] for pair in image.attrs["Config"]["Env"]}
    assert told & {setting.name for setting in SETTINGS} == {"DATA_DIR"}


def test_a_split_cuts_containers_off_and_they_stay_reachable(
    containers: ContainerEngine, home: Path
) -> None:
    topology = up(containers, docker_options(), QUIET, home)
    ports = {node.name: node.host_port for node in topology.nodes}

    def on_subnet() -> dict[str, str]:
        network = containers.client.networks.list(names=[f"coterie-{DOCKER_NAME}"], greedy=True)[0]
        found = network.attrs["Containers"].values()
        return {one["Name"].rpartition("-")[2]: one["IPv4Address"] for one in found}

    whole = on_subnet()
    assert whole == {node.name: f"{node.ip}/16" for node in topology.nodes}
    containers.split([["alice"], ["bob", "carol"]])
    assert set(on_subnet()) == {"bob", "carol"}
    assert node_client.ask("GET", ports["alice"], "/livez")[0] == 200
    containers.kill("alice")
    containers.start("alice")
    assert set(on_subnet()) == {"bob", "carol"}
    assert eventually(lambda: node_client.ask("GET", ports["alice"], "/livez")[0] == 200)
    containers.heal()
    assert on_subnet() == whole


def test_an_overlapping_subnet_is_refused_by_name(containers: ContainerEngine, home: Path) -> None:
    topology = up(containers, docker_options(), QUIET, home)
    other = ContainerEngine(f"{DOCKER_NAME}-other", containers.client, home)
    options = UpOptions(1, 1, subnet=topology.subnet, port=free_block(1))
    with pytest.raises(
        Trouble, match=rf'overlaps the network "coterie-{DOCKER_NAME}".*SUBNET=auto'
    ):
        up(other, options, QUIET, home)
    assert other.recall() is None
    assert topology_for(other, UpOptions(1, 1)).subnet != topology.subnet


def test_nothing_of_ours_is_named_as_graders_name_theirs(
    containers: ContainerEngine, home: Path
) -> None:
    up(containers, docker_options(), QUIET, home)
    label = {"label": f"io.coterie.cluster={DOCKER_NAME}"}
    found = containers.client.containers.list(filters=label)
    assert {one.labels["io.coterie.node"] for one in found} == {"alice", "bob", "carol"}
    assert all(one.name.startswith(f"coterie-{DOCKER_NAME}-") for one in found)
    assert {one.attrs["Config"]["User"] for one in found} == {"10001:10001"}
