"""The place of a test marks it `slow`: `make check` skips slow tests, `make test` runs them.

The image of a node is built before the first test of a container, and outside that test's timeout:
on a host without the image this takes minutes (pytest's `timeout_func_only`).
"""

from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import settings
from xdist.workermanage import NodeManager

from cluster.engines import docker_image
from cluster.engines.console import Report
from cluster.engines.containers import docker_client
from cluster.simulator.campaign import collect_rarely
from tests import reaper as reaping

SLOW = (
    "tests/deployments/test_certificates.py",
    "tests/deployments/test_compose.py",
    "tests/deployments/test_swarm.py",
    "tests/scenarios/",
    "tests/simulation/test_seeds.py",
    "tests/simulation/test_mutants.py",
    "tests/test_containers.py",
    "tests/test_coterie_view.py",
    "tests/test_image.py",
    "tests/test_reaper.py::test_ctrl_c",
)


WORKERS_END_S = 3  # after Ctrl-C; the reaper (tests/reaper.py) ends what workers leave


# A property holds or it does not: a busy machine, which makes an example slow, fails no test.
settings.register_profile("coterie", deadline=None)
settings.load_profile("coterie")


def pytest_configure() -> None:
    NodeManager.EXIT_TIMEOUT = WORKERS_END_S


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Demand that groups stay together: two clusters of one group would take each other's ports.

    Most of the tests' time goes into the simulator: from here on the garbage collector runs rarely.
    """
    collect_rarely()
    if not session.config.getoption("loadgroup", default=False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"pytest-xdist has not grouped {item.nodeid}")


@pytest.fixture(autouse=True, scope="session")
def leftovers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """End the nodes that an interrupted run leaves behind: see `tests.reaper`."""
    reaper = reaping.started(tmp_path_factory.getbasetemp())
    yield
    reaper.communicate()


@pytest.fixture(autouse=True)
def node_image(request: pytest.FixtureRequest) -> None:
    """Build the image for the groups that need one; without an engine the test skips itself."""
    group = request.node.get_closest_marker("xdist_group")
    if group is not None and group.args[0].startswith("docker"):
        build_image()


@cache
def build_image() -> None:
    client, _ = docker_client()
    if client is not None:
        docker_image.build(client, Report(quiet=True))
        client.close()
