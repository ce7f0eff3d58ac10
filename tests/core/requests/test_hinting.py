"""Hints count for a level, beside the owners; the origin chooses who keeps them, the home tells
them."""

import pytest

from node.core.model.keys import slot_of_key
from node.core.model.placement import first_view
from node.core.protocol import messages as m
from node.core.protocol.hints import Hint, Hinted
from node.core.protocol.operations import ANSWER_S, Put, Stored, Unavailable
from node.core.requests.one_write import AGAIN_S, BUDGET_S
from tests.core.moves import MOVED, views
from tests.core.one import NOW, PEAR, One
from tests.core.writing import ACK, DOT, MEMBERS, WRITTEN, Room

HOLDERS = tuple(f"holder of {member}" for member in MEMBERS)
FOR_M3 = (("m3", "holder of m3"),)


def hinted(member: str, dot: tuple[str, int] = DOT) -> Hinted:
    return Hinted(7, dot, member)


def room(*up: str, level: str) -> Room:
    """Return a write that takes hints; all holders are up."""
    return Room(*up, *HOLDERS, level=level, hinted=True)


# ------------------------------------------------------------------ at the origin


def test_a_home_is_asked_to_leave_hints_for_the_members_that_cannot_be_reached() -> None:
    [(_, accept)] = room("m1", "m2", level="all").asked
    assert accept.hints == FOR_M3
    assert [accept.hints for _, accept in room(*MEMBERS, level="all").asked] == [()]


def test_a_write_that_takes_none_leaves_none() -> None:
    [(_, accept)] = Room("m1", "m2", *HOLDERS, level="all").asked
    assert accept.hints == ()


@pytest.mark.parametrize(("level", "hints"), [("all", 1), ("3", 1), ("quorum", 0), ("2", 0)])
def test_owners_and_hints_make_up_the_level(level: str, hints: int) -> None:
    one = room("m1", "m2", level=level)
    outcomes = [
        one.writes.on_ack("m1", WRITTEN, 0.01),
        one.writes.on_ack("m2", ACK, 0.01),
        one.writes.on_hinted(hinted("m3"), 0.01),
    ]
    stored = next(outcome for outcome in outcomes if outcome)
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.copies, stored.hints) == (2, 3, hints)
    assert stored.nodes == ("m1", "m2")


def test_owners_that_can_be_reached_come_first() -> None:
    """At `quorum` two owners have a write while only one is away."""
    one = room("m1", "m2", level="quorum")
    assert one.writes.on_ack("m1", WRITTEN, 0.01) is None
    assert one.writes.on_hinted(hinted("m3"), 0.01) is None
    assert one.ticked(BUDGET_S / 2) is None
    stored = one.writes.on_ack("m2", ACK, BUDGET_S / 2)
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.hints) == (2, 1)


def test_an_owner_that_is_silent_is_not_waited_for_where_a_hint_will_do() -> None:
    one = room("m1", "m2", level="quorum")
    one.writes.on_ack("m1", WRITTEN, 0.01)
    one.writes.on_hinted(hinted("m3"), 0.01)
    stored = one.ticked(BUDGET_S)
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.hints) == (1, 1)


def test_available_waits_for_hints_where_too_few_owners_are_up() -> None:
    one = room("m1", level="available")
    assert one.writes.on_ack("m1", WRITTEN, 0.01) is None
    stored = one.writes.on_hinted(hinted("m2"), 0.02)
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.hints) == (1, 1)


def test_available_waits_for_hints_no_longer_than_its_budget() -> None:
    one = room("m1", level="available")
    assert one.writes.on_ack("m1", WRITTEN, 0.01) is None
    assert one.ticked(BUDGET_S / 2) is None
    stored = one.ticked(BUDGET_S)
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.hints) == (1, 0)


def test_an_owner_that_acknowledges_after_all_counts_once() -> None:
    one = room("m1", "m2", level="all")
    one.writes.on_ack("m1", WRITTEN, 0.01)
    one.writes.on_hinted(hinted("m3"), 0.01)
    one.writes.on_ack("m3", ACK, 0.01)
    stored = one.writes.on_ack("m2", ACK, 0.01)
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.hints) == (3, 0)


def test_a_hint_counts_under_the_name_that_the_client_is_told() -> None:
    one = room("m1", "m2", level="all")
    assert one.writes.on_hinted(hinted("m3", ("b", 1)), 0.01) is None
    one.writes.on_ack("m1", WRITTEN, 0.01)
    assert one.writes.on_ack("m2", ACK, 0.01) is None
    assert one.writes.on_hinted(hinted("m3"), 0.02) is not None
    assert one.writes.on_hinted(hinted("m3"), 0.02) is None  # it is answered


def test_a_hint_for_a_node_that_is_no_member_counts_for_nothing() -> None:
    one = room("m1", "m2", level="all")
    one.writes.on_ack("m1", WRITTEN, 0.01)
    one.writes.on_ack("m2", ACK, 0.01)
    assert one.writes.on_hinted(hinted("m4"), 0.01) is None


def test_a_member_that_has_gone_since_gets_a_hint_when_the_write_is_told_again() -> None:
    one = room(*MEMBERS, level="all")
    one.writes.on_ack("m1", WRITTEN, 0.01)
    one.writes.on_ack("m2", ACK, 0.01)
    one.detector.link_down("m3")
    [(node, again)] = one.writes.tell_again(0.01 + AGAIN_S)
    assert (node, again.owners, again.hints) == ("m1", (), FOR_M3)
    assert one.writes.on_hinted(hinted("m3"), 0.4) is not None


def test_a_member_with_a_hint_gets_no_other_one() -> None:
    one = room("m1", level="all")
    one.writes.on_ack("m1", WRITTEN, 0.01)
    one.writes.on_hinted(hinted("m2"), 0.01)
    [(_, again)] = one.writes.tell_again(0.01 + AGAIN_S)
    assert again.hints == FOR_M3
    one.writes.on_hinted(hinted("m3"), 0.4)
    assert one.writes.tell_again(9.0) == []


def test_another_view_begins_without_hints() -> None:
    one = room("m1", "m2", level="all")
    one.writes.on_hinted(hinted("m3"), 0.01)
    one.writes.on_ack("m1", WRITTEN, 0.01)
    one.writes.on_view(lambda key, request: MEMBERS)
    assert one.writes.on_ack("m2", ACK, 0.02) is None


def test_an_unknown_outcome_says_how_many_keep_it() -> None:
    one = room("m1", level="all")
    one.writes.on_ack("m1", WRITTEN, 0.01)
    one.writes.on_hinted(hinted("m2"), 0.01)
    outcome = one.ticked(ANSWER_S)
    assert isinstance(outcome, Unavailable)
    assert "1 of 3 replicas acknowledged, and nodes of other shards keep it for 1" in outcome.reason
    assert outcome.acks == 1


# ------------------------------------------------------------------ which holders, and the home

SIX = first_view(["a1", "a2", "a3", "b1", "b2", "b3"], 2)


def asked(one: One, key: str) -> m.Accept:
    effects = one.submit(Put(key, b"v", level="all", hinted=True))
    [accept] = [ask for _, ask in effects.asks if isinstance(ask, m.Accept)]
    return accept


def at_b1(*away: str) -> One:
    one = One("b1", SIX)
    for peer in away:
        one.replica.detector.link_down(peer)
    return one


def test_each_member_that_is_away_has_a_holder_of_its_own_in_another_shard() -> None:
    hints = asked(at_b1("a2", "a3"), PEAR).hints
    assert [target for target, _ in hints] == ["a2", "a3"]
    holders = {holder for _, holder in hints}
    assert len(holders) == 2
    assert holders < {"b1", "b2", "b3"}


def test_keys_begin_at_different_holders_and_always_at_the_same() -> None:
    keys = [f"key{n}" for n in range(60)]
    ours = [key for key in keys if SIX.shard_of(slot_of_key(key)).id == "s1"]
    chosen = [asked(at_b1("a3"), key).hints for key in ours]
    assert {holder for ((_, holder),) in chosen} == {"b1", "b2", "b3"}
    assert chosen == [asked(at_b1("a3"), key).hints for key in ours]


def test_only_holders_that_can_be_reached_are_chosen() -> None:
    hints = asked(at_b1("a2", "a3", "b2", "b3"), PEAR).hints
    assert hints == (("a2", "b1"),)


def test_one_shard_has_no_holders() -> None:
    one = One("a1", first_view(["a1", "a2", "a3"], 1))
    one.replica.detector.link_down("a2")
    effects = one.submit(Put(PEAR, b"v", level="all", hinted=True))
    assert not any(isinstance(tell, Hint) for _, tell in effects.tells)


def left(one: One, hints: tuple[tuple[str, str], ...], key: str = PEAR) -> list[tuple[str, str]]:
    """Return with whom a home leaves a write, and for whom."""
    effects = one.step("b1", m.Accept(1, Put(key, b"v", hinted=True), hints=hints))
    hinted = [(peer, tell) for peer, tell in effects.tells if isinstance(tell, Hint)]
    replicates = [tell for _, tell in effects.tells if isinstance(tell, m.Replicate)]
    for _, hint in hinted:
        assert (hint.item, hint.dot) == (replicates[0].item, replicates[0].dot)
        assert (hint.request, hint.origin, hint.key) == (1, "b1", key)
    return [(peer, hint.target) for peer, hint in hinted]


def test_a_home_leaves_a_write_with_the_holders_beside_its_replicates() -> None:
    assert left(One("a1", SIX), (("a2", "b2"), ("a3", "b3"))) == [("b2", "a2"), ("b3", "a3")]


def test_a_home_leaves_nothing_that_makes_no_sense_in_its_view() -> None:
    """The origin may be in another view."""
    wrong = (("b2", "b3"), ("a2", "a3"), ("a3", "c1"), ("a1", "b1"))
    assert left(One("a1", SIX), wrong) == []
    moved = One()
    effects = moved.step("b1", m.Accept(1, Put(PEAR, b"v", hinted=True)))
    [written] = [tell for _, tell in effects.tells if isinstance(tell, m.Written)]
    moved.step("a2", views(MOVED))  # a1 a2 b2 | b1
    again = m.ReplicateAgain(1, PEAR, written.dot, (), (("a2", "b2"), ("b2", "b1")))
    [(peer, told)] = moved.step("b1", again, NOW + 0.3).tells
    assert isinstance(told, Hint)
    assert (peer, told.target) == ("b1", "b2")


def test_a_write_that_is_found_again_is_left_again() -> None:
    one, put = One("a1", SIX), Put(PEAR, b"v", identity="w.1", hinted=True)
    for request in (1, 2):
        effects = one.step("b1", m.Accept(request, put, hints=(("a2", "b2"),)))
        assert [peer for peer, tell in effects.tells if isinstance(tell, Hint)] == ["b2"]


def test_a_write_is_left_when_it_is_told_again() -> None:
    one = One("a1", SIX)
    effects = one.step("b1", m.Accept(1, Put(PEAR, b"v", hinted=True)))
    [written] = [tell for _, tell in effects.tells if isinstance(tell, m.Written)]
    again = m.ReplicateAgain(1, PEAR, written.dot, ("a3",), (("a2", "b2"),))
    tells = one.step("b1", again, NOW + 0.3).tells
    assert [(peer, type(tell)) for peer, tell in tells] == [("a3", m.Replicate), ("b2", Hint)]


def test_an_origin_counts_a_hint() -> None:
    one = at_b1("a3")
    accept = asked(one, PEAR)
    dot = (one.actor_in(SIX.id), 1)
    written = m.Written(accept.request, dot, accept.put.token, accept.put.context, False)
    one.step("a1", written)
    one.step("a2", m.Ack(accept.request, dot))
    ((_, holder),) = accept.hints
    effects = one.step(holder, Hinted(accept.request, dot, "a3"))
    [(_, stored)] = effects.relays
    assert isinstance(stored, Stored)
    assert (stored.acks, stored.hints) == (2, 1)
