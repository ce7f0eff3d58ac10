"""Stories of single reads that random runs show too rarely.

A read shows what is not durable, misses what its client has seen, or brings back a replaced value.
Three real replicas of one shard in fair weather, as in `directed`.  The stories hold messages back
and crash machines at chosen moments.  A story that ends badly raises ViolationError.
"""

from dataclasses import replace
from itertools import count

from cluster.simulator.invariants import ViolationError
from node.core.model.conditions import Mode
from node.core.model.keys import row_of, slot_of_key
from node.core.protocol.messages import Page, Replicate
from node.core.protocol.operations import Found, Get, Outcome, Put
from tests.simulation.directed import KEY, NODES, OTHER_KEY, Stage
from tests.simulation.post import OPTIONS, Held, nothing

OLD, NEW = b"old", b"new"
SLOW_S = 1.0
ONE_ROW_A_PAGE = replace(OPTIONS, page_items=1, page_rows=1)


def found(stage: Stage, address: str, get: Get) -> Found:
    outcome = stage.asked(address, get)
    assert isinstance(outcome, Found), f"{get} at {address}: {outcome}"
    return outcome


def a_read_before_the_disk_has_it(seed: int) -> None:
    """A client reads a write at n1, whose disk is slow, before it is durable.

    Then the power fails, and the write is gone: n1 must not have shown it.
    """
    stage = Stage(seed)
    stage.write(KEY, OLD)
    stage.wait(5.0)
    stage.weather.stall_s = SLOW_S, SLOW_S
    stage.nodes["n1"].stall = 1.0
    stage.wait(SLOW_S)
    stage.submit("n1", Put(KEY, NEW, level="one"), lambda outcome: None)
    assert stage.shown("n1") == [NEW]
    outcomes: list[Outcome] = []
    stage.submit("n1", Get(KEY), outcomes.append)
    stage.crash("n1")
    stage.nodes["n1"].stall = 0.0
    stage.start("n1")
    stage.wait(10.0)
    stage.all_must_show([OLD])
    if outcomes:
        raise ViolationError("MonotonicReads", f"{outcomes[0]}, and then {OLD!r} everywhere")


def beside(key: str) -> str:
    """Return another key of the same slot."""
    slot = slot_of_key(key)
    return next(k for n in count() if slot_of_key(k := f"l-{n}") == slot)


def a_write_beside_one_that_has_not_come(seed: int) -> None:
    """n1 writes two keys of one slot, and n2 is told of the second alone.

    The message says what n1 knows.  A client that depends on the first must be shown it at n2.
    """
    stage = Stage(seed)
    stage.holds = lambda node, target, envelope: (
        target == "n2"
        and (
            isinstance(envelope.message, Page)
            or (isinstance(envelope.message, Replicate) and envelope.message.key == KEY)
        )
    )
    first = stage.stored("n1", Put(KEY, NEW))
    stage.stored("n1", Put(beside(KEY), NEW, level="all"))
    outcome = stage.asked("n2", Get(KEY, token=first.token, wait_s=0.5))
    if not isinstance(outcome, Found):
        raise ViolationError("WriteCOInitRead", f"{KEY} at n2: {outcome}")
    stage.holds = nothing
    stage.wait(10.0)
    stage.all_must_show([NEW])


def a_sibling_without_what_its_writer_had_seen(seed: int) -> None:
    """n1 alone has a sibling; its reader writes another one at n2, and a third client reads at n2.

    n2 must show it both, since the second depends on the first.
    """
    stage = Stage(seed)
    stage.holds = lambda node, target, envelope: (
        target != "n1" and isinstance(envelope.message, Replicate | Page)
    )
    first = stage.stored("n1", Put(KEY, b"seen", Mode.SIBLINGS, level="one"))
    second = Put(KEY, b"beside it", Mode.SIBLINGS, first.token, level="one")
    assert first.dot in stage.stored("n2", second).token.exact
    shown = found(stage, "n2", Get(KEY, Mode.SIBLINGS, wait_s=0.5))
    if b"seen" not in shown.values:
        raise ViolationError("MissingVersion", f"{KEY} at n2: {shown}")


class Skewed(Stage):
    """The clock of n1 is ahead of that of n3, and the clock of n3 is ahead of that of n2."""

    def start(self, address: str) -> None:
        self.nodes[address].skew_s = {"n1": 20.0, "n2": 0.0, "n3": 10.0}[address]
        super().start(address)

    def let_replicate(self, source: str, target: str) -> None:
        """Deliver now what the one has told the other of its writes."""
        sent = [h for h in self.held if (h[0].address, h[1]) == (source, target)]
        self.let_go([h for h in sent if isinstance(h[2].message, Replicate)])
        self.wait(1.0)


def a_write_by_a_clock_that_is_behind(seed: int) -> None:
    """A clock that is behind must not bring a replaced value back.

    n1 and n3 write at once, and n3 shows the value of n1, which has the higher stamp.  A client
    that has seen only that value replaces it at n2, whose clock is behind both.  A reader at n3 has
    seen the value of n1 win, so n3 must not show it its own value afterwards.
    """
    stage = Skewed(seed)
    stage.holds = lambda node, target, envelope: (
        isinstance(envelope.message, Replicate | Page) and {node.address, target} != {"n1", "n2"}
    )
    stage.stored("n1", Put(KEY, b"of n1", level="one"))
    stage.stored("n3", Put(KEY, b"of n3", level="one"))
    stage.let_replicate("n1", "n3")
    before = found(stage, "n3", Get(KEY))
    assert before.values == (b"of n1",), before
    seen = found(stage, "n2", Get(KEY))
    assert seen.values == (b"of n1",), seen
    stage.stored("n2", Put(KEY, b"of n2", token=seen.token, level="one"))
    stage.let_replicate("n2", "n3")
    after = found(stage, "n3", Get(KEY, token=before.token))
    if after.values == (b"of n3",):
        raise ViolationError("CyclicCF", f"{KEY} at n3: {before}, and then {after}")
    stage.holds = nothing
    stage.wait(10.0)
    for address in NODES:
        assert found(stage, address, Get(KEY)).values == (b"of n2",)


def _until_a_first_row_has_come(seed: int) -> tuple[Stage, Get]:
    """Run until a new disk at n3 has the first page of rows from n1, and no other page.

    n1 has replaced a value, and n2 has not heard of it; the page has the new value.  Read with a
    dependency on the new value as well.
    """
    stage = Stage(seed, ONE_ROW_A_PAGE)
    key, behind = sorted((KEY, OTHER_KEY), key=row_of)
    for each in (key, behind):
        stage.stored("n1", Put(each, OLD, Mode.SIBLINGS, level="all"))
    stage.wait(10.0)
    stage.holds = lambda node, target, envelope: isinstance(envelope.message, Replicate | Page)
    old = found(stage, "n1", Get(key, Mode.SIBLINGS))
    stage.stored("n1", Put(key, NEW, Mode.SIBLINGS, old.token, old.context, "one"))
    new = found(stage, "n1", Get(key, Mode.SIBLINGS))
    assert new.values == (NEW,), new
    stage.cut({("n2", "n3"), ("n3", "n2")})
    stage.held.clear()
    stage.replace_disk("n3")
    stage.wait(2.0)
    stage.let_go([held for held in stage.held if _is_page(held, "n1", "n3")][:1])
    stage.wait(0.5)
    return stage, Get(key, Mode.SIBLINGS, new.token, wait_s=0.5)


def _is_page(held: Held, source: str, target: str) -> bool:
    node, whom, envelope = held
    return (node.address, whom) == (source, target) and isinstance(envelope.message, Page)


def a_crash_in_the_middle_of_a_full_exchange(seed: int) -> None:
    """n3 crashes, loses sight of n1, and gets all that n2 has, with the old value.

    A client that has seen the new value replace the old one must not be shown both at n3.
    """
    stage, get = _until_a_first_row_has_come(seed)
    stage.crash("n3")
    stage.cut({("n1", "n3"), ("n3", "n1")})
    stage.mend({("n2", "n3"), ("n3", "n2")})
    stage.holds = lambda node, target, envelope: node.address == "n1"
    stage.start("n3")
    stage.wait(10.0)
    shown = found(stage, "n3", get)
    if OLD in shown.values:
        raise ViolationError("Resurrected", f"{get.key} at n3: {shown}")
    stage.holds = nothing
    stage.mend(set(stage.cuts))
    stage.wait(10.0)
    for address in NODES:
        assert found(stage, address, get).values == (NEW,)
