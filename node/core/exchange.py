"""The two halves of repair by missing dots: making a page for an owner, and merging one.

The owner that pulls keeps the state; the holder that serves has none that it could not do without
(node/core/changes.py).  A page's items are filled with the clock of the moment they were read, for
that is what they were stripped by; the snapshot of the first page only says what the exchange is
about.  If every missing dot is in the log, a page holds the items of the next missing dots and
accounts for just these dots; where both hold the same versions already, it holds dots alone.  If
one is not in the log, the exchange is full: pages walk all rows of the slots in order and account
for every row between their bounds, absent ones included (that is how a delete travels), and the
snapshot joins the clock with the last page, never earlier.  With the last page of either kind the
views for which the holder is whole are handed on.  (protocol D5, D10 R3; DottedDB, SRDS 2017.)
"""

from itertools import islice

from msgspec.structs import replace

from node.core.changes import NOT_HERE, key_within
from node.core.clock import Clock, Dot
from node.core.effects import DAMAGED, Damaged
from node.core.keyspace import ITEMS, Keyspace
from node.core.messages import Page, Pull
from node.core.parts import Part, from_bytes, to_bytes
from node.core.siblings import Item, Past, covering
from node.core.walk import END, key_of, slot_of_key

PAGE_ITEMS = 64  # to be merged
PAGE_ROWS = 256  # most of which are taken as they lie
PAGE_BYTES_MAX = 512 * 1024
PAGE_DOTS_MAX = 4096
FIRST_ROW = ""


def serve(keyspace: Keyspace, pull: Pull) -> Page | None:
    """The next page of what the puller lacks; None when these slots have come apart here since
    the first page, are not held at all, or were in an earlier life of this node."""
    slots = from_bytes(pull.slots)
    part = next((part for part in keyspace.parts if part.slots & slots), None)
    if part is None:
        return None
    if pull.snapshot is not None and (slots & ~part.slots or part.clock.lacks(pull.snapshot)):
        return None
    snapshot = pull.snapshot or part.clock.copy()
    if pull.after is not None or snapshot.floor > pull.clock.floor:
        return _page_of_rows(keyspace, pull, part, snapshot)
    missing = islice(snapshot.missing_from(pull.clock), PAGE_DOTS_MAX)
    keys = {dot: key_within(keyspace.log, dot, slots & part.slots) for dot in missing}
    if None in keys.values():
        return _page_of_rows(keyspace, pull, part, snapshot)
    named = {dot: key for dot, key in keys.items() if key is not None}
    if pull.content and pull.content == keyspace.digests.of(slots & part.slots):
        page = replace(_empty_page(pull, part, snapshot), dots=named, same=True)
        return replace(page, last=len(named) < PAGE_DOTS_MAX)
    return _page_of_dots(keyspace, pull, part, snapshot, named)


def _page_of_dots(
    keyspace: Keyspace, pull: Pull, part: Part, snapshot: Clock, keys: dict[Dot, str]
) -> Page:
    page = _empty_page(pull, part, snapshot)
    size = 0
    for dot, key in keys.items():
        if key == NOT_HERE:
            page.dots[dot] = NOT_HERE
            continue
        if key not in page.items:
            if len(page.items) == PAGE_ITEMS or size > PAGE_BYTES_MAX:
                break
            page.items[key] = keyspace.reached.fill(key, keyspace.item(key))
            size += _bytes_of(page.items[key])
        page.dots[dot] = key
    last = len(page.dots) == len(keys) < PAGE_DOTS_MAX
    return replace(page, base=_past_of(part.clock), last=last)


def _page_of_rows(keyspace: Keyspace, pull: Pull, part: Part, snapshot: Clock) -> Page:
    page = _empty_page(pull, part, snapshot)
    changed = changed_since(keyspace, pull, part, snapshot)
    size, upto = 0, None
    found = keyspace.rows_of(from_bytes(page.slots), pull.after or None, PAGE_ROWS)
    for row, blob in found:
        key = key_of(row)
        if blob == DAMAGED:
            raise Damaged(row)
        if changed is None or key in changed:
            item = keyspace.reached.fill(key, ITEMS.decode(blob))
            past = item.past.with_all(_past_of(part.clock))
            page.items[key] = Item(item.versions, past)
        elif key in keyspace.open_keys or keyspace.reached.past_of(row):
            page.items[key] = keyspace.reached.fill(key, ITEMS.decode(blob))
        else:
            page.rows[row] = blob
        upto, size = row, size + len(blob)
        if size > PAGE_BYTES_MAX or len(page.items) == PAGE_ITEMS:
            break
    last = len(page.items) + len(page.rows) == len(found) < PAGE_ROWS
    after, bound = pull.after or FIRST_ROW, None if last else upto
    return replace(page, base=_past_of(snapshot), full=True, last=last, after=after, upto=bound)


def changed_since(keyspace: Keyspace, pull: Pull, part: Part, snapshot: Clock) -> set[str] | None:
    """The keys written since the snapshot; None when the log does not know them all any more, or
    when rows have been stripped by a floor that the snapshot has not."""
    if part.clock.floor > snapshot.floor:
        return None
    asker, slots = (pull.node_id, pull.exchange), from_bytes(pull.slots)
    return keyspace.changes.since(asker, slots & part.slots, part.clock, snapshot)


def _past_of(clock: Clock) -> Past:
    return Past(dict(clock.base), set(), clock.floor)


def _empty_page(pull: Pull, part: Part, snapshot: Clock) -> Page:
    slots = to_bytes(from_bytes(pull.slots) & part.slots)
    return Page(
        exchange=pull.exchange,
        slots=slots,
        snapshot=snapshot,
        base=Past(),
        items={},
        rows={},
        dots={},
        full=False,
        last=False,
        after=None,
        upto=None,
        claims=sorted(part.whole),
    )


def _bytes_of(item: Item) -> int:
    return sum(len(v.value or b"") for v in item.versions.values())


def absorb(keyspace: Keyspace, page: Page, now: float) -> None:
    """Merge one page; with the last page the holder's claims are ours, and the snapshot of a full
    exchange joins the clock."""
    slots = from_bytes(page.slots)
    if page.full:
        _absorb_rows(keyspace, page, now)
        if page.upto is not None:
            keyspace.reached.add(slots, page.snapshot, page.upto)
    else:
        _absorb_dots(keyspace, page, now)
    if page.last:
        if page.full:  # nobody names the dots that come with the clock: hold nothing back
            keyspace.parts.withheld.clear()
        claims = [view for view in page.claims if view >= keyspace.floor]
        keyspace.join(slots, page.snapshot if page.full else Clock(), claims)


def _absorb_dots(keyspace: Keyspace, page: Page, now: float) -> None:
    dots_of: dict[str, list[Dot]] = {}
    for dot, key in page.dots.items():
        dots_of.setdefault(key, []).append(dot)
    vacuous = dots_of.pop(NOT_HERE, [])
    assert page.same or page.items.keys() >= dots_of.keys(), "a dot without the item of its key"
    if vacuous:
        keyspace.parts.add(from_bytes(page.slots), vacuous)
        keyspace.log.note_outside(vacuous, from_bytes(page.slots))
        keyspace.save_parts()
    for key, item in page.items.items():
        filled = covering(item, item.past.with_all(page.base))
        keyspace.take(key, filled, dots_of.get(key, ()), now)
    if page.same:
        _note_obsolete(keyspace, dots_of)


def _note_obsolete(keyspace: Keyspace, dots_of: dict[str, list[Dot]]) -> None:
    """The holder knows dots that we lack, and held the same versions when we asked: what these dots
    wrote has been replaced, there and here, by versions that carry their past."""
    for key, dots in dots_of.items():
        keyspace.parts.has_gone(slot_of_key(key))
        for dot in dots:
            keyspace.note(dot, key)


def _absorb_rows(keyspace: Keyspace, page: Page, now: float) -> None:
    """Every row within the bounds: the sender's, and those that it does not hold."""
    told = page.snapshot
    mine = _rows_between(keyspace, page)
    slots, after = from_bytes(page.slots), page.after or ""
    is_new = keyspace.parts.only_grew(slots) and not keyspace.reached.goes_beyond(slots, after)
    for row, blob in page.rows.items():
        if is_new and row not in mine:
            keyspace.adopt_row(row, blob)
        elif mine.get(row) != blob or key_of(row) in keyspace.open_keys:
            item = ITEMS.decode(blob)
            filled = covering(item, item.past.with_all(page.base))
            keyspace.take(key_of(row), filled, (), now, told)
    for key, item in page.items.items():
        filled = covering(item, item.past.with_all(page.base))
        keyspace.take(key, filled, (), now, told)
    for row in mine:
        if row not in page.rows and key_of(row) not in page.items:
            keyspace.take(key_of(row), Item({}, page.base), (), now, told)


def _rows_between(keyspace: Keyspace, page: Page) -> dict[str, bytes]:
    """Our rows within the page's bounds."""
    slots, after = from_bytes(page.slots), page.after or None
    found: dict[str, bytes] = {}
    before = END if page.upto is None else f"{page.upto}\0"
    while rows := keyspace.rows_of(slots, after, PAGE_ROWS, before):
        after = rows[-1][0]
        found.update(rows)
        if len(rows) < PAGE_ROWS:
            break
    return found
