"""A stack of six nodes in a swarm of this machine: it serves, a killed task comes back, a view
change works.

The nodes have no secrets here: `coterie deploy swarm --plain --port`.  The test makes the swarm and
leaves it, unless the engine is in one already.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deployments import deployed
from tests.deployments.deployed import ask, run, until
from tests.launching import free_block

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]

NAME, SIZE = "stacktest", 6
LOOPBACK = "127.0.0.1"
BRIDGE = "docker_gwbridge"  # an engine makes it for a swarm, and keeps it
START_S, BACK_S, CHANGE_S, GONE_S = 90.0, 60.0, 60.0, 60.0
PROGRAM = (
    "import sys; from pathlib import Path; from cluster.cli import app as m;"
    "m.Run.home = Path(sys.argv.pop(1)); m.main()"
)


@dataclass
class Stack:
    """The running stack, its first port, and the folder of its command."""

    client: Any
    port: int
    home: Path

    @property
    def ports(self) -> list[int]:
        return [self.port + index for index in range(SIZE)]

    def coterie(self, *words: str) -> str:
        return run(sys.executable, "-c", PROGRAM, str(self.home), *words)

    def is_ready(self) -> bool:
        return all(ask(port, "GET", "/readyz")[0] == 200 for port in self.ports)

    def trouble(self) -> str:
        """Return what Swarm and the nodes say, for a test that fails."""
        tasks = run("docker", "stack", "ps", "--no-trunc", NAME)
        logs = run("docker", "service", "logs", "--tail", "15", f"{NAME}_{NAME}-0")
        return f"{tasks}\n{logs}\n{[ask(port, 'GET', '/readyz?verbose') for port in self.ports]}"

    def task_of(self, index: int) -> Any:
        """Return the container that runs the node now."""
        service = f"{NAME}_{NAME}-{index}"
        filters = {"label": f"com.docker.swarm.service.name={service}"}
        [container] = self.client.containers.list(filters=filters)
        return container

    def address_of(self, index: int) -> str:
        networks = self.task_of(index).attrs["NetworkSettings"]["Networks"]
        return str(networks[f"{NAME}_nodes"]["IPAddress"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    client = deployed.engine()
    is_ours = client.info()["Swarm"]["LocalNodeState"] == "inactive"
    has_bridge = bool(client.networks.list(names=[BRIDGE]))
    if is_ours:
        client.swarm.init(advertise_addr=LOOPBACK, listen_addr=LOOPBACK)
    home = tmp_path_factory.mktemp("stack")
    running = Stack(client, free_block(SIZE), home)
    try:
        running.coterie(
            *("deploy", "swarm", "--plain", "--name", NAME, "--to", str(home)),
            *("--port", str(running.port)),
        )
        file = str(home / "swarm.yaml")
        run("docker", "stack", "deploy", "--resolve-image", "never", "-c", file, NAME)
        until(running.is_ready, START_S, running.trouble)
        yield running
    finally:
        remove(client, is_ours)
        if not has_bridge:
            client.networks.get(BRIDGE).remove()


def remove(client: Any, is_ours: bool) -> None:
    """Remove the stack with its volumes; leave the swarm if this test has made it."""
    run("docker", "stack", "rm", NAME)
    filters = {"label": f"com.docker.stack.namespace={NAME}"}

    def is_gone() -> bool:
        left = client.containers.list(all=True, filters=filters, ignore_removed=True)
        return not left and not client.networks.list(filters=filters)

    until(is_gone, GONE_S, lambda: run("docker", "ps", "-a"))
    for volume in client.volumes.list(filters=filters):
        volume.remove()
    if is_ours:
        client.swarm.leave(force=True)


def test_a_killed_node_comes_back_with_its_data_and_its_place(stack: Stack) -> None:
    """It comes back at another address, by the same name."""
    written = ask(stack.port + 3, "PUT", "/v1/kv/cart?w=all", ["milk"])
    assert written[0] == 201, written
    owner = ask(stack.port, "GET", "/v1/view?key=cart")[1]["key"]["nodes"][0]
    index = next(i for i in range(SIZE) if owner == f"{NAME}-{i}.{NAME}:8090")
    port, task, was_at = stack.port + index, stack.task_of(index), stack.address_of(index)
    before = ask(port, "GET", "/v1/status")[1]
    task.kill()

    def is_back() -> bool:
        now = ask(port, "GET", "/v1/status")[1]
        return bool(now) and now["actor"] != before["actor"] and stack.is_ready()

    until(is_back, BACK_S, stack.trouble)
    after = ask(port, "GET", "/v1/status")[1]
    assert stack.address_of(index) != was_at
    kept = ("address", "node_id", "shard", "view", "lives", "began_anew")
    assert {field: after[field] for field in kept} == {field: before[field] for field in kept}
    assert after["store"]["keys"] == before["store"]["keys"] >= 1
    assert ask(port, "GET", "/v1/kv/cart?r=one") == (200, {"value": ["milk"]})


def test_the_view_changes_in_the_stack(stack: Stack) -> None:
    """`coterie view commit` finds the nodes at their ports, and clients find all keys."""
    keys = [f"key-{number}" for number in range(20)]
    for key in keys:
        assert ask(stack.port, "PUT", f"/v1/kv/{key}?w=all", [key])[0] == 201
    stack.coterie("view", "commit", "--shards", "3", "--yes", "--name", NAME)
    stack.coterie("view", "watch", "--wait", str(CHANGE_S), "--name", NAME)
    shards = ask(stack.port, "GET", "/v1/view")[1]["view"]["shards"]
    assert [len(members) for members in shards.values()] == [2, 2, 2]
    for key in keys:
        assert ask(stack.port + 5, "GET", f"/v1/kv/{key}") == (200, {"value": [key]})
    assert "RUNNING" in stack.coterie("status", "--name", NAME).upper()
