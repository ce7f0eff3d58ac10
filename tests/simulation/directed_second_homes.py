"""Stories about writes that their origin has given to two homes, which do not hear of each other.

(docs/decisions/0049.)
"""

from cluster.simulator.invariants import ViolationError
from node.core.model.changes import StateChange
from node.core.model.conditions import Mode
from node.core.model.drawn_identity import identity_of
from node.core.model.element_sets import ElementSet
from node.core.model.keys import SETS
from node.core.model.merged_values import joined
from node.core.protocol.messages import Accept, Envelope
from node.core.protocol.operations import Found, Get, Put, Stored
from tests.simulation.directed_repeats import NEXT, ORIGIN, OWNERS, Six

RUN = "runoforigin4"
TAKEN_S = 0.5
PRUNED_S = 5.0  # by then all replicas know that all have a delete


class Given(Six):
    """Homes are asked as the origin would ask them; it does not count their answers."""

    def give(self, owner: str, number: int, put: Put, again: bool = False) -> None:
        """Let the origin ask this home for the write of this number."""
        driver = self.nodes[owner].driver
        assert driver is not None
        accept = Accept(number, put, again=again)
        self.asked.append(owner)
        driver.receive(ORIGIN, Envelope(driver.replica.views.epoch, accept))
        self.wait(TAKEN_S)

    def marks(self, owner: str) -> int:
        """Return how many versions, marks of deletes too, this owner has of the key."""
        driver = self.nodes[owner].driver
        assert driver is not None
        return len(driver.replica.keyspace.item(self.key).versions)


def two_homes_take_two_writes_in_turn(seed: int) -> None:
    """n1 is asked for one write, and n2 for the other; then each for the write of the other one."""
    cluster = Given(seed)
    one, other = (
        Put(cluster.key, value, identity=identity_of(RUN, number))
        for number, value in ((1, b"one"), (2, b"other"))
    )
    cluster.part("n1")
    cluster.give("n1", 1, one)
    cluster.give("n2", 2, other)
    cluster.give("n1", 2, other, again=True)
    cluster.give("n2", 1, one, again=True)
    cluster.heal()
    for owner in OWNERS:
        found = cluster.ask(owner, Get(cluster.key, Mode.SIBLINGS, wait_s=2.0))
        if not isinstance(found, Found) or {*found.values} != {b"one", b"other"}:
            raise ViolationError("LostWrite", f"{cluster.key} at {owner}: {found}")


def a_client_reads_one_name_and_writes_at_the_home_of_the_other(seed: int) -> None:
    """n1 and n2 have named a write.  A client reads it at n1, and replaces it at n2."""
    cluster = Given(seed)
    put = Put(cluster.key, b"one", Mode.SIBLINGS, identity=identity_of(RUN, 1))
    cluster.part("n1")
    cluster.give("n1", 1, put)
    cluster.give("n2", 1, put, again=True)
    read = cluster.ask("n1", Get(cluster.key, Mode.SIBLINGS))
    assert isinstance(read, Found)
    last = Put(cluster.key, NEXT, Mode.SIBLINGS, context=read.context, level="one")
    assert isinstance(cluster.ask("n2", last), Stored)
    found = cluster.ask("n2", Get(cluster.key, Mode.SIBLINGS))
    if not isinstance(found, Found) or found.values != (NEXT,):
        raise ViolationError("StaleVersion", f"{cluster.key} at n2: {found}")


def a_delete_comes_once_more_when_its_mark_is_gone(seed: int) -> None:
    """n2 names a delete, of which n1 was asked before; n1 hears of that after a new value."""
    cluster = Given(seed)
    assert isinstance(cluster.ask("n1", Put(cluster.key, b"one", level="all")), Stored)
    delete = Put(cluster.key, None, identity=identity_of(RUN, 1))
    cluster.give("n2", 1, delete, again=True)
    cluster.wait(PRUNED_S)
    assert not any(cluster.marks(owner) for owner in OWNERS), "the mark is still there"
    assert isinstance(cluster.ask("n3", Put(cluster.key, NEXT, level="all")), Stored)
    cluster.give("n1", 1, delete)
    for owner in OWNERS:
        found = cluster.ask(owner, Get(cluster.key, wait_s=2.0))
        if not isinstance(found, Found) or found.values != (NEXT,):
            raise ViolationError("LostWrite", f"{cluster.key} at {owner}: {found}")


def an_element_is_removed_where_it_has_one_of_two_names(seed: int) -> None:
    """n1 and n2 have named an addition to a set.  A remove at n2 takes it under the name there."""
    cluster = Given(seed)
    cluster.key = SETS + cluster.key_of(SETS)
    add = Put(
        cluster.key, None, Mode.SIBLINGS, identity=identity_of(RUN, 1),
        change=StateChange(add=("milk",)),
    )  # fmt: skip
    cluster.part("n1")
    cluster.give("n1", 1, add)
    cluster.give("n2", 1, add, again=True)
    remove = Put(cluster.key, None, Mode.SIBLINGS, change=StateChange(remove=("milk",)))
    assert isinstance(cluster.ask("n2", remove), Stored)
    cluster.heal()
    for owner in OWNERS:
        held = cluster.held_at(owner).values()
        state = joined(cluster.key, [version.value or b"" for version in held])
        assert isinstance(state, ElementSet)
        if state.elements:
            raise ViolationError("ElementBack", f"{owner} has {state.elements} again: {state}")
