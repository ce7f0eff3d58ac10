"""A client whose request is a talk: a node of the simulator takes its steps as the server would."""

from collections.abc import Callable, Sequence
from functools import partial

from cluster.simulator.world import World
from node.api.contract import Facts, Refused, Reply, Steps
from node.core import status
from node.core.protocol.operations import Outcome, Request


def facts_of(world: World, address: str) -> Facts:
    """Return what a node that is up can report of itself."""
    driver = world.nodes[address].driver
    assert driver is not None, f"{address} is down"
    replica = driver.replica
    return Facts(
        address=address,
        view=replica.view,
        alive=partial(status.alive, replica, driver.now()),
        cluster=replica.keyspace.name,
        now=driver.now(),
        packed=replica.keyspace.runs.pack_past,
    )


class Talking:
    """One talk at one node; `done` is told the reply."""

    def __init__(
        self, world: World, address: str, steps: Steps, done: Callable[[Reply], None]
    ) -> None:
        self._world, self._address, self._steps, self._done = world, address, steps, done
        self._outcomes: list[Outcome | None] = []
        self._go(partial(next, steps))

    def _go(self, step: Callable[[], Sequence[Request] | float]) -> None:
        try:
            wanted = step()
        except StopIteration as end:
            self._done(end.value)
            return
        except Refused as refusal:
            self._done(refusal.reply)
            return
        if isinstance(wanted, float):
            self._world.timeline.after(wanted, partial(self._go, partial(self._steps.send, [])))
            return
        self._outcomes = [None] * len(wanted)
        for place, request in enumerate(wanted):
            self._world.submit(self._address, request, partial(self._note, place))

    def _note(self, place: int, outcome: Outcome) -> None:
        self._outcomes[place] = outcome
        told = [each for each in self._outcomes if each is not None]
        if len(told) == len(self._outcomes):
            self._go(partial(self._steps.send, told))
