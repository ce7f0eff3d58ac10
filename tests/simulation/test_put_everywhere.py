"""Clients put the same view to every node at about the same time.

Real replicas take the contract's own steps in virtual time.  In a healthy network they make one
view of it; in any network all end in one view, as ordered.
"""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import orjson
import pytest

from cluster.simulator.world import SimNode, World
from node.api.contract import Call, Facts, Limits, Reply, Talk
from node.api.dialects.data_view.handlers import data_view
from node.api.dialects.data_view.names import name_of
from node.core import status
from node.core.model.options import Options, Start
from node.core.model.view import View, no_view
from node.core.protocol.effects import Record
from node.core.protocol.messages import Envelope
from node.core.protocol.operations import Outcome, Request
from node.core.replica import Replica
from tests.dialects.ordered import Groups, body_of, ordered

NODES = tuple(name_of(str(n)) for n in range(5))
PUT = next(route.handler for route in data_view().routes if route.method == "PUT")
LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)
SOON_S = 0.1  # within this time the view has been put to all
ANSWERED_S = 9.0

FIRST: Groups = {"A": [0, 1], "B": [2, 3]}
NEXT: list[Groups] = [
    {"A": [0], "B": [1], "C": [2], "D": [3]},
    {"A": [0, 1, 4], "B": [2, 3]},
    {"B": [4], "C": [3, 1]},
    {"A": [3, 2, 1, 0]},
]


class Nobody:
    """A watch that sees nothing."""

    def on_sent(self, node: SimNode, target: str, envelope: Envelope) -> None: ...
    def on_durable(self, node: SimNode, records: Sequence[Record]) -> None: ...
    def on_forgotten(self, node: SimNode) -> None: ...


class Cluster(World):
    """Five nodes without a view; a link is up within `detect_s`."""

    def __init__(self, seed: int, detect_s: float) -> None:
        told = dict.fromkeys(NODES, Start(no_view(())))
        super().__init__(told, Random(seed), Nobody(), Options(repair_every_s=0.3))
        self.weather.detect_s, self.weather.late_s = detect_s, min(0.3, detect_s)
        for address in NODES:
            self.start(address)

    def replica(self, address: str) -> Replica:
        driver = self.nodes[address].driver
        assert driver is not None
        return driver.replica

    def facts(self, address: str) -> Facts:
        driver, replica = self.nodes[address].driver, self.replica(address)
        assert driver is not None
        now = driver.now()
        return Facts(
            address=address,
            view=replica.view,
            alive=partial(status.alive, replica, now),
            movement=partial(status.movement, replica, now),
            now=now,
            confirmed=replica.views.is_confirmed,
        )

    def put(self, groups: Groups, at: Sequence[str] = NODES, port: int = 8081) -> list[Reply]:
        """Put the view to each of these nodes, in any sequence; return their answers."""
        replies: list[Reply] = []
        body = orjson.dumps(body_of(groups, port))
        for address in at:
            client = Client(self, address, body, replies.append)
            self.timeline.after(SOON_S * self.random.random(), client.begin)
        self.timeline.run(self.timeline.now + ANSWERED_S)
        assert len(replies) == len(at)
        return replies

    def put_in_turn(self, groups: Groups) -> float:
        """Put the view to one node after the other, each after the answer of the last.

        Returns the time that it has taken.
        """
        began, replies, body = self.timeline.now, list[Reply](), orjson.dumps(body_of(groups, 8081))
        for number, address in enumerate(self.random.sample(NODES, len(NODES))):
            Client(self, address, body, replies.append).begin()
            while len(replies) <= number:
                self.timeline.run(self.timeline.now + 0.01)
        assert {reply.status for reply in replies} == {200}
        return self.timeline.now - began

    def move_all(self, groups: Groups, port: int) -> None:
        """Start all nodes again at other addresses, where none finds another without a new view.

        They meet once the first of them has that view.
        """
        pairs = [(one, other) for one in NODES for other in NODES if one != other]
        self.cut(pairs)
        for address in NODES:
            self.crash(address)
            self.start(address)
        body, known = orjson.dumps(body_of(groups, port)), self.views()[0].id
        for address in NODES[:4]:
            begin = Client(self, address, body, lambda reply: None).begin
            self.timeline.after(SOON_S * self.random.random(), begin)
        while all(view.id == known for view in self.views()[:4]):
            self.timeline.run(self.timeline.now + 0.01)
        self.mend(pairs)
        self.timeline.run(self.timeline.now + ANSWERED_S)

    def adopted(self) -> list[list[str]]:
        """Return the views that each node has adopted, the newest last."""
        return [[view["id"] for view in self.replica(node).views.past] for node in NODES]

    def views(self) -> list[View]:
        return [self.replica(node).view for node in NODES]


class Client:
    """One request, which goes from step to step as the server would."""

    def __init__(
        self, world: Cluster, address: str, body: bytes, done: Callable[[Reply], None]
    ) -> None:
        self.world, self.address, self.done = world, address, done
        said = PUT(Call("PUT", {}, {}, {}, body, partial(world.facts, address), LIMITS))
        assert isinstance(said, Talk)
        self.steps = said.steps

    def begin(self) -> None:
        self.go(partial(next, self.steps))

    def go(self, step: Callable[[], Sequence[Request] | float]) -> None:
        try:
            wanted = step()
        except StopIteration as end:
            self.done(end.value)
            return
        if isinstance(wanted, float):
            self.world.timeline.after(wanted, partial(self.go, partial(self.steps.send, [])))
            return
        [request] = wanted
        self.world.submit(self.address, request, self.answered)

    def answered(self, outcome: Outcome) -> None:
        self.go(partial(self.steps.send, [outcome]))


@pytest.mark.parametrize("seed", range(12))
def test_it_becomes_one_view(seed: int) -> None:
    cluster = Cluster(seed, detect_s=0.05)
    assert {reply.status for reply in cluster.put(FIRST)} == {200}
    assert cluster.adopted()[:4] == [cluster.adopted()[0]] * 4
    assert [len(views) for views in cluster.adopted()] == [1, 1, 1, 1, 0]
    groups = NEXT[seed % len(NEXT)]
    replies = cluster.put(groups)
    assert {(reply.status, *reply.headers) for reply in replies} == {(200,)}
    assert cluster.adopted()[:4] == [cluster.adopted()[0]] * 4
    assert len(cluster.adopted()[0]) == 2
    assert ordered(groups).is_shown_by(cluster.views()[0])
    before = cluster.adopted()
    cluster.put(groups)  # it is so already
    assert cluster.adopted() == before
    cluster.put(groups, port=9000)  # elsewhere, all of them
    assert len(cluster.adopted()[0]) == 3
    assert ordered(groups, 9000).is_shown_by(cluster.views()[0])


@pytest.mark.parametrize("seed", range(12))
def test_put_to_one_after_the_other_it_is_one_view_too(seed: int) -> None:
    cluster = Cluster(seed, detect_s=0.05)
    assert cluster.put_in_turn(FIRST) < 5.0
    assert [len(views) for views in cluster.adopted()] == [1, 1, 1, 1, 0]
    assert cluster.put_in_turn(NEXT[seed % len(NEXT)]) < 5.0
    assert cluster.adopted()[:4] == [cluster.adopted()[0]] * 4
    assert len(cluster.adopted()[0]) == 2


@pytest.mark.parametrize("seed", range(12))
def test_where_all_have_moved_it_is_one_view_too(seed: int) -> None:
    cluster = Cluster(seed, detect_s=0.05)
    cluster.put(FIRST)
    cluster.move_all(FIRST, 9000)
    assert cluster.adopted()[:4] == [cluster.adopted()[0]] * 4
    assert len(cluster.adopted()[0]) == 1
    assert ordered(FIRST, 9000).is_shown_by(cluster.views()[0])


@pytest.mark.parametrize("seed", range(6))
def test_without_the_node_that_would_go_first_it_is_one_view_too(seed: int) -> None:
    cluster = Cluster(seed, detect_s=0.05)
    cluster.put(FIRST)
    cluster.crash(NODES[0])
    groups = {"A": [0, 1], "B": [2], "C": [3]}
    assert {reply.status for reply in cluster.put(groups, NODES[1:])} == {200}
    adopted = [[view["id"] for view in cluster.replica(node).views.past] for node in NODES[1:4]]
    assert adopted == [adopted[0]] * 3
    assert len(adopted[0]) == 2


@pytest.mark.parametrize("seed", range(12))
def test_in_a_bad_network_all_end_in_one_view_as_ordered(seed: int) -> None:
    cluster = Cluster(seed, detect_s=2.0)
    cluster.weather.loss = 0.05
    cluster.put(FIRST)
    groups = NEXT[seed % len(NEXT)]
    cluster.put(groups)
    cluster.timeline.run(cluster.timeline.now + 20.0)
    views = cluster.views()[:4]
    assert views == [views[0]] * 4
    assert ordered(groups).is_shown_by(views[0])


@pytest.mark.parametrize("seed", range(6))
def test_nodes_that_leave_one_by_one_or_at_once_are_named_again(seed: int) -> None:
    cluster = Cluster(seed, detect_s=0.05)
    cluster.put(FIRST)
    assert {reply.status for reply in cluster.put({}, NODES)} == {200}
    assert set(cluster.views()[0].addresses) == {""}
    assert cluster.views()[0].shards == ordered(FIRST).shards
    assert {reply.status for reply in cluster.put(FIRST)} == {200}
    assert ordered(FIRST).is_shown_by(cluster.views()[0])
