"""Rules of what a node may say of its past, each broken in one place: its log, its claims, what
its deletes depended on.

No run of chance shows them: `directed_past.py` tells of each.  (models/README.md; protocol D5, D6,
D9.4, D10 R4-R6.)
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from node.core.clock import Dot, Vector
from node.core.keylog import KeyLog
from node.core.keyspace import Keyspace
from node.core.moving import Moving
from node.core.siblings import Item
from node.core.view import ViewId


@contextmanager
def prune_the_key_log_at_once() -> Iterator[None]:
    """What this node has is not asked for any more, whoever is away."""
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
    original = Moving._take_over

    def take_over(self: Moving, claim: ViewId | None) -> None:
        original(self, claim)
        parts = self._keyspace.parts
        for view in self.history.views.values():
            parts.skip(view.slots_of(self.address) & parts.owned_slots, view.id)

    with patch.object(Moving, "_take_over", take_over):
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
