"""A incarnation that begins on old rows: what it may name, and when the rows go."""

import pytest
from msgspec.structs import replace

from node.core.membership.proposals import EARLY_S
from node.core.model.keys import SLOTS
from node.core.model.view import FIRST, Shard, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.operations import Propose, Put, Unavailable
from tests.core.moves import MOVED, SECOND, holds, settled, views
from tests.core.one import NOW, PEAR, One

THIRD = ViewId(3, "p")
LATER = replace(MOVED, number=3, ancestors=(FIRST, SECOND))


def begun_anew() -> One:
    """A node that has written, and heard an objection in the second view; no peer knows its new
    incarnation."""
    one = One()
    one.submit(Put(PEAR, b"v"))
    one.step("a2", views(MOVED))
    mark = one.replica.maintenance.identity.mark
    effects = one.step("a2", m.Superseded(mark, "it is old"))
    assert effects.ends
    again = One(rows=one.rows)
    again.step("a2", m.Gossip({"a1": {one.replica.node_id: 1}}, {}))
    again.replica.views.is_known = False
    return again


def test_it_names_nothing_before_a_witness_has_heard_of_it() -> None:
    one = begun_anew()
    assert one.replica.view == MOVED
    assert not one.replica.views.may_name()
    one.step("a2", m.Gossip({"a1": {one.replica.node_id: 9}}, {}))
    assert one.replica.views.may_name()


@pytest.mark.parametrize(
    ("oldest_view", "is_known", "are_kept"),
    [(SECOND, False, True), (THIRD, False, False), (THIRD, True, True)],
    ids=["view not retired", "retired without it", "it was waited for"],
)
def test_its_rows_go_when_their_view_is_retired_without_it(
    oldest_view: ViewId, is_known: bool, are_kept: bool
) -> None:
    one = begun_anew()
    one.replica.views.is_known = is_known
    assert one.replica.peek(PEAR).versions
    effects = one.step(
        "a2", views(MOVED, LATER, oldest_view=oldest_view), NOW, m.Epoch(THIRD, oldest_view)
    )
    assert bool(one.replica.peek(PEAR).versions) is are_kept
    assert any("gives up" in note for note in effects.notes) is not are_kept
    assert (one.rows.read("meta", "old") is not None) is are_kept
    again = One(rows=one.rows)
    assert bool(again.replica.peek(PEAR).versions) is are_kept
    assert holds(again) == holds(one)


def alone_on_old_rows(known: ViewId) -> One:
    """It was the only node of the second view; the node that has objected knew this one."""
    only = replace(MOVED, nodes=("a1",), shards=(Shard("s1", ("a1",)),), owner=bytes(SLOTS))
    one = One()
    one.step("a2", views(only))
    settled(one, only)
    mark = one.replica.maintenance.identity.mark
    assert one.step("a2", m.Superseded(mark, "it is old"), epoch=m.Epoch(known, SECOND)).ends
    again = One(rows=one.rows)
    again.replica.views.is_known = False
    return again


@pytest.mark.parametrize("known", [SECOND, THIRD])
def test_alone_in_its_view_it_goes_on_unless_a_newer_view_is_known(known: ViewId) -> None:
    one = alone_on_old_rows(known)
    is_newest = known == SECOND
    known_views = one.replica.views
    assert (known_views.may_name(), known_views.is_orphaned()) == (is_newest, is_newest)
    effects = one.submit(Propose(known_views.view.layout))
    assert bool(effects.tells) is is_newest
    replies = [*effects.replies, *one.step("a1", events.Tick(), NOW + EARLY_S).replies]
    assert [type(outcome) for _, outcome in replies] == [Unavailable][is_newest:]
    one.step("a2", views(LATER, oldest_view=SECOND), NOW + EARLY_S, m.Epoch(THIRD, SECOND))
    assert (one.replica.view.id, known_views.is_outdated) == (THIRD, False)
