"""The highest view that a node has heard of is the current one; it forgets retired views."""

import msgspec
from hypothesis import given, strategies as st
from msgspec.structs import replace

from node.core.membership.view_history import AHEAD_MAX, SavedViews, ViewHistory
from node.core.model.placement import first_view
from node.core.model.policies import Policy
from node.core.model.view import FIRST, NO_VIEW, Layout, View, ViewId, no_view

NODES = ("x", "y", "z")
LAYOUT = first_view(NODES, 1).layout


def view_at(number: int, proposer: str = "p", nodes: tuple[str, ...] = NODES) -> View:
    return View(number, nodes, LAYOUT.shards, LAYOUT.owner, proposer)


def history(*views: View, oldest_view: ViewId = FIRST) -> ViewHistory:
    first = first_view(NODES, 1)
    return ViewHistory(SavedViews([first, *views], oldest_view, {}, [], joining=False))


names = st.tuples(st.integers(2, 5), st.sampled_from("pqr"))


@given(st.lists(st.lists(names, max_size=3, unique=True), max_size=5))
def test_the_highest_is_current_and_each_is_adopted_or_skipped_once(
    letters: list[list[tuple[int, str]]],
) -> None:
    known, seen = history(), {FIRST}
    accounted: list[ViewId] = []
    for envelope in letters:
        views = [view_at(*name) for name in envelope]
        before = known.current.id
        newest, skipped = known.learn(views, FIRST)
        seen.update(view.id for view in views)
        assert known.current.id == max(seen)
        assert (newest is not None) == (known.current.id > before)
        assert newest is None or newest is known.current
        accounted += [view.id for view in skipped] + ([newest.id] if newest else [])
    assert sorted(accounted) == sorted(seen - {FIRST})
    assert set(known.views) == seen


def test_views_are_ordered_by_number_then_by_proposer() -> None:
    assert NO_VIEW < FIRST < ViewId(1, "a") < ViewId(1, "b") < ViewId(2, "") < ViewId(10, "")
    assert (str(FIRST), str(ViewId(3, "Zz90"))) == ("1", "3.Zz90")


def test_a_view_below_the_oldest_view_is_never_learned_again() -> None:
    known = history(view_at(2), view_at(3))
    assert known.raise_oldest_view(ViewId(3, "p"))
    assert list(known.views) == [ViewId(3, "p")]
    assert known.learn([view_at(2), view_at(2, "q"), first_view(NODES, 1)], FIRST) == (None, [])
    assert known.learn([view_at(3, "a")], FIRST) == (None, [])  # lower than the oldest view, too


def test_a_node_that_hears_of_a_higher_oldest_view_does_not_learn_what_is_below() -> None:
    known = history()
    newest, skipped = known.learn([view_at(2), view_at(4)], ViewId(4, "p"))
    assert newest is not None
    assert (newest.id, skipped) == (ViewId(4, "p"), [])


def test_no_view_is_not_learned() -> None:
    assert history().learn([no_view(NODES)], NO_VIEW) == (None, [])


def test_the_oldest_view_only_rises_and_never_above_the_current_view() -> None:
    known = history(view_at(2), view_at(3))
    assert not known.raise_oldest_view(FIRST)
    assert known.raise_oldest_view(ViewId(9, "p"))
    assert known.oldest_view == known.current.id == ViewId(3, "p")
    assert known.settled
    assert not known.raise_oldest_view(ViewId(2, "p"))


def test_a_store_needs_the_current_view_and_what_led_to_it() -> None:
    second, rival = view_at(2), view_at(2, "q")
    third = replace(view_at(3), ancestors=(FIRST, second.id))
    known = history(second, rival, third)
    assert known.need() == {FIRST, second.id, third.id}  # the rival led to nothing
    known.raise_oldest_view(second.id)
    assert known.need() == {second.id, third.id}
    known.raise_oldest_view(third.id)
    assert known.need() == {third.id}


def test_nodes_and_owners_of_all_known_views_the_newest_first() -> None:
    owner = LAYOUT.owner
    [shard] = LAYOUT.shards
    other = replace(shard, members=("w", "y"))
    known = history(View(2, ("w", "y"), (other,), owner, "p"))
    assert known.nodes() == ["w", "y", "x", "z"]
    assert known.owners(7) == ["w", "y", "x", "z"]
    known.raise_oldest_view(ViewId(2, "p"))
    assert known.owners(7) == ["w", "y"]


def test_no_view_has_no_owners() -> None:
    known = ViewHistory(ViewHistory.begin(no_view(NODES), joining=True))
    assert known.owners(7) == []
    assert known.nodes() == list(NODES)
    assert known.joining
    assert known.oldest_view == NO_VIEW


def test_a_proposal_is_above_all_that_are_known_and_names_them() -> None:
    known = history(view_at(2), view_at(4, "q"))
    made = known.propose(LAYOUT, "the id of a node", 3, ("i", "", "j"))
    assert made.number == 5
    assert made.ancestors == (FIRST, ViewId(2, "p"), ViewId(4, "q"))
    assert made.layout == Layout(NODES, LAYOUT.shards, LAYOUT.owner)
    assert [made.id_at(node) for node in (*NODES, "w")] == ["i", "", "j", ""]
    assert made.proposer
    assert known.propose(LAYOUT, "another id", 3, ()).id != made.id
    assert known.propose(LAYOUT, "the id of a node", 9, ()).number == 9
    assert known.current.number == 4  # not learned by being made


# ------------------------------------------------------------------ where nodes are


def called(number: int, *addresses: str) -> View:
    """Return a view of the nodes x, y and z at these addresses."""
    return replace(view_at(number), addresses=addresses)


def test_a_node_is_where_its_name_says_unless_views_say_more() -> None:
    assert [history(view_at(2)).where(node) for node in (*NODES, "w")] == [*NODES, ""]
    known = history(called(2, "x:1", "y:1", "z:1"), called(3, "x:2", "y:1", ""))
    assert [known.where(node) for node in (*NODES, "w")] == ["x:2", "y:1", "z:1", ""]


def test_before_a_view_a_node_is_where_a_wish_says() -> None:
    known = ViewHistory(ViewHistory.begin(no_view(()), joining=False))
    assert known.where("x") == ""
    known.requested = called(1, "x:1", "y:1", "z:1").layout
    assert known.where("x") == "x:1"
    assert known.learn([called(1, "x:2", "y:1", "z:1")], NO_VIEW)[0] is not None
    assert known.where("x") == "x:2"


def test_a_proposal_that_says_no_addresses_leaves_the_nodes_where_they_are() -> None:
    known = history(called(2, "x:1", "y:1", "z:1"))
    elsewhere = called(9, "x:2", "y:1", "z:1").layout
    assert known.propose(elsewhere, "i", 3, ()).addresses == ("x:2", "y:1", "z:1")
    fewer = replace(LAYOUT, nodes=("z", "w", "x"))
    assert known.propose(fewer, "i", 3, ()).addresses == ("z:1", "", "x:1")
    known.learn([replace(called(3, "z:2", ""), nodes=("z", "x"))], FIRST)
    assert known.propose(LAYOUT, "i", 4, ()).addresses == ("", "y:1", "z:2")
    assert history(view_at(2)).propose(fewer, "i", 3, ()).addresses == ()


def test_a_restart_knows_the_same() -> None:
    known = history(view_at(2), view_at(3))
    known.raise_oldest_view(ViewId(2, "p"))
    known.reports["i"] = ViewId(3, "p")
    known.lost.add("j")
    again = ViewHistory(
        msgspec.msgpack.decode(msgspec.msgpack.encode(known.saved()), type=SavedViews)
    )
    assert again.saved() == known.saved()
    assert (again.views, again.oldest_view) == (known.views, known.oldest_view)
    assert (again.reports, again.lost, again.joining) == ({"i": ViewId(3, "p")}, {"j"}, False)


def test_the_first_view_begins_settled_and_no_view_does_not() -> None:
    assert ViewHistory(ViewHistory.begin(first_view(NODES, 1), joining=False)).settled
    later = ViewHistory(ViewHistory.begin(view_at(2), joining=False))
    assert later.oldest_view == NO_VIEW
    assert not later.settled


def test_policies_stay_unless_the_layout_has_others() -> None:
    rules = (Policy("carts/", "union"),)
    known = history()
    ruled = known.propose(replace(LAYOUT, policies=rules), "p", 1, ())
    assert ruled.policies == rules
    known.learn([ruled], FIRST)
    assert known.propose(LAYOUT, "p", 1, ()).policies == rules
    assert known.propose(replace(LAYOUT, policies=()), "p", 1, ()).policies == ()


def test_a_proposal_is_above_a_view_that_a_token_names() -> None:
    known = history()
    known.hear_of(ViewId(4, "zz"))
    known.hear_of(ViewId(3, "zz"))
    assert known.propose(LAYOUT, "p", 1, ()).number == 5
    known.hear_of(ViewId(FIRST.number + AHEAD_MAX + 1, "zz"))  # made up
    assert known.propose(LAYOUT, "p", 1, ()).number == 5
