"""Views that follow the first one, and a node that has heard of one."""

from collections.abc import Sequence

from node.core.model.dots import DotClock
from node.core.model.placement import with_member
from node.core.model.slots import ALL, Slots
from node.core.model.view import FIRST, View, ViewId
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Propose
from node.core.replication.progress import PeerProgress, PeerSlots
from tests.core.one import VIEW, One

SECOND, THIRD = ViewId(2, "p"), ViewId(3, "p")
S1, S2 = VIEW.slots_of_shard(0), VIEW.slots_of_shard(1)
A3 = DotClock({"x": 3})
CHANGE = Propose(with_member(VIEW, "s1", "b2"), FIRST)


def view_at(name: ViewId, member: str, shard: str, ancestors: Sequence[ViewId] = (FIRST,)) -> View:
    """Return the first view, but with this node in that shard."""
    layout = with_member(VIEW, shard, member)
    return View(
        name.number, layout.nodes, layout.shards, layout.owner, name.proposer, (), tuple(ancestors)
    )


MOVED = view_at(SECOND, "b2", "s1")  # a1 a2 b2 | b1


def views(*some: View, oldest_view: ViewId = FIRST, **gossip: object) -> m.Views:
    reports, lost = gossip.get("reports", {}), gossip.get("lost", [])
    assert isinstance(reports, dict)
    assert isinstance(lost, list)
    return m.Views(list(some), oldest_view, m.Gossip({}, {}, reports, lost))


def moved(address: str = "b2", view: View = MOVED) -> One:
    """Return a node that was whole in the first view, and has heard of another."""
    one = One(address)
    for node in VIEW.nodes:
        if node != address:
            one.step(node, m.Heartbeat(f"id of {node}"))
    one.arrive()
    one.step("a1", views(view))
    return one


def settled(one: One, view: View = MOVED) -> Effects:
    """Let the node report the view, and hear that all others have."""
    one.replica.views.history.reports[one.replica.node_id] = view.id
    return one.step("a1", views(view, oldest_view=view.id))


def holds(one: One) -> dict[str, Slots]:
    parts = one.replica.keyspace.parts
    return {
        "owned": sum(part.slots for part in parts.owned()),
        "held": sum(part.slots for part in parts.outgoing()),
        "lacking": parts.lacking(),
    }


def row(
    clock: DotClock, slots: Slots = ALL, complete_for: Sequence[ViewId] = (FIRST, SECOND)
) -> PeerProgress:
    return PeerProgress([PeerSlots(slots, clock, set(complete_for))], set(), set())


def reports(one: One) -> dict[str, ViewId]:
    return one.replica.views.history.reports


def own_views(effects: Effects) -> m.Views:
    """Return the proposals that a node tells itself."""
    [message] = [message for peer, message in effects.tells if isinstance(message, m.Views)]
    return message


def proposed(one: One, propose: Propose = CHANGE, request: int = 7) -> View:
    [view] = own_views(one.submit(propose, request)).views
    return view
