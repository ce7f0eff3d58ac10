"""A whole cluster in one thread, one seed and no real time.

The nodes run the product's own Driver and core; only their ports are simulated: a clock that is the
virtual time plus a skew, links that lose, double, delay and reorder, a disk that forgets in a crash
what it has not synced.  Everything happens as a callback on one timeline, every choice is drawn
from one Random, and nothing depends on hash order: the same seed is the same run.  Two nodes have a
link while at least one of them knows the other, as in the shell: who is not known is a guest.  A
world knows nothing of sessions or of what is right; whoever wants to know watches it (`Watch`).
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Protocol
from zlib import crc32

import msgspec

from cluster.memory import MemoryReads, Tables, write_rows
from cluster.timeline import Callback, Life, SimClock, Timeline, Trace
from node.core.effects import Damaged, Record
from node.core.messages import Letter, LinkDown, LinkUp, Outcome, Request
from node.core.replica import Options, Replica, Start, restore
from node.driver import Driver

ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(list[Letter])

Batch = tuple[Sequence[Record], Callback]
Told = Mapping[str, Start]
Build = Callable[[str, Start, "SimStore", Options, Random], Replica]


class Weather(msgspec.Struct):
    """How bad the network and the disks are at the moment; faults change it while it is in use."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_s: tuple[float, float] = (0.0005, 0.02)
    late: float = 0.01  # the share of messages that take up to `late_s`
    late_s: float = 0.3
    sync_s: tuple[float, float] = (0.0002, 0.01)
    stall: float = 0.0  # the share of syncs that take `stall_s`
    stall_s: tuple[float, float] = (0.05, 0.5)
    detect_s: float = 2.0  # a broken link is noticed within this time


class SimStore(MemoryReads):
    """The store of one life: reads see what was written, the disk gets it in groups, later."""

    def __init__(self, world: "World", node: "Node") -> None:
        self._world, self._node, self._life = world, node, node.life
        super().__init__({table: dict(rows) for table, rows in node.disk.items()})
        self._waiting: deque[Batch] = deque()
        self._syncing = False

    def write(self, records: Sequence[Record], done: Callback) -> None:
        write_rows(self.tables, records)
        self._waiting.append((records, done))
        if not self._syncing:
            self._sync()

    def crash(self, keep: bool) -> None:
        """The batches not yet synced are gone; `keep`: all but a drawn number of the first ones."""
        kept = self._world.random.randint(0, len(self._waiting)) if keep else 0
        for records, _ in list(self._waiting)[:kept]:
            self._node.make_durable(records)

    def _sync(self) -> None:
        """Everything that waits now becomes durable together."""
        self._syncing = True
        weather, random = self._world.weather, self._world.random
        stalled = random.random() < max(weather.stall, self._node.stall)
        delay = random.uniform(*(weather.stall_s if stalled else weather.sync_s))
        synced = partial(self._on_synced, len(self._waiting))
        self._world.timeline.after(delay, synced, self._life)

    def _on_synced(self, batches: int) -> None:
        synced = [self._waiting.popleft() for _ in range(batches)]
        for records, _ in synced:
            self._node.make_durable(records)
        self._syncing = False
        if self._waiting:
            self._sync()
        for _, done in synced:
            done()


class SimVoice:
    """What the nodes tell those who run them; none may have to give up."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def give_up(self, reason: str) -> None:
        raise Damaged("", reason)


class Watch(Protocol):
    """Sees everything a client cannot: what is sent, and what becomes durable."""

    def on_sent(self, node: "Node", target: str, letter: Letter) -> None: ...
    def on_durable(self, node: "Node", records: Sequence[Record]) -> None: ...
    def on_forgotten(self, node: "Node") -> None: ...


class Node:
    """A machine: an address, a disk, a wrong clock and, while it is up, a driver."""

    def __init__(self, address: str, skew_s: float, watch: Watch) -> None:
        self.address, self.skew_s, self.stall = address, skew_s, 0.0
        self.disk: Tables = {}
        self.life = Life(0)
        self.life.over = True
        self.driver: Driver | None = None
        self.clock: SimClock | None = None
        self.store: SimStore | None = None
        self.known: set[str] = set()  # whom its driver knows
        self.linked: dict[str, int] = {}  # peer -> the life of it that our link leads to
        self._watch = watch

    def make_durable(self, records: Sequence[Record]) -> None:
        write_rows(self.disk, records)
        self._watch.on_durable(self, records)


class SimLinks:
    """The links of one life."""

    def __init__(self, world: "World", node: Node) -> None:
        self._world, self._node = world, node

    def know(self, peers: Collection[str]) -> None:
        self._world.know(self._node, peers)

    def send(self, peer: str, letter: Letter) -> None:
        self._world.send(self._node, peer, letter)


class World:
    """The machines, with what each is told when it starts, and what lies between them."""

    def __init__(
        self, told: Told, random: Random, watch: Watch, options: Options, build: Build | None = None
    ) -> None:
        self.told, self.random, self.watch = told, random, watch
        self.timeline, self.trace, self.weather = Timeline(), Trace(), Weather()
        self.nodes = {address: Node(address, 0.0, watch) for address in told}
        self.cuts: set[tuple[str, str]] = set()
        self.lags: dict[tuple[str, str], float] = {}  # links that are slower than the weather
        self.bytes_delivered, self.last_arrival = 0, 0.0
        self.voice = SimVoice()
        self._options, self._build = options, build or restore
        self._lives = count(1)

    # ------------------------------------------------------------------ machines

    def start(self, address: str) -> None:
        """The node comes up with what its disk has."""
        node = self.nodes[address]
        assert node.driver is None, f"{address} is up already"
        node.life = Life(next(self._lives))
        self._note(f"start {address}")
        node.store = store = SimStore(self, node)
        node.clock = SimClock(self.timeline, node.skew_s, node.life)
        links, renew = SimLinks(self, node), partial(self._renew, node)
        node.driver = Driver(self._replica(node), node.clock, links, store, renew, self.voice)
        node.driver.start()
        self._look_at_links([address])

    def _replica(self, node: Node) -> Replica:
        assert node.store is not None
        chance = Random(self.random.getrandbits(64))
        told = self.told[node.address]
        return self._build(node.address, told, node.store, self._options, chance)

    def _renew(self, node: Node) -> Replica:
        """The node has been told to forget everything, and has: its disk is as good as new."""
        self._note(f"{node.address} has forgotten")
        self.watch.on_forgotten(node)
        return self._replica(node)

    def crash(self, address: str, keep: bool = False) -> None:
        """The process ends; what is not synced is lost, or (`keep`) all but the first batches."""
        node = self.nodes[address]
        assert node.store is not None, f"{address} is down already"
        self._note(f"crash {address}{' keep' if keep else ''}")
        node.life.over = True
        node.store.crash(keep)
        node.driver = node.store = node.clock = None
        node.known, node.linked = set(), {}
        self._look_at_links([address])

    def pause(self, address: str, seconds: float) -> None:
        """The process stands still; what it should have done and heard waits for it."""
        self._note(f"pause {address} {seconds:.3f}")
        self.nodes[address].life.paused_until = self.timeline.now + seconds

    def drained_at(self) -> float:
        """When all that was sent or held back until now has been heard."""
        return max(self.last_arrival, *(node.life.paused_until for node in self.nodes.values()))

    def submit(self, address: str, request: Request, done: Callable[[Outcome], None]) -> None:
        """A client's request; it is lost if the node's life ends before it takes note of it."""
        node = self.nodes[address]
        assert node.driver is not None, f"{address} is down"
        ask = partial(node.driver.submit, request, done)
        if node.life.paused_until > self.timeline.now:
            self.timeline.at(node.life.paused_until, ask, node.life)
        else:
            ask()

    def wipe(self, address: str) -> None:
        """A node that is down loses its disk."""
        assert self.nodes[address].driver is None, f"{address} is up"
        self._note(f"wipe {address}")
        self.nodes[address].disk = {}

    # ------------------------------------------------------------------ the network

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Nothing passes from the first of a pair to the second any more."""
        pairs = sorted(set(pairs))
        self._note(f"cut {' '.join(f'{a}>{b}' for a, b in pairs)}")
        self.cuts.update(pairs)
        self._look_at_links(sorted({address for pair in pairs for address in pair}))

    def mend(self, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = sorted(set(pairs))
        self._note(f"mend {' '.join(f'{a}>{b}' for a, b in pairs)}")
        self.cuts.difference_update(pairs)
        self._look_at_links(sorted({address for pair in pairs for address in pair}))

    def know(self, node: Node, peers: Collection[str]) -> None:
        """From now on this node has links to these, and to those who know it; the others end."""
        before, node.known = node.known, set(peers) & self.nodes.keys()
        for peer in sorted(node.known ^ before):
            self._look_soon(node.address, peer)
            self._look_soon(peer, node.address)

    def is_linked(self, one: str, other: str) -> bool:
        """Whether there is a link between them, when both are up and nothing is cut."""
        nodes = self.nodes
        return other in nodes and (other in nodes[one].known or one in nodes[other].known)

    def send(self, node: Node, target: str, letter: Letter) -> None:
        """The letter leaves; whether, when and how often it arrives is drawn.

        Single ones may be so late that another life gets them; a link that doubles ends with both.
        """
        self.watch.on_sent(node, target, letter)
        weather, random = self.weather, self.random
        if target not in node.linked and not self.is_linked(node.address, target):
            return
        if (node.address, target) in self.cuts or random.random() < weather.loss:
            return
        frame = ENCODER.encode([letter])
        deliver = partial(self._deliver, node.address, target, frame)
        life = self.nodes[target].life if random.random() < weather.duplication else None
        lag = self.lags.get((node.address, target), 0.0)
        for _ in range(1 if life is None else 2):
            arrival = self.timeline.now + self._delay() + lag * random.random()
            self.last_arrival = max(self.last_arrival, arrival)
            self.timeline.at(arrival, deliver, life)

    def _delay(self) -> float:
        weather, random = self.weather, self.random
        late = weather.late_s * random.random() if random.random() < weather.late else 0.0
        return random.uniform(*weather.delay_s) + late

    def _deliver(self, source: str, target: str, frame: bytes) -> None:
        driver, life = self.nodes[target].driver, self.nodes[target].life
        if driver is None or (source, target) in self.cuts:
            return
        if life.paused_until > self.timeline.now:
            deliver = partial(self._deliver, source, target, frame)
            self.timeline.at(life.paused_until, deliver, life)
            return
        self.bytes_delivered += len(frame)
        for letter in DECODER.decode(frame):
            kind, view = type(letter.message).__name__, letter.stamp.view
            self._note(f"{source}>{target} {kind} in {view} {len(frame)}")
            driver.receive(source, letter)

    def _look_at_links(self, changed: list[str]) -> None:
        """Soon, both ends of every link that may have changed look at it, each in its own time."""
        for address in changed:
            for peer, other in self.nodes.items():
                if address in other.linked or self.is_linked(address, peer):
                    self._look_soon(address, peer)
                    self._look_soon(peer, address)

    def _look_soon(self, address: str, peer: str) -> None:
        delay = self.random.random() * self.weather.detect_s
        self.timeline.after(delay, partial(self._look_at_link, address, peer))

    def _look_at_link(self, address: str, peer: str) -> None:
        """Tell a node of its link if that has changed; a one-way cut may stay unseen."""
        node, other = self.nodes[address], self.nodes[peer]
        if node.driver is None:
            return
        if node.life.paused_until > self.timeline.now:
            look = partial(self._look_at_link, address, peer)
            self.timeline.at(node.life.paused_until, look, node.life)
            return
        before = node.linked.get(peer, 0)
        both_ways = {(address, peer), (peer, address)} & self.cuts
        is_seen = len(both_ways) == 2 or (both_ways and crc32(f"{address}{peer}".encode()) % 2)
        is_gone = other.life.over or is_seen or not self.is_linked(address, peer)
        after = 0 if is_gone else other.life.number
        if before and before != after:
            self._note(f"{address} lost {peer}")
            node.driver.receive(address, LinkDown(peer))
        if after and before != after and node.driver is not None:
            self._note(f"{address} found {peer}")
            node.driver.receive(address, LinkUp(peer))
        node.linked[peer] = after
        if not after:
            del node.linked[peer]

    def _note(self, what: str) -> None:
        self.trace.note(self.timeline.now, what)
