"""Slots move from an old owner to a new one, in pages of any size and with crashes between them.

The new owner ends with what both held; only then may the old one forget.
"""

from dataclasses import dataclass

from hypothesis import given, settings, strategies as st

from node.core.model.dots import DotClock
from node.core.model.item import Item, sync
from node.core.model.keys import SLOTS as SLOT_COUNT, slot_of_key
from node.core.model.slots import ALL, to_bytes
from node.core.model.view import FIRST, ViewId
from node.core.protocol.messages import Pull, RowPage
from node.core.protocol.operations import Put
from node.core.replication.progress import PeerProgress, PeerSlots as HeldSlots
from node.core.replication.sync_pages import absorb
from tests.core.given import Held, small_pages
from tests.core.pages import KEYS, NOW, forget_log, served

HALF = ALL >> SLOT_COUNT // 2
SECOND = ViewId(2, "p")
NEED = {FIRST, SECOND}

before = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=12)
beside = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=6)


@dataclass
class Node:
    """One end of the move, in the second view."""

    held: Held
    owned: int
    actor: str

    def adopt(self, begun: ViewId | None) -> None:
        keyspace = self.held.keyspace
        keyspace.parts.adopt(SECOND, self.owned, NEED, begun)
        keyspace.load_log()
        keyspace.on_view(SECOND, FIRST, self.actor)

    def restarted(self) -> "Node":
        """Return the same disk in the next process, without what was not durable."""
        node = Node(Held("x", self.held.rows, slots=0), self.owned, self.actor)
        node.adopt(None)
        return node

    def write(self, key: str, gone: bool) -> None:
        self.held.keyspace.write(Put(key, None if gone else b"v"), NOW)
        self.held.sync()

    def row(self) -> PeerProgress:
        parts = self.held.keyspace.parts
        return PeerProgress(
            [HeldSlots(p.slots, p.clock, set(p.complete_for)) for p in parts], set(), set()
        )


def live(item: Item) -> set[tuple[str, int]]:
    return set(item.versions)


@settings(max_examples=60)
@given(before, beside, st.booleans(), st.integers(1, 4), st.integers(0, 4))
def test_the_owner_ends_with_what_both_held_and_then_the_holder_may_forget(
    earlier: list[tuple[str, bool]],
    since: list[tuple[str, bool]],
    pruned: bool,
    items_a_page: int,
    crash_after: int,
) -> None:
    old, new = Node(Held("a"), ALL & ~HALF, "a.2.p"), Node(Held("b", slots=0), HALF, "b.2.p")
    for key, gone in earlier:
        old.write(key, gone)
    if pruned:
        forget_log(old.held)
    for node in (old, new):
        node.adopt(SECOND)
        node.held.keyspace.save_parts()
        node.held.sync()
    near = [key for key in KEYS if HALF >> slot_of_key(key) & 1]
    for key, gone in since:
        (new if key in near else old).write(key, gone)
    source = old.held.keyspace
    expected = {k: live(sync(source.filled(k), new.held.keyspace.filled(k))) for k in near}
    [given_away] = source.parts.outgoing()
    pages, pull = 0, Pull(1, "b", to_bytes(HALF), DotClock())
    options = small_pages(items_a_page)
    while True:
        assert new.row().covers(given_away, given_away.clock, {FIRST}) == 0
        page = served(source, pull, options)
        absorb(new.held.keyspace, page, NOW)
        pages += 1
        new.held.sync()
        if page.last:
            break
        snapshot: DotClock | None = page.snapshot
        after = page.upto if isinstance(page, RowPage) else None
        if pages == crash_after:  # the exchange is over; the next one begins with its own
            new, snapshot, after = new.restarted(), None, None
        clock = DotClock() if after else new.held.keyspace.clock_of(near[0]).copy()
        pull = Pull(1, "b", to_bytes(HALF), clock, snapshot, after)
        assert pages < 60
    assert {key: live(new.held.keyspace.filled(key)) for key in near} == expected
    assert new.held.keyspace.parts.lacking() == 0
    assert new.row().covers(given_away, given_away.clock, {FIRST}) == HALF
    again = new.restarted().held.keyspace
    assert {key: live(again.filled(key)) for key in near} == expected
    assert again.live_keys == new.held.keyspace.live_keys
