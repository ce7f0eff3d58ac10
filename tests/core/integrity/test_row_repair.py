"""A node answers nothing from a damaged row, and repairs it with what others hold.

It always reports what no other node holds.
"""

import pytest

from cluster.simulator.memory_store import write_rows
from node.core.integrity.row_repair import ASK_AGAIN_S, LOOK_AGAIN_S
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import row_of, slot_of_key
from node.core.model.options import Options
from node.core.model.slots import ALL, to_bytes
from node.core.model.view import FIRST, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.effects import DAMAGED, Damaged, Record
from node.core.protocol.operations import Found, Get, Peek
from node.core.protocol.step import Step
from node.core.replication.pull import Exchange
from node.core.storage.keyspace import Keyspace
from node.core.storage.row_scan import rows_within
from tests.core.damage import (
    HELD,
    MARK,
    NEWER,
    PLUM,
    SLOT,
    TRIO,
    content,
    damage,
    fetches,
    member,
    rows_written,
    suffering,
    tick,
    told,
)
from tests.core.given import OPTIONS
from tests.core.one import NOW, PEAR, One

# ---- made whole by what others say


def test_all_holders_are_asked_until_it_is_whole() -> None:
    one = suffering()
    assert [peer for peer, _ in fetches(one, tick(one))] == ["a2", "a3"]
    assert fetches(one, tick(one, NOW + ASK_AGAIN_S / 2)) == []
    assert [peer for peer, _ in fetches(one, tick(one, NOW + ASK_AGAIN_S))] == ["a2", "a3"]
    effects = told(one, HELD)
    assert rows_written(effects) == [row_of(PEAR)]
    assert effects.notes == (
        f"row {row_of(PEAR)!r} of table item is whole again, by what a2 holds",
    )
    assert content(one).versions == HELD.versions
    assert fetches(one, tick(one, NOW + 9)) == []
    assert one.step("a3", m.State(-1, HELD, DotClock(), [])).records == []  # the node asks no more


def test_an_answer_to_an_earlier_run_is_passed_over() -> None:
    """The answer comes late, and may be of another key."""
    tick(before := suffering())
    number = before.replica.maintenance.row_repair.suspects[PEAR].number
    after = suffering()
    tick(after, NOW + 1)
    other = Item({("y", 1): Version(b"of another key")}, Past({"x": 9, "y": 1}))
    effects = after.step("a2", m.State(number, other, DotClock(dict(other.past.base)), [FIRST]))
    assert rows_written(effects) == []
    assert PEAR in after.replica.maintenance.row_repair.suspects


def test_a_reader_is_answered_as_soon_as_it_is_whole() -> None:
    one = suffering()
    one.submit(Get(PEAR))
    tick(one)
    [(_, outcome)] = told(one, HELD).replies
    assert isinstance(outcome, Found)
    assert outcome.served_by == "a1"


def test_when_no_peer_can_be_reached_it_looks_again_soon() -> None:
    one = suffering()
    for shard_peer in ("a2", "a3"):
        one.step(shard_peer, events.LinkDown(shard_peer))
    assert fetches(one, tick(one, NOW + 9)) == []
    assert one.replica.maintenance.row_repair.next_tick == NOW + 9 + LOOK_AGAIN_S
    assert one.replica.maintenance.anti_entropy.next_page == NOW + 9 + LOOK_AGAIN_S
    one.replica.maintenance.repair.exchange = Exchange("a2", 1, SLOT, NOW, rest_until=NOW + 5)
    assert one.replica.maintenance.anti_entropy.next_page == NOW + 5


def test_a_holder_that_knows_less_than_our_clock_does_not_make_it_whole() -> None:
    one = suffering(item=NEWER)
    tick(one)
    assert rows_written(told(one, HELD)) == []
    assert rows_written(told(one, NEWER, "a3")) == [row_of(PEAR)]
    assert content(one).versions == NEWER.versions


def test_a_holder_that_knows_less_than_a_broken_off_exchange_does_not_make_it_whole() -> None:
    one = suffering()
    one.replica.keyspace.transfers.add(ALL, DotClock({"x": 2}), row_of(PEAR))
    tick(one)
    assert rows_written(told(one, HELD)) == []
    assert rows_written(told(one, NEWER, "a3")) == [row_of(PEAR)]


def test_several_know_it_all_together() -> None:
    one = member()
    beside = Item({("y", 1): Version(b"else")}, Past({"y": 1}))
    one.replica.keyspace.take(PEAR, beside, (), NOW)
    tick(one)
    damage(one)
    one.submit(Peek(PEAR), 5)
    tick(one)
    assert rows_written(told(one, HELD)) == []
    assert rows_written(told(one, beside, "a3")) == [row_of(PEAR)]
    assert content(one).versions.keys() == {("x", 1), ("y", 1)}


def test_dots_of_other_keys_need_not_be_known() -> None:
    plum = Item({("y", 1): Version(b"plum")}, Past({"y": 1}))
    one = suffering(plum=plum)
    tick(one)
    assert rows_written(told(one, HELD)) == [row_of(PEAR)]


def test_a_dot_that_our_log_does_not_know_may_be_of_this_key() -> None:
    one = suffering()
    for part in one.replica.keyspace.parts:
        part.clock.add(("z", 1))
    tick(one)
    assert rows_written(told(one, HELD)) == []
    assert rows_written(told(one, Item(HELD.versions, Past({"x": 1, "z": 1}))))


def test_a_holder_that_is_far_behind_is_not_asked_dot_by_dot() -> None:
    one = suffering(options=Options(judged_dots_max=2))
    one.replica.keyspace.join(ALL, DotClock({"z": 3}), ())
    tick(one)
    assert rows_written(told(one, HELD)) == []


def test_a_oldest_view_is_lacking_as_a_whole() -> None:
    one = suffering()
    for part in one.replica.keyspace.parts:
        part.clock.oldest_view = ViewId(2, "p")
    tick(one)
    assert rows_written(told(one, HELD)) == []


def test_a_key_of_which_there_is_nothing_any_more_has_no_row() -> None:
    """A client deleted the key, and only its past is left, which the clock covers."""
    one = suffering(item=MARK)
    tick(one)
    effects = told(one, Item({}, Past({"x": 1})))
    assert Record("item", row_of(PEAR), None) in effects.records
    assert PEAR not in one.replica.keyspace.open_keys.unsettled
    assert one.rows.scan("item", None, 9) == []


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_shard_peers_write_is_acknowledged_if_it_makes_the_row_whole(is_whole: bool) -> None:
    one = member(item=NEWER)
    damage(one)
    item = Item({("y", 1): Version(b"written")}, Past({"x": 2 if is_whole else 1, "y": 1}))
    effects = one.step("a2", m.Replicate(6, "a3", PEAR, item, ("y", 1)))
    acks = [peer for peer, message in effects.tells if isinstance(message, m.Ack)]
    assert acks == (["a3"] if is_whole else [])
    assert one.replica.keyspace.clock.has(("y", 1)) is is_whole


@pytest.mark.parametrize("item", [HELD, NEWER])
def test_a_mend_may_make_it_whole(item: Item) -> None:
    one = member(item=NEWER)
    damage(one)
    one.step("a2", m.ReadRepair(PEAR, item))
    tick(one)
    assert bool(one.replica.maintenance.row_repair.suspects) is (item is HELD)


def test_a_replaced_write_that_makes_a_row_whole_is_known_before_it_is_acknowledged() -> None:
    one = suffering()
    item = Item({("x", 2): Version(b"newer", timestamp=(2, 0, "x"))}, Past({"x": 2, "y": 1}))
    effects = one.step("a2", m.Replicate(6, "a3", PEAR, item, ("y", 1)))
    assert ("a3", m.Ack(6, ("y", 1))) in effects.tells
    assert one.replica.keyspace.clock_of(PEAR).has(("y", 1))


def test_counts_and_hashes_are_as_if_nothing_had_been() -> None:
    one = member(plum=Item({("y", 1): Version(b"plum")}, Past({"y": 1})))
    keyspace = one.replica.keyspace
    before = keyspace.content_hashes.content, keyspace.slot_counts.by_slot()
    assert before[0] is not None
    damage(one)
    one.submit(Peek(PEAR), 5)
    tick(one)
    told(one, HELD)
    assert not one.replica.maintenance.row_repair.is_idle
    tick(one)
    assert one.replica.maintenance.row_repair.is_idle
    assert (keyspace.content_hashes.content, keyspace.slot_counts.by_slot()) == before


def test_counts_soon_also_where_every_beat_writes_something() -> None:
    one = member()
    damage(one)
    one.submit(Peek(PEAR), 5)
    tick(one)
    assert told(one, HELD).wake_at <= NOW + LOOK_AGAIN_S
    one.replica.keyspace.save_parts()  # what this step writes is in no row yet
    busy = tick(one)
    assert not one.replica.maintenance.row_repair.is_idle
    assert busy.wake_at <= NOW + LOOK_AGAIN_S
    tick(one)
    assert one.replica.maintenance.row_repair.is_idle


def test_slots_on_their_way_out_are_not_counted() -> None:
    one = member()
    one.replica.keyspace.forget(SLOT)
    one.replica.maintenance.row_repair.count_anew(slot_of_key(PEAR))
    one.rows.apply(one.replica._step.records)
    one.replica.maintenance.row_repair.tick()
    assert one.replica.keyspace.slot_counts.by_slot() == {}


# ---- found


def test_the_count_after_a_start_finds_it() -> None:
    one = member(plum=Item({("y", 1): Version(b"plum")}, Past({"y": 1})))
    whole = one.replica.keyspace.content_hashes.content
    damage(one)
    again = One("a1", TRIO, one.rows)
    assert list(again.replica.maintenance.row_repair.suspects) == [PEAR]
    assert again.replica.keyspace.content_hashes.content not in (whole, None)
    told(again, HELD, now=NOW + 1)
    tick(again, NOW + 1)
    assert again.replica.keyspace.content_hashes.content == whole


def test_an_open_row_may_be_damaged_at_a_start() -> None:
    one = member(item=MARK)
    damage(one)
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), DAMAGED, open=True)])
    again = One("a1", TRIO, one.rows)
    tick(again, NOW + 1)
    assert list(again.replica.maintenance.row_repair.suspects) == [PEAR]


@pytest.mark.parametrize("item", [HELD, MARK])
def test_what_is_in_memory_is_written_again(item: Item) -> None:
    one = member(item=item)
    before = dict(one.rows.tables["item"])
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), DAMAGED)])
    one.replica._step.suspect(Damaged(row_of(PEAR)))
    assert "as it was in memory" in tick(one).notes[0]
    assert one.rows.tables["item"] == before
    assert fetches(one, tick(one, NOW + 9)) == []


def test_what_is_known_to_be_absent_is_removed() -> None:
    one = member()
    one.replica.keyspace.item(PLUM)
    write_rows(one.rows.tables, [Record("item", row_of(PLUM), DAMAGED)])
    one.replica._step.suspect(Damaged(row_of(PLUM)))
    tick(one)
    assert one.rows.read("item", row_of(PLUM)) is None


@pytest.mark.parametrize("row", ["zz", "0", "000/pear", "00z/pear"])
def test_a_row_whose_name_has_changed_is_removed(row: str) -> None:
    one = member()
    damage(one, row=row)
    one.replica._step.suspect(Damaged(row))
    assert "its name too" in tick(one).notes[0]
    assert list(one.rows.tables["item"]) == [row_of(PEAR)]


@pytest.mark.parametrize("row", ["zz", "0", "000/pear", "00z/pear"])
@pytest.mark.parametrize("is_swept", [False, True])
def test_a_row_whose_name_has_changed_does_not_keep_a_node_from_starting(
    row: str, is_swept: bool
) -> None:
    rows = member().rows
    changed = Record("item", row, DAMAGED, open=True)
    write_rows(rows.tables, [changed, Record("meta", "sweep", to_bytes(ALL * is_swept))])
    versions = Keyspace(rows, OPTIONS, Step()).item(PEAR).versions
    assert versions == ({} if is_swept else HELD.versions)
    found = [name for name, _ in rows_within(rows, ALL, None, 10)]
    for after in found:  # also when a page ends with it
        assert [name for name, _ in rows_within(rows, ALL, after, 10)] == [
            name for name in found if name > after
        ]


def test_a_row_on_its_way_out_is_not_missed() -> None:
    one = suffering()
    one.replica.keyspace.forget(SLOT)
    one.replica._step.suspect(Damaged(row_of(PEAR)))
    tick(one)
    assert not one.replica.maintenance.row_repair.suspects


def test_a_slot_that_is_given_away_meanwhile_is_not_missed() -> None:
    one = suffering()
    tick(one)
    one.replica.keyspace.forget(SLOT)
    assert rows_written(told(one, HELD)) == []
    tick(one, NOW + 1)
    assert not one.replica.maintenance.row_repair.suspects
