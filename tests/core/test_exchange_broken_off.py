"""What a full exchange has brought is whole by its snapshot, though the clock joins only at the
end: after a crash, with another holder, for whoever is served from it (docs/decisions/0024)."""

import pytest

from node.core.clock import Clock
from node.core.effects import Record
from node.core.exchange import absorb
from node.core.messages import Page
from node.core.parts import ALL
from node.core.reached import Reached
from node.core.siblings import Item, Past
from node.core.view import ViewId
from node.core.walk import row_of
from tests.core.given import Held, MemoryRows, small_pages
from tests.core.test_exchange import GONE, NOW, forget_log, pages_of, pull_of, served, write

SECOND = ViewId(2, "p")
KEY = GONE  # the first that is walked
OLD, NEW = ("a", 1), ("a", 2)


@pytest.fixture(autouse=True)
def one_row_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch, 1)


def first_page(source: Held, target: Held) -> Page:
    page = served(source.keyspace, pull_of(target.keyspace.clock.copy()))
    absorb(target.keyspace, page, NOW)
    target.sync()
    assert (page.full, page.last) == (True, False)
    return page


def replaced() -> tuple[Held, Item]:
    """A holder of a value that replaced another, and the other as it was sent."""
    source = Held("a")
    old = write(source, KEY, b"old")
    write(source, KEY, b"new")
    write(source, "another")
    forget_log(source)
    return source, old


def broken_off() -> tuple[Held, Held, Item]:
    """A store whose exchange has ended behind the key: it has crashed."""
    source, old = replaced()
    target = Held("b")
    first_page(source, target)
    return source, target.restarted(), old


def versions(held: Held) -> set[tuple[str, int]]:
    return set(held.keyspace.filled(KEY).versions)


def test_what_was_replaced_comes_too_late_after_a_crash() -> None:
    _, target, old = broken_off()
    assert not target.keyspace.clock.has(NEW)
    target.keyspace.take(KEY, old, (OLD,), NOW)
    assert versions(target) == {NEW}
    assert not target.keyspace.item(KEY).past, "said once, not in every row"


def test_what_had_gone_does_not_come_back_after_a_crash() -> None:
    source = Held("a")
    old = write(source, KEY, b"old")
    write(source, KEY, None)
    write(source, "another")
    write(source, "a third")
    forget_log(source)
    source.keyspace.low = dict(source.keyspace.clock.base)
    source.keyspace.settle(10)
    source.sync()
    assert source.keyspace.item(KEY) == Item()
    target = Held("b")
    first_page(source, target)
    late = target.restarted()
    late.keyspace.take(KEY, old, (OLD,), NOW)
    assert versions(late) == set()


def test_who_is_served_from_the_middle_learns_what_was_replaced() -> None:
    """By a state, by dots, by rows, and by rows that were stripped since the snapshot."""
    for by in (by_a_state, by_dots, by_rows, by_rows_of_a_later_clock):
        _, middle, old = broken_off()
        reader = Held("c")
        reader.keyspace.take(KEY, old, (OLD,), NOW)
        reader.sync()
        by(middle, reader)
        assert OLD not in versions(reader), by.__name__


def by_a_state(middle: Held, reader: Held) -> None:
    reader.keyspace.take(KEY, middle.keyspace.filled(KEY), (), NOW)


def by_dots(middle: Held, reader: Held) -> None:
    middle.keyspace.note(NEW, KEY)
    page = served(middle.keyspace, pull_of(reader.keyspace.clock.copy()))
    assert list(page.items) == [KEY]
    absorb(reader.keyspace, page, NOW)


def by_rows(middle: Held, reader: Held) -> None:
    write(middle, "a third")
    forget_log(middle)
    assert pages_of(middle.keyspace, reader)[0].full


def by_rows_of_a_later_clock(middle: Held, reader: Held) -> None:
    first = served(middle.keyspace, pull_of(Clock()))
    write(middle, "a third")
    forget_log(middle)
    page = served(middle.keyspace, pull_of(Clock(), first.snapshot, ""))
    assert list(page.items) == [KEY]
    absorb(reader.keyspace, page, NOW)


def test_another_holder_who_knows_less_does_not_bring_back_what_had_gone() -> None:
    """The slots are new here: rows of such are taken as they lie."""
    source, old = replaced()
    behind = Held("z")
    behind.keyspace.take(KEY, old, (OLD,), NOW)
    write(behind, "another")
    forget_log(behind)
    source.keyspace.take(KEY, Item({}, Past({"a": 2})), (), NOW)
    write(source, "a third")
    target = Held("b", slots=0)
    target.keyspace.parts.adopt(SECOND, ALL, {SECOND}, SECOND)
    assert row_of(KEY) not in first_page(source, target).rows
    assert target.keyspace.parts.only_grew(ALL)
    late = served(behind.keyspace, pull_of(Clock()))
    assert list(late.rows) == [row_of(KEY)]
    absorb(target.keyspace, late, NOW)
    target.sync()
    assert versions(target) == set()


def test_it_is_forgotten_with_its_slots() -> None:
    """Who holds them again knows nothing of their rows."""
    _, target, old = broken_off()
    target.keyspace.forget(ALL)
    target.keyspace.parts.adopt(SECOND, ALL, {SECOND}, SECOND)
    target.keyspace.take(KEY, old, (OLD,), NOW)
    assert versions(target) == {OLD}
    target.sync()
    assert not target.restarted().keyspace.reached


def test_it_is_let_go_when_the_clock_says_it() -> None:
    source, target, _ = broken_off()
    pages_of(source.keyspace, target)
    assert not target.keyspace.reached
    assert target.rows.read("meta", "reached") is None
    assert versions(target) == {NEW}


def test_it_is_let_go_when_dots_have_brought_what_was_lacking() -> None:
    _, target, _ = broken_off()
    for n in (1, 2, 3):
        target.keyspace.note(("a", n), KEY)
    target.keyspace.settle(10)
    assert not target.keyspace.reached


def test_one_snapshot_is_said_once_with_its_last_bound() -> None:
    rows, outbox = MemoryRows(), list[Record]()
    reached, snapshot = Reached(rows, outbox), Clock({"a": 3})
    reached.add(ALL, snapshot, "100/b")
    reached.add(ALL, snapshot, "200/c")
    reached.add(ALL, snapshot, "100/d")  # begun again
    assert [record.key for record in outbox] == ["reached", "reached"]
    rows.apply(outbox)
    again = Reached(rows, outbox)
    assert again.past_of("200/c") == Past({"a": 3})
    assert again.past_of("200/d") == Past()
    again.add(ALL, Clock({"b": 1}), "100/a")
    assert again.past_of("100/a") == Past({"a": 3, "b": 1})
    assert again.past_of("1ff/z") == Past({"a": 3})
