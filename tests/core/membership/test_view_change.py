"""A node's way from view to view: it adopts, forgets, reports and retires, each only when it
may.
"""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from node.core.model.actors import actor_of
from node.core.model.dots import DotClock
from node.core.model.keys import SLOTS, slot_of_key
from node.core.model.placement import first_view
from node.core.model.slots import to_bytes
from node.core.model.view import FIRST, Shard, View, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Put
from node.core.replication.pull import GRACE_S
from tests.core.moves import (
    A3,
    MOVED,
    S1,
    S2,
    SECOND,
    THIRD,
    holds,
    moved,
    reports,
    row,
    settled,
    view_at,
    views,
)
from tests.core.one import FIG, NOW, PEAR, VIEW, One

# ---- R1: adopt


def test_adopting_is_one_durable_step() -> None:
    one = One("b2")
    effects = one.step("a1", views(MOVED))
    assert [record.key for record in effects.records] == ["parts", "views", "generation"]
    assert one.replica.view == MOVED
    again = One("b2", rows=one.rows)
    assert again.replica.view == MOVED
    assert holds(again) == holds(one)


def test_a_gaining_node_owns_at_once_and_a_losing_one_holds_on() -> None:
    assert holds(moved()) == {"owned": S1, "held": S2, "lacking": S1}
    assert holds(moved("b1")) == {"owned": S2, "held": 0, "lacking": 0}


def test_every_node_hears_of_the_view_before_anything_else_of_it() -> None:
    one, others = One("b2"), [node for node in VIEW.nodes if node != "b2"]
    for node in others:
        one.step(node, m.Heartbeat(f"id of {node}"))
    ids = tuple("" if node == "b2" else f"id of {node}" for node in VIEW.nodes)
    effects = one.step("a1", views(replace(MOVED, ids=ids)))
    told = [peer for peer, message in effects.asks if isinstance(message, m.Views)]
    assert told == others
    assert effects.epoch == m.Epoch(SECOND, FIRST)
    assert effects.peers == ["a1", "a2", "b1"]


def test_a_node_that_only_a_beaten_view_names_is_linked_with() -> None:
    """It may have taken part in that view, so no view is retired without its word."""
    one = moved("a1")
    beaten = replace(view_at(ViewId(2, "a"), "c1", "s1"), nodes=(*VIEW.nodes, "c1"))
    effects = one.step("b1", views(beaten))
    assert one.replica.view == MOVED
    assert effects.peers == ["a2", "b1", "b2", "c1"]
    assert one.step("b1", views(beaten)).peers is None


def test_a_new_view_is_a_new_actor_from_one_on() -> None:
    one = moved("a1")
    one.step("a1", m.Accept(1, Put(PEAR, b"v")))
    assert one.replica.keyspace.actor == one.actor_in(SECOND)
    assert one.replica.keyspace.clock.base == {one.replica.keyspace.actor: 1}
    again = One("a1", rows=one.rows)
    again.step("a1", m.Accept(2, Put(PEAR, b"w")))
    actors = one.replica.keyspace.actor, again.replica.keyspace.actor
    assert again.replica.keyspace.clock.base == dict.fromkeys(actors, 1)


def test_a_view_that_is_jumped_over_is_claimed_by_its_would_be_owners() -> None:
    """All its owners never held a write of it together, since this node never took part."""
    third = view_at(THIRD, "b2", "s2", (FIRST, SECOND))
    one = moved("b2", third)
    one.step("a1", views(MOVED))
    part = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert part is not None
    assert (part.owned, part.complete_for) == (False, {SECOND})
    mine = one.replica.keyspace.parts.at(slot_of_key(FIG))
    assert mine is not None
    assert mine.complete_for == {FIRST, THIRD}


def test_a_view_once_adopted_is_not_claimed_again() -> None:
    one = moved()
    one.step("a1", views(view_at(THIRD, "b2", "s2", (FIRST, SECOND)), MOVED))
    held = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert held is not None
    assert held.complete_for == {SECOND}  # as it was adopted
    regained = one.replica.keyspace.parts.at(slot_of_key(FIG))
    assert regained is not None
    assert regained.complete_for == {FIRST, THIRD}


@pytest.mark.parametrize(
    ("ids", "complete_for"),
    [
        ((), True),  # the proposer knew no ids, and no other node has lived here
        (("", "", "", "me"), True),
        (("", "", "", "somebody else"), False),
    ],
)
def test_only_a_node_that_a_view_names_takes_part_from_its_start(
    ids: tuple[str, ...], complete_for: bool
) -> None:
    one = One("b2")
    named = tuple(one.replica.node_id if i == "me" else i for i in ids)
    one.step("a1", views(replace(MOVED, ids=named)))
    assert [part.complete_for for part in one.replica.keyspace.parts.owned()] == [
        {SECOND} if complete_for else set()
    ]


def test_a_later_life_does_not_claim_by_its_address_nor_a_lost_one_by_its_id() -> None:
    later, lost = One("b2"), One("b2")
    later.step("a1", m.Gossip({"b2": {"former": 3}}, {}))
    later.step("a1", views(MOVED))
    mine = lost.replica.node_id
    lost.step("a1", views(replace(MOVED, ids=("", "", "", mine)), lost=[mine]))
    for one in (later, lost):
        assert [part.complete_for for part in one.replica.keyspace.parts.owned()] == [set()]


# ---- R7: report and retire


def test_a_report_says_that_all_owners_have_our_past_and_leaves_after_the_disk() -> None:
    one = moved("b1")  # the only owner of what it holds
    effects = one.step("b1", events.Tick(), NOW + 1)
    assert reports(one) == {one.replica.node_id: SECOND}
    assert "views" in [record.key for record in effects.records]
    told = [message for _, message in effects.tells if isinstance(message, m.Gossip)]
    assert told[-1].reports == reports(one)
    asked = [message for _, message in effects.asks if isinstance(message, m.Views)]
    assert not any(message.gossip.reports for message in asked)
    assert not one.replica.maintenance.leaving.report()  # once


def test_no_report_before_every_owner_covers_what_older_views_wrote() -> None:
    one = moved("a1")
    part = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert part is not None
    part.clock.join(A3)
    part.clock.add((actor_of(SECOND, "id of a2"), 1))  # of this view: no owner need have it yet
    rows = one.replica.maintenance.repair.progress
    rows["a2"] = row(A3)
    assert not one.replica.maintenance.leaving.report()
    rows["b2"] = row(DotClock({"x": 2}))
    assert not one.replica.maintenance.leaving.report()
    rows["b2"] = row(A3, complete_for=[])  # claims do not matter here
    assert one.replica.maintenance.leaving.report()


def test_nothing_is_reported_of_a_settled_view() -> None:
    one = One("b1")
    assert not one.replica.maintenance.leaving.report()
    assert not one.replica.maintenance.leaving.retire()


def everybody_reports(one: One, *but: str) -> dict[str, ViewId]:
    names = {node: f"id of {node}" for node in VIEW.nodes}
    names[one.replica.address] = one.replica.node_id
    return {name: SECOND for node, name in names.items() if node not in but}


def hear(one: One, told: dict[str, ViewId], lost: Sequence[str] = ()) -> Effects:
    """Let others tell the reports that they know; the node tells its own."""
    if one.replica.node_id in told:
        one.replica.views.history.reports[one.replica.node_id] = told[one.replica.node_id]
    return one.step("a1", m.Gossip({}, {}, told, list(lost)))


def test_the_oldest_view_rises_when_every_node_of_every_known_view_has_reported() -> None:
    one = moved("b1")
    hear(one, everybody_reports(one, "a2"))
    assert one.replica.views.waited_for() == ["a2"]
    assert not one.replica.maintenance.settled
    effects = hear(one, everybody_reports(one))
    assert one.replica.views.epoch == m.Epoch(SECOND, SECOND)
    assert list(one.replica.views.history.views) == [SECOND]
    assert [part.clock for part in one.replica.keyspace.parts] == [DotClock(oldest_view=SECOND)]
    told = [message for _, message in effects.tells if isinstance(message, m.Views)]
    assert {message.oldest_view for message in told} == {SECOND}  # after the disk


def test_nodes_that_only_older_views_name_are_waited_for() -> None:
    smaller = replace(MOVED, nodes=("a1", "a2", "b1"))
    one = moved("b1", smaller)
    hear(one, everybody_reports(one, "b2"))
    assert one.replica.views.waited_for() == ["b2"]


def test_an_older_report_and_that_of_a_former_incarnation_do_not_count() -> None:
    one = moved("b1")
    hear(one, {**everybody_reports(one), "id of a2": FIRST})
    assert one.replica.views.waited_for() == ["a2"]
    one = moved("b1")
    one.step("a1", m.Gossip({"a2": {"id of a2": 1, "its next life": 2}}, {}))
    hear(one, everybody_reports(one))
    assert one.replica.views.waited_for() == ["a2"]


def test_a_node_that_is_declared_lost_is_not_waited_for() -> None:
    one = moved("b1")
    hear(one, everybody_reports(one, "a2"), ["id of a2"])
    assert one.replica.maintenance.settled
    never_heard = One("b1")
    never_heard.step("a1", views(MOVED))
    assert "b2" in never_heard.replica.views.waited_for()
    hear(never_heard, {}, ["@b2"])
    assert "b2" not in never_heard.replica.views.waited_for()


def test_a_node_that_hears_of_the_oldest_view_takes_it_over() -> None:
    one = moved("b1")
    settled(one)
    assert one.replica.maintenance.settled
    assert one.replica.views.epoch.oldest_view == SECOND
    assert One("b1", rows=one.rows).replica.maintenance.settled


def test_what_is_stable_below_the_oldest_view_is_not_named_any_more() -> None:
    one = moved("b1")
    one.replica.keyspace.watermarks.cluster = {"x": 3, actor_of(SECOND, "y"): 2}
    settled(one)
    assert one.replica.keyspace.watermarks.cluster == {actor_of(SECOND, "y"): 2}
    one.step("a1", m.Gossip({}, {"x": 9}))
    assert "x" not in one.replica.keyspace.watermarks.cluster


# ---- what waits for the oldest view (decision 0013)


def test_while_the_oldest_view_is_below_the_view_nothing_counts_as_held_by_all() -> None:
    one = moved("a1")
    one.step("a1", m.Accept(1, Put(PEAR, None)))
    actor = one.replica.keyspace.actor
    clock = one.replica.keyspace.clock.copy()
    for shard_peer in ("a2", "b2"):
        one.replica.maintenance.repair.progress[shard_peer] = row(clock)
    one.step("a1", events.Tick(), NOW + 1)
    assert (one.replica.keyspace.watermarks.shard, one.replica.keyspace.watermarks.cluster) == (
        {},
        {},
    )
    assert one.replica.keyspace.item(PEAR).versions
    settled(one)
    for shard_peer in ("a2", "b2"):
        one.replica.maintenance.repair.progress[shard_peer] = row(one.replica.keyspace.clock)
    one.step("a1", events.Tick(), NOW + 2)
    assert one.replica.keyspace.watermarks.cluster == {actor: 1}
    assert not one.replica.keyspace.item(PEAR).versions


# ---- R6: tokens and views


def test_an_actor_wrote_only_for_the_slots_that_its_view_gave_it() -> None:
    one = moved("a1")
    views = one.replica.views
    assert views.slots_of_actor(actor_of(FIRST, "id of b2")) == S2
    assert views.slots_of_actor(actor_of(SECOND, "id of b2")) == S1
    assert views.slots_of_actor(actor_of(THIRD, "id of b2")) is None  # a view we do not know
    assert views.slots_of_actor(actor_of(SECOND, "nobody")) is None


def test_of_two_first_views_the_one_that_has_gone_on_is_meant() -> None:
    """The settings of newcomers may begin another cluster of the same name."""
    one = One("a1", first_view(["a1"], 1))
    assert one.replica.maintenance.arrived
    others = first_view(["b1", "b2"], 1)
    second = View(2, ("a1",), (Shard("s1", ("a1",)),), bytes(SLOTS), "b1", (), (FIRST,))
    one.step(
        "b1",
        m.Envelope(m.Epoch(second.id, FIRST), m.Views([others, second], FIRST, m.Gossip({}, {}))),
    )
    assert one.replica.view == second
    [part] = one.replica.keyspace.parts.owned()
    assert FIRST not in part.complete_for, "what it was complete for was another view"
    assert not one.replica.maintenance.arrived


# ---- what is on its way


def test_where_all_has_arrived_a_dot_is_waited_for_also_while_views_change() -> None:
    """The dot is on its way from the node that wrote it.

    Another node may know it without its key, and would send all that it has instead.
    """
    one = moved("a1")
    one.replica.keyspace.parts.become_complete_for(SECOND)
    one.replica.maintenance.bootstrap.caught_up = True
    assert not one.replica.maintenance.settled
    holding = m.SlotSummary(to_bytes(S1), DotClock({"x": 1}), [FIRST, SECOND])
    compare = m.Compare("id of a2", [holding], {}, [], [], answer=False)
    heard = one.step("a2", compare, NOW + 1)
    soon = one.step("a1", events.Tick(), NOW + 1 + GRACE_S / 2)
    later = one.step("a1", events.Tick(), NOW + 1 + 1.1 * GRACE_S)
    pulls = [[peer for peer, said in e.asks if type(said) is m.Pull] for e in (heard, soon, later)]
    assert pulls == [[], [], ["a2"]]
