"""No node waits for an address that a view names and that no node has ever heard of.

Nodes do wait for a node that may have taken part in a view (docs/decisions/0030).
"""

import pytest
from msgspec.structs import replace

from node.core.model.placement import with_node, without
from node.core.model.view import FIRST, NO_VIEW, View, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from tests.core.moves import views
from tests.core.one import VIEW, One

SECOND, THIRD = ViewId(2, "p"), ViewId(3, "p")
TYPO = "typo"
OTHERS = ("a2", "b1", "b2")
IDS = tuple(f"id of {node}" for node in OTHERS)


def a_view(name: ViewId, *nodes: str, ancestors: tuple[ViewId, ...] = (FIRST,)) -> View:
    """Return the first view with these additional nodes in no shard."""
    layout = VIEW.layout
    for node in nodes:
        layout = with_node(layout, node)
    shape = (layout.nodes, layout.shards, layout.owner)
    return View(name.number, *shape, name.proposer, (), ancestors)


NAMING = a_view(SECOND, TYPO)
AFTER = a_view(THIRD, ancestors=(FIRST, SECOND))


class Watcher(One):
    """a1, which has heard of all others, and knows both views.

    One view names the wrong address, and the other one does so no more.
    """

    def __init__(self, *some: View) -> None:
        super().__init__()
        for node, node_id in zip(OTHERS, IDS, strict=True):
            self.step(node, m.Heartbeat(node_id))
        self.step("a2", views(*(some or (NAMING, AFTER))))

    def hears(
        self, *reporters: str, incarnations: object = None, lost: tuple[str, ...] = ()
    ) -> Effects:
        """Let it hear that the nodes with these ids have left their past to the current owners."""
        view_id = self.replica.view.id
        reports = dict.fromkeys((*reporters, self.replica.node_id), view_id)
        assert incarnations is None or isinstance(incarnations, dict)
        self.replica.views.history.reports[self.replica.node_id] = view_id
        return self.step("a2", m.Gossip(incarnations or {}, {}, reports, list(lost)))

    @property
    def waits_for(self) -> list[str]:
        return self.replica.views.waited_for()


def test_an_address_that_no_node_has_heard_of_is_given_up_with_the_last_report() -> None:
    one = Watcher()
    one.hears(*IDS[:2])
    assert one.waits_for == ["b2"]
    one.hears(*IDS)
    assert one.replica.views.history.settled


def test_one_that_a_node_has_heard_of_is_waited_for() -> None:
    one = Watcher()
    one.hears(*IDS, incarnations={TYPO: {"id of typo": 1}})
    assert one.waits_for == [TYPO]
    assert not one.replica.views.history.settled
    one.hears(*IDS, "id of typo")
    assert one.replica.views.history.settled


def test_one_that_is_in_the_view_may_come_yet() -> None:
    one = Watcher(NAMING)
    one.hears(*IDS)
    assert one.waits_for == [TYPO]


@pytest.mark.parametrize("root", [FIRST, ViewId(1, "q")], ids=["settings", "an order"])
def test_a_view_without_ancestors_may_have_been_given_to_others(root: ViewId) -> None:
    """None of our nodes has told such a node its view."""
    naming = a_view(root, TYPO, ancestors=())
    one = One()
    for node, node_id in zip(OTHERS, IDS, strict=True):
        one.step(node, m.Heartbeat(node_id))
    history = one.replica.views.history
    history.views[root] = naming
    one.step("a2", views(a_view(THIRD, ancestors=(FIRST, root)), oldest_view=NO_VIEW))
    history.reports[one.replica.node_id] = THIRD
    one.step("a2", m.Gossip({}, {}, dict.fromkeys((*IDS, one.replica.node_id), THIRD)))
    assert one.replica.views.waited_for() == [TYPO]


def test_a_node_that_is_declared_lost_may_have_told_it() -> None:
    one = Watcher()
    one.hears(*IDS[:2], lost=(IDS[2],))
    assert one.waits_for == [TYPO]
    one.hears(*IDS[:2], lost=(IDS[2], f"@{TYPO}"))
    assert one.replica.views.history.settled


# ---- a node of which no other could tell takes no part


def told_of_views(effects: Effects) -> tuple[list[str], list[str]]:
    """Return the nodes that are told views at once, and those that are told after the disk."""
    asked, told = (
        [peer for peer, message in sent if isinstance(message, m.Views)]
        for sent in (effects.asks, effects.tells)
    )
    return asked, told


def test_a_view_is_told_to_no_node_of_unknown_life() -> None:
    one = One()
    one.step("a2", m.Heartbeat(IDS[0]))
    effects = one.step("a2", views(replace(NAMING, ids=("", IDS[0], "", "", ""))))
    assert told_of_views(effects) == (["a2"], [])
    assert told_of_views(one.step(TYPO, events.LinkUp(TYPO))) == ([], [])


def test_and_after_the_disk_where_no_view_says_that_life() -> None:
    one = One()
    for node, node_id in zip(OTHERS, IDS, strict=True):
        one.step(node, m.Heartbeat(node_id))
    one.step(TYPO, m.Heartbeat("id of typo"))
    assert told_of_views(one.step("a2", views(NAMING))) == ([], [*OTHERS, TYPO])


def test_a_node_that_says_for_the_first_time_that_it_lives_is_told_after_the_disk() -> None:
    one = Watcher(NAMING)
    effects = one.step(TYPO, m.Envelope(m.Epoch(), m.Heartbeat("id of typo")))
    assert told_of_views(effects) == ([], [TYPO])
    assert "lives" in [record.key for record in effects.records]


def test_a_node_that_is_not_waited_for_tells_no_other() -> None:
    """A newcomer is in no view, so no node asks what it knows when the view is retired."""
    gone = without(VIEW, "a1")
    second = View(2, gone.nodes, gone.shards, gone.owner, "p", (), (FIRST,))
    one = Watcher(second)
    views = one.replica.views
    views.history.views = {SECOND: second}
    views.history._nodes = []
    effects = one.step(TYPO, m.Envelope(m.Epoch(), m.Heartbeat("id of typo")))
    assert told_of_views(effects) == ([], [])
