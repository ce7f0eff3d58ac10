"""The log names the key of every dot until it is dropped; a restart reads back what was kept."""

import pytest
from hypothesis import given

from node.core.model.dots import Dot, Vector
from node.core.model.options import Options
from node.core.model.view import FIRST, ViewId
from node.core.protocol.effects import Record
from node.core.protocol.step import Step
from node.core.storage.key_log import KeyLog, log_row
from tests.core.given import OPTIONS, MemoryRows, all_dots, dot_sets, vectors


def filled(dots: frozenset[Dot], turn: Step, options: Options = OPTIONS) -> KeyLog:
    log = KeyLog(turn, options)
    for dot in sorted(dots):
        log.add(dot, f"key of {dot}")
    return log


@given(dot_sets, vectors)
def test_what_is_not_below_is_kept_and_read_back(dots: frozenset[Dot], low: Vector) -> None:
    turn = Step()
    log = filled(dots, turn)
    log.drop_below(low)
    assert not log.has_below(low)
    read, noted = KeyLog(Step(), OPTIONS), dict[Dot, str]()
    read.load(MemoryRows(turn.records), noted.__setitem__)
    kept = dots - all_dots(low)
    assert noted == {dot: f"key of {dot}" for dot in kept}
    assert log.entries == read.entries == len(kept)
    for dot in dots:
        key = f"key of {dot}" if dot in kept else None
        assert log.key_of(dot) == read.key_of(dot) == key


@pytest.mark.parametrize("rows_a_page", [1, 2, 5])
def test_reads_back_page_by_page(rows_a_page: int) -> None:
    turn = Step()
    filled(frozenset(all_dots({"a": 3, "b": 2})), turn)
    log, noted = KeyLog(Step(), Options(log_page_rows=rows_a_page)), dict[Dot, str]()
    log.load(MemoryRows(turn.records), noted.__setitem__)
    assert noted.keys() == all_dots({"a": 3, "b": 2})
    assert log.entries == 5


def test_drops_some_at_a_time() -> None:
    options = Options(log_dropped_at_once_max=4)
    log = filled(frozenset(all_dots({"a": 3, "b": 3, "c": 3})), Step(), options)
    low = {"a": 3, "b": 3, "c": 2}
    left, behind = [], []
    while log.has_below(low):
        log.drop_below(low)
        left.append(log.entries)
        behind.append(log.is_behind)
    assert (left, behind) == ([5, 1], [True, False])
    assert log.key_of(("c", 3))


def test_makes_room_by_the_oldest_of_the_actor_with_most() -> None:
    options = Options(log_entries_max=4, log_dropped_at_once_max=2)
    log = filled(frozenset(all_dots({"a": 1, "b": 3})), Step(), options)
    assert not log.is_full()
    log.add(("b", 4), "key")
    assert log.is_full()
    log.drop_oldest()
    assert not log.is_full()
    assert [n for n in range(1, 5) if log.key_of(("b", n))] == [3, 4]
    assert log.key_of(("a", 1))


def test_rows_lie_in_the_order_of_the_dots() -> None:
    numbers = [1, 9, 10, 15, 16, 255, 2**40, 2**53 - 1]
    rows = [log_row(("a", n)) for n in numbers]
    assert rows == sorted(rows)


def test_a_dot_is_noted_once_and_may_come_again_after_it_was_dropped() -> None:
    turn = Step()
    log = filled(frozenset(all_dots({"a": 3})), turn)
    log.add(("a", 2), "key")
    assert (log.entries, len(turn.records)) == (3, 3)
    log.drop_below({"a": 3})
    assert not log.has_below({"a": 3})
    log.add(("a", 2), "key")  # of slots that were forgotten and are back
    assert log.has_below({"a": 3})
    log.drop_below({"a": 3})
    assert log.entries == 0


def test_where_dots_do_not_belong_is_known_of_some() -> None:
    log = KeyLog(Step(), Options(log_outside_max=2))
    log.note_outside([("a", 1), ("a", 2), ("a", 3)], 0b1110)
    assert [log.is_outside(("a", n), 0b0110) for n in (1, 2, 3)] == [False, True, True]
    assert not log.is_outside(("a", 3), 0b0111)


def test_what_older_views_wrote_is_dropped_below_a_oldest_view() -> None:
    log = filled(frozenset({("a", 1), ("a", 7), ("b.2.p", 3), ("c.3.p", 1)}), Step())
    assert log.bounds_below(ViewId(3, "p")) == {"a": 7, "b.2.p": 3}
    assert log.bounds_below(FIRST) == {}


def test_dots_of_keys_that_are_not_held_any_more_are_told_until_a_restart() -> None:
    turn = Step()
    log = filled(frozenset(all_dots({"a": 2, "b": 1})), turn)
    turn.records.clear()
    for _ in range(2):
        log.take_off_disk(lambda key: "'a'" in key)
    assert set(turn.records) == {
        Record("log", log_row(("a", 1)), None),
        Record("log", log_row(("a", 2)), None),
    }
    assert len(turn.records) == 2
    assert (log.entries, log.key_of(("a", 1))) == (3, "key of ('a', 1)")
    turn.records.clear()
    log.add(("a", 1), "('a', 1)")  # its slot is back
    assert turn.records == [Record("log", log_row(("a", 1)), b"('a', 1)")]
    turn.records.clear()
    log.drop_below({"a": 2, "b": 1})
    assert {record.key for record in turn.records} == {log_row(("a", 1)), log_row(("b", 1))}
    assert log.entries == 0
