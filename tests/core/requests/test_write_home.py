"""A write and its home while views change: sent on, and looked up first."""

import pytest
from msgspec.structs import replace

from node.core.model.conditions import Mode, RefuseWhen, Scope
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.model.view import FIRST, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.operations import Absent, Found, Get, Put, Stored, Unavailable, Unmet
from node.core.requests.look_first import LOOK_S
from tests.core.moves import MOVED, SECOND, moved, settled, view_at, views
from tests.core.one import AHEAD, FIG, NOW, PEAR, One

WHOLE = [FIRST, SECOND]
HELD = Item({("x", 4): Version(b"v")}, Past({"x": 4}))


# ---- elsewhere


def elsewhere(accept: m.Message) -> m.NotOwner:
    """Return the answer of a home that does not own the key."""
    assert isinstance(accept, m.Accept)
    return m.NotOwner(accept.request, accept.attempt)


def test_a_write_sent_elsewhere_finds_the_next_member() -> None:
    one = One()
    [(first, accept)] = one.submit(Put(FIG, b"v")).asks
    [(second, again)] = one.step(first, elsewhere(accept)).asks
    assert {first, second} == {"b1", "b2"}
    assert isinstance(again, m.Accept)
    assert (again.request, again.put.key) == (7, FIG)
    assert not one.step(second, elsewhere(again)).asks  # no home is left: it waits
    assert next(peer for peer, _ in one.step("a1", events.Tick(), NOW + 0.1).asks) in ("b1", "b2")


def test_what_is_sent_elsewhere_late_or_by_an_unlisted_peer_changes_nothing() -> None:
    one = One()
    [(first, accept)] = one.submit(Put(FIG, b"v")).asks
    assert not one.step("b9", elsewhere(accept)).asks
    assert one.step(first, elsewhere(accept)).asks
    assert not one.step(first, elsewhere(accept)).asks


def test_when_no_member_will_be_its_home_it_is_certainly_not_written() -> None:
    one = One()
    [(home, accept)] = one.submit(Put(FIG, b"v")).asks
    asks = one.step(home, elsewhere(accept)).asks
    assert not one.step(asks[0][0], elsewhere(asks[0][1])).asks
    [(_, outcome)] = one.step("a1", events.Tick(), NOW + 2).replies
    assert isinstance(outcome, Unavailable)
    assert outcome.definite


def test_writes_under_way_go_on_in_the_other_view() -> None:
    one = One("b1")
    [(home, _)] = one.submit(Put(PEAR, b"v", level="all"), 4).asks
    one.step(home, m.Written(4, ("x", 1), Token(), Past(), False))
    one.step("a1", views(MOVED))
    assert not one.step("a2", m.Ack(4, ("x", 1))).relays
    [(_, stored)] = one.step("b2", m.Ack(4, ("x", 1))).relays
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.copies) == (3, 3)


def test_a_level_that_the_other_view_cannot_reach_is_said() -> None:
    one = One()
    one.submit(Put(FIG, b"v", level="2"))
    [(_, outcome)] = one.step("a2", views(MOVED)).replies  # only b1 is left
    assert isinstance(outcome, Unavailable)
    assert not outcome.definite


def test_a_refusal_is_final_for_its_attempt_and_no_other() -> None:
    """A later home of the key must not write what its origin gave to another."""
    one = moved("a1", view_at(SECOND, "a1", "s2"))
    accept = m.Accept(1, Put(PEAR, b"v"))
    assert one.step("b1", accept).tells == [("b1", m.NotOwner(1, 1))]
    one.step("a2", views(view_at(ViewId(3, "p"), "a1", "s1")))
    assert one.step("b1", accept).tells == [("b1", m.NotOwner(1, 1))]
    assert isinstance(one.step("b1", replace(accept, attempt=2)).tells[-1][1], m.Written)
    assert isinstance(one.step("b1", accept).tells[-1][1], m.Written)  # the request has its name


# ---- looked at first


def test_a_write_that_may_be_refused_is_looked_at_where_its_past_has_not_come() -> None:
    one = moved("b2")
    put = Put(PEAR, None, refuse_when=RefuseWhen(absent=True))
    asks = one.submit(put).asks
    assert asks == []  # it is its own home
    looked = one.step("b2", m.CannotDecide(7))
    assert {peer for peer, message in looked.asks if isinstance(message, m.Fetch)} == {"a1", "a2"}
    found = one.step("a1", m.State(7, HELD, DotClock({"x": 4}), WHOLE))
    [named] = [message for _, message in found.tells if isinstance(message, m.Written)]
    assert named.request == 7
    item = one.replica.peek(PEAR)
    assert list(item.versions) == [named.dot]
    assert item.past.has(("x", 4))  # it knows what it has been shown


def test_what_the_read_does_not_find_is_certainly_absent() -> None:
    one = moved("b2")
    one.submit(Put(PEAR, None, refuse_when=RefuseWhen(absent=True)))
    one.step("b2", m.CannotDecide(7))
    effects = one.step("a1", m.State(7, Item(), DotClock(), WHOLE))
    [(_, outcome)] = effects.replies
    assert isinstance(outcome, Absent)
    assert effects.records == []


def test_no_origin_looks_twice_nor_for_a_write_that_is_not_there() -> None:
    one = moved("b2")
    one.submit(Put(PEAR, None, refuse_when=RefuseWhen(absent=True)))
    one.step("b2", m.CannotDecide(7))
    assert not one.step("b2", m.CannotDecide(7)).asks
    assert not one.step("b2", m.CannotDecide(8)).asks


def test_a_write_that_a_read_has_allowed_feeds_the_other_reads_of_its_key() -> None:
    one = moved("b2")
    one.submit(Put(PEAR, b"w", token=AHEAD, refuse_when=RefuseWhen(Scope.KEY)))
    one.step("b2", m.CannotDecide(7))
    one.submit(Get(PEAR, token=AHEAD, wait_s=1.0), 8)
    for request in (7, 8):
        assert not one.step("a1", m.State(request, Item(), DotClock(), WHOLE)).replies
    effects = one.step("a1", m.Replicate(1, "a1", PEAR, HELD, ("x", 4)))
    [(request, found)] = effects.replies
    assert isinstance(found, Found)
    assert (request, found.values) == (8, (b"w",))
    assert [message for _, message in effects.tells if isinstance(message, m.Written)]


def test_a_write_to_a_slot_that_has_moved_here_looks_whether_the_key_has_a_value() -> None:
    """Its answer says so, and the write replaces the value."""
    one = moved("b2")
    one.submit(Put(PEAR, b"w"))
    looked = one.step("b2", m.CannotDecide(7))
    assert {peer for peer, message in looked.asks if isinstance(message, m.Fetch)} == {"a1", "a2"}
    found = one.step("a1", m.State(7, HELD, DotClock({"x": 4}), WHOLE))
    [named] = [message for _, message in found.tells if isinstance(message, m.Written)]
    one.step("b2", named)
    [(_, stored)] = one.step("a1", m.Ack(7, named.dot)).relays
    assert isinstance(stored, Stored)
    assert stored.replaced
    assert list(one.replica.peek(PEAR).versions) == [named.dot]


ELSEWHERE = Token({}, {("z", 9): key_hash_of(FIG, True)})  # of a key of the other shard


@pytest.mark.parametrize(
    "put",
    [
        Put(PEAR, b"w"),
        Put(PEAR, b"w", refuse_when=RefuseWhen(Scope.SHARD)),
        Put(PEAR, b"w", token=ELSEWHERE, refuse_when=RefuseWhen(Scope.SHARD)),
    ],
    ids=["no condition", "nothing seen", "of another shard"],
)
def test_without_a_condition_it_does_not_look_for_long(put: Put) -> None:
    """A token that asks for nothing here is no condition, since whatever arrives covers it."""
    one = moved("b2")
    assert not one.submit(put).records
    one.step("b2", m.CannotDecide(7))
    assert not one.step("b2", events.Tick(), NOW + LOOK_S / 2).records
    effects = one.step("b2", events.Tick(), NOW + LOOK_S)
    assert [message for _, message in effects.tells if isinstance(message, m.Written)]
    assert one.replica.waiting() == {"writes": 1, "reads": 0}


def test_two_writes_of_a_key_that_have_looked_for_long_are_both_done() -> None:
    """The read of the second write waits for what the first one writes."""
    one = moved("b2")
    for request in (7, 8):
        one.submit(Put(PEAR, b"w", token=AHEAD), request)
        one.step("b2", m.CannotDecide(request))
        assert not one.step("a1", m.State(request, Item(), DotClock(), WHOLE)).tells
    effects = one.step("b2", events.Tick(), NOW + LOOK_S)
    named = [message.request for _, message in effects.tells if isinstance(message, m.Written)]
    assert sorted(named) == [7, 8]


def test_a_read_that_is_refused_refuses_only_writes_with_a_condition() -> None:
    for refuse in (None, Scope.KEY):
        one = moved("b2")
        one.submit(Put(PEAR, b"w", token=AHEAD, refuse_when=RefuseWhen(refuse)))
        one.step("b2", m.CannotDecide(7))
        answers = [
            one.step(peer, m.State(7, Item(), DotClock(), WHOLE)) for peer in ("a1", "a2", "b1")
        ]
        replies = [reply for effects in answers for reply in effects.replies]
        named = [m_ for e in answers for _, m_ in e.tells if isinstance(m_, m.Written)]
        assert [type(outcome) for _, outcome in replies] == ([Unmet] if refuse else [])
        assert len(named) == (0 if refuse else 1)


def test_where_there_is_a_value_or_the_past_has_come_no_origin_looks() -> None:
    one = moved("b2")
    one.step("a1", m.Replicate(1, "a1", PEAR, HELD, ("x", 4)))
    assert isinstance(one.step("b1", m.Accept(2, Put(PEAR, b"w"))).tells[-1][1], m.Written)
    whole = moved("a1")
    assert isinstance(whole.step("b1", m.Accept(2, Put(PEAR, b"w"))).tells[-1][1], m.Written)
    looked = moved("b2").step("b1", m.Accept(2, Put(PEAR, b"w"), looked=True))
    assert isinstance(looked.tells[-1][1], m.Written)


def test_in_an_unsettled_view_no_home_says_no_by_itself() -> None:
    one = moved("a1")
    assert one.replica.maintenance.arrived
    ahead = Token({}, {("x", 4): key_hash_of(PEAR, True)})
    for put in (Put(PEAR, None, refuse_when=RefuseWhen(absent=True)), Put(PEAR, b"v", token=ahead)):
        answer = one.step("b1", m.Accept(one.replica.next_request(NOW), put)).tells[-1][1]
        assert isinstance(answer, m.CannotDecide if put.refuse_when.absent else m.Written)


def test_a_token_of_a_newer_view_is_not_judged_by_a_home() -> None:
    """A client that has met a view may depend on what only that view's owners have.

    Its token need not name that any more (D10 R6): the origin looks first, and says what is not
    known.
    """
    one, ahead = One(), Token(view=ViewId(3, "p"))
    bound = (
        Put(PEAR, None, token=ahead, refuse_when=RefuseWhen(absent=True)),
        Put(PEAR, b"w", token=ahead, refuse_when=RefuseWhen(Scope.KEY)),
        Put(PEAR, b"w", token=ahead, refuse_when=RefuseWhen(Scope.SHARD)),
    )
    for put in bound:
        assert one.step("b1", m.Accept(one.replica.next_request(NOW), put)).tells == [
            ("b1", m.CannotDecide(one.replica.next_request(NOW) - 1))
        ]
    free = m.Accept(one.replica.next_request(NOW), Put(PEAR, b"w", token=ahead))
    assert isinstance(one.step("b1", free).tells[-1][1], m.Written)


def test_a_home_does_not_say_absent_by_a_mark_whose_own_past_is_not_here() -> None:
    """The delete depends on a sibling that it has not replaced: another node may have a value."""
    one = One()
    one.arrive()
    mark = Version(None, deps=Token({}, {("x", 4): key_hash_of(PEAR, False)}))
    item = Item({("y", 2): mark}, Past({"y": 2}))
    one.step("a2", m.Replicate(1, "b2", PEAR, item, ("y", 2)))
    for refuse in (None, *Scope):
        put = Put(PEAR, None, Mode.SIBLINGS, refuse_when=RefuseWhen(refuse, absent=True))
        answer = one.step("b1", m.Accept(one.replica.next_request(NOW), put)).tells[-1][1]
        assert isinstance(answer, m.Written)
        assert not answer.replaced
    came = Item({("x", 4): Version(b"v")}, Past({"x": 4}))
    one.step("a2", m.Replicate(2, "b2", PEAR, came, ("x", 4)))
    shown = one.submit(Get(PEAR, Mode.SIBLINGS)).replies[0][1]
    assert isinstance(shown, Found)
    assert shown.values == (b"v",)


@pytest.mark.parametrize(("claimed", "left"), [(SECOND, []), (ViewId(9, "p"), []), (FIRST, ["v"])])
def test_a_context_says_nothing_of_views_that_are_not_retired_here(
    claimed: ViewId, left: list[str]
) -> None:
    """The version is of the first view, which is retired; the context does not name it."""
    one = moved("a1")
    one.replica.keyspace.take(PEAR, Item({("x.1", 4): Version(b"v")}, Past({"x.1": 4})), (), NOW)
    settled(one)
    context = Past({}, {("y.1", 1)}, claimed)
    one.step("b1", m.Accept(1, Put(PEAR, b"w", Mode.SIBLINGS, context=context)))
    item = one.replica.peek(PEAR)
    assert sorted((v.value or b"").decode() for v in item.versions.values()) == [*left, "w"]
    assert item.past.oldest_view == SECOND
