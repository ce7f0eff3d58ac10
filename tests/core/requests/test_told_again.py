"""A named write is told again while it waits, since its message or an ack may have been lost."""

from node.core.protocol.messages import ReplicateAgain
from node.core.requests.one_write import AGAIN_S
from tests.core.writing import ACK, DOT, MEMBERS, WRITTEN, Room


def test_is_told_again_to_those_that_have_not_acknowledged_it_after_ever_longer_waits() -> None:
    room = Room(level="all")
    room.writes.on_ack("m1", WRITTEN, 0.0)
    room.writes.on_ack("m2", ACK, 0.1)
    times = []
    for tick in range(60):
        for peer in MEMBERS:
            room.detector.hear(peer, tick / 20)
        for holder, again in room.writes.tell_again(tick / 20):
            assert (holder, again) == ("m1", ReplicateAgain(7, "pear", DOT, ("m3",)))
            times.append(tick / 20)
    assert times == [AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S, 8 * AGAIN_S]


def test_is_told_again_by_another_member_that_has_it_if_the_home_is_gone() -> None:
    room = Room(level="all")
    room.writes.on_ack("m1", WRITTEN, 0.0)
    room.writes.on_ack("m2", ACK, 0.0)
    room.detector.link_down("m1")
    [(holder, again)] = room.writes.tell_again(AGAIN_S)
    assert (holder, again.owners) == ("m2", ("m3",))


def test_is_not_told_again_without_a_name_nor_to_members_that_cannot_be_reached() -> None:
    room = Room("m1", "m2", level="all")
    room.writes.on_ack("m2", ACK, 0.0)
    assert room.writes.tell_again(1.0) == []
    room.writes.on_ack("m1", WRITTEN, 0.0)
    assert room.writes.tell_again(1.0) == []


def test_is_told_again_at_once_in_another_view() -> None:
    room = Room(level="all")
    room.writes.on_ack("m1", WRITTEN, 0.0)
    room.writes.on_ack("m2", ACK, 0.0)
    assert room.writes.on_view(lambda key, request: ("m2", "m4")) == []
    room.detector.link_up("m4", 0.0)
    assert room.writes.tell_again(0.01) == [("m1", ReplicateAgain(7, "pear", DOT, ("m2", "m4")))]
