"""Checks what no client can see: every letter that is sent, and every row that becomes durable.

* A dot names one write for ever, in all views, and only an owner names one.
* A dot leaves a node only when the node's disk has it.
* When a client hears "stored on k replicas", the write is on k disks of one view's owners.
* A node forgets a slot only when another disk has all acknowledged writes in it.
* No node's clock drags another's far ahead.

When a disk is lost, the monitor says which writes may be lost with it.  (reliability D7; protocol
D1, D7, D10.)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import msgspec

from cluster.checker.history import Operation
from cluster.simulator.disk_shadow import Shadow
from cluster.simulator.item_sizes import is_a_piece, is_too_large
from cluster.simulator.world import SimNode
from node.core.membership.view_history import SavedViews
from node.core.model.actors import view_of
from node.core.model.dots import Dot
from node.core.model.hlc import LEAD_MS_MAX
from node.core.model.item import Item
from node.core.model.keys import slot_of_key
from node.core.model.options import Options
from node.core.model.quorum import AVAILABLE, wanted
from node.core.model.view import FIRST, Layout, View, ViewId
from node.core.protocol.effects import Record
from node.core.protocol.messages import (
    Ack,
    Envelope,
    Page,
    ReadRepair,
    Replicate,
    RowPage,
    SamePage,
    State,
    Views,
    Written,
)
from node.core.protocol.operations import Put, Stored

STRANGER = "OfAnother"  # the short name of a node of another cluster, and what it writes
OF_STRANGERS = STRANGER.encode()
VIEWS = msgspec.msgpack.Decoder(SavedViews)


class ViolationError(Exception):
    """A promise was broken; `kind` names it as the checker would."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class InvariantMonitor:
    """Watches a world; raises ViolationError at the moment of the break."""

    def __init__(self, view: View, machines: Iterable[str] = ()) -> None:
        self.message_bytes_max = Options().message_bytes_max
        self.damaged_nodes: Callable[[], list[str]] = list  # those whose disks have damaged rows
        self.now: Callable[[], float] = float  # the virtual time
        self.reached: Counter[str] = Counter()  # what this run has exercised, by name
        self.shadows = {address: Shadow() for address in (*view.nodes, *machines)}
        self.views: dict[ViewId, View] = {view.id: view}  # all that any node was ever told
        self.oldest_view = FIRST  # the highest that any node has told
        self.forgetful: set[str] = set()  # the nodes that were told to forget everything
        self.lost_until: dict[str, float] = {}  # key -> when a disk was lost with writes of it
        self._wiped: dict[str, list[Shadow]] = {address: [] for address in self.shadows}
        self._writes: dict[Dot, tuple[str, bytes | None]] = {}
        self._stored: dict[Dot, int] = {}  # what clients were told: a write's copies
        self._copied: dict[str, set[Dot]] = {}
        self._put_back: str | None = None  # the node whose disk is as it was some time ago
        self._were_put_back: set[str] = set()
        self._lost: set[Dot] = set()
        self._marks: set[Dot] = set()

    # ------------------------------------------------------------------ disks
    def on_durable(self, node: SimNode, records: Sequence[Record]) -> None:
        for record in records:
            if record.value is not None and OF_STRANGERS in record.value:
                detail = f"{node.address} writes {record.table} {record.key}: {record.value!r}"
                raise ViolationError("StrangerStored", detail)
        marks, gone = self.shadows[node.address].follow(records)
        self._marks |= marks
        for record in records:
            if record.key == "views" and record.value:
                views = [v for v in VIEWS.decode(record.value).views if v.number]
                self.learn_views(views)
                self.shadows[node.address].views = {view.id for view in views}
        if gone:
            self.reached["slots with writes forgotten"] += 1
        for dot, key in gone.items():
            if dot in self._stored and dot not in self._lost and not self._is_anywhere(key, dot):
                detail = f"{node.address} forgets {dot} of {key}, which no other disk has"
                raise ViolationError("ForgottenTooEarly", detail)

    def _is_anywhere(self, key: str, dot: Dot) -> bool:
        return any(shadow.has(key, dot) for shadow in self.shadows.values())

    def marks_among(self, dots: Iterable[Dot]) -> tuple[Dot, ...]:
        """Return those of the dots that name deletes."""
        return tuple(dot for dot in dots if dot in self._marks)

    def is_changing(self) -> bool:
        """Whether some node knows a view, and not all nodes have left the earlier ones behind."""
        return self.oldest_view < max(self.views)

    # ------------------------------------------------------------------ letters
    def on_sent(self, node: SimNode, target: str, envelope: Envelope) -> None:
        message = envelope.message
        self.reached[type(message).__name__] += 1
        self.oldest_view = max(self.oldest_view, envelope.epoch.oldest_view)
        if is_too_large(envelope, self.message_bytes_max):
            detail = f"{node.address} sends {target} a {type(message).__name__} that is dropped"
            raise ViolationError("TooLarge", detail)
        if is_a_piece(envelope):
            self.reached[f"a piece in a {type(message).__name__}"] += 1
        if isinstance(message, Replicate):
            self._judge_home(node, message)
            self._judge_item(node, message.key, message.item)
            self._judge_clock(node)
        elif isinstance(message, Page):
            self._count_page(message)
            items = {} if isinstance(message, SamePage) else message.items
            for key, item in items.items():
                self._judge_item(node, key, item)
        elif isinstance(message, State):
            self._judge_dots(node, message.item)
        elif isinstance(message, ReadRepair):
            self._judge_read_repair(node, message)
        elif isinstance(message, Ack | Written):
            self._judge_dot(node, message.dot)
        elif isinstance(message, Views):
            self.learn_views(message.views)

    def learn_views(self, views: Iterable[View]) -> None:
        """Take over views that some node knows; the empty views of settings do not count."""
        for view in (view for view in views if view.number):
            known = self.views.setdefault(view.id, view)
            if known is not view and known != view:
                raise ViolationError("ViewReused", f"{view.id} names two views")

    def _count_page(self, page: Page) -> None:
        is_full = isinstance(page, RowPage)
        self.reached["page of rows" if is_full else "page of dots"] += 1
        if isinstance(page, SamePage):
            self.reached["page of dots alone"] += 1
        if not page.last:
            self.reached["page of rows, not the last" if is_full else "page, not the last"] += 1

    def _judge_item(self, node: SimNode, key: str, item: Item) -> None:
        self._judge_dots(node, item)
        for dot, version in item.versions.items():
            write = key, version.value
            if self._writes.setdefault(dot, write) != write:
                raise ViolationError("DotReused", f"{dot} names {self._writes[dot]} and {write}")

    def _judge_home(self, node: SimNode, message: Replicate) -> None:
        """Demand that who names a write owns its slot in the view of the name (I7).  A name of
        another run was found, for a client that sends its write again."""
        assert node.driver is not None
        view = self.views.get(view_of(message.dot[0]))
        owners = self._owners(view, message.key) if view else (node.address,)
        is_own = message.dot[0] == node.driver.replica.keyspace.actor
        if is_own and node.address not in owners:
            detail = f"{node.address} names {message.dot} of {message.key}, which {owners} own"
            raise ViolationError("NotMine", detail)

    def _judge_clock(self, node: SimNode) -> None:
        """Demand that no write's timestamp has dragged the node's clock too far ahead."""
        assert node.clock is not None
        assert node.driver is not None
        ahead_ms = node.driver.replica.keyspace.hybrid.milliseconds - node.clock.now() * 1000
        if ahead_ms > LEAD_MS_MAX:
            raise ViolationError("ClockDragged", f"{node.address} is {ahead_ms:.0f} ms ahead")

    def _judge_read_repair(self, node: SimNode, message: ReadRepair) -> None:
        """Demand that what a read passes on is on some disk, or was when the read received it."""
        for dot in message.item.versions:
            if not any(dot in disk.ever or disk.vouches_for(dot) for disk in self._all_disks()):
                raise ViolationError("SentTooEarly", f"{node.address} passes on {dot}, on no disk")

    def _all_disks(self) -> list[Shadow]:
        """Return the disks that there are, and those that were lost."""
        return [*self.shadows.values(), *(old for each in self._wiped.values() for old in each)]

    def values_by_name(self) -> dict[Dot, str]:
        """Return the values that any disk has had, by the names of their writes."""
        known = (item for disk in self._all_disks() for item in disk.values.items())
        return {dot: value.decode(errors="replace") for dot, value in known}

    def _judge_dots(self, node: SimNode, item: Item) -> None:
        for dot in item.versions:
            self._judge_dot(node, dot)

    def _judge_dot(self, node: SimNode, dot: Dot) -> None:
        """Demand that a node sends only what is durable at the node."""
        if not self.shadows[node.address].vouches_for(dot):
            raise ViolationError("SentTooEarly", f"{node.address} sends {dot} before it is durable")

    # ------------------------------------------------------------------ what a client hears
    def on_stored(self, put: Put, stored: Stored) -> None:
        """Count the disks when a client hears that its write is stored.

        They are the disks of the owners in some view, as many as the level asks for, and the disk
        of the home, which may own the key no more.
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
        if max(disks, default=0) < max(asked - stored.hints, stored.acks):
            detail = f"{dot} of {key}: {stored.acks} acks at level {level}, on disk at {of_owners}"
            raise ViolationError("FalseAck", detail)
        if not self._has_or_had(stored.home, key, dot):
            raise ViolationError("FalseAck", f"{dot} of {key} is not on its home's disk")
        self._stored[dot] = stored.acks
        is_alone = stored.acks == 1 and stored.home in self._were_put_back
        if is_alone and view_of(dot[0]) < self.oldest_view:
            self._lose_of_a_retired_view(dot, key)

    def _lose_of_a_retired_view(self, dot: Dot, key: str) -> None:
        """Excuse a write that an old disk took in a retired view, before a peer could object.  All
        others count it as known, and it is lost (docs/decisions/0035)."""
        self.reached["write taken by an old disk in a retired view"] += 1
        self._lost.add(dot)
        self.lost_until[key] = max(self.now(), self.lost_until.get(key, -1.0))

    def _owners(self, view: View | None, key: str) -> tuple[str, ...]:
        return view.shard_of(slot_of_key(key)).members if view and view.shards else ()

    def _has_or_had(self, address: str, key: str, dot: Dot) -> bool:
        """Whether the write is on this node's disk, or was before the node forgot it or lost
        that.
        """
        shadows = [self.shadows[address], *self._wiped[address]]
        return any(dot in shadow.ever or shadow.has(key, dot) for shadow in shadows)

    # ------------------------------------------------------------------ lost disks
    def may_be_owned_so(self, layout: Layout) -> bool:
        """Whether no damaged row can become the only one of its key before a read finds it."""
        alone = {shard.members[0] for shard in layout.shards if len(shard.members) == 1}
        return alone.isdisjoint(self.damaged_nodes())

    def may_lose(self, address: str) -> bool:
        """Whether this disk may be lost without a break of P1.  It must be no shard's only one in
        any view that is not retired, and no write that was acknowledged twice may be only there."""
        views = [view for view in self.views.values() if view.id >= self.oldest_view]
        if self.damaged_nodes() or self.is_lacking() or self._would_begin_a_cluster(address):
            return False
        if any(shard.members == (address,) for view in views for shard in view.shards):
            return False
        if any(self._stored.get(dot, 0) > 1 for dot in self._only_here(address)):
            self.reached["a disk that has what it should not have alone"] += 1
            return False
        return True

    def knows_no_other(self, address: str, disk: Shadow) -> bool:
        """Whether the views on this disk name its node alone.  Then it talks to no other node, so
        none can object to an old disk (docs/decisions/0035)."""
        known = [self.views[view] for view in disk.views if view in self.views]
        return bool(known) and all(view.nodes == (address,) for view in known)

    def _would_begin_a_cluster(self, address: str) -> bool:
        """Whether a new disk there would find only nodes that know no view but the first one.  If
        that is retired, they would begin it again together."""
        others = [node for node in self.views[FIRST].nodes if node != address]
        newest = [max(self.shadows[node].views, default=FIRST) for node in others]
        return self.oldest_view > FIRST and all(view == FIRST for view in newest)

    def on_forgotten(self, node: SimNode) -> None:
        """A node has obeyed and forgotten everything: its disk counts as lost."""
        assert node.clock is not None
        self.reached["a node has forgotten everything"] += 1
        self.forgetful.add(node.address)
        self.on_wipe(node.address, node.clock.time())

    def on_wipe(self, address: str, now: float) -> None:
        """Mark what only this disk had as lost, perhaps with the writes that it had replaced."""
        shadow = self.shadows[address]
        for dot in self._only_here(address):
            self.reached["write lost with a disk"] += 1
            self.lost_until[shadow.held[dot]] = now
            self._lost.add(dot)
        self._wiped[address].append(shadow)
        self.shadows[address] = Shadow()

    def on_put_back(self, address: str, shadow: Shadow, now: float) -> None:
        """Mark what this disk alone had got since then as lost, perhaps: it is as it was before."""
        held, only_here = self.shadows[address].held, self._only_here(address)
        for dot in only_here:
            if not shadow.has(held[dot], dot):
                self.reached["write lost with a disk"] += 1
                self.lost_until[held[dot]] = now
                self._lost.add(dot)
        self.reached["a disk put back as it was"] += 1
        self._put_back = address
        self._were_put_back.add(address)
        self._wiped[address].append(self.shadows[address])
        self.shadows[address] = shadow

    def on_copied(self, source: str, target: str) -> None:
        """Note that a new machine has a copy of a disk."""
        self.reached["a copied disk"] += 1
        self.shadows[target] = deepcopy(self.shadows[source])
        self._copied[target] = set(self.shadows[target].held)

    def is_lacking(self) -> bool:
        """Whether the disk that was put back last lacks something that it had, and should have."""
        if self._put_back is None:
            return False
        before, now = self._wiped[self._put_back][-1], self.shadows[self._put_back]
        if max(now.views, default=FIRST) < max(before.views, default=FIRST):
            return True
        gone = (d for d, key in before.held.items() if d not in self._lost and not now.has(key, d))
        return any(now.slots >> slot_of_key(before.held[dot]) & 1 for dot in gone)

    def is_old(self, address: str) -> bool:
        """Whether this node's disk was put back as it was, and has yet to catch up."""
        return address == self._put_back and self.is_lacking()

    def excuses(self, operation: Operation) -> bool:
        """Whether a lost disk may have taken this write along, or one that had replaced it."""
        return operation.started <= self.lost_until.get(operation.key, -1.0)

    def _only_here(self, address: str) -> set[Dot]:
        """Return the dots that no other disk durably has.  A copied disk has its dots by no
        promise, so it does not count."""
        others = {at: shadow for at, shadow in self.shadows.items() if at != address}

        def is_elsewhere(dot: Dot, key: str) -> bool:
            return any(
                other.has(key, dot) and dot not in self._copied.get(at, ())
                for at, other in others.items()
            )

        held = self.shadows[address].held.items()
        return {dot for dot, key in held if not is_elsewhere(dot, key)}
