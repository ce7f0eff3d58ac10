"""A node doubts a past run of a node where a write of that run is missing.

A delete mark may depend on the write, or a client may ask for it, here or in another shard.
"""

import pytest

from node.core.model.actors import Actor, actor_of
from node.core.model.conditions import Scope
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.mark import Mark
from node.core.protocol.operations import Get
from tests.core.one import FIG, NOW, PEAR, One

PRESENT = "run 3"
OURS, THEIRS = "a2", "b1"  # a shard peer, and a node of the other shard
KEYS = {OURS: PEAR, THEIRS: FIG}


def run_of(node: str, run: str) -> Actor:
    return actor_of(FIRST, f"id of {node}", run)


def met() -> One:
    """A node that has met the present runs of the others."""
    one = One()
    one.arrive()
    for node in (OURS, THEIRS):
        one.step(node, m.Heartbeat(f"id of {node}"))
        one.step(node, m.Gossip({}, {}, mark=Mark(f"id of {node}", 1, PRESENT)))
    return one


def missing(node: str, run: str) -> Token:
    """Return a token that depends on a write of this run, of another key of its shard."""
    return Token({}, {(run_of(node, run), 2): key_hash_of(KEYS[node], False)})


def holds_a_mark(one: One, deps: Token) -> None:
    """Deliver a shard peer's delete, and let the node look at its open items."""
    dot = run_of(OURS, PRESENT), 1
    mark = Item({dot: Version(None, deps)}, Past({dot[0]: 1}))
    one.step(OURS, m.Replicate(1, OURS, PEAR, mark, dot))
    one.step("a1", events.Tick(), NOW + 5)


def told(one: One) -> dict[Actor, int]:
    """Return what the node says that it misses."""
    tells = one.step("a1", events.LinkUp(THEIRS), NOW + 5).tells
    return next(message.missed for _, message in tells if isinstance(message, m.Gossip))


@pytest.mark.parametrize("run", ["past", PRESENT])
def test_what_a_mark_depends_on_is_doubted_when_its_run_is_over(run: str) -> None:
    one = met()
    holds_a_mark(one, missing(OURS, run))
    assert one.replica.views.refused() == ([run_of(OURS, run)] if run == "past" else [])
    assert not told(one)


@pytest.mark.parametrize("run", ["past", PRESENT])
def test_what_a_mark_depends_on_of_another_shard_is_told(run: str) -> None:
    one = met()
    holds_a_mark(one, missing(THEIRS, run))
    assert not one.replica.views.refused()
    assert told(one) == ({run_of(THEIRS, run): 2} if run == "past" else {})


def test_it_is_told_until_all_there_have_it_or_have_closed_its_run() -> None:
    one = met()
    holds_a_mark(one, missing(THEIRS, "past"))
    one.step(THEIRS, m.Gossip({}, {run_of(THEIRS, "past"): 2}))
    one.step("a1", events.Tick(), NOW + 10)
    assert not told(one)


def test_what_another_shard_misses_is_doubted_where_it_is_missing_here() -> None:
    one = met()
    had, lost, others = run_of(OURS, "past"), run_of(OURS, "lost"), run_of(THEIRS, "past")
    one.replica.keyspace.note((had, 1), PEAR)
    one.step(THEIRS, m.Gossip({}, {}, missed={had: 1, lost: 1, others: 1}))
    assert one.replica.views.refused() == [lost]
    assert not told(one)  # it is not passed on


def test_what_a_client_is_refused_for_is_missed() -> None:
    one = met()
    token = missing(OURS, "past")
    [(shard_peer, fetch)] = one.submit(Get(PEAR, token=token, scope=Scope.SHARD)).asks
    assert (shard_peer, type(fetch)) == (OURS, m.Fetch)
    assert one.step(OURS, m.State(7, Item(), DotClock(), [FIRST])).replies
    assert one.replica.views.refused() == [run_of(OURS, "past")]
