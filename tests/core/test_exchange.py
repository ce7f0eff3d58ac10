"""After an exchange the puller holds what both held, page by page, whatever a page may hold.

A dotted exchange accounts for just its dots; a full one for every row between its bounds, absent
rows included, and its clock joins with the last page, never earlier.
"""

import pytest
from hypothesis import given, settings, strategies as st

from node.core import exchange
from node.core.clock import Clock
from node.core.exchange import absorb, serve
from node.core.keyspace import Keyspace
from node.core.messages import Page, Pull, Put
from node.core.parts import ALL, to_bytes
from node.core.siblings import Item, Past, Version
from node.core.walk import row_of
from tests.core.given import Held, page_of_dots, page_of_rows, small_pages

NOW = 1000.0
SLOTS = to_bytes(ALL)
KEYS = [f"key{n}" for n in range(8)]
GONE = min(KEYS, key=row_of)  # its row is walked first

histories = st.lists(st.tuples(st.booleans(), st.sampled_from(KEYS), st.booleans()), max_size=20)


def write(held: Held, key: str, value: bytes | None = b"v") -> Item:
    written = held.keyspace.write(Put(key, value), NOW)
    held.sync()
    return written.item


def pull_of(clock: Clock, snapshot: Clock | None = None, after: str | None = None) -> Pull:
    return Pull(1, "x", SLOTS, clock, snapshot, after)


def served(source: Keyspace, pull: Pull) -> Page:
    page = serve(source, pull)
    assert page is not None
    return page


def pages_of(source: Keyspace, target: Held) -> list[Page]:
    """One whole exchange."""
    pages: list[Page] = []
    pull = pull_of(target.keyspace.clock.copy())
    while not pages or not pages[-1].last:
        page = served(source, pull)
        absorb(target.keyspace, page, NOW)
        target.sync()
        pages.append(page)
        after = page.upto if page.full else None
        pull = pull_of(target.keyspace.clock.copy(), page.snapshot, after)
        assert len(pages) < 100
    return pages


def rows_in(page: Page) -> int:
    return len(page.items) + len(page.rows)


def forget_log(held: Held) -> None:
    """As if everybody had everything once, and somebody lost a disk since."""
    held.keyspace.save_parts()
    held.keyspace.log.drop_below(dict(held.keyspace.clock.base))
    held.sync()


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
    with pytest.MonkeyPatch.context() as patch:
        small_pages(patch, items_a_page)
        pages_of(a.keyspace, b)
        pages_of(b.keyspace, a)
    assert a.keyspace.clock == b.keyspace.clock
    assert [a.keyspace.filled(key) for key in KEYS] == [b.keyspace.filled(key) for key in KEYS]
    for key in KEYS:
        writers = {at_a for at_a, written, _ in history if written == key}
        assert len(a.keyspace.item(key).versions) == len(writers)


def test_a_page_of_dots_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Held("a")
    for n in range(6):
        write(source, f"key{n % 4}", b"x" * 10)
    small_pages(monkeypatch, 3)
    assert [len(page.items) for page in pages_of(source.keyspace, Held("b"))] == [3, 1]
    monkeypatch.setattr(exchange, "PAGE_BYTES_MAX", 15)
    assert [len(page.items) for page in pages_of(source.keyspace, Held("b"))] == [2, 2]
    monkeypatch.setattr(exchange, "PAGE_DOTS_MAX", 2)
    pages = pages_of(source.keyspace, Held("b"))
    assert [len(page.dots) for page in pages] == [2, 2, 0]  # the versions brought dots 5 and 6
    assert [page.last for page in pages] == [False, False, True]


def test_a_page_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Held("a")
    for n in range(5):
        write(source, f"key{n}", b"x" * 200)
    forget_log(source)
    small_pages(monkeypatch, 3)
    pages = pages_of(source.keyspace, Held("b"))
    assert [rows_in(page) for page in pages] == [3, 2]
    assert all(page.full for page in pages)
    assert [page.upto is None for page in pages] == [False, True]
    assert pages[1].after == pages[0].upto
    monkeypatch.setattr(exchange, "PAGE_BYTES_MAX", 300)
    assert [rows_in(page) for page in pages_of(source.keyspace, Held("b"))] == [2, 2, 1]


def test_a_page_holds_more_rows_as_they_lie_than_items_to_be_merged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Held("a")
    for n in range(6):
        write(source, f"key{n}")
    forget_log(source)
    monkeypatch.setattr(exchange, "PAGE_ROWS", 4)
    monkeypatch.setattr(exchange, "PAGE_ITEMS", 2)
    first, second = pages_of(source.keyspace, Held("b"))
    assert [(len(page.rows), len(page.items)) for page in (first, second)] == [(4, 0), (2, 0)]
    source.keyspace.open_keys.update(dict.fromkeys(f"key{n}" for n in range(6)))
    pages = pages_of(source.keyspace, Held("b"))
    assert [(len(page.rows), len(page.items)) for page in pages] == [(0, 2), (0, 2), (0, 2)]


def test_a_full_exchange_joins_with_the_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = Held("a"), Held("b")
    for n in range(4):
        write(source, f"key{n % 3}")
    forget_log(source)
    small_pages(monkeypatch, 2)
    first = served(source.keyspace, pull_of(Clock()))
    absorb(target.keyspace, first, NOW)
    assert not first.last
    assert target.keyspace.clock != source.keyspace.clock
    pull = pull_of(target.keyspace.clock, first.snapshot, first.upto)
    absorb(target.keyspace, served(source.keyspace, pull), NOW)
    assert target.keyspace.clock == source.keyspace.clock


def test_items_are_read_after_the_snapshot_that_fills_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write between two pages is beside the snapshot: known by its version, not by the clock."""
    small_pages(monkeypatch, 1)
    source, target = Held("a"), Held("b")
    write(source, "key0")
    write(source, "key1")
    first = served(source.keyspace, pull_of(Clock()))
    absorb(target.keyspace, first, NOW)
    write(source, "key0", b"later")
    pull = pull_of(target.keyspace.clock.copy(), first.snapshot)
    absorb(target.keyspace, served(source.keyspace, pull), NOW)
    assert not target.keyspace.clock.has(("a", 3))
    pages_of(source.keyspace, target)
    assert target.keyspace.filled("key0") == source.keyspace.filled("key0")


def test_what_was_written_before_any_page_since_the_first_is_sent_with_its_past(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row that lies as it lay is sent so; what has been found for a page is found for the next,
    and what has been written since then, too."""
    small_pages(monkeypatch, 2)
    source = Held("a")
    keys = sorted(KEYS, key=row_of)
    for key in keys:
        write(source, key)
    forget_log(source)
    page = served(source.keyspace, pull_of(Clock()))
    seen = [(set(page.rows), set(page.items))]
    for written in ((keys[2], keys[7]), (keys[5],), ()):
        for key in written:
            write(source, key, b"later")
        page = served(source.keyspace, pull_of(Clock(), page.snapshot, page.upto))
        seen.append((set(page.rows), set(page.items)))
    filled = {keys[2], keys[5], keys[7]}
    assert [rows | {row_of(key) for key in items} for rows, items in seen] == [
        {row_of(key) for key in keys[n : n + 2]} for n in range(0, 8, 2)
    ]
    assert set().union(*(items for _, items in seen)) == filled
    assert set().union(*(rows for rows, _ in seen)) == {*map(row_of, keys)} - {*map(row_of, filled)}


def deleted_and_forgotten(target: Held) -> tuple[Held, Item]:
    """A source that once held GONE and does not any more; and the old item."""
    source = Held("a")
    old = write(source, GONE)
    for key in KEYS:
        if key != GONE:
            write(source, key)
    write(source, GONE, None)
    forget_log(source)
    source.keyspace.low = dict(source.keyspace.clock.base)
    source.keyspace.settle(10)
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
    assert page.full
    assert not target.keyspace.item(GONE).versions
    target.keyspace.settle(10)
    assert target.keyspace.item(GONE) == Item()
    assert target.keyspace.item("key9").versions == mine.versions


def test_a_late_copy_after_the_exchange_does_not_come_back() -> None:
    target = Held("b")
    source, old = deleted_and_forgotten(target)
    pages_of(source.keyspace, target)
    target.keyspace.take(GONE, old, (("a", 1),), NOW)
    assert target.keyspace.item(GONE) == Item()


def test_a_late_copy_between_two_pages_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock has not joined yet, but the rows walked are as whole as the snapshot."""
    small_pages(monkeypatch, 1)
    target = Held("b")
    source, old = deleted_and_forgotten(target)
    pull = pull_of(Clock())
    for _ in KEYS:  # one row a page, and the last one
        page = served(source.keyspace, pull)
        absorb(target.keyspace, page, NOW)
        assert (page.upto is None) == page.last
        target.keyspace.take(GONE, old, (("a", 1),), NOW)
        target.sync()
        pull = pull_of(Clock(), page.snapshot, page.upto)
    assert page.last
    assert not target.keyspace.item(GONE).versions


def test_a_row_that_has_gone_here_since_does_not_come_back_with_a_late_page() -> None:
    """Absence alone does not say that a row was never here: its delete may be forgotten by all."""
    source, target = Held("a"), Held("b")
    old = write(source, GONE)
    forget_log(source)
    late = served(source.keyspace, pull_of(Clock()))
    target.keyspace.take(GONE, old, (), NOW)
    write(target, GONE, None)
    target.keyspace.low = {"a": 1, "b": 1}
    target.keyspace.settle(10)
    target.sync()
    assert target.keyspace.item(GONE) == Item()
    absorb(target.keyspace, late, NOW)
    target.sync()
    assert not target.keyspace.item(GONE).versions


def test_absent_are_local_rows_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch, 2)
    rows = sorted(map(row_of, KEYS))
    order = [row[4:] for row in rows]

    def absent(after: str, upto: str | None) -> list[str]:
        """The keys that go when the sender, who has seen them all, holds just the second."""
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
        old, {("a", 1): "key0"}, snapshot=Clock({"a": 1}), base=Past({"a": 1}), claims=()
    )
    absorb(target.keyspace, page, NOW)
    assert target.keyspace.item("key0").versions.keys() == {("a", 2)}
    assert target.keyspace.clock == Clock({"a": 2})


def test_items_are_filled_with_the_clock_that_stripped_them() -> None:
    """Between two pages the sender's clock moves on and its items are stripped by the new one: the
    first page's snapshot would not tell what they replaced."""
    source, target = Held("a"), Held("b")
    source.keyspace.take("key0", Item({("x", 2): Version(b"new")}, Past({"x": 2})), (), NOW)
    first = served(source.keyspace, pull_of(Clock()))
    source.keyspace.join(ALL, Clock({"x": 2}), ())
    source.keyspace.settle(10)
    assert not source.keyspace.item("key0").past
    target.keyspace.take("key0", Item({("x", 1): Version(b"old")}, Past({"x": 1})), (), NOW)
    later = served(source.keyspace, pull_of(Clock(), first.snapshot))
    absorb(target.keyspace, later, NOW)
    assert target.keyspace.item("key0").versions.keys() == {("x", 2)}


def test_a_store_that_is_half_told_passes_on_versions_that_cover_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is shown a version has seen it: else a write after it would stand beside it."""
    a, b, c = Held("a"), Held("b"), Held("c")
    for key in KEYS:
        write(a, key)
    write(b, "other")
    for held in (a, b):
        forget_log(held)
    small_pages(monkeypatch, 3)
    absorb(b.keyspace, served(a.keyspace, pull_of(b.keyspace.clock.copy())), NOW)
    b.sync()
    pages_of(b.keyspace, c)
    told = [item for key in KEYS if (item := c.keyspace.filled(key)).versions]
    assert len(told) == 3
    assert all(item.past.has(dot) for item in told for dot in item.versions)
