"""A read that meets a silent replica is answered by another one, soon.

n1, n2 and n3 own the keys.  n1 stands still, and no node has noticed it yet.  Clients read at n4,
which holds none of the keys: every third read asks n1 first.
"""

from itertools import count, islice

import pytest

from node.core.model.keys import slot_of_key
from node.core.model.placement import first_view
from node.core.protocol.operations import Found, Get, Outcome, Put
from tests.simulation.post import Post

OWNERS, OTHERS = ("n1", "n2", "n3"), ("n4", "n5", "n6")
READS = 30
SOON_S = 0.12  # the second tick of 50 ms at the latest, and a round trip of at most 20 ms


class Cluster(Post):
    """Two shards of three; no message is late by itself."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, (*OWNERS, *OTHERS), 2)
        self.weather.late, self.weather.delay_s = 0.0, (0.0005, 0.01)
        self.answers: list[tuple[float, Outcome]] = []

    def ask(self, request: Put | Get) -> None:
        began = self.timeline.now

        def note(outcome: Outcome) -> None:
            self.answers.append((self.timeline.now - began, outcome))

        self.submit("n4", request, note)


def keys() -> list[str]:
    """Return keys that n1, n2 and n3 own."""
    view = first_view((*OWNERS, *OTHERS), 2)
    ours = (key for n in count() if view.shard_of(slot_of_key(key := f"k{n}")).id == "s1")
    return list(islice(ours, READS))


@pytest.mark.parametrize("seed", range(5))
def test_a_read_at_another_node_does_not_wait_for_a_silent_replica(seed: int) -> None:
    world = Cluster(seed)
    for key in keys():
        world.ask(Put(key, b"1", level="all"))
    world.wait(1.0)
    world.answers.clear()
    world.pause("n1", 1.5)
    for key in keys():
        world.ask(Get(key))
        world.wait(0.02)
    world.wait(0.5)
    assert all(isinstance(outcome, Found) for _, outcome in world.answers)
    assert len(world.answers) == READS
    assert max(waited_s for waited_s, _ in world.answers) <= SOON_S
