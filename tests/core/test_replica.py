"""A replica is a function of its events: messages in, effects out, and what it must not do."""

import pytest

from node.core import replica as replica_module
from node.core.model.actors import actor_of, incarnation_of
from node.core.model.conditions import Mode, RefuseWhen, Scope
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.options import Options
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.key_pages import CountKeys, KeyCount
from node.core.protocol.operations import (
    Absent,
    Count,
    Counted,
    Found,
    Get,
    Put,
    Stored,
    Unavailable,
    Unmet,
)
from tests.core.one import AHEAD, FIG, NOW, PEAR, VIEW, One, alone, replica_of


def test_a_new_node_names_itself_once_and_keeps_its_name() -> None:
    one = One()
    node_id = one.replica.node_id
    assert one.rows.read("meta", "node") == node_id.encode()
    again = One(rows=one.rows)
    assert again.replica.node_id == node_id
    assert One("a2").replica.node_id != node_id


def test_a_local_put_is_named_in_the_same_step() -> None:
    named = One().submit(Put(PEAR, b"v"))
    assert named.asks == []
    kinds = [(peer, type(message)) for peer, message in named.tells]
    assert kinds == [("a2", m.Replicate), ("a1", m.Written)]
    assert [record.table for record in named.records] == ["log", "item"]
    assert named.wake_at == NOW + replica_module.WAITING_TICK_S


def test_alone_a_put_is_stored_on_one_of_one() -> None:
    one = alone()
    [(_, named)] = one.submit(Put(PEAR, b"v")).tells
    [(request, stored)] = one.step("a1", named).relays
    assert isinstance(stored, Stored)
    assert (request, stored.acks, stored.copies) == (7, 1, 1)


def test_a_put_of_another_shard_is_forwarded_to_each_member_in_turn() -> None:
    one = One()
    homes = [one.submit(Put(FIG, b"v"), request).asks[0][0] for request in (4, 5, 6)]
    assert homes == ["b1", "b2", "b1"]


def test_a_level_that_is_none_is_refused() -> None:
    [(_, outcome)] = One().submit(Put(PEAR, b"v", level="3")).replies
    assert isinstance(outcome, Unavailable)
    assert outcome.definite


def test_of_keys_of_other_shards_a_node_writes_nothing_and_vouches_for_nothing() -> None:
    one = One()
    strays: list[tuple[m.Message, list[tuple[str, m.Message]]]] = [
        (m.Accept(7, Put(FIG, b"v")), [("b1", m.NotOwner(7))]),
        (m.Replicate(7, "b1", FIG, Item(), ("x", 1)), []),
        (m.Fetch(7, FIG), [("b1", m.State(7, Item(), DotClock(), []))]),
    ]
    for stray, tells in strays:
        effects = one.step("b1", stray)
        assert effects.tells == tells
        assert not effects.records


def test_an_accept_is_named_once_however_often_it_comes() -> None:
    one = One(options=Options(accepts_remembered_max=2))
    first = one.step("b1", m.Accept(1, Put(PEAR, b"v"))).tells[-1]
    again = one.step("b1", m.Accept(1, Put(PEAR, b"v")))
    assert again.tells == [first]
    assert not again.records
    other = one.step("b2", m.Accept(1, Put(PEAR, b"v"))).tells[-1]
    assert other != first
    one.step("b1", m.Accept(2, Put(PEAR, b"v")))
    forgotten = one.step("b1", m.Accept(1, Put(PEAR, b"v")))
    assert forgotten.records  # beyond the bound: a name of its own


@pytest.mark.parametrize(
    ("put", "declined"),
    [
        (Put(PEAR, b"v", token=AHEAD), None),
        (Put(PEAR, b"v", refuse_when=RefuseWhen(Scope.KEY)), None),
        (Put(PEAR, b"v", token=AHEAD, refuse_when=RefuseWhen(Scope.KEY)), Unmet),
        (Put(PEAR, b"v", token=AHEAD, refuse_when=RefuseWhen(Scope.SHARD)), Unmet),
        (Put(PEAR, None, refuse_when=RefuseWhen(absent=True)), Absent),
        # it may be there elsewhere
        (Put(PEAR, None, token=AHEAD, refuse_when=RefuseWhen(absent=True)), None),
    ],
)
def test_what_a_home_declines(put: Put, declined: type | None) -> None:
    one = One()
    one.arrive()
    message = one.step("b1", m.Accept(7, put)).tells[-1][1]
    if declined is None:
        assert isinstance(message, m.Written)
    else:
        assert isinstance(message, m.Declined)
        assert isinstance(message.outcome, declined)


@pytest.mark.parametrize(
    "put",
    [
        Put(PEAR, None, refuse_when=RefuseWhen(absent=True)),
        Put(PEAR, b"v", token=AHEAD, refuse_when=RefuseWhen(Scope.KEY)),
    ],
)
def test_a_home_that_has_not_arrived_cannot_say_no(put: Put) -> None:
    one = One()
    effects = one.step("b1", m.Accept(7, put))
    assert (effects.tells, effects.records) == ([("b1", m.CannotDecide(7))], [])
    one.arrive()
    assert one.step("b1", m.Accept(7, put)).tells == [
        ("b1", m.CannotDecide(7))
    ]  # as it was answered
    [(_, declined)] = one.step("b1", m.Accept(7, put, attempt=2)).tells
    assert isinstance(declined, m.Declined)


def test_a_delete_of_what_is_there_is_named() -> None:
    one = One()
    one.step("b1", m.Accept(6, Put(PEAR, b"v")))
    delete = Put(PEAR, None, refuse_when=RefuseWhen(absent=True))
    named = one.step("b1", m.Accept(7, delete)).tells[-1][1]
    assert isinstance(named, m.Written)
    assert named.replaced


def test_a_replicate_is_taken_and_acknowledged_to_the_origin() -> None:
    one = One()
    item = Item({("x", 1): Version(b"v")}, Past({"x": 1}))
    effects = one.step("a2", m.Replicate(9, "b2", PEAR, item, ("x", 1)))
    assert effects.tells == [("b2", m.Ack(9, ("x", 1)))]
    assert one.replica.peek(PEAR).versions == item.versions


def test_a_write_that_comes_feeds_the_reads_that_wait_for_it() -> None:
    one = alone()
    assert not one.submit(Get(PEAR, token=AHEAD, wait_s=1.0)).replies
    assert one.replica.waiting() == {"writes": 0, "reads": 1}
    item = Item({("x", 4): Version(b"v")}, Past({"x": 4}))
    [(_, found)] = one.step("a9", m.Replicate(1, "a9", PEAR, item, ("x", 4))).replies
    assert isinstance(found, Found)
    assert one.replica.waiting() == {"writes": 0, "reads": 0}


def test_a_read_of_siblings_is_filled() -> None:
    one = alone()
    one.step("a1", m.Accept(1, Put(PEAR, b"v", Mode.SIBLINGS)))
    [(_, found)] = one.submit(Get(PEAR, Mode.SIBLINGS)).replies
    assert isinstance(found, Found)
    assert found.context == Past({one.replica.keyspace.actor: 1})


def test_floors_of_another_shard_do_not_bind_here() -> None:
    one = One()
    far = actor_of(FIRST, "far")
    one.step("b1", m.Gossip({"b1": {"far": 1}}, {}))
    one.arrive()
    token = Token({far: 5}, {}, b"\xff" * 64)
    [(_, outcome)] = one.submit(Get(PEAR, token=token)).replies
    assert isinstance(outcome, Absent)
    unknown = Token({"nobody": 5}, {}, b"\xff" * 64)
    assert not one.submit(Get(PEAR, token=unknown), 8).replies


def test_a_shard_scope_binds_dots_of_the_same_shard() -> None:
    one = alone()
    token = Token({}, {("x", 4): key_hash_of("plum", True)})
    get = Get(PEAR, token=token, scope=Scope.SHARD)
    assert one.submit(get).replies == [(7, Unmet({"x": (0, 4)}))]
    assert one.submit(Get(PEAR, token=token), 8).replies[0][0] == 8


def test_late_answers_change_nothing() -> None:
    one = One()
    actor = ("x", 1)
    late: list[m.Message] = [
        m.Ack(1, actor),
        m.Written(1, actor, Token(), Past(), False),
        m.Declined(1, Unmet({})),
        m.State(1, Item({actor: Version(b"v")}), DotClock(), [FIRST]),
        KeyCount(1, 3),
    ]
    for message in late:
        effects = one.step("b1", message)
        assert (effects.relays, effects.replies, effects.records) == ([], [], [])


def test_counts() -> None:
    one = One()
    one.step("b1", m.Accept(1, Put(PEAR, b"v")))
    assert one.submit(Count("s1")).replies == [(7, Counted(1))]
    assert one.step("b1", CountKeys(5)).tells == [("b1", KeyCount(5, 1))]
    assert one.submit(Count("s2"), 8).asks == [("b1", CountKeys(8))]
    assert one.step("b1", KeyCount(8, 4)).replies == [(8, Counted(4))]
    assert isinstance(one.submit(Count("s9")).replies[0][1], Unavailable)


def test_request_numbers_only_grow_even_over_a_restart() -> None:
    one = One()
    first = [one.replica.next_request(now) for now in (NOW, NOW, NOW - 5)]
    later = One(rows=one.rows).replica.next_request(NOW + 1)
    assert first == sorted(set(first))
    assert later > first[-1]


def test_a_node_outside_the_view_only_forwards() -> None:
    one = One("x1", VIEW)
    assert one.submit(Put(PEAR, b"v"), 4).asks[0][0] == "a1"
    accepted = one.step("a1", m.Accept(1, Put(PEAR, b"v")))
    assert (accepted.tells, accepted.records) == ([("a1", m.NotOwner(1))], [])
    assert one.replica.maintenance.arrived


def test_equal_events_cause_equal_effects() -> None:
    def run() -> list[Effects]:
        one = One()
        return [
            one.submit(Put(PEAR, b"v")),
            one.step("a1", m.Accept(7, Put(PEAR, b"v"))),
            one.step("a1", events.Tick(), NOW + 9),
        ]

    assert run() == run()


def test_every_run_is_an_actor_of_its_own() -> None:
    one = One()
    again = One(rows=one.rows)
    actors = {one.replica.keyspace.actor, again.replica.keyspace.actor}
    assert actors == {one.actor_in(FIRST), again.actor_in(FIRST)}
    assert len(actors) == 2
    assert {incarnation_of(actor) for actor in actors} == {actor_of(FIRST, one.replica.node_id)}


def test_options_have_defaults() -> None:
    replica = replica_of(VIEW)
    assert replica.node_id == "id"
    assert Options().repair_every_s > 0
