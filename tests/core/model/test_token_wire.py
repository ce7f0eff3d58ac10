"""On the wire a token is small JSON that decodes to the same token; the decoder refuses all
else.
"""

import json
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from node.core.model.actors import actor_of
from node.core.model.keys import key_hash_of
from node.core.model.token import COUNT_MAX, TOKEN_BYTES_MAX, Malformed, Token, decode, encode
from node.core.model.view import FIRST
from tests.core.given import tokens

ACTOR = "a1B2c3.1"
KEYS = "A" * 86  # a filter of 64 bytes


def parsed(token: Token) -> Any:
    return json.loads(encode(token))


NAMES = {"a": ACTOR, "b": "AAAAAA.2.Zz90", "c": "b_-2c3.17.-a"}


def as_on_the_wire(token: Token) -> Token:
    """Return the same token, with actors that are named like nodes'."""
    floor = {NAMES[actor]: n for actor, n in token.floor.items()}
    exact = {(NAMES[actor], n): tag for (actor, n), tag in token.exact.items()}
    milliseconds, count, actor = token.timestamp
    return Token(floor, exact, token.keys, (milliseconds, count, NAMES[actor]))


@given(tokens(number_max=COUNT_MAX - 1).map(as_on_the_wire))
def test_comes_back_as_it_went(token: Token) -> None:
    assert decode(parsed(token)) == token


@pytest.mark.parametrize("nothing", [None, {}, ""])
def test_nothing_seen(nothing: Any) -> None:
    assert decode(nothing) == Token()
    assert decode({"v": 1}) == decode({"v": 1, "t": {}}) == Token()


def test_the_form() -> None:
    digest = key_hash_of("pear", True)
    token = Token({}, {(ACTOR, 121): digest}, b"", (1763665676123, 2, ACTOR))
    wire = parsed(token)
    [(number, tag)] = wire["t"][ACTOR][1].items()
    assert wire == {
        "v": 1,
        "t": {ACTOR: [0, {"121": tag}]},
        "h": [1763665676123, 2, ACTOR],
    }
    assert (number, len(tag)) == ("121", 6)
    assert encode(Token()) == b'{"v":1}'


@pytest.mark.parametrize(("replicas", "bytes_max"), [(1, 1100), (12, 1100), (64, 2300)])
def test_the_largest_token_is_small(replicas: int, bytes_max: int) -> None:
    """All replicas have floors, after a million writes each, and 32 dots are exact."""
    names = [actor_of(FIRST, f"node {i}") for i in range(replicas)]
    floor = {name: 1_000_000 + i for i, name in enumerate(names)}
    exact = {(names[i % replicas], 1_100_000 + i): key_hash_of(f"key{i}", False) for i in range(32)}
    token = Token(floor, exact, b"\x55" * 64, (1763665676123, 12, names[0]))
    assert len(token.trimmed({}).exact) == 32
    assert len(encode(token)) <= bytes_max < TOKEN_BYTES_MAX


def entry(floor: Any = 0, exact: Any = None) -> Any:
    return {"v": 1, "t": {ACTOR: [floor, {"1": "9fA3kQ"} if exact is None else exact]}, "k": KEYS}


HOSTILE: dict[str, Any] = {
    "a number": 7,
    "a text": "v1",
    "a list": [1, {}],
    "true": True,
    "no version": {"t": {}},
    "another version": {"v": 2, "t": {}},
    "a version in words": {"v": "1"},
    "entries that are a list": {"v": 1, "t": []},
    "an entry of one": {"v": 1, "t": {ACTOR: [1]}},
    "an entry of three": {"v": 1, "t": {ACTOR: [1, {}, 2]}},
    "an entry that is no list": {"v": 1, "t": {ACTOR: 1}},
    "an entry of nothing": {"v": 1, "t": {ACTOR: None}},
    "an actor without a name": {"v": 1, "t": {"": [1, {}]}},
    "an actor with a long name": {"v": 1, "t": {"a" * 33: [1, {}]}},
    "a floor of 2^53": entry(2**53),
    "a floor of 2^63": entry(2**63),
    "a floor of 10^400": entry(10**400),
    "a negative floor": entry(-1),
    "a floor with a fraction": entry(1.5),
    "a floor that is not a number": entry(float("nan")),
    "a floor in words": entry("1"),
    "a true floor": entry(True),
    "dot 0": entry(0, {"0": "9fA3kQ"}),
    "a negative dot": entry(0, {"-1": "9fA3kQ"}),
    "dot 2^53": entry(0, {str(2**53): "9fA3kQ"}),
    "dot 2^63": entry(0, {str(2**63): "9fA3kQ"}),
    "a dot of 5000 digits": entry(0, {"9" * 5000: "9fA3kQ"}),
    "a dot in words": entry(0, {"one": "9fA3kQ"}),
    "an empty dot": entry(0, {"": "9fA3kQ"}),
    "a short digest": entry(0, {"1": "9fA3k"}),
    "a long digest": entry(0, {"1": "9fA3kQQ"}),
    "a digest that is not base64": entry(0, {"1": "9fA3k!"}),
    "a digest beyond ASCII": entry(0, {"1": "9fA3ké"}),
    "a digest with padding": entry(0, {"1": "9fA3=="}),
    "a digest that is a number": entry(0, {"1": 123456}),
    "a digest of nothing": entry(0, {"1": None}),
    "a short filter": {**entry(3), "k": "AAAA"},
    "a long filter": {**entry(3), "k": "A" * 88},
    "a filter that is not base64": {**entry(3), "k": "!" * 86},
    "a filter that is a number": {**entry(3), "k": 5},
    "a stamp of two": {"v": 1, "h": [1, 2]},
    "a negative stamp": {"v": 1, "h": [-1, 0, ""]},
    "a negative count": {"v": 1, "h": [1, -1, ""]},
    "a stamp of 2^63": {"v": 1, "h": [2**63, 0, ""]},
    "a count of 2^63": {"v": 1, "h": [1, 2**63, ""]},
    "a stamp in words": {"v": 1, "h": ["1", 0, ""]},
    "a stamp of nobody": {"v": 1, "h": [1, 0, None]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        decode(HOSTILE[name])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
fields = dict.fromkeys("thk", json_values)


@given(json_values | st.fixed_dictionaries({"v": st.just(1)}, optional=fields))
def test_any_json_is_a_token_or_malformed(wire: Any) -> None:
    try:
        token = decode(wire)
    except Malformed:
        token = Token()
    assert decode(parsed(token)) == token


def test_floors_without_a_filter_bind_every_key() -> None:
    token = decode({"v": 1, "t": {ACTOR: [3, {}]}})
    assert token.binds(key_hash_of("pear", False))
    assert decode({"v": 1, "t": {}, "k": KEYS}).keys == b""


def test_ten_thousand_entries_cost_little() -> None:
    """They do not fit into TOKEN_BYTES_MAX, which is checked first; still they delay no client."""
    numbers = {str(n): "9fA3kQ" for n in range(1, 10_001)}
    many = {f"actor{i}.1": [i, {"7": "9fA3kQ"}] for i in range(1, 10_001)}
    started = time.perf_counter()
    for wire in (entry(0, numbers), {"v": 1, "t": many, "k": KEYS}):
        assert len(decode(wire).exact) == 10_000
    assert time.perf_counter() - started < 2
