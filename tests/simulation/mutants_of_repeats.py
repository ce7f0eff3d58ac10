"""Rules of writes that are sent again, each broken in one place.  (protocol D12.)"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import Mock, patch

from msgspec.structs import replace

from cluster.simulator import repeats
from node.core.model import item as items
from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version, without
from node.core.protocol.messages import Declined
from node.core.protocol.operations import Absent, Found, Outcome
from node.core.replication import sync_pages
from node.core.requests import read_answer
from node.core.requests.look_first import LookFirst
from node.core.requests.one_write import Write
from node.core.requests.repeated_writes import RepeatedWrites
from node.core.requests.write_under_way import Writes
from node.core.storage import keyspace, remembered_names
from node.core.storage.keyspace import ANYWHERE, ENCODER
from tests.simulation.breaks import Breaks

OF_REPEATS = Breaks(repeats.OF_SUITE.start, repeats.is_drawn)


@OF_REPEATS.shown_by()
def name_a_write_each_time_that_it_is_sent() -> Iterator[None]:
    """A home does not look for the first name."""
    with patch.object(RepeatedWrites, "find", lambda self, source, accept: None):
        yield


@OF_REPEATS.shown_by()
def show_both_names_of_a_write() -> Iterator[None]:
    """A write that two homes have named is two values."""
    with patch.object(Item, "distinct", lambda self: self.versions):
        yield


@OF_REPEATS.shown_by()
def forget_a_write_once_it_is_replaced() -> Iterator[None]:
    """What comes again after that is new."""
    with patch.object(remembered_names, "REPEATED_WITHIN_MS", -(10**12)):
        yield


@OF_REPEATS.shown_by()
def forget_the_names_of_writes_in_a_restart() -> Iterator[None]:
    """Only the cache has them."""

    def encode(item: object) -> bytes:
        if not isinstance(item, Item):
            return ENCODER.encode(item)
        past = item.past
        return ENCODER.encode(Item(item.versions, Past(past.base, past.loose, past.oldest_view)))

    with patch.object(keyspace, "ENCODER", Mock(encode=encode)):
        yield


@OF_REPEATS.shown_by()
def a_write_replaces_what_has_replaced_it() -> Iterator[None]:
    """Its origin has read that it is named already, and takes what it has read for what was before
    the write."""
    original = LookFirst.on_read

    def on_read(self: LookFirst, request: int, outcome: Outcome | None) -> Outcome | None:
        if isinstance(outcome, Found | Absent):
            outcome = replace(outcome, naming=None)
        return original(self, request, outcome)

    with patch.object(LookFirst, "on_read", on_read):
        yield


@contextmanager
def replace_one_name_of_a_write_alone() -> Iterator[None]:
    """A write that replaces another one under one name leaves it under the other name.

    A story shows it.
    """

    def without_these(item: Item, replaced: dict[Dot, Version], past: Past, *more: object) -> Item:
        return Item({d: v for d, v in item.versions.items() if d not in replaced}, past)

    with (
        patch.object(items, "without", without_these),
        patch.object(keyspace, "without", without_these),
    ):
        yield


@contextmanager
def contexts_name_no_writes() -> Iterator[None]:
    """A home does not know which write it was whose dot a context has, if it never had that dot.

    A story shows it.
    """

    def discard(item: Item, context: Past, here_alone: bool = False) -> Item:
        seen = {d: v for d, v in item.versions.items() if context.has(d)}
        past = item.past.joined(context.base, context.loose, context.oldest_view)
        return without(item, seen, past)

    with patch.object(keyspace, "discard", discard):
        yield


@contextmanager
def writes_that_replace_each_other_are_both_gone() -> Iterator[None]:
    """Two homes are sent two writes in turn, and each takes the first one for replaced.

    A story shows it.
    """

    def certainly(item: Item, replaced: dict[Dot, Version], past: Past, *more: object) -> Item:
        return without(item, replaced, past)

    with patch.object(keyspace, "without", certainly):
        yield


@contextmanager
def a_late_name_replaces_what_came_after_the_write() -> Iterator[None]:
    """A second home replaces versions whose writers had seen the write under its first name.

    A story shows it.
    """
    with patch.object(RepeatedWrites, "place_of", lambda self, put, again: ANYWHERE):
        yield


@contextmanager
def two_nodes_with_the_same_versions_do_not_tell_names() -> Iterator[None]:
    """A home then names a write anew over what has replaced it.

    A story shows it.
    """
    with patch.object(sync_pages, "_has_names", lambda space, keys: False):
        yield


@OF_REPEATS.shown_by()
def show_what_may_be_replaced_under_another_name() -> Iterator[None]:
    """Of two versions the one with the later timestamp, though the other may have replaced it."""
    with patch.object(read_answer, "without_doubtful", lambda item, *told: item):
        yield


@contextmanager
def one_home_refuses_for_all() -> Iterator[None]:
    """A client is told that a write is certainly not done, though another home was asked, too.

    A story shows it.
    """

    def on_declined(self: Writes, source: str, declined: Declined) -> Outcome | None:
        known = self.under_way.pop(declined.request, None) is not None
        return declined.outcome if known else None

    with patch.object(Writes, "on_declined", on_declined):
        yield


@contextmanager
def acks_of_two_names_are_added_up() -> Iterator[None]:
    """A level counts replicas that have the write under another name than the client is told.

    A story shows it.
    """

    def ack(self: Write, source: str, dot: Dot) -> None:
        self.acks.add(source)

    with patch.object(Write, "ack", ack):
        yield
