"""Two replicas have one hash exactly when their keys have the same versions, after any history.
A hash that is broken in one place fails the test."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings, strategies as st

from node.core.model.conditions import Mode
from node.core.model.dots import Dot
from node.core.model.item import Item
from node.core.model.keys import row_of, slot_of_key
from node.core.model.slots import ALL, Slots, to_bytes
from node.core.model.view import FIRST, ViewId
from node.core.protocol.messages import Pull, RowPage
from node.core.protocol.operations import Put
from node.core.replication.sync_pages import absorb, serve
from node.core.storage.content_hash import ContentHashes, version_hash_of
from node.core.storage.keyspace import ITEMS, Keyspace
from node.core.storage.named_write import NamedWrite
from node.core.storage.pruning import compact
from tests.core.given import OPTIONS, Held

NOW, EMPTY = 1000.0, "0" * 32
KEYS = [f"key{n}" for n in range(6)]
HALF, WHO = ALL >> 2048, st.integers(0, 2)
Content = dict[str, frozenset[Dot]]


def content_of(held: Held) -> Content:
    """Return which versions the rows on disk have of the keys of owned slots."""
    slots, found = held.keyspace.parts.owned_slots & ~held.keyspace.cleanup.slots, {}
    for row, blob in held.rows.scan("item", None, 1000):
        if slots >> int(row[:3], 16) & 1:
            found[row] = frozenset(ITEMS.decode(blob).versions)
    return {row: dots for row, dots in found.items() if dots}


class Three:
    """Three replicas of a shard; a write of one may be lost, doubled or late."""

    def __init__(self) -> None:
        self.held = [Held(actor) for actor in "abc"]
        self.letters: list[tuple[str, NamedWrite]] = []

    def write(self, who: int, key: str, gone: bool = False, mode: Mode = Mode.LWW) -> None:
        value = None if gone else b"%d" % len(self.letters)
        self.letters.append((key, self.held[who].keyspace.write(Put(key, value, mode), NOW)))
        self.check(who)

    def deliver(self, who: int, envelope: int) -> None:
        key, written = self.letters[envelope % len(self.letters)]
        self.held[who].keyspace.take(key, written.item, (written.dot,), NOW)
        self.check(who)

    def pull(self, who: int, source: int, in_full: bool = False, pages_max: int = 99) -> None:
        """Exchange some pages, or all."""
        held, theirs = self.held[who], self.held[source].keyspace
        if in_full:
            theirs.save_parts()  # as before entries of the log are pruned
            theirs.log.drop_below(dict.fromkeys("abc", 99))
            self.check(source)
        pull = Pull(1, "x", to_bytes(ALL), held.keyspace.clock.copy())
        for _ in range(pages_max):
            page = serve(theirs, pull, OPTIONS)
            if page is None:
                return
            absorb(held.keyspace, page, NOW)
            self.check(who)
            if page.last:
                return
            after = page.upto if isinstance(page, RowPage) else None
            clock = held.keyspace.clock.copy()
            pull = Pull(1, "x", to_bytes(ALL), clock, page.snapshot, after)

    def settle(self, who: int) -> None:
        """Let all members know what all have: marks that are done go."""
        clocks = [held.keyspace.clock for held in self.held]
        low = {a: min(clock.base.get(a, 0) for clock in clocks) for a in "abc"}
        high = {a: max(clock.highest(a) for clock in clocks) for a in "abc"}
        self.held[who].keyspace.watermarks.take(low, high, {})
        compact(self.held[who].keyspace, 100)
        self.check(who)

    def restart(self, who: int, counted: int) -> None:
        """Restart a member, and count this many rows; `count` goes on with the rest."""
        self.held[who] = self.held[who].restarted()
        self.count(who, counted)

    def count(self, who: int, rows: int) -> None:
        space = self.held[who].keyspace
        space.content_hashes.go_on(space.cleanup.slots, rows)
        self.check(who)

    def check(self, who: int) -> None:
        self.held[who].sync()
        known = [(content_of(held), held.keyspace.content_hashes.content) for held in self.held]
        for content, hashed in known:
            if hashed is not None:
                assert hashed == whole(content)
        for content, hashed in known:
            for other, its_hash in known:
                if hashed is not None and its_hash is not None:
                    assert (content == other) == (hashed == its_hash)


def whole(content: Content) -> str:
    """Compute the hash from the beginning."""
    total = sum(version_hash_of(row, dot) for row, dots in content.items() for dot in dots)
    return f"{total % 2**128:032x}"


def test_nothing_has_a_hash_and_so_has_something() -> None:
    space = Held("a").keyspace
    assert space.content_hashes.content == EMPTY
    space.write(Put("k", b"v"), NOW)
    first = whole({row_of("k"): frozenset({("a", 1)})})
    assert space.content_hashes.content == first != EMPTY
    space.write(Put("k", b"v"), NOW)
    assert space.content_hashes.content == whole({row_of("k"): frozenset({("a", 2)})}) != first


def test_each_version_of_each_key_has_a_digest_of_its_own() -> None:
    versions = [(row, dot) for row in ("000/a", "000/a/1", "001/a") for dot in DOTS]
    assert len({version_hash_of(row, dot) for row, dot in versions}) == len(versions)


DOTS: list[Dot] = [("a", 1), ("a", 11), ("1", 1), ("a.1", 1), ("a.1", 2)]

steps = st.one_of(
    st.tuples(
        st.just(Three.write), WHO, st.sampled_from(KEYS), st.booleans(), st.sampled_from(Mode)
    ),
    st.tuples(st.just(Three.deliver), WHO, st.integers(0, 99)),
    st.tuples(st.just(Three.pull), WHO, WHO, st.booleans(), st.integers(1, 3)),
    st.tuples(st.just(Three.settle), WHO),
    st.tuples(st.just(Three.restart), WHO, st.integers(1, 8)),
    st.tuples(st.just(Three.count), WHO, st.integers(1, 3)),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=30))
def test_equal_hashes_are_equal_stores_after_any_history(history: list[tuple[Any, ...]]) -> None:
    three = Three()
    for step, who, *arguments in history:
        if step is Three.deliver and not three.letters:
            continue
        if step is not Three.pull or who != arguments[0]:
            step(three, who, *arguments)
    for who in range(3):
        three.count(who, 100)
    for who, source in [(0, 1), (0, 2), (1, 0), (2, 0)]:
        three.pull(who, source)
    for who in (0, 1, 2):
        three.settle(who)
    assert len({held.keyspace.content_hashes.content for held in three.held}) == 1


def filled() -> Three:
    three = Three()
    for key in KEYS:
        three.write(0, key)
    return three


# ------------------------------------------------------------------ stories of each rule


def rows_arrive_in_any_order() -> None:
    three = Three()
    for n, key in enumerate(KEYS):
        three.write(n % 2, key, mode=Mode.SIBLINGS)
    three.write(2, KEYS[0])
    for who in (0, 1, 2):
        for envelope in range(len(three.letters)):
            three.deliver(who, envelope if who else -1 - envelope)
    assert len({held.keyspace.content_hashes.content for held in three.held}) == 1


def marks_come_and_go() -> None:
    three = Three()
    three.write(0, "k")
    three.deliver(1, 0)
    three.deliver(2, 0)
    three.write(0, "k", gone=True)
    three.deliver(1, 1)
    three.deliver(2, 1)
    assert three.held[0].keyspace.content_hashes.content != EMPTY
    for who in range(3):
        three.settle(who)
    assert three.held[0].keyspace.content_hashes.content == EMPTY


def rows_are_counted_again() -> None:
    three = filled()
    first, last = min(KEYS, key=row_of), max(KEYS, key=row_of)
    three.restart(0, counted=2)
    assert three.held[0].keyspace.content_hashes.content is None
    for key in (first, last, "another", "and another"):
        three.write(0, key)
        three.write(0, key, gone=key == last)
    for _ in range(9):
        three.count(0, 1)
    assert three.held[0].keyspace.content_hashes.content is not None


def a_wiped_replica_is_refilled() -> None:
    three = filled()
    empty = Held("d", slots=0)
    own(empty.keyspace, ViewId(2, "p"), ALL)
    three.held.append(empty)
    assert empty.keyspace.parts.only_grew(ALL)
    three.pull(3, 0, in_full=True)
    assert empty.keyspace.content_hashes.content == three.held[0].keyspace.content_hashes.content


def own(space: Keyspace, view: ViewId, slots: Slots) -> None:
    space.parts.adopt(view, slots, {view}, view)
    space.on_view(view, FIRST, f"a.{view}")


def slots_come_and_go() -> None:
    three = filled()
    assert {slot_of_key(key) < 2048 for key in KEYS} == {True, False}
    space = three.held[0].keyspace
    for number, owned in enumerate((HALF, ALL & ~HALF, ALL), start=2):
        view = ViewId(number, "p")
        own(space, view, owned)
        three.check(0)
        if owned != ALL:
            three.write(0, next(key for key in KEYS if owned >> slot_of_key(key) & 1))
    own(space, ViewId(9, "p"), HALF)
    space.forget(ALL & ~HALF)
    three.check(0)
    space.clean_up(1)
    three.check(0)
    three.held[0].sync()
    own(space, ViewId(10, "p"), ALL)
    for key in KEYS:
        three.write(0, key)
    space.clean_up(1000)
    three.check(0)


def slots_are_swept_while_rows_are_counted() -> None:
    three = filled()
    held = three.held[0]
    view = ViewId(2, "p")
    own(held.keyspace, view, HALF)
    held.keyspace.forget(ALL & ~HALF)
    held.sync()
    again = Held("a", held.rows, HALF)
    three.held[0] = again
    three.count(0, 1)
    three.count(0, 100)
    again.keyspace.clean_up(1000)
    again.keyspace.content_hashes.go_on(0)  # the step has removed the rows: they are still there
    three.check(0)
    own(again.keyspace, view, ALL)
    three.check(0)


def a_step_that_writes_does_not_count() -> None:
    three = filled()
    three.restart(0, counted=1)
    space = three.held[0].keyspace
    space.write(Put(max(KEYS, key=row_of), b"v"), NOW)
    space.content_hashes.go_on(0)
    three.held[0].sync()
    space.content_hashes.go_on(0)
    three.check(0)
    assert space.content_hashes.is_whole


STORIES = (
    rows_arrive_in_any_order,
    marks_come_and_go,
    rows_are_counted_again,
    a_wiped_replica_is_refilled,
    slots_come_and_go,
    slots_are_swept_while_rows_are_counted,
    a_step_that_writes_does_not_count,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_goes_on_as_told(story: Callable[[], None]) -> None:
    story()


# ------------------------------------------------------------------ broken in one place


def without_its_key(row: str, dot: Dot) -> int:
    return version_hash_of(row[:4], dot)


def without_what_goes(self: ContentHashes, row: str, before: Item, after: Item) -> None:
    CHANGE(
        self, row, Item({d: v for d, v in before.versions.items() if d in after.versions}), after
    )


def wherever_the_count_is(self: ContentHashes, row: str, before: Item, after: Item) -> None:
    reached, self._upto = self._upto, None
    CHANGE(self, row, before, after)
    self._upto = reached


def with_values_only(self: ContentHashes, row: str, before: Item, after: Item) -> None:
    CHANGE(self, row, Item(before.live()), Item(after.live()))


def with_swept_rows(self: ContentHashes, swept: int, limit: int = 500) -> None:
    GO_ON(self, 0, limit)


def not_at_all(self: ContentHashes, *arguments: object) -> None:
    """Do nothing."""


def in_any_step(self: ContentHashes, swept: int, limit: int = 500) -> None:
    self._step = type(self._step)()
    GO_ON(self, swept, limit)


CHANGE, GO_ON = ContentHashes.change, ContentHashes.go_on
HASHES = ContentHashes.__module__
MUTANTS = [
    (f"{HASHES}.version_hash_of", lambda row, dot: version_hash_of(row, (dot[0], 1))),
    (f"{HASHES}.version_hash_of", lambda row, dot: version_hash_of(row, ("a", dot[1]))),
    (f"{HASHES}.version_hash_of", without_its_key),
    (f"{HASHES}.ContentHashes.change", without_what_goes),
    (f"{HASHES}.ContentHashes.change", wherever_the_count_is),
    (f"{HASHES}.ContentHashes.change", with_values_only),
    (f"{HASHES}.ContentHashes.adopt", not_at_all),
    (f"{HASHES}.ContentHashes.forget", not_at_all),
    (f"{HASHES}.ContentHashes.own", not_at_all),
    (f"{HASHES}.ContentHashes.go_on", with_swept_rows),
    (f"{HASHES}.ContentHashes.go_on", in_any_step),
]


@pytest.mark.parametrize(("place", "broken"), MUTANTS)
def test_a_hash_that_is_broken_is_noticed(place: str, broken: object) -> None:
    with patch(place, broken), pytest.raises(AssertionError):
        [story() for story in STORIES]
