"""Stories about nodes that take part in a view unheard by the nodes that retire it.

Four real replicas in two shards, in fair weather, as in `directed_views`, and machines that later
views name.  A story that ends badly raises ViolationError.
"""

from collections.abc import Callable

from cluster.simulator.invariants import ViolationError
from cluster.simulator.world import SimNode
from node.core.protocol.messages import Envelope
from node.core.protocol.operations import Found, Get, Propose, Put, Stored
from node.core.replica import Replica
from tests.simulation.directed_views import KEYS, NODES, Cluster, all_slots_to

NEWCOMER, STRANGER = "m1", "m2"
VALUE = b"of who was not heard of"
OURS, THEIRS = NODES[:2], NODES[2:]

Loses = Callable[[str, str], bool]


class Unheard(Cluster):
    """Four nodes with machines beside them; it loses chosen messages from one to another.

    `apart`: the two shards never meet before they are healed.
    """

    def __init__(self, seed: int, apart: bool = False) -> None:
        self.loses: Loses = lambda source, target: False
        self._apart = apart
        super().__init__(seed, (NEWCOMER, STRANGER))

    def start(self, address: str) -> None:
        if self._apart and not self.cuts:
            self.separate(OURS, THEIRS)
        super().start(address)

    def send(self, node: SimNode, target: str, envelope: Envelope) -> None:
        if not self.loses(node.address, target):
            super().send(node, target, envelope)

    def separate(self, *sides: tuple[str, ...]) -> None:
        """Let nothing pass between these sides."""
        self.cut(
            {
                (one, two)
                for some in sides
                for others in sides
                if some is not others
                for one in some
                for two in others
            }
        )

    def replica(self, address: str) -> Replica:
        driver = self.nodes[address].driver
        assert driver is not None
        return driver.replica

    def written(self, address: str) -> list[str]:
        """Write the keys that can be written there, and return them."""
        outcomes = {key: self.ask(address, Put(key, VALUE, level="one")) for key in KEYS}
        return [key for key, outcome in outcomes.items() if isinstance(outcome, Stored)]

    def must_keep(self, keys: list[str]) -> None:
        """Let all nodes meet again, and demand that no acknowledged write is lost."""
        self.loses = lambda source, target: False
        self.mend(set(self.cuts))
        self.wait(15.0)
        for key in keys:
            outcome = self.ask("n1", Get(key, wait_s=2.0))
            if not isinstance(outcome, Found) or outcome.values != (VALUE,):
                raise ViolationError("LostWrite", f"{key} at n1: {outcome}")


def a_node_that_hears_and_is_not_heard(seed: int) -> None:
    """A view names a node, and nothing of what it says arrives: it may not take part."""
    cluster = Unheard(seed)
    cluster.loses = lambda source, target: source == NEWCOMER
    cluster.start(NEWCOMER)
    cluster.wait(3.0)
    cluster.ask("n1", Propose(all_slots_to(NEWCOMER, *NODES)))
    cluster.wait(3.0)
    keys = cluster.written(NEWCOMER)
    cluster.separate((NEWCOMER,), NODES)
    cluster.ask("n1", Propose(all_slots_to("n1", "n2", "n3", "n4")))
    cluster.wait(10.0)
    assert cluster.replica("n1").views.history.settled
    cluster.must_keep(keys)


def two_who_know_each_other_by_their_settings(seed: int) -> None:
    """A shard that the others have never met has taken writes: the first view is not retired."""
    cluster = Unheard(seed, apart=True)
    keys = cluster.written("n3")
    assert keys
    cluster.ask("n1", Propose(all_slots_to("n1", "n2")))
    cluster.wait(10.0)
    cluster.must_keep(keys)


def a_view_that_an_unlisted_peer_has_heard_of(seed: int) -> None:
    """A node in no view has told others of the view before it is retired; no node asks it."""
    cluster = Unheard(seed)
    for address in (NEWCOMER, STRANGER):
        cluster.start(address)
    cluster.separate((NEWCOMER,), (*NODES, STRANGER))
    cluster.wait(3.0)
    cluster.ask("n1", Propose(all_slots_to(NEWCOMER, *NODES)))
    cluster.wait(2.0)
    assert cluster.replica(STRANGER).view.id == cluster.replica("n1").view.id
    cluster.separate((STRANGER,), NODES)
    cluster.mend({(STRANGER, NEWCOMER), (NEWCOMER, STRANGER)})
    cluster.wait(5.0)
    keys = cluster.written(NEWCOMER)
    cluster.ask("n1", Propose(all_slots_to("n1", "n2", "n3", "n4")))
    cluster.wait(10.0)
    assert cluster.replica("n1").views.history.settled
    cluster.must_keep(keys)


def a_view_that_a_node_has_missed(seed: int) -> None:
    """n4 comes up in the highest view, and must not retire a view that it has missed.

    n1 has told the newcomer of a view, and the newcomer has written in it. n4 is down when the
    other side of a cut hears of that view.  When n4 comes up, it is in the highest view already,
    and every node that it knows tells its report.
    """
    cluster = Unheard(seed)
    cluster.start(NEWCOMER)
    cluster.wait(3.0)
    cluster.separate(("n1", "n2", NEWCOMER), THEIRS)
    cluster.ask("n1", Propose(all_slots_to(NEWCOMER, *NODES)))
    for owner, other in (THEIRS, THEIRS[::-1]):
        cluster.ask("n3", Propose(all_slots_to(owner, other, *OURS)))
    keys = cluster.written(NEWCOMER)
    assert keys
    cluster.separate((NEWCOMER,), NODES)
    cluster.crash("n4")
    cluster.mend({pair for pair in cluster.cuts if NEWCOMER not in pair})
    cluster.wait(5.0)
    cluster.start("n4")
    cluster.wait(10.0)
    cluster.must_keep(keys)


def whom_a_lost_node_has_told(seed: int) -> None:
    """A node that is declared lost has told a newcomer of the view: the newcomer is not lost."""
    cluster = Unheard(seed)
    others = {"n1", "n3", "n4"}
    cluster.loses = lambda *pair: NEWCOMER in pair and not others.isdisjoint(pair)
    cluster.ask("n1", Propose(all_slots_to(NEWCOMER, *NODES)))
    cluster.separate(("n2",), ("n1", "n3", "n4"))
    cluster.wait(1.0)
    cluster.start(NEWCOMER)
    cluster.wait(5.0)
    keys = cluster.written(NEWCOMER)
    assert keys
    cluster.separate((NEWCOMER,), ("n2",), ("n1", "n3", "n4"))
    lost = Propose(all_slots_to("n1", "n3", "n4"), lost=("n2",))
    cluster.ask("n1", lost)
    cluster.wait(10.0)
    cluster.must_keep(keys)


def a_view_is_retired_at_a_node_that_has_left_it_first(seed: int) -> None:
    """A node leaves, hears every report, and forgets the names of the view that is retired.

    It is n4, which has started twice, so the name of its last run stands for what that run wrote.
    No node hears n4's own report before the next view, which has n4 again: what n4 is told of that
    view says the name.
    """
    cluster = Unheard(seed)
    cluster.written("n4")
    cluster.crash("n4")
    cluster.start("n4")
    cluster.wait(10.0)
    cluster.loses = lambda source, target: source == "n4"
    cluster.ask("n1", Propose(all_slots_to("n1", "n2", "n3")))
    cluster.wait(10.0)
    assert cluster.replica("n4").views.history.settled
    assert not cluster.replica("n1").views.history.settled
    cluster.ask("n1", Propose(all_slots_to("n1", "n2", "n3", "n4")))
    cluster.loses = lambda source, target: False
    cluster.wait(10.0)
    views = {node: cluster.replica(node).view.id for node in NODES}
    if len(set(views.values())) > 1:
        raise ViolationError("NotAtRest", f"{views}")
