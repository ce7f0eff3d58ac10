"""What an operator does about a view that no disk knows any more.

The only node that had adopted a view may lose its disk.  What was written in that view is lost with
it, and a token that names the view is refused at every node until the view changes again.  The new
view is above the one that the token names.  (docs/operations.md.)
"""

from collections.abc import Iterable

from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.sessions import Session, token_of
from cluster.simulator.world import World
from node.core.model.view import NO_VIEW, View
from node.core.protocol.operations import Get, Outcome, Propose


def ignore(outcome: Outcome) -> None:
    """Take an answer for granted: what follows shows it."""


def went_above(
    world: World, monitor: InvariantMonitor, view: View, sessions: Iterable[Session]
) -> bool:
    """Change the view at one of its nodes if a session's token names a lost one; return whether."""
    tokens = [token_of(session.token) for session in sessions]
    highest = max(tokens, key=lambda token: token.view, default=None)
    if highest is None or highest.view <= max(view.id, NO_VIEW):
        return False
    is_known = any(highest.view in shadow.views for shadow in monitor.shadows.values())
    if is_known or not monitor.reached["write lost with a disk"]:
        raise ViolationError("LostView", f"{highest.view} is not current, and no disk was lost")
    monitor.reached["a view that no disk knows"] += 1
    node = view.shards[0].members[0]
    world.submit(node, Get("any", token=highest), ignore)
    world.submit(node, Propose(view.layout), ignore)
    return True
