"""The shard_view contract: its exchanges go as written; metadata that never changes; waits."""

from itertools import count

import orjson
import pytest
from msgspec.structs import replace

from node.api.contract import Ask, Call, Facts, Reply, Steps, Talk
from node.api.dialects.shard_view.handlers import ASK_AGAIN_S, WAIT_S, shard_view
from node.api.kept_values import kept, opened, told
from node.core.model.item import Past
from node.core.model.keys import key_hash_of
from node.core.model.token import EXACT_MAX, Token, decode, encode
from node.core.model.view import ViewId
from node.core.protocol.operations import Found, Get, Put, Stored, Unmet
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import NODES, STARTED, facts_at
from tests.dialects.outcomes import DOT, HOME, OUTCOMES

ROUTES = handlers_of(shard_view())
STAMP = (1700000000000, 0, "AAAAAA.1")


def call(method: str, body: object = None) -> Reply | Ask | Talk:
    handler = ROUTES[method, "/key-value-store/{key}"]
    raw = b"" if body is None else orjson.dumps(body)
    clock = count()

    def facts() -> Facts:
        now = STARTED + ASK_AGAIN_S * next(clock)
        return replace(facts_at(NODES[0]), now=now, cluster="CCCCCC")

    said = handler(Call(method, {"key": "cart"}, {}, {}, raw, facts, LIMITS))
    assert isinstance(said, Reply | Ask | Talk)
    return said


def test_goes_as_written() -> None:
    path = HERE / "shard_view.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "shard_view.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern.partition('{')[0]}" in text


# ------------------------------------------------------------------ metadata


def seen_of(dots: int, view: ViewId | None = None) -> Token:
    exact = {(f"a{i:05}.1", i + 1): i << 24 for i in range(dots)}
    token = Token({}, exact, b"", (1600000000000, 3, "a00000.1"))
    return Token({}, exact, b"", token.timestamp, view) if view else token


@pytest.mark.parametrize("view", [None, ViewId(3, "Zz90")])
@pytest.mark.parametrize("dots", [0, 1, EXACT_MAX, EXACT_MAX + 5])
@pytest.mark.parametrize("dot", [DOT, ("AAAAAA.4.Yy80", 9)])
def test_every_reader_is_told_what_the_writer_was(
    dots: int, view: ViewId | None, dot: tuple[str, int]
) -> None:
    """It is told that, whatever a replica's own token says by now, and its clock covers."""
    seen = seen_of(dots, view).trimmed({})
    stored = Stored(Token(timestamp=STAMP), Past(), dot, False, 2, 3, HOME)
    answered = orjson.loads(encode(told("cart", seen, stored)))
    value = kept(seen, b'{"any":["JSON",1.50]}')
    for reader in (Token(timestamp=STAMP), Token({"b.1": 4}, {dot: 1}, b"\xff" * 64, STAMP)):
        found = Found((value,), (dot,), (dot,), reader, Past(), HOME)
        token, shown = opened("cart", found)
        assert orjson.loads(encode(token)) == answered
        assert shown == b'{"any":["JSON",1.50]}'


def test_the_metadata_names_the_write_and_its_past() -> None:
    seen = seen_of(2)
    stored = Stored(Token(timestamp=STAMP), Past(), DOT, False, 2, 3, HOME)
    token = told("cart", seen, stored)
    assert token.exact == {**seen.exact, DOT: key_hash_of("cart", True)}
    assert token.timestamp == STAMP


def test_the_metadata_is_bounded_and_comes_back() -> None:
    seen = Token()
    for n in range(1, 200):
        stored = Stored(Token(timestamp=STAMP), Past(), (f"AAAAA{n % 6}.1", n), False, 2, 3, HOME)
        seen = told(f"key{n}", decode(orjson.loads(encode(seen))).trimmed({}), stored)
    assert len(seen.exact) <= EXACT_MAX
    assert len(encode(seen)) < 2300


def test_the_metadata_go_under_the_name_of_the_node_that_was_asked() -> None:
    """The name is stored with the value, so every replica says the same.

    A node judges a client's token by the token's own name.
    """
    brought = Token({}, {DOT: 6 << 24}, name="DDDDDD")
    said = call("PUT", {"value": 1, "causal-metadata": orjson.loads(encode(brought))})
    assert isinstance(said, Talk)
    asked = next(said.steps)
    assert not isinstance(asked, float)
    [put] = asked
    assert isinstance(put, Put)
    assert put.token.name == "DDDDDD"
    with pytest.raises(StopIteration) as end:
        said.steps.send([OUTCOMES["created"]])
    answered = orjson.loads(end.value.value.body)["causal-metadata"]
    assert answered["c"] == "CCCCCC"
    assert put.value is not None
    found = Found((put.value,), (DOT,), (DOT,), Token(timestamp=STAMP, name="EEEEEE"), Past(), HOME)
    assert orjson.loads(encode(opened("cart", found)[0])) == answered


def test_a_stamp_that_was_kept_before_and_that_no_clock_shows_does_not_come_back() -> None:
    kept_before = b'{"v":1,"t":{"AAAAAA.1":[0,{"3":"AAAAAQ"}]},"h":[9007199254740991,5,"x"]}\n1'
    found = Found((kept_before,), (DOT,), (DOT,), Token(timestamp=STAMP), Past(), HOME)
    token, value = opened("cart", found)
    assert (token.timestamp, value) == (STAMP, b"1")
    assert set(token.exact) == {("AAAAAA.1", 3), DOT}
    assert encode(decode(orjson.loads(encode(token)))) == encode(token)


def test_a_stamp_of_the_reader_does_not_show() -> None:
    said = call("GET", {"causal-metadata": orjson.loads(encode(seen_of(1)))})
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert said.request.token.timestamp == Token().timestamp


# ------------------------------------------------------------------ waits


def refused_until_the_end(steps: Steps) -> tuple[float, Reply]:
    """Return the wait and the reply, when the core refuses all requests."""
    waited, wanted = 0.0, next(steps)
    try:
        while True:
            waited += wanted if isinstance(wanted, float) else 0.0
            unmet = [] if isinstance(wanted, float) else [Unmet({"AAAAAA.1": (0, 7)})]
            wanted = steps.send(unmet)
    except StopIteration as end:
        return waited, end.value


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_write_waits_up_to_20_s_for_its_past(method: str) -> None:
    said = call(method, {"value": 1, "causal-metadata": orjson.loads(encode(seen_of(1)))})
    assert isinstance(said, Talk)
    waited, reply = refused_until_the_end(said.steps)
    assert reply.status == 503
    assert WAIT_S - 1 <= waited < 20


def test_a_read_waits_up_to_20_s() -> None:
    said = call("GET")
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert 19 <= said.request.wait_s < 20


def test_a_write_that_may_have_happened_is_not_tried_again() -> None:
    said = call("PUT", {"value": 1, "causal-metadata": ""})
    assert isinstance(said, Talk)
    next(said.steps)
    with pytest.raises(StopIteration) as caught:
        said.steps.send([OUTCOMES["undecided"]])
    assert caught.value.value.status == 503
