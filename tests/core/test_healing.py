"""A damaged row says nothing, is answered from by nobody, and becomes whole from what others hold;
what nobody holds is never passed over in silence."""

import pytest

from cluster.memory import write_rows
from node.core import healing, messages as m
from node.core.clock import Clock
from node.core.effects import DAMAGED, Damaged, Effects, Record
from node.core.healing import ASK_AGAIN_S, LOOK_AGAIN_S
from node.core.keyspace import Keyspace
from node.core.parts import ALL, to_bytes
from node.core.repair import Exchange
from node.core.siblings import Item, Past, Version
from node.core.view import FIRST, View, ViewId, first_view
from node.core.walk import row_of, rows_within, slot_of_key
from tests.core.given import MEGABYTE
from tests.core.test_replica import NOW, PEAR, One

TRIO = first_view(["a1", "a2", "a3"], 1)
ALONE = first_view(["a1"], 1)
PLUM = "plum"
SLOT = 1 << slot_of_key(PEAR)
HELD = Item({("x", 1): Version(b"held", stamp=(1, 0, "x"))}, Past({"x": 1}))
NEWER = Item({("x", 2): Version(b"newer", stamp=(2, 0, "x"))}, Past({"x": 2}))
MARK = Item({("x", 1): Version(None, stamp=(1, 0, "x"))}, Past({"x": 1}))


def damage(one: One, key: str = PEAR, row: str = "") -> None:
    """The disk has changed this row, and memory has nothing of it."""
    write_rows(one.rows.tables, [Record("item", row or row_of(key), DAMAGED)])
    one.replica.keyspace._cache.drop(key)


def member(view: View = TRIO, item: Item = HELD, **others: Item) -> One:
    """A member that has arrived and knows its fellows, with items that came from them."""
    one = One("a1", view)
    for fellow in view.nodes[1:]:
        one.step(fellow, m.Beat(f"id of {fellow}"))
    one.arrive()
    for key, held in {PEAR: item, **others}.items():
        one.replica.keyspace.take(key, held, (), NOW)
    tick(one)
    return one


def suffering(view: View = TRIO, item: Item = HELD, **others: Item) -> One:
    """One whose row of PEAR is damaged, and it has noticed."""
    one = member(view, item, **others)
    damage(one)
    one.submit(m.Peek(PEAR), 5)
    return one


def tick(one: One, now: float = NOW) -> Effects:
    return one.step("a1", m.Tick(), now)


def fetches(effects: Effects) -> list[tuple[str, m.Fetch]]:
    asks = [(peer, ask) for peer, ask in effects.asks if isinstance(ask, m.Fetch)]
    return [(peer, ask) for peer, ask in asks if ask.request < 0]


def told(one: One, item: Item, source: str = "a2", now: float = NOW) -> Effects:
    """A fellow's answer to our question."""
    number = one.replica.upkeep.healing.suspects[PEAR].number
    return one.step(source, m.State(number, item, Clock(dict(item.past.base)), [FIRST]), now)


def rows_written(effects: Effects) -> list[str]:
    return [r.key for r in effects.records if r.table == "item" and r.value is not None]


def content(one: One) -> Item:
    return one.replica.keyspace.item(PEAR)


# ---- made whole by what others say


def test_all_holders_are_asked_until_it_is_whole() -> None:
    one = suffering()
    assert [peer for peer, _ in fetches(tick(one))] == ["a2", "a3"]
    assert fetches(tick(one, NOW + ASK_AGAIN_S / 2)) == []
    assert [peer for peer, _ in fetches(tick(one, NOW + ASK_AGAIN_S))] == ["a2", "a3"]
    effects = told(one, HELD)
    assert rows_written(effects) == [row_of(PEAR)]
    assert effects.notes == (
        f"row {row_of(PEAR)!r} of table item is whole again, by what a2 holds",
    )
    assert content(one).versions == HELD.versions
    assert fetches(tick(one, NOW + 9)) == []
    assert one.step("a3", m.State(-1, HELD, Clock(), [])).records == []  # nobody asks any more


def test_an_answer_to_an_earlier_run_is_passed_over() -> None:
    """It comes late, and may be of another key."""
    tick(before := suffering())
    number = before.replica.upkeep.healing.suspects[PEAR].number
    after = suffering()
    tick(after, NOW + 1)
    other = Item({("y", 1): Version(b"of another key")}, Past({"x": 9, "y": 1}))
    effects = after.step("a2", m.State(number, other, Clock(dict(other.past.base)), [FIRST]))
    assert rows_written(effects) == []
    assert PEAR in after.replica.upkeep.healing.suspects


def test_who_reads_is_answered_as_soon_as_it_is_whole() -> None:
    one = suffering()
    one.submit(m.Get(PEAR))
    tick(one)
    [(_, outcome)] = told(one, HELD).replies
    assert isinstance(outcome, m.Found)
    assert outcome.served_by == "a1"


def test_when_nobody_can_be_reached_it_looks_again_soon() -> None:
    one = suffering()
    for fellow in ("a2", "a3"):
        one.step(fellow, m.LinkDown(fellow))
    assert fetches(tick(one, NOW + 9)) == []
    assert one.replica.upkeep.healing.next_tick == NOW + 9 + LOOK_AGAIN_S
    assert one.replica.upkeep.next_page == NOW + 9 + LOOK_AGAIN_S
    one.replica.upkeep.repair.exchange = Exchange("a2", 1, SLOT, NOW, rest_until=NOW + 5)
    assert one.replica.upkeep.next_page == NOW + 5


def test_who_knows_less_than_our_clock_does_not_make_it_whole() -> None:
    one = suffering(item=NEWER)
    tick(one)
    assert rows_written(told(one, HELD)) == []
    assert rows_written(told(one, NEWER, "a3")) == [row_of(PEAR)]
    assert content(one).versions == NEWER.versions


def test_who_knows_less_than_a_broken_off_exchange_does_not_make_it_whole() -> None:
    one = suffering()
    one.replica.keyspace.reached.add(ALL, Clock({"x": 2}), row_of(PEAR))
    tick(one)
    assert rows_written(told(one, HELD)) == []
    assert rows_written(told(one, NEWER, "a3")) == [row_of(PEAR)]


def test_several_know_it_all_together() -> None:
    one = member()
    beside = Item({("y", 1): Version(b"else")}, Past({"y": 1}))
    one.replica.keyspace.take(PEAR, beside, (), NOW)
    tick(one)
    damage(one)
    one.submit(m.Peek(PEAR), 5)
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


def test_who_is_far_behind_is_not_asked_dot_by_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "DOTS_JUDGED_MAX", 2)
    one = suffering()
    one.replica.keyspace.join(ALL, Clock({"z": 3}), ())
    tick(one)
    assert rows_written(told(one, HELD)) == []


def test_a_floor_is_lacking_as_a_whole() -> None:
    one = suffering()
    for part in one.replica.keyspace.parts:
        part.clock.floor = ViewId(2, "p")
    tick(one)
    assert rows_written(told(one, HELD)) == []


def test_a_key_of_which_there_is_nothing_any_more_has_no_row() -> None:
    """It was deleted; only its past is left, and that the clock says."""
    one = suffering(item=MARK)
    tick(one)
    effects = told(one, Item({}, Past({"x": 1})))
    assert Record("item", row_of(PEAR), None) in effects.records
    assert PEAR not in one.replica.keyspace.open_keys
    assert one.rows.scan("item", None, 9) == []


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_fellows_write_is_acknowledged_if_it_makes_the_row_whole(is_whole: bool) -> None:
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
    one.step("a2", m.Mend(PEAR, item))
    tick(one)
    assert bool(one.replica.upkeep.healing.suspects) is (item is HELD)


def test_counts_and_hashes_are_as_if_nothing_had_been() -> None:
    one = member(plum=Item({("y", 1): Version(b"plum")}, Past({"y": 1})))
    keyspace = one.replica.keyspace
    before = keyspace.digests.content, keyspace.tally.by_slot()
    assert before[0] is not None
    damage(one)
    one.submit(m.Peek(PEAR), 5)
    tick(one)
    told(one, HELD)
    assert not one.replica.upkeep.healing.is_idle
    tick(one)
    assert one.replica.upkeep.healing.is_idle
    assert (keyspace.digests.content, keyspace.tally.by_slot()) == before


def test_counts_soon_also_where_every_beat_writes_something() -> None:
    one = member()
    damage(one)
    one.submit(m.Peek(PEAR), 5)
    tick(one)
    assert told(one, HELD).wake_at <= NOW + LOOK_AGAIN_S
    one.replica.keyspace.save_parts()  # what this step writes is in no row yet
    busy = tick(one)
    assert not one.replica.upkeep.healing.is_idle
    assert busy.wake_at <= NOW + LOOK_AGAIN_S
    tick(one)
    assert one.replica.upkeep.healing.is_idle


def test_slots_on_their_way_out_are_not_counted() -> None:
    one = member()
    one.replica.keyspace.forget(SLOT)
    one.replica.upkeep.healing.count_anew(slot_of_key(PEAR))
    one.rows.apply(one.replica.keyspace.outbox)
    one.replica.upkeep.healing.tick()
    assert one.replica.keyspace.tally.by_slot() == {}


# ---- found


def test_the_count_after_a_start_finds_it() -> None:
    one = member(plum=Item({("y", 1): Version(b"plum")}, Past({"y": 1})))
    whole = one.replica.keyspace.digests.content
    damage(one)
    again = One("a1", TRIO, one.rows)
    assert list(again.replica.upkeep.healing.suspects) == [PEAR]
    assert again.replica.keyspace.digests.content not in (whole, None)
    told(again, HELD, now=NOW + 1)
    tick(again, NOW + 1)
    assert again.replica.keyspace.digests.content == whole


def test_an_open_row_may_be_damaged_at_a_start() -> None:
    one = member(item=MARK)
    damage(one)
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), DAMAGED, open=True)])
    again = One("a1", TRIO, one.rows)
    tick(again, NOW + 1)
    assert list(again.replica.upkeep.healing.suspects) == [PEAR]


@pytest.mark.parametrize("item", [HELD, MARK])
def test_what_is_in_memory_is_written_again(item: Item) -> None:
    one = member(item=item)
    before = dict(one.rows.tables["item"])
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), DAMAGED)])
    one.replica._turn.suspect(Damaged(row_of(PEAR)))
    assert "as it was in memory" in tick(one).notes[0]
    assert one.rows.tables["item"] == before
    assert fetches(tick(one, NOW + 9)) == []


def test_what_is_known_to_be_absent_is_removed() -> None:
    one = member()
    one.replica.keyspace.item(PLUM)
    write_rows(one.rows.tables, [Record("item", row_of(PLUM), DAMAGED)])
    one.replica._turn.suspect(Damaged(row_of(PLUM)))
    tick(one)
    assert one.rows.read("item", row_of(PLUM)) is None


@pytest.mark.parametrize("row", ["zz", "0", "000/pear", "00z/pear"])
def test_a_row_whose_name_has_changed_is_removed(row: str) -> None:
    one = member()
    damage(one, row=row)
    one.replica._turn.suspect(Damaged(row))
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
    versions = Keyspace(rows, MEGABYTE).item(PEAR).versions
    assert versions == ({} if is_swept else HELD.versions)
    found = [name for name, _ in rows_within(rows, ALL, None, 10)]
    for after in found:  # also when a page ends with it
        assert [name for name, _ in rows_within(rows, ALL, after, 10)] == [
            name for name in found if name > after
        ]


def test_a_row_on_its_way_out_is_not_missed() -> None:
    one = suffering()
    one.replica.keyspace.forget(SLOT)
    one.replica._turn.suspect(Damaged(row_of(PEAR)))
    tick(one)
    assert not one.replica.upkeep.healing.suspects


def test_a_slot_that_is_given_away_meanwhile_is_not_missed() -> None:
    one = suffering()
    tick(one)
    one.replica.keyspace.forget(SLOT)
    assert rows_written(told(one, HELD)) == []
    tick(one, NOW + 1)
    assert not one.replica.upkeep.healing.suspects
