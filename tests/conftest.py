"""What takes long is marked `slow` by its place: `make check` leaves it out, `make test` not.

The image of a node is built before the first test of a container, and outside its timeout: on a
host that has no image yet this takes minutes (pytest's `timeout_func_only`).
"""

from functools import cache

import pytest

from cluster import image
from cluster.containers import docker_client
from cluster.report import Report

SLOW = (
    "tests/scenarios/",
    "tests/simulation/test_seeds.py",
    "tests/simulation/test_mutants.py",
    "tests/test_containers.py",
    "tests/test_coterie_view.py",
    "tests/test_image.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Two clusters of one group would take each other's ports: see that groups are kept."""
    if not session.config.getoption("loadgroup", default=False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"pytest-xdist has not grouped {item.nodeid}")


@pytest.fixture(autouse=True)
def node_image(request: pytest.FixtureRequest) -> None:
    """For whom the group says that it needs one; without an engine the test skips itself."""
    group = request.node.get_closest_marker("xdist_group")
    if group is not None and group.args[0].startswith("docker"):
        build_image()


@cache
def build_image() -> None:
    client, _ = docker_client()
    if client is not None:
        image.build(client, Report(quiet=True))
        client.close()
