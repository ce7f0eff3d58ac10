"""Conditional writes to one key have one home, so one of those that exclude each other is done.

Six nodes in two shards.  All clients ask at the same moment, each at another node.
"""

from collections.abc import Sequence

import pytest

from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.tags import ANY_VALUE, tag_of
from node.core.protocol.operations import Found, Get, Mismatch, Outcome, Put, Stored
from node.core.requests.write_origin import WriteOrigin
from tests.simulation.post import Post

NODES = tuple(f"n{number}" for number in range(1, 7))
FREE = RefuseWhen(one_of=(ANY_VALUE,), shown_as=Mode.SIBLINGS)  # If-None-Match: *


class Cluster(Post):
    """Six nodes; messages take up to 10 ms, and none is lost."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, NODES, 2)
        self.weather.late, self.weather.delay_s = 0.0, (0.0005, 0.01)

    def at_once(self, keys: Sequence[str], nodes: Sequence[str], when: RefuseWhen) -> list[Outcome]:
        """Put each key at all these nodes in one moment."""
        outcomes: list[Outcome] = []
        for key in keys:
            for node in nodes:
                put = Put(key, node.encode(), mode=Mode.SIBLINGS, refuse_when=when)
                self.submit(node, put, outcomes.append)
        self.wait(1.5)
        assert len(outcomes) == len(keys) * len(nodes)
        return outcomes

    def values(self, key: str) -> int:
        """Return how many values a reader of all replicas is shown."""
        outcomes: list[Outcome] = []
        self.submit("n1", Get(key, Mode.SIBLINGS, copies=3), outcomes.append)
        self.wait(0.5)
        [found] = outcomes
        assert isinstance(found, Found)
        return len(found.values)


def stored(outcomes: Sequence[Outcome]) -> int:
    return sum(isinstance(outcome, Stored) for outcome in outcomes)


def refused(outcomes: Sequence[Outcome]) -> int:
    return sum(isinstance(outcome, Mismatch) for outcome in outcomes)


@pytest.mark.parametrize("seed", range(5))
def test_of_six_that_want_a_key_without_a_value_one_has_it(seed: int) -> None:
    world, keys = Cluster(seed), [f"seat/{number}" for number in range(20)]
    outcomes = world.at_once(keys, NODES, FREE)
    assert (stored(outcomes), refused(outcomes)) == (len(keys), 5 * len(keys))
    assert [world.values(key) for key in keys] == [1] * len(keys)


@pytest.mark.parametrize("seed", range(5))
def test_of_six_that_replace_what_they_have_read_one_does(seed: int) -> None:
    world = Cluster(seed)
    [first] = world.at_once(["cart"], ["n1"], FREE)
    assert isinstance(first, Stored)
    read = RefuseWhen(other_than=(tag_of([first.dot]),), shown_as=Mode.SIBLINGS)
    outcomes = world.at_once(["cart"], NODES, read)
    assert (stored(outcomes), refused(outcomes)) == (1, 5)


@pytest.mark.parametrize("seed", range(5))
def test_another_replica_judges_where_the_first_is_away(seed: int) -> None:
    world, keys = Cluster(seed), [f"seat/{number}" for number in range(20)]
    first = NODES[0]  # of the shard s1
    world.pause(first, 60.0)
    world.wait(5.0)
    others = [node for node in NODES if node != first]
    outcomes = world.at_once(keys, others, FREE)
    assert (stored(outcomes), refused(outcomes)) == (len(keys), 4 * len(keys))


def test_with_a_home_of_its_own_each_node_takes_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule the stories above would have other ends."""

    def members(self: WriteOrigin, put: Put, request: int) -> tuple[str, ...]:
        return self._views.replicas_of(put.key, request)

    monkeypatch.setattr(WriteOrigin, "_members", members)
    world, keys = Cluster(0), [f"seat/{number}" for number in range(20)]
    assert stored(world.at_once(keys, NODES, FREE)) > 2 * len(keys)
