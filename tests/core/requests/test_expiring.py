"""A version whose time is over is not shown, and one owner deletes it: just that one."""

from itertools import count

from node.core.model.conditions import Mode
from node.core.model.item import Item, Version
from node.core.model.keys import row_of
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Absent, Found, Get, Outcome, Put, Stored, Unavailable
from node.core.requests.expiring import TURN_S
from node.core.storage.expiry import TABLE
from node.core.storage.keyspace import ENCODER
from tests.core.one import FIG, NOW, PEAR, One, alone

SOON_MS = int(NOW * 1000) + 5000
SOON = SOON_MS / 1000
numbers = count(1)


def put(one: One, value: bytes, expires: int = 0, mode: Mode = Mode.SIBLINGS) -> Effects:
    effects = one.submit(Put(PEAR, value, mode, expires=expires), request=next(numbers))
    for _, message in effects.tells:
        if isinstance(message, m.Written):
            return one.step(one.replica.address, message)
    return effects


def read(one: One, now: float, mode: Mode = Mode.SIBLINGS) -> Outcome:
    effects = one.submit(Get(PEAR, mode), now=now)
    [(_, outcome)] = effects.replies
    return outcome


def replicates(effects: Effects) -> list[m.Replicate]:
    return [message for _, message in effects.tells if isinstance(message, m.Replicate)]


def test_until_its_instant_it_is_shown_and_then_no_more() -> None:
    one = alone()
    put(one, b"1", SOON_MS)
    before, after = read(one, SOON - 0.001), read(one, SOON)
    assert isinstance(before, Found)
    assert before.values == (b"1",)
    assert isinstance(after, Absent)
    assert after.token == before.token  # that it is gone is known by the same writes


def test_a_raw_read_tells_when_it_expires() -> None:
    one = alone()
    put(one, b"1", SOON_MS)
    [(_, found)] = one.submit(Get(PEAR, Mode.SIBLINGS, raw=True)).replies
    assert isinstance(found, Found)
    assert found.expires == (SOON_MS,)


def test_a_write_over_what_has_expired_replaces_nothing() -> None:
    one = alone()
    put(one, b"1", SOON_MS, Mode.LWW)
    effects = one.submit(Put(PEAR, b"2"), request=next(numbers), now=SOON)
    [written] = [message for _, message in effects.tells if isinstance(message, m.Written)]
    [(_, stored)] = one.step("a1", written, SOON).relays
    assert isinstance(stored, Stored)
    assert not stored.replaced


def test_a_value_that_has_expired_on_its_way_replaces_nothing() -> None:
    one = alone()
    put(one, b"1", mode=Mode.LWW)
    effects = one.submit(Put(PEAR, b"2", expires=SOON_MS), request=next(numbers), now=SOON)
    [declined] = [message for _, message in effects.tells if isinstance(message, m.Declined)]
    assert isinstance(declined.outcome, Unavailable)
    assert declined.outcome.definite
    found = read(one, SOON)
    assert isinstance(found, Found)
    assert found.values == (b"1",)


def test_the_first_owner_deletes_just_what_has_expired() -> None:
    one = One()
    one.arrive()
    put(one, b"1", SOON_MS)
    put(one, b"2")
    assert not replicates(one.step("a1", events.Tick(), SOON - 0.001))
    [replicate] = replicates(one.step("a1", events.Tick(), SOON))
    values = {version.value for version in replicate.item.versions.values()}
    assert values == {b"2", None}
    found = read(one, SOON + 1)
    assert isinstance(found, Found)
    assert found.values == (b"2",)
    assert not one.rows.tables[TABLE]
    assert not replicates(one.step("a1", events.Tick(), SOON + 1))


def test_another_owner_does_it_later_if_it_is_still_there() -> None:
    two = One("a2")
    two.arrive()
    put(two, b"1", SOON_MS)
    assert not replicates(two.step("a2", events.Tick(), SOON + TURN_S - 0.001))
    assert len(replicates(two.step("a2", events.Tick(), SOON + TURN_S))) == 1


def test_a_version_that_was_replaced_is_not_deleted() -> None:
    one = One()
    one.arrive()
    put(one, b"1", SOON_MS, Mode.LWW)
    put(one, b"2", mode=Mode.LWW)
    assert not replicates(one.step("a1", events.Tick(), SOON))
    assert not one.rows.tables[TABLE]


def test_a_restart_knows_what_is_to_be_deleted() -> None:
    one = One()
    one.arrive()
    put(one, b"1", SOON_MS)
    again = One(rows=one.rows)
    again.replica.views.is_vouched_for = True
    assert again.replica.keyspace.expiry.next_ms == SOON_MS
    assert len(replicates(again.step("a1", events.Tick(), SOON))) == 1


def test_a_row_that_is_taken_as_it_lies_is_known_to_expire() -> None:
    one = alone()
    item = Item({("x", 1): Version(b"v", expires=SOON_MS), ("x", 2): Version(b"w")})
    one.replica.keyspace.adopt_row(row_of(FIG), ENCODER.encode(item))
    assert one.replica.keyspace.expiry.next_ms == SOON_MS


def test_an_item_shows_all_but_what_has_expired() -> None:
    item = Item({("x", 1): Version(b"v", expires=5), ("x", 2): Version(b"w")})
    assert item.at(4) is item
    assert list(item.at(5).versions) == [("x", 2)]
