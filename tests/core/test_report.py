"""What a replica says of itself is what it knows, and saying it changes nothing."""

from random import Random

from node.core import messages as m
from node.core.clock import Clock
from node.core.replica import Options, Replica
from node.core.report import alive, checks, status
from node.core.siblings import Item, Past, Version
from tests.core.given import MemoryRows, row
from tests.core.test_replica import NOW, PEAR, VIEW, One


def told() -> One:
    """a1, which has written one dot and has a row of a2, who has two others."""
    one = One()
    one.step("a2", m.Beat("id of a2"))
    one.step("a1", m.Accept(1, m.Put(PEAR, b"v")))
    item = Item({("x", 3): Version(b"w")}, Past({"x": 3}))
    one.step("a2", m.Replicate(2, "a2", "plum", item, ("x", 3)))
    one.step("a2", row(Clock({"x": 3}), node_id="id of a2"))
    return one


def test_checks_say_what_is_wrong_in_words() -> None:
    one = One()
    problems = dict(checks(one.replica))
    assert list(problems) == ["view", "arrived", "caught up"]
    assert problems["view"] == ""
    assert "empty disk" in problems["arrived"]
    assert "compared" in problems["caught up"]
    one.replica.upkeep.recovery.arrived = one.replica.upkeep.recovery.caught_up = True
    assert not any(dict(checks(one.replica)).values())


def test_alive_is_in_the_order_of_the_view() -> None:
    one = One()
    assert alive(one.replica, NOW) == ("a1", "a2", "b1", "b2")
    one.step("b2", m.Beat("id of b2"), NOW + 4)
    assert alive(one.replica, NOW + 8) == ("a1", "b2")


def test_status_at_a_glance() -> None:
    one = told()
    known = status(one.replica, NOW + 1)
    actor = one.replica.keyspace.actor
    assert known["address"] == "a1"
    assert known["shard"] == "s1"
    assert known["actor"] == actor
    assert known["view"]["shards"] == {"s1": ["a1", "a2"], "s2": ["b1", "b2"]}
    assert known["clock"] == {"base": {actor: 1}, "loose": {"x": 1}}
    assert known["store"] == {"keys": 2, "log": 2, "open_items": 1}
    assert known["waiting"] == {"writes": 0, "reads": 0}
    assert known["repair"]["pulled_items"] == 0


def test_status_of_peers() -> None:
    peers = status(told().replica, NOW + 1)["peers"]
    assert list(peers) == ["a2", "b1", "b2"]
    assert peers["a2"] == {
        "reachable": True,
        "alive": True,
        "heard_s_ago": 1.0,
        "lag": {"we_lack": 3, "they_lack": 2},
    }
    assert peers["b1"]["lag"] is None


def test_a_peer_never_heard_of_has_no_age() -> None:
    replica = Replica("a1", VIEW, MemoryRows(), "id", Options(), Random(1))
    assert status(replica, NOW)["peers"]["b1"]["heard_s_ago"] is None


def test_a_node_outside_the_view_has_no_shard() -> None:
    assert status(One("x1").replica, NOW)["shard"] is None


def test_the_fellow_that_is_pulled_from_is_named() -> None:
    one = told()
    assert status(one.replica, NOW)["repair"]["pulling_from"] == "a2"
