"""The messages of a list of keys, and of their number.

    FetchKeys  the origin asks a holder for the next keys of some slots
    KeyPage    the holder answers from its own store, and says for which slots that store is whole
    CountKeys  the origin asks an owner for the number of its live keys
    KeyCount   the owner answers

(docs/decisions/0045.)
"""

from node.core.model.actors import Actor
from node.core.model.slots import Slots, from_bytes
from node.core.model.token import Token
from node.core.model.view import ViewId
from node.core.protocol.frame import Frame


class CountKeys(Frame, tag=8, frozen=True):
    """Origin -> owner (ask): how many live keys do you hold?"""

    request: int


class KeyCount(Frame, tag=9, frozen=True):
    """Owner -> origin (tell): this many."""

    request: int
    keys: int


class FetchKeys(Frame, tag=42, frozen=True):
    """Origin -> holder (ask): which live keys do you hold in these `slots`?  Of those from `start`
    on and before `end` (empty: to the last key), the first `limit`.  `token` is that of the
    client."""

    request: int
    slots: bytes
    start: str
    end: str
    limit: int
    token: Token


class KeyPage(Frame, tag=43, frozen=True):
    """Holder -> origin (tell): its live keys before `upto` (empty: all that were asked for), in
    their order.  `complete_for` has sets of slots with the views for which they are whole;
    `missing` are the writes that the client's token names and the holder lacks; `token` depends on
    all writes of the keys that the holder has looked at."""

    request: int
    keys: list[str]
    upto: str
    complete_for: list[tuple[bytes, list[ViewId]]]
    missing: dict[Actor, tuple[int, int]]
    token: Token
    name: str = ""

    def slots_complete_for(self, view: ViewId) -> Slots:
        """The slots that are whole for this view at the sender."""
        complete = 0
        for slots, views in self.complete_for:
            if view in views:
                complete |= from_bytes(slots)
        return complete
