"""Rules of the native API, each broken in one place."""

from collections.abc import Iterator
from unittest.mock import patch

from node.core.protocol.operations import RefuseWhen
from node.core.requests.write_home import Home
from tests.simulation.breaks import Breaks

OF_THE_API = Breaks()


@OF_THE_API.shown_by()
def judge_a_condition_before_the_past_has_arrived() -> Iterator[None]:
    """A home that lacks rows of a slot says what the key shows."""
    with patch.object(Home, "_is_sure", lambda self, key: True):
        yield


@OF_THE_API.shown_by()
def take_a_write_whose_condition_does_not_hold() -> Iterator[None]:
    """If-Match and If-None-Match mean nothing."""
    with patch.object(RefuseWhen, "rejects", lambda self, tag: False):
        yield
