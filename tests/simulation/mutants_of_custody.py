"""Rules of who has what, each broken in one place: rows, acks and claims of another view, what was
replaced below a floor, rows that have gone.

No run shows them, a story of its own shows each.  The live-view model did not need the first two:
who gives up what it has acknowledged has handed it to the owners of a later view.  But these may be
the very nodes that count on the ack.  (protocol D10, R1-R4, R7; models/README.md.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from node.core import keyspace
from node.core.messages import Outcome
from node.core.moving import Moving
from node.core.parts import Parts
from node.core.repair import Repair
from node.core.siblings import Item, Past, discard
from node.core.view import View
from node.core.waiting import Writes


@contextmanager
def acks_outlive_their_view() -> Iterator[None]:
    """What a peer has said that it has is taken to be there in the next view."""
    original = Repair.enter

    def enter(self: Repair, view: View) -> None:
        rows = self.rows
        original(self, view)
        self.rows = rows

    with patch.object(Repair, "enter", enter):
        yield


@contextmanager
def acks_of_two_views_are_added_up() -> Iterator[None]:
    """Who has acknowledged a write, and owns its slot again, is taken to have it still."""
    original = Writes.enter

    def enter(
        self: Writes, members_of: Callable[[str, int], tuple[str, ...]]
    ) -> list[tuple[int, Outcome]]:
        acks = {request: set(write.acks) for request, write in self._writes.items()}
        replies = original(self, members_of)
        for request, write in self._writes.items():
            write.acks |= acks[request]
        return replies

    with patch.object(Writes, "enter", enter):
        yield


@contextmanager
def forget_before_the_claims_are_taken() -> Iterator[None]:
    """Slots of others go when every owner has their dots, whatever it is whole for."""

    def forget(self: Moving) -> None:
        for part in self._keyspace.parts.held():
            if covered := self._repair.covered(part, self.view, part.clock, set()):
                self._keyspace.forget(covered)

    with patch.object(Moving, "forget", forget):
        yield


@contextmanager
def a_context_loses_its_floor() -> Iterator[None]:
    """A write replaces what its client has seen, but of what was written below the floor it tells
    nobody so."""

    def without_floor(item: Item, context: Past) -> Item:
        seen = Past(context.base, context.loose)
        return Item(discard(item, context).versions, item.past.with_all(seen))

    with patch.object(keyspace, "discard", without_floor):
        yield


@contextmanager
def rows_that_have_gone_come_back_with_a_page() -> Iterator[None]:
    """A row that is not here is taken as it comes, though it may have gone again."""
    with patch.object(Parts, "has_gone", lambda self, slot: None):
        yield
