"""Read repair: whoever turns out to lack something of what a read has found is told, once."""

from node.core import messages as m
from node.core.clock import Clock
from node.core.effects import Effects
from node.core.mending import LATE_S
from node.core.siblings import Item, Past, Version
from node.core.view import FIRST, first_view
from tests.core.test_replica import FIG, NOW, PEAR, One

THREE = first_view(["a1", "a2", "a3"], 1)
OLD = Item({("x", 1): Version(b"old", stamp=(1, 0, "x"))}, Past({"x": 1}))
NEW = Item({("x", 2): Version(b"new", stamp=(2, 0, "x"))}, Past({"x": 2}))
ELSE = Item({("y", 1): Version(b"else", stamp=(3, 0, "y"))}, Past({"y": 1}))
MENDS = m.Get(PEAR, m.Mode.SIBLINGS, copies=2, mend=True)


def state(item: Item) -> m.State:
    return m.State(7, item, Clock(dict(item.past.base)), [FIRST])


def member() -> One:
    """A member of the shard with two fellows; its slots have arrived."""
    one = One("a1", THREE)
    one.arrive()
    return one


def hold(one: One, item: Item) -> None:
    """As if it had been replicated to this node a while ago."""
    one.replica.keyspace.take(PEAR, item, (), NOW)
    one.rows.apply(one.replica.keyspace.outbox)


def mends(effects: Effects) -> list[tuple[str, m.Mend]]:
    return [(peer, told) for peer, told in effects.tells if isinstance(told, m.Mend)]


def test_all_owners_are_asked_though_two_are_enough() -> None:
    assert [peer for peer, _ in member().submit(MENDS).asks] == ["a2", "a3"]
    assert {peer for peer, _ in One("b1").submit(MENDS).asks} == {"a1", "a2"}


def test_who_lacks_something_is_told_and_who_reads_takes_it() -> None:
    one = member()
    hold(one, OLD)
    one.submit(MENDS)
    effects = one.step("a2", state(NEW))
    [(_, found)] = effects.replies
    assert isinstance(found, m.Found)
    assert (found.values, mends(effects)) == ((b"new",), [])
    assert one.replica.peek(PEAR).versions.keys() == {("x", 2)}
    assert [peer for peer, _ in mends(one.step("a3", state(OLD)))] == ["a3"]


def test_who_has_it_all_is_told_nothing() -> None:
    one = member()
    one.submit(MENDS)
    assert mends(one.step("a2", state(NEW))) == []
    assert mends(one.step("a3", state(NEW))) == []


def test_what_comes_late_is_told_to_those_who_came_before() -> None:
    one = member()
    one.submit(MENDS)
    one.step("a2", state(NEW))
    told = mends(one.step("a3", state(ELSE)))
    assert {peer for peer, _ in told} == {"a2", "a3"}
    assert all(mend.item.versions.keys() == {("x", 2), ("y", 1)} for _, mend in told)
    assert one.replica.peek(PEAR).versions.keys() == {("x", 2), ("y", 1)}
    assert mends(one.step("a2", state(told[0][1].item))) == []


def test_what_comes_too_late_is_worth_nothing() -> None:
    one = member()
    one.submit(MENDS)
    one.step("a2", state(NEW))
    one.step("a1", m.Tick(), NOW + LATE_S)
    assert mends(one.step("a3", state(OLD), NOW + LATE_S)) == []


def test_where_nobody_holds_a_version_nobody_is_told() -> None:
    one = member()
    one.submit(MENDS)
    assert mends(one.step("a2", state(Item({}, Past({"x": 2}))))) == []
    assert mends(one.step("a3", state(OLD))) == []


def test_a_read_that_does_not_mend_tells_nobody() -> None:
    one = member()
    one.submit(m.Get(PEAR, copies=2))
    one.step("a2", state(NEW))
    assert mends(one.step("a3", state(OLD))) == []
    assert one.replica.peek(PEAR) == Item()


# ---- the other side


def test_an_owner_takes_what_it_is_told() -> None:
    one = One()
    hold(one, OLD)
    assert [record.table for record in one.step("b1", m.Mend(PEAR, NEW)).records] == ["log", "item"]
    assert one.replica.peek(PEAR).versions.keys() == {("x", 2)}


def test_a_read_that_waits_for_it_goes_on() -> None:
    one = member()
    one.submit(m.Get(PEAR, m.Mode.SIBLINGS, copies=2), 4)
    one.step("a2", m.State(4, Item(), Clock(), []))
    assert not one.step("a3", m.Mend(PEAR, NEW)).replies
    [(request, found)] = one.step("a3", m.State(4, NEW, Clock({"x": 2}), [FIRST])).replies
    assert isinstance(found, m.Found)
    assert (request, found.values) == (4, (b"new",))


def test_what_is_not_ours_and_what_a_life_that_has_ended_wrote_is_left_to_repair() -> None:
    one = One()
    assert one.step("b1", m.Mend(FIG, NEW)).records == []
    one.replica.moving.ended["x"] = None
    assert one.step("b1", m.Mend(PEAR, NEW)).records == []


# ---- one replica alone


def test_what_is_here_is_said_whole_or_not() -> None:
    one = One()
    [(_, absent)] = one.submit(m.Peek(PEAR)).replies
    assert isinstance(absent, m.Absent)
    hold(one, OLD)
    effects = one.submit(m.Peek(PEAR))
    [(_, found)] = effects.replies
    assert isinstance(found, m.Found)
    assert (found.values, found.clocks, effects.asks) == ((b"old",), ({"x": 1},), [])


def test_what_is_kept_here_is_told_to_nobody() -> None:
    one = One()
    effects = one.submit(m.Keep(PEAR, b"v", {"x": 3}))
    [(_, stored)] = effects.replies
    assert isinstance(stored, m.Stored)
    assert (stored.acks, stored.copies, stored.nodes) == (1, 2, ("a1",))
    assert (stored.clock, effects.tells, effects.asks) == ({"x": 3}, [], [])
    assert [record.table for record in effects.records] == ["log", "item"]


def test_what_is_not_new_is_answered_with_what_is_here() -> None:
    one = One()
    hold(one, NEW)
    for clock in ({"x": 1}, {"x": 2}, {}):
        effects = one.submit(m.Keep(PEAR, b"v", clock, only_new=True))
        [(_, found)] = effects.replies
        assert isinstance(found, m.Found)
        assert (found.values, effects.records) == ((b"new",), [])
    [(_, stored)] = one.submit(m.Keep(PEAR, b"v", {"x": 3}, only_new=True)).replies
    assert isinstance(stored, m.Stored)


def test_who_may_not_name_the_write_says_so() -> None:
    one = One()
    one.replica.moving.is_known = False
    for key in (PEAR, FIG):
        [(_, refused)] = one.submit(m.Keep(key, b"v", {})).replies
        assert isinstance(refused, m.Unavailable)
        assert refused.definite


def test_a_clock_goes_on_with_whoever_writes() -> None:
    one = One()
    actor = one.replica.keyspace.actor
    clocks = []
    for n, asks in enumerate((False, True, False)):
        tells = one.submit(m.Put(PEAR, b"v", clocked=asks), n).tells
        clocks += [named.clock for _, named in tells if isinstance(named, m.Named)]
    assert clocks == [None, {actor: 2}, {actor: 3}]
