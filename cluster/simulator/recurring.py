"""Faults that strike again and again, each with its own stream of draws.

A seed draws the same sessions and the same other faults with such a fault as without it.
"""

from abc import ABC, abstractmethod
from random import Random

from cluster.simulator.invariants import InvariantMonitor
from cluster.simulator.world import World


class Recurring(ABC):
    """Strikes in intervals of about this length, from `begin` until `heal`, if it is drawn."""

    def __init__(
        self,
        world: World,
        monitor: InvariantMonitor,
        random: Random,
        every_s: float,
        is_drawn: bool,
    ) -> None:
        self._world, self._monitor, self._random = world, monitor, random
        self._every_s, self._calm = every_s, not is_drawn

    def begin(self) -> None:
        self._plan()

    def heal(self) -> None:
        """End the fault for good."""
        self._calm = True

    def _plan(self) -> None:
        if not self._calm:
            after_s = self._random.expovariate(1 / self._every_s)
            self._world.timeline.after(after_s, self._come)

    def _come(self) -> None:
        if not self._calm:
            self._strike()
            self._plan()

    @abstractmethod
    def _strike(self) -> None: ...
