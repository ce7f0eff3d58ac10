"""A node that waits for a first contact: the nodes that it seeks, and what it does at contact."""

import pytest

from node.core.membership.gossip import FIRST_CONTACT_S
from node.core.model.placement import first_view
from node.core.model.view import FIRST, NO_VIEW, View
from node.core.protocol import events, messages as m
from node.core.protocol.operations import Put
from tests.core.newcomers import Newcomer
from tests.core.one import NOW, PEAR, VIEW, One

LONE = first_view(["a1", "b1", "b2"], 3)
NOWHERE = m.Epoch(NO_VIEW, NO_VIEW)


def unheard(view: View = VIEW) -> One:
    one = One("a1", view)
    one.replica.views.is_known = False
    return one


@pytest.mark.parametrize(("view", "sought"), [(VIEW, ["a2"]), (LONE, ["b1", "b2"])])
def test_it_seeks_those_whose_word_it_needs_until_it_has_one(view: View, sought: list[str]) -> None:
    one = unheard(view)
    views = one.replica.views
    assert [node for node in (*view.nodes, "stranger") if views.seeks(node)] == sought
    one.step(sought[0], m.Gossip({"a1": {one.replica.node_id: 1}}, {}))
    assert views.may_name()
    assert not any(map(views.seeks, view.nodes))


def asked_at_once(one: One, peer: str) -> list[tuple[str, bool]]:
    """Return the nodes it compares with when this link comes up, and whether it wants answers."""
    tells = one.step("a1", events.LinkUp(peer)).tells
    return [(to, said.answer) for to, said in tells if isinstance(said, m.Compare)]


def test_it_asks_for_that_word_when_the_link_comes_up() -> None:
    one = unheard()
    assert asked_at_once(one, "a2") == [("a2", True)]
    assert asked_at_once(one, "b1") == []
    one.replica.views.is_known = True
    assert asked_at_once(one, "a2") == []  # one that comes back is left alone


def test_a_write_waits_for_it_and_is_given_to_a_home_then() -> None:
    one = unheard()
    one.step("a1", events.LinkDown("a2"))
    elsewhere = one.submit(Put(PEAR, b"v")).tells[-1][1]
    assert isinstance(elsewhere, m.NotOwner)
    one.step("a1", elsewhere)
    for tenth in range(1, 15):
        effects = one.step("a1", events.Tick(), NOW + tenth / 10)
        assert not effects.replies
        [again] = [said for _, said in effects.tells if isinstance(said, m.NotOwner)]
        one.step("a1", again, NOW + tenth / 10)  # its own home was asked in that very step
    one.step("a2", m.Gossip({"a1": {one.replica.node_id: 1}}, {}), NOW + 1.5)
    [(home, accept)] = [
        (home, ask)
        for home, ask in one.step("a1", events.Tick(), NOW + 1.55).asks
        if isinstance(ask, m.Accept)
    ]
    assert home == "a2"  # which has not refused it
    assert isinstance(accept, m.Accept)
    answers = one.step("a1", accept, NOW + 1.55).tells
    assert any(isinstance(message, m.Written) for _, message in answers)  # and a1 would, too


def test_nodes_without_a_view_begin_it_soon_after_they_have_met() -> None:
    """A meeting may be shorter than the time between two beats."""
    one = Newcomer("a1", "a2")
    one.step("a1", events.Tick(), NOW + 9)
    met = NOW + 9.05
    effects = one.step("a2", m.Heartbeat("id of a2"), met, NOWHERE)
    assert effects.wake_at <= met + FIRST_CONTACT_S
    tells = one.step("a1", events.Tick(), met + FIRST_CONTACT_S).tells
    [begun] = [message for _, message in tells if isinstance(message, m.Views)]
    assert [view.id for view in begun.views] == [FIRST]
    assert one.step("a2", m.Heartbeat("id of a2"), met + 0.06, NOWHERE).wake_at > met + 0.2


def test_a_lone_member_asks_others_until_one_has_vouched_for_its_disk() -> None:
    """Members of other shards do not compare with it by themselves, and one answer may be lost."""
    one = One("a1", LONE)
    one.arrive()
    views = one.replica.views
    assert views.history.settled
    views.is_vouched_for = False

    def asked(second: int) -> set[str]:
        for peer in ("b1", "b2"):
            one.step(peer, m.Heartbeat(f"id of {peer}"), NOW + second)
        tells = one.step("a1", events.Tick(), NOW + second).tells
        return {to for to, said in tells if isinstance(said, m.Compare) and said.answer}

    times = [second for second in range(60, 90) if asked(second)]
    assert len(times) > 1  # nobody has answered the first time
    views.is_vouched_for = True
    assert not any(map(asked, range(90, 120)))
