"""Slots of others go when every owner durably has them, at once; their rows go soon (D10 R4)."""

from itertools import count

import pytest
from msgspec.structs import replace

from node.core import messages as m
from node.core.clock import Clock
from node.core.keyspace import ENCODER, ITEMS, Keyspace
from node.core.siblings import Item, Version
from node.core.upkeep import SWEEP_EVERY_S
from node.core.view import FIRST
from node.core.walk import row_of, slot_of_key
from tests.core.given import MEGABYTE
from tests.core.test_moving import (
    A3,
    MOVED,
    S1,
    S2,
    SECOND,
    THIRD,
    holds,
    moved,
    row,
    view_at,
    views,
)
from tests.core.test_replica import FIG, NOW, PEAR, VIEW, One

ROW = ENCODER.encode(Item({("x", 1): Version(b"new")}))


def test_slots_of_others_go_when_every_owner_covers_clock_and_claims() -> None:
    one = moved("a1", view_at(SECOND, "a1", "s2"))  # a2 | b1 b2 a1
    held = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert held is not None
    held.clock.join(A3)
    rows = one.replica.upkeep.repair.rows
    for owner in (row(Clock()), row(A3, claims=[SECOND]), row(A3, S2), row(A3)):
        assert holds(one)["held"] == S1
        rows["a2"] = owner
        one.replica.moving.forget()
    assert holds(one)["held"] == 0
    assert one.replica.keyspace.parts.at(slot_of_key(PEAR)) is None


def test_one_owner_of_several_is_not_enough() -> None:
    one = moved()
    three = view_at(THIRD, "a1", "s2", (FIRST, SECOND))  # a2 | b1 b2 a1
    one = moved("a2", replace(three, shards=VIEW.shards[::-1]))  # s2's nodes own s1's slots
    rows = one.replica.upkeep.repair.rows
    rows["b1"] = row(Clock(), claims=[FIRST, THIRD])
    one.replica.moving.forget()
    assert holds(one)["held"] == S1
    rows["b2"] = row(Clock(), claims=[FIRST, THIRD])
    one.replica.moving.forget()
    assert holds(one)["held"] == 0


def test_what_is_forgotten_is_swept_some_rows_at_a_time_also_after_a_restart() -> None:
    one = One("b2")
    keys = [key for key in (f"key{n}" for n in range(40)) if S2 >> slot_of_key(key) & 1]
    for n, key in enumerate(keys):
        one.step("b2", m.Accept(n, m.Put(key, None if n == 0 else b"v")))
    one.step("a1", views(MOVED))
    keyspace = one.replica.keyspace
    keyspace.forget(S2)
    one.rows.apply(keyspace.outbox)
    assert keyspace.live_keys == 0
    assert one.rows.tables["log"] == {}
    keyspace.sweep(3)
    one.rows.apply(keyspace.outbox)
    assert len(one.rows.tables["item"]) == len(keys) - 3
    assert keyspace.item(sorted(keys, key=slot_of_key)[0]).versions == {}
    again = Keyspace(one.rows, MEGABYTE)
    assert again.swept.slots == S2
    assert again.tally.by_slot() == {}
    assert again.open_keys == {}
    again.sweep(1000)
    one.rows.apply(again.outbox)
    assert (one.rows.tables["item"], again.swept.slots) == ({}, 0)
    again.sweep()
    assert again.outbox == []


def test_sweeping_goes_on_in_ticks_of_its_own() -> None:
    one = moved()
    one.replica.upkeep.repair.rows["b1"] = row(Clock())
    forgot = one.step("b2", m.Tick(), NOW + 0.1)
    assert one.replica.keyspace.swept.slots == S2
    assert forgot.wake_at == NOW + 0.1 + SWEEP_EVERY_S
    one.replica.upkeep.repair.exchange = None
    swept = one.step("b2", m.Tick(), forgot.wake_at)
    assert one.replica.keyspace.swept.slots == 0
    assert swept.wake_at > forgot.wake_at + SWEEP_EVERY_S


def test_rows_that_go_wait_while_others_come() -> None:
    one = moved()
    repair = one.replica.upkeep.repair
    repair.rows["b1"] = row(Clock())
    one.step("b2", m.Tick(), NOW + 0.1)
    under_way = repair.exchange
    assert under_way is not None
    one.step("b2", m.Tick(), NOW + 0.1 + SWEEP_EVERY_S)
    assert repair.exchange is under_way
    assert one.replica.keyspace.swept.slots == S2
    repair.exchange = None
    one.step("b2", m.Tick(), NOW + 0.1 + 2 * SWEEP_EVERY_S)
    assert one.replica.keyspace.swept.slots == 0


def regained() -> One:
    """b2 has forgotten s2's slots, of which a row is left, and owns them again."""
    one = One("b2")
    one.step("b2", m.Accept(1, m.Put(FIG, b"v")))
    one.arrive()
    one.step("a1", views(MOVED))
    one.replica.keyspace.forget(S2)
    one.step("a1", views(view_at(THIRD, "b2", "s2", (FIRST, SECOND))))
    assert one.replica.keyspace.swept.slots == S2
    assert list(one.rows.tables["item"]) == [row_of(FIG)]
    return one


def test_slots_regained_while_they_are_swept_begin_empty() -> None:
    one = regained()
    for space in (one.replica.keyspace, Keyspace(one.rows, MEGABYTE)):
        assert space.item(FIG).versions == {}
        assert space.rows_of(S2, None, 10) == []
        assert space.live_keys == 0
    part = one.replica.keyspace.parts.at(slot_of_key(FIG))
    assert part is not None
    assert (part.clock, part.whole) == (Clock(), {THIRD})


def beside(key: str) -> str:
    """Another key of the same slot."""
    return next(k for k in (f"k{n}" for n in count()) if slot_of_key(k) == slot_of_key(key))


@pytest.mark.parametrize("key", [FIG, beside(FIG)])
@pytest.mark.parametrize("after_a_restart", [False, True])
def test_what_is_left_of_a_regained_slot_goes_before_its_first_row_comes(
    key: str, after_a_restart: bool
) -> None:
    one = regained()
    space = Keyspace(one.rows, MEGABYTE) if after_a_restart else one.replica.keyspace
    space.adopt_row(row_of(key), ROW)
    assert space.swept.slots == S2 & ~(1 << slot_of_key(FIG))
    one.rows.apply(space.outbox)
    space.sweep(1000)
    one.rows.apply(space.outbox)
    assert list(one.rows.tables["item"]) == [row_of(key)]
    assert space.item(key) == ITEMS.decode(ROW)
    assert space.tally.by_slot() == {slot_of_key(FIG): (1, len(ROW))}


def test_rows_that_go_with_a_sweep_are_not_read_again_in_its_step() -> None:
    space = regained().replica.keyspace
    space.sweep(1000)
    assert space.swept.slots == 0
    assert space.item(FIG).versions == {}


def test_who_has_been_told_to_forget_reports_for_the_life_that_is_over() -> None:
    """The others wait for the node that lives there now, and it will never be in that view."""
    one = moved()
    view_id = one.replica.view.id
    one.submit(m.Forget())
    after = One("b2", rows=one.rows)
    told = after.step("a1", m.Beat("id of a1"), NOW + 1)
    reports = [message.reports for _, message in told.tells if isinstance(message, m.News)]
    assert {after.replica.node_id: view_id} in reports
    other = moved("a1")
    other.step("b2", m.News({"b2": {"id of b2": 1, "new": 2}}, {}, {"new": view_id}))
    assert "b2" not in other.replica.moving.waited_for()
