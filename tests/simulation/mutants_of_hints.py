"""Rules of hints, each broken in one place.  (protocol P-3.)"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from cluster.simulator import hinted
from node.core.protocol.hints import HandOver, TakenOver
from node.core.requests.hint_holder import HintHolder
from node.core.requests.write_replica import WriteReplica
from node.core.storage.hints import Hints, Kept
from tests.simulation.breaks import Breaks

OF_HINTS = Breaks(hinted.OF_SUITE.start, hinted.is_drawn)


@OF_HINTS.shown_by()
def drop_a_hint_before_its_target_has_it() -> Iterator[None]:
    """The holder does not wait for the answer."""
    original = HintHolder._hand_over

    def hand_over(self: HintHolder, number: int, owner: str) -> None:
        original(self, number, owner)
        self._drop(number)

    with patch.object(HintHolder, "_hand_over", hand_over):
        yield


@OF_HINTS.shown_by(changes=1)
def hand_a_hint_over_to_a_node_that_owns_the_slot_no_more() -> Iterator[None]:
    """The hint goes to its target in every view, and the target says that it needs it no more."""
    original = WriteReplica.on_hand_over

    def left(self: HintHolder, number: int, kept: Kept) -> list[str]:
        return [kept.target] if kept.target not in self._taken.get(number, ()) else []

    def on_hand_over(self: WriteReplica, source: str, message: HandOver) -> None:
        if self._owns(message.key):
            original(self, source, message)
        else:
            self._step.tell(source, TakenOver(message.number, message.dot))

    with (
        patch.object(HintHolder, "_left", left),
        patch.object(WriteReplica, "on_hand_over", on_hand_over),
    ):
        yield


@contextmanager
def a_holder_reports_before_its_hints_are_handed_over() -> Iterator[None]:
    """Views are retired while only hints have a write of them.  A story shows it."""
    with patch.object(Hints, "below", lambda self, view: iter(())):
        yield


@contextmanager
def one_owner_is_enough_for_a_hint_of_an_older_view() -> Iterator[None]:
    """The holder waits for no other owner of the present view.  A story shows it."""
    original = HintHolder._left

    def left(self: HintHolder, number: int, kept: Kept) -> list[str]:
        return [] if self._taken.get(number) else original(self, number, kept)

    with patch.object(HintHolder, "_left", left):
        yield


@contextmanager
def hints_bring_writes_of_ended_incarnations() -> Iterator[None]:
    """What members have closed comes in after that.  A story shows it."""
    with (
        patch.object(WriteReplica, "_has_ended", lambda self, actor: False),
        patch("node.core.membership.known_views.KnownViews.is_refused", lambda self, actor: False),
    ):
        yield
