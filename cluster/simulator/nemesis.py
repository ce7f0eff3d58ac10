"""What goes wrong in a run: a drawn subset of faults, and the schedule that causes them (swarm).

A seed switches on only some kinds of fault, each with its own strength: runs that do a little of
everything look alike and find little.  Some runs change their view as well, once or often, also
while the last change is unfinished and on both sides of a cut; other faults follow a change at
once.  Limits on the faults keep the promises possible: one disk is lost at a time, never a shard's
only one, and the monitor excuses what only that disk had.  `heal` ends them all.  (reliability B,
"swarm rule"; protocol D10.)
"""

from collections.abc import Callable
from functools import partial
from random import Random

import msgspec

from cluster.simulator.core_bounds import DrawnLimits, limits_of
from cluster.simulator.invariants import InvariantMonitor
from cluster.simulator.random_layouts import SPARES, layout_of
from cluster.simulator.world import Weather, World
from node.core.protocol.operations import Forget, Outcome, Propose

FAULTS = (
    "loss", "duplication", "late", "stalls", "skew",  # all the time
    "cut one", "cut in two", "one way", "slow links", "slow disk",
    "crash one", "crash some", "crash all", "pause", "wipe",
)  # fmt: skip
SKEW_S = 0.3
SKEW_LARGE_S = 3600.0


class Swarm(msgspec.Struct, frozen=True):
    """All draws of a run before it begins; a report prints them."""

    nodes: int
    shards: int
    changes: int  # of the view, at most
    spares: tuple[str, ...]  # what further machines do (`random_layouts.SPARES`)
    faults: tuple[str, ...]
    weather: Weather
    limits: DrawnLimits
    skew_s: float
    every_s: float  # the mean time between two events
    outage_s: float  # the longest that a cut lasts or a node is down
    faulty_s: float  # the length of the first phase
    sessions: int
    keys: int
    deletes: float  # the share of deletes among the writes
    think_s: float  # the mean pause of a session between two operations


TOPOLOGIES = (
    (1, 1), (2, 1), (2, 2), (3, 1), (3, 1), (4, 1), (4, 2), (5, 2), (6, 2), (6, 2), (6, 3), (7, 2)
)  # fmt: skip


CHANGES = (0, 0, 1, 3, 6)
FOLLOWED = 0.5  # the share of view changes that another fault follows at once
PROPOSER_FALLS = 0.2  # and of those whose proposer crashes, where processes do
ON_BOTH_SIDES = 0.6  # the share of cuts in two with a view change on each side


def swarm_of(random: Random) -> Swarm:
    """Draw a run."""
    nodes, shards = random.choice(TOPOLOGIES)
    changes = random.choice(CHANGES)
    faults = tuple(random.sample(FAULTS, random.randint(2, 6)))
    weather = Weather(
        loss=random.choice((0.02, 0.1)) if "loss" in faults else 0.0,
        duplication=0.05 if "duplication" in faults else 0.0,
        late=0.1 if "late" in faults else 0.01,
        late_s=random.choice((0.3, 3.0, 10.0)) if "late" in faults else 0.3,
        stall=0.05 if "stalls" in faults else 0.0,
    )
    return Swarm(
        nodes=nodes,
        shards=shards,
        changes=changes,
        spares=tuple(random.choices(SPARES, k=random.randint(0, 3))) if changes else (),
        faults=faults,
        weather=weather,
        limits=limits_of(random),
        skew_s=random.choice((SKEW_S, SKEW_S, SKEW_LARGE_S)) if "skew" in faults else 0.0,
        every_s=random.choice((0.5, 1.0, 2.0, 4.0)),
        outage_s=random.choice((0.5, 1.0, 3.0, 7.0)),
        faulty_s=random.uniform(10.0, 30.0),
        sessions=random.randint(3, 6),
        keys=random.randint(4, 16),
        deletes=random.choice((0.0, 0.15, 0.15, 0.4)),
        think_s=random.choice((0.01, 0.03, 0.06)),
    )


def describe(swarm: Swarm) -> str:
    """Return what was drawn, as JSON."""
    return msgspec.json.encode(swarm).decode()


def spares_of(swarm: Swarm) -> dict[str, str]:
    """The machines beyond the first view, and what each does."""
    return {f"m{i + 1}": spare for i, spare in enumerate(swarm.spares)}


class Nemesis:
    """Causes the events of a swarm, one after the other; each undoes itself after a while."""

    def __init__(self, world: World, swarm: Swarm, monitor: InvariantMonitor) -> None:
        self._world, self._swarm, self._monitor = world, swarm, monitor
        self._random, self._timeline = world.random, world.timeline
        self._calm = False
        self._wiped: str | None = None  # the node whose disk was lost last
        self._changes = swarm.changes
        self._spares, self._machines = spares_of(swarm), list(world.nodes)
        self._events: dict[str, Callable[[], None]] = {
            "cut one": self._cut_one,
            "cut in two": self._cut_in_two,
            "one way": self._one_way,
            "slow links": self._slow_links,
            "crash one": partial(self._crash, 1),
            "crash some": partial(self._crash, 2),
            "crash all": partial(self._crash, len(world.nodes)),
            "slow disk": self._slow_disk,
            "pause": self._pause,
            "wipe": self._wipe,
            "reshape": self._reshape,
            "forget": self._forget,
        }
        self._kinds = [kind for kind in swarm.faults if kind in self._events]
        self._others = list(self._kinds)
        if swarm.changes:
            self._kinds += ["reshape"] * (1 + len(self._kinds) // 2) + ["forget"]

    def begin(self) -> None:
        """Begin the bad weather, and soon the first event."""
        self._world.weather = self._swarm.weather
        if "skew" in self._swarm.faults:
            for node in self._world.nodes.values():
                node.skew_s = self._skew()
        for address in self._world.nodes:
            spare = self._spares.get(address)
            if spare == "joins":
                late_s = self._random.uniform(0.0, self._swarm.faulty_s)
                self._timeline.after(late_s, partial(self._start, address))
            elif spare != "named":
                self._world.start(address)
        self._plan()

    def heal(self) -> None:
        """End all faults: fair weather, no cut, every node up.  Pauses end by themselves."""
        self._calm = True
        self._world.weather = Weather()
        self._world.mend(self._world.cuts)
        self._world.lags.clear()
        for address, node in self._world.nodes.items():
            node.stall = 0.0
            self._start(address)

    def _plan(self) -> None:
        if self._kinds and not self._calm:
            self._timeline.after(self._random.expovariate(1 / self._swarm.every_s), self._strike)

    def _strike(self) -> None:
        if not self._calm:
            self._do(self._random.choice(self._kinds))
            self._plan()

    def _do(self, kind: str) -> None:
        if self._calm:
            return
        if self._monitor.is_changing():
            self._monitor.reached[f"{kind} during a view change"] += 1
        self._events[kind]()

    def _skew(self) -> float:
        return self._random.uniform(-self._swarm.skew_s, self._swarm.skew_s)

    # ------------------------------------------------------------------ views
    def _reshape(self) -> None:
        able = [address for address in self._world.nodes if self._is_able(address)]
        if able:
            self._change_view(self._random.choice(able))

    def _is_able(self, address: str) -> bool:
        """Whether this node knows a view that it could change, and its disk is not old."""
        if (driver := self._world.nodes[address].driver) is None:
            return False
        return bool(driver.replica.view.shards) and not self._monitor.is_old(address)

    def _change_view(self, address: str) -> None:
        """Propose a view there; often add another fault at once."""
        driver = self._world.nodes[address].driver
        if self._calm or not self._changes or driver is None or not self._is_able(address):
            return
        self._changes -= 1
        view = driver.replica.view
        layout = layout_of(self._random, view, list(self._world.nodes))
        if not self._monitor.may_be_owned_so(layout):
            return
        base = view.id if self._random.random() < 0.3 else None
        self._world.submit(address, Propose(layout, base), self._on_proposed)
        for node in layout.nodes:
            if self._spares.get(node) == "named":
                late_s = self._random.uniform(0.0, 2 * self._swarm.outage_s)
                self._timeline.after(late_s, partial(self._restart, node))
        if "crash one" in self._others and self._random.random() < PROPOSER_FALLS:
            self._timeline.after(self._random.uniform(0.0, 0.1), partial(self._fell, address))
        elif self._others and self._random.random() < FOLLOWED:
            follow = partial(self._do, self._random.choice(self._others))
            self._timeline.after(self._random.uniform(0.0, 1.5), follow)

    def _on_proposed(self, outcome: Outcome) -> None:
        self._monitor.reached[f"propose {type(outcome).__name__}"] += 1

    def _forget(self) -> None:
        """Tell a node to forget everything, after it has left the view and all others know that."""
        view = max(self._monitor.views.values(), key=lambda view: view.id)
        gone = [a for a in self._machines if a not in view.nodes and self._is_able(a)]
        if gone and not self._monitor.is_changing():
            self._world.submit(self._random.choice(gone), Forget(), self._on_proposed)

    def _fell(self, address: str) -> None:
        """Crash a node, if it is up."""
        if self._world.nodes[address].driver is not None:
            self._crash_node(address)

    # ------------------------------------------------------------------ the network
    def _cut(self, pairs: set[tuple[str, str]]) -> None:
        if pairs:
            self._world.cut(pairs)
            cut_s = self._random.uniform(0.2, self._swarm.outage_s)
            self._timeline.after(cut_s, partial(self._repair, pairs))

    def _repair(self, pairs: set[tuple[str, str]]) -> None:
        if not self._calm:
            self._world.mend(pairs)

    def _cut_one(self) -> None:
        alone = self._random.choice(self._machines)
        others = [address for address in self._machines if address != alone]
        self._cut({(alone, other) for other in others} | {(other, alone) for other in others})

    def _cut_in_two(self) -> None:
        side = {address: self._random.random() < 0.5 for address in self._machines}
        self._cut({(one, two) for one in side for two in side if side[one] != side[two]})
        if self._changes > 1 and self._random.random() < ON_BOTH_SIDES:
            for half in (True, False):
                able = [a for a in side if side[a] is half and self._is_able(a)]
                if able:
                    propose = partial(self._change_view, self._random.choice(able))
                    self._timeline.after(self._random.uniform(0.0, 0.5), propose)

    def _one_way(self) -> None:
        """Cut one node's messages to one other node or to all."""
        nodes = self._machines
        mute = self._random.choice(nodes)
        deaf = [address for address in nodes if address != mute]
        if deaf and self._random.random() < 0.5:
            deaf = [self._random.choice(deaf)]
        self._cut({(mute, address) for address in deaf})

    def _slow_links(self) -> None:
        """Make some links slower than the others, each in one direction."""
        nodes = self._machines
        pairs = [(one, two) for one in nodes for two in nodes if self._random.random() < 0.3]
        lags = {pair: self._random.choice((0.1, 0.5, 2.0)) for pair in pairs}
        self._world.lags.update(lags)
        outage_s = self._random.uniform(0.2, self._swarm.outage_s)
        self._timeline.after(outage_s, self._world.lags.clear)

    # ------------------------------------------------------------------ machines
    def _start(self, address: str) -> None:
        if self._world.nodes[address].driver is None:
            self._world.start(address)

    def _crash(self, most: int) -> None:
        """Crash processes at once; each comes back in its time, and some crash again."""
        up = [address for address, node in self._world.nodes.items() if node.driver is not None]
        for address in self._random.sample(up, min(most, len(up))):
            self._crash_node(address)

    def _crash_node(self, address: str) -> None:
        if self._calm:
            return
        self._world.crash(address, keep=self._random.random() < 0.5)
        if "skew" in self._swarm.faults and self._random.random() < 0.3:
            self._world.nodes[address].skew_s = self._skew()
        downtime = self._random.uniform(0.05, self._swarm.outage_s)
        self._timeline.after(downtime, partial(self._restart, address))

    def _restart(self, address: str) -> None:
        if self._calm or self._world.nodes[address].driver is not None:
            return
        self._world.start(address)
        if self._random.random() < 0.15:
            run = self._world.nodes[address].run
            again = partial(self._crash_node, address)
            self._timeline.after(self._random.uniform(0.001, 0.5), again, run)

    def _pause(self) -> None:
        """Pause a process, often for longer than any node waits for it."""
        address = self._random.choice(self._machines)
        if self._world.nodes[address].driver is not None:
            self._world.pause(address, self._random.uniform(0.1, 2 * self._swarm.outage_s))

    def _slow_disk(self) -> None:
        node = self._world.nodes[self._random.choice(self._machines)]
        node.stall = self._random.choice((0.3, 1.0))
        slow_s = self._random.uniform(0.5, self._swarm.outage_s)
        self._timeline.after(slow_s, partial(setattr, node, "stall", 0.0))

    def _wipe(self) -> None:
        """Lose a disk, if the promises can be kept without it: one at a time."""
        if not self.has_all():
            return
        able = [
            address
            for address, node in self._world.nodes.items()
            if node.driver is not None
            and self._world.starts[address].view.nodes != (address,)  # it would begin a cluster
            and self._monitor.may_lose(address)
        ]
        if able:
            self._wiped = address = self._random.choice(able)
            self._world.crash(address)
            self._monitor.on_wipe(address, self._timeline.now)
            self._world.wipe(address)
            self._timeline.after(self._random.uniform(0.01, 2.0), partial(self._restart, address))

    def has_all(self) -> bool:
        """Whether what the last lost disk had is there again, and no older view is awaited."""
        if self._wiped is None:
            return True
        driver = self._world.nodes[self._wiped].driver
        arrived = driver is not None and driver.replica.maintenance.arrived
        return arrived and not self._monitor.is_changing()
