"""Rules of what a node may say of its past, each broken in one place.

They are about its log, its claims, and what its deletes depended on.  No random run shows them;
`directed_past.py` has a story of each.  (models/README.md; protocol D5, D6, D9.4, D10 R4-R6.)
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from node.core.membership.known_views import KnownViews
from node.core.model.dots import Dot, Vector
from node.core.model.item import Item
from node.core.model.view import ViewId
from node.core.protocol.messages import Accept, CannotDecide, Declined
from node.core.requests.coverage import Need
from node.core.requests.write_home import Home
from node.core.storage.key_log import KeyLog
from node.core.storage.keyspace import Keyspace


@contextmanager
def prune_the_key_log_at_once() -> Iterator[None]:
    """A node drops the log of what it has, though a peer is away that will ask for it."""
    original = KeyLog.drop_below

    def drop_below(self: KeyLog, low: Vector) -> None:
        original(self, {actor: max(numbers) for actor, numbers in self._keys.items()})

    with (
        patch.object(KeyLog, "has_below", lambda self, low: self.entries > 0),
        patch.object(KeyLog, "drop_below", drop_below),
    ):
        yield


@contextmanager
def claim_every_view_that_names_us() -> Iterator[None]:
    """An owner of some view has what its owners held, though it may have forgotten it since."""
    original = KnownViews._take_over

    def take_over(self: KnownViews, begun: ViewId | None) -> None:
        original(self, begun)
        parts = self._keyspace.parts
        for view in self.history.views.values():
            parts.skip(view.slots_of(self.address) & parts.owned_slots, view.id)

    with patch.object(KnownViews, "_take_over", take_over):
        yield


@contextmanager
def delete_marks_do_not_travel() -> Iterator[None]:
    """A delete removes the value everywhere, and only its home knows what it depended on."""
    original = Keyspace.take

    def take(self: Keyspace, key: str, incoming: Item, dots: Iterable[Dot], *rest: Any) -> None:
        live = Item(incoming.live(), incoming.past)
        original(self, key, live, (*incoming.versions, *dots), *rest)

    with patch.object(Keyspace, "take", take):
        yield


@contextmanager
def homes_judge_deletes_by_the_readers_token_alone() -> Iterator[None]:
    """Only reads check what the versions at a node depend on within the key."""
    original = Home._decline

    def decline(self: Home, accept: Accept) -> Declined | CannotDecide | None:
        with patch.object(Need, "to_show", lambda *_: {}):
            return original(self, accept)

    with patch.object(Home, "_decline", decline):
        yield
