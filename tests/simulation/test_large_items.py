"""The largest items that the settings allow travel by every path.

The paths are a write's replication, an exchange by dots and one by rows, a read and what it mends,
and the repair of a damaged row.  The bounds are the product's, and no message is larger than a link
takes.
"""

from functools import partial

import pytest

from cluster.simulator.invariants import InvariantMonitor
from cluster.simulator.memory_store import write_rows
from cluster.simulator.world import ENCODER, SimNode
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.keys import row_of, slot_of_key
from node.core.protocol.effects import DAMAGED, Record
from node.core.protocol.messages import Envelope
from node.core.protocol.operations import Found, Get, Outcome, Overfull, Put, Stored
from node.shell.peers.link import MESSAGE_BYTES_MAX
from tests.simulation.post import Post, nothing

pytestmark = pytest.mark.slow

NODES = ("n1", "n2", "n3", "n4", "n5", "n6")
KEY = "s1"
LARGEST = 16 * 1024 * 1024  # VALUE_BYTES_MAX
CONVERGED_S = 10.0


class Stage(Post):
    """Two shards of three nodes: the key has owners, and there are nodes that only pass on."""

    def __init__(self) -> None:
        self.largest_message = 0
        super().__init__(1, NODES, 2)
        driver = self.nodes["n1"].driver
        assert driver is not None
        assert isinstance(self.watch, InvariantMonitor)
        self.witness = self.watch
        self.owners = driver.replica.view.shard_of(slot_of_key(KEY)).members
        self.other = next(node for node in NODES if node not in self.owners)

    def send(self, node: SimNode, target: str, envelope: Envelope) -> None:
        self.largest_message = max(self.largest_message, len(ENCODER.encode([envelope])))
        super().send(node, target, envelope)

    def ask(self, address: str, request: Put | Get, wait_s: float = 3.0) -> Outcome:
        outcomes: list[Outcome] = []
        self.submit(address, request, outcomes.append)
        self.wait(wait_s)
        return outcomes[0]

    def write(self, address: str, text: bytes, context: Past | None = None) -> Outcome:
        value = text * (LARGEST // len(text))
        put = Put(KEY, value, Mode.SIBLINGS, context=context or Past(), level="one")
        return self.ask(address, put, 0.5)

    def read(self, address: str) -> Found:
        found = self.ask(address, Get(KEY, Mode.SIBLINGS, copies=2, wait_s=2.0, repair=True))
        assert isinstance(found, Found)
        return found

    def texts(self, address: str) -> set[bytes]:
        """Return the beginnings of the values that a node holds."""
        driver = self.nodes[address].driver
        assert driver is not None
        versions = driver.replica.peek(KEY).versions.values()
        return {version.value[:1] for version in versions if version.value}

    def of_owners(self) -> list[set[bytes]]:
        return [self.texts(owner) for owner in self.owners]


def is_kept_from(address: str, node: SimNode, target: str, envelope: Envelope) -> bool:
    """Let a node hear only reads and what they mend."""
    kinds = ("Fetch", "State", "ReadRepair", "Heartbeat")
    return target == address and type(envelope.message).__name__ not in kinds


def write_on_two_sides(stage: Stage) -> None:
    """Write on two sides of a cut, one of them full: afterwards nodes send pages of dots."""
    one, two, _ = stage.owners
    apart = {(one, other) for other in NODES if other != one}
    apart |= {(other, one) for other in NODES if other != one}
    stage.cut(apart)
    assert isinstance(stage.write(one, b"a"), Stored)
    assert isinstance(stage.write(one, b"b"), Stored)
    assert isinstance(stage.write(one, b"c"), Overfull)
    assert isinstance(stage.write(two, b"d"), Stored)
    stage.mend(apart)
    stage.wait(CONVERGED_S)
    assert stage.of_owners() == [{b"a", b"b", b"d"}] * 3


def replace_one_unheard(stage: Stage, found: Found) -> None:
    """Replace one value alone, while one owner does not hear of it."""
    one, _, three = stage.owners
    seen = {dot for dot, value in zip(found.shown, found.values, strict=True) if value[:1] == b"a"}
    stage.holds = partial(is_kept_from, three)
    assert isinstance(stage.write(one, b"e", Past({}, seen)), Stored)
    assert stage.of_owners() == [{b"b", b"d", b"e"}] * 2 + [{b"a", b"b", b"d"}]


def lose_a_disk_and_a_row(stage: Stage) -> None:
    """Fill a new disk by rows, and repair a damaged row from the others."""
    _, two, three = stage.owners
    stage.replace_disk(three)
    stage.wait(CONVERGED_S)
    driver = stage.nodes[three].driver
    assert driver is not None
    assert driver.replica.maintenance.arrived
    stage.crash(two)
    write_rows(stage.nodes[two].disk, [Record("item", row_of(KEY), DAMAGED)])
    stage.start(two)
    stage.wait(CONVERGED_S)


def test_the_largest_items_go_by_every_path() -> None:
    stage = Stage()
    reached = stage.witness.reached
    write_on_two_sides(stage)
    assert reached["a piece in a ItemPage"] + reached["a piece in a RowPage"] > 0
    found = stage.read(stage.other)
    assert {value[:1] for value in found.values} == {b"a", b"b", b"d"}
    assert reached["a piece in a State"] > 0
    replace_one_unheard(stage, found)
    stage.read(stage.other)  # finds that an owner lacks one version, and tells it
    assert stage.of_owners() == [{b"b", b"d", b"e"}] * 3
    assert reached["a piece in a ReadRepair"] > 0
    stage.holds = nothing
    stage.wait(20.0)
    pages, pieces = reached["page of rows"], reached["a piece in a State"]
    lose_a_disk_and_a_row(stage)
    assert stage.of_owners() == [{b"b", b"d", b"e"}] * 3
    assert reached["page of rows"] > pages
    assert reached["a piece in a State"] > pieces
    assert LARGEST < stage.largest_message <= LARGEST + 10_000 < MESSAGE_BYTES_MAX
