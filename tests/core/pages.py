"""Pages of an exchange that one keyspace serves to another."""

from node.core.model.dots import DotClock
from node.core.model.item import Item
from node.core.model.keys import row_of
from node.core.model.options import Options
from node.core.model.slots import ALL, to_bytes
from node.core.protocol.messages import ItemPage, Page, Pull, RowPage
from node.core.protocol.operations import Put
from node.core.replication.sync_pages import absorb, serve
from node.core.storage.keyspace import Keyspace
from tests.core.given import OPTIONS, Held

NOW = 1000.0
SLOTS = to_bytes(ALL)
KEYS = [f"key{n}" for n in range(8)]
GONE = min(KEYS, key=row_of)  # the walk meets its row first


def write(held: Held, key: str, value: bytes | None = b"v") -> Item:
    written = held.keyspace.write(Put(key, value), NOW)
    held.sync()
    return written.item


def pull_of(clock: DotClock, snapshot: DotClock | None = None, after: str | None = None) -> Pull:
    return Pull(1, "x", SLOTS, clock, snapshot, after)


def served(source: Keyspace, pull: Pull, options: Options = OPTIONS) -> Page:
    page = serve(source, pull, options)
    assert page is not None
    return page


def served_items(source: Keyspace, pull: Pull, options: Options = OPTIONS) -> ItemPage:
    return items_in(served(source, pull, options))


def served_rows(source: Keyspace, pull: Pull, options: Options = OPTIONS) -> RowPage:
    return rows_in(served(source, pull, options))


def items_in(page: Page) -> ItemPage:
    """The page, which brings items of missing dots."""
    assert isinstance(page, ItemPage)
    return page


def rows_in(page: Page) -> RowPage:
    """The page, which is one of a full exchange."""
    assert isinstance(page, RowPage)
    return page


def pages_of(source: Keyspace, target: Held, options: Options = OPTIONS) -> list[Page]:
    """Run one whole exchange; return its pages."""
    pages: list[Page] = []
    pull = pull_of(target.keyspace.clock.copy())
    while not pages or not pages[-1].last:
        page = served(source, pull, options)
        absorb(target.keyspace, page, NOW)
        target.sync()
        pages.append(page)
        after = page.upto if isinstance(page, RowPage) else None
        pull = pull_of(target.keyspace.clock.copy(), page.snapshot, after)
        assert len(pages) < 100
    return pages


def forget_log(held: Held) -> None:
    """Drop the log, as if all members had had everything, and one had lost its disk since."""
    held.keyspace.save_parts()
    held.keyspace.log.drop_below(dict(held.keyspace.clock.base))
    held.sync()
