"""Stories about nodes that restart on an older disk, which random runs show too rarely.

They are about what such a node may show, the view in which it may take part, and what is lost with
its last run.  Four real replicas in fair weather, as in `directed_disks`.  A story that ends badly
raises ViolationError.
"""

from cluster.simulator.invariants import InvariantMonitor, ViolationError
from node.core.model.keys import SLOTS
from node.core.model.token import Token
from node.core.model.view import Layout, Shard
from node.core.protocol.messages import Compare, Gossip, Page, Pull, Views
from node.core.protocol.operations import Absent, Found, Get, Outcome, Propose, Put, Stored
from tests.simulation.directed_disks import OLD, PutBack
from tests.simulation.directed_names import key_of
from tests.simulation.directed_views import KEYS, NODES, Cluster, all_slots_to
from tests.simulation.post import nothing

BEFORE, AFTER = b"on the old disk", b"written later"
WITH_MARK = Compare | Gossip | Views  # messages that tell which run sends them
TRIES = 5


def _must_not_be_behind(address: str, outcome: Outcome) -> None:
    """Demand that a client that has seen the later value is shown that, or gets no answer."""
    if isinstance(outcome, Absent) or (isinstance(outcome, Found) and outcome.values != (AFTER,)):
        raise ViolationError("MonotonicReads", f"{address}: {outcome}")


def _tokens(cluster: Cluster, address: str) -> dict[str, Token]:
    """Return the dependencies of readers of the later values: none, since all owners have them."""
    found = {key: cluster.ask(address, Get(key)) for key in KEYS}
    tokens = {}
    for key, outcome in found.items():
        assert isinstance(outcome, Found), f"{key} at {address}: {outcome}"
        assert outcome.values == (AFTER,), outcome
        assert not outcome.token, outcome
        tokens[key] = outcome.token
    return tokens


def _old_disk_behind(cluster: PutBack, home: str) -> dict[str, Token]:
    """Put the disk of n4 back as it was before the later values, which n3 and n4 both had.  Returns
    the tokens of clients that have seen them. n4 is not started yet."""
    cluster.go_on("n3", OLD)
    cluster.write("n3", BEFORE)
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.write(home, AFTER)
    cluster.wait(10.0)
    tokens = _tokens(cluster, "n3")
    cluster.put_back_disk(*kept)
    return tokens


def _alone_it_must_not_be_behind(cluster: PutBack, tokens: dict[str, Token]) -> None:
    """Isolate n4 after it has met n3, and demand that it is not behind."""
    cluster.part(OLD)
    cluster.wait(5.0)
    for key, token in tokens.items():
        _must_not_be_behind(OLD, cluster.ask(OLD, Get(key, token=token, wait_s=2.0)))
    cluster.holds = nothing
    cluster.heal()
    cluster.must_show(OLD, AFTER)


def an_old_disk_is_asked_at_once(seed: int) -> None:
    """A client reads at n4 right after its start, before any node can see that its disk is old."""
    cluster = PutBack(seed)
    tokens = _old_disk_behind(cluster, "n3")
    cluster.start(OLD)
    outcomes: list[Outcome] = []
    for key, token in tokens.items():
        cluster.submit(OLD, Get(key, token=token, wait_s=2.0), outcomes.append)
    cluster.wait(10.0)
    assert len(outcomes) == len(KEYS)
    for outcome in outcomes:
        _must_not_be_behind(OLD, outcome)
    cluster.must_show(OLD, AFTER)


def an_old_disk_is_told_what_all_had(seed: int) -> None:
    """n4 has named no write; it hears the news of n3, and is cut off before they have compared.
    The news say that every owner had the later values, n4 among them."""
    cluster = PutBack(seed)
    tokens = _old_disk_behind(cluster, "n3")
    cluster.holds = lambda node, target, envelope: isinstance(envelope.message, Compare)
    cluster.start(OLD)
    cluster.wait(1.0)
    _alone_it_must_not_be_behind(cluster, tokens)


def an_old_disk_is_sent_a_state_with_its_own_writes(seed: int) -> None:
    """n4 has named the later values, and hears of n3 only the answer to a read before a cut.  The
    clock in that answer has writes of n4 that are not on its disk."""
    cluster = PutBack(seed)
    tokens = _old_disk_behind(cluster, OLD)
    cluster.holds = lambda node, target, envelope: isinstance(envelope.message, Compare | Gossip)
    cluster.start(OLD)
    cluster.wait(0.5)
    cluster.submit(OLD, Get(KEYS[0], wait_s=2.0), lambda outcome: None)
    cluster.wait(0.5)
    _alone_it_must_not_be_behind(cluster, tokens)


def a_new_life_on_old_rows_is_asked_at_once(seed: int) -> None:
    """A client reads at n4 in the moment in which it has begun a new incarnation on old rows.

    The new incarnation has given up what the old one claimed, so no peer objects to it again.
    """
    cluster = PutBack(seed)
    tokens = _old_disk_behind(cluster, "n3")
    cluster.start(OLD)
    while not cluster.replica(OLD).maintenance.identity.reason:
        cluster.wait(0.001)
    outcomes: list[Outcome] = []
    for key, token in tokens.items():
        cluster.submit(OLD, Get(key, token=token, wait_s=2.0), outcomes.append)
    cluster.wait(0.3)
    incarnation = cluster.replica(OLD).node_id
    cluster.wait(0.3)
    if cluster.replica(OLD).node_id != incarnation:
        raise ViolationError("Rest", f"{OLD} begins one new incarnation after another")
    cluster.wait(10.0)
    assert len(outcomes) == len(KEYS)
    for outcome in outcomes:
        _must_not_be_behind(OLD, outcome)
    cluster.must_show(OLD, AFTER)


def an_empty_disk_is_asked_at_once(seed: int) -> None:
    """The disk of n4 is lost; a client reads there as soon as n4 has started again."""
    cluster = Cluster(seed)
    cluster.write("n1", BEFORE)
    cluster.wait(10.0)
    cluster.crash(OLD)
    assert isinstance(cluster.watch, InvariantMonitor)
    cluster.watch.on_wipe(OLD, cluster.timeline.now)
    cluster.wipe(OLD)
    cluster.start(OLD)
    outcomes: list[Outcome] = []
    for key in KEYS:
        cluster.submit(OLD, Get(key, wait_s=2.0), outcomes.append)
    cluster.wait(10.0)
    for outcome in outcomes:
        if isinstance(outcome, Absent):
            raise ViolationError("WriteCOInitRead", f"{OLD}: {outcome}")
    cluster.must_show(OLD, BEFORE)


def an_old_disk_hears_of_a_view_that_it_was_in(seed: int) -> None:
    """n4 has left its past to a view, and all older views are retired; then its disk is put back.

    The disk is from before that view. n4 meets only n1, which has never heard what n4 had in it:
    neither from n4, nor in the news of the others.
    """
    cluster = PutBack(seed)
    cluster.go_on("n2", "n3")
    kept = cluster.kept()
    cluster.holds = lambda node, target, envelope: (node.address, target) == (OLD, "n1")
    cluster.go_on("n3", OLD)
    cluster.holds = lambda node, target, envelope: (
        target == "n1" and (node.address == OLD or isinstance(envelope.message, Gossip))
    )
    cluster.write("n3", AFTER)
    cluster.wait(10.0)
    tokens = _tokens(cluster, "n3")
    cluster.put_back_disk(*kept)
    cluster.cut({pair for node in ("n2", "n3") for pair in ((OLD, node), (node, OLD))})
    cluster.holds = lambda node, target, envelope: (
        target == "n1" and node.address != OLD and isinstance(envelope.message, Gossip)
    )
    cluster.start(OLD)
    cluster.wait(5.0)
    assert cluster.replica(OLD).view.id == cluster.replica("n1").view.id
    for key, token in tokens.items():
        _must_not_be_behind(OLD, cluster.ask(OLD, Get(key, token=token, wait_s=2.0)))
    cluster.holds = nothing
    cluster.heal()
    cluster.must_show(OLD, AFTER)


def _must_have_all_that_it_answers(cluster: PutBack, value: bytes) -> None:
    """Demand that n4 says that its slots have arrived only when it has what they hold."""
    replica = cluster.replica(OLD)
    for key in KEYS:
        values = [version.value for version in replica.peek(key).versions.values()]
        if replica.maintenance.arrived and values != [value]:
            raise ViolationError("LostWrite", f"{key} at {OLD}: {values}")


def _settle_in_the_second_view(cluster: PutBack) -> None:
    """Give n2 everything in a view without n4."""
    cluster.ask("n1", Propose(all_slots_to("n2", "n1", "n3")))
    cluster.write("n2", BEFORE)
    cluster.wait(10.0)


def an_old_disk_is_told_a_view_and_that_it_is_settled(seed: int) -> None:
    """n4's disk is from a time when it was in no view; later a view named it, and n4 has reported
    that.

    The old disk is told the view together with the oldest view.  Only n1 is up then.  Others have
    told it of the report, and it has not heard n4 in that view, so it cannot see that n4 has less
    than it had.
    """
    cluster = PutBack(seed)
    _settle_in_the_second_view(cluster)
    kept = cluster.kept()
    cluster.holds = lambda node, target, envelope: (
        node.address == OLD and target == "n1" and isinstance(envelope.message, WITH_MARK)
    )
    cluster.go_on("n3", OLD)
    cluster.put_back_disk(*kept)
    cluster.holds = nothing
    for address in ("n2", "n3"):
        cluster.crash(address)
    cluster.start(OLD)
    for _ in range(10):
        cluster.wait(1.0)
        _must_have_all_that_it_answers(cluster, BEFORE)
    for address in ("n2", "n3"):
        cluster.start(address)
    cluster.wait(10.0)
    assert cluster.replica(OLD).maintenance.arrived
    _must_have_all_that_it_answers(cluster, BEFORE)


def an_old_disk_is_told_that_its_view_is_settled(seed: int) -> None:
    """n4's disk is from a time when it had reported its view, and its slots had not come.

    It had nothing of an older view.  The slots came later.  The old disk is told of the oldest view
    before any node can see what it lacks.
    """
    cluster = PutBack(seed)
    _settle_in_the_second_view(cluster)
    cluster.holds = lambda node, target, envelope: isinstance(envelope.message, Page)
    cluster.propose("n1", Layout(NODES, (Shard("s1", ("n3", OLD)),), bytes(SLOTS)))
    cluster.wait(2.0)
    kept = cluster.kept()
    cluster.holds = nothing
    cluster.let_go(cluster.held)
    cluster.wait(10.0)
    assert cluster.replica(OLD).views.history.settled
    cluster.put_back_disk(*kept)
    cluster.start(OLD)
    cluster.wait(1.5)
    _must_have_all_that_it_answers(cluster, BEFORE)
    cluster.wait(10.0)
    assert cluster.replica(OLD).maintenance.arrived
    _must_have_all_that_it_answers(cluster, BEFORE)


def an_old_disk_is_known_by_its_mark_alone(seed: int) -> None:
    """The mark of n4's new run is later than any that its peer has seen, since the disk is older.

    The disk is of the last run.  The peer has not heard yet what the disk has when a client asks;
    nor does n4 hear news, which would show it that its disk is old.
    """
    cluster = PutBack(seed)
    cluster.go_on("n3", OLD)
    cluster.write("n3", BEFORE)
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.write("n3", AFTER)
    cluster.wait(10.0)
    tokens = _tokens(cluster, "n3")
    cluster.put_back_disk(*kept)
    cluster.holds = lambda node, target, envelope: isinstance(
        envelope.message, Compare | Pull if node.address == OLD else Gossip
    )
    cluster.start(OLD)
    cluster.wait(3.0)
    for key, token in tokens.items():
        _must_not_be_behind(OLD, cluster.ask(OLD, Get(key, token=token, wait_s=2.0)))
    cluster.holds = nothing
    cluster.let_go(cluster.held)
    cluster.wait(10.0)
    cluster.must_show(OLD, AFTER)


def _ask_for_a_lost_write(seed: int, wait_s: float) -> None:
    """Lose a write: a client writes at n4, which is cut off, and n4's disk is put back.  No disk
    has the write.  The nodes know that when all meet again, and the client gets an answer."""
    cluster = PutBack(seed)
    cluster.go_on("n3", OLD)
    cluster.write("n3", BEFORE)
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.part(OLD)
    stored = cluster.ask(OLD, Put(KEYS[0], b"lost", level="one"))
    assert isinstance(stored, Stored), stored
    cluster.put_back_disk(*kept)
    cluster.start(OLD)
    cluster.heal()
    get = Get(KEYS[0], token=stored.token, wait_s=wait_s)
    for address in NODES:
        outcomes = (cluster.ask(address, get) for _ in range(TRIES))
        last = next((o for o in outcomes if isinstance(o, Found)), None)
        if last is None:
            raise ViolationError("Stuck", f"{get} at {address} is not answered")
        assert last.values == (BEFORE,), last


def a_write_is_lost_with_its_run(seed: int) -> None:
    """The client of the lost write waits to be shown it."""
    _ask_for_a_lost_write(seed, 2.0)


def a_client_that_does_not_wait_asks_for_a_lost_write(seed: int) -> None:
    """Nodes refuse the client of the lost write at once, also nodes that do not hold the key."""
    _ask_for_a_lost_write(seed, 0.0)


def _delete_what_depends_on_a_lost_write(cluster: PutBack, gone: str, deleted: str) -> None:
    """Lose a write at n4, and delete another key at n1 that depends on it. n4 was cut off, and its
    disk is put back as it was before.  No node may wait for the lost write for good."""
    outcome = cluster.ask("n1", Put(deleted, BEFORE))
    assert isinstance(outcome, Stored), outcome
    cluster.wait(10.0)
    kept = cluster.kept()
    cluster.part(OLD)
    stored = cluster.ask(OLD, Put(gone, b"lost", level="one"))
    assert isinstance(stored, Stored), stored
    cluster.put_back_disk(*kept)
    cluster.start(OLD)
    delete = cluster.ask("n1", Put(deleted, None, token=stored.token, level="one"))
    assert isinstance(delete, Stored), delete
    cluster.heal()
    cluster.wait(60.0)
    open_keys = {a: list(cluster.replica(a).keyspace.open_keys.unsettled) for a in NODES}
    if any(open_keys.values()):
        raise ViolationError("NotAtRest", f"{open_keys}")


def a_delete_depends_on_what_was_lost_with_a_run(seed: int) -> None:
    """Both keys are of one shard."""
    cluster = PutBack(seed)
    cluster.go_on("n1", OLD)
    _delete_what_depends_on_a_lost_write(cluster, KEYS[0], KEYS[1])


def a_delete_depends_on_what_another_shard_has_lost(seed: int) -> None:
    """The members of one shard hold the mark; those of the other have lost the write."""
    _delete_what_depends_on_a_lost_write(PutBack(seed), key_of(OLD), key_of("n1"))
