"""Rules about nodes of which no node has heard, each broken in one place.

directed_unheard.py has the stories that show it.  (docs/decisions/0030.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from node.core.membership.disk_identity import Identity
from node.core.membership.gossip import Gossiping
from node.core.membership.known_views import KnownViews
from node.core.membership.proposals import Proposals
from node.core.membership.view_history import ViewHistory
from node.core.model.actors import view_of
from node.core.protocol.messages import DeclaredRuns
from node.core.protocol.operations import Propose


@contextmanager
def tell_views_to_whoever_is_named() -> Iterator[None]:
    """A node tells views to every node that is named, also if it does not know its incarnation."""
    with patch.object(Gossiping, "_may_be_told", lambda self, peer: True):
        yield


@contextmanager
def unlisted_peers_tell_of_views() -> Iterator[None]:
    """A node tells of views although no node waits for it."""
    with patch.object(KnownViews, "is_waited_for", lambda self: True):
        yield


@contextmanager
def give_up_who_has_its_view_from_its_settings() -> Iterator[None]:
    """An unheard node counts as one that never lived."""
    with patch.object(
        ViewHistory, "was_only_named", lambda self, node: node not in self.current.nodes
    ):
        yield


@contextmanager
def give_up_whom_a_lost_node_may_have_told() -> Iterator[None]:
    """An unheard node is given up although a node is declared lost that may have told it.

    It does not notice when it hears of that.
    """
    original = KnownViews.waited_for

    def waited_for(self: KnownViews) -> list[str]:
        heard = (n for n in original(self) if self.incarnations.current(n) is not None)
        return [*heard, *(n for n in self.view.nodes if self.incarnations.current(n) is None)]

    with (
        patch.object(KnownViews, "waited_for", waited_for),
        patch.object(Identity, "is_behind_itself", lambda self, *said: False),
    ):
        yield


@contextmanager
def reports_count_without_the_views_of_their_nodes() -> Iterator[None]:
    """A node waits only for the nodes of the views that it knows, and learns of no other."""
    with (
        patch.object(ViewHistory, "has_all", lambda self, views: True),
        patch.object(Gossiping, "_complete", lambda self, source, views: None),
    ):
        yield


@contextmanager
def names_of_retired_runs_are_not_learned() -> Iterator[None]:
    """A node that has not heard the last report cannot be understood."""

    def on_declared_runs(self: Gossiping, source: str, message: DeclaredRuns) -> None:
        oldest_view = self._views.history.oldest_view
        chains = [links for links in message.chains if view_of(links[0][0]) >= oldest_view]
        self._keyspace.runs.merge(chains)

    with patch.object(Gossiping, "on_declared_runs", on_declared_runs):
        yield


@contextmanager
def a_node_proposes_in_a_view_that_may_be_retired() -> Iterator[None]:
    """A node takes the view of its settings or of its disk for the current one.

    No other node has heard of its incarnation, or of its run.
    """

    def may(self: Proposals, propose: Propose | None = None) -> bool:
        return self._views.is_confirmed and self._views.address in self._views.view.nodes

    with patch.object(Proposals, "_may", may):
        yield
