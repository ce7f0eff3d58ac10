"""A story about an exchange that breaks off for good, because its source loses its disk.

Two real replicas in one shard, in fair weather.  A story that ends badly raises ViolationError.
"""

from cluster.simulator.invariants import ViolationError
from cluster.simulator.world import SimNode
from node.core.protocol.messages import Envelope, RowPage
from node.core.protocol.operations import Put
from node.core.replica import Replica
from tests.simulation.post import Post, nothing

SOURCE, TARGET = "n1", "n2"
KEYS = [f"key{n}" for n in range(300)]  # more than the rows of a page


def _later_pages(node: SimNode, target: str, envelope: Envelope) -> bool:
    message = envelope.message
    return isinstance(message, RowPage) and bool(message.after)


def _replica(world: Post, address: str) -> Replica:
    driver = world.nodes[address].driver
    assert driver is not None
    return driver.replica


def a_page_outlives_the_disk_that_it_came_from(seed: int) -> None:
    """A lost disk breaks an exchange off, and another member must close the incarnation with the
    same writes.

    n2 has an empty disk and takes the first page of n1's rows, without the clock that names them.
    Then n1 loses its disk.  All close the incarnation that wrote them, and both members must have
    them.
    """
    world = Post(seed, (SOURCE, TARGET), 1)
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
