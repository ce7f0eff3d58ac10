"""What takes long is marked `slow` by its place: `make check` leaves it out, `make test` not."""

import pytest

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
