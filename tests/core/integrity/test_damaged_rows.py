"""A node treats a damaged row as unknown: neither as a value nor as an absent key."""

import pytest

from cluster.simulator.memory_store import write_rows
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import row_of
from node.core.model.slots import ALL, from_bytes, to_bytes
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol import messages as m
from node.core.protocol.effects import Record
from node.core.protocol.operations import (
    Found,
    Get,
    List,
    Listed,
    Look,
    Peek,
    Put,
    Request,
    StoreLocally,
    Unavailable,
)
from node.core.requests.read_answer import DAMAGED_HERE
from tests.core.damage import (
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
from tests.core.early import member as holder
from tests.core.given import holding as row_of_slots, page_of_dots
from tests.core.one import NOW, PEAR


def test_a_read_is_answered_by_the_others() -> None:
    one = member()
    damage(one)
    effects = one.submit(Get(PEAR))
    assert effects.replies == []
    assert [peer for peer, ask in effects.asks] == ["a2", "a3"]
    [(_, outcome)] = one.step("a3", m.State(7, HELD, DotClock({"x": 1}), [FIRST])).replies
    assert isinstance(outcome, Found)
    assert (outcome.values, outcome.served_by) == ((b"held",), "a3")


def test_what_a_reader_is_told_makes_the_row_whole() -> None:
    one = member()
    damage(one)
    one.submit(Get(PEAR))
    one.submit(Get(PEAR), 8)
    effects = one.step("a3", m.State(7, HELD, DotClock({"x": 1}), [FIRST]))
    assert rows_written(effects) == []  # it is known to be damaged from the next tick on
    tick(one)
    effects = one.step("a3", m.State(8, HELD, DotClock({"x": 1}), [FIRST]))
    assert rows_written(effects) == [row_of(PEAR)]
    assert content(one).versions == HELD.versions


def test_an_asker_for_a_state_is_told_that_nothing_is_known() -> None:
    one = member()
    damage(one)
    [(_, state)] = one.step("a2", m.Fetch(3, PEAR)).tells
    assert state == m.State(3, Item(), DotClock(), [])


@pytest.mark.parametrize("operation", [Peek(PEAR), StoreLocally(PEAR, b"v", {})])
def test_what_is_asked_of_this_replica_alone_is_refused(operation: Request) -> None:
    one = member()
    damage(one)
    [(_, outcome)] = one.submit(operation).replies
    assert outcome == Unavailable(DAMAGED_HERE, definite=True)


def test_a_write_goes_to_another_home() -> None:
    one = member()
    damage(one)
    [(peer, refusal)] = one.step("a2", m.Accept(4, Put(PEAR, b"v"))).tells
    assert (peer, refusal) == ("a2", m.NotOwner(4, 1))
    assert one.replica.keyspace.counter == 0


def test_a_list_waits_for_it_or_is_refused() -> None:
    one = member()
    damage(one)
    [(_, outcome)] = one.submit(List()).replies
    assert isinstance(outcome, Unavailable)
    assert DAMAGED_HERE in outcome.reason
    assert one.submit(List(wait_s=1.0), 8).replies == []
    tick(one)
    told(one, HELD)
    [(_, outcome)] = tick(one, NOW + 0.1).replies
    assert isinstance(outcome, Listed)
    assert outcome.items == {PEAR: (b"held",)}


def test_a_look_is_refused_and_nothing_of_it_is_held_back() -> None:
    one = holder()
    one.step("a2", m.Replicate(1, "a2", PEAR, HELD, ("x", 1)))
    deps = Token({}, {("z", 9): 1})
    early = Item({("y", 1): Version(b"early", deps, (2, 0, "y"), True)}, Past({"y": 1}))
    one.step("a2", m.Replicate(1, "a2", PLUM, early, ("y", 1)))
    damage(one)
    [(_, outcome)] = one.submit(Look(limit=9)).replies
    assert isinstance(outcome, Unavailable)
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), None)])
    damage(one, PLUM)
    [(_, outcome)] = one.submit(Look(limit=9), now=NOW + 0.1).replies
    assert isinstance(outcome, Unavailable)
    assert len(one.replica.delivery_buffer) == 0


def test_no_clock_speaks_for_its_slot_and_no_page_is_made_of_it() -> None:
    one = suffering()
    tick(one)
    held = one.replica.maintenance.anti_entropy.compare("a2", answer=False).summaries
    assert [from_bytes(each.slots) for each in held] == [ALL & ~SLOT]
    pull = m.Pull(1, "id of a2", to_bytes(ALL), DotClock())
    assert one.step("a2", pull).tells == []
    assert one.step("a2", m.Pull(1, "id of a2", to_bytes(ALL), DotClock(), after="")).tells == []


def test_a_page_is_not_merged_over_it() -> None:
    one = member(plum=HELD)
    damage(one)
    shard_peer = m.Compare("id of a2", [row_of_slots(DotClock({"x": 2}))], {}, [], [], False)
    one.step("a2", shard_peer)
    [pull] = [ask for _, ask in tick(one, NOW + 1).asks if isinstance(ask, m.Pull)]
    page = page_of_dots({PEAR: NEWER}, {("x", 2): PEAR}, exchange=pull.exchange)
    one.step("a2", page, NOW + 1)
    assert not one.replica.keyspace.clock.has(("x", 2))
    assert PEAR in one.replica.maintenance.row_repair.suspects or one.replica._step.suspects


def test_what_is_open_is_looked_at_again_later() -> None:
    one = member(item=MARK)
    damage(one)
    one.replica.maintenance._prune()
    tick(one)
    assert list(one.replica.maintenance.row_repair.suspects) == [PEAR]


def test_what_was_named_here_is_not_replicated_again_from_it() -> None:
    one = member()
    named = one.step("a2", m.Accept(4, Put(PLUM, b"v")))
    [dot] = [tell.dot for _, tell in named.tells if isinstance(tell, m.Written)]
    damage(one, PLUM)
    told = one.step("a2", m.ReplicateAgain(4, PLUM, dot, ("a3",)))
    assert not [tell for _, tell in told.tells if isinstance(tell, m.Replicate)]
    assert list(one.replica._step.suspects) == [row_of(PLUM)]
