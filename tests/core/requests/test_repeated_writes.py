"""A write that its client sends again is found, or named so that two names of it are one write."""

import dataclasses

import pytest
from msgspec.structs import replace

from node.core.membership.failure_detector import Detector
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.hlc import Timestamp
from node.core.model.item import Past
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.messages import Accept, Ack, CannotDecide, Declined, NotOwner, Written
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Mismatch,
    Outcome,
    Overfull,
    Put,
    Reused,
    Stored,
    Unavailable,
)
from node.core.requests.look_first import LOOK_S
from node.core.requests.one_write import HAND_OVER_S
from node.core.requests.read_answer import shown_versions
from node.core.requests.repeated_writes import NAMINGS_MAX, stem_of
from node.core.requests.write_under_way import Writes
from tests.core.given import OPTIONS
from tests.core.moves import SECOND, moved
from tests.core.one import NOW, PEAR, One

PUT = Put(PEAR, b"v", identity="name.request")
LATER = NOW + 601.0
MEMBERS = ("m1", "m2", "m3")
DOT, TWIN = ("a", 1), ("b", 1)


# ---- the home


def answered(one: One, put: Put, request: int = 1, now: float = NOW) -> m.Message:
    """Return what a home of one write tells its origin."""
    tells = one.step("b1", Accept(request, put), now).tells
    (said,) = [said for peer, said in tells if peer == "b1"]
    assert isinstance(said, m.Message)
    return said


def named(said: m.Message) -> tuple[str, int]:
    assert isinstance(said, Written)
    return said.dot


def declined(said: m.Message) -> Outcome:
    assert isinstance(said, Declined)
    return said.outcome


def token_of(one: One, dot: tuple[str, int]) -> Token:
    return Token({}, {dot: key_hash_of(PEAR, True)}, name=one.replica.keyspace.name)


def test_the_first_name_is_found_also_when_the_write_was_replaced() -> None:
    one = One()
    first = answered(one, PUT)
    assert named(answered(one, PUT, 2)) == named(first)
    answered(one, Put(PEAR, b"w"), 3)
    again = answered(one, PUT, 4)
    assert isinstance(again, Written)
    assert (again.dot, again.replaced) == (named(first), False)
    assert [v.value for v in one.replica.peek(PEAR).versions.values()] == [b"w"]


def test_shard_peers_acknowledge_the_first_name_again() -> None:
    one = One()
    first = answered(one, PUT)
    tells = one.step("b2", Accept(5, PUT)).tells
    (replicate,) = [said for peer, said in tells if peer == "a2" and isinstance(said, m.Replicate)]
    assert (replicate.request, replicate.origin, replicate.dot) == (5, "b2", named(first))


def test_a_restart_keeps_the_names() -> None:
    one = One()
    first = answered(one, PUT)
    answered(one, Put(PEAR, None), 2)
    again = One(rows=one.rows)
    assert named(answered(again, PUT, 3)) == named(first)


def test_a_name_is_forgotten_ten_minutes_after_the_write_if_that_was_replaced() -> None:
    one = One()
    first = answered(one, PUT)
    assert named(answered(one, PUT, 2, LATER)) == named(first)
    answered(one, Put(PEAR, b"w"), 3, LATER)
    assert named(answered(one, PUT, 4, LATER)) != named(first)


def test_another_request_under_the_name_is_refused() -> None:
    one = One()
    answered(one, PUT)
    other = replace(PUT, value=b"w", identity="name.other")
    assert stem_of(other.identity) == stem_of(PUT.identity)
    assert isinstance(declined(answered(one, other, 2)), Reused)


def test_a_key_remembers_so_many_writes() -> None:
    one = One()
    for number in range(NAMINGS_MAX):
        named(answered(one, replace(PUT, identity=f"n{number}.r"), number))
    one_more = replace(PUT, identity="one.more")
    assert isinstance(declined(answered(one, one_more, 2000)), Overfull)
    assert named(answered(one, replace(PUT, identity="n7.r"), 2001))
    assert named(answered(one, one_more, 2002, LATER))


def test_the_first_name_counts_though_the_condition_holds_no_more() -> None:
    one = One()
    one.arrive()
    new = replace(PUT, refuse_when=RefuseWhen(one_of=("*",)))
    first = answered(one, new)
    assert named(answered(one, new, 2)) == named(first)
    other = replace(new, identity="other.one")
    assert isinstance(declined(answered(one, other, 3)), Mismatch)


@pytest.mark.parametrize("may_be_named", [False, True])
def test_what_may_have_come_after_it_stays_beside_it(may_be_named: bool) -> None:
    """A client had seen x of this key, and wrote y; x is not here, and the new write may be x.  Its
    origin may have read the key in vain, to learn whether the write is named already."""
    one = One()
    answered(one, Put(PEAR, b"y", token=token_of(one, ("x", 4))))
    answered(one, replace(PUT, repeated=may_be_named), 2)
    item = one.replica.peek(PEAR)
    assert {v.value for v in item.versions.values()} == {b"y", b"v"}
    shown = item.winner()
    assert shown is not None
    assert item.versions[shown].value == b"y"
    answered(one, Put(PEAR, b"z"), 3)
    assert {v.value for v in one.replica.peek(PEAR).versions.values()} == {b"z"}


def test_a_shard_peer_that_is_told_it_alone_is_told_what_it_has_replaced() -> None:
    """The message has no room for y, which stays beside it.  The peer has w, too, and would keep
    it: both have the same dots, so no comparison would ever tell them apart."""
    one = One(options=dataclasses.replace(OPTIONS, message_bytes_max=1))
    ahead = Token({}, {("x", 4): key_hash_of(PEAR, True)}, name=one.replica.keyspace.name)
    w = named(answered(one, Put(PEAR, b"w", Mode.SIBLINGS, identity="w.1")))
    y = named(answered(one, Put(PEAR, b"y", Mode.SIBLINGS, ahead), 2, NOW + 1))
    tells = one.step("b1", Accept(3, PUT), NOW + 2).tells
    (replicate,) = [said for peer, said in tells if peer == "a2" and isinstance(said, m.Replicate)]
    assert one.replica.peek(PEAR).versions.keys() == {y, replicate.dot}
    assert replicate.item.versions.keys() == {replicate.dot}
    assert replicate.item.past.has(w)
    assert not replicate.item.past.has(y)
    assert replicate.item.past.namings["w.1"].by == (PUT.identity,)
    again = one.step("b2", Accept(4, PUT), NOW + 3).tells
    assert not [said for _, said in again if isinstance(said, m.Replicate)]  # repair brings it


def test_a_context_names_the_write_that_it_has_seen() -> None:
    one = One()
    said = answered(one, replace(PUT, mode=Mode.SIBLINGS))
    assert isinstance(said, Written)
    assert said.context.namings.keys() == {PUT.identity}
    one.arrive()
    ((_, outcome),) = one.submit(Get(PEAR, Mode.SIBLINGS), 9).replies
    assert isinstance(outcome, Found)
    assert outcome.context.namings.keys() == {PUT.identity}


def test_a_client_that_has_seen_what_is_not_here_may_have_seen_what_replaced_the_write() -> None:
    one = One()
    ahead = replace(PUT, token=token_of(one, ("x", 4)))
    assert isinstance(answered(one, ahead), CannotDecide)
    here = answered(one, Put(PEAR, b"u"), 2)
    assert isinstance(here, Written)
    assert isinstance(answered(one, replace(PUT, token=here.token), 3), Written)


def test_a_new_owner_does_not_know_whether_a_write_is_named_already() -> None:
    one = moved()
    one.step("b1", Accept(1, Put(PEAR, b"u"), looked=True))
    assert one.replica.peek(PEAR).versions
    assert isinstance(answered(one, PUT, 2), CannotDecide)
    assert isinstance(answered(one, replace(PUT, identity=""), 3), Written)


@pytest.mark.parametrize("mode", [Mode.LWW, Mode.SIBLINGS])
@pytest.mark.parametrize("first", [None, (1, 0, "x")])
def test_a_write_that_may_be_named_already_replaces_nothing_that_may_be_later(
    mode: Mode, first: Timestamp | None
) -> None:
    one = One()
    answered(one, Put(PEAR, b"u"))
    put = replace(PUT, mode=mode, context=Past({"x": 4}), token=token_of(one, ("x", 4)))
    answered(one, replace(put, repeated=True, first=first), 2)
    item = one.replica.peek(PEAR)
    assert item.past.has(("x", 4)) == (mode is Mode.SIBLINGS)  # what a context covers is replaced
    assert {version.value for version in item.versions.values()} == {b"u", PUT.value}
    ((_, shown),) = shown_versions(Mode.LWW, item).items()
    assert shown.value == (b"u" if first else PUT.value)


def test_a_write_that_is_named_again_replaces_what_came_before_its_first_name() -> None:
    one = One()
    answered(one, Put(PEAR, b"u"))
    ((_, before),) = one.replica.peek(PEAR).versions.items()
    milliseconds, count, actor = before.timestamp
    first = milliseconds + 5, count, actor
    answered(one, replace(PUT, repeated=True, first=first), 2)
    ((_, again),) = one.replica.peek(PEAR).versions.items()
    assert (again.value, again.timestamp) == (PUT.value, first)


def test_a_client_that_has_read_the_first_name_says_so_with_its_context() -> None:
    """The home has not heard of it.  What the context covers may have replaced it."""
    one, elsewhere = One(), One("a2")
    first = answered(elsewhere, replace(PUT, mode=Mode.SIBLINGS))
    assert isinstance(first, Written)
    later = answered(elsewhere, Put(PEAR, b"w", Mode.SIBLINGS, context=first.context), 2)
    assert isinstance(later, Written)
    again = replace(PUT, mode=Mode.SIBLINGS, context=later.context)
    answered(one, again)
    one.replica.keyspace.take(PEAR, elsewhere.replica.peek(PEAR), (), NOW)
    assert [v.value for v in one.replica.peek(PEAR).versions.values()] == [b"w"]


# ---- the origin


def test_what_a_read_has_seen_is_not_replaced_if_the_write_is_named_already() -> None:
    """The client sends v again after another one has replaced it with w; its home has neither."""
    one, elsewhere = moved("b2"), One("a1")
    answered(elsewhere, PUT)
    answered(elsewhere, Put(PEAR, b"w"), 2)
    one.submit(PUT)
    one.step("b2", CannotDecide(7))
    held = elsewhere.replica.peek(PEAR)
    state = m.State(7, held, elsewhere.replica.keyspace.clock, [FIRST, SECOND])
    one.step("a1", state)
    assert [v.value for v in one.replica.peek(PEAR).versions.values()] == [b"v"]
    one.replica.keyspace.take(PEAR, held, (), NOW)
    assert [v.value for v in one.replica.peek(PEAR).versions.values()] == [b"w"]


@pytest.mark.parametrize("mode", [Mode.LWW, Mode.SIBLINGS])
def test_an_lww_write_that_no_read_has_judged_replaces_only_what_is_here(mode: Mode) -> None:
    one = moved("b2")
    one.submit(replace(PUT, mode=mode, token=token_of(one, ("x", 4)), context=Past({"x": 4})))
    one.step("b2", CannotDecide(7))
    one.step("b2", events.Tick(), NOW + LOOK_S + 0.1)
    item = one.replica.peek(PEAR)
    assert [v.value for v in item.versions.values()] == [b"v"]
    assert item.past.has(("x", 4)) == (mode is Mode.SIBLINGS)


class Room:
    """A write with an identity at m0, a node of another shard; the members are up."""

    def __init__(self, level: str = "available") -> None:
        self.detector = Detector("m0")
        for peer in MEMBERS:
            self.detector.link_up(peer, 0.0)
        self.writes = Writes("m0", "m0run", self.detector)
        self.put = replace(PUT, level=level)
        self.asked = [home for home, _ in self.writes.begin(7, self.put, MEMBERS, 0.0)]

    def ticked(self, now: float) -> Outcome | None:
        for member in MEMBERS:
            self.detector.hear(member, now)
        asks, replies = self.writes.tick(now)
        self.asked += [home for home, _ in asks]
        return replies[0][1] if replies else None


def written(dot: tuple[str, int]) -> Written:
    return Written(7, dot, Token({}, {dot: 8}), Past({dot[0]: 1}), False)


def test_a_silent_home_is_not_waited_for() -> None:
    room = Room()
    for tick in range(1, 8):
        room.ticked(tick * (HAND_OVER_S + 0.01))
    assert room.asked == ["m1", "m2", "m3"]


def test_a_home_that_cannot_be_reached_is_not_waited_for() -> None:
    room = Room()
    room.detector.link_down("m1")
    asks, _ = room.writes.tick(0.01)
    assert [home for home, _ in asks] == ["m2"]


def test_the_first_name_that_comes_is_told_and_only_its_acks_count() -> None:
    room = Room("quorum")
    room.ticked(HAND_OVER_S + 0.01)
    assert room.asked == ["m1", "m2"]
    assert room.writes.on_ack("m3", Ack(7, TWIN), 0.12) is None
    assert room.writes.on_ack("m1", written(DOT), 0.12) is None
    assert room.writes.on_ack("m2", written(TWIN), 0.12) is None
    outcome = room.writes.on_ack("m3", Ack(7, DOT), 0.12)
    assert isinstance(outcome, Stored)
    assert (outcome.dot, outcome.home, outcome.nodes) == (DOT, "m1", ("m1", "m3"))


def test_a_refusal_of_one_home_is_not_definite() -> None:
    refusal = Declined(7, Absent((), Token(), Past(), ""))
    room = Room()
    room.ticked(HAND_OVER_S + 0.01)
    assert room.writes.on_declined("m1", refusal) is None
    assert room.writes.on_declined("m2", refusal) is refusal.outcome


def test_the_outcome_is_unknown_where_an_earlier_home_may_have_named_it() -> None:
    room = Room()
    room.ticked(HAND_OVER_S + 0.01)
    assert room.writes.give_up("m2", CannotDecide(7, 2)) is None
    assert room.writes.without_home("m2", NotOwner(7, 2)) is None  # it has said that before
    outcome = next(said for t in range(2, 60) if (said := room.ticked(t * 0.1)))
    assert isinstance(outcome, Unavailable)
    assert not outcome.definite
