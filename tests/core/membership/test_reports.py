"""A node counts a report only if it knows all views of the reporting node.

Only such a node waits for the nodes of all these views (protocol R7; docs/decisions/0030).
"""

from node.core.model.placement import first_view
from node.core.model.view import FIRST, View, ViewId, no_view
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects
from tests.core.moves import MOVED, SECOND, THIRD, view_at, views
from tests.core.one import NOW, One

MISSED = view_at(ViewId(2, "a"), "a1", "s2")  # below MOVED
REPORTS = {"id of a2": SECOND}
EPOCH = m.Epoch(SECOND, FIRST)


def in_both(*some: View) -> One:
    """Return b1 in MOVED, with these other views."""
    one = One("b1")
    for node in ("a1", "a2", "b2"):
        one.step(node, m.Heartbeat(f"id of {node}"))
    one.step("a1", views(*some, MOVED))
    return one


def tell(one: One, *known: ViewId, now: float = NOW, epoch: m.Epoch = EPOCH) -> Effects:
    """Let a2 tell its report, and which views it knows."""
    return one.step("a2", m.Gossip({}, {}, REPORTS, views=list(known)), now, epoch)


def reports(one: One) -> dict[str, ViewId]:
    """Return the others' reports that count here."""
    heard = one.replica.views.history.reports
    return {node: view for node, view in heard.items() if node != one.replica.node_id}


def told(effects: Effects) -> list[tuple[str, list[ViewId]]]:
    """Return the nodes to which Views went, and the views."""
    return [
        (peer, [view.id for view in message.views])
        for peer, message in effects.tells
        if isinstance(message, m.Views)
    ]


def test_a_report_waits_for_the_views_of_its_node() -> None:
    one = in_both()
    tell(one, FIRST, MISSED.id, SECOND)
    assert reports(one) == {}
    one.step("a2", views(MISSED, MOVED, reports=REPORTS))
    assert reports(one) == REPORTS
    one = in_both(MISSED)
    tell(one, FIRST, MISSED.id, SECOND)
    assert reports(one) == REPORTS


def test_a_retired_view_need_not_be_known() -> None:
    one = in_both()
    one.replica.views.history.reports[one.replica.node_id] = SECOND
    one.step("a1", views(MOVED, view_at(THIRD, "a1", "s2", (SECOND,)), oldest_view=SECOND))
    one.step("a2", m.Gossip({}, {}, {"id of a2": THIRD}, views=[FIRST, MISSED.id, SECOND, THIRD]))
    assert reports(one) == {"id of a2": THIRD}


def test_a_node_of_our_view_that_lacks_another_is_told_of_it() -> None:
    one = in_both(MISSED)
    assert told(tell(one, FIRST, SECOND, now=NOW + 1)) == [("a2", [FIRST, MISSED.id, SECOND])]
    assert told(tell(one, FIRST, SECOND, now=NOW + 1.01)) == []  # just told
    assert told(tell(one, FIRST, MISSED.id, SECOND, now=NOW + 2)) == []


def test_news_of_a_settled_view_names_no_views() -> None:
    settled = One("b1").step("a2", m.Heartbeat("id of a2"))
    assert {tuple(message.views) for _, message in settled.tells if type(message) is m.Gossip} == {
        ()
    }


def test_what_a_node_without_a_view_hears_of_reports_counts_for_nothing_later() -> None:
    view = first_view(["a1", "a2", "b1", "b2"], 2)
    one = One("b1", no_view(view.nodes))
    tell(one, FIRST, MISSED.id, SECOND)
    assert reports(one) == REPORTS  # it shows that there is a view
    one.step("a1", views(view, MOVED, reports={"id of a1": SECOND}))
    assert reports(one) == {"id of a1": SECOND}
