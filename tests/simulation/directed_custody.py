"""Stories about rows, acks and claims that count where they must not.

Random runs show them too rarely.  There are four real replicas, in fair weather; the stories cut
machines off, crash them, propose views and hold messages back at chosen moments.  A story that ends
badly raises ViolationError.
"""

from itertools import permutations

from cluster.simulator.invariants import ViolationError
from node.core.model.keys import SLOTS
from node.core.model.view import Layout, Shard
from node.core.protocol.messages import Compare
from node.core.protocol.operations import Found, Get, Outcome, Propose, Put, Stored, Unavailable
from tests.simulation.directed_views import KEYS, NODES, Cluster, all_slots_to
from tests.simulation.post import nothing

VALUE = b"handed round"


def all_slots_of(*owners: str) -> Layout:
    """Return one shard of these; the others are in the view and own nothing."""
    others = [node for node in NODES if node not in owners]
    return Layout((*owners, *others), (Shard("s1", owners),), bytes(SLOTS))


def _until_it_has_come_back(seed: int) -> Cluster:
    """Move everything from n1 to n2 and back to n1, which n2 cannot reach.

    n1 forgets it in between.  Since before the first move n2 has not been told what n1 has.
    """
    cluster = Cluster(seed)
    cluster.ask("n1", Propose(all_slots_of("n1", "n2")))
    cluster.write("n1", VALUE)
    cluster.wait(5.0)
    cluster.holds = lambda node, target, envelope: (
        (node.address, target) == ("n1", "n2") and isinstance(envelope.message, Compare)
    )
    cluster.wait(5.0)
    cluster.crash("n4")  # it does not report, so no view is retired meanwhile
    cluster.ask("n3", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    assert not cluster.holds_slots("n1")
    cluster.cut({("n2", "n1")})
    cluster.ask("n1", Propose(all_slots_to("n1", "n2", "n3", "n4")))
    return cluster


def _all_reports_come(cluster: Cluster) -> None:
    """Let every node hear of every other, over n3 at least; then let the two meet."""
    cluster.start("n4")
    cluster.wait(10.0)
    cluster.holds = nothing
    cluster.heal()
    for address in NODES:
        cluster.must_show(address, VALUE)


def what_came_back_to_who_had_it_before(seed: int) -> None:
    """n1 had everything two views ago; n2 must not leave it to n1 now because of that."""
    _all_reports_come(_until_it_has_come_back(seed))


def a_comparison_of_two_views_ago(seed: int) -> None:
    """What n1 said of itself two views ago reaches n2 only now."""
    cluster = _until_it_has_come_back(seed)
    compares = [held for held in cluster.held if isinstance(held[2].message, Compare)]
    cluster.let_go(compares[:1])
    cluster.wait(1.0)
    _all_reports_come(cluster)


def a_write_over_three_views(seed: int) -> None:
    """n2 and n3 hand a write on, forget it, and own its slot again.

    n1 and n4 have had it meanwhile.  A client that has waited all the while must not be told of
    their copies.
    """
    cluster = Cluster(seed)
    cluster.ask("n1", Propose(all_slots_of(*NODES)))
    cluster.wait(5.0)
    cluster.cut({("n4", "n1")})  # its acks do not come
    outcomes: list[Outcome] = []
    cluster.submit("n1", Put(KEYS[0], VALUE, level="all"), outcomes.append)
    cluster.wait(0.3)
    cluster.propose("n1", all_slots_of("n1", "n4"))
    cluster.wait(0.7)
    assert not any(cluster.holds_slots(address) for address in ("n2", "n3"))
    cluster.cut({pair for pair in permutations(NODES, 2) if "n1" in pair})
    cluster.propose("n1", all_slots_of("n1", "n2", "n3"))
    cluster.wait(2.0)
    [outcome] = outcomes
    assert isinstance(outcome, Stored | Unavailable)
    lost = ("n1", "n4")
    for address in lost:
        cluster.replace_disk(address)
    cluster.heal()
    found = cluster.ask("n2", Get(KEYS[0], wait_s=2.0))
    if outcome.acks > len(lost) and not isinstance(found, Found):
        raise ViolationError("LostWrite", f"{outcome}; {lost} lost their disks: {found}")


def slots_that_nobody_wrote_to(seed: int) -> None:
    """n1 and n2 know only that their slots are empty, and n3, which owns them next, hears it late.

    No other node can tell, and while n4 is down no view is retired.
    """
    cluster = Cluster(seed)
    cluster.crash("n4")
    cluster.holds = lambda node, target, envelope: (
        target == "n3" and isinstance(envelope.message, Compare)
    )
    cluster.ask("n3", Propose(all_slots_to("n3", "n1", "n2", "n4")))
    cluster.holds = nothing
    cluster.wait(5.0)
    cluster.write("n3", VALUE)
    for key in KEYS:
        outcome = cluster.ask("n3", Get(key, wait_s=2.0))
        if isinstance(outcome, Unavailable):
            raise ViolationError("NeverArrives", f"{key} at n3: {outcome}")
    cluster.must_show("n3", VALUE)


def owners_that_lose_their_disks_before_their_view(seed: int) -> None:
    """n3 and n4 get all slots while they are down, and lose their disks, which had none of them.

    The others have everything: the new owners must get it.
    """
    cluster = Cluster(seed)
    cluster.ask("n1", Propose(all_slots_of("n1", "n2")))
    cluster.write("n1", VALUE)
    cluster.wait(5.0)
    assert not any(cluster.holds_slots(address) for address in ("n3", "n4"))
    for address in ("n3", "n4"):
        cluster.crash(address)
    cluster.ask("n1", Propose(all_slots_of("n3", "n4")))
    for address in ("n3", "n4"):
        cluster.wipe(address)
        cluster.start(address)
    cluster.wait(10.0)
    for address in ("n3", "n4"):
        cluster.must_show(address, VALUE)
