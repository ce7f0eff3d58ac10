"""A node of no view is asked for one: it waits to be told of one, then begins one or refuses."""

from random import Random

import pytest
from msgspec.structs import replace

from node.core.membership.proposals import COLD_S
from node.core.membership.view_history import ViewHistory
from node.core.model.options import Options, Start
from node.core.model.placement import first_view, reshaped
from node.core.model.view import FIRST, NO_VIEW, ViewId, no_view
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Adopted, Outdated, Propose, Unavailable
from node.core.replica import Replica, restore
from tests.core.given import MEGABYTE, MemoryRows
from tests.core.moves import MOVED, own_views, proposed, views
from tests.core.newcomers import Newcomer
from tests.core.one import NOW, VIEW, One


def test_without_a_view_a_request_waits_to_be_told_of_one_then_begins_one() -> None:
    one = Newcomer("a1", join=False)
    layout = first_view(("a1", "a2"), 2).layout
    effects = one.submit(Propose(layout))
    assert (effects.peers, effects.tells) == (["a2"], [])
    assert not one.step("a1", events.Tick(), NOW + COLD_S - 0.1).tells
    told = own_views(one.step("a1", events.Tick(), NOW + COLD_S))
    assert told.views[0].layout == layout
    assert told.views[0].id > FIRST
    assert one.step("a1", told, NOW + 2).replies == [(7, Adopted(told.views[0]))]


def test_alone_it_begins_one_at_once() -> None:
    one = Newcomer("a1", join=False)
    assert proposed(one, Propose(first_view(("a1",), 1).layout)).nodes == ("a1",)


def test_told_of_a_view_with_us_in_it_the_request_is_made_from_that() -> None:
    one = Newcomer("b2", join=False)
    layout = first_view(("b2", "a1"), 2).layout
    one.submit(Propose(layout))
    moved = replace(MOVED, ids=(), ancestors=())
    told = own_views(one.step("a1", views(moved)))
    assert told.views[0].layout == reshaped(moved, layout.nodes, 2)
    assert told.views[0].ancestors == (moved.id,)


def test_told_of_a_first_view_it_passes_the_request_on_since_no_shard_peer_has_heard_of_it() -> (
    None
):
    one = Newcomer("b2", join=False)
    layout = first_view(("b2", "a1"), 2).layout
    one.submit(Propose(layout))
    one.step("b2", events.LinkUp("a1"))
    effects = one.step("a1", views(VIEW))
    [forwarded] = [ask for ask in effects.asks if isinstance(ask[1], m.ForwardedProposal)]
    assert forwarded == ("a1", m.ForwardedProposal(7, layout, True, ()))
    assert not [message for _, message in effects.tells if isinstance(message, m.Views)]


def test_told_of_a_view_without_us_the_request_is_passed_on_to_be_made_from_that() -> None:
    one = Newcomer("c1", join=False)
    layout = replace(first_view(("c1", "a1"), 1).layout, nodes=("c1", "a1"))
    one.submit(Propose(layout))
    one.step("c1", events.LinkUp("a1"))
    asks = one.step("a1", views(VIEW)).asks
    [forwarded] = [ask for ask in asks if isinstance(ask[1], m.ForwardedProposal)]
    assert forwarded == ("a1", m.ForwardedProposal(7, layout, True, ()))
    inside = One()
    told = own_views(inside.step("c1", forwarded[1]))
    assert told.views[0].layout == reshaped(VIEW, ("c1", "a1"), 1)


def test_what_was_computed_from_no_view_is_outdated_by_any() -> None:
    one = Newcomer("b2", join=False)
    layout = first_view(("b2", "a1"), 2).layout
    one.submit(Propose(layout, NO_VIEW))
    effects = one.step("a1", views(VIEW))
    assert effects.replies == [(7, Outdated(VIEW))]
    assert not [message for _, message in effects.tells if isinstance(message, m.Views)]


def test_a_node_that_a_request_names_can_be_called_before_there_is_a_view() -> None:
    one = Newcomer("node-1", join=False)
    layout = replace(first_view(("node-1", "node-2"), 1).layout, addresses=("h:1", "h:2"))
    assert one.submit(Propose(layout, NO_VIEW)).peers == ["node-2"]
    assert one.replica.views.history.where("node-2") == "h:2"
    told = own_views(one.step("node-1", events.Tick(), NOW + COLD_S))
    assert told.views[0].layout == layout
    one.step("node-1", told, NOW + 2)
    saved = restore("node-1", Start(no_view(())), one.rows, Options(MEGABYTE), Random(1))
    assert saved.views.history.where("node-2") == "h:2"


def test_a_node_that_was_told_to_forget_proposes_above_what_it_forgot() -> None:
    saved = replace(ViewHistory.begin(no_view(("a1",)), joining=False), forgot=ViewId(5, "p"))
    replica = Replica("a1", saved, MemoryRows(), "id", "run", Options(), Random(1))
    effects = replica.step(NOW, "a1", events.Submit(7, Propose(first_view(("a1",), 1).layout)))
    assert own_views(effects).views[0].number == 6
    replica.step(NOW, "a2", m.Envelope(m.Epoch(MOVED.id, FIRST), views(MOVED)))
    assert replica.view.number == 0  # what is older than what it forgot is not learned


def one_that_has_forgotten() -> Replica:
    saved = replace(ViewHistory.begin(no_view(("a1",)), joining=False), forgot=ViewId(5, "p"))
    replica = Replica("a1", saved, MemoryRows(), "id", "run", Options(), Random(1))
    replica.step(NOW, "a1", events.Submit(7, Propose(first_view(("a1", "a2"), 1).layout)))
    return replica


def test_beside_a_node_that_does_not_answer_it_begins_no_view() -> None:
    effects = one_that_has_forgotten().step(NOW + COLD_S, "a1", events.Tick())
    assert not [message for _, message in effects.tells if isinstance(message, m.Views)]
    [(_, outcome)] = effects.replies
    assert isinstance(outcome, Unavailable)
    assert outcome.definite
    assert "has left view 5.p and forgotten it" in outcome.reason


def test_beside_a_node_that_is_in_no_view_it_begins_one() -> None:
    replica = one_that_has_forgotten()
    heartbeat = m.Envelope(m.Epoch(NO_VIEW, NO_VIEW), m.Heartbeat("id of a2"))
    replica.step(NOW + 0.1, "a2", heartbeat)
    told = own_views(replica.step(NOW + COLD_S, "a1", events.Tick()))
    assert told.views[0].number == 6


def test_it_proposes_nothing_that_another_node_forwards() -> None:
    replica = one_that_has_forgotten()
    forwarded = m.ForwardedProposal(9, first_view(("a2",), 1).layout, True, ())
    effects = replica.step(NOW + 0.1, "a2", m.Envelope(m.Epoch(NO_VIEW, NO_VIEW), forwarded))
    assert not [message for _, message in effects.tells if isinstance(message, m.Views)]


def told_of_what_it_forgot(oldest_view: ViewId, silent: str = "", forgetful: str = "") -> Effects:
    """Return what a node does that has forgotten a view, and is told that view by a node outside
    it.  Another node of that view may be silent, and one may say that it knows no view."""
    others = filter(None, (silent, forgetful))
    view = replace(first_view(("a1", *others), 1), number=5, proposer="p", ancestors=(FIRST,))
    saved = replace(ViewHistory.begin(no_view(("a1",)), joining=False), forgot=view.id)
    replica = Replica("a1", saved, MemoryRows(), "id", "run", Options(), Random(1))
    if forgetful:
        heartbeat = m.Heartbeat(f"id of {forgetful}")
        replica.step(NOW, forgetful, m.Envelope(m.Epoch(NO_VIEW, NO_VIEW), heartbeat))
    told = m.Envelope(m.Epoch(view.id, oldest_view), views(view, oldest_view=oldest_view))
    effects = replica.step(NOW, "n1", told)
    assert replica.view.number == 0
    return effects


@pytest.mark.parametrize("forgetful", ["", "a2"])
def test_a_node_comes_back_into_a_view_that_no_node_leads(forgetful: str) -> None:
    effects = told_of_what_it_forgot(FIRST, forgetful=forgetful)
    assert "n1 has what only nodes of view 5.p may take" in (effects.ends or "")


def test_it_stays_away_from_a_view_that_is_settled() -> None:
    assert not told_of_what_it_forgot(ViewId(5, "p")).ends


def test_it_asks_the_other_nodes_of_the_view_first() -> None:
    effects = told_of_what_it_forgot(FIRST, silent="a2", forgetful="a3")
    assert effects.peers == ["a2", "a3"]
    assert not effects.ends


def test_a_node_that_is_not_in_the_view_neither_asks_nor_comes_back() -> None:
    view = replace(first_view(("a2",), 1), number=5, proposer="p", ancestors=(FIRST,))
    saved = replace(ViewHistory.begin(no_view(("a1",)), joining=False), forgot=view.id)
    replica = Replica("a1", saved, MemoryRows(), "id", "run", Options(), Random(1))
    effects = replica.step(NOW, "n1", m.Envelope(m.Epoch(view.id, FIRST), views(view)))
    assert effects.peers is None
    assert not effects.ends
