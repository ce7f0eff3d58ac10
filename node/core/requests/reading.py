"""One read under way at its origin: the join of the states that it was sent, and their senders.

`read_origin.py` decides what to do with it.
"""

from collections.abc import Iterable

import msgspec
from msgspec import field
from msgspec.structs import replace

from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, sync
from node.core.model.view import ViewId
from node.core.protocol.messages import State
from node.core.protocol.operations import Get
from node.core.protocol.pieces import Pieces
from node.core.requests.coverage import Missing, Need

# Times are looked at with each tick of a replica that has requests (`replica.WAITING_TICK_S`).
HEDGE_S = 0.04  # so long a read waits for the nodes it has asked before it asks one more (hedging)
ASK_AGAIN_S = 0.1  # so long after a member was asked it is asked again; then the others are, too
REFUSED_AFTER_S = 0.1  # so long a read that does not wait looks for what its token needs
UNREACHABLE_S = 0.5  # so long a read waits while no holder of the key can be reached
PIECE_PATIENCE_S = 1.0  # for the next piece of a large item


class Read(msgspec.Struct):
    """One read under way: the join of the states that nodes have sent."""

    get: Get
    need: Need
    owners: tuple[str, ...]
    holders: tuple[str, ...]  # the nodes that may hold the slot, the owners first
    views: set[ViewId]  # those that it takes
    started: float
    item: Item = field(default_factory=Item)
    clock: DotClock = field(default_factory=DotClock)
    senders: dict[str, list[ViewId]] = field(default_factory=dict)  # and what they are complete for
    asked: dict[str, float] = field(default_factory=dict)
    holds: dict[str, set[Dot]] = field(default_factory=dict)  # the versions each has, for mending
    pieces: Pieces | None = None  # since an item has come in pieces

    def whole_state(self, source: str, state: State) -> State | None:
        """The state with its whole item; None while pieces of a large item are missing."""
        if not state.rest:
            return state
        if self.pieces is None:
            self.pieces = Pieces()
        here = Item(self.item.versions)  # a replaced one counts, too: the state may be kept, alone
        item = self.pieces.add(source, state.item, state.rest, here)
        return None if item is None else replace(state, item=item)

    def have(self, source: str) -> tuple[Dot, ...]:
        """The versions that a node need not send again; empty for small items."""
        if self.pieces is None:
            return ()
        return self.pieces.have(source) or tuple(self.item.versions)

    def ask(self, members: Iterable[str], now: float) -> None:
        """Note that these members are asked now."""
        self.asked.update(dict.fromkeys(members, now))

    def is_silent(self, now: float) -> bool:
        """Whether a moment has passed since it asked a node, or a node a piece of its item."""
        return now - max(self.asked.values(), default=self.started) >= HEDGE_S

    def is_due(self, member: str, now: float) -> bool:
        """Whether a member that was asked is to be asked again."""
        is_large = self.pieces is not None and self.pieces.have(member)
        patience_s = PIECE_PATIENCE_S if is_large else ASK_AGAIN_S
        return now - self.asked[member] >= patience_s

    def add(self, source: str, state: State) -> None:
        self.item = sync(self.item, state.item)
        self.clock.join(state.clock)
        self.senders[source] = state.complete_for
        if self.get.repair or self.get.check:
            self.holds[source] = {*state.item.versions, *state.rest}

    def missing(self) -> Missing:
        return self.need.to_show(self.get, self.item, self.clock)

    def complete_senders(self) -> list[str]:
        """The senders whose own state is complete for every view that the read needs."""
        return [
            source
            for source, complete_for in self.senders.items()
            if self.views <= set(complete_for)
        ]

    def is_enough_to_refuse(self) -> bool:
        """Whether the states are enough to say that a missing write is missing at all owners."""
        return bool(self.complete_senders()) or self.is_complete()

    def is_complete(self) -> bool:
        """Whether all states together are whole: for each view from as many senders as copies are
        wanted."""
        copies = min(self.get.copies, len(self.owners))
        told = [view for views in self.senders.values() for view in views]
        for view in self.views:
            if told.count(view) < copies:
                return False
        return bool(copies)
