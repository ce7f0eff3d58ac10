"""The admin_view contract: its exchanges go as written; values and their limit."""

import orjson
import pytest

from node.api.contract import Ask, Call, Limits, Reply
from node.api.dialects.admin_view.handlers import VALUE_BYTES_MAX, admin_view
from node.core.protocol.operations import Get, Put
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, played_file
from tests.dialects.nodes import NODES, facts_at

ROUTES = handlers_of(admin_view())
LARGE = Limits(16 * 1024 * 1024, 20.0)


def call(method: str, pattern: str, body: bytes = b"", view: str = "first") -> Reply | Ask:
    facts = facts_at(NODES[0], view=view)
    words = {"key": "cart"} if "{" in pattern else {}
    said = ROUTES[method, pattern](Call(method, words, {}, {}, body, lambda: facts, LARGE))
    assert isinstance(said, Reply | Ask)
    return said


def test_goes_as_written() -> None:
    path = HERE / "admin_view.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "admin_view.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern.partition('{')[0]}" in text


@pytest.mark.parametrize(("method", "pattern"), [r for r in ROUTES if r[1] != "/kvs/admin/view"])
@pytest.mark.parametrize("body", [b"", b"{", b'{"val":7}'])
def test_before_a_view_is_put_there_is_nothing(method: str, pattern: str, body: bytes) -> None:
    said = call(method, pattern, body, "none")
    assert isinstance(said, Reply)
    assert (said.status, said.body) == (418, b'{"error":"uninitialized"}')


def test_the_limit_of_a_value() -> None:
    text = "é" * (VALUE_BYTES_MAX // 2)
    said = call("PUT", "/kvs/data/{key}", orjson.dumps({"val": text}))
    assert isinstance(said, Ask)
    assert isinstance(said.request, Put)
    assert said.request.value == orjson.dumps(text)
    refusal = call("PUT", "/kvs/data/{key}", orjson.dumps({"val": text + "x"}))
    assert isinstance(refusal, Reply)
    assert (refusal.status, refusal.body) == (400, b'{"error":"val too large"}')


def test_a_read_is_answered_within_20_s() -> None:
    said = call("GET", "/kvs/data/{key}")
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert 19 <= said.request.wait_s < 20
