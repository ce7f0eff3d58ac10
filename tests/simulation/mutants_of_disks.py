"""Rules of disks that are copied, or put back as they were, each broken in one place.

(protocol D1, D7; docs/decisions/0035.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from node.core import replica
from node.core.membership import closing, disk_identity, known_views
from node.core.membership.closing import Closing
from node.core.membership.disk_identity import Identity
from node.core.membership.forgetting import forget_all
from node.core.membership.known_views import KnownViews
from node.core.model.actors import Actor, actor_of, view_of
from node.core.model.dots import Dot
from node.core.model.keys import Slot
from node.core.model.view import FIRST, NO_VIEW, ViewId
from node.core.protocol.mark import Mark
from node.core.protocol.operations import Outcome
from node.core.protocol.step import Step
from node.core.replication.pull import Repair
from node.core.requests.read_origin import ReadOrigin
from node.core.storage.row_scan import Scans
from node.core.storage.slot_groups import Parts
from tests.simulation.breaks import Breaks

OF_DISKS = Breaks()


@contextmanager
def a_run_writes_under_the_name_of_the_last() -> Iterator[None]:
    """The name of an actor comes from the disk alone.  A story shows it."""

    def actor_of_life(view: ViewId, node_id: str, run: str = "") -> Actor:
        return actor_of(view, node_id)

    with patch.object(known_views, "actor_of", actor_of_life):
        yield


@contextmanager
def parts_that_have_become_one_are_not_saved() -> Iterator[None]:
    """A restart finds two parts where peers were told of one, and a node is accused wrongly.

    A story shows it.
    """
    with patch.object(Parts, "_extents", lambda self: []):
        yield


@OF_DISKS.shown_by(copying=True)
def an_old_disk_is_taken_for_the_present_one() -> Iterator[None]:
    """No node objects to a mark or a row, and none to itself."""
    with (
        patch.object(Identity, "meet", lambda self, source, mark: True),
        patch.object(Identity, "_lacks_own", lambda self, row: False),
        patch.object(Identity, "_lacks_what_all_had", lambda self, stable: False),
        patch.object(Identity, "goes_with", lambda self, source, message: True),
        patch.object(Identity, "is_behind_itself", lambda self, *said: False),
        patch.object(Repair, "has_lost", lambda self, source, row, parts, oldest_view: False),
    ):
        yield


@contextmanager
def an_old_disk_counts_on_before_it_is_heard() -> Iterator[None]:
    """A view that an old disk has counted puts its mark above all that others have seen of it.

    A story shows it.
    """

    def contradicts(known: Mark, mark: Mark) -> bool:
        is_other_run = mark.generation == known.generation and mark.run != known.run
        return mark.generation < known.generation or is_other_run

    with patch.object(disk_identity, "_contradicts", contradicts):
        yield


@contextmanager
def an_old_disk_goes_on_claiming_what_it_had() -> Iterator[None]:
    """The new incarnation on old rows answers reads alone at once.  A story shows it."""
    original = Identity.begin_anew

    def begin_anew(self: Identity, reason: str, newest: ViewId = NO_VIEW) -> None:
        claims = [(part, set(part.complete_for)) for part in self._keyspace.parts]
        original(self, reason, newest)
        for part, whole in claims:
            part.complete_for |= whole
        self._keyspace.save_parts()

    with patch.object(Identity, "begin_anew", begin_anew):
        yield


@contextmanager
def an_old_disk_takes_part_in_a_view_again() -> Iterator[None]:
    """A node claims a view that it has reported before, and has forgotten with its disk.

    A story shows it.
    """
    with patch.object(Identity, "is_behind_itself", lambda self, *said: False):
        yield


@contextmanager
def an_old_disk_believes_a_oldest_view_that_it_has_not_reported() -> Iterator[None]:
    """A node hears that a view it is in is settled, and assumes that it has everything below.

    A story shows it.
    """
    with patch.object(Identity, "_is_in", lambda self, view, news: False):
        yield


@contextmanager
def a_restarted_node_counts_what_is_below_the_oldest_view_at_once() -> Iterator[None]:
    """A restarted node counts below the oldest view before a peer has seen whether its disk is old.

    A story shows it.
    """
    original = Parts.raise_oldest_view

    def raise_oldest_view(self: Parts, oldest_view: ViewId, need: set[ViewId]) -> None:
        original(self, oldest_view, need)
        self.count_below(oldest_view)

    with patch.object(Parts, "raise_oldest_view", raise_oldest_view):
        yield


@contextmanager
def a_mark_vouches_for_a_disk() -> Iterator[None]:
    """A peer that has heard the mark says so before it has looked at the row.  A story shows it."""

    def generation_of(self: Identity, address: str) -> int:
        mark = self._seen.get(self._incarnations.current(address) or "")
        return mark.generation if mark else 0

    with patch.object(Identity, "generation_of", generation_of):
        yield


@contextmanager
def a_restarted_node_answers_before_it_is_confirmed() -> Iterator[None]:
    """A node shows what its disk holds before any peer has seen whether it is old.

    A story shows it: the read must come within moments of the start.
    """
    with patch.object(
        KnownViews,
        "is_confirmed",
        property(lambda self: True, lambda self, value: None),
        create=True,
    ):
        yield


@contextmanager
def what_all_had_proves_nothing() -> Iterator[None]:
    """A node does not conclude from a peer's news that its disk lacks what it had told.

    A story shows it: the peer must be gone before they compare.
    """
    with patch.object(Identity, "_lacks_what_all_had", lambda self, stable: False):
        yield


@contextmanager
def comparisons_alone_show_an_old_disk() -> Iterator[None]:
    """A node does not look for its own writes in what else a peer says.  A story shows it."""
    with patch.object(Identity, "goes_with", lambda self, source, message: True):
        yield


@contextmanager
def what_a_past_run_has_lost_is_waited_for() -> Iterator[None]:
    """Nodes close whole incarnations, and never a run.  A story shows it."""
    with patch.object(Closing, "_is_over", lambda self, actor, nodes: False):
        yield


@contextmanager
def marks_wait_for_what_is_lost() -> Iterator[None]:
    """A node waits for good for what delete marks depend on.  A story shows it."""
    with patch.object(Closing, "_in_open_items", lambda self: iter(())):
        yield


@contextmanager
def what_another_shard_has_lost_is_not_looked_for_there() -> Iterator[None]:
    """The members of a shard doubt only what they miss themselves.  A story shows it."""
    with patch.object(Closing, "hear", lambda self, missed: None):
        yield


@contextmanager
def clients_that_do_not_wait_are_refused_for_ever() -> Iterator[None]:
    """A read that is refused at once leads to no doubt.  A story shows it."""
    original = ReadOrigin._on_read

    def on_read(self: ReadOrigin, request: int, outcome: Outcome | None) -> None:
        with patch.object(self._views, "miss", lambda dots: None):
            original(self, request, outcome)

    with patch.object(ReadOrigin, "_on_read", on_read):
        yield


@OF_DISKS.shown_by(copying=True)
def a_run_is_closed_while_a_member_has_more_of_it() -> Iterator[None]:
    """Gaps close as soon as all refuse what comes of a run, equal in it or not."""
    with patch.object(Repair, "_are_equal", lambda self, parts, incarnation: True):
        yield


@contextmanager
def old_rows_outlive_their_view() -> Iterator[None]:
    """A new incarnation merges rows of a retired view with what all others have."""
    with patch.object(Identity, "on_oldest_view", lambda self: None):
        yield


@contextmanager
def a_new_life_names_writes_in_the_view_of_its_old_rows() -> Iterator[None]:
    """It does so though no node has heard of it, and others may have retired that view."""

    def may_name(self: KnownViews) -> bool:
        return self.is_known or self.view.id != FIRST or not self.introducers

    with patch.object(KnownViews, "may_name", may_name):
        yield


@contextmanager
def a_new_life_that_is_alone_forgets_the_newer_view() -> Iterator[None]:
    """The disk does not keep what the objecting node knew of.  A story shows it."""
    with patch.object(KnownViews, "is_outdated", property(lambda self: False)):
        yield


@contextmanager
def who_forgets_everything_forgets_what_is_retired() -> Iterator[None]:
    """An old disk that meets this node alone then takes it for a node that knows less."""

    def forget(views: KnownViews, rows: Scans, step: Step) -> None:
        views.history.oldest_view = NO_VIEW
        forget_all(views, rows, step)

    with patch.object(replica, "forget_all", forget):
        yield


@contextmanager
def what_a_broken_off_exchange_brought_has_no_name() -> Iterator[None]:
    """All members agree that none has a write of the lost incarnation, and one has it.

    A story shows it.
    """
    with patch.object(closing, "count_reached", lambda keyspace, transfers: None):
        yield


@contextmanager
def share_the_dots_of_slots_that_are_not_ours() -> Iterator[None]:
    """The dots of a copied disk's own slots join the clocks of all slots of its new shard.

    A story shows it.
    """

    def note(self: Parts, dot: Dot, slot: Slot) -> None:
        its = self.at(slot)
        for part in self:
            if part is its or (part.owned and view_of(dot[0]) == self.view):
                part.clock.add(dot)

    with patch.object(Parts, "note", note):
        yield


@contextmanager
def a_restarted_node_names_writes_before_it_is_confirmed() -> Iterator[None]:
    """A node that other nodes have heard of names writes at once.  A story shows it."""

    def may_name(self: KnownViews) -> bool:
        return self.is_heard_of() and (self.view.id == FIRST or bool(self.naming.name))

    with patch.object(KnownViews, "may_name", may_name):
        yield


@contextmanager
def a_past_incarnation_lives_on() -> Iterator[None]:
    """A node whose address has had a later incarnation claims it again.  A story shows it."""
    with patch.object(Identity, "lives_on", lambda self, *told: True):
        yield
