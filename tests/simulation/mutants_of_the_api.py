"""Rules of the native API, each broken in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.item import Item
from node.core.protocol.operations import Put
from node.core.requests.expiring import Expiring
from node.core.requests.write_home import Home
from tests.simulation.breaks import Breaks

OF_THE_API = Breaks()


@contextmanager
def judge_a_condition_before_the_past_has_arrived() -> Iterator[None]:
    """A home that lacks rows of a slot says what the key shows.  A story shows it."""
    with patch.object(Home, "_is_sure", lambda self, key: True):
        yield


@OF_THE_API.shown_by()
def take_a_write_whose_condition_does_not_hold() -> Iterator[None]:
    """If-Match and If-None-Match mean nothing."""
    with patch.object(RefuseWhen, "rejects", lambda self, tag: False):
        yield


@contextmanager
def show_what_has_expired() -> Iterator[None]:
    """Only the delete that follows ends a value.  A story shows it."""
    with patch.object(Item, "at", lambda self, now_ms: self):
        yield


@contextmanager
def delete_what_stands_beside_an_expired_value() -> Iterator[None]:
    """The delete has seen all that its node holds of the key.  A story shows it."""

    def delete_expired(self: Expiring, key: str, upto_ms: int) -> None:
        item = self._keyspace.filled(key)
        if any(0 < version.expires <= upto_ms for version in item.live().values()):
            self._delete(Put(key, None, Mode.SIBLINGS, context=item.past, expires=upto_ms))

    with patch.object(Expiring, "_delete_expired", delete_expired):
        yield
