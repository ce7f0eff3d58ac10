"""The asg4 contract: its exchanges go as written; the older wording; values keep their text."""

import orjson
import pytest
from hypothesis import given, strategies as st

from node.api.contract import Ask, Call, Limits, Refused, Reply
from node.api.dialects.asg4.handlers import asg4, say_get, say_put
from node.api.dialects.listing import BY_NAME
from node.api.parsing import MISSING_MAX, address_of, missing_of
from node.config import read
from node.core.model.item import Past
from node.core.model.token import Token, decode, encode
from node.core.protocol.operations import Counted, Found, Put, Unmet
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import NODES, facts_at
from tests.dialects.outcomes import OUTCOMES

ROUTES = handlers_of(asg4())


def call(method: str, body: bytes, limits: Limits = LIMITS, **headers: str) -> Reply | Ask:
    """Return what the contract does with a request for the key `cart`."""
    handler = ROUTES[method, "/kvs/{key}"]
    said = handler(
        Call(method, {"key": "cart"}, {}, headers, body, lambda: facts_at(NODES[0]), limits)
    )
    assert isinstance(said, Reply | Ask)
    return said


def status_of(said: Reply | Ask) -> int:
    assert isinstance(said, Reply)
    return said.status


def test_goes_as_written() -> None:
    path = HERE / "asg4.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "asg4.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern.partition('{')[0]}" in text


def test_an_older_wording_says_updated() -> None:
    settings = read({"SOCKET_ADDRESS": "a:8090", "ASG_REPLACED_WORD": "updated"}, [])
    spoken = BY_NAME["asg4"].handlers(settings)
    route = next(r for r in spoken.routes if (r.method, r.pattern) == ("PUT", "/kvs/{key}"))
    body = b'{"value":1}'
    said = route.handler(
        Call("PUT", {"key": "k"}, {}, {}, body, lambda: facts_at(NODES[0]), LIMITS)
    )
    assert isinstance(said, Ask)
    assert b'"result":"updated"' in said.say(OUTCOMES["replaced"]).body
    assert b'"result":"created"' in said.say(OUTCOMES["created"]).body


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab"), inner, max_size=4),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_a_value_is_given_back_as_it_came(value: object) -> None:
    said = call("PUT", orjson.dumps({"value": value}), Limits(10_000, 1.0))
    assert isinstance(said, Ask)
    assert isinstance(said.request, Put)
    assert said.request.value is not None
    found = Found((said.request.value,), (), (), Token(), Past(), NODES[0])
    assert orjson.loads(say_get(found).body)["value"] == value


@pytest.mark.parametrize("digits", [20, 21, 400, 5000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_of_any_length_stay_what_they_are(sign: str, digits: int) -> None:
    value = f'{{"n":{sign}{"9" * digits}}}'.encode()
    said = call("PUT", b'{"value":%b}' % value, Limits(10_000, 1.0))
    assert isinstance(said, Ask)
    assert isinstance(said.request, Put)
    assert said.request.value == value


@pytest.mark.parametrize("depth", [255, 1000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    body = b'{"value":' + b"[" * depth + b"]" * depth + b"}"
    assert status_of(call("PUT", body, Limits(10**6, 1.0))) == 400


def test_deep_nesting_beside_a_large_number_is_refused() -> None:
    body = b'{"value":1e30,"x":' + b"[" * 1020 + b"]" * 1020 + b"}"
    assert status_of(call("PUT", body)) == 400


@pytest.mark.parametrize("raw", [b'{"value":"\\ud800"}', b'{"value":"\xff"}', b"\xef\xbb\xbf{}"])
def test_what_is_not_unicode_is_refused(raw: bytes) -> None:
    assert status_of(call("PUT", raw)) == 400


def test_metadata_has_a_limit() -> None:
    floors = {f"a{i}": [i, {}] for i in range(1000)}
    body = orjson.dumps({"value": 1, "causal-metadata": {"v": 1, "t": floors}})
    assert status_of(call("PUT", body)) == 400


@given(st.recursive(JSON_VALUES, lambda inner: st.dictionaries(st.sampled_from("vthk"), inner)))
def test_metadata_is_a_token_or_refused(metadata: object) -> None:
    said = call("GET", orjson.dumps({"causal-metadata": metadata}))
    assert isinstance(said, Ask) or said.status == 400


def test_our_own_metadata_comes_back_whole() -> None:
    stored = OUTCOMES["created"]
    metadata = orjson.loads(say_put(stored, "replaced").body)["causal-metadata"]
    said = call("GET", orjson.dumps({"causal-metadata": metadata}))
    assert isinstance(said, Ask)
    assert not isinstance(said.request, Put)
    assert encode(decode(metadata)) == orjson.dumps(metadata)


def test_an_answer_to_no_request_of_ours_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="Counted"):
        say_get(Counted(1))


def test_what_is_missing_fits_a_header() -> None:
    text = missing_of(Unmet({f"actor{i:04}": (i, i + 1) for i in range(1000)}))
    assert text.count(",") == MISSING_MAX - 1
    assert text.startswith("actor0000=0/1, actor0001=1/2")


@pytest.mark.parametrize("address", ["10.10.0.2:8090", "[::1]:80", "node-1.example:65535", "a:1"])
def test_addresses(address: str) -> None:
    assert address_of({"a": address}, "a") == address


@pytest.mark.parametrize(
    "address",
    [None, 7, "", "host", "host:", ":80", "host:0", "host:65536", "host:8o", "::1:80", "a b:80",
     "http://host:80", "host:80/", "x" * 400 + ":80", "host:٣"],
)  # fmt: skip
def test_what_is_no_address(address: object) -> None:
    with pytest.raises(Refused, match="400"):
        address_of({"a": address}, "a")
