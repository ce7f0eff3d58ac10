"""After an exchange the puller holds what both held, whatever its pages hold.

A dotted exchange accounts for just its dots.  A full one accounts for every row between its bounds,
absent rows too, and its clock joins with the last page, never earlier.
"""

from dataclasses import replace

from hypothesis import given, settings, strategies as st

from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import row_of
from node.core.model.options import Options
from node.core.model.slots import ALL
from node.core.protocol.messages import RowPage
from node.core.replication.sync_pages import absorb
from node.core.storage.pruning import compact
from tests.core.given import Held, page_of_dots, page_of_rows, small_pages
from tests.core.pages import (
    GONE,
    KEYS,
    NOW,
    forget_log,
    items_in,
    pages_of,
    pull_of,
    rows_in,
    served,
    served_rows,
    write,
)

histories = st.lists(st.tuples(st.booleans(), st.sampled_from(KEYS), st.booleans()), max_size=20)


@settings(max_examples=40)
@given(histories, st.booleans(), st.integers(1, 4))
def test_after_it_both_hold_the_same(
    history: list[tuple[bool, str, bool]], pruned: bool, items_a_page: int
) -> None:
    a, b = Held("a"), Held("b")
    for at_a, key, gone in history:
        write(a if at_a else b, key, None if gone else b"v")
    if pruned:
        forget_log(a)
    options = small_pages(items_a_page)
    pages_of(a.keyspace, b, options)
    pages_of(b.keyspace, a, options)
    assert a.keyspace.clock == b.keyspace.clock
    assert [a.keyspace.filled(key) for key in KEYS] == [b.keyspace.filled(key) for key in KEYS]
    for key in KEYS:
        writers = {at_a for at_a, written, _ in history if written == key}
        assert len(a.keyspace.item(key).versions) == len(writers)


def test_a_page_of_dots_is_bounded() -> None:
    source = Held("a")
    for n in range(6):
        write(source, f"key{n % 4}", b"x" * 10)
    options = small_pages(3)
    assert [
        len(items_in(page).items) for page in pages_of(source.keyspace, Held("b"), options)
    ] == [3, 1]
    options = replace(options, page_bytes_max=15)
    assert [
        len(items_in(page).items) for page in pages_of(source.keyspace, Held("b"), options)
    ] == [2, 2]
    options = replace(options, page_dots_max=2)
    pages = [items_in(page) for page in pages_of(source.keyspace, Held("b"), options)]
    assert [len(page.dots) for page in pages] == [2, 2, 0]  # the versions brought dots 5 and 6
    assert [page.last for page in pages] == [False, False, True]


def test_a_page_of_rows_is_bounded() -> None:
    source = Held("a")
    for n in range(5):
        write(source, f"key{n}", b"x" * 200)
    forget_log(source)
    options = small_pages(3)
    pages = [rows_in(page) for page in pages_of(source.keyspace, Held("b"), options)]
    assert [len(page.items) + len(page.rows) for page in pages] == [3, 2]
    assert [page.upto is None for page in pages] == [False, True]
    assert pages[1].after == pages[0].upto
    options = replace(options, page_bytes_max=300)
    pages = [rows_in(page) for page in pages_of(source.keyspace, Held("b"), options)]
    assert [len(page.items) + len(page.rows) for page in pages] == [2, 2, 1]


def test_a_page_holds_more_rows_as_they_lie_than_items_to_be_merged() -> None:
    source = Held("a")
    for n in range(6):
        write(source, f"key{n}")
    forget_log(source)
    options = Options(page_rows=4, page_items=2)
    pages = [rows_in(page) for page in pages_of(source.keyspace, Held("b"), options)]
    assert [(len(page.rows), len(page.items)) for page in pages] == [(4, 0), (2, 0)]
    source.keyspace.open_keys.unsettled.update(dict.fromkeys(f"key{n}" for n in range(6)))
    pages = [rows_in(page) for page in pages_of(source.keyspace, Held("b"), options)]
    assert [(len(page.rows), len(page.items)) for page in pages] == [(0, 2), (0, 2), (0, 2)]


def test_a_full_exchange_joins_with_the_last_page() -> None:
    source, target = Held("a"), Held("b")
    for n in range(4):
        write(source, f"key{n % 3}")
    forget_log(source)
    options = small_pages(2)
    first = served_rows(source.keyspace, pull_of(DotClock()), options)
    absorb(target.keyspace, first, NOW)
    assert not first.last
    assert target.keyspace.clock != source.keyspace.clock
    pull = pull_of(target.keyspace.clock, first.snapshot, first.upto)
    absorb(target.keyspace, served(source.keyspace, pull, options), NOW)
    assert target.keyspace.clock == source.keyspace.clock


def test_items_are_read_after_the_snapshot_that_fills_them() -> None:
    """The page names a write between two pages by its version, since the clock does not."""
    options = small_pages(1)
    source, target = Held("a"), Held("b")
    write(source, "key0")
    write(source, "key1")
    first = served(source.keyspace, pull_of(DotClock()), options)
    absorb(target.keyspace, first, NOW)
    write(source, "key0", b"later")
    pull = pull_of(target.keyspace.clock.copy(), first.snapshot)
    absorb(target.keyspace, served(source.keyspace, pull, options), NOW)
    assert not target.keyspace.clock.has(("a", 3))
    pages_of(source.keyspace, target, options)
    assert target.keyspace.filled("key0") == source.keyspace.filled("key0")


def test_what_was_written_before_any_page_since_the_first_is_sent_with_its_past() -> None:
    """A row that has not changed is sent as it lies; later pages know earlier pages' findings.

    They also know what has been written since then.
    """
    options = small_pages(2)
    source = Held("a")
    keys = sorted(KEYS, key=row_of)
    for key in keys:
        write(source, key)
    forget_log(source)
    page = served_rows(source.keyspace, pull_of(DotClock()), options)
    seen = [(set(page.rows), set(page.items))]
    for written in ((keys[2], keys[7]), (keys[5],), ()):
        for key in written:
            write(source, key, b"later")
        page = served_rows(source.keyspace, pull_of(DotClock(), page.snapshot, page.upto), options)
        seen.append((set(page.rows), set(page.items)))
    filled = {keys[2], keys[5], keys[7]}
    assert [rows | {row_of(key) for key in items} for rows, items in seen] == [
        {row_of(key) for key in keys[n : n + 2]} for n in range(0, 8, 2)
    ]
    assert set().union(*(items for _, items in seen)) == filled
    assert set().union(*(rows for rows, _ in seen)) == {*map(row_of, keys)} - {*map(row_of, filled)}


def deleted_and_forgotten(target: Held) -> tuple[Held, Item]:
    """Return a source that once held GONE and does not any more, and the old item."""
    source = Held("a")
    old = write(source, GONE)
    for key in KEYS:
        if key != GONE:
            write(source, key)
    write(source, GONE, None)
    forget_log(source)
    source.keyspace.watermarks.shard = dict(source.keyspace.clock.base)
    compact(source.keyspace, 10)
    source.sync()
    assert source.keyspace.item(GONE) == Item()
    return source, old


def test_a_delete_travels_as_absence() -> None:
    target = Held("b")
    source, old = deleted_and_forgotten(target)
    target.keyspace.take(GONE, old, (), NOW)
    mine = write(target, "key9", b"mine")
    target.sync()
    [page] = pages_of(source.keyspace, target)
    assert isinstance(page, RowPage)
    assert not target.keyspace.item(GONE).versions
    compact(target.keyspace, 10)
    assert target.keyspace.item(GONE) == Item()
    assert target.keyspace.item("key9").versions == mine.versions


def test_a_late_copy_after_the_exchange_does_not_come_back() -> None:
    target = Held("b")
    source, old = deleted_and_forgotten(target)
    pages_of(source.keyspace, target)
    target.keyspace.take(GONE, old, (("a", 1),), NOW)
    assert target.keyspace.item(GONE) == Item()


def test_a_late_copy_between_two_pages_does_not_come_back() -> None:
    """The clock has not joined yet, but the walked rows are as complete as the snapshot."""
    options = small_pages(1)
    target = Held("b")
    source, old = deleted_and_forgotten(target)
    pull = pull_of(DotClock())
    for _ in KEYS:  # one row a page, and the last one
        page = served_rows(source.keyspace, pull, options)
        absorb(target.keyspace, page, NOW)
        target.keyspace.take(GONE, old, (("a", 1),), NOW)
        target.sync()
        pull = pull_of(DotClock(), page.snapshot, page.upto)
    assert page.last
    assert not target.keyspace.item(GONE).versions


def test_a_row_that_has_gone_here_since_does_not_come_back_with_a_late_page() -> None:
    """A row that is absent may have been here: all members may have forgotten its delete."""
    source, target = Held("a"), Held("b")
    old = write(source, GONE)
    forget_log(source)
    late = served(source.keyspace, pull_of(DotClock()))
    target.keyspace.take(GONE, old, (), NOW)
    write(target, GONE, None)
    target.keyspace.watermarks.shard = {"a": 1, "b": 1}
    compact(target.keyspace, 10)
    target.sync()
    assert target.keyspace.item(GONE) == Item()
    absorb(target.keyspace, late, NOW)
    target.sync()
    assert not target.keyspace.item(GONE).versions


def test_absent_are_local_rows_within_the_bounds() -> None:
    rows = sorted(map(row_of, KEYS))
    order = [row[4:] for row in rows]

    def absent(after: str, upto: str | None) -> list[str]:
        """Return the keys that go if the sender, which has seen all, holds just the second."""
        held = Held("b")
        sent = {key: write(held, key) for key in KEYS}
        items = {order[1]: Item(sent[order[1]].versions)}
        absorb(held.keyspace, page_of_rows(items, after, upto, held.keyspace.clock.copy()), NOW)
        return [key for key in order if not held.keyspace.item(key).versions]

    assert absent("", None) == [key for key in order if key != order[1]]
    assert absent("", rows[2]) == [order[0], order[2]]
    assert absent(rows[4], None) == order[5:]
    assert absent(rows[2], rows[5]) == order[3:6]
    assert absent(rows[7], None) == []


def test_a_replaced_value_stays_replaced_where_both_have_seen_it() -> None:
    target = Held("b")
    item = Item({("a", 2): Version(b"new")}, Past({"a": 2}))
    target.keyspace.take("key0", item, (("a", 2),), NOW)
    old = {"key0": Item({("a", 1): Version(b"old")})}
    page = page_of_dots(
        old, {("a", 1): "key0"}, snapshot=DotClock({"a": 1}), base=Past({"a": 1}), complete_for=()
    )
    absorb(target.keyspace, page, NOW)
    assert target.keyspace.item("key0").versions.keys() == {("a", 2)}
    assert target.keyspace.clock == DotClock({"a": 2})


def test_items_are_filled_with_the_clock_that_stripped_them() -> None:
    """The sender's clock moves on between two pages, and strips its items by the new one.

    The first page's snapshot would not tell what they replaced.
    """
    source, target = Held("a"), Held("b")
    source.keyspace.take("key0", Item({("x", 2): Version(b"new")}, Past({"x": 2})), (), NOW)
    first = served(source.keyspace, pull_of(DotClock()))
    source.keyspace.join(ALL, DotClock({"x": 2}), ())
    compact(source.keyspace, 10)
    assert not source.keyspace.item("key0").past
    target.keyspace.take("key0", Item({("x", 1): Version(b"old")}, Past({"x": 1})), (), NOW)
    later = served(source.keyspace, pull_of(DotClock(), first.snapshot))
    absorb(target.keyspace, later, NOW)
    assert target.keyspace.item("key0").versions.keys() == {("x", 2)}


def test_a_store_that_is_half_told_passes_on_versions_that_cover_themselves() -> None:
    """A reader of a version has seen it: otherwise a write after it would stand beside it."""
    a, b, c = Held("a"), Held("b"), Held("c")
    for key in KEYS:
        write(a, key)
    write(b, "other")
    for held in (a, b):
        forget_log(held)
    options = small_pages(3)
    absorb(b.keyspace, served(a.keyspace, pull_of(b.keyspace.clock.copy()), options), NOW)
    b.sync()
    pages_of(b.keyspace, c, options)
    told = [item for key in KEYS if (item := c.keyspace.filled(key)).versions]
    assert len(told) == 3
    assert all(item.past.has(dot) for item in told for dot in item.versions)
