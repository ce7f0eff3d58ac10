"""Rules of views, each broken in one place: the list of the live-view model, on the real core.

Those that random runs break too rarely have a story each; some of them are in a module of their own
beside this one. test_models_list.py has the whole list.  (models/README.md; protocol D10, R1-R8.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from node.core.membership import known_views
from node.core.membership.disk_identity import Identity
from node.core.membership.known_views import KnownViews
from node.core.membership.leaving import Leaving
from node.core.membership.proposals import Proposals
from node.core.membership.view_change import ViewChange
from node.core.membership.view_history import ViewHistory
from node.core.model.actors import Actor, actor_of
from node.core.model.dots import Dot, DotClock
from node.core.model.options import Options
from node.core.model.slots import from_bytes
from node.core.model.token import Token
from node.core.model.view import FIRST, View, ViewId
from node.core.protocol import messages
from node.core.protocol.messages import ItemPage, Pull
from node.core.protocol.operations import Get, Propose
from node.core.replication import sync_pages
from node.core.requests.coverage import Missing, Need
from node.core.requests.write_home import Home
from node.core.storage.keyspace import Keyspace
from node.core.storage.slot_groups import Part, Parts
from node.core.storage.written_since import NOT_HERE, key_within
from tests.simulation.breaks import Breaks

OF_VIEWS = Breaks()


@contextmanager
def propose_for_others_in_no_view() -> Iterator[None]:
    """A node that has forgotten its view begins another one when a node forwards a request.

    A story shows it.
    """
    original = Proposals._may

    def may(self: Proposals, propose: Propose | None = None) -> bool:
        return not self._views.view.number or original(self, propose)

    with patch.object(Proposals, "_may", may):
        yield


@contextmanager
def propose_below_a_view_that_tokens_name() -> Iterator[None]:
    """Clients that have met a view that is lost are refused for ever, also in the next view.

    A story shows it.
    """
    with patch.object(ViewHistory, "hear_of", lambda self, view: None):
        yield


@contextmanager
def stay_away_from_a_view_that_no_node_leads() -> Iterator[None]:
    """A node that has forgotten its view never comes back into it, though all of its nodes have.

    A story shows it.
    """
    with patch.object(ViewChange, "_is_needed_again", lambda self, message, newest: False):
        yield


@contextmanager
def leave_without_naming_what_came() -> Iterator[None]:
    """Rows of an exchange that broke off are dropped when the owners have all that clocks name.

    A story shows it.
    """
    with patch.object(Leaving, "_has_named_what_came", lambda self, slots: True):
        yield


# ------------------------------------------------------------------ R1, R2: adopt and write


@OF_VIEWS.shown_by(changes=1)
def the_actor_outlives_its_view() -> Iterator[None]:
    """A node goes on counting where its slots leave it."""

    def first_actor_of(view: ViewId, node_id: str, run: str = "") -> Actor:
        return actor_of(FIRST, node_id, run)

    with patch.object(known_views, "actor_of", first_actor_of):
        yield


@contextmanager
def handle_messages_of_other_views() -> Iterator[None]:
    """Acks, rows and pages count, whatever their view and their mark."""
    with (
        patch.object(messages, "BOUND_TO_VIEW", frozenset()),
        patch.object(Identity, "meet", lambda self, source, mark: True),
    ):
        yield


@contextmanager
def the_losers_owners_forget_what_they_took_in() -> Iterator[None]:
    """A node acts as if a view that another has beaten had never been."""
    original = KnownViews._take_over

    def take_over(self: KnownViews, begun: ViewId | None) -> None:
        original(self, begun)
        if self.previous is not None and self.previous.id not in self.view.ancestors:
            _forget_all(self)

    with patch.object(KnownViews, "_take_over", take_over):
        yield


@OF_VIEWS.shown_by(changes=1)
def coordinate_without_owning() -> Iterator[None]:
    """The asked node names the write, owner or not."""
    with patch.object(Home, "_owns", lambda self, key: True):
        yield


@contextmanager
def name_writes_before_anybody_knows_us() -> Iterator[None]:
    """A node names writes in the view of its settings, which an earlier incarnation may have
    retired."""
    with patch.object(KnownViews, "may_name", lambda self: True):
        yield


# ------------------------------------------------------------------ R3: exchange


@OF_VIEWS.shown_by(changes=1)
def a_slot_starts_with_the_nodes_clock() -> Iterator[None]:
    """A node takes it that a gained slot has what its other slots have."""
    original = Parts.adopt

    def adopt(self: Parts, *rest: Any) -> None:
        before, clocks = self._all_slots(), [part.clock.copy() for part in self]
        original(self, *rest)
        gained = [part for part in self.owned() if not part.slots & before]
        for part in gained:
            for clock in clocks:
                part.clock.join(clock)

    with patch.object(Parts, "adopt", adopt):
        yield


@OF_VIEWS.shown_by(changes=3)
def a_slot_starts_with_the_oldest_view() -> Iterator[None]:
    """A node takes it that a gained slot has what the retired views wrote."""
    original = KnownViews._take_over

    def take_over(self: KnownViews, begun: ViewId | None) -> None:
        original(self, begun)
        for part in self._keyspace.parts.owned():
            part.clock.raise_oldest_view(self.history.oldest_view)

    with patch.object(KnownViews, "_take_over", take_over):
        yield


@OF_VIEWS.shown_by(changes=1)
def a_pruned_dot_is_skipped() -> Iterator[None]:
    """A page has a dot without its item where the log does not know the dot."""

    def page(
        space: Keyspace, pull: Pull, part: Part, snapshot: DotClock, options: Options
    ) -> ItemPage:
        missing = snapshot.missing_from(pull.clock)
        slots = from_bytes(pull.slots) & part.slots
        keys = {dot: key_within(space.log, dot, slots) for dot in missing}
        known: dict[Dot, str] = {dot: key for dot, key in keys.items() if key is not None}
        sent = sync_pages._page_of_dots(space, pull, part, snapshot, known, options)
        sent.dots.update((dot, NOT_HERE) for dot, key in keys.items() if key is None)
        return sent

    with patch.object(sync_pages, "_page_of_rows", page):
        yield


# ------------------------------------------------------------------ R4: forget


def _forget_all(self: KnownViews | Leaving) -> None:
    for part in self._keyspace.parts.outgoing():
        self._keyspace.forget(part.slots)


@OF_VIEWS.shown_by(changes=1)
def forget_without_acks() -> Iterator[None]:
    """A node drops slots of others without waiting for their acks."""
    with patch.object(Leaving, "forget", _forget_all):
        yield


@OF_VIEWS.shown_by(changes=1)
def forget_after_the_first_ack() -> Iterator[None]:
    """One owner's ack is enough."""

    def forget(self: Leaving) -> None:
        for part in self._keyspace.parts.outgoing():
            for row in self._repair.progress.values():
                if covered := part.slots & row.covers(part, part.clock, set()):
                    self._keyspace.forget(covered)
                    return

    with patch.object(Leaving, "forget", forget):
        yield


# ------------------------------------------------------------------ R5, R6: read


@OF_VIEWS.shown_by(changes=1)
def answer_before_the_slot_has_arrived() -> Iterator[None]:
    """An owner says what it has, from the start."""
    with patch.object(ViewHistory, "need", lambda self: {self.current.id}):
        yield


@OF_VIEWS.shown_by(changes=3)
def drop_the_entries_of_older_views() -> Iterator[None]:
    """A token keeps only what the current view wrote."""
    original = Token.in_view

    def in_view(self: Token, view: ViewId, oldest_view: ViewId) -> Token:
        return original(self, view, view)

    with patch.object(Token, "in_view", in_view):
        yield


@OF_VIEWS.shown_by("cut in two", changes=3)
def an_unknown_view_does_not_matter() -> Iterator[None]:
    """A node does not wait for what was written in a view that it does not know."""
    original, slots_of = Need.of, KnownViews.slots_of_actor

    def of(self: Need, token: Token, *rest: Any) -> Missing:
        known = {dot: tag for dot, tag in token.exact.items() if not self.elsewhere(dot[0])}
        return original(self, Token(token.floor, known, token.keys, token.timestamp), *rest)

    def slots_of_actor(self: KnownViews, actor: Actor) -> int:
        return slots_of(self, actor) or 0

    with (
        patch.object(Need, "of", of),
        patch.object(KnownViews, "slots_of_actor", slots_of_actor),
    ):
        yield


@contextmanager
def judge_tokens_of_newer_views() -> Iterator[None]:
    """A node in an older view answers by what it knows."""
    original = Need.to_show

    def to_show(self: Need, get: Get, *rest: Any) -> Missing:
        token = Token(get.token.floor, get.token.exact, get.token.keys, get.token.timestamp)
        return original(self, Get(get.key, get.mode, token, get.scope), *rest)

    with patch.object(Need, "to_show", to_show):
        yield


# ------------------------------------------------------------------ R7, R8: retire and replace


@OF_VIEWS.shown_by(changes=1)
def report_before_all_owners_have_it() -> Iterator[None]:
    """A node says at once that it has left its past."""

    def report(self: Leaving) -> bool:
        views, view, history = self._views, self._views.view, self._views.history
        reported = history.reports.get(views.node_id)
        if history.settled or reported == view.id or not view.number:
            return False
        history.report(views.node_id)
        views.save()
        return True

    with patch.object(Leaving, "report", report):
        yield


@OF_VIEWS.shown_by(changes=3)
def retire_on_the_reports_of_the_present_members() -> Iterator[None]:
    """A node that left with an older view is not asked."""
    original = KnownViews.waited_for

    def waited_for(self: KnownViews) -> list[str]:
        return [node for node in original(self) if node in self.view.nodes]

    with patch.object(KnownViews, "waited_for", waited_for):
        yield


@contextmanager
def propose_from_outside() -> Iterator[None]:
    """A node that has left proposes a view that does not know later ones, and tells of it."""
    with (
        patch.object(Proposals, "_may", lambda self, propose=None: True),
        patch.object(KnownViews, "is_waited_for", lambda self: True),
    ):
        yield


@contextmanager
def nobody_replaces_a_lost_member() -> Iterator[None]:
    """A view that names an incarnation that is over stays as it is.

    A story shows it: all owners of a slot must lose their disks before they hear of their view.
    """
    with patch.object(KnownViews, "is_orphaned", lambda self: False):
        yield


@contextmanager
def a_view_id_names_the_proposers_address() -> Iterator[None]:
    """A proposer whose disk was lost makes another view of the same name."""
    original = ViewHistory.propose

    def propose(self: ViewHistory, layout: Any, node_id: str, *rest: Any) -> View:
        return original(self, layout, "whoever proposes", *rest)

    with patch.object(ViewHistory, "propose", propose):
        yield


@contextmanager
def nothing_is_claimed_for_a_skipped_view() -> Iterator[None]:
    """Slots wait for a view in which no node took part."""
    with patch.object(Parts, "skip", lambda self, slots, view: None):
        yield
