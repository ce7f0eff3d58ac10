"""Stories about writes that are sent again while their homes do not hear of each other.

Six real replicas in two shards of three, in fair weather; n4 takes the requests for a key of n1, n2
and n3.  A story that ends badly raises ViolationError.
"""

from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.world import SimNode
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.dots import Dot
from node.core.model.item import Past, Version
from node.core.model.keys import slot_of_key
from node.core.model.tags import ANY_VALUE
from node.core.protocol.messages import Accept, Envelope, Pull, Written
from node.core.protocol.operations import Found, Get, Outcome, Put, Request, Stored
from tests.simulation.post import Post

OWNERS, ORIGIN = ("n1", "n2", "n3"), "n4"
NODES = (*OWNERS, ORIGIN, "n5", "n6")
AGAIN, NEXT = b"sent again", b"of a client that has seen it"


class Six(Post):
    """`asked`: the homes that the origin has asked, in turn.  What `late` homes name is held."""

    def __init__(self, seed: int) -> None:
        self.asked: list[str] = []
        super().__init__(seed, NODES, 2)
        self.key = self.key_of("")
        self.holds = self._is_of_the_first_home

    def key_of(self, kind: str) -> str:
        """Return a name; with `kind` before it, it is a key of the owners."""
        view = next(node.driver for node in self.nodes.values() if node.driver).replica.view
        names = (f"key{n}" for n in range(1000))
        return next(n for n in names if view.shard_of(slot_of_key(kind + n)).members == OWNERS)

    def _is_of_the_first_home(self, node: SimNode, target: str, envelope: Envelope) -> bool:
        if isinstance(envelope.message, Accept):
            self.asked.append(target)
        return isinstance(envelope.message, Written) and node.address == self.asked[0]

    def ask(self, address: str, request: Request, wait_s: float = 3.0) -> Outcome:
        outcomes: list[Outcome] = []
        self.submit(address, request, outcomes.append)
        self.wait(wait_s)
        assert outcomes, f"{address} has not answered {request}"
        return outcomes[0]

    def held_at(self, address: str) -> dict[Dot, Version]:
        driver = self.nodes[address].driver
        assert driver is not None
        return driver.replica.peek(self.key).versions

    def part(self, address: str) -> None:
        """Let nothing pass between this owner and the other owners."""
        others = [owner for owner in OWNERS if owner != address]
        self.cut({pair for other in others for pair in ((address, other), (other, address))})
        self.wait(3.0)

    def heal(self) -> None:
        self.mend(set(self.cuts))
        self.wait(10.0)


def a_late_name_of_a_write_that_was_seen(seed: int) -> None:
    """n1 names a write, and n2 names another one of a client that has seen it.  Then n3, which has
    the second write alone, is asked to name the first."""
    cluster = Six(seed)
    cluster.part("n1")
    again = Put(cluster.key, AGAIN, level="one", identity="write.again")
    first = cluster.ask("n1", again)
    assert isinstance(first, Stored)
    second = cluster.ask("n2", Put(cluster.key, NEXT, token=first.token))
    assert isinstance(second, Stored)
    cluster.ask("n3", again)
    cluster.heal()
    for owner in OWNERS:
        found = cluster.ask(owner, Get(cluster.key, token=second.token, wait_s=2.0))
        if not isinstance(found, Found) or found.values != (NEXT,):
            raise ViolationError("WriteCORead", f"{cluster.key} at {owner}: {found}")


def two_homes_have_a_replica_each(seed: int) -> None:
    """Two homes name a write; one is silent, and the other reaches no shard peer.

    The third owner has it under the name of the silent one.
    """
    cluster = Six(seed)
    put = Put(cluster.key, AGAIN, level="quorum", identity="write.again", timeout_s=1.0)
    outcomes: list[Outcome] = []
    cluster.submit(ORIGIN, put, outcomes.append)
    (first,) = cluster.asked
    second = OWNERS[(OWNERS.index(first) + 1) % len(OWNERS)]
    cluster.cut({pair for o in OWNERS if o != second for pair in ((second, o), (o, second))})
    cluster.wait(3.0)
    assert cluster.asked[:2] == [first, second]
    assert isinstance(cluster.watch, InvariantMonitor)
    for outcome in outcomes:
        if isinstance(outcome, Stored):
            cluster.watch.on_stored(put, outcome)


def a_client_replaces_a_write_that_has_two_names(seed: int) -> None:
    """n1 and n2 name a write while they do not hear of each other; its client knows n1's name.

    It replaces the write where both names are known, and nobody sees the write any more.
    """
    cluster = Six(seed)
    cluster.part("n1")
    again = Put(cluster.key, AGAIN, Mode.SIBLINGS, level="one", identity="write.again")
    told = cluster.ask("n1", again)
    cluster.ask("n2", again)
    assert isinstance(told, Stored)
    cluster.heal()
    seen = Past({}, {told.dot})  # a context names the last few writes alone: not this one any more
    put = Put(cluster.key, NEXT, Mode.SIBLINGS, token=told.token, context=seen)
    stored = cluster.ask("n3", put)
    assert isinstance(stored, Stored)
    for owner in OWNERS:
        get = Get(cluster.key, Mode.SIBLINGS, token=stored.token, wait_s=2.0)
        found = cluster.ask(owner, get)
        if not isinstance(found, Found) or found.values != (NEXT,):
            raise ViolationError("StaleVersion", f"{cluster.key} at {owner}: {found}")


def two_writes_replace_each_other(seed: int) -> None:
    """n1 is sent one write and then the other, and n2, which does not hear of it, both in turn."""
    cluster = Six(seed)
    cluster.part("n1")
    one, other = (
        Put(cluster.key, value, level="one", identity=f"{value.decode()}.write")
        for value in (b"one", b"other")
    )
    for owner, puts in (("n1", (one, other)), ("n2", (other, one))):
        for put in puts:
            assert isinstance(cluster.ask(owner, put), Stored)
    cluster.heal()
    for owner in OWNERS:
        found = cluster.ask(owner, Get(cluster.key, Mode.SIBLINGS, wait_s=2.0))
        if not isinstance(found, Found) or found.values != (b"other",):
            raise ViolationError("LostWrite", f"{cluster.key} at {owner}: {found}")


def a_write_that_a_context_has_seen_is_sent_again(seed: int) -> None:
    """n2 is told by a context of a write that it never had, and is then sent that write."""
    cluster = Six(seed)
    cluster.part("n1")
    again = Put(cluster.key, AGAIN, Mode.SIBLINGS, level="one", identity="write.again")
    told = cluster.ask("n1", again)
    assert isinstance(told, Stored)
    after = Put(cluster.key, NEXT, Mode.SIBLINGS, told.token, told.context, "one")
    assert isinstance(cluster.ask("n2", after), Stored)
    cluster.ask("n2", again)
    found = cluster.ask("n2", Get(cluster.key, Mode.SIBLINGS))
    if not isinstance(found, Found) or found.values != (NEXT,):
        raise ViolationError("StaleVersion", f"{cluster.key} at n2: {found}")


def one_home_refuses_what_another_has_named(seed: int) -> None:
    """The first home has named a write of a new key, and is silent.  The owners do not hear of each
    other, and another client writes the key at those that are asked next."""
    cluster = Six(seed)
    cluster.cut({(one, other) for one in OWNERS for other in OWNERS if one != other})
    cluster.wait(3.0)
    new = RefuseWhen(one_of=(ANY_VALUE,), shown_as=Mode.SIBLINGS)
    put = Put(
        cluster.key, AGAIN, Mode.SIBLINGS, level="one", refuse_when=new, identity="write.again"
    )
    outcomes: list[Outcome] = []
    cluster.submit(ORIGIN, put, outcomes.append)
    (first,) = cluster.asked
    for owner in OWNERS:
        if owner != first:
            cluster.submit(owner, Put(cluster.key, NEXT, level="one"), lambda outcome: None)
    cluster.wait(5.0)
    assert len(cluster.asked) > 1
    for outcome in outcomes:
        if not isinstance(outcome, Stored) and getattr(outcome, "definite", True):
            raise ViolationError("DefiniteButDone", f"{first} has named it, and: {outcome}")


def the_name_of_a_replaced_write_is_told_with_its_dot(seed: int) -> None:
    """n1 alone has a write.  n2 and n3 have what has replaced it, and so has n1 when they ask it
    what they lack: they have the same versions as n1 then, but not the name of the first write.
    That write is sent to n2 again."""
    cluster = Six(seed)
    cluster.part("n1")
    again = Put(cluster.key, AGAIN, level="one", identity="write.again")
    first = cluster.ask("n1", again)
    assert isinstance(first, Stored)
    second = cluster.ask("n2", Put(cluster.key, NEXT, token=first.token))
    assert isinstance(second, Stored)
    cluster.holds = lambda node, target, envelope: (
        target == "n1"
        and isinstance(envelope.message, Pull)
        and second.dot not in cluster.held_at("n1")
    )
    cluster.heal()
    cluster.ask("n2", again)
    cluster.wait(3.0)
    for owner in OWNERS:
        found = cluster.ask(owner, Get(cluster.key, token=second.token, wait_s=2.0))
        if not isinstance(found, Found) or found.values != (NEXT,):
            raise ViolationError("WriteCORead", f"{cluster.key} at {owner}: {found}")
