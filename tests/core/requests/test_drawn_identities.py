"""A write that leaves its origin has an identity: two homes may name it, and it stays one write.

(docs/decisions/0049.)
"""

from msgspec.structs import replace

from node.core.model.conditions import Mode
from node.core.model.drawn_identity import Settled, identity_of, run_and_number
from node.core.model.item import Item, Past
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.model.write_name import WriteName
from node.core.protocol.messages import Accept, Ack, Replicate, Written
from node.core.protocol.operations import Put, Stored
from node.core.requests.drawing import BESIDES_MAX, OPEN_S, Drawing
from node.core.requests.one_write import HAND_OVER_S, SLOW_S
from node.core.storage.remembered_names import NAMES_MAX
from tests.core.one import NOW, PEAR, One
from tests.core.writing import ACK, DOT, MEMBERS, WRITTEN, Room, asked_as

LATE = HAND_OVER_S + 0.01
RUN = "runofb1"
PUT = Put(PEAR, b"v", identity=identity_of(RUN, 1))
TWIN = ("twin.1", 1)


# ---- the origin


def test_a_silent_home_is_replaced_by_each_member_in_turn() -> None:
    room = Room()
    for tick in range(1, 6):
        assert room.ticked(tick * LATE) is None
    assert [home for home, _ in room.asked] == list(MEMBERS)
    (_, first), (_, second), _ = room.asked
    assert first == asked_as(room.put)
    assert second == asked_as(room.put, attempt=2, again=True)


def test_a_home_that_gives_signs_of_life_is_waited_for_longer() -> None:
    room = Room()
    room.detector.hear("m1", 0.05)
    assert room.ticked(LATE) is None
    assert len(room.asked) == 1
    for tenth in range(2, 10):
        room.detector.hear("m1", tenth / 10)
    room.ticked(SLOW_S - 0.05)
    assert len(room.asked) == 1
    room.ticked(SLOW_S + 0.01)
    assert len(room.asked) == 2


def test_a_home_that_cannot_be_reached_is_replaced_at_once() -> None:
    room = Room()
    room.detector.link_down("m1")
    room.ticked(0.01)
    assert [home for home, _ in room.asked] == ["m1", "m2"]


def test_the_origin_is_its_own_home_without_an_identity() -> None:
    room = Room()
    members = ("m0", "m1")
    assert room.writes.begin(8, room.put, members, 0.0) == [("m0", Accept(8, room.put))]
    assert room.ticked(LATE) is None


def test_what_one_home_has_named_is_settled() -> None:
    room = Room()
    room.writes.on_ack("m1", WRITTEN, 0.01)
    ((_, second),) = room.writes.begin(8, room.put, MEMBERS, 0.02)
    assert second.settled == Settled("m0run", 2)
    ((_, third),) = room.writes.begin(9, room.put, MEMBERS, 0.03)
    assert third.settled == Settled("m0run", 2)


def test_what_two_homes_were_asked_for_is_open() -> None:
    room = Room()
    room.ticked(LATE)
    room.writes.on_ack("m2", WRITTEN, 0.2)
    assert isinstance(room.writes.on_ack("m1", ACK, 0.2), Stored)
    ((_, second),) = room.writes.begin(8, room.put, MEMBERS, 0.3)
    assert second.settled == Settled("m0run", 2, (1,))
    room.ticked(LATE + OPEN_S + 1.0)
    room.detector.hear("m1", OPEN_S + 2.0)
    ((_, third),) = room.writes.begin(9, room.put, MEMBERS, OPEN_S + 2.0)
    assert third.settled == Settled("m0run", 3)


def test_many_open_writes_are_said_as_one_bound() -> None:
    drawing = Drawing(RUN)
    numbers = [drawing.next() for _ in range(BESIDES_MAX + 1)]
    for number in numbers[:-1]:
        drawing.open(number, 0.0)
    assert len(drawing.settled(100).besides) == BESIDES_MAX
    drawing.open(numbers[-1], 0.0)
    assert drawing.settled(100) == Settled(RUN, 1)


def test_the_client_is_told_the_name_only_where_a_second_may_come() -> None:
    for is_silent in (False, True):
        room = Room()
        if is_silent:
            room.ticked(LATE)
        written = replace(WRITTEN, context=Past({"a": 1}, namings=_named(identity_of("m0run", 1))))
        now = LATE + 0.01 if is_silent else 0.01
        room.writes.on_ack("m1", written, now)
        stored = room.writes.on_ack("m2", Ack(7, DOT), now)
        assert isinstance(stored, Stored)
        assert bool(stored.context.namings) is is_silent


def _named(identity: str) -> dict[str, WriteName]:
    return {identity: WriteName(DOT, (1, 0, "a"))}


# ---- the homes


def answered(one: One, accept: Accept) -> Written:
    """Return what a home tells the origin b1."""
    (said,) = [said for peer, said in one.step("b1", accept).tells if peer == "b1"]
    assert isinstance(said, Written)
    return said


def twin(put: Put) -> Replicate:
    """Return what another home tells of this write."""
    other = One()
    named = answered(other, Accept(1, put))
    item = other.replica.keyspace.filled(PEAR)
    version = replace(item.versions[named.dot], timestamp=(int(NOW * 1000) - 5, 0, TWIN[0]))
    return Replicate(1, "b1", PEAR, Item({TWIN: version}, Past({TWIN[0]: 1})), TWIN)


def held(one: One) -> list[bytes | None]:
    return [version.value for version in one.replica.peek(PEAR).versions.values()]


def test_a_home_that_was_asked_first_and_hears_late_finds_the_second_name() -> None:
    one = One()
    one.step("a2", twin(PUT))
    assert answered(one, Accept(1, PUT)).dot == TWIN
    assert held(one) == [b"v"]


def test_the_twin_of_a_replaced_write_does_not_come_back() -> None:
    one = One()
    answered(one, Accept(1, PUT))
    answered(one, Accept(2, Put(PEAR, b"w")))
    one.step("a2", twin(PUT))
    assert held(one) == [b"w"]
    again = One(rows=one.rows)
    assert answered(again, Accept(3, PUT, again=True)).dot == TWIN
    assert held(again) == [b"w"]


def test_a_settled_write_leaves_no_name() -> None:
    for settled, names in ((None, {PUT.identity}), (Settled(RUN, 2), set[str]())):
        one = One()
        answered(one, Accept(1, PUT))
        assert one.replica.keyspace.item(PEAR).past.namings == {}
        answered(one, Accept(2, Put(PEAR, b"w"), settled=settled))
        assert one.replica.keyspace.item(PEAR).past.namings.keys() == names


def test_an_older_message_takes_nothing_back() -> None:
    one = One()
    answered(one, Accept(1, PUT, settled=Settled(RUN, 5)))
    answered(one, Accept(2, Put(PEAR, b"w"), settled=Settled(RUN, 1)))
    assert one.replica.keyspace.item(PEAR).past.namings == {}


def test_a_key_has_so_many_names_of_open_writes() -> None:
    one = One()
    for number in range(1, NAMES_MAX + 10):
        answered(one, Accept(number, replace(PUT, identity=identity_of(RUN, number))))
    names = one.replica.keyspace.item(PEAR).past.namings
    assert len(names) == NAMES_MAX
    assert min(run_and_number(name)[1] for name in names) == 9


def test_a_second_home_replaces_what_the_client_had_seen_and_nothing_else() -> None:
    one = One()
    seen = answered(one, Accept(1, Put(PEAR, b"seen")))
    answered(one, Accept(2, Put(PEAR, b"unseen", token=Token())))
    blind = one.replica.keyspace.filled(PEAR)
    assert [version.value for version in blind.versions.values()] == [b"unseen"]
    token = Token({}, {seen.dot: key_hash_of(PEAR, True)}, name=one.replica.keyspace.name)
    answered(one, Accept(3, replace(PUT, token=token), again=True))
    assert held(one) == [b"unseen", b"v"]
    last = answered(one, Accept(4, replace(PUT, value=b"x", identity=identity_of(RUN, 2))))
    assert held(one) == [b"x"]
    assert last.replaced


def test_a_context_names_open_writes() -> None:
    put = replace(PUT, mode=Mode.SIBLINGS)
    one = One()
    one.step("a2", twin(put))
    home = One()
    answered(home, Accept(1, put))
    keyspace = one.replica.keyspace
    seen = keyspace.names.seen(keyspace.filled(PEAR), NOW * 1000)
    assert seen.namings.keys() == {PUT.identity}
    after = replace(put, value=b"w", context=seen, identity=identity_of(RUN, 2))
    answered(home, Accept(2, after))
    assert held(home) == [b"w"]
