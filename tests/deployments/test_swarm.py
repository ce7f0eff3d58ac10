"""Stacks of six nodes in a swarm of this machine.

A secured one serves, and a task that is killed comes back.  In a plain one the view changes, and a
node comes later.  The tests make the swarm and leave it, unless the engine is in one already.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.coterie_command import PROGRAM
from tests.deployments import deployed
from tests.deployments.deployed import AT_ALL, ask, run, until
from tests.launching import free_block

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]

SIZE, LATER = 6, 1
LOOPBACK = "127.0.0.1"
START_S, BACK_S, CHANGE_S, GONE_S = 90.0, 60.0, 60.0, 60.0


@dataclass
class Stack:
    """A running stack: its name, its first port, the folder of its files, the operator's token."""

    client: Any
    name: str
    port: int
    home: Path
    token: str = ""

    @property
    def filters(self) -> dict[str, str]:
        return {"label": f"com.docker.stack.namespace={self.name}"}

    def coterie(self, *words: str) -> str:
        return run(sys.executable, "-c", PROGRAM, str(self.home), *words)

    def deploy(self, *options: str) -> None:
        """Write the file with these options, and let Swarm start what it says."""
        port = str(self.port)
        words = ("deploy", "swarm", "--name", self.name, "--to", str(self.home), "--port", port)
        self.coterie(*words, *options)
        file = str(self.home / "swarm.yaml")
        run("docker", "stack", "deploy", "--resolve-image", "never", "-c", file, self.name)

    def ask(self, index: int, method: str, path: str, body: object = None) -> Any:
        return ask(self.port + index, method, path, body, self.token)

    def put(self, index: int, key: str, value: object) -> None:
        """Write at a node until all owners have it: ready nodes may still find each other."""

        def is_written() -> bool:
            return self.ask(index, "PUT", f"/v1/kv/{key}?{AT_ALL}", value)[0] in (200, 201)

        until(is_written, BACK_S, self.trouble)

    def are_ready(self, count: int = SIZE) -> bool:
        return all(self.ask(index, "GET", "/readyz")[0] == 200 for index in range(count))

    def trouble(self) -> str:
        """Return what Swarm and the nodes say, for a test that fails."""
        tasks = run("docker", "stack", "ps", "--no-trunc", self.name)
        logs = run("docker", "service", "logs", "--tail", "15", f"{self.name}_{self.name}-0")
        health = [self.ask(index, "GET", "/readyz")[0] for index in range(SIZE + LATER)]
        return f"{tasks}\n{logs}\n{health}"

    def task_of(self, index: int) -> Any:
        """Return the container that runs the node now."""
        service = f"{self.name}_{self.name}-{index}"
        filters = {"label": f"com.docker.swarm.service.name={service}"}
        [container] = self.client.containers.list(filters=filters)
        return container

    def address_of(self, index: int) -> str:
        networks = self.task_of(index).attrs["NetworkSettings"]["Networks"]
        return str(networks[f"{self.name}_nodes"]["IPAddress"])

    def remove(self) -> None:
        """Remove all that is of the stack."""
        run("docker", "stack", "rm", self.name)
        until(self._is_gone, GONE_S, lambda: run("docker", "ps", "-a"))
        for volume in self.client.volumes.list(filters=self.filters):
            volume.remove()

    def _is_gone(self) -> bool:
        containers = self.client.containers.list(
            all=True, filters=self.filters, ignore_removed=True
        )
        return not containers and not self.client.networks.list(filters=self.filters)


@pytest.fixture(scope="module")
def swarm() -> Iterator[Any]:
    """Be in a swarm; give a client of the engine.

    The engine keeps the bridge of a swarm (`docker_gwbridge`) for the next one.
    """
    client = deployed.engine()
    is_ours = client.info()["Swarm"]["LocalNodeState"] == "inactive"
    if is_ours:
        client.swarm.init(advertise_addr=LOOPBACK, listen_addr=LOOPBACK)
    try:
        yield client
    finally:
        if is_ours:
            client.swarm.leave(force=True)


@contextmanager
def running(stack: Stack, *options: str) -> Iterator[Stack]:
    """Run a stack for the block; remove what an interrupted test has left of it before."""
    stack.remove()
    try:
        stack.deploy(*options)
        until(stack.are_ready, START_S, stack.trouble)
        yield stack
    finally:
        stack.remove()


def test_a_killed_node_comes_back_with_its_data_and_its_place(swarm: Any, tmp_path: Path) -> None:
    """It comes back at another address, by the same name.  The stack is secured."""
    stack = Stack(swarm, "securestack", free_block(SIZE), tmp_path)
    stack.coterie("deploy", "keys", "--to", str(tmp_path / "secrets"))
    with running(stack):
        assert stack.ask(0, "GET", "/v1/status")[0] == 401
        stack.token = (tmp_path / "secrets" / "operator-token").read_text().strip()
        stack.put(3, "cart", ["milk"])
        owner = stack.ask(0, "GET", "/v1/view?key=cart")[1]["key"]["nodes"][0]
        index = int(owner.partition(".")[0].rpartition("-")[2])
        assert owner == f"securestack-{index}.securestack:8090"
        task, was_at = stack.task_of(index), stack.address_of(index)
        before = stack.ask(index, "GET", "/v1/status")[1]
        task.kill()

        def is_back() -> bool:
            now = stack.ask(index, "GET", "/v1/status")[1]
            return bool(now) and now["actor"] != before["actor"] and stack.are_ready()

        until(is_back, BACK_S, stack.trouble)
        after = stack.ask(index, "GET", "/v1/status")[1]
        assert stack.address_of(index) != was_at
        kept = ("address", "node_id", "shard", "view", "lives", "began_anew")
        assert {field: after[field] for field in kept} == {field: before[field] for field in kept}
        assert after["store"]["keys"] == before["store"]["keys"] >= 1
        assert stack.ask(index, "GET", "/v1/kv/cart?r=one") == (200, {"value": ["milk"]})


def test_the_view_changes_and_a_node_comes_later(swarm: Any, tmp_path: Path) -> None:
    """`coterie view commit` finds the nodes at their ports, and clients find all keys."""
    with running(
        Stack(swarm, "plainstack", free_block(SIZE + LATER), tmp_path), "--plain"
    ) as stack:
        keys = [f"key-{number}" for number in range(20)]
        for key in keys:
            stack.put(0, key, [key])
        change(stack, "--shards", "3")
        assert sizes_of_shards(stack) == [2, 2, 2]
        first = [stack.task_of(index).id for index in range(SIZE)]
        stack.deploy("--plain", "--later", str(LATER))
        late = "plainstack-later-0.plainstack:8090"
        until(lambda: late in members(stack), START_S, stack.trouble)
        change(stack, "--shards", "2")
        assert sorted(sizes_of_shards(stack)) == [3, 4]
        assert [stack.task_of(index).id for index in range(SIZE)] == first
        for key in keys:
            assert stack.ask(SIZE, "GET", f"/v1/kv/{key}") == (200, {"value": [key]})
        assert stack.coterie("status", "--name", stack.name).count("running") == SIZE + LATER


def change(stack: Stack, *words: str) -> None:
    stack.coterie("view", "commit", *words, "--yes", "--name", stack.name)
    stack.coterie("view", "watch", "--wait", str(CHANGE_S), "--name", stack.name)


def members(stack: Stack) -> list[str]:
    found: list[str] = stack.ask(0, "GET", "/v1/view")[1]["view"]["nodes"]
    return found


def sizes_of_shards(stack: Stack) -> list[int]:
    shards = stack.ask(0, "GET", "/v1/view")[1]["view"]["shards"]
    return [len(each) for each in shards.values()]
