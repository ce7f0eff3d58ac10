"""Sees what no client can: every letter sent, every row that became durable, and judges both.

The promises that are checked while a run goes on: a dot names one write for ever, whatever views
come, and only an owner names one; a dot leaves a node only when its disk has it; «stored on k
replicas» is true on k disks of one view's owners when the client hears it, and k is what was asked
for; a slot is forgotten only when another disk has all that was acknowledged of it; nobody's clock
drags another's far ahead.  When a disk is lost the witness says which writes may be lost with it.
(reliability D7; protocol D1, D7, D10.)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from cluster.history import Operation
from cluster.shadow import Shadow
from cluster.simulation import Node
from node.core.clock import Dot
from node.core.effects import Record
from node.core.hybrid import LEAD_MS_MAX
from node.core.messages import (
    AVAILABLE,
    Ack,
    Letter,
    Mend,
    Named,
    Page,
    Put,
    Replicate,
    State,
    Stored,
    Views,
)
from node.core.quorum import wanted
from node.core.siblings import Item
from node.core.view import FIRST, Layout, View, ViewId, view_of
from node.core.walk import slot_of_key


class ViolationError(Exception):
    """A promise was broken; `kind` names it as the checker would."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class Witness:
    """Watches a world; raises ViolationError at the moment of the break."""

    def __init__(self, view: View, machines: Iterable[str] = ()) -> None:
        self.rotten: Callable[[], list[str]] = list  # the nodes whose disks have damaged rows
        self.reached: Counter[str] = Counter()  # what this run has exercised, by name
        self.shadows = {address: Shadow() for address in (*view.nodes, *machines)}
        self.views: dict[ViewId, View] = {view.id: view}  # all that were ever told
        self.floor = FIRST  # the highest that anybody ever told
        self.forgetful: set[str] = set()  # who has been told to forget everything
        self.lost_until: dict[str, float] = {}  # key -> when a disk took its writes along
        self._wiped: dict[str, list[Shadow]] = {address: [] for address in self.shadows}
        self._writes: dict[Dot, tuple[str, bytes | None]] = {}
        self._stored: dict[Dot, int] = {}  # what clients were told, and of how many copies
        self._lost: set[Dot] = set()
        self._marks: set[Dot] = set()

    # ------------------------------------------------------------------ disks
    def on_durable(self, node: Node, records: Sequence[Record]) -> None:
        marks, gone = self.shadows[node.address].follow(records)
        self._marks |= marks
        if gone:
            self.reached["slots with writes forgotten"] += 1
        for dot, key in gone.items():
            if dot in self._stored and dot not in self._lost and not self._is_anywhere(key, dot):
                detail = f"{node.address} forgets {dot} of {key}, which no other disk has"
                raise ViolationError("ForgottenTooEarly", detail)

    def _is_anywhere(self, key: str, dot: Dot) -> bool:
        return any(shadow.has(key, dot) for shadow in self.shadows.values())

    def marks_among(self, dots: Iterable[Dot]) -> tuple[Dot, ...]:
        """Those of the dots that name deletes."""
        return tuple(dot for dot in dots if dot in self._marks)

    def is_changing(self) -> bool:
        """Whether a view is known somewhere that not all have left their past to."""
        return self.floor < max(self.views)

    # ------------------------------------------------------------------ letters
    def on_sent(self, node: Node, target: str, letter: Letter) -> None:
        message = letter.message
        self.reached[type(message).__name__] += 1
        self.floor = max(self.floor, letter.stamp.floor)
        if isinstance(message, Replicate):
            self._judge_item(node, message.key, message.item)
            self._judge_home(node, message)
            self._judge_clock(node)
        elif isinstance(message, Page):
            self._count_page(message)
            for key, item in message.items.items():
                self._judge_item(node, key, item)
        elif isinstance(message, State):
            self._judge_dots(node, message.item)
        elif isinstance(message, Mend):
            self._judge_mend(node, message)
        elif isinstance(message, Ack | Named):
            self._judge_dot(node, message.dot)
        elif isinstance(message, Views):
            self._learn_views(message.views)

    def _learn_views(self, views: list[View]) -> None:
        for view in views:
            known = self.views.setdefault(view.id, view)
            if known is not view and known != view:
                raise ViolationError("ViewReused", f"{view.id} names two views")

    def _count_page(self, page: Page) -> None:
        self.reached["page of rows" if page.full else "page of dots"] += 1
        if page.same:
            self.reached["page of dots alone"] += 1
        if not page.last:
            self.reached["page of rows, not the last" if page.full else "page, not the last"] += 1

    def _judge_item(self, node: Node, key: str, item: Item) -> None:
        self._judge_dots(node, item)
        for dot, version in item.versions.items():
            write = key, version.value
            if self._writes.setdefault(dot, write) != write:
                raise ViolationError("DotReused", f"{dot} names {self._writes[dot]} and {write}")

    def _judge_home(self, node: Node, message: Replicate) -> None:
        """Who named a write owned its slot in the view the name was given in (I7)."""
        view = self.views.get(view_of(message.dot[0]))
        owners = self._owners(view, message.key) if view else (node.address,)
        if node.address not in owners:
            detail = f"{node.address} names {message.dot} of {message.key}, which {owners} own"
            raise ViolationError("NotMine", detail)

    def _judge_clock(self, node: Node) -> None:
        """A write is stamped above all it has seen; its writer's clock follows only so far."""
        assert node.clock is not None
        assert node.driver is not None
        ahead_ms = node.driver.replica.keyspace.hybrid.milliseconds - node.clock.now() * 1000
        if ahead_ms > LEAD_MS_MAX:
            raise ViolationError("ClockDragged", f"{node.address} is {ahead_ms:.0f} ms ahead")

    def _judge_mend(self, node: Node, message: Mend) -> None:
        """What a read passes on is on some disk, or was when its read was sent it."""
        shadows = [*self.shadows.values(), *(old for each in self._wiped.values() for old in each)]
        for dot in message.item.versions:
            if not any(dot in shadow.ever or shadow.vouches_for(dot) for shadow in shadows):
                raise ViolationError("SentTooEarly", f"{node.address} passes on {dot}, on no disk")

    def _judge_dots(self, node: Node, item: Item) -> None:
        for dot in item.versions:
            self._judge_dot(node, dot)

    def _judge_dot(self, node: Node, dot: Dot) -> None:
        """What leaves must be durable where it leaves."""
        if not self.shadows[node.address].vouches_for(dot):
            raise ViolationError("SentTooEarly", f"{node.address} sends {dot} before it is durable")

    # ------------------------------------------------------------------ what a client hears
    def on_stored(self, put: Put, stored: Stored) -> None:
        """A client hears that its write is stored: count the disks.

        Those of the owners in some view, who must be as many as the level asks for; and that of
        the home, which may be none any more.
        """
        level, key, dot = put.level, put.key, stored.dot
        asked = 1 if level == AVAILABLE else wanted(level, stored.copies)
        groups = {self._owners(view, key) for view in self.views.values()}
        of_owners = [
            [member for member in group if self._has_or_had(member, key, dot)]
            for group in sorted(groups)
            if len(group) == stored.copies
        ]
        disks = [len({*owners, stored.home}) if asked == 1 else len(owners) for owners in of_owners]
        if max(disks, default=0) < max(asked, stored.acks):
            detail = f"{dot} of {key}: {stored.acks} acks at level {level}, on disk at {of_owners}"
            raise ViolationError("FalseAck", detail)
        if not self._has_or_had(stored.home, key, dot):
            raise ViolationError("FalseAck", f"{dot} of {key} is not on its home's disk")
        self._stored[dot] = stored.acks

    def _owners(self, view: View | None, key: str) -> tuple[str, ...]:
        return view.shard_of(slot_of_key(key)).members if view and view.shards else ()

    def _has_or_had(self, address: str, key: str, dot: Dot) -> bool:
        """Whether it is on this node's disk, or was, before it was forgotten or wiped."""
        shadows = [self.shadows[address], *self._wiped[address]]
        return any(dot in shadow.ever or shadow.has(key, dot) for shadow in shadows)

    # ------------------------------------------------------------------ lost disks
    def may_be_owned_so(self, layout: Layout) -> bool:
        """Whether no damaged row can become the only one of its key before anybody has read it."""
        alone = {shard.members[0] for shard in layout.shards if len(shard.members) == 1}
        return alone.isdisjoint(self.rotten())

    def may_lose(self, address: str) -> bool:
        """Whether this disk may be wiped without breaking P1: it is no shard's only one in any view
        that is not retired, and nothing acked twice is only here."""
        views = [view for view in self.views.values() if view.id >= self.floor]
        if self.rotten():
            return False
        if any(shard.members == (address,) for view in views for shard in view.shards):
            return False
        if any(self._stored.get(dot, 0) > 1 for dot in self._only_here(address)):
            self.reached["a disk that has what it should not have alone"] += 1
            return False
        return True

    def on_forgotten(self, node: Node) -> None:
        """A node has done as it was told: its disk is lost."""
        assert node.clock is not None
        self.reached["a node has forgotten everything"] += 1
        self.forgetful.add(node.address)
        self.on_wipe(node.address, node.clock.time())

    def on_wipe(self, address: str, now: float) -> None:
        """What only this disk had may be lost, and with it what those writes had replaced."""
        shadow = self.shadows[address]
        for dot in self._only_here(address):
            self.reached["write lost with a disk"] += 1
            self.lost_until[shadow.held[dot]] = now
            self._lost.add(dot)
        self._wiped[address].append(shadow)
        self.shadows[address] = Shadow()

    def excuses(self, operation: Operation) -> bool:
        """Whether a wiped disk may have taken this write along, or one that had replaced it."""
        return operation.started <= self.lost_until.get(operation.key, -1.0)

    def _only_here(self, address: str) -> set[Dot]:
        """The dots that no other disk durably has."""
        others = [shadow for at, shadow in self.shadows.items() if at != address]
        held = self.shadows[address].held.items()
        return {dot for dot, key in held if not any(other.has(key, dot) for other in others)}
