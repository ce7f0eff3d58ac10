"""While a node serves a full exchange, gaps of its clock close and its rows are stripped again."""

from node.core.model.dots import DotClock
from node.core.model.item import Item
from node.core.model.keys import row_of
from node.core.protocol.operations import Put
from node.core.replication.sync_pages import absorb
from node.core.storage.named_write import NamedWrite
from tests.core.given import Held, small_pages
from tests.core.pages import KEYS, NOW, forget_log, pull_of, rows_in, served, served_rows, write

EARLIER, LATER = sorted(KEYS, key=row_of)[:2]
ONE_ROW = small_pages(1)


def taken(held: Held, named: NamedWrite, key: str) -> None:
    held.keyspace.take(key, named.item, (named.dot,), NOW)
    held.sync()


def serving(last: bytes | None) -> tuple[Held, Held, Item]:
    """Return a holder in the middle of a full exchange, its puller, and what the puller has of
    LATER: the holder has replaced that by `last`.  Since the first page the write a2, which makes
    the holder's clock whole, has come to the holder, and its rows are stripped again."""
    writer, holder, puller = Held("a"), Held("b"), Held("c")
    names = [writer.keyspace.write(Put(key, b"v"), NOW) for key in (EARLIER, EARLIER, LATER)]
    for named, key in ((names[0], EARLIER), (names[2], LATER)):
        taken(holder, named, key)
    taken(puller, names[2], LATER)
    if last is None:
        holder.keyspace.write(Put(LATER, None), NOW)
    else:
        holder.keyspace.write(Put(LATER, last), NOW)
    holder.sync()
    forget_log(holder)
    first = served_rows(holder.keyspace, pull_of(DotClock()), ONE_ROW)
    assert list(first.rows) + [row_of(key) for key in first.items] == [row_of(EARLIER)]
    absorb(puller.keyspace, first, NOW)
    taken(holder, names[1], EARLIER)
    holder.keyspace.resave(10)
    holder.sync()
    assert holder.keyspace.clock.base == {"a": 3, "b": 1}
    assert not holder.keyspace.item(LATER).past
    pull = pull_of(puller.keyspace.clock.copy(), first.snapshot, first.upto)
    page = rows_in(served(holder.keyspace, pull, ONE_ROW))
    absorb(puller.keyspace, page, NOW)
    return holder, puller, puller.keyspace.filled(LATER)


def test_what_a_stripped_row_has_replaced_goes_at_the_puller() -> None:
    holder, _, item = serving(b"w")
    assert item.versions == holder.keyspace.item(LATER).versions
    assert [version.value for version in item.versions.values()] == [b"w"]


def test_the_past_of_such_a_row_comes_with_it() -> None:
    _, puller, item = serving(b"w")
    assert item.past.base["a"] == 3
    late = Held("a")
    for key in (EARLIER, EARLIER):
        write(late, key)
    taken(puller, late.keyspace.write(Put(LATER, b"v"), NOW), LATER)
    assert [v.value for v in puller.keyspace.filled(LATER).versions.values()] == [b"w"]


def test_a_delete_replaces_there_too() -> None:
    _, _, item = serving(None)
    assert [version.value for version in item.versions.values()] == [None]
