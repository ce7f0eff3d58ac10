"""A node holds a version that comes before its dependencies: from whom, how long, with what
effect.
"""

import pytest

from node.core.model.dots import DotClock
from node.core.model.item import Past
from node.core.model.keys import key_hash_of
from node.core.model.token import ALL_KEYS, Token
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Get, List, Listed, Put
from node.core.requests import causal_delivery
from tests.core.early import (
    AFTER_CAUSE,
    CAUSE,
    EFFECT,
    HOLD_S,
    PLUM,
    comes,
    early,
    looked,
    member,
    shown,
    version,
)
from tests.core.given import row
from tests.core.one import FIG, NOW, PEAR, One

# ---- held, and no more


def test_it_is_not_shown_before_its_past_is_here() -> None:
    one = member()
    early(one)
    assert shown(one) is None
    comes(one, PEAR, CAUSE, version(b"cause"))
    assert shown(one) == b"effect"
    assert not one.replica.delivery_buffer


def test_it_is_taken_in_at_once_all_the_same() -> None:
    one = member()
    effects = early(one)
    assert ("a2", m.Ack(1, EFFECT)) in effects.tells
    assert [record.table for record in effects.records] == ["log", "item"]
    assert one.replica.keyspace.clock.has(EFFECT)
    assert one.replica.keyspace.live_keys == 1
    listed = one.submit(List()).replies[0][1]
    assert isinstance(listed, Listed)
    assert listed.items == {PLUM: (b"effect",)}


def test_a_token_that_names_it_overrides_the_hold() -> None:
    one = member()
    early(one)
    assert shown(one, token=Token({}, {EFFECT: key_hash_of(PLUM, True)})) == b"effect"
    assert shown(one, token=Token({"y": 1}, {}, ALL_KEYS)) == b"effect"
    assert shown(one, token=AFTER_CAUSE) is None
    assert shown(one) is None


def test_it_is_shown_when_it_has_been_held_for_long_enough() -> None:
    one = member()
    early(one)
    assert shown(one, now=NOW + HOLD_S - 0.01) is None
    assert shown(one, now=NOW + HOLD_S) == b"effect"


def test_nothing_is_held_where_the_time_is_0() -> None:
    one = member(hold_s=0.0)
    early(one)
    assert shown(one) == b"effect"
    assert one.replica.keyspace.on_change is None
    assert looked(one).early == []


def test_it_is_in_memory_only() -> None:
    one = member()
    early(one)
    assert shown(member(rows=one.rows)) == b"effect"


def test_the_past_of_other_shards_is_not_waited_for() -> None:
    one = member()
    comes(one, PLUM, EFFECT, version(b"v", Token({}, {CAUSE: key_hash_of(FIG, True)})))
    assert shown(one) == b"v"


def test_a_floor_is_asked_of_our_clock_not_of_the_past_of_the_key() -> None:
    one = member()
    floor = Token({"x": 1}, {}, ALL_KEYS)
    comes(one, PLUM, EFFECT, version(b"v", floor), Past({"x": 5}))
    assert shown(one) is None


def test_what_the_key_itself_has_replaced_is_no_past_to_wait_for() -> None:
    one = member()
    deps = Token({}, {("x", 3): key_hash_of(PLUM, True)})
    comes(one, PLUM, EFFECT, version(b"v", deps), Past({}, {("x", 3)}))
    assert shown(one) == b"v"


# ---- what is shown meanwhile


def test_the_value_before_is_shown_meanwhile_also_to_a_delete() -> None:
    one = member()
    comes(one, PLUM, ("y", 1), version(b"old"))
    comes(one, PLUM, ("y", 2), version(None, AFTER_CAUSE, at=2))
    assert shown(one) == b"old"
    assert shown(one, token=Token({}, {("y", 2): key_hash_of(PLUM, True)})) is None
    comes(one, PEAR, CAUSE, version(b"cause"))
    assert shown(one) is None


def test_a_write_beside_it_that_has_its_past_is_shown() -> None:
    one = member()
    early(one)
    comes(one, PLUM, ("z", 1), version(b"beside", at=9))
    assert shown(one) == b"beside"
    assert one.replica.delivery_buffer
    comes(one, PLUM, ("z", 2), version(b"after", at=10), Past({"z": 1}))
    assert shown(one) == b"after"


def test_a_write_that_replaces_it_ends_the_hold() -> None:
    one = member()
    early(one)
    comes(one, PLUM, ("z", 1), version(b"after", at=9), Past({"y": 1}))
    assert shown(one) == b"after"
    assert not one.replica.delivery_buffer


def test_what_has_been_shown_is_not_held_again() -> None:
    one = member()
    early(one)
    assert shown(one, now=NOW + HOLD_S) == b"effect"
    early(one, now=NOW + HOLD_S + 1)
    assert shown(one, now=NOW + HOLD_S + 1) == b"effect"


def test_a_key_that_is_written_all_the_while_is_shown_in_time_too() -> None:
    one = member()
    for n in range(1, 6):
        version_n = version(b"%d" % n, AFTER_CAUSE, at=n)
        comes(one, PLUM, ("y", n), version_n, Past({"y": n - 1}), now=NOW + n / 2)
    assert shown(one, now=NOW + 2.5) == b"4"  # the fifth came just then, and is held by itself
    assert shown(one, now=NOW + 2.5 + HOLD_S) == b"5"


def test_a_write_that_is_named_here_may_be_early_too() -> None:
    one = member()
    [(_, named)] = [t for t in one.submit(Put(PLUM, b"v", token=AFTER_CAUSE)).tells if t[0] == "a1"]
    assert isinstance(named, m.Written)
    assert shown(one) is None
    assert shown(one, token=named.token) == b"v"


def test_a_write_named_here_that_replaces_what_is_held_is_shown() -> None:
    one = member()
    early(one)
    one.submit(Put(PLUM, b"mine"))
    assert shown(one) == b"mine"


def test_an_origin_is_shown_what_its_client_may_see() -> None:
    one = member()
    early(one)
    states = {bound: one.step("b1", m.Fetch(3, PLUM, bound)).tells[0][1] for bound in (False, True)}
    values = {
        bound: [version.value for version in state.item.versions.values()]
        for bound, state in states.items()
        if isinstance(state, m.State)
    }
    assert values == {False: [], True: [b"effect"]}


@pytest.mark.parametrize("token", [Token(), AFTER_CAUSE])
def test_an_origin_says_whether_its_client_asks_for_something(token: Token) -> None:
    asks = One("a1").submit(Get(FIG, token=token)).asks
    assert [ask for _, ask in asks] == [m.Fetch(7, FIG, bool(token))]


# ---- limits


def test_the_oldest_is_shown_where_there_are_too_many() -> None:
    one = member(held_keys_max=1)
    early(one)
    comes(one, "p", ("y", 2), version(b"second", AFTER_CAUSE))
    assert shown(one) == b"effect"
    assert len(one.replica.delivery_buffer) == 1


def test_time_lets_it_go_and_nothing_wakes_for_it_then() -> None:
    one = member()
    assert early(one).wake_at <= NOW + causal_delivery.TICK_S
    one.step("a1", events.Tick(), NOW + HOLD_S)
    assert not one.replica.delivery_buffer
    assert one.replica.delivery_buffer.next_tick == causal_delivery.NEVER


def rows_asked_for(effects: Effects) -> list[str]:
    return [peer for peer, message in effects.tells if isinstance(message, m.Compare)]


def test_the_shard_peers_are_asked_for_what_is_missing() -> None:
    one = member()
    one.step("a2", row(DotClock(), node_id="id of a2"))
    one.replica.maintenance.bootstrap.caught_up = True
    one.step("a2", m.Heartbeat("id of a2"), NOW + 2)
    one.step("a1", events.Tick(), NOW + 2)
    one.step("a2", m.Heartbeat("id of a2"), NOW + 2.5)
    early(one, NOW + 2.5)
    assert rows_asked_for(one.step("a1", events.Tick(), NOW + 2.7)) == []
    assert rows_asked_for(one.step("a1", events.Tick(), NOW + 3.2)) == ["a2"]
    assert rows_asked_for(one.step("a1", events.Tick(), NOW + 3.3)) == []


def test_no_peer_is_asked_when_it_has_come_by_itself() -> None:
    one = member()
    early(one)
    comes(one, PEAR, CAUSE, version(b"cause"))
    asked: list[str] = []
    for tenth in range(1, 30):
        one.replica._step.begin(NOW + tenth / 10)
        one.replica.delivery_buffer.tick(lambda: asked.append("shard peers"))
    assert asked == []
