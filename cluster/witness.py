"""Sees what no client can: every message sent, every row that became durable, and judges both.

Four promises are checked while a run goes on: a dot names one write for ever; a dot leaves a node
only when its disk has it; «stored on k replicas» is true on k disks when the client hears it, and
k is what was asked for; nobody's clock drags another's far ahead.
Beside every disk the witness keeps a shadow, read from the rows alone, so that a core that fools
itself does not fool the witness.  When a disk is lost the witness says which writes may be lost
with it.  (reliability D7; protocol D1, D7.)
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from cluster.history import Operation
from cluster.simulation import Node
from node.core.clock import Clock, Dot
from node.core.effects import Record
from node.core.hybrid import LEAD_MS_MAX
from node.core.keyspace import key_of
from node.core.messages import AVAILABLE, Ack, Message, Named, Page, Put, Replicate, State, Stored
from node.core.quorum import wanted
from node.core.siblings import Item
from node.core.view import View, digest_of, slot_of

ITEMS = msgspec.msgpack.Decoder(Item)
CLOCKS = msgspec.msgpack.Decoder(Clock)
NOTHING = Item()


class ViolationError(Exception):
    """A promise was broken; `kind` names it as the checker would."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class Shadow:
    """What one disk durably has: its items, every dot they ever held, and its clock."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.held: dict[Dot, str] = {}
        self.clock = Clock()

    def follow(self, records: Iterable[Record]) -> set[Dot]:
        """Take over rows that became durable; gives the dots of the delete marks in them."""
        marks: set[Dot] = set()
        for table, row, value, _ in records:
            if table == "item":
                key = key_of(row)
                self.items[key] = item = ITEMS.decode(value) if value else NOTHING
                for dot, version in item.versions.items():
                    self.held[dot] = key
                    if version.value is None:
                        marks.add(dot)
            elif table == "log" and value:
                actor, _, n = row.rpartition("/")
                self.clock.add((actor, int(n, 16)))
            elif row == "clock" and value:
                self.clock.join(CLOCKS.decode(value))
        return marks

    def has(self, key: str, dot: Dot) -> bool:
        """Whether the write is here: held, now or once, or replaced by what is."""
        if dot in self.held or self.clock.has(dot):
            return True
        return self.items.get(key, NOTHING).past.has(dot)


class Witness:
    """Watches a world; raises ViolationError at the moment of the break."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.reached: Counter[str] = Counter()  # what this run has exercised, by name
        self.shadows = {address: Shadow() for address in view.nodes}
        self.lost_until: dict[str, float] = {}  # key -> when a disk took its writes along
        self._wiped: dict[str, list[Shadow]] = {address: [] for address in view.nodes}
        self._writes: dict[Dot, tuple[str, bytes | None]] = {}
        self._acked: set[Dot] = set()  # with two copies or more
        self._marks: set[Dot] = set()

    def members(self, key: str) -> tuple[str, ...]:
        return self._view.shard_of(slot_of(digest_of(key, False))).members

    def on_durable(self, node: Node, records: Sequence[Record]) -> None:
        self._marks |= self.shadows[node.address].follow(records)

    def marks_among(self, dots: Iterable[Dot]) -> tuple[Dot, ...]:
        """Those of the dots that name deletes."""
        return tuple(dot for dot in dots if dot in self._marks)

    def on_sent(self, node: Node, target: str, message: Message) -> None:
        self.reached[type(message).__name__] += 1
        if isinstance(message, Replicate):
            self._judge_item(node, message.key, message.item)
            self._judge_clock(node)
        elif isinstance(message, Page):
            self._count_page(message)
            for key, item in message.items.items():
                self._judge_item(node, key, item)
        elif isinstance(message, State):
            self._judge_dots(node, message.item)
        elif isinstance(message, Ack | Named):
            self._judge_dot(node, message.dot)

    def _count_page(self, page: Page) -> None:
        self.reached["page of rows" if page.full else "page of dots"] += 1
        if not page.last:
            self.reached["page of rows, not the last" if page.full else "page, not the last"] += 1

    def on_stored(self, put: Put, stored: Stored) -> None:
        """A client hears that its write is stored: count the disks."""
        key, level = put.key, put.level
        if stored.acks < (1 if level == AVAILABLE else wanted(level, len(self.members(key)))):
            raise ViolationError("TooFewAcks", f"{stored.acks} acks for level {level}")
        disks = sum(self._has_or_had(member, key, stored.dot) for member in self.members(key))
        if disks < stored.acks:
            raise ViolationError(
                "FalseAck", f"{stored.dot} of {key}: {stored.acks} acks, {disks} disks"
            )
        if stored.acks > 1:
            self._acked.add(stored.dot)

    def may_lose(self, address: str) -> bool:
        """Whether this disk may be wiped without breaking P1: nothing acked twice is only here."""
        return not self._only_here(address) & self._acked

    def on_wipe(self, address: str, now: float) -> None:
        """What only this disk had may be lost, and with it what those writes had replaced."""
        for dot in self._only_here(address):
            self.reached["write lost with a disk"] += 1
            self.lost_until[self.shadows[address].held[dot]] = now
        self._wiped[address].append(self.shadows[address])
        self.shadows[address] = Shadow()

    def excuses(self, operation: Operation) -> bool:
        """Whether a wiped disk may have taken this write along, or one that had replaced it."""
        return operation.started <= self.lost_until.get(operation.key, -1.0)

    def _has_or_had(self, address: str, key: str, dot: Dot) -> bool:
        """Whether it is on this node's disk, or was when that was wiped, after the ack left."""
        shadows = [self.shadows[address], *self._wiped[address]]
        return any(shadow.has(key, dot) for shadow in shadows)

    def _only_here(self, address: str) -> set[Dot]:
        """The dots that no other member of the shard durably has."""
        shard = self._view.shard_with(address)
        fellows = [self.shadows[m] for m in shard.members if m != address] if shard else []
        held = self.shadows[address].held.items()
        return {dot for dot, key in held if not any(fellow.has(key, dot) for fellow in fellows)}

    def _judge_item(self, node: Node, key: str, item: Item) -> None:
        self._judge_dots(node, item)
        for dot, version in item.versions.items():
            write = key, version.value
            if self._writes.setdefault(dot, write) != write:
                raise ViolationError("DotReused", f"{dot} names {self._writes[dot]} and {write}")

    def _judge_clock(self, node: Node) -> None:
        """A write is stamped above all it has seen; its writer's clock follows only so far."""
        assert node.clock is not None
        assert node.driver is not None
        ahead_ms = node.driver.replica.keyspace.hybrid.milliseconds - node.clock.now() * 1000
        if ahead_ms > LEAD_MS_MAX:
            raise ViolationError("ClockDragged", f"{node.address} is {ahead_ms:.0f} ms ahead")

    def _judge_dots(self, node: Node, item: Item) -> None:
        for dot in item.versions:
            self._judge_dot(node, dot)

    def _judge_dot(self, node: Node, dot: Dot) -> None:
        """What leaves must be durable where it leaves."""
        shadow = self.shadows[node.address]
        if dot not in shadow.held and not shadow.clock.has(dot):
            raise ViolationError("SentTooEarly", f"{node.address} sends {dot} before it is durable")
