"""The dynamo contract: its exchanges go as written; the owners of keys; what clocks may hold."""

import orjson
import pytest
from hypothesis import given, strategies as st

from node.api.contract import Ask, Call, Refused, Reply
from node.api.dialects.dynamo.handlers import (
    KEY_CHARACTERS_MAX,
    clock_in,
    dynamo,
    say_found,
    say_stored,
)
from node.core.model.item import Past
from node.core.model.keys import key_hash_of, slot_of
from node.core.model.token import Token
from node.core.model.vector_clock import CLOCK_ENTRIES_MAX
from node.core.protocol.operations import Absent, Counted, Found, Get, Put, StoreLocally
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import NODES, VIEW, facts_at
from tests.dialects.outcomes import OUTCOMES

ROUTES = handlers_of(dynamo())


def call(method: str, path: str, body: object, at: str = NODES[0], **query: str) -> Reply | Ask:
    raw = orjson.dumps(body)
    said = ROUTES[method, path](Call(method, {}, query, {}, raw, lambda: facts_at(at), LIMITS))
    assert isinstance(said, Reply | Ask)
    return said


def test_goes_as_written() -> None:
    path = HERE / "dynamo.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "dynamo.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern}" in text


def test_stores_on_two_nodes_and_reads_from_two() -> None:
    stored = call("POST", "/storeData", {"key": "pear", "value": 1})
    assert isinstance(stored, Ask)
    assert isinstance(stored.request, Put)
    assert (stored.request.level, stored.request.clocked) == ("2", True)
    read = call("GET", "/getData", {"key": "pear"})
    assert isinstance(read, Ask)
    assert isinstance(read.request, Get)
    assert (read.request.copies, read.request.repair, read.request.wait_s) == (2, True, 0.0)


@pytest.mark.parametrize("at", NODES)
@pytest.mark.parametrize("key", ["pear", "cart", "fig", "é/34"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/storeReplicas"), ("GET", "/getReplicasValue"), ("POST", "/updateReplica")],
)
def test_only_owners_have_a_replica(method: str, path: str, key: str, at: str) -> None:
    owners = VIEW.shard_of(slot_of(key_hash_of(key, True))).members
    said = call(method, path, {"key": key, "value": 1}, at)
    assert isinstance(said, Ask) == (at in owners)
    if isinstance(said, Reply):
        assert (said.status, orjson.loads(said.body)["nodes"]) == (404, list(owners))


def test_a_key_has_a_length() -> None:
    for length, kind in ((KEY_CHARACTERS_MAX, Ask), (KEY_CHARACTERS_MAX + 1, Reply)):
        assert isinstance(call("GET", "/getData", {}, key="é" * length), kind)


@pytest.mark.parametrize("seen", [None, {}, ""])
def test_forms_of_nothing_seen(seen: object) -> None:
    said = call("GET", "/getData", {"key": "pear", "causal-metadata": seen})
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert not said.request.token
    kept = call("POST", "/storeReplicas", {"key": "pear", "value": 1, "vectorClock": seen})
    assert isinstance(kept, Ask)
    assert isinstance(kept.request, StoreLocally)
    assert kept.request.clock == {}


def test_a_clock_has_a_size() -> None:
    most = {f"a{n}": n + 1 for n in range(CLOCK_ENTRIES_MAX)}
    assert clock_in({"vectorClock": most}) == most
    for more in ({**most, "b": 1}, {"a" * 65: 1}):
        with pytest.raises(Refused, match="400"):
            clock_in({"vectorClock": more})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(JSON_VALUES)
def test_a_clock_is_one_or_refused(clock: object) -> None:
    try:
        vector = clock_in({"vectorClock": clock})
    except Refused as refusal:
        reply = refusal.reply
        assert reply.status == 400
        return
    assert all(type(n) is int and 0 < n < 2**53 for n in vector.values())


def test_of_versions_in_line_the_last_is_shown() -> None:
    clocks = ({"b": 1}, {"a": 1}, {"a": 2, "b": 1}, {"c": 1})
    found = Found((b"1", b"2", b"3", b"4"), (), (), Token(), Past(), NODES[0], clocks)
    shown = orjson.loads(say_found("pear", found).body)
    assert (shown["value"], shown["values"]) == (3, [3, 4])
    assert shown["vectorClock"] == {"a": 2, "b": 1, "c": 1}


def test_an_answer_to_no_request_of_ours_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="Counted"):
        say_stored(Counted(1))
    assert isinstance(OUTCOMES["absent"], Absent)
    assert say_stored(OUTCOMES["absent"]).status == 404
