"""Stories about hints: writes that no owner has beside their home, when the home is lost.

Six real replicas in two shards of three, in fair weather; n4 takes the requests for a key of n1, n2
and n3.  A story that ends badly raises ViolationError.
"""

from msgspec.structs import replace

from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.world import SimNode
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.keys import slot_of_key
from node.core.model.placement import without
from node.core.protocol.hints import HandOver
from node.core.protocol.messages import Envelope
from node.core.protocol.operations import (
    Absent,
    Adopted,
    Found,
    Get,
    Outcome,
    Propose,
    Put,
    Request,
    Stored,
)
from node.core.replica import Replica
from tests.simulation.post import Post

OWNERS, ORIGIN = ("n1", "n2", "n3"), "n4"
ALL = (*OWNERS, ORIGIN, "n5", "n6")
HINTED, NEXT = b"kept by hints", b"of a client that has seen it"


class Six(Post):
    """Hints are handed over only to nodes in `hear`."""

    def __init__(self, seed: int) -> None:
        self.hear: tuple[str, ...] = ALL
        super().__init__(seed, ALL, 2)
        names = (f"key{n}" for n in range(1000))
        view = self.replica(ORIGIN).view
        self.key = next(n for n in names if view.shard_of(slot_of_key(n)).members == OWNERS)
        self.holds = self._is_held

    def _is_held(self, node: SimNode, target: str, envelope: Envelope) -> bool:
        return isinstance(envelope.message, HandOver) and target not in self.hear

    def hand_over(self, *nodes: str) -> None:
        """Let these nodes hear of hints from now on, and of those that were held."""
        self.hear, held = nodes, self.held
        self.held = [each for each in held if each[1] not in nodes]
        self.let_go([each for each in held if each[1] in nodes])

    def replica(self, address: str) -> Replica:
        driver = self.nodes[address].driver
        assert driver is not None
        return driver.replica

    def ask(self, address: str, request: Request, wait_s: float = 3.0) -> Outcome:
        outcomes: list[Outcome] = []
        self.submit(address, request, outcomes.append)
        self.wait(wait_s)
        assert outcomes, f"{address} has not answered {request}"
        return outcomes[0]

    def write_with_hints(self) -> Stored:
        """Write the key while of its owners n1 alone is up, so that n1 and hints have it."""
        self.crash("n2")
        self.crash("n3")
        self.wait(3.0)
        put = Put(self.key, HINTED, Mode.SIBLINGS, level="all", hinted=True)
        stored = self.ask(ORIGIN, put)
        assert isinstance(stored, Stored)
        assert (stored.acks, stored.hints) == (1, 2)
        return stored

    def demand(self, token_of: Stored, value: bytes, nodes: tuple[str, ...]) -> None:
        for node in nodes:
            get = Get(self.key, Mode.SIBLINGS, token=token_of.token, wait_s=2.0)
            found = self.ask(node, get)
            if not isinstance(found, Found) or found.values != (value,):
                raise ViolationError("WriteCORead", f"{self.key} at {node}: {found}")

    def lose_the_home(self) -> None:
        """Lose n1 for ever, with a view that leaves it out.  n2 and n3 are back."""
        self.crash("n1")
        self.start("n2")
        self.start("n3")
        self.wait(3.0)
        view = self.replica(ORIGIN).view
        changed = self.ask(ORIGIN, Propose(without(view, "n1"), view.id, ("n1",)))
        assert isinstance(changed, Adopted)


def a_home_is_declared_lost_that_only_hints_survive(seed: int) -> None:
    """The owners hear everything but what hints say, for a while."""
    cluster = Six(seed)
    stored = cluster.write_with_hints()
    cluster.hear = ()
    cluster.lose_the_home()
    cluster.wait(20.0)
    cluster.hand_over(*ALL)
    cluster.wait(20.0)
    cluster.demand(stored, HINTED, ("n2", "n3", ORIGIN))
    if not cluster.replica(ORIGIN).views.history.settled:
        raise ViolationError("NotAtRest", "the first view is not retired")


def an_owner_has_reported_when_a_hint_comes(seed: int) -> None:
    """n2 and n3 have left the first view to each other.  Then n2 alone hears of the hints."""
    cluster = Six(seed)
    stored = cluster.write_with_hints()
    cluster.hear = ()
    cluster.lose_the_home()
    cluster.wait(20.0)
    cluster.cut({("n2", "n3"), ("n3", "n2")})
    cluster.hand_over("n2")
    cluster.wait(2.0)
    get = Get(cluster.key, Mode.SIBLINGS, token=stored.token, wait_s=2.0)
    if isinstance(absent := cluster.ask("n3", get), Absent):
        raise ViolationError("WriteCOInitRead", f"{cluster.key} at n3: {absent}")
    cluster.wait(20.0)
    cluster.mend({("n2", "n3"), ("n3", "n2")})
    cluster.hand_over(*ALL)
    cluster.wait(20.0)
    cluster.demand(stored, HINTED, ("n2", "n3", ORIGIN))


def a_hint_comes_when_its_incarnation_is_closed(seed: int) -> None:
    """n1 loses its disk, and the members close the incarnation that named the write.

    A client that has seen the write has replaced it.  No client sees it again.
    """
    cluster = Six(seed)
    stored = cluster.write_with_hints()
    cluster.hear = ()
    assert isinstance(cluster.watch, InvariantMonitor)
    cluster.watch.on_wipe("n1", cluster.timeline.now)
    cluster.replace_disk("n1")
    cluster.start("n2")
    cluster.start("n3")
    cluster.wait(15.0)
    seen = replace(stored.context, loose=stored.context.loose | {stored.dot})
    put = Put(cluster.key, NEXT, Mode.SIBLINGS, context=Past(seen.base, seen.loose))
    second = cluster.ask(ORIGIN, put)
    assert isinstance(second, Stored)
    cluster.wait(15.0)
    cluster.hand_over(*ALL)
    cluster.wait(15.0)
    cluster.demand(second, NEXT, (*OWNERS, ORIGIN))
