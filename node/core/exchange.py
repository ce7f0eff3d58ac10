"""The two halves of repair by missing dots: making a page for a fellow, and merging one.

The fellow that pulls keeps the state; the one that serves is stateless. A page's items are filled
with the clock of the moment they were read, for that is what they were stripped by; the snapshot of
the first page only says what the exchange is about. If every missing dot is in the log, a page
holds the items of the next missing dots and accounts for just these dots. If one is not, the
exchange is full: pages walk all rows in order and account for every row between their bounds,
absent ones included (that is how a delete travels), and the snapshot joins the clock with the last
page, never earlier. (protocol D5; DottedDB, SRDS 2017.)
"""

from itertools import islice

from node.core.clock import Clock, Dot
from node.core.keyspace import ITEMS, Keyspace, key_of
from node.core.messages import Page, Pull
from node.core.siblings import Item, Past

PAGE_ITEMS = 128
PAGE_BYTES_MAX = 512 * 1024
PAGE_DOTS_MAX = 4096
FIRST_ROW = ""


def serve(keyspace: Keyspace, pull: Pull, arrived: bool) -> Page:
    """The next page of what the puller lacks."""
    snapshot = pull.snapshot or keyspace.clock.copy()
    if pull.after is not None:
        return _page_of_rows(keyspace, pull, snapshot, arrived)
    missing = list(islice(snapshot.missing_from(pull.clock), PAGE_DOTS_MAX))
    keys = {dot: keyspace.log.key_of(dot) for dot in missing}
    if None in keys.values():
        return _page_of_rows(keyspace, pull, snapshot, arrived)
    named = {dot: key for dot, key in keys.items() if key is not None}
    return _page_of_dots(keyspace, pull, snapshot, named, arrived)


def _page_of_dots(
    keyspace: Keyspace, pull: Pull, snapshot: Clock, keys: dict[Dot, str], arrived: bool
) -> Page:
    items: dict[str, Item] = {}
    dots: dict[Dot, str] = {}
    size = 0
    for dot, key in keys.items():
        if key not in items:
            if len(items) == PAGE_ITEMS or size > PAGE_BYTES_MAX:
                break
            items[key] = keyspace.item(key)
            size += _bytes_of(items[key])
        dots[dot] = key
    last = len(dots) == len(keys) < PAGE_DOTS_MAX
    base = dict(keyspace.clock.base)
    return Page(pull.exchange, snapshot, base, items, dots, False, last, None, None, arrived)


def _page_of_rows(keyspace: Keyspace, pull: Pull, snapshot: Clock, arrived: bool) -> Page:
    items: dict[str, Item] = {}
    size, upto = 0, None
    rows = keyspace.rows.scan("item", pull.after or None, PAGE_ITEMS)
    for row, blob in rows:
        items[key_of(row)] = ITEMS.decode(blob)
        upto, size = row, size + len(blob)
        if size > PAGE_BYTES_MAX:
            break
    last = len(items) == len(rows) < PAGE_ITEMS
    after = pull.after or FIRST_ROW
    bound = None if last else upto
    base = dict(keyspace.clock.base)
    return Page(pull.exchange, snapshot, base, items, {}, True, last, after, bound, arrived)


def _bytes_of(item: Item) -> int:
    return sum(len(v.value or b"") for v in item.versions.values())


def absorb(keyspace: Keyspace, page: Page, now: float) -> None:
    """Merge one page; with the last page of a full exchange the snapshot joins the clock."""
    dots_of: dict[str, list[Dot]] = {}
    if not page.full:
        assert page.items.keys() >= set(page.dots.values()), "a dot without the item of its key"
        for dot, key in page.dots.items():
            dots_of.setdefault(key, []).append(dot)
    for key, item in page.items.items():
        keyspace.take(
            key, Item(item.versions, item.past.joined(page.base)), dots_of.get(key, ()), now
        )
    if page.full:
        for key in absent_keys(keyspace, page):
            keyspace.take(key, Item({}, Past(page.base)), (), now)
        keyspace.account(page.snapshot, page.upto or "")
        if page.last:
            keyspace.join(page.snapshot)
            keyspace.account(None)


def absent_keys(keyspace: Keyspace, page: Page) -> list[str]:
    """Local keys within the page's bounds that the sender does not hold."""
    absent: list[str] = []
    after = page.after or None
    while rows := keyspace.rows.scan("item", after, PAGE_ITEMS):
        after = rows[-1][0]
        inside = [row for row, _ in rows if page.upto is None or row <= page.upto]
        absent.extend(key for row in inside if (key := key_of(row)) not in page.items)
        if len(inside) < len(rows):
            break
    return absent
