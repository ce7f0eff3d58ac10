"""Two stories that chance tells too rarely: what a late message may do around a wiped disk.

A world of three real replicas of one shard in fair weather; chosen messages are held back and
delivered later, at every moment of a span in turn.  A story that ends badly raises ViolationError.
"""

from collections.abc import Callable
from random import Random

from cluster.simulation import Node, World
from cluster.witness import ViolationError, Witness
from node.core.messages import AVAILABLE, Level, Message, Outcome, Put, Replicate
from node.core.replica import Options
from node.core.view import first_view

KEY = "l1"
NODES = ("n1", "n2", "n3")
OPTIONS = Options(repair_every_s=0.3)


class Stage(World):
    """Holds back what it is told to, until it is let go."""

    def __init__(self, seed: int = 1) -> None:
        view = first_view(NODES, 1)
        super().__init__(view, Random(seed), Witness(view), OPTIONS)
        self.holds: Callable[[Node, str, Message], bool] = lambda node, target, message: False
        self.held: list[tuple[Node, str, Message]] = []
        for address in NODES:
            self.start(address)
        self.wait(5.0)

    def send(self, node: Node, target: str, message: Message) -> None:
        if self.holds(node, target, message):
            self.held.append((node, target, message))
        else:
            super().send(node, target, message)

    def let_go(self) -> None:
        held, self.held = self.held, []
        for node, target, message in held:
            super().send(node, target, message)

    def wait(self, seconds: float) -> None:
        self.timeline.run(self.timeline.now + seconds)

    def write(self, value: bytes | None, level: Level = AVAILABLE) -> None:
        outcomes: list[Outcome] = []
        driver = self.nodes["n1"].driver
        assert driver is not None
        driver.submit(Put(KEY, value, level=level), outcomes.append)
        self.wait(0.5)

    def replace_disk(self, address: str) -> None:
        self.crash(address)
        self.wipe(address)
        self.start(address)

    def shown(self, address: str) -> list[bytes | None]:
        driver = self.nodes[address].driver
        assert driver is not None
        return [version.value for version in driver.replica.peek(KEY).versions.values()]

    def all_must_show(self, values: list[bytes]) -> None:
        for address in NODES:
            if self.shown(address) != values:
                raise ViolationError("Diverged", f"{address} shows {self.shown(address)}")


def _is_replicate_to(*targets: str) -> Callable[[Node, str, Message], bool]:
    return lambda node, target, message: target in targets and isinstance(message, Replicate)


def a_late_copy_meets_an_empty_disk(delay_s: float) -> None:
    """A value is deleted, the delete forgotten; then a copy of the value reaches a new disk."""
    stage = Stage()
    stage.holds = _is_replicate_to("n3")
    stage.write(b"old")
    stage.holds = _is_replicate_to()
    stage.wait(5.0)
    stage.write(None)
    stage.wait(10.0)
    stage.replace_disk("n3")
    stage.wait(delay_s)
    stage.let_go()
    stage.wait(10.0)
    stage.all_must_show([])


def a_late_write_of_a_life_that_ended(delay_s: float) -> None:
    """A write that only its wiped home had reaches one fellow while the others give it up."""
    stage = Stage()
    stage.holds = _is_replicate_to("n2", "n3")
    stage.write(b"lost", "one")
    stage.holds = _is_replicate_to()
    stage.held.pop()
    stage.write(b"kept")
    stage.replace_disk("n1")
    stage.wait(delay_s)
    stage.let_go()
    stage.wait(10.0)
    stage.all_must_show([b"kept"])


STORIES = (a_late_copy_meets_an_empty_disk, a_late_write_of_a_life_that_ended)
MOMENTS_S = [0.05 * step for step in range(60)]
