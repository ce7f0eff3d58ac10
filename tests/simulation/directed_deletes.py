"""Stories about deleted values that must not come back.

An exchange with a store that has no names for them any more could bring them back, or a page that
was on its way meanwhile.  Random runs show this too rarely.  There are real replicas in fair
weather; the stories cut machines off, take disks and hold pages back.  A story that ends badly
raises ViolationError.
"""

from collections.abc import Callable

from cluster.simulator.invariants import ViolationError
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.keys import slot_of_key
from node.core.model.view import FIRST
from node.core.protocol.messages import Page, Replicate
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Outcome,
    Propose,
    Put,
    Stored,
)
from tests.simulation.directed import KEY, NODES, Stage
from tests.simulation.directed_views import KEYS, Cluster, all_slots_to
from tests.simulation.post import nothing


def a_delete_below_the_oldest_view(seed: int) -> None:
    """A client reads a value below an oldest view, so it has no name for it, and deletes it
    elsewhere.

    The value has not arrived there yet.
    """
    cluster = Cluster(seed)
    cluster.ask("n2", Put(KEY, b"old", Mode.SIBLINGS))
    cluster.ask("n2", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    cluster.wait(5.0)
    found = cluster.ask("n2", Get(KEY, Mode.SIBLINGS))
    assert isinstance(found, Found)
    assert found.context.oldest_view > FIRST
    assert not found.context.base
    cluster.part("n3")
    cluster.ask("n3", Propose(all_slots_to("n3", "n1", "n2", "n4")))
    delete = Put(KEY, None, Mode.SIBLINGS, context=found.context, level="one")
    assert isinstance(cluster.ask("n3", delete), Stored)
    cluster.heal()
    outcome = cluster.ask("n3", Get(KEY, Mode.SIBLINGS))
    if not isinstance(outcome, Absent):
        raise ViolationError("DeletedIsBack", f"{KEY} at n3: {outcome}")


def _wait_until(is_so: Callable[[], bool], stage: Stage) -> None:
    """Wait, but not for long: a node asks again for a late page, and then another node."""
    for _ in range(50):
        if is_so():
            return
        stage.wait(0.1)
    raise AssertionError("it has not come to that")


def a_page_that_was_read_before_the_delete(seed: int) -> None:
    """A new disk asks for all rows, and gets one by a read meanwhile; a client deletes that.

    When all have the delete it leaves no row.  Then the page comes, with the row as it was.
    """
    stage = Stage(seed)
    stage.write(KEY, b"old")
    stage.wait(10.0)
    stage.holds = lambda node, target, envelope: (
        target == "n3" and isinstance(envelope.message, Page)
    )
    stage.replace_disk("n3")
    _wait_until(lambda: bool(stage.held), stage)
    outcomes: list[Outcome] = []
    stage.submit("n3", Get(KEY, wait_s=1.0), outcomes.append)
    stage.wait(0.5)
    assert isinstance(outcomes[0], Found)
    stage.write(KEY, None)
    _wait_until(lambda: not any(stage.shown(address) for address in NODES), stage)
    stage.let_go(stage.held[:1])
    stage.wait(1.0)
    stage.holds = nothing
    stage.wait(30.0)
    stage.all_must_show([])


def a_delete_is_shown_without_what_its_writer_had_seen(seed: int) -> None:
    """A reader of a delete mark must also see the sibling on which the delete depends.

    n1 alone has a sibling.  Its reader writes another one at n2 and deletes that again: n2 holds
    the mark of that delete, which depends on the sibling that n2 lacks.  A third client wants to
    delete what there is. n2 must not say that there is nothing, since a reader of that mark is
    shown the sibling afterwards.
    """
    stage = Stage(seed)
    stage.holds = lambda node, target, envelope: (
        target != "n1" and isinstance(envelope.message, Replicate | Page)
    )
    first = stage.stored("n1", Put(KEY, b"seen", Mode.SIBLINGS, level="one"))
    second = Put(KEY, b"beside it", Mode.SIBLINGS, first.token, level="one")
    beside = stage.stored("n2", second)
    mark = Put(KEY, None, Mode.SIBLINGS, beside.token, beside.context, "one")
    assert first.dot in stage.stored("n2", mark).token.exact
    outcome = stage.asked(
        "n2", Put(KEY, None, Mode.SIBLINGS, refuse_when=RefuseWhen(absent=True), level="one")
    )
    stage.holds = nothing
    stage.wait(10.0)
    found = stage.asked("n2", Get(KEY, Mode.SIBLINGS))
    assert isinstance(found, Found)
    assert found.values == (b"seen",)
    if isinstance(outcome, Absent):
        raise ViolationError("MissingVersion", f"{KEY} at n2: {outcome}, and then {found}")


def a_late_copy_of_what_was_deleted(seed: int) -> None:
    """A message to n3 is late; meanwhile n3 gets the value by repair, and a client deletes it.

    The delete leaves no row.  Then the message comes, and there is no later stamp to compare it
    with.
    """
    stage = Stage(seed)
    stage.holds = lambda node, target, envelope: (
        target == "n3" and isinstance(envelope.message, Replicate)
    )
    stage.write(KEY, b"old")
    stage.wait(5.0)
    assert stage.shown("n3") == [b"old"]
    stage.holds = nothing
    stage.write(KEY, None)
    _wait_until(lambda: not any(stage.shown(address) for address in NODES), stage)
    stage.let_go(stage.held)
    stage.wait(1.0)
    outcome = stage.asked("n3", Get(KEY))
    if not isinstance(outcome, Absent):
        raise ViolationError("DeletedIsBack", f"{KEY} at n3: {outcome}")


def a_value_beside_a_delete_is_counted(seed: int) -> None:
    """n1 and n2 own a key; one writes it while the other deletes it, and has not seen the value.

    A reader sees the value, so the key counts wherever the value is, beside the delete or alone.
    """
    cluster = Cluster(seed)
    owner, other = "n1", "n2"
    view = cluster.replica(owner).view
    key = next(key for key in KEYS if owner in view.shard_of(slot_of_key(key)).members)
    cluster.part(owner)
    for address, value in ((owner, b"kept"), (other, None)):
        put = Put(key, value, Mode.SIBLINGS, level="one")
        cluster.submit(address, put, lambda outcome: None)
        cluster.wait(1.0)
    cluster.mend(set(cluster.cuts))
    for _ in range(200):
        cluster.wait(0.05)
        for keyspace in (cluster.replica(address).keyspace for address in (owner, other)):
            if keyspace.filled(key).shown() and keyspace.live_keys != 1:
                raise ViolationError("Miscounted", f"{keyspace.live_keys} keys, and {key} is shown")
    assert len(cluster.replica(other).peek(key).shown()) == 1


def a_value_expires_beside_another(seed: int) -> None:
    """An owner deletes the value whose time is over, and what stands beside it stays."""
    stage = Stage(seed)
    clock = stage.nodes["n1"].clock
    assert clock is not None
    expires = int((clock.now() + 5.0) * 1000)
    for value, upto in ((b"for a while", expires), (b"for ever", 0)):
        stage.stored("n1", Put(KEY, value, Mode.SIBLINGS, expires=upto))
    stage.wait(15.0)
    stage.all_must_show([b"for ever"])


def a_value_is_read_when_its_time_is_over(seed: int) -> None:
    """Owners delete it some moments later; readers must not see it meanwhile."""
    stage = Stage(seed)
    clock = stage.nodes["n3"].clock
    assert clock is not None
    over_at = clock.now() + 2.0
    stage.stored("n1", Put(KEY, b"for a while", expires=int(over_at * 1000)))
    outcomes: list[Outcome] = []
    stage.wait(over_at - clock.now() - 0.1)
    while clock.now() < over_at + 0.5:
        is_over = clock.now() > over_at
        stage.submit("n3", Get(KEY), outcomes.append)
        if is_over and isinstance(outcomes[-1], Found):
            raise ViolationError("ShownExpired", f"{KEY} at n3: {outcomes[-1]}")
        stage.wait(0.002)
    assert isinstance(outcomes[0], Found)
