"""Disks that change rows by themselves: a fault that is drawn apart from all others.

The promise holds while damage is limited.  Only one node has damaged rows at a time.  All other
owners have each row on their disks, in a slot that has arrived there, and no disk is lost until the
rows are whole again.  If the key log was full and has dropped writes that some owners lack, a node
cannot say which key they were of, and stops, as it should.  So seeds with a short log change no
rows (docs/decisions/0020).  The fault changes a row on the disk, and not what its node has in
memory.  (reliability B21.)
"""

from collections.abc import Callable
from random import Random

from cluster.simulator.disk_shadow import Shadow
from cluster.simulator.invariants import InvariantMonitor
from cluster.simulator.memory_store import write_rows
from cluster.simulator.recurring import Recurring
from cluster.simulator.world import World
from node.core.model.keys import row_of, slot_of_key
from node.core.model.view import FIRST
from node.core.protocol.effects import DAMAGED, Record

SHARE = 0.75  # of the seeds whose log has room for all
LOG_ENTRIES_MIN = 10_000
EVERY_S = 3.0
KEYS_MAX = 4


class DiskCorruption(Recurring):
    """The draws of one run; `may_corrupt` says whether all other disks are whole."""

    def __init__(
        self,
        world: World,
        monitor: InvariantMonitor,
        seed: int,
        log_entries: int,
        may_corrupt: Callable[[], bool],
    ) -> None:
        random = Random(f"rot {seed}")
        is_drawn = random.random() < SHARE and log_entries >= LOG_ENTRIES_MIN
        super().__init__(world, monitor, random, EVERY_S, is_drawn)
        self._may_corrupt = may_corrupt

    def _strike(self) -> None:
        is_hurt = self._monitor.is_changing() or self._monitor.is_lacking()
        addresses = sorted(a for a, node in self._world.nodes.items() if node.disk)
        if addresses and self._may_corrupt() and not is_hurt and not damaged_nodes(self._world):
            self._corrupt(self._random.choice(addresses))

    def _corrupt(self, address: str) -> None:
        keys = [
            key
            for key in sorted(self._monitor.shadows[address].items)
            if self._is_safe(address, key)
        ]
        chosen = self._random.sample(keys, min(len(keys), self._random.randint(1, KEYS_MAX)))
        node = self._world.nodes[address]
        for key in chosen:
            record = Record("item", row_of(key), DAMAGED)
            write_rows(node.disk, [record])
            if node.store is not None:
                write_rows(node.store.tables, [record])
            self._monitor.reached["a row has changed by itself"] += 1

    def _is_safe(self, address: str, key: str) -> bool:
        """Whether this disk has the row, and all other owners know that they have its content.

        A node reads a row that it has yet to sync from memory, so a change of the disk does not
        reach it.
        """
        row, node = row_of(key), self._world.nodes[address]
        tables = [node.disk, node.store.tables] if node.store is not None else [node.disk]
        if any(row not in table.get("item", {}) for table in tables):
            return False
        if node.store is not None and node.store.is_waiting("item", row):
            return False
        view = max(self._monitor.views.values(), key=lambda view: view.id)
        others = [m for m in view.shard_of(slot_of_key(key)).members if m != address]
        dots = [dot for dot, name in self._monitor.shadows[address].held.items() if name == key]
        shadows = [self._monitor.shadows[other] for other in others]
        has_all = all(shadow.has(key, dot) for shadow in shadows for dot in dots)
        return (
            bool(others)
            and has_all
            and all(
                self._vouches(each, key) and self._knows_all(each, address, key) for each in shadows
            )
        )

    def _vouches(self, shadow: Shadow, key: str) -> bool:
        """Whether this disk knows that it has all of the key's slot.

        The names of writes in retired views are gone; so a store that has them all without knowing
        it cannot make a row whole.
        """
        clock, oldest_view = shadow.clock_of(slot_of_key(key)), self._monitor.oldest_view
        return oldest_view <= FIRST or (clock is not None and clock.oldest_view >= oldest_view)

    def _knows_all(self, other: Shadow, address: str, key: str) -> bool:
        """Whether this disk knows of every write that the clock here names.

        Some writes are lost with an incarnation.  A node that has closed the incarnation cannot
        tell which keys they were of, and a node that has not closed it yet does not mention them.
        """
        slot = slot_of_key(key)
        here, there = self._monitor.shadows[address].clock_of(slot), other.clock_of(slot)
        if here is None or there is None:
            return False
        return all(dot in other.ever for dot in here.missing_from(there))


def damaged_nodes(world: World) -> list[str]:
    """The nodes with damaged rows, on their disks or in what they read."""
    return [
        address
        for address, node in world.nodes.items()
        for tables in (node.disk, node.store.tables if node.store is not None else {})
        if any(value == DAMAGED for value, _ in tables.get("item", {}).values())
    ]
