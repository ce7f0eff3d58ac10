"""Proposing views: for clients here, for nodes outside the view, for nodes that want to join.

A proposal is durable before anybody hears of it: its maker tells it to itself, and adopts it like
everybody else.  Only a node of the view may propose, for only then every view that can still win
knows all before it; a node outside passes the wish on, and one that knows no view asks the nodes it
is told of first.  (protocol D10, R1, I8.)
"""

from collections.abc import Iterable

from node.core.detector import Detector
from node.core.effects import Record
from node.core.keyspace import Keyspace
from node.core.lives import Lives
from node.core.messages import (
    Adopted,
    Granted,
    Join,
    News,
    Outdated,
    Propose,
    Unavailable,
    Views,
    Wish,
)
from node.core.moving import Moving
from node.core.placement import reshaped, with_node
from node.core.turn import Turn
from node.core.view import NO_VIEW, Layout, Shard, View, ViewId

COLD_S = 1.0  # so long a node without a view waits to be told of one
WISH_S = 2.0
NOBODY = Unavailable("this node is in no view, and no node of one can be reached", definite=True)
UNHEARD = Unavailable("the node that was asked to propose did not answer in time", definite=False)

Waiter = tuple[str, int]  # the node whose client waits, and the number of its request


class Proposals:
    """The wishes for another view that are under way here."""

    def __init__(self, moving: Moving, rooms: tuple[Turn, Keyspace, Detector, Lives]) -> None:
        self._moving = moving
        self._turn, self._keyspace, self._detector, self._lives = rooms
        self._number = int(self._keyspace.rows.read("meta", "proposed") or 0)
        self._pending: dict[ViewId, tuple[Waiter | None, Propose]] = {}  # not adopted yet
        self._cold: list[tuple[float, Waiter, Propose]] = []  # until we may be told of a view
        self._wishes: dict[int, float] = {}  # passed on, until when we wait for the answer

    def __len__(self) -> int:
        return len(self._cold) + len(self._wishes)

    def on_propose(self, request: int, propose: Propose) -> None:
        """A client here wants another view."""
        self._begin((self._moving.address, request), propose)

    def on_join(self, source: str, join: Join) -> None:
        """A node of no view asks to be in ours: it owns nothing at first."""
        view = self._moving.view
        if view.number and self._may() and not self._pending and join.address not in view.nodes:
            self._propose(None, Propose(with_node(view, join.address)))

    def on_wish(self, source: str, wish: Wish) -> None:
        """A node outside our view passes on what its client wants."""
        if self._may():
            layout = like(wish.layout, self._moving.view) if wish.anew else wish.layout
            self._propose((source, wish.request), Propose(layout, None, wish.lost))

    def on_granted(self, source: str, granted: Granted) -> None:
        if self._wishes.pop(granted.request, None) is not None:
            view = granted.view
            outcome = Adopted(view) if granted.adopted else Outdated(view)
            self._turn.reply(granted.request, outcome)

    def replace_us(self) -> None:
        """No owner is whole for the current view, because their disks were lost before they came
        to it: the same view again, with the ids of now (R8)."""
        if not self._pending and self._may():
            self._propose(None, Propose(self._moving.view.layout))

    def tick(self) -> None:
        """What time has decided."""
        now = self._turn.now
        due = [cold for cold in self._cold if cold[0] <= now]
        self._cold = [cold for cold in self._cold if cold[0] > now]
        for _, waiter, propose in due:
            self._propose(waiter, propose)
        for request in [r for r, deadline in self._wishes.items() if deadline <= now]:
            del self._wishes[request]
            self._turn.reply(request, UNHEARD)

    # ---- making one
    def _begin(self, waiter: Waiter, propose: Propose) -> None:
        view, address = self._moving.view, self._moving.address
        others = {*view.nodes, *propose.layout.nodes} - {address}
        if propose.base is not None and propose.base != view.id:
            self._turn.reply(waiter[1], Outdated(view))
        elif not view.number and others:
            self._moving.history.wished = propose.layout
            self._turn.effects.peers = sorted(others)
            self._cold.append((self._turn.now + COLD_S, waiter, propose))
        elif view.number and not self._may():
            self._pass_on(waiter[1], propose, anew=False)
        else:
            self._propose(waiter, propose)

    def _pass_on(self, request: int, propose: Propose, anew: bool) -> None:
        able = self._reachable(self._moving.view.nodes)
        if not able:
            self._turn.reply(request, NOBODY)
            return
        self._wishes[request] = self._turn.now + WISH_S
        self._turn.ask(able[0], Wish(request, propose.layout, anew, propose.lost))

    def _reachable(self, nodes: Iterable[str]) -> list[str]:
        return [node for node in nodes if self._detector.reachable(node, self._turn.now)]

    def _may(self) -> bool:
        """Whether no view can be retired without our report: only then does all that can still win
        know all before it.  Being in an older view is not enough: that may be retired already."""
        return self._moving.address in self._moving.view.nodes

    def _propose(self, waiter: Waiter | None, propose: Propose) -> None:
        """Make the view durable and hear of it ourselves; only then may others."""
        moving = self._moving
        if moving.view.number and not self._may():
            if waiter is not None and waiter[0] == moving.address:
                self._pass_on(waiter[1], propose, anew=False)
            return
        moving.history.lost.update(self._lost_id(address) for address in propose.lost)
        ids = tuple(self._lives.current(node) or "" for node in propose.layout.nodes)
        view = moving.history.propose(propose.layout, moving.node_id, self._number + 1, ids)
        self._number = view.number
        self._keyspace.outbox.append(Record("meta", "proposed", str(view.number).encode()))
        self._pending[view.id] = waiter, propose
        news = News({}, {}, {}, sorted(moving.history.lost))
        self._turn.tell(moving.address, Views([view], moving.history.floor, news))

    def _lost_id(self, address: str) -> str:
        return self._lives.current(address) or f"@{address}"

    def is_complete(self, view: View) -> bool:
        """Whether a view that we proposed names all unretired views as its ancestors: others may
        have been heard of before it was durable.  If not, it is proposed anew."""
        known = {v for v in self._moving.history.views if v > NO_VIEW} - {view.id}
        if view.id not in self._pending or known <= set(view.ancestors):
            return True
        waiter, propose = self._pending.pop(view.id)
        if propose.base is None or waiter is None:
            self._propose(waiter, propose)
        else:
            self._answer(waiter, adopted=False)
        return False

    # ---- answering
    def on_adopted(self) -> None:
        """Another view is current: it may be ours; and who knew none now knows whom to ask."""
        for view_id, (waiter, _) in list(self._pending.items()):
            if view_id <= self._moving.view.id:
                del self._pending[view_id]
                if waiter is not None:
                    self._answer(waiter, adopted=view_id == self._moving.view.id)
        cold, self._cold = self._cold, []
        for _, waiter, propose in cold:
            if propose.base is not None:  # that there is no view yet
                self._answer(waiter, adopted=False)
            elif self._may():
                layout = like(propose.layout, self._moving.view)
                self._propose(waiter, Propose(layout, None, propose.lost))
            else:
                self._pass_on(waiter[1], propose, anew=True)

    def _answer(self, waiter: Waiter, adopted: bool) -> None:
        origin, request = waiter
        view = self._moving.view
        if origin == self._moving.address:
            self._turn.reply(request, Adopted(view) if adopted else Outdated(view))
        else:
            self._turn.tell(origin, Granted(request, view, adopted))


def like(wish: Layout, now: View) -> Layout:
    """A layout that was made from nothing, made from the current view instead."""
    layout = reshaped(now, wish.nodes, len(wish.shards))
    named = zip(wish.shards, layout.shards, strict=True)
    shards = tuple(Shard(wished.id, shard.members) for wished, shard in named)
    return Layout(layout.nodes, shards, layout.owner)
