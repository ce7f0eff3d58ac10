"""The stage: real replicas under real drivers, and between them links that wait to be told.

Messages of requests and repair wait in one queue until they are delivered (or all flow, in `run`).
Chatter (beats, news, views, clocks) is delivered at once, ahead of them, and not shown unless the
text wants to hear it; so an idle cluster is a silent page.  Two nodes have a link when one of them
knows the other.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from cluster.memory import write_rows
from node.core import messages as m
from node.core.effects import DAMAGED, Record
from node.core.replica import Options, Start, restore
from node.core.walk import row_of
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

CHATTER = (m.Beat, m.Compare, m.News, m.Views, m.Join)


class Posted(NamedTuple):
    """A letter on its way."""

    source: str
    target: str
    letter: m.Letter

    @property
    def message(self) -> m.Message:
        return self.letter.message


@dataclass
class Node:
    """A machine, and what it is told when its disk knows no view; `lives` counts the disks it has
    had, `runs` its starts, `known` are the nodes it knows."""

    address: str
    told: Start
    known: set[str] = field(default_factory=set)
    starting: bool = False
    disk: Disk = field(default_factory=Disk)
    life: Life = field(default_factory=lambda: Life(over=True))
    store: LifeStore | None = None
    driver: Driver | None = None
    lives: int = 1
    runs: int = 0


class StageLinks(LifeLinks):
    """Tells the stage, too, which nodes it knows."""

    def __init__(
        self,
        source: str,
        send: Callable[[str, str, m.Letter], None],
        on_know: Callable[[Collection[str]], None],
    ) -> None:
        super().__init__(source, send)
        self._on_know = on_know

    def know(self, peers: Collection[str]) -> None:
        super().know(peers)
        self._on_know(peers)


class StageVoice:
    """What a node tells those who run it is said on the page."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def note(self, text: str) -> None:
        self._say(f"notes: {text}")

    def give_up(self, reason: str) -> None:
        self._say(f"steps aside: {reason}")


class Stage:
    """All nodes of a conversation; `lines` is what has been seen since they were last taken."""

    def __init__(self, told: dict[str, Start], options: Options) -> None:
        self.options = options
        self.words = Words()
        self._record_words = RecordWords(self.words)
        self.time = Timeline()
        self.nodes = {address: Node(address, start) for address, start in told.items()}
        self.queue: deque[Posted] = deque()
        self.cuts: set[tuple[str, str]] = set()
        self.heard: set[str] = set()
        self.held: set[str] = set()  # kinds of chatter that wait like everything else
        self.losing: tuple[str, set[str]] = "", set()  # chatter to whom, and of which kinds
        self.lines: list[str] = []
        self._chatter: deque[Posted] = deque()
        self._up: set[frozenset[str]] = set()
        self._headers: list[str] = []
        self._depth = 0

    # ---- the page
    def say(self, line: str) -> None:
        """A line, below the headers of the scene it belongs to."""
        for header in self._headers:
            self.lines.append("  " * self._depth + header)
            self._depth += 1
        self._headers.clear()
        self.lines.append("  " * self._depth + line)

    def say_of(self, address: str, text: str) -> None:
        self.say(f"{address} {text}")

    @contextmanager
    def scene(self, header: str, always: bool = False) -> Iterator[None]:
        """What happens within is shown under a header; nothing seen: no header, unless always."""
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
        """One more machine."""
        self.nodes[address] = Node(address, told)

    def start(self, address: str) -> None:
        """A process begins on the node's disk; links to all that are up open."""
        node = self.nodes[address]
        assert node.driver is None, f"{address} is running"
        node.life, node.runs, node.known = Life(), node.runs + 1, set()
        node.store = LifeStore(node.disk, partial(self._on_write, address))
        chance = Random(f"{address} {node.lives} {node.runs}")
        replica = restore(address, node.told, node.store, self.options, chance)
        self.words.name_node(replica.node_id, address + "'" * (node.lives - 1))
        clock = LifeClock(self.time, node.life, partial(self._on_timer, address))
        links = StageLinks(address, self.send, partial(self._on_know, node))
        voice = StageVoice(partial(self.say_of, address))
        node.driver = Driver(replica, clock, links, node.store, voice=voice)
        node.starting = True
        with self.scene(f"{address} starts"):
            node.driver.start()
        node.starting = False
        for other in self.nodes:
            self.link_up(address, other)

    def crash(self, address: str) -> None:
        """The process ends with all that it had not made durable."""
        node = self.nodes[address]
        assert node.driver is not None, f"{address} is not running"
        node.life.over, node.driver, node.store = True, None, None
        for other in self.nodes:
            self.link_down(other, address)

    def rot(self, address: str, key: str) -> None:
        """The row of a key is not as it was written any more."""
        node = self.nodes[address]
        record = Record("item", row_of(key), DAMAGED)
        write_rows(node.disk.tables, [record])
        if node.store is not None:
            write_rows(node.store.tables, [record])

    def driver(self, address: str) -> Driver:
        driver = self.nodes[address].driver
        assert driver is not None, f"{address} is down"
        return driver

    def sync(self, address: str) -> int:
        store = self.nodes[address].store
        assert store is not None, f"{address} is down"
        with self.scene(f"{address} syncs"):
            return store.sync()

    def _on_write(self, address: str, records: Sequence[Record], durable: bool) -> None:
        verb = "writes" if durable else "will write"
        self.say(f"{address} {verb} {self._record_words.all_of(records)}")

    # ---- links
    def is_open(self, one: str, other: str) -> bool:
        first, second = self.nodes[one], self.nodes[other]
        is_linked = other in first.known or one in second.known
        both_up = first.driver is not None and second.driver is not None
        return both_up and is_linked and (one, other) not in self.cuts

    def _on_know(self, node: Node, peers: Collection[str]) -> None:
        """A node has links with these from now on, and with whoever knows it."""
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
            self.event(one, other, m.LinkUp(other))
            self.event(other, one, m.LinkUp(one))

    def link_down(self, address: str, peer: str) -> None:
        """This node notices that the link to its peer is gone."""
        self._up.discard(frozenset({address, peer}))
        self.event(address, peer, m.LinkDown(peer))

    def is_losing(self, target: str, kind: str) -> bool:
        to, kinds = self.losing
        return kind in kinds and to in (target, "")

    def is_chatter(self, message: m.Message) -> bool:
        return isinstance(message, CHATTER) and type(message).__name__ not in self.held

    def send(self, source: str, target: str, letter: m.Letter) -> None:
        is_chatter, kind = self.is_chatter(letter.message), type(letter.message).__name__
        lost = not self.is_open(source, target) or self.is_losing(target, kind)
        if not is_chatter or kind in self.heard:
            words = self.words.letter(letter)
            self.say(f"{source} -> {target} {words}{' (lost)' if lost else ''}")
        if not lost:
            queue = self._chatter if is_chatter else self.queue
            queue.append(Posted(source, target, letter))

    def event(self, address: str, source: str, event: m.Event) -> None:
        """Something that reaches a node from outside, if it is up."""
        driver = self.nodes[address].driver
        if driver is not None:
            with self.scene(f"{address} sees {type(event).__name__} {source}"):
                driver.receive(address, event)

    def deliver(self, posted: Posted) -> None:
        source, target, letter = posted
        driver, is_chatter = self.nodes[target].driver, self.is_chatter(letter.message)
        header = f"{target} <- {source} {self.words.kind(letter.message)}"
        if is_chatter:
            header = f"{self.clock()} {header}"
        if driver is None or (source, target) in self.cuts:
            self.say(f"{header} (lost)")
            return
        with self.scene(header, always=not is_chatter):
            driver.receive(source, letter)

    def chat(self) -> None:
        """Deliver the chatter that is on its way; once the current scene is over."""
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
        """What time it is in the play."""
        return f"{self.time.now - START_S:.2f}"

    def wait(self, seconds: float, flow: Callable[[], None]) -> None:
        """Let time pass; `flow` is called after everything that happens."""
        until = self.time.now + seconds
        flow()
        while callback := self.time.next_until(until):
            callback()
            flow()

    def deliver_all(self) -> None:
        while self.queue:
            self.deliver(self.queue.popleft())
