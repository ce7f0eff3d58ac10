"""Stories about a node with an empty disk that is asked for another view.

The others have retired the view in which the node finds itself.  Four real replicas in two shards,
in fair weather, as in `directed_views`, and a machine that no view names.  A story that ends badly
raises ViolationError.
"""

from cluster.simulator.invariants import ViolationError
from node.core.model.view import FIRST
from node.core.protocol.operations import Absent, Get, Outcome, Propose, Unavailable
from tests.simulation.directed_disks import OLD
from tests.simulation.directed_unheard import NEWCOMER, Unheard
from tests.simulation.directed_views import KEYS, NODES, Cluster, all_slots_to

REST = NODES[:3]
VIEWS = 4  # enough for a higher number than that of the others' view
PRESENT = b"of the view that the others are in"


def _go_on_without(cluster: Cluster) -> None:
    """Give n1 everything in a view that n4 has left, and retire older views."""
    for owner in ("n2", "n1"):
        others = (node for node in REST if node != owner)
        cluster.ask("n1", Propose(all_slots_to(owner, *others)))
        cluster.wait(10.0)
    cluster.write("n1", PRESENT)


def _with_an_empty_disk(seed: int) -> Unheard:
    """Take the disk of n4 while none of the four hears of it.

    The newcomer has met n4 alone, which told it the names of the cluster, and no view.
    """
    cluster = Unheard(seed)
    _go_on_without(cluster)
    cluster.separate((OLD, NEWCOMER), REST)
    cluster.start(NEWCOMER)
    cluster.wait(3.0)
    cluster.replace_disk(OLD)
    cluster.wait(3.0)
    assert cluster.replica(OLD).view.id == FIRST
    return cluster


def an_empty_disk_is_asked_for_a_view_by_a_newcomer(seed: int) -> None:
    """The newcomer tells n4 a name of the cluster; n4 must name no write in the view made for
    it.
    """
    cluster = _with_an_empty_disk(seed)
    cluster.propose(NEWCOMER, all_slots_to(OLD, NEWCOMER, *REST))
    cluster.wait(5.0)
    cluster.must_keep(cluster.written(OLD))


def an_empty_disk_is_asked_for_views_while_it_is_cut_off(seed: int) -> None:
    """Ask n4 for so many views that the others would take the last one.

    n4 would say what is in the slots before it has heard.
    """
    cluster = _with_an_empty_disk(seed)
    wanted = Propose(all_slots_to(OLD, *REST))
    answers = [cluster.ask(OLD, wanted) for _ in range(VIEWS)]
    cluster.mend(set(cluster.cuts))
    outcomes: list[Outcome] = []
    for _ in range(100):
        cluster.wait(0.05)
        for key in KEYS:
            cluster.submit(OLD, Get(key, wait_s=2.0), outcomes.append)
    cluster.wait(10.0)
    for outcome in outcomes:
        if isinstance(outcome, Absent):
            raise ViolationError("WriteCOInitRead", f"{OLD} denies what n1 has: {outcome}")
    assert all(isinstance(answer, Unavailable) for answer in answers)
    cluster.must_show(OLD, PRESENT)


def an_empty_disk_is_asked_to_write(seed: int) -> None:
    """Ask n4 to write in the view of its settings while it is cut off: the others have retired
    that view."""
    cluster = Unheard(seed)
    cluster.ask("n1", Propose(all_slots_to("n2", "n1", "n3")))
    cluster.wait(10.0)
    cluster.ask("n1", Propose(all_slots_to("n1", *NODES[1:])))
    cluster.wait(10.0)
    cluster.separate((OLD,), REST)
    cluster.replace_disk(OLD)
    cluster.wait(3.0)
    assert cluster.replica(OLD).view.id == FIRST
    cluster.must_keep(cluster.written(OLD))
