"""What a node reports of itself to the handlers of requests."""

from collections.abc import Callable, Mapping
from functools import partial

from node.api.contract import Checks, Facts
from node.core import status
from node.core.model.view import FIRST, View
from node.driver import Driver

FAULTS = "ENABLE_FAULTS=1: clients may cut this node off,"  # a line that says ok


def facts_of(driver: Driver, checks: Callable[[], Checks]) -> Facts:
    """Return what this node can report of itself now."""
    replica, now = driver.replica, driver.now()
    return Facts(
        address=replica.address,
        view=replica.view,
        alive=partial(status.alive, replica, now),
        checks=checks,
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


def checks_of(
    driver: Driver,
    is_draining: Callable[[], bool],
    misfits: Callable[[], Mapping[str, str]],
    has_faults: bool,
) -> Checks:
    """Return what is checked before a node says that it is ready; a draining node never is.

    `misfits` gives the nodes that began with other settings, each with how these differ.
    `has_faults`: clients may cut this node off.
    """
    replica = driver.replica
    checks = (*status.checks(replica), ("settings", wrong_settings(replica.view, misfits())))
    if has_faults:
        checks = (*checks, (FAULTS, ""))
    return (*checks, ("serving", "the node is shutting down")) if is_draining() else checks


def wrong_settings(view: View, misfits: Mapping[str, str]) -> str:
    """Return what to correct, if most other nodes of the view began with other settings.

    Fewer may be wrong themselves, and this node serves without them.
    """
    misfits = {node: how for node, how in misfits.items() if node in view.nodes}
    if view.id != FIRST or 2 * len(misfits) <= len(view.nodes) - 1:
        return ""
    return f"no link with {', '.join(sorted(misfits))}: {next(iter(misfits.values()))}"
