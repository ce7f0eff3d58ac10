"""A story about slots that had two pasts and have one now, at a node that restarts.

Four real replicas in two shards, in fair weather.  A story that ends badly raises ViolationError.
"""

from cluster.simulator.invariants import InvariantMonitor
from cluster.simulator.operator_notes import judge_notes
from cluster.simulator.world import SimNode
from node.core.model.keys import SLOTS
from node.core.model.view import Layout, Shard
from node.core.protocol.messages import Compare, Envelope, ItemPage, RowPage, SamePage, State
from node.core.protocol.operations import Outcome, Put, Stored
from tests.simulation.directed_views import KEYS, NODES, Cluster
from tests.simulation.post import nothing

FIRST_OWNER, OWNER, OTHER, LAST_OWNER = NODES


def _answers_of_the_other(node: SimNode, target: str, envelope: Envelope) -> bool:
    is_answer = isinstance(envelope.message, State | ItemPage | SamePage | RowPage)
    return is_answer and (node.address, target) == (OTHER, OWNER)


def _what_the_other_has(node: SimNode, target: str, envelope: Envelope) -> bool:
    tells = isinstance(envelope.message, Compare | State | ItemPage | SamePage | RowPage)
    return tells and (node.address, target) == (OTHER, OWNER)


def a_restart_where_two_parts_have_become_one(seed: int) -> None:
    """The disk of n2 has two parts where a peer was told of one.

    n2 and n3 own all slots in the second view; n1 and n4 have a write of the first view each, and
    come late.  n3 has one part when it gets the write of n1.  So its clock for all slots has that
    write, and n2 takes over that clock for its new slots before it has the write in its old ones.
    With the write, its two parts are equal.  Then the write of n4 joins the clock of both.
    """
    cluster = Cluster(seed)
    for owner in (LAST_OWNER, FIRST_OWNER):
        cluster.part(owner)
        _write_one(cluster, owner)
    cluster.holds = _answers_of_the_other
    cluster.propose(OWNER, Layout(NODES, (Shard("s1", (OWNER, OTHER)),), bytes(SLOTS)))
    cluster.wait(6.0)
    assert len(cluster.replica(OTHER).keyspace.parts) == 1
    assert len(cluster.replica(OWNER).keyspace.parts) == 2
    cluster.mend({(FIRST_OWNER, OTHER), (OTHER, FIRST_OWNER)})
    cluster.wait(6.0)
    cluster.holds = nothing
    cluster.wait(6.0)
    assert len(cluster.replica(OWNER).keyspace.parts) == 1
    cluster.mend({pair for pair in cluster.cuts if LAST_OWNER in pair and FIRST_OWNER not in pair})
    cluster.wait(4.0)
    cluster.crash(OWNER)
    cluster.holds = _what_the_other_has  # so n2 tells what its disk has
    cluster.start(OWNER)
    cluster.wait(3.0)
    assert isinstance(cluster.watch, InvariantMonitor)
    judge_notes(cluster.watch, cluster.voice.notes)


def _write_one(cluster: Cluster, owner: str) -> None:
    """Write one key that this node owns; it reaches no other node."""
    for key in KEYS:
        outcomes: list[Outcome] = []
        cluster.submit(owner, Put(key, b"of the first view", level="one"), outcomes.append)
        cluster.wait(1.0)
        if outcomes and isinstance(outcomes[0], Stored):
            return
    raise AssertionError(f"{owner} owns none of the keys")
