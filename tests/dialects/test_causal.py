"""The causal contract: its exchanges go as written; what its clients need not pass on."""

import orjson
import pytest

from node.api.contract import Ask, Call, Reply, Talk
from node.api.dialects.causal.handlers import PAGE_KEYS, causal
from node.core.model.token import encode
from node.core.protocol.operations import Get, Look, Put
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import NODES, facts_at
from tests.dialects.outcomes import OUTCOMES, SEEN

ROUTES = handlers_of(causal())
PAIR = {"key": "cart", "value": "tea"}


def call(
    method: str, pattern: str, body: object = None, header: str = "", **query: str
) -> Reply | Ask | Talk:
    raw = b"" if body is None else orjson.dumps(body)
    headers = {"X-Causal-Metadata": header} if header else {}
    facts = facts_at(NODES[0])
    said = ROUTES[method, pattern](
        Call(method, {"key": "cart"}, query, headers, raw, lambda: facts, LIMITS)
    )
    assert isinstance(said, Reply | Ask | Talk)
    return said


def put_of(body: dict[str, object], header: str = "") -> Put:
    said = call("POST", "/put", body, header)
    assert isinstance(said, Ask)
    assert isinstance(said.request, Put)
    return said.request


def test_goes_as_written() -> None:
    path = HERE / "causal.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "causal.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern.partition('{')[0]}" in text


# ------------------------------------------------------------------ what a write depends on


def test_a_client_that_passes_nothing_on_depends_on_what_the_node_shows() -> None:
    put = put_of(dict(PAIR))
    assert put.after_all
    assert not put.token


@pytest.mark.parametrize("seen", [None, {}, ""])
def test_forms_of_nothing_seen(seen: object) -> None:
    put = put_of({**PAIR, "causal-metadata": seen})
    assert not put.after_all
    assert not put.token


def test_metadata_in_body_and_header_are_joined() -> None:
    wire = encode(SEEN).decode()
    for put in (put_of(dict(PAIR), wire), put_of({**PAIR, "causal-metadata": orjson.loads(wire)})):
        assert (put.token, put.after_all) == (SEEN, False)


def test_every_answer_for_a_key_has_metadata_in_its_header() -> None:
    for method, pattern, body, outcomes in (
        ("POST", "/put", PAIR, ("created", "replaced")),
        ("GET", "/get/{key}", None, ("found", "absent")),
    ):
        said = call(method, pattern, body)
        assert isinstance(said, Ask)
        for outcome in outcomes:
            reply = said.say(OUTCOMES[outcome])
            assert reply.headers["X-Causal-Metadata"] == encode(SEEN).decode()
            assert b"metadata" not in reply.body


def test_a_read_waits_as_long_as_reads_may() -> None:
    said = call("GET", "/get/{key}")
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert said.request.wait_s == LIMITS.wait_s_max


# ------------------------------------------------------------------ the node


def test_the_status_has_these_keys_and_no_others() -> None:
    said = call("GET", "/status", after="cart")
    assert isinstance(said, Ask)
    assert said.request == Look("cart", PAGE_KEYS)
    told = orjson.loads(said.say(OUTCOMES["looked"]).body)
    assert list(told) == ["node_id", "vector_clock", "kv_store", "buffer"]
    keys = {"key", "value", "node_id", "vector_clock", "waits_for"}
    assert all(set(message) == keys for message in told["buffer"])


def test_the_node_itself_has_an_entry_before_it_has_written() -> None:
    said = call("GET", "/status")
    assert isinstance(said, Ask)
    clock = orjson.loads(said.say(OUTCOMES["looked"]).body)["vector_clock"]
    assert clock["10.10.0.4:8090"] == 0


@pytest.mark.parametrize("number", [True, 1.5, "1", None, 2**53])
def test_only_whole_numbers_make_a_clock(number: object) -> None:
    said = call("POST", "/replicate", {**PAIR, "vector_clock": {NODES[0]: number}})
    assert isinstance(said, Reply)
    assert said.status == 400
