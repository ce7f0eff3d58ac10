"""What a node reports of itself to the handlers of requests."""

from collections.abc import Callable
from functools import partial

from node.api.contract import Checks, Facts
from node.core import status
from node.driver import Driver


def facts_of(driver: Driver, is_draining: Callable[[], bool]) -> Facts:
    """Return what this node can report of itself now."""
    replica, now = driver.replica, driver.now()
    return Facts(
        address=replica.address,
        view=replica.view,
        alive=partial(status.alive, replica, now),
        checks=partial(checks_of, driver, is_draining),
        status=partial(status.status, replica, now),
        movement=partial(status.movement, replica, now),
        slot_loads=partial(status.slot_loads, replica),
        content=partial(status.content, replica),
        previous=replica.views.previous,
        cluster=replica.keyspace.name,
        now=now,
        confirmed=replica.views.is_confirmed,
        node_of=partial(status.node_of, replica),
        packed=replica.keyspace.runs.pack_past,
    )


def checks_of(driver: Driver, is_draining: Callable[[], bool]) -> Checks:
    """Return what is checked before a node says that it is ready; a draining node never is."""
    checks = status.checks(driver.replica)
    return (*checks, ("serving", "the node is shutting down")) if is_draining() else checks
