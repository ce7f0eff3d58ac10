"""The driver's one rule: asks and relays leave at once, tells wait for every earlier record."""

from collections.abc import Callable, Collection, Sequence
from random import Random

import pytest

from cluster.simulator.memory_store import write_rows
from node.core.model.keys import row_of
from node.core.model.options import Options, Start
from node.core.model.placement import first_view, with_member, with_node
from node.core.model.view import FIRST, View, ViewId, no_view
from node.core.protocol import events, messages as m
from node.core.protocol.effects import DAMAGED, Record
from node.core.protocol.operations import (
    Absent,
    Forget,
    Forgotten,
    Found,
    Get,
    Outcome,
    Put,
    Request,
    Stored,
    Unavailable,
)
from node.core.replica import Replica, restore
from node.driver import Driver
from tests.core.given import MEGABYTE, MemoryRows

NOW = 1000.0
VIEW = first_view(["a1", "a2", "b1", "b2"], 2)
EPOCH = m.Epoch(FIRST, FIRST)
SECOND = m.Epoch(ViewId(2, "p"), FIRST)
LAYOUT = with_member(VIEW, "s1", "b2")
MOVED = View(2, LAYOUT.nodes, LAYOUT.shards, LAYOUT.owner, "p", (), (FIRST,))
PUT = Put("pear", b"v", level="one")


class Ports(MemoryRows):
    """Clock, links and store in one: time stands, the disk waits for `sync`."""

    def __init__(self) -> None:
        super().__init__()
        self.time = NOW
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.sent: list[tuple[str, m.Message]] = []
        self.stamped: list[tuple[m.Epoch, m.Message]] = []
        self.known: list[Collection[str]] = []
        self.unsynced: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self.timers.append((when, callback))

    def send(self, peer: str, envelope: m.Envelope) -> None:
        self.sent.append((peer, envelope.message))
        self.stamped.append((envelope.epoch, envelope.message))

    def know(self, peers: Collection[str]) -> None:
        self.known.append(peers)

    def write(self, records: Sequence[Record], done: Callable[[], None]) -> None:
        self.apply(list(records))
        self.unsynced.append(done)

    def sync(self) -> None:
        waiting, self.unsynced = self.unsynced, []
        for done in waiting:
            done()

    def taken(self, *kinds: type) -> list[str]:
        """Return the nodes to which these messages have gone since the last time."""
        sent, self.sent = self.sent, []
        return [peer for peer, message in sent if isinstance(message, kinds)]


class Heard:
    """Keeps whatever a node tells operators."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.reasons: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def give_up(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def driver(ports: Ports) -> Driver:
    replica = restore("a1", Start(VIEW), ports, Options(MEGABYTE), Random(1))

    def renew() -> Replica:
        return restore("a1", Start(no_view(())), ports, Options(MEGABYTE), Random(2))

    driver = Driver(replica, ports, ports, ports, renew, Heard())
    driver.start()
    for peer in VIEW.nodes[1:]:
        driver.receive("a1", events.LinkUp(peer))
    replica.keyspace.parts.become_complete_for(FIRST)
    replica.views.is_known = True
    ports.sync()
    ports.sent.clear()
    return driver


def test_asks_leave_while_the_disk_is_busy(driver: Driver, ports: Ports) -> None:
    driver.submit(PUT, lambda outcome: None)
    assert ports.unsynced
    driver.submit(Put("fig", b"v"), lambda outcome: None)
    assert ports.taken(m.Accept) in (["b1"], ["b2"])


def test_tells_and_replies_wait_for_the_disk(driver: Driver, ports: Ports) -> None:
    outcomes: list[Outcome] = []
    driver.submit(PUT, outcomes.append)
    assert (ports.taken(m.Replicate), outcomes) == ([], [])
    ports.sync()
    assert ports.taken(m.Replicate) == ["a2"]
    assert [type(outcome) for outcome in outcomes] == [Stored]


def test_a_read_waits_for_the_disk_of_what_it_shows(driver: Driver, ports: Ports) -> None:
    outcomes: list[Outcome] = []
    driver.submit(PUT, lambda outcome: None)
    driver.submit(Get("pear"), outcomes.append)
    assert outcomes == []
    ports.sync()
    [found] = outcomes
    assert isinstance(found, Found)
    assert found.values == (b"v",)


def test_what_others_have_told_waits_for_no_later_record(driver: Driver, ports: Ports) -> None:
    outcomes: list[Outcome] = []
    driver.submit(Put("pear", b"v"), outcomes.append)
    ports.sync()
    [(dot, request)] = [(r.dot, r.request) for _, r in ports.sent if isinstance(r, m.Replicate)]
    driver.submit(PUT, lambda outcome: None)
    assert ports.unsynced
    driver.receive("a2", m.Envelope(EPOCH, m.Ack(request, dot)))
    [stored] = outcomes
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.dot) == (2, dot)


def test_without_records_before_it_a_reply_leaves_at_once(driver: Driver) -> None:
    outcomes: list[Outcome] = []
    driver.submit(Get("pear"), outcomes.append)
    assert [type(outcome) for outcome in outcomes] == [Absent]


def test_what_waits_leaves_in_order_as_far_as_the_disk_has_come(
    driver: Driver, ports: Ports
) -> None:
    for n in range(3):
        driver.submit(Put("pear", b"%d" % n, level="one"), lambda outcome: None)
    first, second, third = ports.unsynced
    second()
    sent = [message for _, message in ports.sent if isinstance(message, m.Replicate)]
    values = [v.value for message in sent for v in message.item.versions.values()]
    assert values == [b"0", b"1"]
    first()
    assert len(ports.taken(m.Replicate)) == 2
    third()
    assert ports.taken(m.Replicate) == ["a2"]


def test_a_callback_that_submits_is_served_after_this_step(driver: Driver) -> None:
    outcomes: list[Outcome] = []

    def again(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) < 50:
            driver.submit(Get("pear"), again)

    driver.submit(Get("pear"), again)
    assert len(outcomes) == 50


def test_each_callback_is_called_once(driver: Driver, ports: Ports) -> None:
    outcomes: list[Outcome] = []
    driver.submit(PUT, outcomes.append)
    ports.sync()
    replicate = next(message for _, message in ports.sent if isinstance(message, m.Replicate))
    driver.receive("a2", m.Envelope(EPOCH, m.Ack(replicate.request, replicate.dot)))
    ports.sync()
    assert len(outcomes) == 1


def test_only_the_earliest_timer_counts(driver: Driver, ports: Ports) -> None:
    heartbeat, _ = ports.timers[-1]
    driver.submit(Get("fig"), lambda outcome: None)
    soon, wake = ports.timers[-1]
    assert soon < heartbeat
    ports.time, ports.sent = soon, []
    ports.timers[-2][1]()  # the later one, too early: it has lost its place
    assert not ports.sent
    armed = len(ports.timers)
    wake()
    assert len(ports.timers) == armed + 1
    assert ports.timers[-1][0] > soon


def test_a_crash_in_a_step_leaves_the_driver_able_to_go_on(driver: Driver) -> None:
    with pytest.raises(KeyError):
        driver.receive("a2", "no event")  # type: ignore[arg-type]  # on purpose
    outcomes: list[Outcome] = []
    driver.submit(Get("pear"), outcomes.append)
    assert len(outcomes) == 1
    assert driver.now() == NOW


def test_the_links_know_the_nodes_of_all_views(driver: Driver, ports: Ports) -> None:
    assert ports.known == [["a2", "b1", "b2"]]
    layout = with_node(VIEW, "c1")
    view = View(2, layout.nodes, layout.shards, layout.owner, "p", (), (FIRST,))
    driver.receive(
        "a2", m.Envelope(m.Epoch(view.id, FIRST), m.Views([view], FIRST, m.Gossip({}, {})))
    )
    assert ports.known[1:] == [["a2", "b1", "b2", "c1"]]


def test_what_was_held_back_leaves_under_the_stamp_of_its_own_step(
    driver: Driver, ports: Ports
) -> None:
    """The next view must not take what was said in the last one for its own."""
    driver.submit(PUT, lambda outcome: None)
    driver.receive("a2", m.Envelope(SECOND, m.Views([MOVED], FIRST, m.Gossip({}, {}))))
    ports.sync()
    stamps = {epoch for epoch, message in ports.stamped if isinstance(message, m.Replicate)}
    assert stamps == {EPOCH}


def test_nothing_leaves_under_a_view_that_the_disk_does_not_have(
    driver: Driver, ports: Ports
) -> None:
    """The view of a message proves to others what the sender's disk has.  Runs of the simulator
    show too rarely what happens otherwise."""
    driver.receive("a2", m.Envelope(SECOND, m.Views([MOVED], FIRST, m.Gossip({}, {}))))
    driver.submit(Get("fig"), lambda outcome: None)  # another shard's
    assert {epoch for epoch, _ in ports.stamped} <= {EPOCH}
    ports.sync()
    assert (SECOND, m.Fetch) in [(epoch, type(message)) for epoch, message in ports.stamped]
    ports.stamped.clear()
    driver.submit(Get("fig"), lambda outcome: None)
    assert [epoch for epoch, _ in ports.stamped] == [SECOND]


def test_a_node_that_forgets_is_another_one_when_the_disk_has_forgotten(
    driver: Driver, ports: Ports
) -> None:
    outcomes: list[Outcome] = []
    before = driver.replica
    driver.submit(PUT, lambda outcome: None)
    ports.sync()
    driver.submit(Get("fig"), outcomes.append)  # another shard's: it waits
    driver.submit(Forget(), outcomes.append)
    assert (driver.replica, outcomes) == (before, [])
    ports.sync()
    assert driver.replica is not before
    assert driver.replica.node_id != before.node_id
    assert driver.replica.view.number == 0
    assert ports.tables["item"] == {}
    assert [type(outcome) for outcome in outcomes] == [Forgotten, Unavailable]
    assert isinstance(outcomes[1], Unavailable)
    assert not outcomes[1].definite


@pytest.mark.parametrize("told", [Put("pear", b"late", level="one"), Get("pear"), Forget()])
def test_what_a_node_is_asked_after_its_end_is_certainly_not_done(
    driver: Driver, ports: Ports, told: Request
) -> None:
    """The disk has not forgotten yet, so no other node has taken over."""
    outcomes: list[Outcome] = []
    driver.submit(Forget(), lambda outcome: None)
    driver.submit(told, outcomes.append)
    ports.sync()
    assert [isinstance(outcome, Unavailable) and outcome.definite for outcome in outcomes] == [True]
    assert "item" not in ports.tables


def damaged(ports: Ports, view: View, voice: Heard) -> Driver:
    """Return a driver whose replica has a row that the disk has changed."""
    write_rows(ports.tables, [Record("item", row_of("pear"), DAMAGED)])

    def restored() -> Replica:
        return restore("a1", Start(view), ports, Options(MEGABYTE), Random(1))

    driver = Driver(restored(), ports, ports, ports, restored, voice)
    driver.start()
    ports.time += 1
    return driver


def test_operators_are_told_what_it_has_found(ports: Ports) -> None:
    heard = Heard()
    damaged(ports, VIEW, heard).receive("a1", events.Tick())
    assert [note for note in heard.notes if row_of("pear") in note]
    assert heard.reasons == []


def test_a_row_that_no_peer_can_help_with_is_the_end(ports: Ports) -> None:
    heard = Heard()
    alone = first_view(["a1"], 1)
    damaged(ports, alone, heard).receive("a1", events.Tick())
    assert "no other node holds its slot" in heard.reasons[0]


def test_what_it_forgot_stays_forgotten_over_a_restart(driver: Driver, ports: Ports) -> None:
    driver.submit(Forget(), lambda outcome: None)
    ports.sync()
    again = restore("a1", Start(VIEW), ports, Options(MEGABYTE), Random(9))
    assert again.view.number == 0
    assert again.views.history.forgot == FIRST


def test_after_its_stop_no_step_is_made(driver: Driver, ports: Ports) -> None:
    """The caller may have closed its rows: a timer that reads them would crash."""
    outcomes: list[Outcome] = []
    driver.submit(PUT, outcomes.append)
    driver.stop()
    ports.sent.clear()
    ports.time += 60.0
    for _, callback in list(ports.timers):
        callback()
    driver.receive("a2", events.LinkUp("a2"))
    ports.sync()
    assert (ports.sent, outcomes) == ([], [])
    driver.submit(PUT, outcomes.append)
    assert outcomes == [Unavailable("this node is shutting down", definite=True)]
