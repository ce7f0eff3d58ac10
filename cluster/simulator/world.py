"""A whole cluster in one thread, one seed and no real time.

The nodes run the product's own Driver and core; only their ports are simulated.  The clock is the
virtual time plus a skew; links lose, double, delay and reorder messages; a disk forgets in a crash
what it has not synced.  Everything happens as a callback on one timeline, one Random draws every
choice, and nothing depends on hash order: the same seed is the same run.  Two nodes have a link
while at least one of them knows the other, as in the shell: a node that is not known is a guest.  A
world knows nothing of sessions or of promises; a `Watch` sees all that it does.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Protocol
from zlib import crc32

import msgspec

from cluster.simulator.memory_store import MemoryReads, Tables, write_rows
from cluster.simulator.sim_voice import SimVoice
from cluster.simulator.timeline import Callback, ProcessRun, SimTimer, Timeline, Trace
from node.core.model.options import Options, Start
from node.core.protocol.effects import Record
from node.core.protocol.events import LinkDown, LinkUp
from node.core.protocol.messages import Envelope
from node.core.protocol.operations import Outcome, Request
from node.core.replica import Replica, restore
from node.driver import Driver

ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(list[Envelope])

Batch = tuple[Sequence[Record], Callback]
Told = Mapping[str, Start]
Build = Callable[[str, Start, "SimStore", Options, Random], Replica]


class Weather(msgspec.Struct):
    """How bad the network and the disks are at the moment; faults change it while it is in use."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_s: tuple[float, float] = (0.0005, 0.02)
    late: float = 0.01  # the share of messages that are late by up to `late_s`
    late_s: float = 0.3
    sync_s: tuple[float, float] = (0.0002, 0.01)
    stall: float = 0.0  # the share of syncs that take `stall_s`
    stall_s: tuple[float, float] = (0.05, 0.5)
    detect_s: float = 2.0  # nodes notice a broken link within this time


class SimStore(MemoryReads):
    """The store of one run: reads see every write, and the disk gets writes in groups, later."""

    def __init__(self, world: "World", node: "SimNode") -> None:
        self._world, self._node, self._run = world, node, node.run
        super().__init__(node.disk)
        self._waiting: deque[Batch] = deque()
        self._syncing = False

    def write(self, records: Sequence[Record], done: Callback) -> None:
        write_rows(self.tables, records)
        self._waiting.append((records, done))
        if not self._syncing:
            self._sync()

    def crash(self, keep: bool) -> None:
        """Drop the batches not yet synced; with `keep`, keep a drawn number of the first ones."""
        kept = self._world.random.randint(0, len(self._waiting)) if keep else 0
        for records, _ in list(self._waiting)[:kept]:
            self._node.make_durable(records)

    def is_waiting(self, table: str, key: str) -> bool:
        """Whether a row is still to be synced."""
        records = (record for batch, _ in self._waiting for record in batch)
        return any((record.table, record.key) == (table, key) for record in records)

    def _sync(self) -> None:
        """Make everything that waits now durable together."""
        self._syncing = True
        weather, random = self._world.weather, self._world.random
        stalled = random.random() < max(weather.stall, self._node.stall)
        delay = random.uniform(*(weather.stall_s if stalled else weather.sync_s))
        synced = partial(self._on_synced, len(self._waiting))
        self._world.timeline.after(delay, synced, self._run)

    def _on_synced(self, batches: int) -> None:
        synced = [self._waiting.popleft() for _ in range(batches)]
        for records, _ in synced:
            self._node.make_durable(records)
        self._syncing = False
        if self._waiting:
            self._sync()
        for _, done in synced:
            done()


class Watch(Protocol):
    """Sees what a client cannot: what nodes send, and what becomes durable."""

    def on_sent(self, node: "SimNode", target: str, envelope: Envelope) -> None: ...
    def on_durable(self, node: "SimNode", records: Sequence[Record]) -> None: ...
    def on_forgotten(self, node: "SimNode") -> None: ...


class SimNode:
    """A machine: an address, a disk, a wrong clock and, while it is up, a driver."""

    def __init__(self, address: str, skew_s: float, watch: Watch) -> None:
        self.address, self.skew_s, self.stall = address, skew_s, 0.0
        self.disk: Tables = {}
        self.run = ProcessRun(0)
        self.run.over = True
        self.driver: Driver | None = None
        self.clock: SimTimer | None = None
        self.store: SimStore | None = None
        self.known: set[str] = set()  # the nodes that its driver knows
        self.linked: dict[str, int] = {}  # peer -> the incarnation of it to which our link leads
        self._watch = watch

    def make_durable(self, records: Sequence[Record]) -> None:
        write_rows(self.disk, records)
        self._watch.on_durable(self, records)


class SimLinks:
    """The links of one run."""

    def __init__(self, world: "World", node: SimNode) -> None:
        self._world, self._node = world, node

    def know(self, peers: Collection[str]) -> None:
        self._world.know(self._node, peers)

    def send(self, peer: str, envelope: Envelope) -> None:
        self._world.send(self._node, peer, envelope)


class World:
    """The machines, with what each is told when it starts, and the network between them."""

    def __init__(
        self, told: Told, random: Random, watch: Watch, options: Options, build: Build | None = None
    ) -> None:
        self.starts, self.random, self.watch = told, random, watch
        self.timeline, self.trace, self.weather = Timeline(), Trace(), Weather()
        self.nodes = {address: SimNode(address, 0.0, watch) for address in told}
        self.cuts: set[tuple[str, str]] = set()
        self.lags: dict[tuple[str, str], float] = {}  # links that are slower than the weather
        self.bytes_delivered, self.last_arrival = 0, 0.0
        # A shorter pause may follow a longer one: what the first has held back keeps its time.
        self.last_pause_ends = 0.0
        self.voice = SimVoice()
        self._options, self._build = options, build or restore
        self._runs = count(1)

    # ------------------------------------------------------------------ machines

    def start(self, address: str) -> None:
        """Start the node on what its disk has."""
        node = self.nodes[address]
        assert node.driver is None, f"{address} is up already"
        node.run = ProcessRun(next(self._runs))
        self._note(f"start {address}")
        node.store = store = SimStore(self, node)
        node.clock = SimTimer(self.timeline, node.skew_s, node.run)
        links, renew = SimLinks(self, node), partial(self._renew, node)
        node.driver = Driver(self._replica(node), node.clock, links, store, renew, self.voice)
        node.driver.start()
        self._look_at_links([address])

    def _replica(self, node: SimNode) -> Replica:
        assert node.store is not None
        chance = Random(self.random.getrandbits(64))
        told = self.starts[node.address]
        return self._build(node.address, told, node.store, self._options, chance)

    def _renew(self, node: SimNode) -> Replica:
        """Replace a replica that has ended.  Either the node was told to forget everything, and its
        disk is as good as new; or it begins a new incarnation on its rows."""
        assert node.store is not None
        has_forgotten = node.store.read("meta", "anew") is None
        self._note(f"{node.address} {'has forgotten' if has_forgotten else 'begins anew'}")
        if has_forgotten:
            self.watch.on_forgotten(node)
        return self._replica(node)

    def crash(self, address: str, keep: bool = False) -> None:
        """End the process; drop what is not synced or, with `keep`, all but the first batches."""
        node = self.nodes[address]
        assert node.store is not None, f"{address} is down already"
        self._note(f"crash {address}{' keep' if keep else ''}")
        node.run.over = True
        node.store.crash(keep)
        node.driver = node.store = node.clock = None
        node.known, node.linked = set(), {}
        self._look_at_links([address])

    def pause(self, address: str, seconds: float) -> None:
        """Pause the process; its callbacks and messages wait for it."""
        self._note(f"pause {address} {seconds:.3f}")
        self.nodes[address].run.paused_until = self.timeline.now + seconds
        self.last_pause_ends = max(self.last_pause_ends, self.timeline.now + seconds)

    def drained_at(self) -> float:
        """Return the time when all that was sent or held back until now will have arrived."""
        return max(self.last_arrival, self.last_pause_ends)

    def submit(self, address: str, request: Request, done: Callable[[Outcome], None]) -> None:
        """Submit a client's request; it is lost if the node's run ends before the node notes
        it.
        """
        node = self.nodes[address]
        assert node.driver is not None, f"{address} is down"
        ask = partial(node.driver.submit, request, done)
        if node.run.paused_until > self.timeline.now:
            self.timeline.at(node.run.paused_until, ask, node.run)
        else:
            ask()

    def wipe(self, address: str) -> None:
        """Take the disk of a node that is down."""
        assert self.nodes[address].driver is None, f"{address} is up"
        self._note(f"wipe {address}")
        self.nodes[address].disk = {}

    def put_back(self, address: str, disk: Tables) -> None:
        """Give a node that is down another disk: a copy of one, or its own as it was."""
        assert self.nodes[address].driver is None, f"{address} is up"
        self._note(f"put back {address}")
        self.nodes[address].disk = disk

    # ------------------------------------------------------------------ the network

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let nothing pass from the first of each pair to the second any more."""
        pairs = sorted(set(pairs))
        self._note(f"cut {' '.join(f'{a}>{b}' for a, b in pairs)}")
        self.cuts.update(pairs)
        self._look_at_links(sorted({address for pair in pairs for address in pair}))

    def mend(self, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = sorted(set(pairs))
        self._note(f"mend {' '.join(f'{a}>{b}' for a, b in pairs)}")
        self.cuts.difference_update(pairs)
        self._look_at_links(sorted({address for pair in pairs for address in pair}))

    def know(self, node: SimNode, peers: Collection[str]) -> None:
        """Replace the set of nodes that this node knows; a link that neither end knows now ends."""
        before, node.known = node.known, set(peers) & self.nodes.keys()
        for peer in sorted(node.known ^ before):
            self._look_soon(node.address, peer)
            self._look_soon(peer, node.address)

    def is_linked(self, one: str, other: str) -> bool:
        """Whether there is a link between them, when both are up and nothing is cut."""
        nodes = self.nodes
        return other in nodes and (other in nodes[one].known or one in nodes[other].known)

    def send(self, node: SimNode, target: str, envelope: Envelope) -> None:
        """Send a letter; whether, when and how often it arrives is drawn.  A single one may be so
        late that a later incarnation of the target gets it; a doubled one never is."""
        self.watch.on_sent(node, target, envelope)
        weather, random = self.weather, self.random
        if target not in node.linked and not self.is_linked(node.address, target):
            return
        if (node.address, target) in self.cuts or random.random() < weather.loss:
            return
        frame = ENCODER.encode([envelope])
        deliver = partial(self._deliver, node.address, target, frame)
        run = self.nodes[target].run if random.random() < weather.duplication else None
        lag = self.lags.get((node.address, target), 0.0)
        for _ in range(1 if run is None else 2):
            arrival = self.timeline.now + self._delay() + lag * random.random()
            self.last_arrival = max(self.last_arrival, arrival)
            self.timeline.at(arrival, deliver, run)

    def _delay(self) -> float:
        weather, random = self.weather, self.random
        late = weather.late_s * random.random() if random.random() < weather.late else 0.0
        return random.uniform(*weather.delay_s) + late

    def _deliver(self, source: str, target: str, frame: bytes) -> None:
        driver, run = self.nodes[target].driver, self.nodes[target].run
        if driver is None or (source, target) in self.cuts:
            return
        if run.paused_until > self.timeline.now:
            deliver = partial(self._deliver, source, target, frame)
            self.timeline.at(run.paused_until, deliver, run)
            return
        self.bytes_delivered += len(frame)
        for envelope in DECODER.decode(frame):
            kind, view = type(envelope.message).__name__, envelope.epoch.view
            self._note(f"{source}>{target} {kind} in {view} {len(frame)}")
            driver.receive(source, envelope)

    def _look_at_links(self, changed: list[str]) -> None:
        """Let both ends of each link that may have changed look at it soon, each at its own
        time.
        """
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
        if node.run.paused_until > self.timeline.now:
            look = partial(self._look_at_link, address, peer)
            self.timeline.at(node.run.paused_until, look, node.run)
            return
        before = node.linked.get(peer, 0)
        both_ways = {(address, peer), (peer, address)} & self.cuts
        is_seen = len(both_ways) == 2 or (both_ways and crc32(f"{address}{peer}".encode()) % 2)
        is_gone = other.run.over or is_seen or not self.is_linked(address, peer)
        after = 0 if is_gone else other.run.number
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
