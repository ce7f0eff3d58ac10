"""Stories about what a node may say of its past.

It speaks to a peer that was away, about a view in which it was long ago, to a client that has met a
newer view, and about a delete.  Four real replicas in two shards, in fair weather, as in
`directed_views`; some messages are lost.  A story that ends badly raises ViolationError.
"""

from collections import Counter
from collections.abc import Callable

from cluster.simulator.invariants import ViolationError
from cluster.simulator.world import SimNode
from node.core.model.conditions import RefuseWhen, Scope
from node.core.model.token import Token
from node.core.protocol.messages import Envelope, ItemPage, Message, Page, Replicate, RowPage
from node.core.protocol.operations import Absent, Found, Get, Propose, Put, Stored
from node.core.replica import Replica
from tests.simulation.directed_views import KEYS, Cluster, all_slots_to

MANY = tuple(f"m{n}" for n in range(60))
CAUSE, DELETED = "l1", "m4"  # keys of the second shard, n3 and n4
UNSEEN = "m1"  # another one, first written when n4 is cut off


def arrives(target: str, message: Message) -> bool:
    return False


class Told(Cluster):
    """Counts the rows that repair sends to each node, and loses chosen ones."""

    def __init__(self, seed: int) -> None:
        self.loses: Callable[[str, Message], bool] = arrives
        self.rows_sent = Counter[str]()
        super().__init__(seed)

    def send(self, node: SimNode, target: str, envelope: Envelope) -> None:
        message = envelope.message
        if self.loses(target, message):
            return
        if isinstance(message, ItemPage | RowPage):
            self.rows_sent[target] += len(message.items)
        if isinstance(message, RowPage):
            self.rows_sent[target] += len(message.rows)
        super().send(node, target, envelope)

    def put(self, address: str, put: Put) -> Stored:
        outcome = self.ask(address, put)
        assert isinstance(outcome, Stored), f"{put.key} at {address}: {outcome}"
        return outcome

    def settle(self) -> None:
        """Give all nodes time to hand their old slots to the current view's owners."""
        self.wait(10.0)
        assert all(self.replica(address).views.history.settled for address in self.nodes)

    def replica(self, address: str) -> Replica:
        driver = self.nodes[address].driver
        assert driver is not None
        return driver.replica


def who_was_away_is_sent_what_it_missed(seed: int) -> None:
    """A client writes one key of many while a member is away: the member gets that one, not all."""
    cluster = Told(seed)
    for key in MANY:
        cluster.submit("n3", Put(key, b"before"), lambda outcome: None)
    cluster.wait(10.0)
    cluster.part("n4")
    cluster.put("n3", Put(CAUSE, b"meanwhile"))
    cluster.wait(10.0)
    cluster.rows_sent.clear()
    cluster.heal()
    outcome = cluster.ask("n4", Get(CAUSE))
    assert isinstance(outcome, Found)
    assert outcome.values == (b"meanwhile",)
    rows = cluster.rows_sent["n4"]
    assert rows, "it has not been levelled by repair"
    if rows > 1:
        raise ViolationError("FullExchange", f"{rows} rows are sent for one write")


def who_has_forgotten_owns_again(seed: int) -> None:
    """On one side of a cut an owner gives everything away and forgets it.

    The view of the other side wins.  It knows nothing of this and names the owner again, while the
    node that has the slots is away.
    """
    cluster = Told(seed)
    cluster.ask("n1", Propose(all_slots_to("n1", "n2", "n3", "n4")))
    cluster.settle()
    cluster.write("n1", b"given away")
    cluster.part("n1", "n2")
    cluster.ask("n1", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    cluster.wait(5.0)
    assert not cluster.replica("n1").keyspace.parts.outgoing()
    for _ in range(2):
        cluster.ask("n3", Propose(all_slots_to("n1", "n2", "n3", "n4")))
    cluster.part("n2")
    cluster.mend({(one, two) for one, two in cluster.cuts if "n2" not in (one, two)})
    cluster.wait(5.0)
    cluster.must_not_deny("n1")
    cluster.heal()
    cluster.must_show("n1", b"given away")


def who_has_met_a_view_that_a_lost_node_has_not(seed: int) -> tuple[Told, dict[str, Token]]:
    """An operator declares a living node lost, and the others retire its view without it.

    The tokens of their readers name only the view that they have met.
    """
    cluster = Told(seed)
    for key in KEYS:
        cluster.put("n3", Put(key, b"old", level="all"))
    cluster.part("n4")
    cluster.ask("n1", Propose(all_slots_to("n1", "n3", "n2"), lost=("n4",)))
    cluster.wait(10.0)
    cluster.write("n1", b"new")
    cluster.put("n1", Put(UNSEEN, b"new"))
    cluster.wait(5.0)
    tokens = {key: token_of(cluster, "n1", key) for key in (*KEYS, UNSEEN)}
    assert not any(token.exact or token.floor for token in tokens.values())
    return cluster, tokens


def a_living_node_is_declared_lost(seed: int) -> None:
    """The lost node does not know the view that its reader has met: it must not answer alone."""
    cluster, tokens = who_has_met_a_view_that_a_lost_node_has_not(seed)
    for key in KEYS:
        must_not_go_back(cluster, "n4", key, tokens[key], b"new")
    cluster.heal()
    cluster.must_show("n4", b"new")


def a_lost_node_is_asked_to_delete(seed: int) -> None:
    """It must not say that there is nothing to delete, nor take a write that may be refused."""
    cluster, tokens = who_has_met_a_view_that_a_lost_node_has_not(seed)
    token = tokens[UNSEEN]
    outcome = cluster.ask("n4", Put(UNSEEN, None, token=token, refuse_when=RefuseWhen(absent=True)))
    if isinstance(outcome, Absent):
        raise ViolationError("WriteCOInitRead", f"{UNSEEN} at n4: {outcome}")
    for scope in Scope:
        outcome = cluster.ask(
            "n4", Put(UNSEEN, b"late", token=token, refuse_when=RefuseWhen(scope))
        )
        if isinstance(outcome, Stored):
            raise ViolationError("WriteCORead", f"{UNSEEN} at n4: {outcome}")
    cluster.heal()
    outcome = cluster.ask("n4", Get(UNSEEN, token=token))
    assert isinstance(outcome, Found)
    assert outcome.values == (b"new",)


def token_of(cluster: Cluster, address: str, key: str) -> Token:
    """Return what a reader of the key depends on."""
    outcome = cluster.ask(address, Get(key))
    assert isinstance(outcome, Found | Absent), f"{key} at {address}: {outcome}"
    return outcome.token


def must_not_go_back(cluster: Cluster, address: str, key: str, token: Token, seen: bytes) -> None:
    """Demand that a client that has seen this value is shown it, or gets no answer."""
    outcome = cluster.ask(address, Get(key, token=token, wait_s=2.0))
    if isinstance(outcome, Absent) or (isinstance(outcome, Found) and outcome.values != (seen,)):
        raise ViolationError("MonotonicReads", f"{key} at {address}: {outcome}")


def what_a_delete_depended_on(seed: int) -> None:
    """The writer of one key deletes another, and a member is told of the delete alone.

    A client that finds nothing there depends on the first key's write: the member must not show
    what was before.
    """
    cluster = Told(seed)
    for key in (CAUSE, DELETED):
        cluster.put("n3", Put(key, b"before", level="all"))
    cluster.wait(5.0)
    cluster.loses = lambda target, message: (
        target == "n4"
        and (isinstance(message, Page) or (isinstance(message, Replicate) and message.key == CAUSE))
    )
    cause = cluster.put("n3", Put(CAUSE, b"after"))
    cluster.put("n3", Put(DELETED, None, token=cause.token))
    found = cluster.ask("n4", Get(DELETED))
    assert isinstance(found, Absent), f"{DELETED} at n4: {found}"
    outcome = cluster.ask("n4", Get(CAUSE, token=found.token, wait_s=2.0))
    if isinstance(outcome, Found) and outcome.values == (b"before",):
        raise ViolationError("WriteCORead", f"{CAUSE} at n4: {outcome}")
    cluster.loses = arrives
    cluster.heal()
    outcome = cluster.ask("n4", Get(CAUSE))
    assert isinstance(outcome, Found)
    assert outcome.values == (b"after",)
