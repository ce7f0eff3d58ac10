"""An exchange is about its slots and says nothing of others; claims come with its last page."""

from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import SLOTS as SLOT_COUNT, row_of, slot_of_key
from node.core.model.slots import ALL, Slots, from_bytes, to_bytes
from node.core.model.view import FIRST, ViewId
from node.core.protocol.messages import Pull, RowPage
from node.core.replication.sync_pages import absorb, serve
from node.core.storage.written_since import NOT_HERE, key_within
from tests.core.given import OPTIONS, Held, page_of_rows, small_pages
from tests.core.pages import (
    KEYS,
    NOW,
    forget_log,
    items_in,
    pages_of,
    pull_of,
    served,
    served_items,
    served_rows,
    write,
)

HALF = ALL >> SLOT_COUNT // 2
SECOND = ViewId(2, "p")
NEAR, FAR = (next(k for k in KEYS if (HALF >> slot_of_key(k) & 1) == bit) for bit in (1, 0))


def pull_slots(slots: Slots, snapshot: DotClock | None = None) -> Pull:
    return Pull(1, "x", to_bytes(slots), DotClock(), snapshot)


def test_a_node_that_does_not_hold_the_slots_serves_no_page() -> None:
    source = Held("a", slots=HALF)
    write(source, NEAR)
    assert serve(source.keyspace, pull_slots(ALL & ~HALF), OPTIONS) is None


def test_slots_that_come_apart_between_two_pages_end_the_exchange() -> None:
    source = Held("a")
    write(source, NEAR)
    first = served(source.keyspace, pull_slots(ALL))
    source.keyspace.parts.add(HALF, [("x", 1)])
    assert serve(source.keyspace, pull_slots(ALL, first.snapshot), OPTIONS) is None
    assert from_bytes(served(source.keyspace, pull_slots(ALL)).slots) == HALF


def test_a_page_is_about_the_slots_that_were_asked_for() -> None:
    source, target = Held("a"), Held("b", slots=HALF)
    write(source, NEAR)
    write(source, FAR)
    page = served_items(source.keyspace, pull_slots(HALF))
    assert page.items.keys() == {NEAR}
    assert page.dots == {("a", 1): NEAR, ("a", 2): NOT_HERE}
    absorb(target.keyspace, page, NOW)
    assert target.keyspace.clock == DotClock(
        {"a": 2}
    )  # both are known: the one concerns no key here
    assert target.keyspace.log.key_of(("a", 2)) is None
    target.sync()
    assert target.restarted().keyspace.clock == DotClock({"a": 2})


def test_dots_of_forgotten_slots_are_told_to_nodes_that_lack_them() -> None:
    """The dots concern nothing that either node holds, so they need no full exchange."""
    source, target = Held("a"), Held("b", slots=HALF)
    write(source, NEAR)
    write(source, FAR)
    source.keyspace.forget(ALL & ~HALF)
    [page] = pages_of(source.keyspace, target)
    assert items_in(page).dots == {("a", 1): NEAR, ("a", 2): NOT_HERE}
    assert target.keyspace.clock == DotClock({"a": 2})


def test_dots_that_concern_nothing_are_passed_on_as_they_came() -> None:
    """A node that got them knows no key for them, and needs none."""
    source, between, target = Held("a"), Held("b", slots=HALF), Held("c", slots=HALF)
    write(source, NEAR)
    write(source, FAR)
    absorb(between.keyspace, served(source.keyspace, pull_slots(HALF)), NOW)
    page = served_items(between.keyspace, pull_slots(HALF))
    assert page.dots == {("a", 1): NEAR, ("a", 2): NOT_HERE}
    log = between.keyspace.log
    assert key_within(log, ("a", 2), HALF) == NOT_HERE
    assert key_within(log, ("a", 2), ALL) is None  # of the rest it knows not
    absorb(target.keyspace, page, NOW)
    assert target.keyspace.clock == DotClock({"a": 2})


def test_a_full_page_walks_the_slots_that_were_asked_for() -> None:
    source, target = Held("a"), Held("b")
    write(source, NEAR)
    mine = write(target, FAR)
    forget_log(source)
    page = served_rows(source.keyspace, pull_slots(HALF))
    assert [row[4:] for row in page.rows] == [NEAR]
    absorb(target.keyspace, page, NOW)
    assert target.keyspace.item(FAR).versions == mine.versions  # outside the slots: untouched
    near, far = (target.keyspace.clock_of(key) for key in (NEAR, FAR))
    assert near.has(("a", 1))
    assert not far.has(("a", 1))


def test_claims_are_handed_on_with_the_last_page() -> None:
    source, target = Held("a"), Held("b")
    target.keyspace.parts.adopt(SECOND, ALL, {FIRST, SECOND}, None)
    source.keyspace.parts.become_complete_for(SECOND)
    write(source, "key0")
    write(source, "key1")
    pull = pull_of(DotClock())
    for last in (False, True):
        page = served(source.keyspace, pull, small_pages(1))
        assert page.last is last
        absorb(target.keyspace, page, NOW)
        assert target.keyspace.parts.lacking() == (0 if last else ALL)
        pull = pull_of(target.keyspace.clock, page.snapshot)


def test_claims_of_retired_views_are_not_taken_over() -> None:
    source, target = Held("a"), Held("b")
    source.keyspace.parts.become_complete_for(SECOND)
    target.keyspace.watermarks.oldest_view = SECOND
    target.keyspace.parts.raise_oldest_view(SECOND, {SECOND})
    pages_of(source.keyspace, target)
    assert [part.complete_for for part in target.keyspace.parts] == [{SECOND}]


def test_a_node_with_a_lower_oldest_view_gets_all_rows() -> None:
    """No node has the names of dots below the oldest view any more."""
    source, target = Held("a"), Held("b")
    write(source, "key0")
    source.keyspace.parts.raise_oldest_view(SECOND, set())
    source.keyspace.parts.count_below(SECOND)
    [page] = pages_of(source.keyspace, target)
    assert isinstance(page, RowPage)
    assert target.keyspace.clock == source.keyspace.clock == DotClock(oldest_view=SECOND)


def test_rows_that_have_not_changed_travel_as_they_lie() -> None:
    source, target = Held("a"), Held("b")
    write(source, "key0")
    write(source, "key1", None)
    forget_log(source)
    first = served_rows(source.keyspace, pull_of(DotClock()))
    assert ([row[4:] for row in first.rows], list(first.items)) == (["key0"], ["key1"])  # a mark
    write(source, "key0", b"later")
    later = served_rows(source.keyspace, pull_of(DotClock(), first.snapshot, ""))
    assert (later.rows, set(later.items)) == ({}, {"key0", "key1"})
    absorb(target.keyspace, later, NOW)
    target.sync()
    assert target.keyspace.filled("key0").versions == source.keyspace.item("key0").versions


def test_fresh_slots_take_rows_as_they_are_and_count_them() -> None:
    source, target = Held("a"), Held("b", slots=0)
    for key in KEYS:
        write(source, key)
    forget_log(source)
    target.keyspace.view = SECOND
    target.keyspace.parts.adopt(SECOND, ALL, {FIRST, SECOND}, SECOND)
    assert target.keyspace.parts.only_grew(ALL)
    pages_of(source.keyspace, target)
    assert target.keyspace.live_keys == len(KEYS)
    for key in KEYS:
        assert target.keyspace.item(key) == source.keyspace.item(key)
    assert not target.keyspace.parts.only_grew(ALL)
    assert target.keyspace.clock == source.keyspace.clock


def test_writes_that_come_meanwhile_leave_slots_fresh() -> None:
    """This holds for writes of the last view, too: their rows are here, and only more have come."""
    source, target = Held("a"), Held("b", slots=0)
    first, second = write(source, "key0"), write(source, "key1", b"old")
    target.keyspace.parts.adopt(SECOND, ALL, {FIRST, SECOND}, SECOND)
    newer = Item({("z", 1): Version(b"new")}, Past({"a": 2, "z": 1}))
    target.keyspace.take("key1", newer, (("z", 1),), NOW)
    target.keyspace.take("key2", Item({("a", 3): Version(b"v")}, Past({"a": 3})), (), NOW)
    assert target.keyspace.parts.only_grew(ALL)
    target.sync()
    forget_log(source)
    pages_of(source.keyspace, target)
    assert target.keyspace.item("key0").versions == first.versions
    assert target.keyspace.filled("key1").versions == newer.versions != second.versions


def test_what_has_gone_from_fresh_slots_is_not_taken_as_it_lies() -> None:
    source, target = Held("a"), Held("b", slots=0)
    write(source, "key0")
    forget_log(source)
    target.keyspace.parts.adopt(SECOND, ALL, {FIRST, SECOND}, SECOND)
    gone = Item({}, Past({"a": 1}))
    target.keyspace.take("key0", gone, (("a", 1),), NOW)  # another node knows of its delete
    assert not target.keyspace.parts.only_grew(ALL)
    pages_of(source.keyspace, target)
    assert target.keyspace.item("key0").versions == {}


def test_a_past_that_is_our_own_stays_until_the_end_of_a_full_exchange() -> None:
    """If the end never comes, no exchange brings again what only this item has seen."""
    target = Held("b")
    mine = Item({("x", 2): Version(b"new")}, Past({"x": 2}))
    target.keyspace.take("key0", mine, (("x", 2),), NOW)
    page = page_of_rows({"key0": mine}, "", row_of("key0") + "x", DotClock({"x": 2}))
    absorb(target.keyspace, page, NOW)
    target.sync()
    assert target.restarted().keyspace.filled("key0").past.has(("x", 1))


def test_when_the_oldest_view_rises_between_two_pages_every_item_is_sent_filled() -> None:
    """An oldest view has stripped rows, and the snapshot does not know it."""
    source = Held("a")
    write(source, "key0")
    forget_log(source)
    first = served_rows(source.keyspace, pull_of(DotClock()))
    assert [row[4:] for row in first.rows] == ["key0"]
    source.keyspace.parts.raise_oldest_view(SECOND, set())
    source.keyspace.parts.count_below(SECOND)
    later = served_rows(source.keyspace, pull_of(DotClock(), first.snapshot, ""))
    assert (later.rows, list(later.items)) == ({}, ["key0"])
    assert later.items["key0"].past.oldest_view == SECOND
