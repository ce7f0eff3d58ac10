"""A read of one replica is followed by a check where an owner may lack what it has shown."""

from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of, row_of
from node.core.model.placement import first_view
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Get
from node.core.requests.coverage import need_of
from node.core.requests.read_check import AGAIN_S, CHECK_EVERY_S, ON_ITS_WAY_S
from tests.core import damage
from tests.core.mends import mends, state
from tests.core.one import NOW, PEAR, One

THREE = first_view(["a1", "a2", "a3"], 1)
PLUM = "plum"
CHECKS = Get(PEAR, Mode.SIBLINGS, check=True)
OLD_MS = int(NOW * 1000) - int(ON_ITS_WAY_S * 1000) - 1
OLD = Item({("x", 1): Version(b"old", timestamp=(OLD_MS, 0, "x"))}, Past({"x": 1}))
OTHER = Item({("y", 1): Version(b"other", timestamp=(OLD_MS, 0, "y"))}, Past({"y": 1}))
LATER = Item({("x", 2): Version(b"later", timestamp=(OLD_MS, 0, "x"))}, Past({"x": 2}))
JUST_NOW = Item({("x", 2): Version(b"new", timestamp=(OLD_MS + 2, 0, "x"))}, Past({"x": 2}))
DELETED = Item({("x", 2): Version(None, timestamp=(OLD_MS, 0, "x"))}, Past({"x": 2}))


def member(item: Item = OLD) -> One:
    """Return a member of the shard with two peers, which holds this of the key."""
    one = One("a1", THREE)
    one.arrive()
    hold(one, PEAR, item)
    return one


def hold(one: One, key: str, item: Item) -> None:
    one.replica.keyspace.take(key, item, (), NOW)
    one.rows.apply(one.replica._step.records)


def hear(one: One, now: float) -> None:
    """Let both peers be reachable now."""
    for peer in ("a2", "a3"):
        one.step("a1", events.LinkUp(peer), now)


def asked(effects: Effects) -> list[str]:
    return [peer for peer, message in effects.asks if isinstance(message, m.Fetch)]


def test_the_other_owners_are_asked_after_the_answer_and_those_behind_are_told() -> None:
    one = member()
    effects = one.submit(CHECKS)
    assert len(effects.replies) == 1
    assert asked(effects) == ["a2", "a3"]
    assert mends(one.step("a2", state(OLD))) == []
    [(behind, told)] = mends(one.step("a3", state(Item())))
    assert (behind, told.item.versions) == ("a3", OLD.versions)


def test_what_another_owner_has_comes_in_here() -> None:
    one = member()
    one.submit(CHECKS)
    assert [peer for peer, _ in mends(one.step("a2", state(Item())))] == ["a2"]
    told = mends(one.step("a3", state(LATER)))
    assert [peer for peer, _ in told] == ["a2"]
    assert one.replica.peek(PEAR).versions.keys() == {("x", 2)}


def test_a_delete_is_checked_as_well() -> None:
    assert asked(member(DELETED).submit(CHECKS)) == ["a2", "a3"]


def test_a_read_that_does_not_want_it_checks_nothing() -> None:
    assert asked(member().submit(Get(PEAR, Mode.SIBLINGS))) == []


def test_a_version_that_may_be_on_its_way_is_not_checked() -> None:
    assert asked(member(JUST_NOW).submit(CHECKS)) == []
    assert asked(member(Item()).submit(CHECKS)) == []


def test_what_all_owners_are_known_to_have_is_not_checked() -> None:
    one = member()
    one.replica.keyspace.watermarks.cluster["x"] = 1
    assert asked(one.submit(CHECKS)) == []


def test_there_is_a_moment_between_two_checks() -> None:
    one, plum = member(), Get(PLUM, Mode.SIBLINGS, check=True)
    hold(one, PLUM, OTHER)
    one.submit(CHECKS, 1)
    assert asked(one.submit(plum, 2, NOW + CHECK_EVERY_S / 2)) == []
    assert asked(one.submit(plum, 3, NOW + CHECK_EVERY_S)) == ["a2", "a3"]


def test_the_same_versions_are_checked_again_much_later() -> None:
    one = member()
    one.submit(CHECKS, 1)
    hear(one, NOW + AGAIN_S / 2)
    assert asked(one.submit(CHECKS, 2, NOW + AGAIN_S / 2)) == []
    hold(one, PEAR, LATER)
    assert asked(one.submit(CHECKS, 3, NOW + AGAIN_S / 2)) == ["a2", "a3"]
    hear(one, NOW + 2 * AGAIN_S)
    assert asked(one.submit(CHECKS, 4, NOW + 2 * AGAIN_S)) == ["a2", "a3"]


def test_an_owner_that_cannot_be_reached_is_not_asked() -> None:
    one = member()
    one.step("a1", events.LinkDown("a2"))
    assert asked(one.submit(CHECKS)) == ["a3"]


def test_a_node_that_holds_nothing_checks_the_owners_that_it_has_not_asked() -> None:
    one = One("b1")
    [first] = asked(one.submit(CHECKS))
    effects = one.step(first, state(OLD))
    assert asked(effects) == [peer for peer in ("a1", "a2") if peer != first]
    assert mends(effects) == []


def test_a_damaged_row_is_not_checked_but_repaired() -> None:
    """A value that the delivery buffer has shown was not read from the row."""
    one = damage.member()
    damage.damage(one)
    replica, read_origin = one.replica, one.replica._read_origin
    need = need_of(key_hash_of(PEAR, False), replica.views, replica.keyspace)
    replica._step.begin(NOW)
    read_origin._checks.after_own(7, CHECKS, need)
    assert asked(replica._step.finish(replica.views.epoch, NOW)) == []
    assert list(replica._step.suspects) == [row_of(PEAR)]


def test_an_owner_that_the_read_has_found_behind_is_told_at_once() -> None:
    one = One("b1")
    [first] = asked(one.submit(CHECKS))
    [second] = asked(one.step(first, m.State(7, Item(), DotClock(), [])))
    effects = one.step(second, state(OLD))
    assert len(effects.replies) == 1
    assert [peer for peer, _ in mends(effects)] == [first]
