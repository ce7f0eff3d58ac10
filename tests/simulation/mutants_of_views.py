"""Rules of views, each broken in one place: the list of the live-view model, on the real core.

Those that chance breaks too rarely have a story each, some of them in a room of their own beside
this one; test_models_list.py has the whole list.  (models/README.md; protocol D10, R1-R8.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from node.core import exchange, moving, replica
from node.core.changes import NOT_HERE, key_within
from node.core.clock import Clock, Dot
from node.core.history import History
from node.core.home import Home
from node.core.judging import Missing, Need
from node.core.keyspace import Keyspace
from node.core.messages import Get, Page, Pull
from node.core.moving import Moving
from node.core.parts import Part, Parts, from_bytes
from node.core.proposing import Proposals
from node.core.token import Token
from node.core.view import FIRST, Actor, View, ViewId, actor_of
from tests.simulation.breaks import Breaks

OF_VIEWS = Breaks()

# ------------------------------------------------------------------ R1, R2: adopt and write


@OF_VIEWS.shown_by(changes=1)
def the_actor_outlives_its_view() -> Iterator[None]:
    """A node goes on counting where its slots leave it."""

    def first_actor_of(view: ViewId, node_id: str) -> Actor:
        return actor_of(FIRST, node_id)

    with patch.object(moving, "actor_of", first_actor_of):
        yield


@contextmanager
def handle_messages_of_other_views() -> Iterator[None]:
    """Acks, rows and pages count, whatever view they were sent in."""
    with patch.object(replica, "BOUND_TO_VIEW", frozenset()):
        yield


@contextmanager
def the_losers_owners_forget_what_they_took_in() -> Iterator[None]:
    """A view that another has beaten is taken not to have been."""
    original = Moving._take_over

    def take_over(self: Moving, claim: ViewId | None) -> None:
        original(self, claim)
        if self.previous is not None and self.previous.id not in self.view.ancestors:
            _forget_all(self)

    with patch.object(Moving, "_take_over", take_over):
        yield


@OF_VIEWS.shown_by(changes=1)
def coordinate_without_owning() -> Iterator[None]:
    """Whoever is asked names the write."""
    with patch.object(Home, "_owns", lambda self, key: True):
        yield


@OF_VIEWS.shown_by("wipe")
def name_writes_before_anybody_knows_us() -> Iterator[None]:
    """In the view of its settings, which may have been retired with an earlier life."""
    with patch.object(Moving, "may_name", lambda self: True):
        yield


# ------------------------------------------------------------------ R3: exchange


@OF_VIEWS.shown_by(changes=1)
def a_slot_starts_with_the_nodes_clock() -> Iterator[None]:
    """A gained slot is taken to have what the others have."""
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
def a_slot_starts_with_the_floor() -> Iterator[None]:
    """A gained slot is taken to have what the retired views wrote."""
    original = Moving._take_over

    def take_over(self: Moving, claim: ViewId | None) -> None:
        original(self, claim)
        for part in self._keyspace.parts.owned():
            part.clock.raise_floor(self.history.floor)

    with patch.object(Moving, "_take_over", take_over):
        yield


@OF_VIEWS.shown_by(changes=1)
def a_pruned_dot_is_skipped() -> Iterator[None]:
    """What the log does not know is sent as a dot without its item."""

    def page(space: Keyspace, pull: Pull, part: Part, snapshot: Clock) -> Page:
        missing = snapshot.missing_from(pull.clock)
        slots = from_bytes(pull.slots) & part.slots
        keys = {dot: key_within(space.log, dot, slots) for dot in missing}
        known: dict[Dot, str] = {dot: key for dot, key in keys.items() if key is not None}
        sent = exchange._page_of_dots(space, pull, part, snapshot, known)
        sent.dots.update((dot, NOT_HERE) for dot, key in keys.items() if key is None)
        return sent

    with patch.object(exchange, "_page_of_rows", page):
        yield


# ------------------------------------------------------------------ R4: forget


def _forget_all(self: Moving) -> None:
    for part in self._keyspace.parts.held():
        self._keyspace.forget(part.slots)


@OF_VIEWS.shown_by(changes=1)
def forget_without_acks() -> Iterator[None]:
    """What belongs to others is theirs to keep."""
    with patch.object(Moving, "forget", _forget_all):
        yield


@OF_VIEWS.shown_by(changes=1)
def forget_after_the_first_ack() -> Iterator[None]:
    """One owner is enough."""

    def forget(self: Moving) -> None:
        for part in self._keyspace.parts.held():
            for row in self._repair.rows.values():
                if covered := part.slots & row.covers(part, part.clock, set()):
                    self._keyspace.forget(covered)
                    return

    with patch.object(Moving, "forget", forget):
        yield


# ------------------------------------------------------------------ R5, R6: read


@OF_VIEWS.shown_by(changes=1)
def answer_before_the_slot_has_arrived() -> Iterator[None]:
    """An owner says what it has, from the start."""
    with patch.object(History, "need", lambda self: {self.current.id}):
        yield


@OF_VIEWS.shown_by(changes=3)
def drop_the_entries_of_older_views() -> Iterator[None]:
    """A token keeps what the current view wrote."""
    original = Token.in_view

    def in_view(self: Token, view: ViewId, floor: ViewId) -> Token:
        return original(self, view, view)

    with patch.object(Token, "in_view", in_view):
        yield


@OF_VIEWS.shown_by("cut in two", changes=3)
def an_unknown_view_does_not_matter() -> Iterator[None]:
    """What was written in a view that is not known here is not waited for."""
    original, slots_of = Need.of, Moving.slots_of_actor

    def of(self: Need, token: Token, *rest: Any) -> Missing:
        known = {dot: tag for dot, tag in token.exact.items() if not self.elsewhere(dot[0])}
        return original(self, Token(token.floor, known, token.keys, token.stamp), *rest)

    def slots_of_actor(self: Moving, actor: Actor) -> int:
        return slots_of(self, actor) or 0

    with (
        patch.object(Need, "of", of),
        patch.object(Moving, "slots_of_actor", slots_of_actor),
    ):
        yield


@contextmanager
def judge_tokens_of_newer_views() -> Iterator[None]:
    """A node in an older view answers by what it knows."""
    original = Need.to_show

    def to_show(self: Need, get: Get, *rest: Any) -> Missing:
        token = Token(get.token.floor, get.token.exact, get.token.keys, get.token.stamp)
        return original(self, Get(get.key, get.mode, token, get.scope), *rest)

    with patch.object(Need, "to_show", to_show):
        yield


# ------------------------------------------------------------------ R7, R8: retire and replace


@OF_VIEWS.shown_by(changes=1)
def report_before_all_owners_have_it() -> Iterator[None]:
    """A node says at once that it has left its past."""

    def report(self: Moving) -> bool:
        view, reports = self.view, self.history.reports
        if self.history.settled or reports.get(self.node_id) == view.id or not view.number:
            return False
        reports[self.node_id] = view.id
        self.save()
        return True

    with patch.object(Moving, "report", report):
        yield


@OF_VIEWS.shown_by(changes=3)
def retire_on_the_reports_of_the_present_members() -> Iterator[None]:
    """Whoever left with an older view is not asked."""
    original = Moving.waited_for

    def waited_for(self: Moving) -> list[str]:
        return [node for node in original(self) if node in self.view.nodes]

    with patch.object(Moving, "waited_for", waited_for):
        yield


@contextmanager
def propose_from_outside() -> Iterator[None]:
    """A node that has left proposes a view that does not know what came since."""
    with patch.object(Proposals, "_may", lambda self: True):
        yield


@OF_VIEWS.shown_by("wipe", changes=1)
def nobody_replaces_a_lost_member() -> Iterator[None]:
    """A view that names a life that is over stays as it is."""
    with patch.object(Moving, "is_orphaned", lambda self: False):
        yield


@contextmanager
def a_view_id_names_the_proposers_address() -> Iterator[None]:
    """A proposer whose disk was lost makes another view of the same name."""
    original = History.propose

    def propose(self: History, layout: Any, node_id: str, *rest: Any) -> View:
        return original(self, layout, "whoever proposes", *rest)

    with patch.object(History, "propose", propose):
        yield


@contextmanager
def nothing_is_claimed_for_a_skipped_view() -> Iterator[None]:
    """Slots wait for a view that nobody took part in."""
    with patch.object(Parts, "skip", lambda self, slots, view: None):
        yield
