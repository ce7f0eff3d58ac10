"""Read repair: a read tells an owner, once, what the owner turns out to lack."""

from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.placement import first_view
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Peek,
    Put,
    Stored,
    StoreLocally,
    Unavailable,
)
from node.core.requests.read_repair import LATE_S
from tests.core.mends import READ_REPAIRS, mends, state
from tests.core.one import FIG, NOW, PEAR, One

THREE = first_view(["a1", "a2", "a3"], 1)
OLD = Item({("x", 1): Version(b"old", timestamp=(1, 0, "x"))}, Past({"x": 1}))
NEW = Item({("x", 2): Version(b"new", timestamp=(2, 0, "x"))}, Past({"x": 2}))
ELSE = Item({("y", 1): Version(b"else", timestamp=(3, 0, "y"))}, Past({"y": 1}))


def member() -> One:
    """Return a member of the shard with two peers; its slots have arrived."""
    one = One("a1", THREE)
    one.arrive()
    return one


def hold(one: One, item: Item) -> None:
    """Store it, as if it had been replicated to this node a while ago."""
    one.replica.keyspace.take(PEAR, item, (), NOW)
    one.rows.apply(one.replica._step.records)


def test_all_owners_are_asked_though_two_are_enough() -> None:
    assert [peer for peer, _ in member().submit(READ_REPAIRS).asks] == ["a2", "a3"]
    assert {peer for peer, _ in One("b1").submit(READ_REPAIRS).asks} == {"a1", "a2"}


def test_an_owner_that_lacks_something_is_told_and_the_reader_takes_it() -> None:
    one = member()
    hold(one, OLD)
    one.submit(READ_REPAIRS)
    effects = one.step("a2", state(NEW))
    [(_, found)] = effects.replies
    assert isinstance(found, Found)
    assert (found.values, mends(effects)) == ((b"new",), [])
    assert one.replica.peek(PEAR).versions.keys() == {("x", 2)}
    assert [peer for peer, _ in mends(one.step("a3", state(OLD)))] == ["a3"]


def test_an_owner_that_has_it_all_is_told_nothing() -> None:
    one = member()
    one.submit(READ_REPAIRS)
    assert mends(one.step("a2", state(NEW))) == []
    assert mends(one.step("a3", state(NEW))) == []


def test_what_comes_late_is_told_to_those_that_came_before() -> None:
    one = member()
    one.submit(READ_REPAIRS)
    one.step("a2", state(NEW))
    told = mends(one.step("a3", state(ELSE)))
    assert {peer for peer, _ in told} == {"a2", "a3"}
    assert all(mend.item.versions.keys() == {("x", 2), ("y", 1)} for _, mend in told)
    assert one.replica.peek(PEAR).versions.keys() == {("x", 2), ("y", 1)}
    assert mends(one.step("a2", state(told[0][1].item))) == []


def test_what_comes_too_late_is_worth_nothing() -> None:
    one = member()
    one.submit(READ_REPAIRS)
    one.step("a2", state(NEW))
    one.step("a1", events.Tick(), NOW + LATE_S)
    assert mends(one.step("a3", state(OLD), NOW + LATE_S)) == []


def test_where_no_node_holds_a_version_none_is_told() -> None:
    one = member()
    one.submit(READ_REPAIRS)
    assert mends(one.step("a2", state(Item({}, Past({"x": 2}))))) == []
    assert mends(one.step("a3", state(OLD))) == []


def test_a_read_that_does_not_mend_tells_no_node() -> None:
    one = member()
    one.submit(Get(PEAR, copies=2))
    one.step("a2", state(NEW))
    assert mends(one.step("a3", state(OLD))) == []
    assert one.replica.peek(PEAR) == Item()


# ---- the other side


def test_an_owner_takes_what_it_is_told() -> None:
    one = One()
    hold(one, OLD)
    assert [record.table for record in one.step("b1", m.ReadRepair(PEAR, NEW)).records] == [
        "log",
        "item",
    ]
    assert one.replica.peek(PEAR).versions.keys() == {("x", 2)}


def test_a_read_that_waits_for_it_goes_on() -> None:
    one = member()
    one.submit(Get(PEAR, Mode.SIBLINGS, copies=2), 4)
    one.step("a2", m.State(4, Item(), DotClock(), []))
    assert not one.step("a3", m.ReadRepair(PEAR, NEW)).replies
    [(request, found)] = one.step("a3", m.State(4, NEW, DotClock({"x": 2}), [FIRST])).replies
    assert isinstance(found, Found)
    assert (request, found.values) == (4, (b"new",))


def test_what_is_not_ours_and_what_an_incarnation_that_has_ended_wrote_is_left_to_repair() -> None:
    one = One()
    assert one.step("b1", m.ReadRepair(FIG, NEW)).records == []
    one.replica.views.past_incarnations["x"] = None
    assert one.step("b1", m.ReadRepair(PEAR, NEW)).records == []


# ---- one replica alone


def test_what_is_here_is_said_whole_or_not() -> None:
    one = One()
    [(_, absent)] = one.submit(Peek(PEAR)).replies
    assert isinstance(absent, Absent)
    hold(one, OLD)
    effects = one.submit(Peek(PEAR))
    [(_, found)] = effects.replies
    assert isinstance(found, Found)
    assert (found.values, found.clocks, effects.asks) == ((b"old",), ({"x": 1},), [])


def test_what_is_kept_here_is_told_to_no_node() -> None:
    one = One()
    effects = one.submit(StoreLocally(PEAR, b"v", {"x": 3}))
    [(_, stored)] = effects.replies
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.copies, stored.nodes) == (1, 2, ("a1",))
    assert (stored.clock, effects.tells, effects.asks) == ({"x": 3}, [], [])
    assert [record.table for record in effects.records] == ["log", "item"]


def test_what_is_not_new_is_answered_with_what_is_here() -> None:
    one = One()
    hold(one, NEW)
    for clock in ({"x": 1}, {"x": 2}, {}):
        effects = one.submit(StoreLocally(PEAR, b"v", clock, only_new=True))
        [(_, found)] = effects.replies
        assert isinstance(found, Found)
        assert (found.values, effects.records) == ((b"new",), [])
    [(_, stored)] = one.submit(StoreLocally(PEAR, b"v", {"x": 3}, only_new=True)).replies
    assert isinstance(stored, Stored)


def test_a_node_that_may_not_name_the_write_says_so() -> None:
    one = One()
    one.replica.views.is_known = False
    for key in (PEAR, FIG):
        [(_, refused)] = one.submit(StoreLocally(key, b"v", {})).replies
        assert isinstance(refused, Unavailable)
        assert refused.definite


def test_a_clock_goes_on_with_every_writer() -> None:
    one = One()
    actor = one.replica.keyspace.actor
    clocks = []
    for n, asks in enumerate((False, True, False)):
        tells = one.submit(Put(PEAR, b"v", clocked=asks), n).tells
        clocks += [named.clock for _, named in tells if isinstance(named, m.Written)]
    assert clocks == [None, {actor: 2}, {actor: 3}]
