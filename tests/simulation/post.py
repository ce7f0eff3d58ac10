"""A world in fair weather that holds letters back, for stories that random runs show too rarely."""

from collections.abc import Callable
from random import Random

from cluster.simulator.hint_rules import HintMonitor
from cluster.simulator.world import SimNode, World
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.model.view import no_view
from node.core.protocol.messages import Envelope

OPTIONS = Options(repair_every_s=0.3)

Held = tuple[SimNode, str, Envelope]


def nothing(node: SimNode, target: str, envelope: Envelope) -> bool:
    return False


class Post(World):
    """These nodes, all up with the same first view, after some time to find each other.

    It holds chosen letters back until they are let go.  `spares` are machines that are down and
    know only these nodes.
    """

    def __init__(
        self,
        seed: int,
        nodes: tuple[str, ...],
        shards: int,
        spares: tuple[str, ...] = (),
        options: Options = OPTIONS,
    ) -> None:
        view = first_view(nodes, shards)
        told = dict.fromkeys(nodes, Start(view)) | dict.fromkeys(spares, Start(no_view(nodes)))
        super().__init__(told, Random(seed), HintMonitor(view, spares), options)
        self.holds: Callable[[SimNode, str, Envelope], bool] = nothing
        self.held: list[Held] = []
        for address in nodes:
            self.start(address)
        self.wait(5.0)

    def send(self, node: SimNode, target: str, envelope: Envelope) -> None:
        if self.holds(node, target, envelope):
            self.held.append((node, target, envelope))
        else:
            super().send(node, target, envelope)

    def let_go(self, held: list[Held]) -> None:
        for node, target, envelope in held:
            super().send(node, target, envelope)

    def wait(self, seconds: float) -> None:
        self.timeline.run(self.timeline.now + seconds)

    def replace_disk(self, address: str) -> None:
        self.crash(address)
        self.wipe(address)
        self.start(address)
