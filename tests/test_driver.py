"""The driver's one rule: asks and relays leave at once, tells wait for every earlier record."""

from collections.abc import Callable, Collection, Sequence
from random import Random

import pytest

from cluster.memory import write_rows
from node.core import messages as m
from node.core.effects import DAMAGED, Damaged, Record
from node.core.placement import with_member, with_node
from node.core.replica import Options, Replica, Start, restore
from node.core.view import FIRST, View, ViewId, first_view, no_view
from node.core.walk import row_of
from node.driver import Driver
from tests.core.given import MEGABYTE, MemoryRows

NOW = 1000.0
VIEW = first_view(["a1", "a2", "b1", "b2"], 2)
STAMP = m.Stamp(FIRST, FIRST)
SECOND = m.Stamp(ViewId(2, "p"), FIRST)
LAYOUT = with_member(VIEW, "s1", "b2")
MOVED = View(2, LAYOUT.nodes, LAYOUT.shards, LAYOUT.owner, "p", (), (FIRST,))
PUT = m.Put("pear", b"v", level="one")


class Ports(MemoryRows):
    """Clock, links and store in one: time stands, the disk waits for `sync`."""

    def __init__(self) -> None:
        super().__init__()
        self.time = NOW
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.sent: list[tuple[str, m.Message]] = []
        self.stamped: list[tuple[m.Stamp, m.Message]] = []
        self.known: list[Collection[str]] = []
        self.unsynced: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self.timers.append((when, callback))

    def send(self, peer: str, letter: m.Letter) -> None:
        self.sent.append((peer, letter.message))
        self.stamped.append((letter.stamp, letter.message))

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
        """To whom these messages have gone since the last time."""
        sent, self.sent = self.sent, []
        return [peer for peer, message in sent if isinstance(message, kinds)]


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def driver(ports: Ports) -> Driver:
    replica = restore("a1", Start(VIEW), ports, Options(MEGABYTE), Random(1))

    def renew() -> Replica:
        return restore("a1", Start(no_view(())), ports, Options(MEGABYTE), Random(2))

    driver = Driver(replica, ports, ports, ports, renew)
    driver.start()
    for peer in VIEW.nodes[1:]:
        driver.receive("a1", m.LinkUp(peer))
    replica.keyspace.parts.claim(FIRST)
    replica.moving.is_known = True
    ports.sync()
    ports.sent.clear()
    return driver


def test_asks_leave_while_the_disk_is_busy(driver: Driver, ports: Ports) -> None:
    driver.submit(PUT, lambda outcome: None)
    assert ports.unsynced
    driver.submit(m.Put("fig", b"v"), lambda outcome: None)
    assert ports.taken(m.Accept) in (["b1"], ["b2"])


def test_tells_and_replies_wait_for_the_disk(driver: Driver, ports: Ports) -> None:
    outcomes: list[m.Outcome] = []
    driver.submit(PUT, outcomes.append)
    assert (ports.taken(m.Replicate), outcomes) == ([], [])
    ports.sync()
    assert ports.taken(m.Replicate) == ["a2"]
    assert [type(outcome) for outcome in outcomes] == [m.Stored]


def test_a_read_waits_for_the_disk_of_what_it_shows(driver: Driver, ports: Ports) -> None:
    outcomes: list[m.Outcome] = []
    driver.submit(PUT, lambda outcome: None)
    driver.submit(m.Get("pear"), outcomes.append)
    assert outcomes == []
    ports.sync()
    [found] = outcomes
    assert isinstance(found, m.Found)
    assert found.values == (b"v",)


def test_what_others_have_told_waits_for_no_later_record(driver: Driver, ports: Ports) -> None:
    outcomes: list[m.Outcome] = []
    driver.submit(m.Put("pear", b"v"), outcomes.append)
    ports.sync()
    [(dot, request)] = [(r.dot, r.request) for _, r in ports.sent if isinstance(r, m.Replicate)]
    driver.submit(PUT, lambda outcome: None)
    assert ports.unsynced
    driver.receive("a2", m.Letter(STAMP, m.Ack(request, dot)))
    [stored] = outcomes
    assert isinstance(stored, m.Stored)
    assert (stored.acks, stored.dot) == (2, dot)


def test_without_records_before_it_a_reply_leaves_at_once(driver: Driver) -> None:
    outcomes: list[m.Outcome] = []
    driver.submit(m.Get("pear"), outcomes.append)
    assert [type(outcome) for outcome in outcomes] == [m.Absent]


def test_what_waits_leaves_in_order_as_far_as_the_disk_has_come(
    driver: Driver, ports: Ports
) -> None:
    for n in range(3):
        driver.submit(m.Put("pear", b"%d" % n, level="one"), lambda outcome: None)
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
    outcomes: list[m.Outcome] = []

    def again(outcome: m.Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) < 50:
            driver.submit(m.Get("pear"), again)

    driver.submit(m.Get("pear"), again)
    assert len(outcomes) == 50


def test_each_callback_is_called_once(driver: Driver, ports: Ports) -> None:
    outcomes: list[m.Outcome] = []
    driver.submit(PUT, outcomes.append)
    ports.sync()
    replicate = next(message for _, message in ports.sent if isinstance(message, m.Replicate))
    driver.receive("a2", m.Letter(STAMP, m.Ack(replicate.request, replicate.dot)))
    ports.sync()
    assert len(outcomes) == 1


def test_only_the_earliest_timer_counts(driver: Driver, ports: Ports) -> None:
    beat, _ = ports.timers[-1]
    driver.submit(m.Get("fig"), lambda outcome: None)
    soon, wake = ports.timers[-1]
    assert soon < beat
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
    outcomes: list[m.Outcome] = []
    driver.submit(m.Get("pear"), outcomes.append)
    assert len(outcomes) == 1
    assert driver.now() == NOW


def test_the_links_know_the_nodes_of_all_views(driver: Driver, ports: Ports) -> None:
    assert ports.known == [["a2", "b1", "b2"]]
    layout = with_node(VIEW, "c1")
    view = View(2, layout.nodes, layout.shards, layout.owner, "p", (), (FIRST,))
    driver.receive("a2", m.Letter(m.Stamp(view.id, FIRST), m.Views([view], FIRST, m.News({}, {}))))
    assert ports.known[1:] == [["a2", "b1", "b2", "c1"]]


def test_what_was_held_back_leaves_under_the_stamp_of_its_own_step(
    driver: Driver, ports: Ports
) -> None:
    """What was said in one view is not to be taken for something of the next."""
    driver.submit(PUT, lambda outcome: None)
    driver.receive("a2", m.Letter(SECOND, m.Views([MOVED], FIRST, m.News({}, {}))))
    ports.sync()
    stamps = {stamp for stamp, message in ports.stamped if isinstance(message, m.Replicate)}
    assert stamps == {STAMP, SECOND}  # as it was named, and again in the other view


def test_a_node_that_forgets_is_another_one_when_the_disk_has_forgotten(
    driver: Driver, ports: Ports
) -> None:
    outcomes: list[m.Outcome] = []
    before = driver.replica
    driver.submit(PUT, lambda outcome: None)
    ports.sync()
    driver.submit(m.Get("fig"), outcomes.append)  # another shard's: it waits
    driver.submit(m.Forget(), outcomes.append)
    driver.submit(m.Get("pear"), outcomes.append)  # said to nobody
    assert (driver.replica, outcomes) == (before, [])
    ports.sync()
    assert driver.replica is not before
    assert driver.replica.node_id != before.node_id
    assert driver.replica.view.number == 0
    assert ports.tables["item"] == {}
    assert [type(outcome) for outcome in outcomes] == [m.Forgotten, m.Unavailable, m.Unavailable]
    unknown = [outcome for outcome in outcomes if isinstance(outcome, m.Unavailable)]
    assert not any(outcome.definite for outcome in unknown)


class Heard:
    """Whatever a node tells those who run it."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.reasons: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def give_up(self, reason: str) -> None:
        self.reasons.append(reason)


def damaged(ports: Ports, view: View, voice: Heard | None) -> Driver:
    """A driver whose replica has a row that the disk has changed."""
    write_rows(ports.tables, [Record("item", row_of("pear"), DAMAGED)])
    replica = restore("a1", Start(view), ports, Options(MEGABYTE), Random(1))
    driver = Driver(replica, ports, ports, ports, voice=voice)
    driver.start()
    ports.time += 1
    return driver


def test_those_who_run_it_are_told_what_it_has_found(ports: Ports) -> None:
    heard = Heard()
    damaged(ports, VIEW, heard).receive("a1", m.Tick())
    assert [note for note in heard.notes if row_of("pear") in note]
    assert heard.reasons == []


def test_a_row_that_nobody_can_help_with_is_the_end(ports: Ports) -> None:
    heard = Heard()
    alone = first_view(["a1"], 1)
    damaged(ports, alone, heard).receive("a1", m.Tick())
    assert "no other node holds its slot" in heard.reasons[0]
    with pytest.raises(Damaged):
        damaged(Ports(), alone, None).receive("a1", m.Tick())


def test_what_it_forgot_stays_forgotten_over_a_restart(driver: Driver, ports: Ports) -> None:
    driver.submit(m.Forget(), lambda outcome: None)
    ports.sync()
    again = restore("a1", Start(VIEW), ports, Options(MEGABYTE), Random(9))
    assert again.view.number == 0
    assert again.moving.history.forgot == FIRST
