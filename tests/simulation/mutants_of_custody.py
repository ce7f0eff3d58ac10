"""Rules of which node has what, each broken in one place.

They are about rows, acks and claims of another view, what was replaced below an oldest view, and
rows that have gone.  No run shows them; each has a story.  The live-view model did not need the
first two: a node that gives up what it has acknowledged has handed it to the owners of a later
view.  But these may be the very nodes that count on the ack.  (protocol D10, R1-R4, R7;
models/README.md.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from node.core.membership.leaving import Leaving
from node.core.model.item import Item, Past, discard
from node.core.model.view import View
from node.core.protocol.operations import Outcome, Put
from node.core.replication.pull import Repair
from node.core.requests.write_under_way import Writes
from node.core.storage import keyspace
from node.core.storage.slot_groups import Parts


@contextmanager
def acks_outlive_their_view() -> Iterator[None]:
    """A node counts on a peer's statement of the last view in the next one."""
    original = Repair.on_view

    def on_view(self: Repair, view: View) -> None:
        rows = self.progress
        original(self, view)
        self.progress = rows

    with patch.object(Repair, "on_view", on_view):
        yield


@contextmanager
def acks_of_two_views_are_added_up() -> Iterator[None]:
    """A node that has acknowledged a write, and owns its slot again, counts as having it still."""
    original = Writes.on_view

    def on_view(
        self: Writes, members_of: Callable[[Put, int], tuple[str, ...]]
    ) -> list[tuple[int, Outcome]]:
        acks = {request: set(write.acks) for request, write in self._writes.items()}
        replies = original(self, members_of)
        for request, write in self._writes.items():
            write.acks |= acks[request]
        return replies

    with patch.object(Writes, "on_view", on_view):
        yield


@contextmanager
def forget_before_the_claims_are_taken() -> Iterator[None]:
    """A node forgets others' slots when every owner has their dots, whatever it is complete for."""

    def forget(self: Leaving) -> None:
        for part in self._keyspace.parts.outgoing():
            if covered := self._repair.covered(part, self._views.view, part.clock, set()):
                self._keyspace.forget(covered)

    with patch.object(Leaving, "forget", forget):
        yield


@contextmanager
def a_context_loses_its_oldest_view() -> Iterator[None]:
    """A write replaces what its client has seen below the oldest view, and tells no other node
    so."""

    def without_oldest_view(item: Item, context: Past, here_alone: bool = False) -> Item:
        seen = Past(context.base, context.loose)
        return Item(discard(item, context).versions, item.past.with_all(seen))

    with patch.object(keyspace, "discard", without_oldest_view):
        yield


@contextmanager
def rows_that_have_gone_come_back_with_a_page() -> Iterator[None]:
    """A node takes a row from a page though the row may have gone again since."""
    with patch.object(Parts, "has_gone", lambda self, slot: None):
        yield
