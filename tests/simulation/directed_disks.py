"""Stories about disks that are put back as they were when an older view was valid.

Four real replicas in two shards, in fair weather, as in `directed_views`.  A story puts the disk of
n4 back after its view has been retired, and then makes n4 the only owner of everything.  A story
that ends badly raises ViolationError.
"""

from copy import deepcopy

from cluster.simulator.disk_shadow import Shadow
from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.memory_store import Tables
from cluster.simulator.world import SimNode
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.keys import SLOTS
from node.core.model.view import Layout, Shard
from node.core.protocol.messages import Envelope, Superseded
from node.core.protocol.operations import (
    Forget,
    Forgotten,
    Found,
    Get,
    Outcome,
    Propose,
    Put,
    Stored,
)
from tests.simulation.directed_views import KEYS, NODES, Cluster

OLD = "n4"
KEPT, LATE = b"of the view that came next", b"of the old disk"


class PutBack(Cluster):
    """Can keep n4's disk and put it back; while `deaf`, n4 hears only objections from others."""

    def __init__(self, seed: int) -> None:
        self.deaf = False
        super().__init__(seed)

    def send(self, node: SimNode, target: str, envelope: Envelope) -> None:
        if not self.deaf or target != OLD or isinstance(envelope.message, Superseded):
            super().send(node, target, envelope)

    def kept(self) -> tuple[Tables, Shadow]:
        assert isinstance(self.watch, InvariantMonitor)
        return deepcopy(self.nodes[OLD].disk), deepcopy(self.watch.shadows[OLD])

    def go_on(self, *owners: str) -> None:
        """Go on to a view with one shard of these members, until the one before is retired."""
        self.ask("n1", Propose(Layout(NODES, (Shard("s1", owners),), bytes(SLOTS))))
        self.wait(10.0)
        assert self.replica("n1").views.history.settled

    def put_back_disk(self, disk: Tables, shadow: Shadow) -> None:
        assert isinstance(self.watch, InvariantMonitor)
        self.crash(OLD)
        self.watch.on_put_back(OLD, shadow, self.timeline.now)
        self.put_back(OLD, disk)

    def show(self, address: str) -> tuple[set[bytes], Past]:
        """Return what all keys show beside each other, and the contexts of all."""
        values, context = set[bytes](), Past()
        for key in KEYS:
            found = self.ask(address, Get(key, Mode.SIBLINGS, wait_s=2.0))
            if not isinstance(found, Found):
                raise ViolationError("LostWrite", f"{key} at {address}: {found}")
            values |= set(found.values)
            context = context.with_all(found.context.by_name(found.dots))
        return values, context


def an_old_disk_has_replaced_what_came_later(seed: int) -> None:
    """A client replaces at n4 what it has read elsewhere, before any node can object.

    The write is of a view that is retired: it counts as known everywhere, and no other node has it.
    """
    cluster = PutBack(seed)
    kept = cluster.kept()
    cluster.go_on("n2")
    cluster.write("n2", KEPT)
    cluster.go_on("n3", OLD)
    _, context = cluster.show("n3")
    cluster.put_back_disk(*kept)
    cluster.part(OLD)
    cluster.start(OLD)
    cluster.wait(3.0)
    for key in KEYS:
        put = Put(key, LATE, Mode.SIBLINGS, context=context, level="one")
        cluster.submit(OLD, put, lambda outcome: None)
    cluster.wait(3.0)
    named = [v.value for k in KEYS for v in cluster.replica(OLD).peek(k).versions.values()]
    assert LATE in named
    cluster.mend(set(cluster.cuts))
    cluster.wait(3.0)
    values, _ = cluster.show(OLD)
    if KEPT not in values:
        raise ViolationError("LostWrite", f"{OLD} shows {values}")


def a_new_life_on_old_rows_is_asked_to_write(seed: int) -> None:
    """n4 has heard an objection and nothing else, and is asked to write.

    The view that it knows may be retired, so what it named there would be lost.
    """
    cluster = PutBack(seed)
    cluster.go_on("n3", OLD)
    kept = cluster.kept()
    cluster.go_on("n2")
    cluster.put_back_disk(*kept)
    cluster.deaf = True
    cluster.start(OLD)
    cluster.wait(5.0)
    assert cluster.replica(OLD).maintenance.identity.reason
    put = Put(KEYS[0], LATE, Mode.SIBLINGS, level="one")
    outcome = cluster.ask(OLD, put)
    cluster.deaf = False
    cluster.wait(10.0)
    found = cluster.ask("n1", Get(KEYS[0], Mode.SIBLINGS, wait_s=2.0))
    if isinstance(outcome, Stored) and not isinstance(found, Found):
        raise ViolationError("LostWrite", f"{outcome.dot}: {found}")


def an_old_disk_meets_a_node_that_has_forgotten(seed: int) -> None:
    """The one peer that n4 reaches has left the next view and forgotten everything.

    It knows of no view, but it knows which are retired.
    """
    cluster = PutBack(seed)
    kept = cluster.kept()
    cluster.ask("n1", Propose(Layout(NODES[:2], (Shard("s1", NODES[:2]),), bytes(SLOTS))))
    cluster.wait(10.0)
    assert cluster.replica("n3").views.history.settled
    assert cluster.ask("n3", Forget()) == Forgotten()
    cluster.put_back_disk(*kept)
    cluster.cut({pair for node in NODES[:2] for pair in ((OLD, node), (node, OLD))})
    cluster.start(OLD)
    cluster.wait(5.0)
    outcomes = {key: cluster.ask(OLD, Put(key, LATE, level="one")) for key in KEYS}
    cluster.mend(set(cluster.cuts))
    cluster.wait(10.0)
    for key in (key for key, outcome in outcomes.items() if isinstance(outcome, Stored)):
        found = cluster.ask("n1", Get(key, wait_s=2.0))
        if not isinstance(found, Found):
            raise ViolationError("LostWrite", f"{key} at n1: {found}")


def a_new_life_is_alone_in_the_view_of_its_old_rows(seed: int) -> None:
    """n4 begins a new incarnation in a view in which it is the only node.

    No other node is in that view, so none can say that it has heard of the new incarnation.  But
    the node that objected was in a newer view: a write that is named in the old one would be lost.
    """
    cluster = PutBack(seed)
    cluster.ask("n1", Propose(Layout((OLD,), (Shard("s1", (OLD,)),), bytes(SLOTS))))
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.ask(OLD, Propose(Layout(NODES, (Shard("s1", ("n2",)),), bytes(SLOTS))))
    cluster.wait(10.0)
    cluster.go_on("n3")
    cluster.put_back_disk(*kept)
    cluster.deaf = True
    cluster.start(OLD)
    cluster.wait(5.0)
    assert cluster.replica(OLD).maintenance.identity.reason
    outcome = cluster.ask(OLD, Put(KEYS[0], LATE, Mode.SIBLINGS, level="one"))
    cluster.deaf = False
    cluster.wait(10.0)
    found = cluster.ask("n1", Get(KEYS[0], Mode.SIBLINGS, wait_s=2.0))
    if isinstance(outcome, Stored) and not isinstance(found, Found):
        raise ViolationError("LostWrite", f"{outcome.dot}: {found}")


def an_old_disk_names_writes_while_it_is_alone(seed: int) -> None:
    """n4 has named writes; its disk is put back as it was before them, and n4 is cut off.

    So it names other writes before a peer can object.
    """
    cluster = PutBack(seed)
    cluster.go_on("n3", OLD)
    cluster.write(OLD, b"before the copy")
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.write(OLD, b"after the copy")
    cluster.wait(10.0)
    cluster.put_back_disk(*kept)
    cluster.part(OLD)
    cluster.start(OLD)
    cluster.wait(3.0)
    for key in KEYS:
        cluster.submit(OLD, Put(key, b"of the old disk", level="one"), lambda outcome: None)
    cluster.wait(3.0)
    cluster.mend(set(cluster.cuts))
    cluster.wait(10.0)


def a_disk_of_a_past_incarnation_is_asked_to_write(seed: int) -> None:
    """n4 has lost its disk and come back empty; then the lost disk is put back, and n4 is cut off.

    The shard peers have closed the incarnation of that disk: they count all its writes as known, so
    they would drop what it names from a client's token.
    """
    cluster = PutBack(seed)
    cluster.go_on("n2", "n3", OLD)
    cluster.write(OLD, KEPT)
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.crash(OLD)
    cluster.wipe(OLD)
    cluster.start(OLD)
    cluster.wait(15.0)
    cluster.put_back_disk(*kept)
    cluster.part(OLD)
    cluster.start(OLD)
    _write_and_read_elsewhere(cluster, KEYS[0])  # before it has heard of its successor
    cluster.mend(set(cluster.cuts))
    cluster.wait(10.0)
    cluster.part(OLD)
    _write_and_read_elsewhere(cluster, KEYS[1])  # and after


def _write_and_read_elsewhere(cluster: PutBack, key: str) -> None:
    """Write at n4 alone; the client that has written never reads the older value."""
    outcomes: list[Outcome] = []
    cluster.submit(OLD, Put(key, LATE, level="one"), outcomes.append)
    cluster.wait(1.0)
    for outcome in outcomes:
        if isinstance(outcome, Stored):
            found = cluster.ask("n2", Get(key, token=outcome.token, wait_s=2.0))
            if isinstance(found, Found) and LATE not in found.values:
                raise ViolationError("ReadYourWrites", f"{key} at n2: {found}")


def a_copied_disk_starts_in_another_shard(seed: int) -> None:
    """n4 starts on a copy of n1's disk, which has writes that no other node has.

    They are of slots of n1's shard.  If n4 counted them in the clocks of its own slots, n3 would,
    too, and neither node could ever tell which key of theirs lacks them.
    """
    cluster = PutBack(seed)
    assert isinstance(cluster.watch, InvariantMonitor)
    cluster.part("n1")
    for key in KEYS:
        cluster.submit("n1", Put(key, KEPT, level="one"), lambda outcome: None)
    cluster.wait(3.0)
    copy, writer = deepcopy(cluster.nodes["n1"].disk), cluster.replica("n1").keyspace.actor
    cluster.crash(OLD)
    cluster.watch.on_wipe(OLD, cluster.timeline.now)
    cluster.watch.on_copied("n1", OLD)
    cluster.put_back(OLD, copy)
    cluster.mend(set(cluster.cuts))
    cluster.start(OLD)
    cluster.wait(15.0)
    for address in ("n3", OLD):
        for part in cluster.replica(address).keyspace.parts.owned():
            if n := part.clock.highest(writer):
                raise ViolationError("OfAnotherShard", f"{address} has write {n} of {writer}")
