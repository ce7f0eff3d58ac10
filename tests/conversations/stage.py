"""The stage: real replicas under real drivers, with links that deliver on command.

Messages of requests and repair wait in one queue until the text delivers them (or all of them pass,
in `run`).  The stage delivers chatter (beats, news, views, clocks) at once, ahead of them, and
shows it only if the text wants to hear it; so the page of an idle cluster is empty.  Two nodes have
a link when one of them knows the other.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from cluster.simulator.memory_store import Tables, write_rows
from node.core.model.keys import row_of
from node.core.model.options import Options, Start
from node.core.protocol import events, messages as m
from node.core.protocol.effects import DAMAGED, Record
from node.core.replica import Replica, restore
from node.driver import Driver
from tests.conversations.ports import (
    START_S,
    Callback,
    Disk,
    Life,
    LifeClock,
    LifeLinks,
    LifeStore,
    Timeline,
)
from tests.conversations.records import RecordWords
from tests.conversations.words import Words

CHATTER = (
    m.Heartbeat,
    m.Compare,
    m.Gossip,
    m.Views,
    m.Join,
    m.DeclaredRuns,
    m.WantRuns,
    m.Superseded,
)


class Posted(NamedTuple):
    """A message on its way."""

    source: str
    target: str
    envelope: m.Envelope

    @property
    def message(self) -> m.Message:
        return self.envelope.message


@dataclass
class Node:
    """A machine, and what it is told when its disk knows no view.

    `incarnations` counts the disks it has had, `runs` its starts; `known` are the nodes it knows.
    """

    address: str
    told: Start
    known: set[str] = field(default_factory=set)
    starting: bool = False
    disk: Disk = field(default_factory=Disk)
    incarnation: Life = field(default_factory=lambda: Life(over=True))
    store: LifeStore | None = None
    driver: Driver | None = None
    incarnations: int = 1
    runs: int = 0


class StageLinks(LifeLinks):
    """Tells the stage, too, which nodes its node knows."""

    def __init__(
        self,
        source: str,
        send: Callable[[str, str, m.Envelope], None],
        on_know: Callable[[Collection[str]], None],
    ) -> None:
        super().__init__(source, send)
        self._on_know = on_know

    def know(self, peers: Collection[str]) -> None:
        super().know(peers)
        self._on_know(peers)


class StageVoice:
    """Puts a node's notes to operators on the page."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def note(self, text: str) -> None:
        self._say(f"notes: {text}")

    def give_up(self, reason: str) -> None:
        self._say(f"steps aside: {reason}")


class Stage:
    """All nodes of a conversation; `lines` is what has happened since they were last taken."""

    def __init__(self, told: dict[str, Start], options: Options) -> None:
        self.options = options
        self.words = Words()
        self._record_words = RecordWords(self.words)
        self.time = Timeline()
        self.nodes = {address: Node(address, start) for address, start in told.items()}
        self.queue: deque[Posted] = deque()
        self.cuts: set[tuple[str, str]] = set()
        self.heard: set[str] = set()
        self.held: set[str] = set()  # kinds of chatter that wait like all other messages
        self.losing: tuple[str, set[str]] = "", set()  # chatter to lose: its receiver and kinds
        self.lines: list[str] = []
        self._copies: dict[str, Tables] = {}
        self._chatter: deque[Posted] = deque()
        self._up: set[frozenset[str]] = set()
        self._headers: list[str] = []
        self._depth = 0

    # ---- the page
    def say(self, line: str) -> None:
        """Add a line, below the headers of its scene."""
        for header in self._headers:
            self.lines.append("  " * self._depth + header)
            self._depth += 1
        self._headers.clear()
        self.lines.append("  " * self._depth + line)

    def say_of(self, address: str, text: str) -> None:
        self.say(f"{address} {text}")

    @contextmanager
    def scene(self, header: str, always: bool = False) -> Iterator[None]:
        """Show what happens in the block under a header; show no empty scene, unless `always`."""
        headers, depth = list(self._headers), self._depth
        if always:
            self.say(header)
            headers, self._depth = [], self._depth + 1
        else:
            self._headers.append(header)
        try:
            yield
        finally:
            unseen = bool(self._headers)
            self._headers, self._depth = headers if unseen else [], depth
        self.chat()

    def take_lines(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines

    # ---- machines
    def add(self, address: str, told: Start) -> None:
        """Add one more machine."""
        self.nodes[address] = Node(address, told)

    def start(self, address: str) -> None:
        """Start a process on the node's disk; links to all running nodes open."""
        node = self.nodes[address]
        assert node.driver is None, f"{address} is running"
        node.incarnation, node.runs, node.known = Life(), node.runs + 1, set()
        node.store = LifeStore(node.disk, partial(self._on_write, address))
        replica = self._replica(node)
        clock = LifeClock(self.time, node.incarnation, partial(self._on_timer, address))
        links = StageLinks(address, self.send, partial(self._on_know, node))
        voice = StageVoice(partial(self.say_of, address))
        renew = partial(self._renew, node)
        node.driver = Driver(replica, clock, links, node.store, renew, voice)
        node.starting = True
        with self.scene(f"{address} starts"):
            node.driver.start()
        node.starting = False
        for other in self.nodes:
            self.link_up(address, other)

    def _replica(self, node: Node) -> Replica:
        assert node.store is not None
        chance = Random(f"{node.address} {node.incarnations} {node.runs}")
        replica = restore(node.address, node.told, node.store, self.options, chance)
        name = node.address + "'" * (node.incarnations - 1)
        self.words.name_node(replica.node_id, replica.views.run, name)
        return replica

    def _renew(self, node: Node) -> Replica:
        """Begin another incarnation on the same disk, since the replica has ended."""
        node.incarnations += 1
        return self._replica(node)

    def keep(self, address: str) -> None:
        """Keep a copy of a disk."""
        self._copies[address] = deepcopy(self.nodes[address].disk.tables)

    def put_back(self, address: str) -> None:
        """Put a disk back as it was when it was copied."""
        if self.nodes[address].driver is not None:
            self.crash(address)
        self.nodes[address].disk.tables = deepcopy(self._copies[address])

    def crash(self, address: str) -> None:
        """End the process, with all that it has not made durable."""
        node = self.nodes[address]
        assert node.driver is not None, f"{address} is not running"
        node.incarnation.over, node.driver, node.store = True, None, None
        for other in self.nodes:
            self.link_down(other, address)

    def corrupt(self, address: str, key: str) -> None:
        """Damage the row of a key."""
        node = self.nodes[address]
        record = Record("item", row_of(key), DAMAGED)
        write_rows(node.disk.tables, [record])
        if node.store is not None:
            write_rows(node.store.tables, [record])

    def driver(self, address: str) -> Driver:
        driver = self.nodes[address].driver
        assert driver is not None, f"{address} is down"
        return driver

    def name_request(self, driver: Driver, name: str) -> None:
        """Name the next request.  No two requests have one number; some numbers are left out, so
        that what other nodes ask at this instant has lower ones."""
        self.time.now += 0.00001
        last = max(driver.replica.next_request(self.time.now) for _ in range(7))
        self.words.name_request(last + 1, name)

    def sync(self, address: str) -> int:
        store = self.nodes[address].store
        assert store is not None, f"{address} is down"
        with self.scene(f"{address} syncs"):
            return store.sync()

    def _on_write(self, address: str, records: Sequence[Record], durable: bool) -> None:
        verb, rows = "writes" if durable else "will write", self._record_words.all_of(records)
        if rows:
            self.say(f"{address} {verb} {rows}")

    # ---- links
    def is_open(self, one: str, other: str) -> bool:
        first, second = self.nodes[one], self.nodes[other]
        is_linked = other in first.known or one in second.known
        both_up = first.driver is not None and second.driver is not None
        return both_up and is_linked and (one, other) not in self.cuts

    def _on_know(self, node: Node, peers: Collection[str]) -> None:
        """Give a node links with these, and with every node that knows it."""
        node.known = set(peers) & self.nodes.keys()
        for other in self.nodes if not node.starting else ():
            if frozenset({node.address, other}) in self._up:
                if not self.is_open(node.address, other):
                    self.link_down(node.address, other)
                    self.link_down(other, node.address)
            else:
                self.link_up(node.address, other)

    def link_up(self, one: str, other: str) -> None:
        if self.is_open(one, other) and self.is_open(other, one):
            self._up.add(frozenset({one, other}))
            self.event(one, other, events.LinkUp(other))
            self.event(other, one, events.LinkUp(one))

    def link_down(self, address: str, peer: str) -> None:
        """Let this node notice that the link to its peer is gone."""
        self._up.discard(frozenset({address, peer}))
        self.event(address, peer, events.LinkDown(peer))

    def is_losing(self, target: str, kind: str) -> bool:
        to, kinds = self.losing
        return kind in kinds and to in (target, "")

    def is_chatter(self, message: m.Message) -> bool:
        return isinstance(message, CHATTER) and type(message).__name__ not in self.held

    def send(self, source: str, target: str, envelope: m.Envelope) -> None:
        is_chatter, kind = self.is_chatter(envelope.message), type(envelope.message).__name__
        lost = not self.is_open(source, target) or self.is_losing(target, kind)
        if not is_chatter or kind in self.heard:
            words = self.words.envelope(envelope)
            self.say(f"{source} -> {target} {words}{' (lost)' if lost else ''}")
        if not lost:
            queue = self._chatter if is_chatter else self.queue
            queue.append(Posted(source, target, envelope))

    def event(self, address: str, source: str, event: events.Event) -> None:
        """Bring an event from outside to a node, if it is up."""
        driver = self.nodes[address].driver
        if driver is not None:
            with self.scene(f"{address} sees {type(event).__name__} {source}"):
                driver.receive(address, event)

    def deliver(self, posted: Posted) -> None:
        source, target, envelope = posted
        driver, is_chatter = self.nodes[target].driver, self.is_chatter(envelope.message)
        header = f"{target} <- {source} {self.words.kind(envelope.message)}"
        if is_chatter:
            header = f"{self.clock()} {header}"
        if driver is None or (source, target) in self.cuts:
            self.say(f"{header} (lost)")
            return
        with self.scene(header, always=not is_chatter):
            driver.receive(source, envelope)

    def chat(self) -> None:
        """Deliver the chatter on its way, once the current scene is over."""
        if self._depth or self._headers:
            return
        while self._chatter:
            posted = self._chatter.popleft()
            if self.is_open(posted.source, posted.target):
                self.deliver(posted)

    # ---- time
    def _on_timer(self, address: str, callback: Callback) -> None:
        with self.scene(f"{self.clock()} {address} wakes"):
            callback()

    def clock(self) -> str:
        """Return the time in the play."""
        return f"{self.time.now - START_S:.2f}"

    def wait(self, seconds: float, flow: Callable[[], None]) -> None:
        """Let time pass; call `flow` after everything that happens."""
        until = self.time.now + seconds
        flow()
        while callback := self.time.next_until(until):
            callback()
            flow()

    def deliver_all(self) -> None:
        while self.queue:
            self.deliver(self.queue.popleft())
