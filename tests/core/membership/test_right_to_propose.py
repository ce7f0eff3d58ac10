"""A node proposes nothing in a view that the others may have retired.

On a new disk it waits until a shard peer has heard of its incarnation, after a restart until one
has heard of its run.  (protocol D10, I8.)
"""

import pytest
from msgspec.structs import replace

from node.core.membership.proposals import EARLY_S, NOBODY
from node.core.model.placement import with_member, with_node
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Propose
from tests.core.one import NOW, VIEW, One

GROWN = with_node(VIEW, "c1")
CHANGE = Propose(with_member(VIEW, "s1", "b2"), FIRST)


def unseen(attribute: str) -> One:
    """Return a new disk whose incarnation no peer has heard of, or a run that no peer has heard
    of."""
    one = One()
    setattr(one.replica.views, attribute, False)
    return one


UNSEEN = pytest.mark.parametrize("attribute", ["is_known", "is_vouched_for"])


def proposals(effects: Effects) -> list[m.Message]:
    return [message for _, message in effects.tells if isinstance(message, m.Views)]


@UNSEEN
def test_a_request_waits_for_the_word_of_a_shard_peer(attribute: str) -> None:
    one = unseen(attribute)
    effects = one.submit(CHANGE)
    assert not proposals(effects)
    assert not effects.replies
    assert not proposals(one.step("a1", events.Tick(), NOW + 0.1))
    setattr(one.replica.views, attribute, True)
    assert proposals(one.step("a1", events.Tick(), NOW + 0.2))


@UNSEEN
def test_without_that_word_the_request_is_passed_on_or_refused(attribute: str) -> None:
    one, alone = unseen(attribute), unseen(attribute)
    one.submit(CHANGE)
    one.step("a2", m.Heartbeat("id of a2"), NOW + EARLY_S)
    asks = one.step("a1", events.Tick(), NOW + EARLY_S).asks
    assert [(peer, ask) for peer, ask in asks if isinstance(ask, m.ForwardedProposal)] == [
        ("a2", m.ForwardedProposal(7, CHANGE.layout, False, (), CHANGE.base))
    ]
    alone.submit(CHANGE)
    for node in ("a2", "b1", "b2"):
        alone.step("a1", events.LinkDown(node), NOW + 0.1)
    assert alone.step("a1", events.Tick(), NOW + EARLY_S).replies == [(7, NOBODY)]


@UNSEEN
def test_the_node_does_not_propose_for_others_either(attribute: str) -> None:
    one = unseen(attribute)
    assert not proposals(one.step("c1", m.ForwardedProposal(7, GROWN, False, ())))
    effects = one.step("c1", m.Join("c1"))
    assert not proposals(effects)
    assert effects.asks == [("a2", m.Join("c1"))]


@UNSEEN
def test_a_wish_that_gives_up_all_shard_peers_does_not_wait(attribute: str) -> None:
    one = unseen(attribute)
    assert not proposals(one.submit(replace(CHANGE, lost=("b1",)), 8))
    assert proposals(one.submit(replace(CHANGE, lost=("a2",))))


@UNSEEN
def test_nor_does_one_that_says_where_all_shard_peers_are_now(attribute: str) -> None:
    one = unseen(attribute)
    moved = tuple(f"{node}:9000" if node == "a2" else node for node in CHANGE.layout.nodes)
    stay = replace(CHANGE.layout, addresses=CHANGE.layout.nodes)
    assert not proposals(one.submit(Propose(stay), 8))
    assert proposals(one.submit(Propose(replace(stay, addresses=moved))))
