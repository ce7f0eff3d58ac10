"""The small rooms: a bounded cache, a detector that can only cost time, incarnations, and one
turn."""

import pytest
from hypothesis import given, strategies as st

from node.core.membership.failure_detector import Detector
from node.core.membership.incarnations import Incarnations, Table
from node.core.model.actors import actor_of
from node.core.model.item import Item
from node.core.model.pace import DEAD_AFTER_S, SUSPECT_AFTER_S
from node.core.model.view import FIRST, ViewId
from node.core.protocol.key_pages import CountKeys, KeyCount
from node.core.protocol.messages import Epoch, Heartbeat
from node.core.protocol.operations import Counted, Unavailable
from node.core.protocol.step import Step
from node.core.requests.key_counts import ASK_AGAIN_S, DEADLINE_S, Counts
from node.core.storage.item_cache import ItemCache, weight_of

# ---- the cache


def test_the_least_recently_used_goes_first() -> None:
    cache = ItemCache(3 * weight_of("a", Item()))
    items = {key: Item() for key in "abcd"}
    for key in "abc":
        cache.put(key, items[key], 100)
    assert cache.get("a") is items["a"]
    cache.put("d", items["d"], 100)
    cache.trim()
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


def test_an_item_put_again_counts_once() -> None:
    cache = ItemCache(2 * weight_of("a", Item()))
    cache.put("a", Item(), 100)
    for _ in range(10):
        cache.put("b", Item(), 100)
    cache.trim()
    assert cache.get("a")


def test_the_last_item_stays_however_large() -> None:
    cache = ItemCache(1)
    cache.put("a", Item(), 10)
    cache.put("b", Item(), 10_000_000)
    assert cache.get("a"), "nothing goes before the step is over"
    cache.put("b", Item(), 10_000_000)
    cache.trim()
    assert cache.get("a") is None
    assert cache.get("b")


# ---- the detector


def test_reachable_is_a_link_and_a_recent_word_alive_is_a_word() -> None:
    detector = Detector("me")
    assert detector.reachable("me", 0.0)
    assert detector.alive("me", 0.0)
    assert not detector.reachable("peer", 0.0)
    assert not detector.alive("peer", 0.0)
    detector.link_up("peer", 10.0)
    assert detector.up_since("peer") == detector.heard("peer") == 10.0
    assert detector.reachable("peer", 10 + SUSPECT_AFTER_S)
    assert not detector.reachable("peer", 10.1 + SUSPECT_AFTER_S)
    detector.hear("peer", 12.0)
    assert detector.up_since("peer") == 10.0
    assert detector.reachable("peer", 12.0)
    detector.link_down("peer")
    assert not detector.reachable("peer", 12.0)
    assert detector.up_since("peer") == float("inf")
    assert detector.alive("peer", 12 + DEAD_AFTER_S)
    assert not detector.alive("peer", 12.1 + DEAD_AFTER_S)


def test_a_node_that_speaks_has_a_link() -> None:
    detector = Detector("me")
    detector.hear("peer", 3.0)
    assert detector.reachable("peer", 3.0)
    assert detector.up_since("peer") == 3.0


# ---- incarnations


def lives_at(address: str) -> st.SearchStrategy[dict[str, int]]:
    """Return incarnations with an id at one address only."""
    ids = st.sampled_from([f"{address} {name}" for name in "xyz"])
    return st.dictionaries(ids, st.integers(1, 4), max_size=3)


lives_tables = st.fixed_dictionaries({}, optional={a: lives_at(a) for a in ("n1", "n2")})


def copy(table: Table) -> Table:
    return {address: dict(incarnations) for address, incarnations in table.items()}


@given(lives_tables, lives_tables)
def test_learning_is_a_join(one: Table, two: Table) -> None:
    first, second = Incarnations(copy(one)), Incarnations(copy(two))
    first.merge(two)
    second.merge(one)
    for address in ("n1", "n2"):
        assert first.current(address) == second.current(address)
        assert first.past(address, FIRST) == second.past(address, FIRST)
    assert not first.merge(second.table)
    for actor in (
        actor_of(FIRST, node_id) for ids in (*one.values(), *two.values()) for node_id in ids
    ):
        assert first.address_of(actor) == second.address_of(actor) is not None


def test_the_highest_life_is_the_present_one() -> None:
    incarnations = Incarnations({})
    assert incarnations.current("n1") is None
    assert incarnations.past("n1", FIRST) == []
    assert incarnations.claim("n1", "x")
    assert not incarnations.claim("n1", "x")
    assert incarnations.claim("n1", "y")
    assert incarnations.table == {"n1": {"x": 1, "y": 2}}
    assert incarnations.current("n1") == "y"
    assert incarnations.past("n1", FIRST) == [actor_of(FIRST, "x")]
    later = ViewId(2, "abcd")
    assert incarnations.past("n1", later) == [actor_of(later, "x")]
    assert [incarnations.address_of(actor_of(v, i)) for v in (FIRST, later) for i in "xy"] == [
        "n1"
    ] * 4
    assert incarnations.address_of(actor_of(FIRST, "z")) is None


# ---- a turn


def test_a_turn_begins_with_nothing_caused() -> None:
    step = Step()
    step.ask("peer", Heartbeat("x"))
    step.tell("peer", Heartbeat("y"))
    step.reply(1, None)
    step.reply(2, Counted(3))
    effects = step.finish(Epoch(), 7.0)
    assert effects.asks == [("peer", Heartbeat("x"))]
    assert effects.tells == [("peer", Heartbeat("y"))]
    assert effects.replies == [(2, Counted(3))]
    step.begin(5.0)
    assert step.now == 5.0
    assert not step.asks
    assert effects.asks


# ---- counts


@pytest.fixture
def detector() -> Detector:
    detector = Detector("me")
    for peer in ("b1", "b2"):
        detector.link_up(peer, 0.0)
    return detector


def test_a_count_asks_one_member_after_the_other(detector: Detector) -> None:
    counts = Counts(detector)
    assert counts.begin(7, ("b1", "b2"), 0.0) == [("b1", CountKeys(7))]
    assert counts.tick(ASK_AGAIN_S / 2) == ([], [])
    assert counts.tick(ASK_AGAIN_S) == ([("b2", CountKeys(7))], [])
    assert counts.tick(2 * ASK_AGAIN_S) == ([("b1", CountKeys(7))], [])
    assert len(counts) == 1
    assert counts.on_key_count(KeyCount(7, 5)) == Counted(5)
    assert counts.on_key_count(KeyCount(7, 5)) is None
    assert len(counts) == 0


def test_a_count_ends_at_its_deadline(detector: Detector) -> None:
    counts = Counts(detector)
    assert counts.begin(7, ("gone",), 0.0) == []
    assert counts.tick(1.0) == ([], [])
    asks, [(request, outcome)] = counts.tick(DEADLINE_S)
    assert (asks, request) == ([], 7)
    assert isinstance(outcome, Unavailable)
    assert outcome.definite
    assert len(counts) == 0
