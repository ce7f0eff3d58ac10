"""A node's way from view to view: adopt, forget, report, retire; each only when it may."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from node.core import messages as m
from node.core.clock import Clock
from node.core.effects import Effects
from node.core.parts import ALL, Slots, to_bytes
from node.core.placement import with_member
from node.core.repair import GRACE_S
from node.core.told import Held, Row
from node.core.view import FIRST, SLOTS, Shard, View, ViewId, actor_of, first_view
from node.core.walk import slot_of_key
from tests.core.test_replica import FIG, NOW, PEAR, VIEW, One

SECOND, THIRD = ViewId(2, "p"), ViewId(3, "p")
S1, S2 = VIEW.slots_of_shard(0), VIEW.slots_of_shard(1)
A3 = Clock({"x": 3})


def view_at(name: ViewId, member: str, shard: str, ancestors: Sequence[ViewId] = (FIRST,)) -> View:
    """The first view, but that this node is of that shard."""
    layout = with_member(VIEW, shard, member)
    return View(
        name.number, layout.nodes, layout.shards, layout.owner, name.proposer, (), tuple(ancestors)
    )


MOVED = view_at(SECOND, "b2", "s1")  # a1 a2 b2 | b1


def views(*some: View, floor: ViewId = FIRST, **news: object) -> m.Views:
    reports, lost = news.get("reports", {}), news.get("lost", [])
    assert isinstance(reports, dict)
    assert isinstance(lost, list)
    return m.Views(list(some), floor, m.News({}, {}, reports, lost))


def moved(address: str = "b2", view: View = MOVED) -> One:
    """A node that was whole in the first view, and has heard of another."""
    one = One(address)
    for node in VIEW.nodes:
        if node != address:
            one.step(node, m.Beat(f"id of {node}"))
    one.arrive()
    one.step("a1", views(view))
    return one


def holds(one: One) -> dict[str, Slots]:
    parts = one.replica.keyspace.parts
    return {
        "owned": sum(part.slots for part in parts.owned()),
        "held": sum(part.slots for part in parts.held()),
        "lacking": parts.lacking(),
    }


def row(clock: Clock, slots: Slots = ALL, claims: Sequence[ViewId] = (FIRST, SECOND)) -> Row:
    return Row([Held(slots, clock, set(claims))], set(), set())


# ---- R1: adopt


def test_adopting_is_one_durable_step() -> None:
    one = One("b2")
    effects = one.step("a1", views(MOVED))
    assert [record.key for record in effects.records] == ["parts", "views"]
    assert one.replica.view == MOVED
    again = One("b2", rows=one.rows)
    assert again.replica.view == MOVED
    assert holds(again) == holds(one)


def test_who_gains_owns_at_once_and_who_loses_holds_on() -> None:
    assert holds(moved()) == {"owned": S1, "held": S2, "lacking": S1}
    assert holds(moved("b1")) == {"owned": S2, "held": 0, "lacking": 0}


def test_everybody_hears_of_the_view_before_anything_else_of_it() -> None:
    one = One("b2")
    effects = one.step("a1", views(MOVED))
    told = [peer for peer, message in effects.asks if isinstance(message, m.Views)]
    assert told == ["a1", "a2", "b1"]
    assert effects.stamp == m.Stamp(SECOND, FIRST)
    assert effects.peers == ["a1", "a2", "b1"]


def test_a_new_view_is_a_new_actor_from_one_on() -> None:
    one = moved("a1")
    one.step("a1", m.Accept(1, m.Put(PEAR, b"v")))
    assert one.replica.keyspace.actor == actor_of(SECOND, one.replica.node_id)
    assert one.replica.keyspace.clock.base == {one.replica.keyspace.actor: 1}
    again = One("a1", rows=one.rows)
    again.step("a1", m.Accept(2, m.Put(PEAR, b"w")))
    assert again.replica.keyspace.clock.base == {one.replica.keyspace.actor: 2}


def test_a_view_that_is_jumped_over_is_claimed_by_its_would_be_owners() -> None:
    """No write of it was ever held by all its owners, for this one never took part."""
    third = view_at(THIRD, "b2", "s2", (FIRST, SECOND))
    one = moved("b2", third)
    one.step("a1", views(MOVED))
    part = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert part is not None
    assert (part.owned, part.whole) == (False, {SECOND})
    mine = one.replica.keyspace.parts.at(slot_of_key(FIG))
    assert mine is not None
    assert mine.whole == {FIRST, THIRD}


def test_a_view_once_adopted_is_not_claimed_again() -> None:
    one = moved()
    one.step("a1", views(view_at(THIRD, "b2", "s2", (FIRST, SECOND)), MOVED))
    held = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert held is not None
    assert held.whole == {SECOND}  # as it was adopted
    regained = one.replica.keyspace.parts.at(slot_of_key(FIG))
    assert regained is not None
    assert regained.whole == {FIRST, THIRD}


@pytest.mark.parametrize(
    ("ids", "claims"),
    [
        ((), True),  # the proposer knew no ids, and nobody else has lived here
        (("", "", "", "me"), True),
        (("", "", "", "somebody else"), False),
    ],
)
def test_only_whom_a_view_names_takes_part_from_its_start(
    ids: tuple[str, ...], claims: bool
) -> None:
    one = One("b2")
    named = tuple(one.replica.node_id if i == "me" else i for i in ids)
    one.step("a1", views(replace(MOVED, ids=named)))
    assert [part.whole for part in one.replica.keyspace.parts.owned()] == [
        {SECOND} if claims else set()
    ]


def test_a_later_life_does_not_claim_by_its_address_nor_a_lost_one_by_its_id() -> None:
    later, lost = One("b2"), One("b2")
    later.step("a1", m.News({"b2": {"former": 3}}, {}))
    later.step("a1", views(MOVED))
    mine = lost.replica.node_id
    lost.step("a1", views(replace(MOVED, ids=("", "", "", mine)), lost=[mine]))
    for one in (later, lost):
        assert [part.whole for part in one.replica.keyspace.parts.owned()] == [set()]


# ---- R7: report and retire


def reports(one: One) -> dict[str, ViewId]:
    return one.replica.moving.history.reports


def test_a_report_says_that_all_owners_have_our_past_and_leaves_after_the_disk() -> None:
    one = moved("b1")  # the only owner of what it holds
    effects = one.step("b1", m.Tick(), NOW + 1)
    assert reports(one) == {one.replica.node_id: SECOND}
    assert "views" in [record.key for record in effects.records]
    told = [message for _, message in effects.tells if isinstance(message, m.News)]
    assert told[0].reports == reports(one)
    asked = [message for _, message in effects.asks if isinstance(message, m.Views)]
    assert not any(message.news.reports for message in asked)
    assert not one.replica.moving.report()  # once


def test_no_report_before_every_owner_covers_what_older_views_wrote() -> None:
    one = moved("a1")
    part = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert part is not None
    part.clock.join(A3)
    part.clock.add((actor_of(SECOND, "id of a2"), 1))  # of this view: nobody need have it yet
    rows = one.replica.upkeep.repair.rows
    rows["a2"] = row(A3)
    assert not one.replica.moving.report()
    rows["b2"] = row(Clock({"x": 2}))
    assert not one.replica.moving.report()
    rows["b2"] = row(A3, claims=[])  # claims do not matter here
    assert one.replica.moving.report()


def test_nothing_is_reported_of_a_settled_view() -> None:
    one = One("b1")
    assert not one.replica.moving.report()
    assert not one.replica.moving.retire()


def everybody_reports(one: One, *but: str) -> dict[str, ViewId]:
    names = {node: f"id of {node}" for node in VIEW.nodes}
    names[one.replica.address] = one.replica.node_id
    return {name: SECOND for node, name in names.items() if node not in but}


def hear(one: One, told: dict[str, ViewId], lost: Sequence[str] = ()) -> Effects:
    return one.step("a1", m.News({}, {}, told, list(lost)))


def test_the_floor_rises_when_every_node_of_every_known_view_has_reported() -> None:
    one = moved("b1")
    hear(one, everybody_reports(one, "a2"))
    assert one.replica.moving.waited_for() == ["a2"]
    assert not one.replica.upkeep.settled
    effects = hear(one, everybody_reports(one))
    assert one.replica.moving.stamp == m.Stamp(SECOND, SECOND)
    assert list(one.replica.moving.history.views) == [SECOND]
    assert [part.clock for part in one.replica.keyspace.parts] == [Clock(floor=SECOND)]
    told = [message for _, message in effects.tells if isinstance(message, m.Views)]
    assert {message.floor for message in told} == {SECOND}  # after the disk


def test_nodes_that_only_older_views_name_are_waited_for() -> None:
    smaller = replace(MOVED, nodes=("a1", "a2", "b1"))
    one = moved("b1", smaller)
    hear(one, everybody_reports(one, "b2"))
    assert one.replica.moving.waited_for() == ["b2"]


def test_an_older_report_and_that_of_a_former_life_do_not_count() -> None:
    one = moved("b1")
    hear(one, {**everybody_reports(one), "id of a2": FIRST})
    assert one.replica.moving.waited_for() == ["a2"]
    one = moved("b1")
    one.step("a1", m.News({"a2": {"id of a2": 1, "its next life": 2}}, {}))
    hear(one, everybody_reports(one))
    assert one.replica.moving.waited_for() == ["a2"]


def test_who_is_declared_lost_is_not_waited_for() -> None:
    one = moved("b1")
    hear(one, everybody_reports(one, "a2"), ["id of a2"])
    assert one.replica.upkeep.settled
    never_heard = One("b1")
    never_heard.step("a1", views(MOVED))
    assert "b2" in never_heard.replica.moving.waited_for()
    hear(never_heard, {}, ["@b2"])
    assert "b2" not in never_heard.replica.moving.waited_for()


def test_who_hears_of_the_floor_takes_it_over() -> None:
    one = moved("b1")
    one.step("a1", views(MOVED, floor=SECOND))
    assert one.replica.upkeep.settled
    assert one.replica.moving.stamp.floor == SECOND
    assert One("b1", rows=one.rows).replica.upkeep.settled


def test_what_is_stable_below_the_floor_is_not_named_any_more() -> None:
    one = moved("b1")
    one.replica.keyspace.stable = {"x": 3, actor_of(SECOND, "y"): 2}
    one.step("a1", views(MOVED, floor=SECOND))
    assert one.replica.keyspace.stable == {actor_of(SECOND, "y"): 2}
    one.step("a1", m.News({}, {"x": 9}))
    assert "x" not in one.replica.keyspace.stable


# ---- what waits for the floor (decision 0013)


def test_while_the_floor_is_below_the_view_nothing_is_taken_to_be_everybodys() -> None:
    one = moved("a1")
    one.step("a1", m.Accept(1, m.Put(PEAR, None)))
    actor = one.replica.keyspace.actor
    clock = one.replica.keyspace.clock.copy()
    for fellow in ("a2", "b2"):
        one.replica.upkeep.repair.rows[fellow] = row(clock)
    one.step("a1", m.Tick(), NOW + 1)
    assert (one.replica.keyspace.low, one.replica.keyspace.stable) == ({}, {})
    assert one.replica.keyspace.item(PEAR).versions
    one.step("a1", views(MOVED, floor=SECOND))
    for fellow in ("a2", "b2"):
        one.replica.upkeep.repair.rows[fellow] = row(one.replica.keyspace.clock)
    one.step("a1", m.Tick(), NOW + 2)
    assert one.replica.keyspace.stable == {actor: 1}
    assert not one.replica.keyspace.item(PEAR).versions


# ---- R6: tokens and views


def test_an_actor_wrote_only_for_the_slots_that_its_view_gave_it() -> None:
    one = moved("a1")
    moving = one.replica.moving
    assert moving.slots_of_actor(actor_of(FIRST, "id of b2")) == S2
    assert moving.slots_of_actor(actor_of(SECOND, "id of b2")) == S1
    assert moving.slots_of_actor(actor_of(THIRD, "id of b2")) is None  # a view we do not know
    assert moving.slots_of_actor(actor_of(SECOND, "nobody")) is None


def test_of_two_first_views_the_one_that_has_gone_on_is_meant() -> None:
    """The settings of newcomers may make a cluster of their own of the same name."""
    one = One("a1", first_view(["a1"], 1))
    assert one.replica.upkeep.arrived
    others = first_view(["b1", "b2"], 1)
    second = View(2, ("a1",), (Shard("s1", ("a1",)),), bytes(SLOTS), "b1", (), (FIRST,))
    one.step(
        "b1", m.Letter(m.Stamp(second.id, FIRST), m.Views([others, second], FIRST, m.News({}, {})))
    )
    assert one.replica.view == second
    [part] = one.replica.keyspace.parts.owned()
    assert FIRST not in part.whole, "what it was whole for was another view"
    assert not one.replica.upkeep.arrived


# ---- what is on its way


def test_where_all_has_arrived_a_dot_is_waited_for_also_while_views_change() -> None:
    """It is on its way from who wrote it; another may know it without its key, and would send
    all it has instead."""
    one = moved("a1")
    one.replica.keyspace.parts.claim(SECOND)
    one.replica.upkeep.recovery.caught_up = True
    assert not one.replica.upkeep.settled
    holding = m.Holding(to_bytes(S1), Clock({"x": 1}), [FIRST, SECOND])
    compare = m.Compare("id of a2", [holding], {}, [], [], answer=False)
    heard = one.step("a2", compare, NOW + 1)
    soon = one.step("a1", m.Tick(), NOW + 1 + GRACE_S / 2)
    later = one.step("a1", m.Tick(), NOW + 1 + 1.1 * GRACE_S)
    pulls = [[peer for peer, said in e.asks if type(said) is m.Pull] for e in (heard, soon, later)]
    assert pulls == [[], [], ["a2"]]
