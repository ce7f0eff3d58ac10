"""One contact brings two nodes to the same views: the one that knows more tells the other.

A node ignores messages of another view that count only within a view.
"""

import pytest
from msgspec.structs import replace

from node.core.membership.gossip import GOSSIP_EVERY_S, TOLD_EVERY_S
from node.core.model.actors import actor_of
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.pace import UNLISTED_S
from node.core.model.placement import first_view
from node.core.model.slots import ALL, to_bytes
from node.core.model.token import Token
from node.core.model.view import FIRST, NO_VIEW, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.key_pages import CountKeys
from node.core.protocol.operations import Get, Put, Stored
from tests.core.given import page_of_dots, row
from tests.core.moves import MOVED, SECOND, moved, settled, views
from tests.core.newcomers import Newcomer
from tests.core.one import NOW, PEAR, One

OLDER, FLOOR, SAME = m.Epoch(FIRST, FIRST), m.Epoch(SECOND, SECOND), m.Epoch(SECOND, FIRST)
ITEM = Item({("x", 1): Version(b"v")}, Past({"x": 1}))


def said(one: One, message: m.Message, epoch: m.Epoch) -> tuple[list[str], list[str]]:
    """Return the kinds of what a message from a2 makes a node ask, and tell."""
    effects = one.step("a2", message, NOW + 1, epoch)
    asks = [type(each).__name__ for peer, each in effects.asks if peer == "a2"]
    tells = [type(each).__name__ for peer, each in effects.tells if peer == "a2"]
    return asks, tells


# ---- stamps


def test_a_node_that_is_behind_in_view_or_oldest_view_is_told_the_views() -> None:
    one = moved("a1")
    assert said(one, m.Heartbeat("id of a2"), OLDER) == ([], ["Views"])
    settled(one)
    assert said(one, m.Heartbeat("id of a2"), SAME) == ([], [])  # only just told
    effects = one.step("a2", m.Heartbeat("id of a2"), NOW + 1.01 + TOLD_EVERY_S, SAME)
    assert [type(message) for _, message in effects.tells] == [m.Views]


def test_a_node_that_is_ahead_is_greeted_and_will_tell() -> None:
    one = One()
    one.step("a2", m.Heartbeat("id of a2"))
    assert said(one, m.Heartbeat("id of a2"), SAME) == (["Heartbeat"], [])
    assert said(moved("a1"), m.Heartbeat("id of a2"), FLOOR) == (["Heartbeat"], [])


def test_every_greeting_says_what_is_lacking_and_what_is_held_for_others() -> None:
    def greeting(one: One, message: m.Message | events.LinkUp, epoch: m.Epoch) -> m.Heartbeat:
        asks = one.step("a2", message, NOW + 1, epoch).asks
        [heartbeat] = [
            each for peer, each in asks if peer == "a2" and isinstance(each, m.Heartbeat)
        ]
        return heartbeat

    one = moved("b2")
    whole = m.Heartbeat(one.replica.node_id, 2048, 2048)
    assert greeting(one, events.LinkUp("a2"), SAME) == whole
    assert greeting(moved("b2"), m.Heartbeat("id of a2"), FLOOR) == whole


def test_the_views_say_everything_that_a_node_must_know() -> None:
    one = moved("a1")
    effects = one.step("a2", m.Heartbeat("id of a2"), NOW + 1, OLDER)
    [told] = [message for _, message in effects.tells if isinstance(message, m.Views)]
    late = One("a2")
    late.step("a1", told, NOW + 1, SAME)
    assert late.replica.view == one.replica.view
    assert late.replica.views.history.oldest_view == one.replica.views.history.oldest_view
    assert late.replica.maintenance.incarnations.current("a1") == one.replica.node_id


BOUND = [
    m.Ack(1, ("x", 1)),
    m.Replicate(1, "a2", PEAR, ITEM, ("x", 1)),
    m.Fetch(1, PEAR),
    m.State(1, ITEM, DotClock({"x": 1}), [FIRST]),
    row(DotClock({"x": 1}), node_id="id of a2"),
    m.Pull(1, "id of a2", to_bytes(ALL), DotClock()),
    page_of_dots({PEAR: ITEM}, {("x", 1): PEAR}),
]


@pytest.mark.parametrize("message", BOUND, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("epoch", [OLDER, m.Epoch(ViewId(3, "p"), FIRST), FLOOR])
def test_what_counts_in_one_view_is_not_heard_from_another(
    message: m.Message, epoch: m.Epoch
) -> None:
    one = moved("a1")
    before = one.replica.keyspace.clock.copy()
    effects = one.step("a2", message, NOW + 1, epoch)
    assert effects.records == []
    assert {type(each) for _, each in (*effects.asks, *effects.tells)} <= {m.Heartbeat, m.Views}
    assert one.replica.keyspace.clock == before


PASSING = [
    (m.Accept(1, Put(PEAR, b"v")), "Written"),
    (m.Accept(1, Put("fig", b"v")), "NotOwner"),
    (CountKeys(1), "KeyCount"),
]


@pytest.mark.parametrize(("message", "answer"), PASSING)
@pytest.mark.parametrize("epoch", [OLDER, FLOOR])
def test_requests_pass_between_views(message: m.Message, answer: str, epoch: m.Epoch) -> None:
    one = moved("a1")
    assert answer in said(one, message, epoch)[1]


def test_answers_that_name_a_write_pass_too() -> None:
    """The home named it in its own view, and the client is told that it is there (0015)."""
    one = One("a1", first_view(["a1", "b1"], 2))
    [(home, _)] = one.submit(Put("fig", b"v")).asks
    named = m.Written(7, ("x", 1), Token(), Past(), False)
    [(request, outcome)] = one.step(home, named, NOW, SAME).relays
    assert isinstance(outcome, Stored)
    assert (request, outcome.acks) == (7, 1)


def test_a_state_by_another_oldest_view_is_worth_nothing() -> None:
    """The state may claim less than it would now, and name what is retired here."""
    one = moved("b2")
    one.submit(Get(PEAR))
    state = m.State(7, Item(), DotClock(), [FIRST, SECOND])
    assert not one.step("a1", state, NOW, FLOOR).replies
    assert one.step("a1", state, NOW, SAME).replies


# ---- strangers


def test_a_stranger_is_answered_like_every_node_while_it_can_be_heard() -> None:
    one = One()
    one.step("c9", m.Heartbeat("id of c9"), NOW, m.Epoch(NO_VIEW, NO_VIEW))
    assert one.replica.maintenance.gossip.peers == ["a2", "b1", "b2", "c9"]
    heartbeats = [peer for peer, _ in one.step("a1", events.Tick(), NOW + 1).asks]
    assert heartbeats == ["a2", "b1", "b2", "c9"]
    assert one.replica.maintenance.incarnations.current("c9") == "id of c9"
    later = [peer for peer, _ in one.step("a1", events.Tick(), NOW + UNLISTED_S + 1).asks]
    assert later == ["a2", "b1", "b2"]


def test_a_node_that_is_in_no_view_is_told_ours() -> None:
    effects = One().step("c9", m.Heartbeat("id of c9"), NOW, m.Epoch(NO_VIEW, NO_VIEW))
    [told] = [message for peer, message in effects.tells if isinstance(message, m.Views)]
    assert [view.id for view in told.views] == [FIRST]


def test_a_node_of_no_view_has_no_view_to_tell() -> None:
    one = Newcomer("c1", "a1")
    message = one.replica.views.message(m.Gossip({}, {}))
    assert message.views == []


# ---- incarnations and news


def test_news_are_told_when_there_are_some_and_now_and_then_without() -> None:
    one = One()

    def gossip(source: str, event: events.Event, now: float) -> list[str]:
        effects = one.step(source, event, now)
        return [peer for peer, message in effects.tells if isinstance(message, m.Gossip)]

    assert gossip("a2", m.Heartbeat("id of a2"), NOW) == ["a2", "b1", "b2"]
    assert gossip("a1", events.Tick(), NOW + GOSSIP_EVERY_S / 2) == []
    assert gossip("a1", events.Tick(), NOW + GOSSIP_EVERY_S) == ["a2", "b1", "b2"]


def test_of_a_settled_view_no_reports_travel() -> None:
    one = moved("b1")
    one.step("b1", events.Tick(), NOW + 1)
    assert one.replica.views.history.reports
    settled(one)
    effects = one.step("c1", m.Heartbeat("another"), NOW + 2)
    told = [message for _, message in effects.tells if isinstance(message, m.Gossip)]
    assert told
    assert all(message.reports == {} for message in told)


def test_heartbeats_say_how_much_a_node_lacks_and_holds_for_others() -> None:
    heartbeat = moved("b2").replica.maintenance.gossip.heartbeat()
    assert (heartbeat.lacking, heartbeat.leaving) == (2048, 2048)
    heartbeat = moved("a1").replica.maintenance.gossip.heartbeat()
    assert (heartbeat.lacking, heartbeat.leaving) == (0, 0)


def test_lives_that_are_heard_of_name_the_actors_that_are_refused() -> None:
    one = moved("a1")
    one.step("a2", m.Gossip({"a2": {"former": 1, "id of a2": 2}}, {}))
    assert list(one.replica.views.past_incarnations) == [actor_of(SECOND, "former")]
    other = replace(MOVED, number=3, ancestors=(FIRST, SECOND))
    one.step("a2", views(other))
    assert list(one.replica.views.past_incarnations) == [actor_of(other.id, "former")]


# ---- a known node may name (a new incarnation in the view of its settings)


def test_in_the_view_of_its_settings_a_node_names_nothing_before_a_shard_peer_has_heard_of_it() -> (
    None
):
    one = One()
    one.replica.views.is_known = False
    accept = m.Accept(1, Put(PEAR, b"v"))
    assert one.step("b1", accept).tells == [("b1", m.NotOwner(1))]
    incarnations = {"a1": {one.replica.node_id: 1}}
    one.step("b1", m.Gossip(incarnations, {}))  # no shard peer
    one.step("a2", m.Gossip(incarnations, {}), NOW, m.Epoch(SECOND, FIRST))  # of another view
    one.step("a2", m.Gossip({"a1": {"somebody": 1}}, {}))
    assert not one.replica.views.may_name()
    effects = one.step("a2", m.Gossip(incarnations, {}))
    assert [record.key for record in effects.records if record.key == "known"] == ["known"]
    assert isinstance(one.step("b1", replace(accept, attempt=2)).tells[-1][1], m.Written)


def test_where_a_shard_is_one_node_any_other_of_the_view_may_have_heard_of_it() -> None:
    """The others may have retired this view with an earlier incarnation: its writes would be
    lost."""
    one = One("a1", first_view(["a1", "b1", "c1"], 3))
    one.replica.views.is_known = False
    incarnations = {"a1": {one.replica.node_id: 1}}
    one.step("x9", m.Gossip(incarnations, {}))  # of no view
    one.step("b1", m.Gossip(incarnations, {}), NOW, m.Epoch(SECOND, FIRST))
    assert not one.replica.views.may_name()
    one.step("b1", m.Gossip(incarnations, {}))
    assert one.replica.views.may_name()


def test_it_is_known_after_a_restart_and_alone_it_always_is() -> None:
    one = One()
    one.replica.views.is_known = False
    incarnations = {"a1": {one.replica.node_id: 1}}
    one.step("a2", replace(row(DotClock(), node_id="id of a2"), incarnations=incarnations))
    one.step("a2", m.Heartbeat("id of a2"))
    one.step("a2", replace(row(DotClock(), node_id="id of a2"), incarnations=incarnations))
    again = One(rows=one.rows)
    assert one.rows.read("meta", "known")
    assert again.replica.views.may_name()
    alone = One("a1", first_view(["a1"], 1))
    alone.replica.views.is_known = False
    assert alone.replica.views.may_name()
