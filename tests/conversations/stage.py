"""The stage: real replicas under real drivers, and between them links that wait to be told.

Messages of requests and repair wait in one queue until they are delivered (or all flow, in `run`).
Chatter (beats, news, clocks) is delivered at once, ahead of them, and not shown unless the text
wants to hear it; so an idle cluster is a silent page.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from node.core.effects import Record
from node.core.messages import Beat, Compare, Event, LinkDown, LinkUp, Message, News
from node.core.replica import Options, restore
from node.core.view import View
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
from tests.conversations.words import Words

CHATTER = (Beat, Compare, News)


class Letter(NamedTuple):
    """A message on its way."""

    source: str
    target: str
    message: Message


@dataclass
class Node:
    """A machine; `lives` counts the disks it has had, `runs` its starts."""

    address: str
    disk: Disk = field(default_factory=Disk)
    life: Life = field(default_factory=lambda: Life(over=True))
    store: LifeStore | None = None
    driver: Driver | None = None
    lives: int = 1
    runs: int = 0


class Stage:
    """All nodes of a conversation; `lines` is what has been seen since they were last taken."""

    def __init__(self, view: View, options: Options) -> None:
        self.view, self.options = view, options
        self.words = Words()
        self.time = Timeline()
        self.nodes = {address: Node(address) for address in view.nodes}
        self.queue: deque[Letter] = deque()
        self.cuts: set[tuple[str, str]] = set()
        self.heard: set[str] = set()
        self.lines: list[str] = []
        self._chatter: deque[Letter] = deque()
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
    def start(self, address: str) -> None:
        """A process begins on the node's disk; links to all that are up open."""
        node = self.nodes[address]
        assert node.driver is None, f"{address} is running"
        node.life, node.runs = Life(), node.runs + 1
        node.store = LifeStore(node.disk, partial(self._on_write, address))
        chance = Random(f"{address} {node.lives} {node.runs}")
        replica = restore(address, self.view, node.store, self.options, chance)
        name = address + "'" * (node.lives - 1)
        self.words.name_actor(replica.keyspace.actor, replica.node_id, name)
        clock = LifeClock(self.time, node.life, partial(self._on_timer, address))
        node.driver = Driver(replica, clock, LifeLinks(address, self.send), node.store)
        with self.scene(f"{address} starts"):
            node.driver.start()
        for other in self.nodes:
            self.link_up(address, other)

    def crash(self, address: str) -> None:
        """The process ends with all that it had not made durable."""
        node = self.nodes[address]
        assert node.driver is not None, f"{address} is not running"
        node.life.over, node.driver, node.store = True, None, None
        for other in self.nodes:
            self.event(other, address, LinkDown(address))

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
        self.say(f"{address} {verb} {self.words.records(records)}")

    # ---- links
    def is_open(self, one: str, other: str) -> bool:
        both_up = self.nodes[one].driver and self.nodes[other].driver
        return bool(both_up) and one != other and (one, other) not in self.cuts

    def link_up(self, one: str, other: str) -> None:
        if self.is_open(one, other) and self.is_open(other, one):
            self.event(one, other, LinkUp(other))
            self.event(other, one, LinkUp(one))

    def send(self, source: str, target: str, message: Message) -> None:
        letter = Letter(source, target, message)
        kind = type(message).__name__
        lost = not self.is_open(source, target)
        if not isinstance(message, CHATTER) or kind in self.heard:
            words = self.words.message(message)
            self.say(f"{source} -> {target} {words}{' (lost)' if lost else ''}")
        if not lost:
            queue = self._chatter if isinstance(message, CHATTER) else self.queue
            queue.append(letter)

    def event(self, address: str, source: str, event: Event) -> None:
        """Something that reaches a node from outside, if it is up."""
        driver = self.nodes[address].driver
        if driver is not None:
            with self.scene(f"{address} sees {type(event).__name__} {source}"):
                driver.receive(address, event)

    def deliver(self, letter: Letter) -> None:
        source, target, message = letter
        driver = self.nodes[target].driver
        header = f"{target} <- {source} {self.words.kind(message)}"
        if isinstance(message, CHATTER):
            header = f"{self.clock()} {header}"
        if driver is None or (source, target) in self.cuts:
            self.say(f"{header} (lost)")
            return
        with self.scene(header, always=not isinstance(message, CHATTER)):
            driver.receive(source, message)

    def chat(self) -> None:
        """Deliver the chatter that is on its way; once the current scene is over."""
        if self._depth or self._headers:
            return
        while self._chatter:
            letter = self._chatter.popleft()
            if self.is_open(letter.source, letter.target):
                self.deliver(letter)

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
