"""From a damaged row nothing is said: neither what its key holds nor that it holds nothing."""

import pytest

from cluster.memory import write_rows
from node.core import messages as m
from node.core.clock import Clock
from node.core.effects import Record
from node.core.judging import DAMAGED_HERE
from node.core.parts import ALL, from_bytes, to_bytes
from node.core.siblings import Item, Past, Version
from node.core.token import Token
from node.core.view import FIRST
from node.core.walk import row_of
from tests.core.given import holding as row_of_slots, page_of_dots
from tests.core.test_healing import (
    HELD,
    MARK,
    NEWER,
    PLUM,
    SLOT,
    content,
    damage,
    member,
    rows_written,
    suffering,
    tick,
    told,
)
from tests.core.test_holding import member as holder
from tests.core.test_replica import NOW, PEAR


def test_a_read_is_answered_by_the_others() -> None:
    one = member()
    damage(one)
    effects = one.submit(m.Get(PEAR))
    assert effects.replies == []
    assert [peer for peer, ask in effects.asks] == ["a2", "a3"]
    [(_, outcome)] = one.step("a3", m.State(7, HELD, Clock({"x": 1}), [FIRST])).replies
    assert isinstance(outcome, m.Found)
    assert (outcome.values, outcome.served_by) == ((b"held",), "a3")


def test_what_a_reader_is_told_makes_the_row_whole() -> None:
    one = member()
    damage(one)
    one.submit(m.Get(PEAR))
    one.submit(m.Get(PEAR), 8)
    effects = one.step("a3", m.State(7, HELD, Clock({"x": 1}), [FIRST]))
    assert rows_written(effects) == []  # it is known to be damaged from the next tick on
    tick(one)
    effects = one.step("a3", m.State(8, HELD, Clock({"x": 1}), [FIRST]))
    assert rows_written(effects) == [row_of(PEAR)]
    assert content(one).versions == HELD.versions


def test_who_asks_for_a_state_is_told_that_nothing_is_known() -> None:
    one = member()
    damage(one)
    [(_, state)] = one.step("a2", m.Fetch(3, PEAR)).tells
    assert state == m.State(3, Item(), Clock(), [])


@pytest.mark.parametrize("operation", [m.Peek(PEAR), m.Keep(PEAR, b"v", {})])
def test_what_is_asked_of_this_replica_alone_is_refused(operation: m.Request) -> None:
    one = member()
    damage(one)
    [(_, outcome)] = one.submit(operation).replies
    assert outcome == m.Unavailable(DAMAGED_HERE, definite=True)


def test_a_write_goes_to_another_home() -> None:
    one = member()
    damage(one)
    [(peer, refusal)] = one.step("a2", m.Accept(4, m.Put(PEAR, b"v"))).tells
    assert (peer, refusal) == ("a2", m.Elsewhere(4, 1))
    assert one.replica.keyspace.counter == 0


def test_a_list_waits_for_it_or_is_refused() -> None:
    one = member()
    damage(one)
    [(_, outcome)] = one.submit(m.List()).replies
    assert isinstance(outcome, m.Unavailable)
    assert DAMAGED_HERE in outcome.reason
    assert one.submit(m.List(wait_s=1.0), 8).replies == []
    tick(one)
    told(one, HELD)
    [(_, outcome)] = tick(one, NOW + 0.1).replies
    assert isinstance(outcome, m.Listed)
    assert outcome.items == {PEAR: (b"held",)}


def test_a_look_is_refused_and_nothing_of_it_is_held_back() -> None:
    one = holder()
    one.step("a2", m.Replicate(1, "a2", PEAR, HELD, ("x", 1)))
    deps = Token({}, {("z", 9): 1})
    early = Item({("y", 1): Version(b"early", deps, (2, 0, "y"), True)}, Past({"y": 1}))
    one.step("a2", m.Replicate(1, "a2", PLUM, early, ("y", 1)))
    damage(one)
    [(_, outcome)] = one.submit(m.Look(limit=9)).replies
    assert isinstance(outcome, m.Unavailable)
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), None)])
    damage(one, PLUM)
    [(_, outcome)] = one.submit(m.Look(limit=9), now=NOW + 0.1).replies
    assert isinstance(outcome, m.Unavailable)
    assert len(one.replica.holding) == 0


def test_no_clock_speaks_for_its_slot_and_no_page_is_made_of_it() -> None:
    one = suffering()
    tick(one)
    held = one.replica.upkeep._compare(answer=False).holdings
    assert [from_bytes(each.slots) for each in held] == [ALL & ~SLOT]
    pull = m.Pull(1, "id of a2", to_bytes(ALL), Clock())
    assert one.step("a2", pull).tells == []
    assert one.step("a2", m.Pull(1, "id of a2", to_bytes(ALL), Clock(), after="")).tells == []


def test_a_page_is_not_merged_over_it() -> None:
    one = member(plum=HELD)
    damage(one)
    fellow = m.Compare("id of a2", [row_of_slots(Clock({"x": 2}))], {}, [], [], False)
    one.step("a2", fellow)
    [pull] = [ask for _, ask in tick(one, NOW + 1).asks if isinstance(ask, m.Pull)]
    page = page_of_dots({PEAR: NEWER}, {("x", 2): PEAR}, exchange=pull.exchange)
    one.step("a2", page, NOW + 1)
    assert not one.replica.keyspace.clock.has(("x", 2))
    assert PEAR in one.replica.upkeep.healing.suspects or one.replica._turn.suspects


def test_what_is_open_is_looked_at_again_later() -> None:
    one = member(item=MARK)
    damage(one)
    one.replica.upkeep._settle()
    tick(one)
    assert list(one.replica.upkeep.healing.suspects) == [PEAR]


def test_what_was_named_here_is_not_replicated_again_from_it() -> None:
    one = member()
    one.step("a2", m.Accept(4, m.Put(PLUM, b"v")))
    damage(one, PLUM)
    one.replica._home.replicate_again()
    assert list(one.replica._turn.suspects) == [row_of(PLUM)]
