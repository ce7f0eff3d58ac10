"""Stories of what was deleted and must not come back, which chance tells too rarely: by an exchange
with a store that has no names for it any more, or by a page that was on its way meanwhile.

Real replicas in fair weather; machines are cut off and lose disks, pages are held back.  A story
that ends badly raises ViolationError.
"""

from collections.abc import Callable

from cluster.witness import ViolationError
from node.core.messages import Absent, Found, Get, Mode, Outcome, Page, Propose, Put, Stored
from node.core.view import FIRST
from tests.simulation.directed import KEY, NODES, Stage
from tests.simulation.directed_views import Cluster, all_slots_to
from tests.simulation.post import nothing


def a_delete_below_the_floor(seed: int) -> None:
    """A value is read below a floor, so its reader has no name for it; it deletes the value where
    that has not arrived yet."""
    cluster = Cluster(seed)
    cluster.ask("n2", Put(KEY, b"old", Mode.SIBLINGS))
    cluster.ask("n2", Propose(all_slots_to("n2", "n1", "n3", "n4")))
    cluster.wait(5.0)
    found = cluster.ask("n2", Get(KEY, Mode.SIBLINGS))
    assert isinstance(found, Found)
    assert found.context.floor > FIRST
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
    """Not for long: a page that does not come is asked for again, and then of somebody else."""
    for _ in range(50):
        if is_so():
            return
        stage.wait(0.1)
    raise AssertionError("it has not come to that")


def a_page_that_was_read_before_the_delete(seed: int) -> None:
    """A new disk asks for all rows and gets one by a read meanwhile; that is deleted, and when all
    have the delete it leaves no row; then the page comes, with the row as it was."""
    stage = Stage(seed)
    stage.write(KEY, b"old")
    stage.wait(10.0)
    stage.holds = lambda node, target, letter: target == "n3" and isinstance(letter.message, Page)
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
