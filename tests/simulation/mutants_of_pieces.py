"""Rules of items that are too large for one message, each broken in one place.  (protocol D5.)"""

from collections.abc import Collection, Iterator
from typing import Any
from unittest.mock import patch

from node.core.model.dots import Dot
from node.core.model.item import Item, Past
from node.core.protocol.messages import Accept, Declined
from node.core.protocol.pieces import Pieces, piece_of
from node.core.replication import sync_pages
from node.core.requests import read_owner, read_repair, write_home, write_replica
from node.core.requests.write_home import Home
from tests.simulation.breaks import Breaks

OF_PIECES = Breaks()


@OF_PIECES.shown_by()
def take_a_piece_for_the_whole() -> Iterator[None]:
    """A node believes the past of an item beside the first of its versions."""

    def add(self: Pieces, source: str, piece: Item, rest: Collection[Dot], here: Item) -> Item:
        return piece

    with patch.object(Pieces, "add", add):
        yield


@OF_PIECES.shown_by()
def cut_off_the_end_of_a_page() -> Iterator[None]:
    """A page says nothing of the versions for which it has no room."""

    def without_names(*of: Any) -> tuple[Item, tuple[Dot, ...]]:
        return piece_of(*of)[0], ()

    with patch.object(sync_pages, "piece_of", without_names):
        yield


@OF_PIECES.shown_by()
def replicate_a_write_alone_with_the_whole_past() -> Iterator[None]:
    """A shard peer drops the siblings that are not in the message."""

    def alone(item: Item, dot: Dot, context: Past) -> Item:
        return Item({dot: item.versions[dot]}, item.past)

    with patch.object(write_home, "alone", alone):
        yield


@OF_PIECES.shown_by()
def mend_with_what_fits() -> Iterator[None]:
    """An owner believes the past of what a read has found, though it lacks some of it."""
    with patch.object(write_replica, "whole_of", lambda piece, rest, known, here: piece):
        yield


@OF_PIECES.shown_by()
def send_all_in_one_message() -> Iterator[None]:
    """The link drops what is too large, and no node is told."""

    def whole(item: Item, *rest: Any) -> tuple[Item, tuple[Dot, ...]]:
        return item, ()

    with (
        patch.object(sync_pages, "piece_of", whole),
        patch.object(read_owner, "piece_of", whole),
        patch.object(read_repair, "piece_of", whole),
    ):
        yield


@OF_PIECES.shown_by()
def refuse_a_write_that_was_named() -> Iterator[None]:
    """A full key refuses the client when the write has been done."""
    original = Home._overfull

    def overfull(self: Home, accept: Accept) -> Declined | None:
        refusal = original(self, accept)
        if refusal is not None:
            self._name(self._views.address, accept)
        return refusal

    with patch.object(Home, "_overfull", overfull):
        yield
