"""Disks that change rows by themselves: a fault that is drawn apart from all others.

Its stream is its own, so a seed draws the same sessions and the same other faults with it as
without.  The promise is for a minority: rows of one node at a time, each of which all other owners
have on their disks, and no disk is lost until they are whole again.  Where the key log was full and
has dropped writes that not everybody has, a node cannot say which key they were of, and rightly
steps aside: so no row changes in seeds that keep the log short (docs/decisions/0020).  A row is
changed where it lies; what its node keeps in memory of it is not.  (reliability B21.)
"""

from collections.abc import Callable
from random import Random

from cluster.memory import write_rows
from cluster.simulation import World
from cluster.witness import Witness
from node.core.effects import DAMAGED, Record
from node.core.walk import row_of, slot_of_key

SHARE = 0.75  # of the seeds whose log has room for all
LOG_ENTRIES_MIN = 10_000
EVERY_S = 3.0
KEYS_MAX = 4


class Rotting:
    """What one run draws; `may_rot` says whether all other disks are whole."""

    def __init__(
        self,
        world: World,
        witness: Witness,
        seed: int,
        log_entries: int,
        may_rot: Callable[[], bool],
    ) -> None:
        self._world, self._witness, self._may_rot = world, witness, may_rot
        self._random = Random(f"rot {seed}")
        self._calm = self._random.random() >= SHARE or log_entries < LOG_ENTRIES_MIN

    def begin(self) -> None:
        self._plan()

    def heal(self) -> None:
        """No row changes any more."""
        self._calm = True

    def _plan(self) -> None:
        if not self._calm:
            after_s = self._random.expovariate(1 / EVERY_S)
            self._world.timeline.after(after_s, self._strike)

    def _strike(self) -> None:
        is_safe = self._may_rot() and not self._witness.is_changing()
        addresses = sorted(a for a, node in self._world.nodes.items() if node.disk)
        if addresses and not self._calm and is_safe and not rotten(self._world):
            self._rot(self._random.choice(addresses))
        self._plan()

    def _rot(self, address: str) -> None:
        keys = [
            key
            for key in sorted(self._witness.shadows[address].items)
            if self._is_safe(address, key)
        ]
        chosen = self._random.sample(keys, min(len(keys), self._random.randint(1, KEYS_MAX)))
        node = self._world.nodes[address]
        for key in chosen:
            record = Record("item", row_of(key), DAMAGED)
            write_rows(node.disk, [record])
            if node.store is not None:
                write_rows(node.store.tables, [record])
            self._witness.reached["a row has changed by itself"] += 1

    def _is_safe(self, address: str, key: str) -> bool:
        """Whether this disk has the row, and all other owners have what is in it."""
        row, node = row_of(key), self._world.nodes[address]
        tables = [node.disk, node.store.tables] if node.store is not None else [node.disk]
        if any(row not in table.get("item", {}) for table in tables):
            return False
        view = max(self._witness.views.values(), key=lambda view: view.id)
        others = [m for m in view.shard_of(slot_of_key(key)).members if m != address]
        dots = [dot for dot, name in self._witness.shadows[address].held.items() if name == key]
        shadows = [self._witness.shadows[other] for other in others]
        return bool(others) and all(shadow.has(key, dot) for shadow in shadows for dot in dots)


def rotten(world: World) -> list[str]:
    """The nodes with rows that are not whole, on their disks or in what they read."""
    return [
        address
        for address, node in world.nodes.items()
        for tables in (node.disk, node.store.tables if node.store is not None else {})
        if any(value == DAMAGED for value, _ in tables.get("item", {}).values())
    ]
