"""A cluster that was begun without a number of shards: its view says so, and what follows."""

from random import Random

import pytest

from node.core.membership.view_history import ViewHistory
from node.core.model.conditions import Scope
from node.core.model.keys import key_hash_of
from node.core.model.options import Options
from node.core.model.pace import DEAD_AFTER_S, SUSPECT_AFTER_S, UNSHARDED, USUAL, pace_of
from node.core.model.placement import first_view, reshaped, with_node
from node.core.model.token import Token
from node.core.model.view import FIRST, NO_VIEW, View, no_view
from node.core.protocol import events, messages as m
from node.core.protocol.operations import Get, Unmet
from node.core.replica import Replica
from tests.core.given import MemoryRows
from tests.core.one import NOW, PEAR, One

NODES = ("a1", "a2", "a3")
PLAIN, TRIO = first_view(NODES, 1), first_view(NODES, 1, unsharded=True)
AHEAD = Token({}, {("AAAAAA.1", 3): key_hash_of(PEAR, True)})


def arrived(view: View) -> One:
    one = One("a1", view)
    one.arrive()
    return one


@pytest.mark.parametrize("shards", [1, 2])
def test_the_view_says_so_until_it_is_sharded(shards: int) -> None:
    history = ViewHistory(ViewHistory.begin(TRIO, joining=False))
    larger = history.propose(with_node(TRIO, "a4"), "id", 2, ())
    assert larger.unsharded
    history.learn([larger], FIRST)
    sharded = history.propose(reshaped(larger, larger.nodes, shards), "id", 3, ())
    assert sharded.unsharded == (shards == 1)
    history.learn([sharded], FIRST)
    assert history.propose(reshaped(sharded, sharded.nodes, 1), "id", 4, ()).unsharded == (
        shards == 1
    )


def test_nodes_that_all_know_no_view_begin_one_as_each_of_them_would() -> None:
    begun = []
    for address in NODES:
        saved = ViewHistory.begin(no_view(NODES, unsharded=True), joining=True)
        replica = Replica(
            address, saved, MemoryRows(), f"id of {address}", "run", Options(), Random(1)
        )
        for peer in NODES:
            if peer != address:
                replica.step(NOW, peer, events.LinkUp(peer))
                heartbeat = m.Envelope(m.Epoch(NO_VIEW, NO_VIEW), m.Heartbeat(f"id of {peer}"))
                replica.step(NOW, peer, heartbeat)
        replica.step(NOW, address, events.Tick())
        told = replica.step(NOW + 3, address, events.Tick()).tells
        begun += [message.views for _, message in told if isinstance(message, m.Views)]
    assert begun == [[TRIO]] * 3


def test_a_read_that_is_refused_at_once_is_judged_by_the_asked_node_alone() -> None:
    get = Get(PEAR, token=AHEAD, scope=Scope.SHARD)
    effects = arrived(TRIO).submit(get)
    assert (effects.asks, effects.replies) == ([], [(7, Unmet({"AAAAAA.1": (0, 3)}))])
    effects = arrived(PLAIN).submit(get)
    assert [type(message) for _, message in effects.asks] == [m.Fetch, m.Fetch]
    assert effects.replies == []


@pytest.mark.parametrize(
    "get",
    [
        Get(PEAR, token=AHEAD, scope=Scope.SHARD, wait_s=1.0),
        Get(PEAR, token=AHEAD, scope=Scope.KEY),
        Get(PEAR, token=AHEAD, scope=Scope.SHARD, copies=2),
    ],
)
def test_reads_of_other_contracts_ask_the_others_as_ever(get: Get) -> None:
    assert arrived(TRIO).submit(get).asks


def test_a_node_that_has_not_arrived_asks_the_others() -> None:
    assert One("a1", TRIO).submit(Get(PEAR, token=AHEAD, scope=Scope.SHARD)).asks


def test_nodes_miss_each_other_sooner_and_leave_each_other_alone_for_longer() -> None:
    assert (pace_of(PLAIN), pace_of(TRIO), pace_of(no_view(NODES, True))) == (
        USUAL, UNSHARDED, USUAL,
    )  # fmt: skip
    assert UNSHARDED.silence_s <= 0.8
    assert UNSHARDED.rest_s == 1.5
    for pace in (USUAL, UNSHARDED):
        assert pace.silence_s == 4 * pace.heartbeat_s
    assert 3 * USUAL.heartbeat_s < SUSPECT_AFTER_S < USUAL.silence_s < DEAD_AFTER_S
    one = arrived(TRIO)
    assert one.step("a1", events.Tick(), NOW + 1).wake_at == NOW + 1 + UNSHARDED.heartbeat_s


@pytest.mark.parametrize(("view", "rest_s"), [(PLAIN, USUAL.rest_s), (TRIO, UNSHARDED.rest_s)])
def test_a_peer_that_is_back_is_compared_with_after_its_rest(view: View, rest_s: float) -> None:
    one = arrived(view)
    one.replica.maintenance.bootstrap.caught_up = True
    one.step("a1", events.Tick(), NOW + 10)
    back = NOW + 20.0
    one.step("a2", events.LinkUp("a2"), back)

    def compared(after_s: float) -> bool:
        one.step("a2", m.Heartbeat("id of a2"), back + after_s)
        effects = one.step("a1", events.Tick(), back + after_s)
        return any(type(message) is m.Compare for peer, message in effects.tells if peer == "a2")

    assert not any(compared(rest_s * share) for share in (0.25, 0.5, 0.75, 0.99))
    assert any(compared(rest_s + later) for later in (0.01, 4.0))


def test_two_first_views_of_one_layout_are_one_view() -> None:
    """One node was told SHARD_COUNT=1 and the others nothing: it stays whole with what it has."""
    one = arrived(PLAIN)
    second = ViewHistory(ViewHistory.begin(TRIO, False)).propose(with_node(TRIO, "a4"), "id", 2, ())
    one.step("a2", m.Views([TRIO, second], FIRST, m.Gossip({}, {})))
    assert one.replica.view == second
    assert all(FIRST in part.complete_for for part in one.replica.keyspace.parts.owned())
