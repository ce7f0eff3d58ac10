"""Stories about an exchange that breaks off for good, because its source loses its disk.

Two real replicas in one shard, in fair weather, and a spare one.  A story that ends badly raises
ViolationError.
"""

from cluster.simulator.invariants import ViolationError
from cluster.simulator.world import SimNode
from node.core.model.keys import SLOTS
from node.core.model.view import Layout, Shard
from node.core.protocol.messages import Envelope, RowPage
from node.core.protocol.operations import Propose, Put
from node.core.replica import Replica
from tests.simulation.post import Post, nothing

SOURCE, TARGET, NEXT = "n1", "n2", "n3"
KEYS = [f"key{n}" for n in range(300)]  # more than the rows of a page


def _later_pages(node: SimNode, target: str, envelope: Envelope) -> bool:
    message = envelope.message
    return isinstance(message, RowPage) and bool(message.after)


def _replica(world: Post, address: str) -> Replica:
    driver = world.nodes[address].driver
    assert driver is not None
    return driver.replica


def _with_a_page(seed: int) -> tuple[Post, list[str]]:
    """Return a world in which n2 has an empty disk and the first page of n1's rows, without the
    clock that names them, and the keys of that page."""
    world = Post(seed, (SOURCE, TARGET), 1, (NEXT,))
    for key in KEYS:
        world.submit(SOURCE, Put(key, b"v"), lambda outcome: None)
    world.wait(10.0)
    world.holds = _later_pages
    world.replace_disk(TARGET)
    world.wait(3.0)
    assert world.held, "the exchange has broken off behind its first page"
    brought = [key for key in KEYS if _replica(world, TARGET).peek(key).versions]
    assert 0 < len(brought) < len(KEYS)
    world.holds = nothing
    return world, brought


def a_page_outlives_the_disk_that_it_came_from(seed: int) -> None:
    """A lost disk breaks an exchange off, and another member must close the incarnation with the
    same writes.

    All close the incarnation that wrote the page of n2, and both members must have its rows.
    """
    world, brought = _with_a_page(seed)
    world.replace_disk(SOURCE)
    world.wait(20.0)
    for address in (SOURCE, TARGET):
        replica = _replica(world, address)
        lacking = [key for key in brought if not replica.peek(key).versions]
        unnamed = [
            key
            for key in brought
            for dot in replica.keyspace.item(key).versions
            if not replica.keyspace.clock_of(key).has(dot)
        ]
        if lacking or unnamed:
            text = f"{address} lacks {len(lacking)} of the rows, and {len(unnamed)} have no name"
            raise ViolationError("LostWrite", text)


def a_page_is_handed_over_without_its_source(seed: int) -> None:
    """n1 is declared lost in a view in which n3 owns all slots, and n2 none.

    The owner takes from n2 what n2's clocks name, and then n2 forgets its rows.
    """
    world, brought = _with_a_page(seed)
    world.crash(SOURCE)
    world.start(NEXT)
    layout = Layout((TARGET, NEXT), (Shard("s1", (NEXT,)),), bytes(SLOTS))
    world.submit(TARGET, Propose(layout, None, (SOURCE,)), lambda outcome: None)
    world.wait(20.0)
    owner = _replica(world, NEXT)
    assert owner.views.history.settled
    assert not len(_replica(world, TARGET).keyspace.parts)
    lacking = [key for key in brought if not owner.peek(key).versions]
    if lacking:
        raise ViolationError("LostWrite", f"{NEXT} lacks {len(lacking)} of the rows")
