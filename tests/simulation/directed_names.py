"""Stories about names of the cluster.

Two sides that have begun apart do not know each other's names, so neither says that the other's
tokens are of another cluster.  And a node that was away, and had heard of all nodes before, is
shown a token of an incarnation that has begun since.  Such an incarnation does not write before it
has a name that all know.
"""

from copy import deepcopy

from cluster.simulator.invariants import ViolationError
from node.core.model.hlc import NO_TIMESTAMP
from node.core.model.keys import SLOTS, key_hash_of, slot_of
from node.core.model.placement import first_view
from node.core.model.token import Token
from node.core.model.view import Layout, Shard
from node.core.protocol.operations import (
    Adopted,
    Get,
    Outcome,
    Propose,
    Put,
    Rejected,
    Stored,
    Unavailable,
)
from tests.simulation.directed_views import KEYS, NODES, Cluster, all_slots_to

SIDES = (("n1", "n2"), ("n3", "n4"))
FOREIGN = Token(timestamp=NO_TIMESTAMP, name="ZZZZZZ")


class Apart(Cluster):
    """Two shards, each of which begins alone."""

    def start(self, address: str) -> None:
        if not self.cuts:
            one, other = SIDES
            self.cut({(a, b) for a in one for b in other} | {(b, a) for a in one for b in other})
        super().start(address)


def must_not_reject(world: Cluster, address: str, token: Token) -> Outcome:
    outcome = world.ask(address, Put(key_of(address), b"v", token=token, level="one"))
    if isinstance(outcome, Rejected):
        raise ViolationError("RejectedAsForeign", f"{token} at {address}")
    return outcome


def key_of(address: str) -> str:
    """Return a key that this node owns in the first view."""
    view = first_view(NODES, 2)
    return next(k for k in KEYS if address in view.shard_of(slot_of(key_hash_of(k, True))).members)


def two_sides_that_have_begun_apart(seed: int) -> None:
    """A client goes from one side to the other; at worst it waits until the two have met."""
    world = Apart(seed)
    written = must_not_reject(world, "n3", Token())
    assert isinstance(written, Stored)
    assert written.token.name
    assert isinstance(must_not_reject(world, "n1", written.token), Unavailable)
    assert isinstance(world.ask("n1", Get(key_of("n1"), token=FOREIGN)), Unavailable)
    world.heal()
    assert isinstance(must_not_reject(world, "n1", written.token), Stored)
    for address in NODES:
        outcome = world.ask(address, Get(KEYS[0], token=FOREIGN))
        if not isinstance(outcome, Rejected):
            raise ViolationError("StrangerNotKnown", f"{address}: {outcome}")


def a_copy_begins_while_its_original_is_down(seed: int) -> None:
    """n4 gets a copy of the disk of n1, which is down, in place of its own.

    It begins a new incarnation on those rows, in a view that is not the first.  A client takes its
    token to n1, which knows the names of all nodes, and not the new incarnation at n4.
    """
    world = Cluster(seed)
    owners = Shard("s1", ("n2", "n4"))
    world.ask("n1", Propose(Layout(NODES, (owners,), bytes(SLOTS))))
    world.wait(5.0)
    world.crash("n4")
    world.crash("n1")
    world.put_back("n4", deepcopy(world.nodes["n1"].disk))
    world.start("n4")
    world.wait(5.0)
    written = world.ask("n4", Put(KEYS[0], b"v", level="one"))
    assert isinstance(written, Stored)
    world.cut({(other, "n1") for other in NODES if other != "n1"})
    world.start("n1")
    must_not_reject(world, "n1", written.token)
    outcome = world.ask("n1", Get(KEYS[0], token=FOREIGN))
    assert isinstance(outcome, Rejected), outcome


def a_new_life_proposes_while_it_is_cut_off(seed: int) -> None:
    """n4 has lost its disk and hears nothing, and is asked for a view in which it owns all slots.

    That view gives its shard peer up, and a client writes there.  All others know the name of the
    last incarnation at n4.
    """
    world = Cluster(seed)
    world.part("n4")
    world.replace_disk("n4")
    wanted = Propose(all_slots_to("n4", "n1", "n2", "n3"), lost=("n3",))
    assert isinstance(world.ask("n4", wanted), Adopted)
    written = world.ask("n4", Put(KEYS[0], b"v", level="one"))
    if isinstance(written, Stored):
        must_not_reject(world, "n1", written.token)
    else:
        assert isinstance(written, Unavailable), written
    world.heal()
    stored = world.ask("n4", Put(KEYS[0], b"v", level="one"))
    assert isinstance(stored, Stored), stored
    must_not_reject(world, "n1", stored.token)
