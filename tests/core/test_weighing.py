"""Fellows with equal clocks have equal hashes; who has not, and all others have, finds out where,
and takes over what it has lost.  Nobody is believed in what it lacks."""

from collections.abc import Callable

import pytest

from cluster.memory import write_rows
from node.core import messages as m
from node.core.clock import Clock
from node.core.effects import Effects, Record
from node.core.parts import ALL
from node.core.siblings import Item, Past, Version
from node.core.view import View, first_view
from node.core.walk import row_of
from node.core.weighing import PATIENCE_S, SURE_S
from tests.core.test_healing import damage, tick
from tests.core.test_replica import NOW, PEAR, One

PAIR = first_view(["a1", "a2"], 1)
TRIO = first_view(["a1", "a2", "a3"], 1)
KEYS = [f"key{n}" for n in range(40)]
LOST = KEYS[:5]
LATER = NOW + SURE_S + 1


class Shard:
    """Members that hold the same keys; what they tell each other is delivered by `talk`."""

    def __init__(self, view: View = TRIO) -> None:
        self.members = {node: One(node, view) for node in view.nodes}
        for one in self.members.values():
            for other, fellow in self.members.items():
                one.step(other, m.Beat(fellow.replica.node_id))
            one.arrive()
            one.replica.keyspace.save_parts()
            tick(one)
        home = self.members["a1"]
        for key in KEYS:
            put = m.Accept(home.replica.next_request(NOW), m.Put(key, key.encode()))
            for peer, message in home.step("a2", put).tells:
                if isinstance(message, m.Replicate):
                    self.members[peer].step("a1", message)

    def restart(self, node: str) -> One:
        """Its memory knows nothing any more, and all rows have been counted."""
        rows = self.members[node].rows
        self.members[node] = one = One(node, self.members[node].replica.view, rows)
        for other, fellow in self.members.items():
            one.step(other, m.Beat(fellow.replica.node_id))
        tick(one, NOW)
        return one

    def lose(self, node: str, *keys: str) -> One:
        """Rows of these keys have gone, while the node was down."""
        gone = [Record("item", row_of(key), None) for key in keys]
        write_rows(self.members[node].rows.tables, gone)
        return self.restart(node)

    def compare(self, now: float) -> list[m.Message]:
        """All tell all what they hold, until nobody has anything to say; what was said."""
        said: list[m.Message] = []
        for node, one in self.members.items():
            for other in self.members:
                if other != node:
                    compare = one.replica.upkeep._compare(answer=False)
                    said += self.talk(
                        other, node, self.members[other].step(node, compare, now), now
                    )
        return said

    def talk(self, node: str, source: str, effects: Effects, now: float) -> list[m.Message]:
        kinds = m.Pull | m.Page
        sent = [(p, s) for p, s in (*effects.asks, *effects.tells) if isinstance(s, kinds)]
        said: list[m.Message] = [message for _, message in sent]
        for peer, message in sent:
            said += self.talk(peer, node, self.members[peer].step(node, message, now), now)
        return said

    def settle(self, now: float = LATER) -> list[m.Message]:
        """Compare twice, so that a difference has lasted, and count anew what was repaired."""
        said = self.compare(NOW) + self.compare(now)
        for _ in range(len(LOST) + 1):
            for one in self.members.values():
                tick(one, now)
        return said

    def contents(self) -> set[str | None]:
        return {one.replica.keyspace.digests.content for one in self.members.values()}


def test_equals_have_nothing_to_look_for() -> None:
    shard = Shard()
    assert len(shard.contents()) == 1
    assert shard.settle() == []
    assert shard.members["a1"].replica.upkeep.weighing.unequal == {}


@pytest.mark.parametrize("view", [PAIR, TRIO])
def test_what_all_others_have_is_taken_over(view: View) -> None:
    shard = Shard(view)
    one = shard.lose("a2", *LOST)
    assert len(shard.contents()) == 2
    said = shard.settle()
    assert len(said) < 2 * (1 + 2 * 12 * len(LOST))  # by halving: twelve questions a slot, not 4096
    assert len(shard.contents()) == 1
    assert one.replica.upkeep.healing.found == one.replica.upkeep.healing.repaired == len(LOST)
    assert [one.replica.keyspace.item(key).winner() for key in LOST]
    shard.compare(LATER + 9)
    assert all(not one.replica.upkeep.weighing.unequal for one in shard.members.values())


def test_only_who_is_alone_looks_for_it() -> None:
    shard = Shard()
    shard.lose("a2", *LOST)
    shard.compare(NOW)
    said = shard.members["a1"], shard.members["a3"]
    assert [list(one.replica.upkeep.weighing.unequal) for one in said] == [["a2"], ["a2"]]
    shard.compare(LATER)
    assert [one.replica.upkeep.weighing._search for one in said] == [None, None]


def test_where_all_differ_nobody_takes_anything() -> None:
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
    """The newer version wins; where only one fellow says so, the older stays beside it."""
    shard = Shard(view)
    old = shard.members["a2"].rows.tables["item"][row_of(KEYS[0])]
    put = m.Accept(shard.members["a1"].replica.next_request(NOW), m.Put(KEYS[0], b"newer"))
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
    """Slots with other pasts, as after a change of the view."""
    shard = Shard()
    shard.lose("a2", *LOST)
    apart = sum(1 << slot for slot in range(2048))
    for one in shard.members.values():
        one.replica.keyspace.parts.join(apart, Clock({"z": 1}), ())
        assert len(one.replica.keyspace.parts) == 2
    shard.settle()
    shard.settle(LATER + 9)
    assert len(shard.contents()) == 1


def nothing_whole(one: One) -> None:
    one.replica.keyspace.digests._upto = "000"


def something_open(one: One) -> None:
    one.replica.keyspace.open_keys["k"] = None


def something_withheld(one: One) -> None:
    one.replica.keyspace.parts.withheld["x", 1] = "k"


def something_reached(one: One) -> None:
    one.replica.keyspace.reached.add(ALL, Clock({"x": 9}), "fff")


def something_damaged(one: One) -> None:
    damage(one, KEYS[9])
    one.submit(m.Peek(KEYS[9]))


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
    assert all(held.content for held in one.replica.upkeep._compare(answer=False).holdings)
    unlike(one)
    assert not any(held.content for held in one.replica.upkeep._compare(answer=False).holdings)


def test_other_clocks_may_have_other_hashes() -> None:
    shard = Shard()
    one = shard.members["a2"]
    new = Item({("x", 1): Version(b"new")}, Past({"x": 1}))
    one.step("a2", m.Mend(PEAR, new))
    pulls = [said for said in shard.compare(LATER) if isinstance(said, m.Pull)]
    assert all(pull.exchange > 0 for pull in pulls)  # repair sees to that
    assert one.replica.upkeep.weighing.unequal == {}


def test_who_is_no_fellow_is_not_compared_with() -> None:
    one = One()
    one.arrive()
    one.step("b1", m.Beat("id of b1"))
    one.step("b1", m.Compare("id of b1", [], {}, [], [], False))
    assert one.replica.upkeep.weighing._last == {}


# ---- a search that comes to nothing


def searching(shard: Shard) -> tuple[One, m.Pull]:
    """One that has lost rows and has just asked where."""
    one = shard.lose("a2", *LOST)
    compares = [
        (node, other.replica.upkeep._compare(answer=False))
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


def test_it_is_given_up_when_nobody_answers() -> None:
    one, _ = searching(Shard())
    assert one.replica.upkeep.weighing._search is not None
    tick(one, LATER + PATIENCE_S + 0.1)
    assert one.replica.upkeep.weighing._search is None


def test_it_is_given_up_when_something_has_been_written() -> None:
    shard = Shard()
    one, pull = searching(shard)
    page = answer(shard, pull)
    one.replica.keyspace.note(("x", 1), PEAR)
    assert one.step("a1", page, LATER).asks == []
    assert one.replica.upkeep.weighing._search is None


def test_pages_that_nobody_has_asked_for_are_passed_over() -> None:
    shard = Shard()
    one, pull = searching(shard)
    page = answer(shard, pull)
    assert one.step("a3", page, LATER).asks == []
    assert one.replica.upkeep.weighing._search is not None


def test_it_ends_with_the_view() -> None:
    one, _ = searching(Shard())
    one.replica.upkeep.weighing.enter()
    assert one.replica.upkeep.weighing._search is None


def test_a_damaged_row_of_the_slot_is_left_to_healing() -> None:
    shard = Shard()
    one, _ = searching(shard)
    one.replica.upkeep.weighing.enter()
    rows = {row_of(KEYS[9]): shard.members["a1"].rows.tables["item"][row_of(KEYS[9])][0]}
    damage(one, KEYS[9])
    page = m.Page(
        1,
        b"",
        Clock(),
        Past(),
        {},
        rows,
        {},
        full=True,
        last=True,
        after=None,
        upto=None,
        claims=[],
    )
    one.replica.upkeep.weighing._take_rows(page, "a1")
    assert list(one.replica._turn.suspects) == [row_of(KEYS[9])]
