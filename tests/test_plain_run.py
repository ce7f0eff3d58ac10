"""The image with plain `docker run`, as a person runs it: its cost, and what it leaves behind."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cluster.engines import docker_image, node_client
from cluster.engines.console import Report
from cluster.engines.containers import docker_client
from tests.launching import eventually

ADDRESS = "10.10.0.2:8090"
CHECK_S_MAX = 0.02  # of CPU time, in ten seconds
TURNS = 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("docker-contracts"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    found, problem = docker_client()
    if found is None:
        pytest.skip(f"NO TEST OF THE IMAGE: {problem}")
    docker_image.build(found, Report(quiet=True))
    yield found
    found.close()


@contextmanager
def run(client: Any, **options: Any) -> Iterator[Any]:
    """Run one node in a container of its own; remove it like `docker rm`, with its volumes left."""
    container = client.containers.run(
        docker_image.TAG,
        detach=True,
        environment={"SOCKET_ADDRESS": ADDRESS},
        ports={"8090/tcp": ("127.0.0.1", None)},
        labels={"io.coterie.test": str(os.getpid())},
        **options,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def port_of(container: Any) -> int:
    container.reload()
    [published] = container.attrs["NetworkSettings"]["Ports"]["8090/tcp"]
    return int(published["HostPort"])


def is_live(container: Any) -> bool:
    return node_client.ask("GET", port_of(container), "/livez")[0] == 200


def value_at(container: Any) -> str:
    return node_client.ask("GET", port_of(container), "/kvs/cart", {})[1]


def stored(container: Any) -> bool:
    status, _ = node_client.ask("PUT", port_of(container), "/kvs/cart", {"value": "milk"})
    return status in (200, 201)


def unnamed_volumes(client: Any) -> set[str]:
    """Return the volumes that an engine made by itself; clusters of other tests name theirs."""
    return {v.name for v in client.volumes.list() if re.fullmatch("[0-9a-f]{64}", v.name)}


def test_data_live_as_long_as_the_container_and_leave_nothing_behind(client: Any) -> None:
    before = unnamed_volumes(client)
    with run(client) as container:
        assert container.attrs["Mounts"] == []
        assert eventually(lambda: is_live(container) and stored(container))
        container.kill()
        container.start()
        assert eventually(lambda: is_live(container) and "milk" in value_at(container))
    assert unnamed_volumes(client) - before == set()


def test_data_outlive_the_container_in_a_volume_with_a_name(client: Any) -> None:
    name = f"coterie-plain-{os.getpid()}"
    mounted = {name: {"bind": "/data", "mode": "rw"}}
    try:
        with run(client, volumes=mounted) as container:
            assert eventually(lambda: is_live(container) and stored(container))
        with run(client, volumes=mounted) as container:
            assert eventually(lambda: is_live(container) and "milk" in value_at(container))
    finally:
        client.volumes.get(name).remove(force=True)


def used_s(container: Any) -> float:
    """Return the CPU time of all that has run in the container."""
    cpu = container.stats(stream=False, one_shot=True)["cpu_stats"]
    return float(cpu["cpu_usage"]["total_usage"]) / 1e9


def test_asking_after_its_health_costs_little(client: Any) -> None:
    check = client.images.get(docker_image.TAG).attrs["Config"]["Healthcheck"]
    with run(client, healthcheck={"test": ["NONE"]}) as container:
        assert eventually(lambda: is_live(container))
        costs = []
        for _ in range(TURNS):
            before = used_s(container)
            assert container.exec_run(check["Test"][1:]).exit_code == 0
            costs.append(used_s(container) - before)
    assert min(costs) * 10 / (check["Interval"] / 1e9) <= CHECK_S_MAX, costs


def test_an_engine_finds_a_node_well(client: Any) -> None:
    with run(client, healthcheck={"interval": 1_000_000_000}) as container:

        def is_well() -> bool:
            container.reload()
            return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

        assert eventually(is_well)
