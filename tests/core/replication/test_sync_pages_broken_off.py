"""What a full exchange has brought is complete by its snapshot, though the clock joins at the end.

This holds after a crash, with another holder, and for a node that is served from it
(docs/decisions/0024).
"""

from node.core.membership.closing import count_reached, has_uncounted
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import row_of
from node.core.model.slots import ALL
from node.core.model.view import ViewId
from node.core.protocol.messages import RowPage
from node.core.protocol.step import Step
from node.core.replication.sync_pages import absorb
from node.core.storage.pruning import compact
from node.core.storage.transfer_progress import TransferProgress
from tests.core.given import Held, MemoryRows, small_pages
from tests.core.pages import (
    GONE,
    NOW,
    forget_log,
    pages_of,
    pull_of,
    served,
    served_items,
    served_rows,
    write,
)

SECOND = ViewId(2, "p")
KEY = GONE  # the first that is walked
ONE_ROW = small_pages(1)
OLD, NEW = ("a", 1), ("a", 2)


def first_page(source: Held, target: Held) -> RowPage:
    page = served_rows(source.keyspace, pull_of(target.keyspace.clock.copy()), ONE_ROW)
    absorb(target.keyspace, page, NOW)
    target.sync()
    assert not page.last
    return page


def replaced() -> tuple[Held, Item]:
    """Return a holder of a value that replaced another, and the other as it was sent."""
    source = Held("a")
    old = write(source, KEY, b"old")
    write(source, KEY, b"new")
    write(source, "another")
    forget_log(source)
    return source, old


def broken_off() -> tuple[Held, Held, Item]:
    """Return a store that crashed in an exchange, behind the key."""
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
    source.keyspace.watermarks.shard = dict(source.keyspace.clock.base)
    compact(source.keyspace, 10)
    source.sync()
    assert source.keyspace.item(KEY) == Item()
    target = Held("b")
    first_page(source, target)
    late = target.restarted()
    late.keyspace.take(KEY, old, (OLD,), NOW)
    assert versions(late) == set()


def test_a_node_that_is_served_from_the_middle_learns_what_was_replaced() -> None:
    """It learns by a state, by dots, by rows, and by rows that were stripped since the snapshot."""
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
    page = served_items(middle.keyspace, pull_of(reader.keyspace.clock.copy()), ONE_ROW)
    assert list(page.items) == [KEY]
    absorb(reader.keyspace, page, NOW)


def by_rows(middle: Held, reader: Held) -> None:
    write(middle, "a third")
    forget_log(middle)
    assert isinstance(pages_of(middle.keyspace, reader, ONE_ROW)[0], RowPage)


def by_rows_of_a_later_clock(middle: Held, reader: Held) -> None:
    first = served(middle.keyspace, pull_of(DotClock()), ONE_ROW)
    write(middle, "a third")
    forget_log(middle)
    page = served_rows(middle.keyspace, pull_of(DotClock(), first.snapshot, ""), ONE_ROW)
    assert list(page.items) == [KEY]
    absorb(reader.keyspace, page, NOW)


def test_another_holder_that_knows_less_does_not_bring_back_what_had_gone() -> None:
    """The slots are new here, so their rows are taken as they lie."""
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
    late = served_rows(behind.keyspace, pull_of(DotClock()), ONE_ROW)
    assert list(late.rows) == [row_of(KEY)]
    absorb(target.keyspace, late, NOW)
    target.sync()
    assert versions(target) == set()


def test_it_is_forgotten_with_its_slots() -> None:
    """A node that holds them again knows nothing of their rows."""
    _, target, old = broken_off()
    target.keyspace.forget(ALL)
    target.keyspace.parts.adopt(SECOND, ALL, {SECOND}, SECOND)
    target.keyspace.take(KEY, old, (OLD,), NOW)
    assert versions(target) == {OLD}
    target.sync()
    assert not target.restarted().keyspace.transfers


def test_it_is_let_go_when_the_clock_says_it() -> None:
    source, target, _ = broken_off()
    pages_of(source.keyspace, target, ONE_ROW)
    assert not target.keyspace.transfers
    assert target.rows.read("meta", "reached") is None
    assert versions(target) == {NEW}


def test_it_is_let_go_when_dots_have_brought_what_was_lacking() -> None:
    _, target, _ = broken_off()
    for n in (1, 2, 3):
        target.keyspace.note(("a", n), KEY)
    compact(target.keyspace, 10)
    assert not target.keyspace.transfers


def test_what_it_brought_of_an_incarnation_that_is_over_can_be_named() -> None:
    """Its source may lose its disk, and then the clock of the exchange never comes."""
    _, target, _ = broken_off()
    keyspace = target.keyspace
    assert has_uncounted(keyspace, "a")
    assert not has_uncounted(keyspace, "z")
    count_reached(keyspace, keyspace.transfers.said_of("z"))
    assert not keyspace.clock.has(NEW)
    count_reached(keyspace, keyspace.transfers.said_of("a"))
    target.sync()
    counted = target.restarted().keyspace
    first, *_, last = (part.clock for part in counted.parts)
    assert first.has(NEW)
    assert first.has(("a", 3)), "its slots have come"
    assert last.has(NEW), "it names another slot"
    assert not last.has(("a", 3)), "its slots have not come"
    assert versions(target) == {NEW}


def test_what_is_loose_in_its_clock_is_named_with_the_rest() -> None:
    incarnation, source = "a", Held("c")
    source.keyspace.take(KEY, Item({("a", 7): Version(b"late")}), (("a", 7),), NOW)
    write(source, "another")
    forget_log(source)
    target = Held("b")
    first_page(source, target)
    counted = target.restarted().keyspace
    assert has_uncounted(counted, incarnation)
    count_reached(counted, counted.transfers.said_of(incarnation))
    assert all(part.clock.has(("a", 7)) for part in counted.parts)
    assert not has_uncounted(counted, incarnation)


def test_one_snapshot_is_said_once_with_its_last_bound() -> None:
    rows, turn = MemoryRows(), Step()
    reached, snapshot = TransferProgress(rows, turn), DotClock({"a": 3})
    reached.add(ALL, snapshot, "100/b")
    reached.add(ALL, snapshot, "200/c")
    reached.add(ALL, snapshot, "100/d")  # begun again
    assert [record.key for record in turn.records] == ["reached", "reached"]
    rows.apply(turn.records)
    again = TransferProgress(rows, turn)
    assert again.past_of("200/c") == Past({"a": 3})
    assert again.past_of("200/d") == Past()
    again.add(ALL, DotClock({"b": 1}), "100/a")
    assert again.past_of("100/a") == Past({"a": 3, "b": 1})
    assert again.past_of("1ff/z") == Past({"a": 3})
