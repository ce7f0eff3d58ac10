"""The shard_view contract: its exchanges go as written; metadata that stays what it was; waits."""

import dataclasses
from itertools import count

import orjson
import pytest

from node.core.messages import Found, Get, Stored, Unmet
from node.core.siblings import Past
from node.core.token import EXACT_MAX, Token, decode, encode
from node.core.view import ViewId, digest_of
from node.dialects.contract import Ask, Call, Facts, Reply, Steps, Talk
from node.dialects.kept import kept, opened, told
from node.dialects.shard_view import ASK_AGAIN_S, WAIT_S, shard_view
from tests.dialects.exchanges import DOT, HERE, HOME, LIMITS, OUTCOMES, played_file
from tests.dialects.nodes import NODES, STARTED, facts_at

ROUTES = {(route.method, route.pattern): route.handler for route in shard_view().routes}
STAMP = (1700000000000, 0, "AAAAAA.1")


def call(method: str, body: object = None) -> Reply | Ask | Talk:
    handler = ROUTES[method, "/key-value-store/{key}"]
    raw = b"" if body is None else orjson.dumps(body)
    clock = count()

    def facts() -> Facts:
        return dataclasses.replace(facts_at(NODES[0]), now=STARTED + ASK_AGAIN_S * next(clock))

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
    return Token({}, exact, b"", token.stamp, view) if view else token


@pytest.mark.parametrize("view", [None, ViewId(3, "Zz90")])
@pytest.mark.parametrize("dots", [0, 1, EXACT_MAX, EXACT_MAX + 5])
@pytest.mark.parametrize("dot", [DOT, ("AAAAAA.4.Yy80", 9)])
def test_every_reader_is_told_what_the_writer_was(
    dots: int, view: ViewId | None, dot: tuple[str, int]
) -> None:
    """Whatever a replica's own token says by now, and whatever its clock has covered."""
    seen = seen_of(dots, view).trimmed({})
    stored = Stored(Token(stamp=STAMP), Past(), dot, False, 2, 3, HOME)
    answered = orjson.loads(encode(told("cart", seen, stored)))
    value = kept(seen, b'{"any":["JSON",1.50]}')
    for reader in (Token(stamp=STAMP), Token({"b.1": 4}, {dot: 1}, b"\xff" * 64, STAMP)):
        found = Found((value,), (dot,), (dot,), reader, Past(), HOME)
        token, shown = opened("cart", found)
        assert orjson.loads(encode(token)) == answered
        assert shown == b'{"any":["JSON",1.50]}'


def test_the_metadata_names_the_write_and_its_past() -> None:
    seen = seen_of(2)
    stored = Stored(Token(stamp=STAMP), Past(), DOT, False, 2, 3, HOME)
    token = told("cart", seen, stored)
    assert token.exact == {**seen.exact, DOT: digest_of("cart", True)}
    assert token.stamp == STAMP


def test_the_metadata_is_bounded_and_comes_back() -> None:
    seen = Token()
    for n in range(1, 200):
        stored = Stored(Token(stamp=STAMP), Past(), (f"a{n % 6}.1", n), False, 2, 3, HOME)
        seen = told(f"key{n}", decode(orjson.loads(encode(seen))).trimmed({}), stored)
    assert len(seen.exact) <= EXACT_MAX
    assert len(encode(seen)) < 2300


def test_a_stamp_of_the_reader_does_not_show() -> None:
    said = call("GET", {"causal-metadata": orjson.loads(encode(seen_of(1)))})
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert said.request.token.stamp == Token().stamp


# ------------------------------------------------------------------ waits


def refused_until_the_end(steps: Steps) -> tuple[float, Reply]:
    """How long it has waited, and the reply, when all that it asks is refused."""
    waited, wish = 0.0, next(steps)
    try:
        while True:
            waited += wish if isinstance(wish, float) else 0.0
            unmet = [] if isinstance(wish, float) else [Unmet({"AAAAAA.1": (0, 7)})]
            wish = steps.send(unmet)
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
