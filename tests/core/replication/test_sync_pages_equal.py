"""A peer with the same versions gets dots alone: what they replaced is replaced on both sides."""

import pytest
from msgspec.structs import replace

from node.core.model.item import Item, Past
from node.core.model.slots import ALL, to_bytes
from node.core.protocol.messages import ItemPage, Page, Pull, SamePage
from node.core.protocol.operations import Put
from node.core.replication.sync_pages import absorb, serve
from node.core.storage.named_write import NamedWrite
from tests.core.given import OPTIONS, Held
from tests.core.pages import NOW


def pull_of(held: Held, content: bytes | None = None) -> Pull:
    known = held.keyspace.content_hashes.of(ALL) if content is None else content
    return Pull(1, "x", to_bytes(ALL), held.keyspace.clock.copy(), content=known)


def served(source: Held, pull: Pull) -> Page:
    page = serve(source.keyspace, pull, OPTIONS)
    assert page is not None
    return page


def overtaken() -> tuple[Held, Held, NamedWrite]:
    """Return two replicas, and a write that the second has missed though it has its successor."""
    one, two = Held("a"), Held("b")
    first = one.keyspace.write(Put("k", b"v"), NOW)
    second = one.keyspace.write(Put("k", b"w"), NOW)
    two.keyspace.take("k", second.item, (second.dot,), NOW)
    for held in (one, two):
        held.sync()
    return one, two, first


def test_dots_come_alone_to_a_node_that_has_the_same() -> None:
    one, two, first = overtaken()
    page = served(one, pull_of(two))
    assert isinstance(page, SamePage)
    assert page.dots == {first.dot: "k"}
    assert page.last
    absorb(two.keyspace, page, NOW)
    two.sync()
    assert two.keyspace.clock == one.keyspace.clock
    assert two.keyspace.log.key_of(first.dot) == "k"
    assert two.restarted().keyspace.clock == one.keyspace.clock


def test_dots_of_a_key_with_names_come_with_its_item() -> None:
    """Both have the same version, but only one knows what the write that it has replaced was
    called."""
    one, two = Held("a"), Held("b")
    first = one.keyspace.write(Put("k", b"v", identity="once"), NOW)
    last = one.keyspace.write(Put("k", b"w"), NOW)
    unnamed = Item(last.item.versions, Past(last.item.past.base))
    two.keyspace.take("k", unnamed, (last.dot,), NOW)
    for held in (one, two):
        held.sync()
    page = served(one, pull_of(two))
    assert isinstance(page, ItemPage)
    assert page.dots == {first.dot: "k"}
    absorb(two.keyspace, page, NOW)
    assert two.keyspace.item("k").past.namings == one.keyspace.item("k").past.namings != {}


def test_what_such_a_dot_wrote_comes_too_late() -> None:
    one, two, first = overtaken()
    absorb(two.keyspace, served(one, pull_of(two)), NOW)
    two.keyspace.take("k", first.item, (first.dot,), NOW)
    assert two.keyspace.item("k") == one.keyspace.item("k")


def test_a_row_that_is_not_here_is_not_taken_as_it_lies_any_more() -> None:
    one, two, _ = overtaken()
    assert two.keyspace.parts.only_grew(ALL)
    absorb(two.keyspace, replace(served(one, pull_of(two)), last=False), NOW)
    assert not two.keyspace.parts.only_grew(ALL)


@pytest.mark.parametrize("content", [b"", bytes(16), b"another"])
def test_items_come_to_a_node_that_has_others_or_does_not_know(content: bytes) -> None:
    one, two, first = overtaken()
    page = served(one, pull_of(two, content))
    assert isinstance(page, ItemPage)
    assert (page.dots, list(page.items)) == ({first.dot: "k"}, ["k"])


def test_a_version_more_on_either_side_makes_the_difference() -> None:
    for who in (0, 1):
        one, two, _ = overtaken()
        (one, two)[who].keyspace.write(Put("l", b"v"), NOW)
        page = served(one, pull_of(two))
        assert isinstance(page, ItemPage)
        assert "k" in page.items


def test_a_node_that_still_counts_has_no_hash() -> None:
    one, two, _ = overtaken()
    again = one.restarted()
    assert again.keyspace.content_hashes.of(ALL) == b""
    assert isinstance(served(again, pull_of(two)), ItemPage)
    assert isinstance(served(one, pull_of(two, again.keyspace.content_hashes.of(ALL))), ItemPage)
    again.keyspace.content_hashes.go_on(0)
    assert isinstance(served(again, pull_of(two)), SamePage)
    half = ALL >> 2048
    parts = [again.keyspace.content_hashes.of(slots) for slots in (half, ALL & ~half)]
    whole = again.keyspace.content_hashes.of(ALL)
    assert sum(int.from_bytes(part, "big") for part in parts) == int.from_bytes(whole, "big")
