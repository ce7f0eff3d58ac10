"""A node of the view proposes the next one, durable before any other node hears of it, and adopts
it like every other node.  A node that may not propose passes the request on."""

from msgspec.structs import replace

from node.core.membership.proposals import FORWARDED_S, NOBODY, UNHEARD
from node.core.model.placement import first_view, reshaped, with_node
from node.core.model.view import FIRST, NO_VIEW, View, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.operations import Adopted, Get, Outdated, Propose, Put, Unavailable
from tests.core.moves import CHANGE, MOVED, own_views, proposed, views
from tests.core.newcomers import Newcomer
from tests.core.one import NOW, VIEW, One

GROWN = with_node(VIEW, "c1")


# ---- durable first (decision 0014)


def test_a_proposal_is_told_to_its_maker_alone_and_after_the_disk() -> None:
    one = One()
    effects = one.submit(CHANGE)
    assert effects.asks == []
    assert [peer for peer, _ in effects.tells] == ["a1"]
    assert [record.key for record in effects.records] == ["proposed"]
    assert effects.replies == []
    assert one.replica.view == VIEW


def test_its_maker_adopts_it_like_every_node() -> None:
    one = One()
    for node in ("a2", "b1", "b2"):
        one.step(node, m.Heartbeat(f"id of {node}"))
    told = own_views(one.submit(CHANGE))
    adopted = one.step("a1", told)
    assert one.replica.view == told.views[0]
    assert adopted.replies == [(7, Adopted(one.replica.view))]
    told_of_it = [peer for peer, message in adopted.asks if isinstance(message, m.Views)]
    assert told_of_it == ["a2", "b1", "b2"]


def test_a_number_is_used_once_even_when_its_view_was_never_heard_of() -> None:
    one = One()
    first = proposed(one)
    again = One(rows=one.rows)  # the process ended before it heard itself
    assert proposed(again).number == first.number + 1


def test_a_proposal_names_the_nodes_by_their_ids_and_the_views_that_led_to_it() -> None:
    one = One()
    one.step("a2", m.Heartbeat("id of a2"))
    view = proposed(one)
    assert view.ids == (one.replica.node_id, "id of a2", "", "")
    assert view.ancestors == (FIRST,)
    assert view.id > FIRST


def test_what_was_computed_from_another_view_is_outdated() -> None:
    one = One()
    one.step("a2", views(MOVED))
    assert one.submit(CHANGE).replies == [(7, Outdated(MOVED))]


def test_a_node_that_is_declared_lost_is_named_by_id_or_by_address() -> None:
    one = One()
    one.step("a2", m.Heartbeat("id of a2"))
    told = own_views(one.submit(replace(CHANGE, lost=("a2", "b1"))))
    assert told.gossip.lost == ["@b1", "id of a2"]


# ---- others come between


def test_a_higher_view_that_was_heard_first_makes_it_outdated() -> None:
    one = One()
    told = own_views(one.submit(CHANGE))
    higher = replace(MOVED, number=9)
    effects = one.step("a2", views(higher))
    assert effects.replies == [(7, Outdated(higher))]
    one.step("a1", told)
    assert one.replica.view == higher


def test_a_view_heard_of_before_ours_was_durable_would_not_be_among_its_ancestors() -> None:
    """A view that can win names all earlier ones; a node refuses one computed from a base."""
    one = One()
    told = own_views(one.submit(CHANGE))
    rival = replace(MOVED, number=2, proposer="")  # lower than ours
    assert rival.id < told.views[0].id
    one.step("a2", views(rival))
    effects = one.step("a1", told)
    assert effects.replies == [(7, Outdated(rival))]
    assert one.replica.view == rival


def test_one_that_is_based_on_nothing_is_made_anew() -> None:
    one = One()
    told = own_views(one.submit(replace(CHANGE, base=None)))
    rival = replace(MOVED, number=2, proposer="")
    one.step("a2", views(rival))
    again = own_views(one.step("a1", told))
    assert again.views[0].ancestors == (FIRST, rival.id)
    [(request, outcome)] = one.step("a1", again).replies
    assert (request, outcome) == (7, Adopted(again.views[0]))


# ---- joining


def test_a_node_that_asks_to_join_is_added_and_owns_nothing() -> None:
    one = One()
    told = own_views(one.step("c1", m.Join("c1")))
    assert told.views[0].layout == GROWN
    assert not one.step("c2", m.Join("c2")).tells  # one at a time
    one.step("a1", told)
    assert not one.step("c1", m.Join("c1")).tells  # it is in
    assert one.step("c2", m.Join("c2")).tells


def test_a_stranger_asks_a_node_that_it_can_reach_until_it_is_in() -> None:
    one = Newcomer("c1", "a1", "a2")
    one.step("a1", views(VIEW))
    assert one.replica.view == VIEW
    asked = [e for n in range(4) for e in one.step("c1", events.Tick(), NOW + n).asks]
    joins = {peer for peer, message in asked if isinstance(message, m.Join)}
    assert joins <= {"a1", "a2"}
    assert joins
    grown = View(2, GROWN.nodes, GROWN.shards, GROWN.owner, "p", (), (FIRST,))
    one.step("a1", views(grown), NOW + 5)
    asks = one.step("c1", events.Tick(), NOW + 6).asks
    assert not any(isinstance(message, m.Join) for _, message in asks)


def test_nodes_that_all_know_no_view_begin_the_first_when_they_are_a_majority() -> None:
    one = Newcomer("a1", "a2", "a3")
    assert not one.step("a1", events.Tick(), NOW + 9).tells
    one.step("a2", m.Heartbeat("id of a2"), NOW + 9, m.Epoch(NO_VIEW, NO_VIEW))
    told = own_views(one.step("a1", events.Tick(), NOW + 10))
    assert told.views == [first_view(("a2", "a3", "a1"), 1)]
    one.step("a1", told, NOW + 10)
    assert one.replica.view.id == FIRST
    assert one.replica.maintenance.settled


def test_beside_nodes_that_have_forgotten_theirs_no_view_is_begun() -> None:
    one, nowhere = Newcomer("a1", "a2", "a3"), m.Epoch(NO_VIEW, NO_VIEW)
    one.step("a2", m.Gossip({}, {}, {"id of a2": ViewId(4, "p")}), NOW + 9, nowhere)
    again = Newcomer("a1", "a2", "a3", rows=one.rows)
    again.step("a2", m.Heartbeat("id of a2"), NOW + 9, nowhere)
    tells = again.step("a1", events.Tick(), NOW + 20).tells
    assert not any(isinstance(message, m.Views) for _, message in tells)


def test_a_node_of_no_view_answers_no_request_for_keys() -> None:
    one = Newcomer("c1", "a1")
    [(_, outcome)] = one.submit(Get("pear")).replies
    assert isinstance(outcome, Unavailable)
    assert outcome.definite
    assert not one.step("a1", m.Accept(1, Put("pear", b"v"))).records


# ---- wishes from outside the view


def outside(address: str = "c1") -> One:
    """Return a node that is in no known view."""
    one = One(address, VIEW)
    one.step("a1", m.Heartbeat("id of a1"))
    return one


def test_a_node_outside_passes_the_request_on_and_the_answer_back() -> None:
    one, inside = outside(), One()
    [(peer, forwarded)] = one.submit(Propose(GROWN)).asks
    assert (peer, forwarded) == ("a1", m.ForwardedProposal(7, GROWN, False, ()))
    told = own_views(inside.step("c1", forwarded))
    tells = inside.step("a1", told).tells
    [(to, granted)] = [tell for tell in tells if isinstance(tell[1], m.Granted)]
    assert to == "c1"
    [(request, outcome)] = one.step("a1", granted).replies
    assert (request, outcome) == (7, Adopted(told.views[0]))
    assert not one.step("a1", granted).replies  # once


def test_a_wish_from_another_view_is_passed_on_with_it_and_undoes_nothing() -> None:
    """A node outside is the last to hear of a view.  What its client has made from an older one
    would take back what came since: slots that have moved, or policies."""
    one, inside = outside(), One()
    [(_, forwarded)] = one.submit(Propose(GROWN, VIEW.id)).asks
    assert forwarded == m.ForwardedProposal(7, GROWN, False, (), VIEW.id)
    inside.step("b1", views(MOVED))
    effects = inside.step("c1", forwarded)
    assert [tell for tell in effects.tells if tell[0] == "c1"] == [
        ("c1", m.Granted(7, MOVED, adopted=False))
    ]
    assert not [message for _, message in effects.tells if isinstance(message, m.Views)]


def test_a_wish_that_loses_is_outdated() -> None:
    one = outside()
    one.submit(Propose(GROWN))
    [(_, outcome)] = one.step("a1", m.Granted(7, MOVED, adopted=False)).replies
    assert outcome == Outdated(MOVED)


def test_a_wish_that_no_node_can_hear_is_refused_and_one_unanswered_is_unknown() -> None:
    alone, one = One("c1", VIEW), outside()
    for node in VIEW.nodes:
        alone.step("c1", events.LinkDown(node))
    assert alone.submit(Propose(GROWN)).replies == [(7, NOBODY)]
    one.submit(Propose(GROWN))
    assert not one.step("c1", events.Tick(), NOW + FORWARDED_S - 0.1).replies
    assert one.step("c1", events.Tick(), NOW + FORWARDED_S).replies == [(7, UNHEARD)]


def test_a_node_that_has_left_the_view_does_not_propose() -> None:
    left = One("b2")
    smaller = replace(MOVED, nodes=("a1", "a2", "b1"), shards=VIEW.shards[:1] * 2)
    left.step("a1", views(smaller))
    assert not left.step("c1", m.ForwardedProposal(7, GROWN, False, ())).tells
    assert not left.step("c1", m.Join("c1")).tells
    [(_, forwarded)] = left.submit(Propose(GROWN)).asks
    assert isinstance(forwarded, m.ForwardedProposal)


def test_a_node_that_leaves_between_request_and_proposal_passes_it_on() -> None:
    one = One("b2")
    told = own_views(one.submit(Propose(GROWN)))
    smaller = replace(MOVED, proposer="", nodes=("a1", "a2", "b1"), shards=VIEW.shards[:1] * 2)
    one.step("a1", views(smaller))
    again = one.step("b2", told)
    assert [type(message) for _, message in again.asks] == [m.ForwardedProposal]
    assert not [message for _, message in again.tells if isinstance(message, m.Views)]


# ---- R8


def test_when_no_owner_is_complete_for_the_view_it_is_proposed_again_with_the_ids_of_now() -> None:
    alone = replace(VIEW, number=2, proposer="p", ids=("", "", "", "former"), ancestors=(FIRST,))
    layout = reshaped(VIEW, VIEW.nodes, 4)
    alone = View(2, layout.nodes, layout.shards, layout.owner, "p", alone.ids, (FIRST,))
    one = One("b2")
    one.step("a1", views(alone))
    assert one.replica.keyspace.parts.lacking()
    told = own_views(one.step("b2", events.Tick(), NOW + 1))
    [again] = told.views
    assert again.layout == alone.layout
    assert again.id_at("b2") == one.replica.node_id
    one.step("b2", told, NOW + 1)
    assert not any(
        isinstance(message, m.Views) for _, message in one.step("b2", events.Tick(), NOW + 2).tells
    )


def test_while_a_shard_peer_may_bring_the_view_nothing_is_proposed() -> None:
    one = One("b2")
    one.step("a1", views(replace(MOVED, ids=("", "", "", "former"))))
    effects = one.step("b2", events.Tick(), NOW + 1)
    assert not any(isinstance(message, m.Views) for _, message in effects.tells)
