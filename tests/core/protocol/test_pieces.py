"""An item in pieces arrives as one message would have brought it, though some are lost or doubled.

Until then nothing of it counts.
"""

import pytest
from hypothesis import given, strategies as st

from node.core.model.conditions import Mode
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version, sync
from node.core.model.options import Options
from node.core.model.slots import ALL, to_bytes
from node.core.protocol.messages import ItemPage, Pull, RowPage
from node.core.protocol.operations import Put
from node.core.protocol.pieces import Pieces, fits, overfull, piece_of, whole_of
from node.core.replication.sync_pages import absorb, made_whole, serve, take_in
from tests.core.given import Held, items

NOW = 1000.0
KEY = "pear"
BYTES = st.integers(1, 12)
FATES = st.lists(st.sampled_from(["arrives", "is lost", "comes twice", "comes late"]), max_size=12)


def of(count: int, size: int = 10) -> Item:
    versions = {("x", n): Version(b"%d" % n * size) for n in range(1, count + 1)}
    return Item(versions, Past({"x": count}))


# ---- laws


@given(items(), items(), BYTES, FATES)
def test_pieces_in_any_order_bring_what_the_whole_brings(
    local: Item, item: Item, bytes_max: int, fates: list[str]
) -> None:
    pieces = Pieces()
    late: list[tuple[Item, tuple[Dot, ...]]] = []
    whole: Item | None = None
    for fate in (*fates, *["arrives"] * 20):
        piece = piece_of(item, pieces.have("a"), bytes_max)
        if fate == "is lost":
            continue
        if fate == "comes late":
            late.append(piece)
            continue
        come = [piece] * (1 + (fate == "comes twice")) + late
        late = []
        for got, rest in come:
            whole = pieces.add("a", got, rest, local) or whole
        if whole is not None:
            break
    assert whole is not None
    assert sync(local, whole) == sync(local, item)


@given(items(), items(), items(), BYTES)
def test_an_item_that_changes_meanwhile_is_had_as_it_is_last(
    local: Item, item: Item, more: Item, bytes_max: int
) -> None:
    pieces, state = Pieces(), item
    whole: Item | None = None
    for _ in range(20):
        whole = pieces.add("a", *piece_of(state, pieces.have("a"), bytes_max), local)
        if whole is not None:
            break
        state = sync(item, more)
    assert whole is not None
    assert sync(local, whole) == sync(local, state)


@given(items(), BYTES)
def test_a_piece_has_something_new_and_no_more_than_fits(item: Item, bytes_max: int) -> None:
    seen: set[Dot] = set()
    while True:
        piece, rest = piece_of(item, seen, bytes_max)
        assert piece.past == item.past
        assert piece.versions.keys() | set(rest) == item.versions.keys()
        assert fits(piece, bytes_max)
        if not rest:
            return
        new = piece.versions.keys() - seen
        if not new:
            assert seen >= item.versions.keys()
            return
        seen |= new


@given(items(), items(), BYTES)
def test_two_senders_share_what_has_come(one: Item, two: Item, bytes_max: int) -> None:
    pieces, here = Pieces(), Item()
    wholes: dict[str, Item] = {}
    for _ in range(20):
        for source, item in (("a", one), ("b", two)):
            if source not in wholes:
                piece = piece_of(item, pieces.have(source), bytes_max)
                whole = pieces.add(source, *piece, here)
                wholes.update({source: whole} if whole else {})
    assert wholes == {"a": one, "b": two}
    assert not pieces._versions


def test_what_no_sender_names_any_more_is_not_kept() -> None:
    pieces = Pieces()
    assert pieces.add("a", *piece_of(of(3), (), 10), Item()) is None
    other = Item({("y", n): Version(b"y" * 10) for n in (1, 2)}, Past({"x": 3, "y": 2}))
    assert pieces.add("a", *piece_of(other, pieces.have("a"), 10), Item()) is None
    assert pieces._versions.keys() == {("y", 1)}


def test_what_is_here_or_was_replaced_here_is_not_asked_for() -> None:
    item, here = of(4), Item({("x", 2): Version(b"2" * 10)}, Past({"x": 2}))
    pieces = Pieces()
    assert pieces.add("a", *piece_of(item, (), 10), here) is None
    assert pieces.have("a") == (("x", 1), ("x", 2))
    assert whole_of(Item({}, item.past), tuple(item.versions), {}, here) is None


def test_a_piece_that_comes_twice_brings_nothing_new() -> None:
    pieces, piece = Pieces(), piece_of(of(3), (), 10)
    grown = []
    for _ in range(2):
        pieces.add("a", *piece, Item())
        grown.append(pieces.has_grown)
    assert grown == [True, False]


def test_a_version_larger_than_a_message_travels_alone() -> None:
    assert piece_of(of(1, 1000), (), 10) == (of(1, 1000), ())
    piece, rest = piece_of(of(2, 1000), (), 10)
    assert (list(piece.versions), rest) == ([("x", 1)], (("x", 2),))


# ---- rooms


def large_at(actor: str, count: int = 3) -> Held:
    """Return a keyspace with a key of this many siblings, each larger than a test's message."""
    held = Held(actor)
    for n in range(count):
        held.keyspace.write(Put(KEY, b"%d" % n * 20, Mode.SIBLINGS), NOW)
    held.sync()
    return held


def exchanged(source: Held, target: Held, bytes_max: int = 25) -> list[ItemPage | RowPage]:
    """Return all pages of an exchange, each asked for as `Repair` does."""
    pieces, pages = Pieces(), list[ItemPage | RowPage]()
    after: str | None = None
    while len(pages) < 50:
        clock = DotClock() if after is not None else target.keyspace.clock.copy()
        snapshot = pages[-1].snapshot if pages else None
        pull = Pull(1, "x", to_bytes(ALL), clock, snapshot, after, have=pieces.have("s"))
        page = serve(source.keyspace, pull, Options(message_bytes_max=bytes_max))
        assert page is not None
        assert isinstance(page, ItemPage | RowPage)
        for item in page.items.values():
            assert fits(item, bytes_max)
        before = target.keyspace.filled(KEY)
        pages.append(page)
        is_whole = take_in(target.keyspace, pieces, "s", page, NOW)
        target.sync()
        if not is_whole:
            assert target.keyspace.filled(KEY) == before
            continue
        after = page.upto if isinstance(page, RowPage) else None
        if page.last:
            return pages
    raise AssertionError("an exchange without an end")


@pytest.mark.parametrize("is_full", [False, True])
def test_an_exchange_brings_an_item_piece_by_piece(is_full: bool) -> None:
    source, target = large_at("a"), Held("b")
    for n in range(4):
        source.keyspace.write(Put(f"key{n}", b"small"), NOW)
    target.keyspace.write(Put(KEY, b"ours", Mode.SIBLINGS), NOW)
    for held in (source, target):
        held.sync()
    if is_full:
        source.keyspace.save_parts()
        source.keyspace.log.drop_below(dict(source.keyspace.clock.base))
        source.sync()
    pages = exchanged(source, target)
    assert [isinstance(page, RowPage) for page in pages] == [is_full] * len(pages)
    assert sum(bool(page.rest) for page in pages) == 3
    assert len(target.keyspace.filled(KEY).versions) == 4
    assert target.keyspace.filled("key3").versions == source.keyspace.filled("key3").versions
    assert target.keyspace.clock.has(("a", 7))


def test_a_piece_is_never_merged() -> None:
    source, target = large_at("a"), Held("b")
    pull = Pull(1, "x", to_bytes(ALL), DotClock())
    page = serve(source.keyspace, pull, Options(message_bytes_max=25))
    assert page is not None
    with pytest.raises(AssertionError, match="taken for the whole"):
        absorb(target.keyspace, page, NOW)
    assert made_whole(Pieces(), "s", page, target.keyspace.filled) is None


def test_an_item_that_fits_is_not_divided() -> None:
    pages = exchanged(large_at("a"), Held("b"), bytes_max=60)
    assert [page.rest for page in pages] == [()]


# ---- doors


LIMITS = (3, 100)


@pytest.mark.parametrize(
    ("held", "left", "size", "words"),
    [
        (2, 2, 10, ""),
        (3, 3, 10, "4 concurrent values; the limit is 3"),
        (3, 2, 10, ""),
        (9, 8, 10, ""),  # no more of them than before
        (9, 9, 10, "10 concurrent values; the limit is 3"),
        (2, 2, 81, "101 bytes; the limit is 100"),
        (0, 0, 1000, ""),  # one value may be as large as a value may be
        (1, 0, 1000, ""),
    ],
)
def test_a_client_may_not_fill_a_key(held: int, left: int, size: int, words: str) -> None:
    before = of(held)
    kept = dict(list(before.versions.items())[:left])
    refusal = overfull(before, kept, b"v" * size, LIMITS)
    assert (refusal.reason if refusal else "").endswith(words)
    assert bool(refusal) is bool(words)


def test_bounds_of_the_product() -> None:
    options = Options()
    assert (options.siblings_max, options.siblings_bytes_max) == (100, 32 * 1024 * 1024)
    assert options.message_bytes_max == 1024 * 1024
