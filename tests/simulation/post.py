"""A world in fair weather that holds letters back, for the stories that chance tells too rarely."""

from collections.abc import Callable
from random import Random

from cluster.simulation import Node, World
from cluster.witness import Witness
from node.core.messages import Letter
from node.core.replica import Options, Start
from node.core.view import first_view

OPTIONS = Options(repair_every_s=0.3)

Held = tuple[Node, str, Letter]


def nothing(node: Node, target: str, letter: Letter) -> bool:
    return False


class Post(World):
    """These nodes, all up, told of the same first view, with some time to find each other; it holds
    back what it is told to, until it is let go."""

    def __init__(self, seed: int, nodes: tuple[str, ...], shards: int) -> None:
        view = first_view(nodes, shards)
        told = dict.fromkeys(nodes, Start(view))
        super().__init__(told, Random(seed), Witness(view), OPTIONS)
        self.holds: Callable[[Node, str, Letter], bool] = nothing
        self.held: list[Held] = []
        for address in nodes:
            self.start(address)
        self.wait(5.0)

    def send(self, node: Node, target: str, letter: Letter) -> None:
        if self.holds(node, target, letter):
            self.held.append((node, target, letter))
        else:
            super().send(node, target, letter)

    def let_go(self, held: list[Held]) -> None:
        for node, target, letter in held:
            super().send(node, target, letter)

    def wait(self, seconds: float) -> None:
        self.timeline.run(self.timeline.now + seconds)

    def replace_disk(self, address: str) -> None:
        self.crash(address)
        self.wipe(address)
        self.start(address)
