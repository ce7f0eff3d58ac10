"""How a test breaks a rule of the core on purpose, and which runs can show it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count, islice
from pathlib import Path
from random import Random

import orjson

from cluster.simulator.disk_copies import is_drawn
from cluster.simulator.nemesis import Swarm, swarm_of

SHOWN_FILE = Path(__file__).parent / "shown.json"
SHOWN: dict[str, list[int]] = orjson.loads(SHOWN_FILE.read_bytes())
SEEDS_MAX = 150  # how many runs that can show it are played before it counts as unnoticed

Break = Callable[[], Iterator[None]]
Mutant = Callable[[], AbstractContextManager[None]]


class Breaks:
    """Breaks by name; each replaces one small function of the product inside its block."""

    def __init__(self, first: int = 0, is_able: Callable[[int], bool] = lambda seed: True) -> None:
        """Look for them from this seed on, and among those that are able."""
        self._first, self._is_able = first, is_able
        self.mutants: dict[str, Mutant] = {}
        self._can_show: dict[str, Callable[[int, Swarm], bool]] = {}

    def shown_by(
        self,
        *faults: str,
        deletes: float = 0.0,
        page_items: int = 128,
        changes: int = 0,
        copying: bool = False,
    ) -> Callable[[Break], Mutant]:
        """Register a break, with the faults, deletes, pages and view changes of runs that can show
        it.

        Some need disks that are copied and put back.
        """

        def register(broken: Break) -> Mutant:
            self.mutants[broken.__name__] = opened = contextmanager(broken)
            self._can_show[broken.__name__] = lambda seed, swarm: (
                self._is_able(seed)
                and (is_drawn(seed) or not copying)
                and set(faults) <= set(swarm.faults)
                and swarm.deletes >= deletes
                and swarm.limits.page_items <= page_items
                and swarm.changes >= changes
            )
            return opened

        return register

    def seeds_for(self, name: str) -> Iterator[int]:
        """Return the seeds that have shown it, then all others that can.

        `python -m tests.simulation.shown` finds again which have.
        """
        shown = SHOWN.get(name, [])
        yield from shown
        yield from (seed for seed in self.able(name) if seed not in shown)

    def able(self, name: str, seeds_max: int = SEEDS_MAX) -> Iterator[int]:
        """Return the first seeds that can show it."""
        can_show = self._can_show[name]
        able = (seed for seed in count(self._first) if can_show(seed, swarm_of(Random(seed))))
        return islice(able, seeds_max)
