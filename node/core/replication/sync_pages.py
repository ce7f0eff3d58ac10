"""The two halves of repair by missing dots: making a page for an owner, and merging one.

The owner that pulls keeps the state of the exchange; the holder that serves it keeps a cache alone
(node/core/storage/written_since.py).  If the holder's log has every missing dot, a page brings the
items of the next missing dots and accounts for just these dots.  It brings the dots alone where
both nodes hold the same versions already.  If the log lacks one of the dots, the exchange is full:
the pages walk all rows of the slots in order and account for every row between their bounds.  A row
that the holder does not have counts, too: so a delete travels.  With the last page of either kind
the owner becomes complete for the holder's views.

Four clocks take part.  The puller's says what it lacks.  The `snapshot` is the holder's clock at
the first page: it says what the exchange is about.  The `base` is the clock that the page's items
were stripped by, so the puller fills them with it.  The puller's clock by then fills its own items.

Example: n1 writes x (dot a1) and y (a2), and n3 pulls both from n2, one item a page.

    n3 asks      clock {}       n2 has a1 and a2: the snapshot is {a: 2}
    page 1       base {a: 2}    brings x with a1; n3's clock becomes {a: 1}
    meanwhile                   a3 replaces y at n2 and n3, then a4 replaces it at n2 alone
    n3 asks      clock {a: 1} and a3; it lacks a2 of the snapshot, which wrote y
    page 2       base {a: 4}    brings y with a4.  The base has a3, so n3 drops a3.  By the snapshot
                                a3 would be unseen, and would stay beside a4.
    n3 has a2, from the page's dots, and a4: its clock becomes {a: 4}

In a full exchange n3's clock lacks a1 after page 1.  The snapshot joins it with the last page only:
a node whose clock had a2 before y has come would take y to be deleted.
(protocol D5, D10 R3; DottedDB, SRDS 2017.)
"""

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice

from msgspec.structs import replace

from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, covering
from node.core.model.keys import key_of, row_of, slot_of_key
from node.core.model.options import Options
from node.core.model.slots import Slots, from_bytes, to_bytes
from node.core.model.view import ViewId
from node.core.protocol.effects import DAMAGED, Damaged
from node.core.protocol.messages import ItemPage, Page, Pull, RowPage, SamePage
from node.core.protocol.pieces import Pieces, bytes_of, fits, piece_of
from node.core.storage.keyspace import ITEMS, Keyspace
from node.core.storage.row_scan import END, Row
from node.core.storage.slot_groups import Part
from node.core.storage.written_since import NOT_HERE, key_within

ROWS_AT_ONCE = 16  # read from the disk, for each may be large
FIRST_ROW = ""
PIECE_ALONE = "a piece of an item was taken for the whole"


def serve(keyspace: Keyspace, pull: Pull, options: Options) -> Page | None:
    """The next page of what the puller lacks.  It has no more bytes of items than a message may
    have, or a piece of one larger item.  None when this node does not hold these slots, when they
    have come apart since the first page, or when an earlier incarnation of this node made that
    page."""
    slots = from_bytes(pull.slots)
    part = next((part for part in keyspace.parts if part.slots & slots), None)
    if part is None:
        return None
    if pull.snapshot is not None and (slots & ~part.slots or part.clock.lacks(pull.snapshot)):
        return None
    snapshot = pull.snapshot or part.clock.copy()
    if pull.after is not None or snapshot.oldest_view > pull.clock.oldest_view:
        return _page_of_rows(keyspace, pull, part, snapshot, options)
    missing = islice(snapshot.missing_from(pull.clock), options.page_dots_max)
    keys = {dot: key_within(keyspace.log, dot, slots & part.slots) for dot in missing}
    if None in keys.values():
        return _page_of_rows(keyspace, pull, part, snapshot, options)
    named = {dot: key for dot, key in keys.items() if key is not None}
    is_same = pull.content and pull.content == keyspace.content_hashes.of(slots & part.slots)
    if is_same and not _has_names(keyspace, named.values()):
        return SamePage(*_about(pull, part, snapshot), len(named) < options.page_dots_max, named)
    return _page_of_dots(keyspace, pull, part, snapshot, named, options)


def _has_names(keyspace: Keyspace, keys: Iterable[str]) -> bool:
    """Whether a key's row has names of writes: the puller may hold the same versions and lack a
    name.  If the write came again, it would name the write anew over what has replaced it."""
    return any(keyspace.item(key).past.namings for key in set(keys) - {NOT_HERE})


def _page_of_dots(
    keyspace: Keyspace,
    pull: Pull,
    part: Part,
    snapshot: DotClock,
    keys: dict[Dot, str],
    options: Options,
) -> ItemPage:
    bytes_max = options.message_bytes_max
    dots: dict[Dot, str] = {}
    items: dict[str, Item] = {}
    size, rest = 0, tuple[Dot, ...]()
    for dot, key in keys.items():
        if key == NOT_HERE:
            dots[dot] = NOT_HERE
            continue
        if key not in items:
            if len(items) == options.page_items or size > options.page_bytes_max:
                break
            item = keyspace.transfers.fill(key, keyspace.item(key))
            size += bytes_of(item.versions.values())
            if items and size > bytes_max:
                break
            items[key], rest = piece_of(item, pull.have, bytes_max)
        dots[dot] = key
    last, base = len(dots) == len(keys) < options.page_dots_max, _past_of(part.clock)
    return ItemPage(*_about(pull, part, snapshot), last, dots, items, base, rest)


def _page_of_rows(
    keyspace: Keyspace, pull: Pull, part: Part, snapshot: DotClock, options: Options
) -> RowPage:
    bytes_max = options.message_bytes_max
    rows: dict[str, bytes] = {}
    items: dict[str, Item] = {}
    changed = changed_since(keyspace, pull, part, snapshot)
    size, upto, last, rest = 0, None, True, tuple[Dot, ...]()
    slots = from_bytes(pull.slots) & part.slots
    for row, blob in _rows_after(keyspace, slots, pull.after or None):
        length = len(items) + len(rows)
        is_full = size > options.page_bytes_max or len(items) == options.page_items
        size += len(blob)
        if is_full or (length and size > bytes_max):
            last = False
            break
        if blob == DAMAGED:
            raise Damaged(row)
        upto, key = row, key_of(row)
        item = _to_merge(keyspace, part, key, blob, changed)
        if item is None and size > bytes_max:
            item = _too_large(blob, bytes_max)
        if item is None:
            rows[row] = blob
        else:
            items[key], rest = piece_of(item, pull.have, bytes_max)
        if length + 1 == options.page_rows:
            last = False
            break
    after, bound = pull.after or FIRST_ROW, None if last else upto
    base = _past_of(part.clock if changed is None else snapshot)
    return RowPage(*_about(pull, part, snapshot), after, bound, rows, items, base, rest)


def _to_merge(
    keyspace: Keyspace, part: Part, key: str, blob: bytes, changed: Container[str] | None
) -> Item | None:
    """The item, filled, of a row that was written since the exchange began or has a past of its
    own; None: the row may travel as it lies on disk."""
    if changed is None or key in changed:
        item = keyspace.transfers.fill(key, ITEMS.decode(blob))
        return Item(item.versions, item.past.with_all(_past_of(part.clock)))
    if key in keyspace.open_keys or keyspace.transfers.past_of(row_of(key)):
        return keyspace.transfers.fill(key, ITEMS.decode(blob))
    return None


def _too_large(blob: bytes, bytes_max: int) -> Item | None:
    """The item of a row that is larger than a message; None where it fits."""
    item = ITEMS.decode(blob)
    return None if fits(item, bytes_max) else item


def _rows_after(
    keyspace: Keyspace, slots: Slots, after: str | None, before: str = END
) -> Iterator[Row]:
    """This node's rows of these slots in their order, read some at a time."""
    while found := keyspace.rows_of(slots, after, ROWS_AT_ONCE, before):
        yield from found
        after = found[-1][0]
        if len(found) < ROWS_AT_ONCE:
            break


def changed_since(
    keyspace: Keyspace, pull: Pull, part: Part, snapshot: DotClock
) -> set[str] | None:
    """The keys written since the snapshot.  None when the log has dropped one of them, or when rows
    that no dot has written since may have been stripped by more than the snapshot's base.

    Example: the snapshot is {a: 1} and a3, and x with b1 has a past of its own, a3.  Then a2 comes,
    the clock is {a: 3}, and x is stripped to b1 alone.  A node that has a3 would keep it if x came
    as it lies, for the snapshot's base is {a: 1}."""
    if part.clock.oldest_view > snapshot.oldest_view or _has_closed_gaps(part.clock, snapshot):
        return None
    asker, slots = (pull.node_id, pull.exchange), from_bytes(pull.slots)
    return keyspace.changes.since(asker, slots & part.slots, part.clock, snapshot)


def _has_closed_gaps(clock: DotClock, snapshot: DotClock) -> bool:
    """Whether the clock's base goes over dots that the snapshot has beyond a gap."""
    return any(clock.base.get(a, 0) > snapshot.base.get(a, 0) for a in snapshot.loose)


def _past_of(clock: DotClock) -> Past:
    return Past(dict(clock.base), set(), clock.oldest_view)


def _about(pull: Pull, part: Part, snapshot: DotClock) -> tuple[int, bytes, DotClock, list[ViewId]]:
    """What each page says first: the fields of `Served`."""
    slots = to_bytes(from_bytes(pull.slots) & part.slots)
    return pull.exchange, slots, snapshot, sorted(part.complete_for)


def made_whole(pieces: Pieces, source: str, page: Page, here: Callable[[str], Item]) -> Page | None:
    """The page, with its only item put together if that comes in pieces; None while some of them
    are to come.  `here` tells what this node holds of a key."""
    if isinstance(page, SamePage) or not page.rest:
        return page
    ((key, piece),) = page.items.items()
    item = pieces.add(source, piece, page.rest, here(key))
    return None if item is None else replace(page, items={key: item}, rest=())


def take_in(keyspace: Keyspace, pieces: Pieces, source: str, page: Page, now: float) -> bool:
    """Merge one page; False: it is a piece of an item, and is kept until the others have come."""
    whole = made_whole(pieces, source, page, keyspace.filled)
    if whole is not None:
        absorb(keyspace, whole, now)
    return whole is not None


def absorb(keyspace: Keyspace, page: Page, now: float) -> None:
    """Merge one page whose items are whole.  With the last page this node takes over the views that
    the holder is complete for, and the snapshot of a full exchange joins the clock."""
    slots, joined = from_bytes(page.slots), DotClock()
    match page:
        case ItemPage():
            _absorb_items(keyspace, page, now)
        case SamePage():
            _absorb_obsolete(keyspace, page)
        case RowPage():
            _absorb_rows(keyspace, page, now)
            if page.upto is None:  # the dots that come with the clock come without their keys
                keyspace.parts.show_all()
                joined = page.snapshot
            else:
                keyspace.transfers.add(slots, page.snapshot, page.upto)
    if page.last:
        complete_for = [
            view for view in page.complete_for if view >= keyspace.watermarks.oldest_view
        ]
        keyspace.join(slots, joined, complete_for)


def _absorb_items(keyspace: Keyspace, page: ItemPage, now: float) -> None:
    assert not page.rest, PIECE_ALONE
    dots_of = _dots_by_key(keyspace, page)
    assert page.items.keys() >= dots_of.keys(), "a dot without the item of its key"
    for key, item in page.items.items():
        filled = covering(item, item.past.with_all(page.base))
        keyspace.take(key, filled, dots_of.get(key, ()), now)


def _dots_by_key(keyspace: Keyspace, page: ItemPage | SamePage) -> dict[str, list[Dot]]:
    """The dots of a page by their keys.  A dot of no key in the page's slots needs no item, so this
    node notes it at once."""
    dots_of: dict[str, list[Dot]] = {}
    for dot, key in page.dots.items():
        dots_of.setdefault(key, []).append(dot)
    vacuous = dots_of.pop(NOT_HERE, [])
    if vacuous:
        keyspace.parts.add(from_bytes(page.slots), vacuous)
        keyspace.log.note_outside(vacuous, from_bytes(page.slots))
        keyspace.save_parts()
    return dots_of


def _absorb_obsolete(keyspace: Keyspace, page: SamePage) -> None:
    """Note dots that the holder has and this node lacks, though both hold the same versions: other
    versions have replaced what these dots wrote, there and here."""
    for key, dots in _dots_by_key(keyspace, page).items():
        keyspace.parts.has_gone(slot_of_key(key))
        for dot in dots:
            keyspace.note(dot, key)


def _absorb_rows(keyspace: Keyspace, page: RowPage, now: float) -> None:
    """Merge every row within the page's bounds: those of the holder, and as absent ones those that
    only this node has."""
    assert not page.rest, PIECE_ALONE
    snapshot = page.snapshot
    mine = _rows_between(keyspace, page)
    slots, after = from_bytes(page.slots), page.after
    is_new = keyspace.parts.only_grew(slots) and not keyspace.transfers.goes_beyond(slots, after)
    for row, blob in page.rows.items():
        if is_new and row not in mine:
            keyspace.adopt_row(row, blob)
        elif mine.get(row) != blob or key_of(row) in keyspace.open_keys:
            item = ITEMS.decode(blob)
            filled = covering(item, item.past.with_all(page.base))
            keyspace.take(key_of(row), filled, (), now, snapshot)
    for key, item in page.items.items():
        filled = covering(item, item.past.with_all(page.base))
        keyspace.take(key, filled, (), now, snapshot)
    for row in mine:
        if row not in page.rows and key_of(row) not in page.items:
            keyspace.take(key_of(row), Item({}, page.base), (), now, snapshot)


def _rows_between(keyspace: Keyspace, page: RowPage) -> dict[str, bytes]:
    """This node's rows within the page's bounds; of a row that the page does not have the name
    alone."""
    before = END if page.upto is None else f"{page.upto}\0"
    rows = _rows_after(keyspace, from_bytes(page.slots), page.after or None, before)
    return {row: blob if row in page.rows else b"" for row, blob in rows}
