"""A replica's status is what it knows, and a report of it changes nothing."""

from collections import Counter

from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import slot_of_key
from node.core.model.options import Options
from node.core.model.placement import first_view
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.hints import Hint
from node.core.protocol.operations import Put
from node.core.protocol.step import Step
from node.core.status import alive, checks, movement, slot_loads, status
from node.core.storage.keyspace import Keyspace
from tests.core.damage import HELD, suffering
from tests.core.given import OPTIONS, row
from tests.core.moves import SECOND, moved
from tests.core.one import NOW, PEAR, VIEW, One, replica_of


def told() -> One:
    """Return a1, which has written one dot and has a row of a2, which has two others."""
    one = One()
    one.step("a2", m.Heartbeat("id of a2"))
    one.step("a1", m.Accept(1, Put(PEAR, b"v")))
    item = Item({("x", 3): Version(b"w")}, Past({"x": 3}))
    one.step("a2", m.Replicate(2, "a2", "plum", item, ("x", 3)))
    one.step("a2", row(DotClock({"x": 3}), node_id="id of a2"))
    return one


def test_checks_say_what_is_wrong_in_words() -> None:
    one = One()
    problems = dict(checks(one.replica))
    assert list(problems) == ["view", "address", "known", "arrived", "caught up"]
    assert problems["view"] == ""
    assert "does not yet hold all" in problems["arrived"]
    assert "compared" in problems["caught up"]
    one.arrive()
    one.replica.maintenance.bootstrap.caught_up = True
    assert not any(dict(checks(one.replica)).values())


def test_a_node_that_no_peer_has_heard_of_says_that_it_names_no_writes() -> None:
    one = One("a1", first_view(["a1", "b1"], 2))
    one.replica.views.is_known = False
    assert [name for name, wrong in checks(one.replica) if wrong] == ["known"]
    assert "no other node of its view has heard of it" in dict(checks(one.replica))["known"]
    one.step("b1", m.Gossip({"a1": {one.replica.node_id: 1}}, {}))
    assert not any(dict(checks(one.replica)).values())


def test_a_node_of_no_slots_need_not_be_known() -> None:
    one = One("c1", VIEW)
    one.replica.views.is_known = False
    assert dict(checks(one.replica))["known"] == ""


def test_alive_is_in_the_order_of_the_view() -> None:
    one = One()
    assert alive(one.replica, NOW) == ("a1", "a2", "b1", "b2")
    one.step("b2", m.Heartbeat("id of b2"), NOW + 4)
    assert alive(one.replica, NOW + 8) == ("a1", "b2")


def test_status_at_a_glance() -> None:
    one = told()
    known = status(one.replica, NOW + 1)
    actor = one.replica.keyspace.actor
    assert known["address"] == "a1"
    assert known["shard"] == "s1"
    assert known["actor"] == actor
    assert known["view"]["addresses"] == []
    assert known["view"]["shards"] == {"s1": ["a1", "a2"], "s2": ["b1", "b2"]}
    assert known["clock"] == {"base": {actor: 1}, "loose": {"x": 1}}
    content = one.replica.keyspace.content_hashes.content
    scrub = known["store"].pop("scrub")
    assert known["store"] == {"keys": 2, "hash": content, "log": 2, "open_items": 1}
    assert scrub.keys() == {
        "position", "passes", "finished_s_ago", "found", "repaired", "suspect", "differs_from"
    }  # fmt: skip
    assert content not in (None, "0" * 32)
    assert known["waiting"] == {"writes": 0, "reads": 0}
    assert known["repair"]["pulled_items"] == 0


def test_the_scrub_tells_what_it_has_found() -> None:
    one = suffering()
    one.step("a1", events.Tick(), NOW + 1)
    before = status(one.replica, NOW + 4)["store"]["scrub"]
    assert before["passes"] > 0
    assert before["finished_s_ago"] == 3.0
    assert (before["found"], before["repaired"], before["suspect"]) == (1, 0, 1)
    one.replica.maintenance.row_repair.offer(PEAR, HELD, "a2")
    one.replica.maintenance.content_compare.unequal["a3"] = NOW
    after = status(one.replica, NOW + 4)["store"]["scrub"]
    assert (after["found"], after["repaired"], after["suspect"]) == (1, 1, 0)
    assert after["differs_from"] == ["a3"]


def test_hints_are_counted_for_each_owner_with_the_age_of_the_oldest() -> None:
    one = One("b1", options=Options(hints_max=2))
    assert status(one.replica, NOW)["hints"] == {
        "kept": 0, "bytes": 0, "oldest_s_ago": None, "for": {}, "no_room": 0
    }  # fmt: skip
    for n, target in ((1, "a2"), (2, "a1"), (3, "a2"), (4, "a2")):
        dot = ("hhhhhhrrrrrr.1", n)
        one.step("a1", Hint(n, "b2", target, PEAR, HELD, dot), NOW + n)
    known = status(one.replica, NOW + 9)["hints"]
    assert known.pop("bytes") == sum(len(row) for _, row in one.rows.scan("hint", None, 9))
    assert known == {"kept": 3, "oldest_s_ago": 8.0, "for": {"a2": 2, "a1": 1}, "no_room": 1}


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
    assert status(replica_of(VIEW), NOW)["peers"]["b1"]["heard_s_ago"] is None


def test_a_node_outside_the_view_has_no_shard() -> None:
    assert status(One("x1").replica, NOW)["shard"] is None


def test_the_shard_peer_that_is_pulled_from_is_named() -> None:
    one = told()
    assert status(one.replica, NOW)["repair"]["pulling_from"] == "a2"


# ---- movement


def test_a_settled_view_has_moved_everything() -> None:
    one = One("b2")
    one.arrive()
    known = movement(one.replica, NOW)
    assert known["view"] == {
        "id": "1",
        "number": 1,
        "nodes": ["a1", "a2", "b1", "b2"],
        "shards": {"s1": ["a1", "a2"], "s2": ["b1", "b2"]},
        "slots": {"s1": 2048, "s2": 2048},
    }
    assert (known["previous"], known["settled"], known["history"]) == (None, True, [])
    assert (known["lacking_slots"], known["leaving_slots"]) == (0, 0)
    assert all(node["done"] for node in known["nodes"].values())


def test_while_slots_move_each_node_says_what_it_lacks_and_still_holds() -> None:
    one = moved("b2")
    one.step("a1", m.Heartbeat("id of a1", 0, 7), NOW + 1, m.Epoch(SECOND, FIRST))
    one.step("b1", m.Heartbeat("id of b1", 5, 0), NOW + 1, m.Epoch(FIRST, FIRST))
    known = movement(one.replica, NOW + 2)
    assert (known["view"]["id"], known["previous"]["id"]) == ("2.p", "1")
    assert not known["settled"]
    assert known["started"] == NOW
    assert known["lacking_slots"] == 2048 + 5
    assert known["leaving_slots"] == 2048 + 7
    assert known["nodes"]["b2"] == {
        "in_view": True,
        "alive": True,
        "lacking": 2048,
        "leaving": 2048,
        "done": False,
    }
    assert known["nodes"]["a1"]["in_view"]
    assert not known["nodes"]["b1"]["in_view"]
    assert [entry["id"] for entry in known["history"]] == ["2.p"]


def test_a_node_that_has_reported_is_done() -> None:
    one = moved("b2")
    one.step("a1", m.Gossip({}, {}, {"id of a2": SECOND}))
    nodes = movement(one.replica, NOW)["nodes"]
    assert [node for node, known in nodes.items() if known["done"]] == ["a2"]


def test_keys_and_bytes_are_counted_by_slot() -> None:
    one = One()
    for n, key in enumerate([PEAR, PEAR, "plum"]):
        one.step("a1", m.Accept(n, Put(key, b"v")))
    one.step("a1", m.Accept(9, Put("fig tree", None)))
    keyspace, sizes = one.replica.keyspace, Counter[int]()
    for row_key, (value, _) in one.rows.tables["item"].items():
        sizes[int(row_key[:3], 16)] += len(value)
    live = {slot_of_key(PEAR): 1, slot_of_key("plum"): 1, slot_of_key("fig tree"): 0}
    assert slot_loads(one.replica) == {slot: (live[slot], sizes[slot]) for slot in live}
    again = Keyspace(one.rows, OPTIONS, Step())
    assert again.slot_counts.by_slot() == keyspace.slot_counts.by_slot()
