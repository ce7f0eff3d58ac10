"""A write has one answer, with what is certain: stored, declined, certainly not, or unknown."""

import msgspec
import pytest

from node.core.model.item import Past
from node.core.model.token import Token
from node.core.protocol.messages import (
    CannotDecide,
    Declined,
    NotOwner,
)
from node.core.protocol.operations import ANSWER_S, Absent, Stored, Unavailable
from node.core.requests.one_write import (
    BUDGET_S,
    LAST_ASK_S,
    SLOW_S,
    UNREACHABLE_S,
)
from tests.core.writing import ACK, DOT, MEMBERS, WRITTEN, Room, asked_as


def test_the_first_that_can_be_reached_is_the_home() -> None:
    assert Room().asked == [("m1", asked_as(Room().put))]
    assert Room("m3").asked[0][0] == "m3"


@pytest.mark.parametrize(
    ("level", "needed"), [("one", 1), ("quorum", 2), ("available", 2), ("all", 3), ("3", 3)]
)
def test_is_answered_when_the_level_is_reached(level: str, needed: int) -> None:
    room = Room(level=level)
    outcomes = [
        room.writes.on_ack("m1", WRITTEN, 0.01),
        room.writes.on_ack("m2", ACK, 0.01),
        room.writes.on_ack("m3", ACK, 0.01),
    ]
    assert [outcome is not None for outcome in outcomes] == [n == needed for n in (1, 2, 3)]
    token, context = WRITTEN.token, WRITTEN.context
    nodes = MEMBERS[:needed]
    assert outcomes[needed - 1] == Stored(token, context, DOT, False, needed, 3, "m1", nodes)
    assert len(room.writes) == 0


def test_acks_that_come_before_the_name_count() -> None:
    room = Room(level="all")
    assert room.writes.on_ack("m2", ACK, 0.01) is None
    assert room.writes.on_ack("m3", ACK, 0.01) is None
    assert room.ticked(0.05) is None
    assert isinstance(room.writes.on_ack("m1", WRITTEN, 0.06), Stored)


def test_one_member_acks_once() -> None:
    room = Room()
    assert room.writes.on_ack("m1", WRITTEN, 0.01) is None
    assert room.writes.on_ack("m1", WRITTEN, 0.01) is None


def test_available_waits_for_members_that_are_up_then_for_those_that_gave_a_sign_of_life() -> None:
    silent, slow = Room(), Room()
    slow.detector.hear("m2", 0.05)
    for room in (silent, slow):
        assert room.writes.on_ack("m1", WRITTEN, 0.01) is None
        assert room.ticked(BUDGET_S / 2) is None
    alone = silent.ticked(BUDGET_S)
    assert isinstance(alone, Stored)
    assert alone.acks == 1
    assert slow.ticked(BUDGET_S) is None
    assert isinstance(slow.ticked(SLOW_S), Stored)


def test_available_does_not_wait_for_members_known_to_be_away() -> None:
    outcome = Room("m1").writes.on_ack("m1", WRITTEN, 0.01)
    assert isinstance(outcome, Stored)
    assert outcome.acks == 1


def test_a_level_is_waited_for_until_the_deadline_and_then_unknown() -> None:
    room = Room(level="all")
    room.writes.on_ack("m1", WRITTEN, 0.01)
    assert room.ticked(ANSWER_S - 0.1) is None
    outcome = room.ticked(ANSWER_S)
    assert isinstance(outcome, Unavailable)
    assert not outcome.definite
    assert outcome.acks == 1
    assert "level all" in outcome.reason


def test_a_silent_home_is_asked_once() -> None:
    room = Room("m1")
    room.detector.hear("m1", 1.0)
    assert room.ticked(1.0) is None
    assert len(room.asked) == 1
    outcome = room.ticked(ANSWER_S)
    assert isinstance(outcome, Unavailable)
    assert not outcome.definite
    assert len(room.writes) == 0


def test_a_lost_home_leaves_the_outcome_unknown_at_once() -> None:
    room = Room("m1")
    room.detector.link_down("m1")
    outcome = room.ticked(0.05)
    assert isinstance(outcome, Unavailable)
    assert not outcome.definite


def test_a_home_that_comes_in_time_is_asked() -> None:
    room = Room("elsewhere")
    assert room.asked == []
    assert room.ticked(UNREACHABLE_S / 2) is None
    room.detector.link_up("m2", 0.3)
    assert room.ticked(0.35) is None
    assert room.asked == [("m2", asked_as(room.put))]


def test_no_home_means_certainly_not_written() -> None:
    outcome = Room("elsewhere").ticked(UNREACHABLE_S)
    assert isinstance(outcome, Unavailable)
    assert outcome.definite


def test_declined_is_passed_on_once_and_late_words_change_nothing() -> None:
    room = Room()
    absent = Absent((), Token(), Past(), "m1")
    assert room.writes.on_declined("m1", Declined(7, absent)) is absent
    assert room.writes.on_declined("m1", Declined(7, absent)) is None
    assert room.writes.on_ack("m1", WRITTEN, 0.1) is None
    assert room.ticked(9.0) is None


# ---- other views


def refusal(room: Room) -> NotOwner:
    """Return the number of the attempt under way, for its refusal."""
    return NotOwner(7, room.asked[-1][1].attempt)


def test_a_member_that_would_not_be_the_home_is_asked_last() -> None:
    room = Room()
    assert room.writes.without_home("m2", refusal(room)) is None  # it is not its home
    for member in MEMBERS:
        write = room.writes.without_home(member, refusal(room))
        assert write is not None
        room.asked += room.writes.ask_another(7, write, write.members, 0.01)
    assert [home for home, _ in room.asked] == ["m1", "m2", "m3"]
    assert room.ticked(0.05) is None
    assert [home for home, _ in room.asked] == ["m1", "m2", "m3", "m1"]


def test_a_member_that_refuses_alone_is_left_alone_until_the_next_tick() -> None:
    """If the origin asked it again at once, it would refuse again at once, for ever."""
    room = Room("m1")
    write = room.writes.without_home("m1", refusal(room))
    assert write is not None
    assert room.writes.ask_another(7, write, write.members, 0.01) == []
    assert room.ticked(0.05) is None
    assert [home for home, _ in room.asked] == ["m1", "m1"]


def test_a_refusal_is_of_one_attempt() -> None:
    """A late refusal must not take away the home that was asked since."""
    room = Room("m1")
    first = refusal(room)
    write = room.writes.without_home("m1", first)
    assert write is not None
    assert room.ticked(0.05) is None
    assert [accept.attempt for _, accept in room.asked] == [1, 2]
    assert room.writes.without_home("m1", first) is None
    assert write.home == "m1"


def test_a_write_that_has_its_name_needs_no_other_home() -> None:
    room = Room(level="all")
    room.writes.on_ack("m1", WRITTEN, 0.01)
    assert room.writes.without_home("m1", refusal(room)) is None
    assert room.writes.give_up("m1", CannotDecide(7)) is None


def test_a_write_that_is_given_up_waits_no_more() -> None:
    room = Room()
    given_up = room.writes.give_up("m1", CannotDecide(7))
    assert given_up is not None
    assert given_up.put is room.put
    assert len(room.writes) == 0
    assert room.writes.give_up("m1", CannotDecide(7)) is None


def test_a_write_that_was_looked_at_first_says_so_and_goes_on_counting() -> None:
    room = Room()
    first = room.asked[-1][1]
    given_up = room.writes.give_up("m1", CannotDecide(7))
    assert given_up is not None
    [(_, again)] = room.writes.begin(7, room.put, MEMBERS, 0.02, True, given_up.attempt)
    assert (first.looked, again.looked) == (False, True)
    assert again.attempt > first.attempt
    room.writes.on_ack("m1", WRITTEN, 0.03)
    stored = room.writes.on_ack("m2", ACK, 0.03)
    assert isinstance(stored, Stored)
    assert stored.replaced  # the home could not know it, the read has shown it


def test_in_another_view_its_owners_are_counted_from_zero_and_the_home_still_counts() -> None:
    room = Room(level="all")
    room.writes.on_ack("m1", WRITTEN, 0.01)
    room.writes.on_ack("m2", ACK, 0.01)
    assert room.writes.on_view(lambda key, request: ("m1", "m2", "m4")) == []
    assert room.writes.on_ack("m4", ACK, 0.02) is None
    assert isinstance(room.writes.on_ack("m2", ACK, 0.03), Stored)


def test_a_home_that_is_no_owner_any_more_counts_when_no_other_node_does() -> None:
    room = Room(level="one")
    room.writes.on_view(lambda key, request: ("m4", "m5"))
    outcome = room.writes.on_ack("m1", WRITTEN, 0.01)
    assert isinstance(outcome, Stored)
    assert (outcome.acks, outcome.copies) == (1, 2)


def test_a_level_that_the_other_view_cannot_reach_is_unknown_at_once() -> None:
    room = Room(level="3")
    room.writes.on_ack("m1", WRITTEN, 0.01)
    [(request, outcome)] = room.writes.on_view(lambda key, request: ("m1", "m2"))
    assert isinstance(outcome, Unavailable)
    assert (request, outcome.definite, len(room.writes)) == (7, False, 0)
    assert "the view has changed" in outcome.reason


def test_in_another_view_a_node_that_refused_before_may_be_the_home() -> None:
    room = Room()
    write = room.writes.without_home("m1", refusal(room))
    assert write is not None
    room.writes.on_view(lambda key, request: ("m1", "m2"))
    assert room.writes.ask_another(7, write, write.members, 0.01) == [("m1", asked_as(room.put, 2))]


# ---- members that can be reached and may not name it yet


@pytest.mark.parametrize("wait_s", [0.0, 2.0, 4.5])
def test_waits_for_a_member_that_may_not_name_it_yet_as_long_as_its_client_may(
    wait_s: float,
) -> None:
    room = Room("m1")
    room.writes.on_declined("m1", Declined(7, Absent((), Token(), Past(), "")))
    patient = msgspec.structs.replace(room.put, wait_s=wait_s)
    asks = room.writes.begin(8, patient, MEMBERS, 0.0)
    now, asked, outcome = 0.0, 0, None
    while outcome is None:
        asked += len(asks)
        for home, accept in asks:
            assert room.writes.without_home(home, NotOwner(8, accept.attempt)) is not None
        now += 0.05
        room.detector.hear("m1", now)
        asks, replies = room.writes.tick(now)
        outcome = dict(replies).get(8)
    assert isinstance(outcome, Unavailable)
    assert outcome.definite
    assert "may name writes yet" in outcome.reason
    assert now == pytest.approx(max(wait_s, UNREACHABLE_S), abs=0.06)
    assert asked > (max(wait_s, UNREACHABLE_S) - LAST_ASK_S) / 0.05 - 2


def test_is_written_when_the_member_may() -> None:
    room = Room("m1")
    assert room.writes.without_home("m1", NotOwner(7, 1)) is not None
    room.detector.hear("m1", 1.5)
    assert room.ticked(1.5) is None
    assert room.asked[-1] == ("m1", asked_as(room.put, 2))
    assert isinstance(room.writes.on_ack("m1", WRITTEN, 1.51), Stored)


def test_a_home_that_was_asked_late_and_falls_silent_is_unknown_in_time() -> None:
    room = Room("m1")
    room.writes.without_home("m1", NotOwner(7, 1))
    for tenth in range(1, 20):
        room.detector.hear("m1", tenth / 10)
    assert room.ticked(1.5) is None
    room.detector.hear("m1", 1.95)
    assert room.ticked(1.95) is None
    outcome = room.ticked(2.0)
    assert isinstance(outcome, Unavailable)
    assert not outcome.definite
