"""Stories about views that random runs show too rarely.

Which node may propose, whose name a view has, what the losing side wrote, and views in which no
node took part.  Four real replicas in two shards, in fair weather; the stories cut machines off and
propose views at chosen moments.  A story that ends badly raises ViolationError.
"""

from cluster.simulator.invariants import ViolationError
from cluster.simulator.world import SimNode
from node.core.model.conditions import RefuseWhen
from node.core.model.keys import SLOTS
from node.core.model.tags import ANY_VALUE
from node.core.model.view import Layout, Shard
from node.core.protocol.messages import Envelope, ItemPage, RowPage, SamePage
from node.core.protocol.operations import (
    Absent,
    Forget,
    Forgotten,
    Found,
    Get,
    Outcome,
    Propose,
    Put,
    Request,
    Stored,
    Unmet,
)
from node.core.replica import Replica
from tests.simulation.post import Post

NODES = ("n1", "n2", "n3", "n4")
KEYS = ("l1", "l2", "l3", "l4", "l5", "l6")


def all_slots_to(owner: str, *others: str) -> Layout:
    """Return one shard of one member; the others are in the view and own nothing."""
    return Layout((owner, *others), (Shard("s1", (owner,)),), bytes(SLOTS))


class Cluster(Post):
    """Two shards of two."""

    def __init__(self, seed: int, spares: tuple[str, ...] = ()) -> None:
        super().__init__(seed, NODES, 2, spares)

    def ask(self, address: str, request: Request) -> Outcome:
        """Submit a client's request; return the answer that it has by then, or None."""
        outcomes: list[Outcome] = []
        self.submit(address, request, outcomes.append)
        self.wait(3.0)
        assert outcomes, f"{address} has not answered {request}"
        return outcomes[0]

    def write(self, address: str, value: bytes) -> None:
        for key in KEYS:
            outcome = self.ask(address, Put(key, value, level="one"))
            assert isinstance(outcome, Stored), f"{key} at {address}: {outcome}"

    def must_show(self, address: str, value: bytes) -> None:
        for key in KEYS:
            outcome = self.ask(address, Get(key, wait_s=2.0))
            if not isinstance(outcome, Found) or outcome.values != (value,):
                raise ViolationError("LostWrite", f"{key} at {address}: {outcome}")

    def must_not_deny(self, address: str) -> None:
        for key in KEYS:
            outcome = self.ask(address, Get(key, wait_s=2.0))
            if isinstance(outcome, Absent):
                raise ViolationError("WriteCOInitRead", f"{key} at {address}: {outcome}")

    def part(self, *side: str) -> None:
        """Let nothing pass between these and all others."""
        rest = [address for address in NODES if address not in side]
        pairs = [(one, other) for one in side for other in rest]
        self.cut({*pairs, *((other, one) for one, other in pairs)})
        self.wait(3.0)

    def propose(self, address: str, layout: Layout) -> None:
        """Propose a view; the story goes on without the answer."""
        self.submit(address, Propose(layout), lambda outcome: None)

    def replica(self, address: str) -> Replica:
        driver = self.nodes[address].driver
        assert driver is not None
        return driver.replica

    def holds_slots(self, address: str) -> bool:
        return bool(len(self.replica(address).keyspace.parts))

    def heal(self) -> None:
        self.mend(set(self.cuts))
        self.wait(10.0)


def what_the_beaten_side_took_in(seed: int) -> None:
    """Both sides of a cut change their view and write; the higher view wins, nothing is lost."""
    cluster = Cluster(seed)
    cluster.part("n1", "n2")
    cluster.ask("n1", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    cluster.write("n2", b"of the side that is beaten")
    for _ in range(2):
        cluster.ask("n3", Propose(all_slots_to("n4", "n1", "n2", "n3")))
    cluster.heal()
    cluster.must_show("n4", b"of the side that is beaten")


def a_proposal_of_a_node_that_has_left(seed: int) -> None:
    """A node that has left and is cut off asks for views that know nothing of later changes."""
    cluster = Cluster(seed)
    cluster.ask("n2", Propose(all_slots_to("n2", "n3", "n4")))
    cluster.wait(5.0)
    cluster.part("n1")
    cluster.ask("n2", Propose(all_slots_to("n3", "n2", "n4")))
    cluster.write("n3", b"of the view it never knew")
    for _ in range(3):
        cluster.ask("n1", Propose(all_slots_to("n4", "n2", "n3")))
    cluster.part("n3")
    cluster.mend({(one, two) for one, two in cluster.cuts if "n3" not in (one, two)})
    cluster.wait(5.0)
    cluster.must_not_deny("n4")
    cluster.heal()
    for address in ("n2", "n3", "n4"):
        cluster.must_show(address, b"of the view it never knew")


def a_proposer_whose_disk_is_lost(seed: int) -> None:
    """A node proposes before and after its disk is lost; no node has heard of both views.

    Its shard peer n2 has heard of its new incarnation.
    """
    cluster = Cluster(seed)
    cluster.part("n1", "n3")
    cluster.ask("n1", Propose(all_slots_to("n3", "n1", "n2", "n4")))
    cluster.replace_disk("n1")
    cluster.part("n3")
    cluster.mend({(one, two) for one, two in cluster.cuts if "n3" not in (one, two)})
    cluster.wait(5.0)
    cluster.ask("n1", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    cluster.heal()


def views_that_nobody_took_part_in(seed: int) -> None:
    """Two views are proposed in a row before any other node hears of the first; one stays away."""
    cluster = Cluster(seed)
    cluster.write("n2", b"of the first view")
    cluster.wait(5.0)
    cluster.part("n1")
    cluster.crash("n4")
    cluster.ask("n1", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    cluster.ask("n1", Propose(all_slots_to("n3", "n1", "n2", "n4")))
    cluster.heal()
    cluster.must_show("n3", b"of the first view")


def a_view_that_one_node_alone_has_adopted(seed: int) -> None:
    """A client reads in that view; then the disk of the node is lost, and the view with it.

    The client's token names the view, so the nodes can answer it in a later view only.
    """
    cluster = Cluster(seed)
    cluster.write("n1", b"of the first view")
    layout = cluster.replica("n1").views.view.layout
    cluster.part("n1")
    for _ in range(2):
        cluster.ask("n1", Propose(layout))
    shown = [(key, cluster.ask("n1", Get(key, wait_s=0.5))) for key in KEYS]
    key, found = next((key, found) for key, found in shown if isinstance(found, Found))
    cluster.replace_disk("n1")
    cluster.heal()
    get = Get(key, token=found.token, wait_s=2.0)
    assert isinstance(cluster.ask("n2", get), Unmet)
    cluster.ask("n2", Propose(layout))
    cluster.wait(10.0)
    again = cluster.ask("n2", get)
    if isinstance(again, Unmet):
        raise ViolationError("RefusedForEver", f"{key} at n2: {again}")


def a_new_owner_is_asked_to_create_a_key(seed: int) -> None:
    """n3 owns all slots now, and has none of their rows yet; a client creates a key that there is.

    n3 cannot tell, so it must not take the write: the key has a value.
    """
    cluster = Cluster(seed)
    cluster.write("n1", b"there is one")
    cluster.wait(5.0)
    cluster.holds = _rows_for_the_new_owner
    cluster.ask("n1", Propose(all_slots_to("n3", "n1", "n2", "n4")))
    create = RefuseWhen(one_of=(ANY_VALUE,))
    for key in KEYS:
        outcome = cluster.ask("n3", Put(key, b"new", level="one", refuse_when=create))
        if isinstance(outcome, Stored):
            raise ViolationError("ConditionIgnored", f"{key} at n3: {outcome}")


def a_node_that_has_forgotten_is_asked_for_others(seed: int) -> None:
    """n1 has left the view; it passes a change on to n2, which has been told to forget its view.

    n2 knows nothing of the view in which n3 has everything, so it must not begin the next one.
    """
    cluster = Cluster(seed)
    cluster.write("n2", b"of the second view")
    cluster.ask("n2", Propose(all_slots_to("n3", "n2", "n4")))
    cluster.wait(8.0)
    cluster.part("n1", "n2")
    assert cluster.ask("n2", Forget()) == Forgotten()
    cluster.propose("n1", all_slots_to("n1", "n2", "n3", "n4"))
    cluster.wait(5.0)
    cluster.heal()
    cluster.must_show("n3", b"of the second view")


def _rows_for_the_new_owner(node: SimNode, target: str, envelope: Envelope) -> bool:
    return target == "n3" and isinstance(envelope.message, ItemPage | RowPage | SamePage)
