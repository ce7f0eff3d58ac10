"""A node on a disk that was copied, or put back as it was, notices it and begins a new
incarnation."""

from random import Random

import pytest
from msgspec.structs import replace

from node.core.model.actors import Actor, actor_of
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.model.slots import ALL, to_bytes
from node.core.model.token import COUNT_MAX
from node.core.model.view import FIRST, View, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.mark import Mark
from node.core.protocol.operations import Forget, Get, Put, Unavailable
from node.core.replica import restore
from tests.core.given import holding
from tests.core.one import NOW, PEAR, VIEW, One

TRIO = first_view(["a1", "a2", "a3"], 1)
MARK = Mark("id of a2", 3, "run 3", 3)


def gossip(mark: Mark, reports: dict[str, ViewId] | None = None) -> m.Gossip:
    return m.Gossip({"a2": {"id of a2": 1}}, {}, reports or {}, mark=mark)


def compare(one: One, clock: DotClock, mark: Mark = MARK, heard: int = 0) -> m.Compare:
    incarnations = {"a2": {"id of a2": 1}}
    whole = [holding(clock)]
    return m.Compare(
        "id of a2", whole, incarnations, [], [], False, one.replica.keyspace.name, mark, heard
    )


def objections(effects: Effects) -> list[Mark]:
    return [told.mark for _, told in effects.tells if isinstance(told, m.Superseded)]


def test_marks_may_grow_and_nothing_else() -> None:
    one = One(view=TRIO)
    assert objections(one.step("a2", gossip(MARK))) == []
    later, view = Mark("id of a2", 5, "run 5", 5), replace(MARK, generation=4)
    assert objections(one.step("a2", gossip(MARK))) == []  # told twice
    assert objections(one.step("a2", gossip(view))) == []  # another view in the same run
    assert objections(one.step("a2", gossip(later))) == []
    older, copy = Mark("id of a2", 4, "run 4", 4), replace(later, run="of a copy")
    counted_on = Mark("id of a2", 7, "of an old disk", 5)  # before anyone has heard it
    for wrong in (older, copy, counted_on, MARK):
        assert objections(one.step("a2", gossip(wrong))) == [wrong]


def test_marks_are_remembered() -> None:
    one = One(view=TRIO)
    one.step("a2", gossip(MARK))
    again = One(view=TRIO, rows=one.rows)
    copy = replace(MARK, run="of a copy")
    assert objections(again.step("a2", gossip(copy))) == [copy]


def test_a_superseded_node_ends_and_the_next_has_its_rows_and_claims_nothing() -> None:
    one = One(view=TRIO)
    one.arrive()
    one.step("a1", m.Accept(1, Put(PEAR, b"v")))
    mark, before = one.replica.maintenance.identity.mark, one.replica.node_id
    assert not one.step("a2", m.Superseded(replace(mark, generation=0), "old")).ends
    effects = one.step("a2", m.Superseded(mark, "a reason"))
    assert "a reason" in effects.ends
    assert (effects.asks, effects.tells) == ([], [])
    assert one.replica.is_over
    assert not one.step("a1", events.Tick(), NOW + 1).asks
    [(_, refusal)] = one.submit(Put(PEAR, b"w")).replies
    assert isinstance(refusal, Unavailable)
    assert refusal.definite
    again = One(view=TRIO, rows=one.rows)
    assert again.replica.node_id != before
    assert again.replica.maintenance.identity.reason == "a reason"
    assert again.replica.peek(PEAR).live()
    assert not again.replica.maintenance.arrived


def test_a_disk_of_another_address_says_nothing_in_its_old_name() -> None:
    replica = restore("a9", Start(TRIO), One("a1", TRIO).rows, Options(), Random(5))
    effects = replica.step(NOW, "a9", events.Tick())
    assert "a1" in effects.ends
    assert (effects.asks, effects.tells) == ([], [])


def test_a_row_of_a_later_run_that_says_less_is_an_old_disk() -> None:
    one = One(view=TRIO)
    one.step("a2", m.Heartbeat("id of a2"))
    one.step("a2", compare(one, DotClock({"x": 5})))
    late = one.step("a2", compare(one, DotClock({"x": 4})))  # of the same run: it has come late
    assert objections(late) == []
    later = replace(MARK, generation=4, run="run 4")
    assert objections(one.step("a2", compare(one, DotClock({"x": 4}), later))) == [later]


def test_a_node_that_lacks_its_own_writes_begins_anew() -> None:
    one = One(view=TRIO)
    one.step("a2", m.Heartbeat("id of a2"))
    past = actor_of(FIRST, one.replica.node_id, "past")
    assert not one.step("a2", compare(one, DotClock({"x": 5}))).ends
    assert one.step("a2", compare(one, DotClock({"x": 5, past: 1}))).ends


def test_a_node_of_whose_report_others_know_more_begins_anew() -> None:
    one = One(view=TRIO)
    reports = {one.replica.node_id: ViewId(4, "p")}
    assert one.step("a2", gossip(MARK, reports=reports)).ends


def test_a_restarted_node_asks_until_a_peer_has_seen_no_fault() -> None:
    first = One(view=TRIO)
    first.arrive()
    first.replica.keyspace.save_parts()
    first.step("a1", events.Tick(), NOW + 1)
    one = One(view=TRIO, rows=first.rows)
    assert one.replica.maintenance.arrived
    views = one.replica.views
    views.is_confirmed = False
    assert not one.submit(Get(PEAR)).replies
    one.step("a2", m.Heartbeat("id of a2"))
    mark = one.replica.maintenance.identity.mark
    one.step("a2", compare(one, DotClock(), heard=mark.generation - 1))
    assert not views.is_confirmed
    one.step("a2", compare(one, DotClock(), heard=mark.generation))
    assert views.is_confirmed
    assert one.submit(Get(PEAR), request=8).replies


def restarted(view: View = TRIO) -> One:
    """Return a node that has started again on its arrived disk; no peer vouches for it."""
    first = One(view=view)
    first.arrive()
    first.replica.keyspace.save_parts()
    first.step("a1", events.Tick(), NOW + 1)
    one = One(view=view, rows=first.rows)
    one.step("a2", m.Heartbeat("id of a2"))
    one.replica.views.is_confirmed = one.replica.views.is_vouched_for = False
    return one


def past_run(one: One) -> Actor:
    return actor_of(FIRST, one.replica.node_id, "past")


def messages_that_name(dot: Dot) -> list[m.Message]:
    item, slots, nothing = Item({dot: Version(b"v")}), to_bytes(ALL), DotClock()
    theirs = Item({("x", 1): Version(b"v")})
    clock = DotClock({dot[0]: dot[1]})
    rows = m.RowPage(1, slots, nothing, [], "", None, {}, {}, Past())
    return [
        m.Ack(1, dot),
        m.Replicate(1, "a2", PEAR, item, ("x", 1)),
        m.ReadRepair(PEAR, item),
        m.State(1, theirs, clock, []),
        m.State(1, item, nothing, []),
        m.Pull(1, "id of a2", slots, clock),
        m.ItemPage(1, slots, clock, [], True, {}, {}, Past()),
        m.ItemPage(1, slots, nothing, [], True, {dot: PEAR}, {}, Past()),
        m.SamePage(1, slots, nothing, [], True, {dot: PEAR}),
        replace(rows, snapshot=clock),
    ]


@pytest.mark.parametrize("which", range(8))
def test_whatever_names_a_write_of_ours_that_is_not_here_shows_an_old_disk(which: int) -> None:
    one = restarted()
    message = messages_that_name((past_run(one), 1))[which]
    assert "its disk lacks writes" in one.step("a2", message).ends


@pytest.mark.parametrize("which", range(8))
def test_a_disk_that_a_peer_has_vouched_for_is_not_looked_at(which: int) -> None:
    one = restarted()
    one.replica.views.is_vouched_for = True
    message = messages_that_name((past_run(one), 1))[which]
    assert not one.step("a2", message).ends


def test_what_a_client_may_have_made_up_shows_nothing() -> None:
    one = restarted()
    item = Item({("x", 1): Version(b"v")}, Past({past_run(one): 9}))
    assert not one.step("a2", m.Replicate(1, "a2", PEAR, item, ("x", 1))).ends
    assert not one.step("a2", m.State(1, item, DotClock(), [])).ends


def test_a_disk_that_lacks_what_all_had_is_old() -> None:
    shard_peer = actor_of(FIRST, "id of a2", "run")
    for actor in (shard_peer, past_run(restarted())):
        one = restarted()
        one.replica.keyspace.parts.owned()[0].clock.add((shard_peer, 1))
        assert not one.step("a2", replace(gossip(MARK), cluster_watermark={shard_peer: 1})).ends
        stable = {past_run(one) if actor != shard_peer else shard_peer: 2}
        assert (
            "knows it had" in one.step("a2", replace(gossip(MARK), cluster_watermark=stable)).ends
        )


def test_what_proves_nothing_of_a_disk() -> None:
    """Closed runs, other shards' knowledge, other views, and others' writes say nothing of a disk.

    The last holds as long as this incarnation has not arrived.
    """
    one = restarted(VIEW)
    shard_peer, other = (actor_of(FIRST, f"id of {node}", "run") for node in ("a2", "b1"))
    one.step("b1", m.Heartbeat("id of b1"))
    later = actor_of(ViewId(2, "p"), "id of a2", "run")
    stable = {shard_peer: COUNT_MAX, other: 7, later: 7}
    assert not one.step("a2", replace(gossip(MARK), cluster_watermark=stable)).ends
    one.replica.keyspace.parts.become_incomplete_for(FIRST)
    assert not one.step("a2", replace(gossip(MARK), cluster_watermark={shard_peer: 7})).ends
    assert one.step("a2", replace(gossip(MARK), cluster_watermark={past_run(one): 7})).ends


def test_a_node_is_alone_when_it_has_reached_no_witness_for_two_seconds() -> None:
    one = restarted()
    views = one.replica.views
    for second in range(4):
        one.step("a2", m.Heartbeat("id of a2"), NOW + second)
        one.step("a1", events.Tick(), NOW + second)
    for peer in ("a2", "a3"):
        one.step("a1", events.LinkDown(peer), NOW + 3.1)
    one.step("a1", events.Tick(), NOW + 4.9)
    assert not views.is_confirmed
    one.step("a1", events.Tick(), NOW + 5.1)
    assert views.is_confirmed
    assert not views.is_vouched_for


def test_what_a_past_run_has_lost_is_refused_and_only_that() -> None:
    one = One(view=TRIO)
    one.step("a2", m.Heartbeat("id of a2"))
    one.step("a2", gossip(MARK))
    views = one.replica.views
    past, present = (actor_of(FIRST, "id of a2", run) for run in ("past", "run 3"))
    views.doubt([past, present, "stranger.1", actor_of(FIRST, "id of a2")])
    assert views.refused() == [past]
    item = Item({(past, 1): Version(b"late")}, Past({past: 1}))
    effects = one.step("a2", m.Replicate(1, "a2", PEAR, item, (past, 1)))
    assert not any(isinstance(told, m.Ack) for _, told in effects.tells)


def test_a_copy_of_a_disk_that_has_forgotten_is_as_good_as_new() -> None:
    """A node that has got the disk need not obey what another incarnation was told to forget."""
    forgetful = One("a3", TRIO)
    assert forgetful.submit(Forget()).ends
    assert not One("a3", TRIO, rows=forgetful.rows).replica.view.number
    moved = One("a1", TRIO, rows=forgetful.rows)
    assert moved.replica.is_over
    assert One("a1", TRIO, rows=forgetful.rows).replica.view == TRIO
