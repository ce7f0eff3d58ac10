"""Stories about a view that one node alone counts or needs.

Four real replicas in fair weather, as in `directed_disks`.  A story that ends badly raises
ViolationError.
"""

from cluster.simulator.invariants import ViolationError
from cluster.simulator.world import SimNode
from node.core.model.keys import SLOTS
from node.core.model.view import Layout, Shard
from node.core.protocol.messages import (
    Compare,
    Envelope,
    Gossip,
    ItemPage,
    Pull,
    RowPage,
    SamePage,
    Views,
)
from node.core.protocol.operations import Forget, Forgotten, Found, Get, Propose
from tests.simulation.directed_disks import OLD, PutBack
from tests.simulation.directed_views import KEYS, NODES, Cluster
from tests.simulation.post import nothing

BEFORE, AFTER = b"on the old disk", b"written later"
WITH_MARK = Compare | Gossip | Views  # messages that tell which run sends them


def _news(node: SimNode, target: str, envelope: Envelope) -> bool:
    """All that a node tells of what it and others have."""
    return isinstance(envelope.message, Gossip)


def _views_of_n1_alone(node: SimNode, target: str, envelope: Envelope) -> bool:
    """n4 hears of the next view from n1; no node hears which run n4 is, or sends it rows."""
    if node.address == OLD:
        return isinstance(envelope.message, WITH_MARK | Pull)
    return isinstance(envelope.message, Gossip | Views) and node.address != "n1"


def _pulls(node: SimNode, target: str, envelope: Envelope) -> bool:
    return node.address == OLD and isinstance(envelope.message, Pull)


def an_old_disk_counts_a_view_before_it_is_heard(seed: int) -> None:
    """n4's disk is from before its last start.  It adopts a view before any node hears it.

    By that view its mark is later than all that others have seen of it, and in that view no node
    knows any more what n4 had before.
    """
    cluster = PutBack(seed)
    cluster.go_on("n3", OLD)
    cluster.write("n3", BEFORE)
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.crash(OLD)
    cluster.start(OLD)
    cluster.wait(10.0)
    cluster.holds = _news
    cluster.write("n3", AFTER)
    cluster.put_back_disk(*kept)
    cluster.propose("n1", Layout(NODES, (Shard("s1", ("n3", OLD)),), bytes(SLOTS)))
    cluster.wait(2.0)
    cluster.holds = _views_of_n1_alone
    cluster.start(OLD)
    cluster.wait(1.0)
    assert cluster.replica(OLD).view.id == cluster.replica("n1").view.id
    cluster.holds = _pulls
    cluster.wait(6.0)
    for key in KEYS:
        outcome = cluster.ask(OLD, Get(key))
        if isinstance(outcome, Found) and outcome.values != (AFTER,):
            raise ViolationError("MonotonicReads", f"{key} at {OLD}: {outcome}")
    cluster.holds = nothing
    cluster.let_go(cluster.held)
    cluster.wait(10.0)
    cluster.must_show(OLD, AFTER)


def _pages(node: SimNode, target: str, envelope: Envelope) -> bool:
    return target == OLD and isinstance(envelope.message, ItemPage | RowPage | SamePage)


def a_node_has_forgotten_the_view_that_names_it_alone(seed: int) -> None:
    """n4 owns everything in a view of its own.  It is told to forget before what it did not own has
    come, and no other node may propose a view."""
    cluster = Cluster(seed)
    cluster.write("n1", BEFORE)
    moved = [key for key in KEYS if cluster.replica("n1").peek(key).versions]
    cluster.holds = _pages
    cluster.ask("n1", Propose(Layout((OLD,), (Shard("s1", (OLD,)),), bytes(SLOTS))))
    cluster.wait(1.0)
    cluster.part(OLD)
    assert cluster.ask(OLD, Forget()) == Forgotten()
    cluster.holds = nothing
    cluster.heal()
    cluster.wait(10.0)
    assert moved
    for key in moved:
        outcome = cluster.ask(OLD, Get(key, wait_s=2.0))
        if not isinstance(outcome, Found) or outcome.values != (BEFORE,):
            raise ViolationError("LostWrite", f"{key} at {OLD}: {outcome}")
