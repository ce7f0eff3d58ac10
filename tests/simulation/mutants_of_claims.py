"""Rules of what a client may claim, each broken in one place.

It claims a token of its cluster, a timestamp, and writes.  (protocol D9, D11; docs/decisions/0028.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from node.core.membership.known_views import KnownViews
from node.core.model import token
from node.core.model.actors import short_name
from node.core.model.cluster_name import Names, Naming
from node.core.model.item import Past
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol.operations import Rejected, Unavailable
from node.core.requests import admission
from node.core.requests.admission import Admission
from tests.simulation.breaks import Breaks

OF_CLAIMS = Breaks()


@OF_CLAIMS.shown_by()
def take_whatever_a_client_claims() -> Iterator[None]:
    """A node stores what is of another cluster, and gives it to every reader."""
    with patch.object(Admission, "_refusal", lambda self, operation: None):
        yield


@OF_CLAIMS.shown_by()
def hand_on_any_stamp() -> Iterator[None]:
    """A timestamp that no clock shows goes from a token to all that depends on it."""
    with (
        patch.object(token, "bounded", lambda stamp, now: stamp),
        patch.object(admission, "bounded", lambda stamp, now: stamp),
    ):
        yield


@OF_CLAIMS.shown_by()
def wait_for_what_this_node_never_named() -> Iterator[None]:
    """A node waits for a dot above its own counter, though only it could name that."""
    with patch.object(admission, "_above", lambda dots, keyspace: ""):
        yield


@OF_CLAIMS.shown_by()
def believe_in_tokens_without_a_name() -> Iterator[None]:
    """A node accepts tokens of a version without names, whatever cluster they are of."""
    original = Admission._unlike_ours

    def unlike_ours(self: Admission, token: Token, context: Past) -> Rejected | Unavailable | None:
        return original(self, token, context) if token.name else None

    with patch.object(Admission, "_unlike_ours", unlike_ours):
        yield


@contextmanager
def call_foreign_what_is_not_known_yet() -> Iterator[None]:
    """A node calls a name of which it has not heard another cluster's, at once.

    A story shows it: runs seldom begin apart.
    """
    with patch.object(KnownViews, "knows_all_names", lambda self: True):
        yield


@contextmanager
def a_new_life_on_old_rows_begins_a_name() -> Iterator[None]:
    """A new incarnation goes under its own name, though its disk knows names of the cluster.

    A story shows it: the node that was down meanwhile must be the first to see the name.
    """
    original = Naming.take

    def take(self: Naming, name: str) -> bool:
        return original(self, name or self._short)

    with patch.object(Naming, "take", take):
        yield


@contextmanager
def a_view_of_ones_own_is_enough_to_write() -> Iterator[None]:
    """A node that has proposed a view goes under its own name in it, though no node has heard of
    it.

    A story shows it.
    """
    original = KnownViews.take_name

    def take_name(self: KnownViews, name: str = "", names: Names | None = None) -> None:
        is_beyond = self.view.id > FIRST and not self.naming.name
        original(self, name or (short_name(self.node_id) if is_beyond else ""), names)

    with patch.object(KnownViews, "take_name", take_name):
        yield
