"""Rules of writes that are given to a second home, each broken in one place.  (decision 0049.)"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from node.core.model.drawn_identity import is_drawn
from node.core.model.item import Item, Past
from node.core.protocol.messages import Accept, Declined, Written
from node.core.requests.drawing import Drawing
from node.core.requests.repeated_writes import RepeatedWrites
from node.core.storage import delete_marks
from node.core.storage.remembered_names import RememberedNames
from tests.simulation.breaks import Breaks

OF_SECOND_HOMES = Breaks()


@OF_SECOND_HOMES.shown_by()
def a_home_that_hears_late_does_not_look_for_the_second_name() -> Iterator[None]:
    """The first home takes the write for one that no other home knows."""
    original = RepeatedWrites.find

    def find(self: RepeatedWrites, source: str, accept: Accept) -> Written | Declined | None:
        return None if is_drawn(accept.put.identity) else original(self, source, accept)

    with patch.object(RepeatedWrites, "find", find):
        yield


@OF_SECOND_HOMES.shown_by()
def no_replica_remembers_drawn_names() -> Iterator[None]:
    """All writes count as settled, so a second name brings a replaced value back."""
    with patch.object(RememberedNames, "_has", lambda self, identity: True):
        yield


@OF_SECOND_HOMES.shown_by()
def a_write_of_two_homes_is_called_settled() -> Iterator[None]:
    """Replicas forget the first name before the second has met it."""
    with patch.object(Drawing, "open", lambda self, number, now: None):
        yield


@contextmanager
def a_second_home_replaces_all_that_it_has() -> Iterator[None]:
    """It may have replaced the first name, and then both are gone when the names meet.

    A story shows it.
    """
    with patch.object(RepeatedWrites, "_unseen", lambda self, put: ()):
        yield


@contextmanager
def names_go_with_the_marks_of_their_deletes() -> Iterator[None]:
    """A second name of a delete comes late, and deletes what was written after the first.

    A story shows it.
    """
    with patch.object(delete_marks, "namings_of", lambda versions: {}):
        yield


@contextmanager
def a_context_does_not_name_open_writes() -> Iterator[None]:
    """A client replaces one name of a write, and the other stays.

    A story shows it.
    """

    def seen(self: RememberedNames, item: Item, now_ms: float) -> Past:
        return item.past

    with patch.object(RememberedNames, "seen", seen):
        yield
