"""Faults with copies of disks, and nodes that crash in a loop; drawn apart from all other faults.

A disk may be put back as it was some time ago.  It has lost the writes since then, so it is in part
a lost disk: only one is put back at a time, and not before the last one has everything again.  A
disk may also be copied as it is, while its node runs or not, to a machine that has never been
started.

The runs avoid one case: a node on an old disk that no shard peer has told anything, and that
reaches none for two seconds.  It serves what it has, as any isolated node does (protocol D1), and
cannot know that this is old.  The fault ends its process before that, and starts it again.
(reliability B; protocol D1.)
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from random import Random

from cluster.simulator.disk_shadow import Shadow
from cluster.simulator.invariants import InvariantMonitor
from cluster.simulator.memory_store import Tables
from cluster.simulator.recurring import Recurring
from cluster.simulator.world import World

SHARE = 0.4  # of all seeds
EVERY_S = 2.0
DOWN_S = (0.01, 2.0)
LOOP_STARTS = (3, 12)
LOOP_UP_S = (0.01, 0.4)
LOOK_EVERY_S = 0.2
ALONE_S = 1.0  # well below the time that a node waits for its peers


def is_drawn(seed: int) -> bool:
    """Whether this run copies disks and puts them back, and lets nodes crash in loops."""
    return Random(f"copying {seed}").random() < SHARE


class Copying(Recurring):
    """The draws of one run; `may_lose` says whether no other disk is in doubt."""

    def __init__(
        self, world: World, monitor: InvariantMonitor, seed: int, may_lose: Callable[[], bool]
    ) -> None:
        super().__init__(world, monitor, Random(f"copying of {seed}"), EVERY_S, is_drawn(seed))
        self._may_lose = may_lose
        self._kept: dict[str, tuple[Tables, Shadow]] = {}
        self._events = (self._keep, self._restore, self._restore, self._copy, self._loop)

    def begin(self) -> None:
        super().begin()
        self._look()

    def _look(self) -> None:
        """End a node on an old disk that has been alone for too long."""
        if self._calm:
            return
        for address in self._world.nodes:
            if self._monitor.is_old(address) and self._is_alone_and_told_nothing(address):
                self._monitor.reached["an old disk that is alone"] += 1
                self._world.crash(address)
                self._start_soon(address)
        self._world.timeline.after(LOOK_EVERY_S, self._look)

    def _is_alone_and_told_nothing(self, address: str) -> bool:
        node = self._world.nodes[address]
        if node.driver is None or node.clock is None or node.driver.replica.views.is_confirmed:
            return False
        views, since = (
            node.driver.replica.views,
            node.driver.replica.maintenance.bootstrap.alone_since,
        )
        incarnations = views.incarnations
        has_met = any(incarnations.current(peer) in incarnations.runs for peer in views.introducers)
        return since is not None and node.clock.now() - since >= ALONE_S and not has_met

    def _strike(self) -> None:
        self._random.choice(self._events)()

    def _keep(self) -> None:
        """Keep a copy of a disk."""
        address = self._random.choice(sorted(self._world.nodes))
        if disk := self._world.nodes[address].disk:
            self._kept[address] = deepcopy(disk), deepcopy(self._monitor.shadows[address])

    def _restore(self) -> None:
        """Start a node on its own disk of some time ago."""
        able = [
            address
            for address in sorted(self._kept)
            if self._world.starts[address].view.nodes != (address,)
            and not self._monitor.knows_no_other(address, self._kept[address][1])
            and self._monitor.may_lose(address)
        ]
        if not able or not self._may_lose():
            return
        address = self._random.choice(able)
        disk, shadow = self._kept.pop(address)
        if self._world.nodes[address].driver is not None:
            self._world.crash(address)
        self._monitor.on_put_back(address, shadow, self._world.timeline.now)
        self._world.put_back(address, disk)
        self._start_soon(address)

    def _copy(self) -> None:
        """Give a machine that was never started a copy of another one's disk."""
        nodes = self._world.nodes
        fresh = [a for a, node in nodes.items() if not node.disk and node.driver is None]
        known = [a for a, node in nodes.items() if node.disk]
        if not fresh or not known or self._monitor.damaged_nodes():
            return
        target, source = self._random.choice(sorted(fresh)), self._random.choice(sorted(known))
        if self._world.starts[target].view.nodes == (target,):
            return
        self._monitor.on_copied(source, target)
        self._world.put_back(target, deepcopy(nodes[source].disk))
        self._start_soon(target)

    def _loop(self) -> None:
        """Crash a node soon after its start, again and again."""
        up = sorted(a for a, node in self._world.nodes.items() if node.driver is not None)
        if up:
            address = self._random.choice(up)
            self._monitor.reached["a crash loop"] += 1
            self._crash(address, self._random.randint(*LOOP_STARTS))

    def _crash(self, address: str, times: int) -> None:
        if self._calm or not times or self._world.nodes[address].driver is None:
            return
        self._world.crash(address, keep=self._random.random() < 0.5)
        down_s = self._random.uniform(*LOOP_UP_S)
        self._world.timeline.after(down_s, partial(self._start_again, address, times - 1))

    def _start_again(self, address: str, times: int) -> None:
        self._start(address)
        up_s = self._random.uniform(*LOOP_UP_S)
        self._world.timeline.after(up_s, partial(self._crash, address, times))

    def _start_soon(self, address: str) -> None:
        after_s = self._random.uniform(*DOWN_S)
        self._world.timeline.after(after_s, partial(self._start, address))

    def _start(self, address: str) -> None:
        if not self._calm and self._world.nodes[address].driver is None:
            self._world.start(address)
