"""Rules of counters and sets, each broken in one place.  (docs/decisions/0051.)"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import Mock, patch

from msgspec.structs import replace

from cluster.simulator import merged_clients
from node.core.model import counters
from node.core.model.actors import view_of
from node.core.model.changes import NamedAs, StateChange
from node.core.model.counters import Counter, Entries
from node.core.model.element_sets import ElementSet
from node.core.model.item import Item
from node.core.model.repeats import join_repeats
from node.core.model.view import ViewId
from node.core.protocol.messages import Accept, Declined, Written
from node.core.requests.merged_writes import MergedWrites
from node.core.requests.write_home import Home
from tests.simulation.breaks import Breaks

OF_MERGED_VALUES = Breaks(merged_clients.OF_SUITE.start, merged_clients.is_drawn)


@OF_MERGED_VALUES.shown_by()
def a_join_adds_two_sums_of_one_run() -> Iterator[None]:
    """It does not take the later one."""

    def latest(one: Entries, two: Entries) -> Entries:
        both = {a: (one[a][0], one[a][1] + two[a][1]) for a in one.keys() & two.keys()}
        return {**one, **two, **both}

    with patch.object(counters, "_latest", latest):
        yield


@OF_MERGED_VALUES.shown_by()
def an_addition_that_is_sent_again_is_counted_again() -> Iterator[None]:
    """Its home does not look for its identity, and remembers it under its last name alone."""
    original = MergedWrites.resolve

    def resolve(self: MergedWrites, source: str, accept: Accept) -> Accept | Written | Declined:
        return original(self, source, replace(accept, put=replace(accept.put, identity="")))

    with patch.object(MergedWrites, "resolve", resolve):
        yield


@OF_MERGED_VALUES.shown_by()
def an_addition_with_two_names_counts_twice() -> Iterator[None]:
    """A reader does not look for other names of an addition."""
    with patch.object(Counter, "_surplus", lambda self, repeat: 0):
        yield


@OF_MERGED_VALUES.shown_by()
def a_home_raises_the_entry_of_another_run() -> Iterator[None]:
    """Two homes raise one entry, and the join takes one of both."""
    original = Counter.after

    def after(self: Counter, change: StateChange, naming: NamedAs) -> Counter:
        ours, n = naming.dot
        actor = next(iter(self.sums), ours)
        last, _ = self.sums.get(actor, (0, 0))
        return original(self, change, naming._replace(dot=(actor, max(n, last + 1))))

    with patch.object(Counter, "after", after):
        yield


@OF_MERGED_VALUES.shown_by()
def a_home_changes_one_of_several_states() -> Iterator[None]:
    """It replaces all versions that it holds, and joins none of the others."""
    original = MergedWrites.resolve

    def resolve(self: MergedWrites, source: str, accept: Accept) -> Accept | Written | Declined:
        held = self._keyspace.filled(accept.put.key)
        one = dict(list(held.versions.items())[:1])
        store = Mock(wraps=self._keyspace)
        store.filled = lambda key: Item(one, held.past)
        store.actor, store.counter = self._keyspace.actor, self._keyspace.counter
        store.watermarks = self._keyspace.watermarks
        with patch.object(self, "_keyspace", store):
            return original(self, source, accept)

    with patch.object(MergedWrites, "resolve", resolve):
        yield


@OF_MERGED_VALUES.shown_by()
def a_change_replaces_what_its_token_names() -> Iterator[None]:
    """As a write in lww mode, also where the home has never held it."""
    original = MergedWrites.resolve

    def resolve(self: MergedWrites, source: str, accept: Accept) -> Accept | Written | Declined:
        write = original(self, source, accept)
        if not isinstance(write, Accept):
            return write
        context = write.put.context.joined({}, set(accept.put.token.exact))
        return replace(write, put=replace(write.put, context=context))

    with patch.object(MergedWrites, "resolve", resolve):
        yield


@OF_MERGED_VALUES.shown_by(changes=1)
def a_total_has_no_deletes() -> Iterator[None]:
    """When a view is retired, what deletes have taken of its runs counts again."""
    original = Counter._with_total

    def with_total(self: Counter, below: ViewId) -> Counter:
        after = original(self, below)
        left = {a: entry for a, entry in after.resets.items() if view_of(a) >= below}
        return after if after is self else Counter(after.repeats, after.sums, left)

    with patch.object(Counter, "_with_total", with_total):
        yield


@OF_MERGED_VALUES.shown_by(changes=1)
def a_total_stands_beside_the_entries_that_it_has() -> Iterator[None]:
    """A join keeps the entries of retired runs, and their total."""

    def latest(one: Entries, two: Entries) -> Entries:
        return {**one, **{a: max(entry, one.get(a, entry)) for a, entry in two.items()}}

    with patch.object(counters, "_latest", latest):
        yield


@OF_MERGED_VALUES.shown_by()
def a_remove_takes_additions_that_it_has_not_seen() -> Iterator[None]:
    """When two states meet, an element goes that one of them lacks."""
    original = ElementSet.joined

    def joined(self: ElementSet, other: ElementSet) -> ElementSet:
        both = original(self, other)
        if not (self.seen and other.seen):
            return both
        common = self.tags.keys() & other.tags.keys()
        tags = {element: both.tags[element] for element in common if element in both.tags}
        return ElementSet(both.repeats, tags, both.seen)

    with patch.object(ElementSet, "joined", joined):
        yield


@OF_MERGED_VALUES.shown_by()
def a_removed_element_comes_back() -> Iterator[None]:
    """When two states meet, all elements of both stay."""

    def joined(self: ElementSet, other: ElementSet) -> ElementSet:
        tags = {**other.tags, **self.tags}
        past = self.seen.with_all(other.seen)
        return ElementSet(join_repeats(self.repeats, other.repeats), tags, past)

    with patch.object(ElementSet, "joined", joined):
        yield


@contextmanager
def an_element_comes_back_under_its_other_name() -> Iterator[None]:
    """A remove takes an addition under one name, and leaves it under the other.

    A story shows it.
    """
    with patch.object(ElementSet, "_left", lambda self: self.tags):
        yield


@OF_MERGED_VALUES.shown_by()
def a_remove_does_not_wait_for_what_its_client_has_seen() -> Iterator[None]:
    """Its home removes what it has, whatever the token names."""
    original = Home._decline

    def decline(self: Home, accept: Accept) -> object:
        if accept.put.change is None:
            return original(self, accept)
        return original(self, replace(accept, looked=True))

    with patch.object(Home, "_decline", decline):
        yield
