"""Two stories that random runs show too rarely: a late message and a wiped disk.

A world has three real replicas of one shard in fair weather.  A story holds chosen messages back
and delivers them later, at every moment of a span in turn.  A story that ends badly raises
ViolationError.
"""

from cluster.simulator.invariants import ViolationError
from node.core.model.options import Options
from node.core.model.quorum import AVAILABLE, Level
from node.core.protocol.messages import Replicate
from node.core.protocol.operations import Outcome, Put, Request, Stored
from tests.simulation.post import OPTIONS, Post, nothing

KEY, OTHER_KEY = "l1", "l2"
NODES = ("n1", "n2", "n3")


class Stage(Post):
    """One shard of three."""

    def __init__(self, seed: int, options: Options = OPTIONS) -> None:
        super().__init__(seed, NODES, 1, options=options)

    def write(self, key: str, value: bytes | None, level: Level = AVAILABLE) -> None:
        outcomes: list[Outcome] = []
        driver = self.nodes["n1"].driver
        assert driver is not None
        driver.submit(Put(key, value, level=level), outcomes.append)
        self.wait(0.5)

    def asked(self, address: str, request: Request) -> Outcome:
        """Submit a client's request, and return its answer, or None after a second."""
        outcomes: list[Outcome] = []
        self.submit(address, request, outcomes.append)
        self.wait(1.0)
        assert outcomes, f"{address} has not answered {request}"
        return outcomes[0]

    def stored(self, address: str, put: Put) -> Stored:
        """Submit a write, which must be stored."""
        outcome = self.asked(address, put)
        assert isinstance(outcome, Stored), f"{put} at {address}: {outcome}"
        return outcome

    def shown(self, address: str) -> list[bytes | None]:
        driver = self.nodes[address].driver
        assert driver is not None
        return [version.value for version in driver.replica.peek(KEY).versions.values()]

    def all_must_show(self, *allowed: list[bytes | None]) -> None:
        """Demand that all replicas show the same, and that it is one of these."""
        shown = [self.shown(address) for address in NODES]
        if shown[0] not in allowed or shown != shown[:1] * len(NODES):
            raise ViolationError("Diverged", f"replicas show {shown}")


def a_late_copy_meets_an_empty_disk(delay_s: float, seed: int) -> None:
    """A value is deleted and its delete mark removed; then its copy reaches a new disk."""
    stage = Stage(seed)
    stage.holds = lambda node, target, envelope: (
        target == "n3" and isinstance(envelope.message, Replicate)
    )
    stage.write(KEY, b"old")
    stage.holds = nothing
    stage.wait(5.0)
    stage.write(KEY, None)
    stage.wait(10.0)
    stage.replace_disk("n3")
    stage.wait(delay_s)
    stage.let_go(stage.held)
    stage.wait(10.0)
    stage.all_must_show([])


def a_late_write_of_an_incarnation_that_ended(delay_s: float, seed: int) -> None:
    """A write that only its wiped home had reaches one shard peer while the others give it up."""
    stage = Stage(seed)
    stage.holds = lambda node, target, envelope: (
        node.address == "n1"
        and not (isinstance(envelope.message, Replicate) and envelope.message.key == OTHER_KEY)
    )
    stage.write(KEY, b"lost", "one")
    stage.write(OTHER_KEY, b"kept")
    stage.holds = nothing
    stage.replace_disk("n1")
    stage.wait(delay_s)
    stage.let_go([h for h in stage.held if h[1] == "n2" and isinstance(h[2].message, Replicate)])
    stage.wait(10.0)
    stage.all_must_show([], [b"lost"])


SEEDS = (1, 2, 3)
MOMENTS_S = [0.02 * step for step in range(80)]
