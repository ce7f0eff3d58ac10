"""Slots that move: whatever was written before and beside it, in pages of any size, with a crash
between any two of them, the new owner ends with what both held; only then may the old one forget.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings, strategies as st

from node.core.clock import Clock
from node.core.exchange import absorb
from node.core.messages import Pull, Put
from node.core.parts import ALL, to_bytes
from node.core.siblings import Item, sync
from node.core.told import Held as HeldSlots, Row
from node.core.view import FIRST, SLOTS as SLOT_COUNT, ViewId
from node.core.walk import slot_of_key
from tests.core.given import Held, small_pages
from tests.core.test_exchange import KEYS, NOW, forget_log, served

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

    def adopt(self, claim: ViewId | None) -> None:
        keyspace = self.held.keyspace
        keyspace.parts.adopt(SECOND, self.owned, NEED, claim)
        keyspace.load_log()
        keyspace.enter(SECOND, FIRST, self.actor)

    def restarted(self) -> "Node":
        """The same disk in the next process; what it has not made durable is gone."""
        node = Node(Held("x", self.held.rows, slots=0), self.owned, self.actor)
        node.adopt(None)
        return node

    def write(self, key: str, gone: bool) -> None:
        self.held.keyspace.write(Put(key, None if gone else b"v"), NOW)
        self.held.sync()

    def row(self) -> Row:
        parts = self.held.keyspace.parts
        return Row([HeldSlots(p.slots, p.clock, set(p.whole)) for p in parts], set(), set())


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
    [given_away] = source.parts.held()
    pages, pull = 0, Pull(1, "b", to_bytes(HALF), Clock())
    with pytest.MonkeyPatch.context() as patch:
        small_pages(patch, items_a_page)
        while True:
            assert new.row().covers(given_away, given_away.clock, {FIRST}) == 0
            page = served(source, pull)
            absorb(new.held.keyspace, page, NOW)
            pages += 1
            new.held.sync()
            if page.last:
                break
            snapshot: Clock | None = page.snapshot
            after = page.upto if page.full else None
            if pages == crash_after:  # the exchange is over; the next one begins with its own
                new, snapshot, after = new.restarted(), None, None
            clock = Clock() if after else new.held.keyspace.clock_of(near[0]).copy()
            pull = Pull(1, "b", to_bytes(HALF), clock, snapshot, after)
            assert pages < 60
    assert {key: live(new.held.keyspace.filled(key)) for key in near} == expected
    assert new.held.keyspace.parts.lacking() == 0
    assert new.row().covers(given_away, given_away.clock, {FIRST}) == HALF
    again = new.restarted().held.keyspace
    assert {key: live(again.filled(key)) for key in near} == expected
    assert again.live_keys == new.held.keyspace.live_keys
