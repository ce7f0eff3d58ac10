"""A node forgets slots of others once every owner durably has them; their rows go soon (D10 R4)."""

from itertools import count

import pytest
from msgspec.structs import replace

from cluster.simulator.memory_store import write_rows
from node.core.maintenance.schedule import CLEANUP_EVERY_S
from node.core.model.dots import DotClock
from node.core.model.item import Item, Version
from node.core.model.keys import row_of, slot_of_key
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Record
from node.core.protocol.operations import Forget, Put
from node.core.protocol.step import Step
from node.core.storage.keyspace import ENCODER, ITEMS, Keyspace
from tests.core.given import OPTIONS
from tests.core.moves import A3, MOVED, S1, S2, SECOND, THIRD, holds, moved, row, view_at, views
from tests.core.one import FIG, NOW, PEAR, VIEW, One

ROW = ENCODER.encode(Item({("x", 1): Version(b"new")}))


def test_slots_of_others_go_when_every_owner_covers_clock_and_claims() -> None:
    one = moved("a1", view_at(SECOND, "a1", "s2"))  # a2 | b1 b2 a1
    held = one.replica.keyspace.parts.at(slot_of_key(PEAR))
    assert held is not None
    held.clock.join(A3)
    rows = one.replica.maintenance.repair.progress
    for owner in (row(DotClock()), row(A3, complete_for=[SECOND]), row(A3, S2), row(A3)):
        assert holds(one)["held"] == S1
        rows["a2"] = owner
        one.replica.maintenance.leaving.forget()
    assert holds(one)["held"] == 0
    assert one.replica.keyspace.parts.at(slot_of_key(PEAR)) is None


def test_what_an_exchange_brought_is_named_before_its_slots_go() -> None:
    """The exchange broke off, its source may have lost its disk, and the clock names no dot."""
    one = moved("a1", view_at(SECOND, "a1", "s2"))  # a2 | b1 b2 a1
    keyspace, dot = one.replica.keyspace, ("x", 1)
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), ROW)])
    keyspace.transfers.add(S1, DotClock({"x": 3}), row_of(PEAR))
    one.replica.maintenance.repair.progress["a2"] = row(DotClock())
    one.replica.maintenance.leaving.move_on()
    assert keyspace.parts.at(slot_of_key(PEAR)) is not None
    assert keyspace.clock_of(PEAR).has(dot)
    one.replica.maintenance.repair.progress["a2"] = row(DotClock({"x": 3}))
    one.replica.maintenance.leaving.move_on()
    assert holds(one)["held"] == 0


def test_one_owner_of_several_is_not_enough() -> None:
    one = moved()
    three = view_at(THIRD, "a1", "s2", (FIRST, SECOND))  # a2 | b1 b2 a1
    one = moved("a2", replace(three, shards=VIEW.shards[::-1]))  # s2's nodes own s1's slots
    rows = one.replica.maintenance.repair.progress
    rows["b1"] = row(DotClock(), complete_for=[FIRST, THIRD])
    one.replica.maintenance.leaving.forget()
    assert holds(one)["held"] == S1
    rows["b2"] = row(DotClock(), complete_for=[FIRST, THIRD])
    one.replica.maintenance.leaving.forget()
    assert holds(one)["held"] == 0


def test_what_is_forgotten_is_swept_some_rows_at_a_time_also_after_a_restart() -> None:
    one = One("b2")
    keys = [key for key in (f"key{n}" for n in range(40)) if S2 >> slot_of_key(key) & 1]
    for n, key in enumerate(keys):
        one.step("b2", m.Accept(n, Put(key, None if n == 0 else b"v")))
    one.step("a1", views(MOVED))
    keyspace = one.replica.keyspace
    keyspace.forget(S2)
    one.rows.apply(one.replica._step.records)
    assert keyspace.live_keys == 0
    assert one.rows.tables["log"] == {}
    keyspace.clean_up(3)
    one.rows.apply(one.replica._step.records)
    assert len(one.rows.tables["item"]) == len(keys) - 3
    assert keyspace.item(sorted(keys, key=slot_of_key)[0]).versions == {}
    turn = Step()
    again = Keyspace(one.rows, OPTIONS, turn)
    assert again.cleanup.slots == S2
    assert again.slot_counts.by_slot() == {}
    assert again.open_keys.unsettled == {}
    again.clean_up(1000)
    one.rows.apply(turn.records)
    assert (one.rows.tables["item"], again.cleanup.slots) == ({}, 0)
    again.clean_up()
    assert turn.records == []


def test_sweeping_goes_on_in_ticks_of_its_own() -> None:
    one = moved()
    one.replica.maintenance.repair.progress["b1"] = row(DotClock())
    forgot = one.step("b2", events.Tick(), NOW + 0.1)
    assert one.replica.keyspace.cleanup.slots == S2
    assert forgot.wake_at == NOW + 0.1 + CLEANUP_EVERY_S
    one.replica.maintenance.repair.exchange = None
    swept = one.step("b2", events.Tick(), forgot.wake_at)
    assert one.replica.keyspace.cleanup.slots == 0
    assert swept.wake_at > forgot.wake_at + CLEANUP_EVERY_S


def test_rows_that_go_wait_while_others_come() -> None:
    one = moved()
    repair = one.replica.maintenance.repair
    repair.progress["b1"] = row(DotClock())
    one.step("b2", events.Tick(), NOW + 0.1)
    under_way = repair.exchange
    assert under_way is not None
    one.step("b2", events.Tick(), NOW + 0.1 + CLEANUP_EVERY_S)
    assert repair.exchange is under_way
    assert one.replica.keyspace.cleanup.slots == S2
    repair.exchange = None
    one.step("b2", events.Tick(), NOW + 0.1 + 2 * CLEANUP_EVERY_S)
    assert one.replica.keyspace.cleanup.slots == 0


def regained() -> One:
    """b2 has forgotten s2's slots, of which a row is left, and owns them again."""
    one = One("b2")
    one.step("b2", m.Accept(1, Put(FIG, b"v")))
    one.arrive()
    one.step("a1", views(MOVED))
    one.replica.keyspace.forget(S2)
    one.step("a1", views(view_at(THIRD, "b2", "s2", (FIRST, SECOND))))
    assert one.replica.keyspace.cleanup.slots == S2
    assert list(one.rows.tables["item"]) == [row_of(FIG)]
    return one


def test_slots_regained_while_they_are_swept_begin_empty() -> None:
    one = regained()
    for space in (one.replica.keyspace, Keyspace(one.rows, OPTIONS, Step())):
        assert space.item(FIG).versions == {}
        assert space.rows_of(S2, None, 10) == []
        assert space.live_keys == 0
    part = one.replica.keyspace.parts.at(slot_of_key(FIG))
    assert part is not None
    assert (part.clock, part.complete_for) == (DotClock(), {THIRD})


def beside(key: str) -> str:
    """Return another key of the same slot."""
    return next(k for k in (f"k{n}" for n in count()) if slot_of_key(k) == slot_of_key(key))


@pytest.mark.parametrize("key", [FIG, beside(FIG)])
@pytest.mark.parametrize("after_a_restart", [False, True])
def test_what_is_left_of_a_regained_slot_goes_before_its_first_row_comes(
    key: str, after_a_restart: bool
) -> None:
    one = regained()
    turn = Step() if after_a_restart else one.replica._step
    space = Keyspace(one.rows, OPTIONS, turn) if after_a_restart else one.replica.keyspace
    space.adopt_row(row_of(key), ROW)
    assert space.cleanup.slots == S2 & ~(1 << slot_of_key(FIG))
    one.rows.apply(turn.records)
    space.clean_up(1000)
    one.rows.apply(turn.records)
    assert list(one.rows.tables["item"]) == [row_of(key)]
    assert space.item(key) == ITEMS.decode(ROW)
    assert space.slot_counts.by_slot() == {slot_of_key(FIG): (1, len(ROW))}


def test_rows_that_go_with_a_sweep_are_not_read_again_in_its_step() -> None:
    space = regained().replica.keyspace
    space.clean_up(1000)
    assert space.cleanup.slots == 0
    assert space.item(FIG).versions == {}


def test_a_node_that_was_told_to_forget_reports_for_the_life_that_is_over() -> None:
    """The others wait for the node that incarnations there now, and that will never be in the
    view."""
    one = moved()
    view_id = one.replica.view.id
    one.submit(Forget())
    after = One("b2", rows=one.rows)
    told = after.step("a1", m.Heartbeat("id of a1"), NOW + 1)
    reports = [message.reports for _, message in told.tells if isinstance(message, m.Gossip)]
    assert {after.replica.node_id: view_id} in reports
    other = moved("a1")
    other.step("b2", m.Gossip({"b2": {"id of b2": 1, "new": 2}}, {}, {"new": view_id}))
    assert "b2" not in other.replica.views.waited_for()
