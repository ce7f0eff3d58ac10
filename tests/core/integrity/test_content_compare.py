"""Shard peers with equal clocks compare hashes of their content.

A node whose hash differs from all others' finds out where, and takes over what it has lost.  It
takes versions from a peer, and never the lack of one.
"""

from collections.abc import Callable

import pytest

from node.core.integrity.content_compare import PATIENCE_S, SURE_S
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import row_of
from node.core.model.placement import first_view
from node.core.model.slots import ALL
from node.core.model.view import View
from node.core.protocol import messages as m
from node.core.protocol.operations import Peek, Put
from tests.core.damage import damage, tick
from tests.core.one import NOW, PEAR, One
from tests.core.shards import KEYS, LATER, LOST, TRIO, Shard

PAIR = first_view(["a1", "a2"], 1)


def test_equals_have_nothing_to_look_for() -> None:
    shard = Shard()
    assert len(shard.contents()) == 1
    assert shard.settle() == []
    assert shard.members["a1"].replica.maintenance.content_compare.unequal == {}


@pytest.mark.parametrize("view", [PAIR, TRIO])
def test_what_all_others_have_is_taken_over(view: View) -> None:
    shard = Shard(view)
    one = shard.lose("a2", *LOST)
    assert len(shard.contents()) == 2
    said = shard.settle()
    assert len(said) < 2 * (1 + 2 * 12 * len(LOST))  # by halving: twelve questions a slot, not 4096
    assert len(shard.contents()) == 1
    assert (
        one.replica.maintenance.row_repair.found
        == one.replica.maintenance.row_repair.repaired
        == len(LOST)
    )
    assert [one.replica.keyspace.item(key).winner() for key in LOST]
    shard.compare(LATER + 9)
    assert all(
        not one.replica.maintenance.content_compare.unequal for one in shard.members.values()
    )


def test_only_a_node_that_is_alone_looks_for_it() -> None:
    shard = Shard()
    shard.lose("a2", *LOST)
    shard.compare(NOW)
    said = shard.members["a1"], shard.members["a3"]
    assert [list(one.replica.maintenance.content_compare.unequal) for one in said] == [
        ["a2"],
        ["a2"],
    ]
    shard.compare(LATER)
    assert [one.replica.maintenance.content_compare._search for one in said] == [None, None]


def test_where_all_differ_no_member_takes_anything() -> None:
    shard = Shard()
    shard.lose("a1", KEYS[0])
    shard.lose("a2", KEYS[1])
    shard.lose("a3", KEYS[2])
    assert shard.settle() == []
    assert len(shard.contents()) == 3


def test_two_that_have_lost_different_rows_help_each_other() -> None:
    shard = Shard(PAIR)
    shard.lose("a1", KEYS[0])
    shard.lose("a2", KEYS[1])
    shard.settle()
    shard.settle(LATER + 9)
    assert len(shard.contents()) == 1
    assert shard.members["a1"].replica.keyspace.live_keys == len(KEYS)


@pytest.mark.parametrize("view", [PAIR, TRIO])
def test_of_an_older_row_nothing_acknowledged_is_lost(view: View) -> None:
    """The newer version wins; if only one peer has it, the older one stays beside it."""
    shard = Shard(view)
    old = shard.members["a2"].rows.tables["item"][row_of(KEYS[0])]
    put = m.Accept(shard.members["a1"].replica.next_request(NOW), Put(KEYS[0], b"newer"))
    for peer, message in shard.members["a1"].step("a2", put).tells:
        if isinstance(message, m.Replicate):
            shard.members[peer].step("a1", message)
    shard.members["a2"].rows.tables["item"][row_of(KEYS[0])] = old
    shard.restart("a2")
    shard.settle()
    shard.settle(LATER + 9)
    assert len(shard.contents()) == 1
    for one in shard.members.values():
        item = one.replica.keyspace.item(KEYS[0])
        winner = item.winner()
        assert winner is not None
        assert item.versions[winner].value == b"newer"
        assert len(item.versions) == (2 if view is PAIR else 1)


def test_a_difference_that_does_not_last_is_none() -> None:
    shard = Shard()
    shard.lose("a2", KEYS[0])
    shard.compare(NOW)
    assert shard.compare(NOW + SURE_S / 2) == []


def test_of_several_parts_one_that_differs_counts() -> None:
    """The slots have different pasts, as after a change of the view."""
    shard = Shard()
    shard.lose("a2", *LOST)
    apart = sum(1 << slot for slot in range(2048))
    for one in shard.members.values():
        one.replica.keyspace.parts.join(apart, DotClock({"z": 1}), ())
        assert len(one.replica.keyspace.parts) == 2
    shard.settle()
    shard.settle(LATER + 9)
    assert len(shard.contents()) == 1


def nothing_whole(one: One) -> None:
    one.replica.keyspace.content_hashes._upto = "000"


def something_open(one: One) -> None:
    one.replica.keyspace.open_keys.unsettled["k"] = None


def something_withheld(one: One) -> None:
    one.replica.keyspace.parts.withheld["x", 1] = "k"


def something_reached(one: One) -> None:
    one.replica.keyspace.transfers.add(ALL, DotClock({"x": 9}), "fff")


def something_damaged(one: One) -> None:
    damage(one, KEYS[9])
    one.submit(Peek(KEYS[9]))


def not_arrived(one: One) -> None:
    for part in one.replica.keyspace.parts:
        part.answers = False


@pytest.mark.parametrize(
    "unlike",
    [
        nothing_whole,
        something_open,
        something_withheld,
        something_reached,
        something_damaged,
        not_arrived,
    ],
)
def test_a_hash_is_told_only_where_equal_clocks_mean_equal_hashes(
    unlike: Callable[[One], None],
) -> None:
    one = Shard().members["a1"]
    assert all(
        held.content
        for held in one.replica.maintenance.anti_entropy.compare("a2", answer=False).summaries
    )
    unlike(one)
    assert not any(
        held.content
        for held in one.replica.maintenance.anti_entropy.compare("a2", answer=False).summaries
    )


def test_other_clocks_may_have_other_hashes() -> None:
    shard = Shard()
    one = shard.members["a2"]
    new = Item({("x", 1): Version(b"new")}, Past({"x": 1}))
    one.step("a2", m.ReadRepair(PEAR, new))
    pulls = [said for said in shard.compare(LATER) if isinstance(said, m.Pull)]
    assert all(pull.exchange > 0 for pull in pulls)  # repair sees to that
    assert one.replica.maintenance.content_compare.unequal == {}


def test_a_node_of_another_shard_is_not_compared_with() -> None:
    one = One()
    one.arrive()
    one.step("b1", m.Heartbeat("id of b1"))
    one.step("b1", m.Compare("id of b1", [], {}, [], [], False))
    assert one.replica.maintenance.content_compare._last == {}


# ---- a search that comes to nothing


def searching(shard: Shard) -> tuple[One, m.Pull]:
    """Return a member that has lost rows and has just asked where."""
    one = shard.lose("a2", *LOST)
    compares = [
        (node, other.replica.maintenance.anti_entropy.compare("a2", answer=False))
        for node, other in shard.members.items()
        if node != "a2"
    ]
    pulls: list[m.Pull] = []
    for now in (NOW, LATER):
        for node, compare in compares:
            asks = one.step(node, compare, now).asks
            pulls += [ask for _, ask in asks if isinstance(ask, m.Pull)]
    return one, pulls[-1]


def answer(shard: Shard, pull: m.Pull) -> m.Page:
    [(_, page)] = shard.members["a1"].step("a2", pull, LATER).tells
    assert isinstance(page, m.Page)
    return page


def test_it_is_given_up_when_no_peer_answers() -> None:
    one, _ = searching(Shard())
    assert one.replica.maintenance.content_compare._search is not None
    tick(one, LATER + PATIENCE_S + 0.1)
    assert one.replica.maintenance.content_compare._search is None


def test_it_is_given_up_when_something_has_been_written() -> None:
    shard = Shard()
    one, pull = searching(shard)
    page = answer(shard, pull)
    one.replica.keyspace.note(("x", 1), PEAR)
    assert one.step("a1", page, LATER).asks == []
    assert one.replica.maintenance.content_compare._search is None


def test_pages_that_were_not_asked_for_are_passed_over() -> None:
    shard = Shard()
    one, pull = searching(shard)
    page = answer(shard, pull)
    assert one.step("a3", page, LATER).asks == []
    assert one.replica.maintenance.content_compare._search is not None


def test_it_ends_with_the_view() -> None:
    one, _ = searching(Shard())
    one.replica.maintenance.content_compare.on_view()
    assert one.replica.maintenance.content_compare._search is None


def test_a_damaged_row_of_the_slot_is_left_to_healing() -> None:
    shard = Shard()
    one, _ = searching(shard)
    one.replica.maintenance.content_compare.on_view()
    rows = {row_of(KEYS[9]): shard.members["a1"].rows.tables["item"][row_of(KEYS[9])][0]}
    damage(one, KEYS[9])
    page = m.RowPage(1, b"", DotClock(), [], "", None, rows, {}, Past())
    one.replica.maintenance.content_compare._take_rows(page, "a1")
    assert list(one.replica._step.suspects) == [row_of(KEYS[9])]
