"""Every contract stores values as clients wrote them, to the byte.

A text that is longer than its value is made shorter, without a change of meaning.
"""

import json
from functools import partial
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, strategies as st

from node.api import json_values
from node.api.contract import Ask, Call, Limits, Reply, Talk
from node.api.kept_values import kept, opened
from node.core.model.item import Past
from node.core.model.token import Token
from node.core.protocol.operations import Found, Put, Request, StoreLocally
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import DIALECTS
from tests.dialects.nodes import NODES, WRITTEN, facts_at
from tests.dialects.outcomes import OUTCOMES

LIMIT = 1000
LIMITS = Limits(LIMIT, 1.0)
CLOCK = ({"a": 1},)

TEXTS = [
    "0.00760939025925927263", "-0", "-0.0", "1e400", "-1E-400", "1.0", "1.00",
    "18446744073709551616",
    "1" * 900, "[0.1,9007199254740993]", '{"a":1,"a":2}', '{"b":1,"a":2}', '{ "a" : [ 1,\n\t2 ] }',
    '"\\u00e9\\/\\u0041"', '"\\u0000"', '"\\ud83d\\ude00"', '"\x7f\u2028"', '""', "null", "[[],{}]",
]  # fmt: skip

WRITES = [  # contract, method, pattern, the fields beside the value
    ("asg4", "PUT", "/kvs/{key}", {}),
    ("causal", "POST", "/put", {"key": "cart"}),
    ("data_view", "PUT", "/data/{key}", {}),
    ("dynamo", "POST", "/storeData", {"key": "cart"}),
    ("dynamo", "POST", "/storeReplicas", {"key": "cart"}),
    ("dynamo", "POST", "/updateReplica", {"key": "cart"}),
    ("keys_view", "PUT", "/kvs/keys/{key}", {}),
    ("peers", "POST", "/store", {"key": "cart"}),
    ("shard_view", "PUT", "/key-value-store/{key}", {}),
]
READS = [
    ("asg4", "/kvs/{key}", {}),
    ("causal", "/get/{key}", {}),
    ("data_view", "/data/{key}", {}),
    ("dynamo", "/getData", {"key": "cart"}),
    ("dynamo", "/getReplicasValue", {"key": "cart"}),
    ("keys_view", "/kvs/keys/{key}", {}),
    ("peers", "/store/key", {"key": "cart"}),
    ("shard_view", "/key-value-store/{key}", {}),
]


def handled(name: str, method: str, pattern: str, body: bytes) -> Reply | Ask | Talk:
    routes = handlers_of(DIALECTS[name]())
    at, view = (WRITTEN[0], "called") if name == "data_view" else (NODES[0], "first")
    facts = partial(facts_at, at, view=view)
    said = routes[method, pattern](Call(method, {"key": "cart"}, {}, {}, body, facts, LIMITS))
    assert isinstance(said, Reply | Ask | Talk)
    return said


def stored_by(name: str, method: str, pattern: str, body: bytes) -> bytes:
    said = handled(name, method, pattern, body)
    assert not isinstance(said, Reply), said
    asked = said.request if isinstance(said, Ask) else _first_of(said)
    assert isinstance(asked, Put | StoreLocally)
    assert asked.value is not None
    return asked.value


def _first_of(said: Talk) -> Request:
    wanted = next(said.steps)
    assert not isinstance(wanted, float)
    return wanted[0]


def body_with(fields: dict[str, str], text: str, name: str = "value") -> bytes:
    return f'{{"x":1, {json.dumps(fields)[1:-1]}{"," if fields else ""}"{name}": {text} }}'.encode()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("name", "method", "pattern", "fields"), WRITES)
def test_what_is_stored_is_what_came(
    name: str, method: str, pattern: str, fields: dict[str, str], text: str
) -> None:
    stored = stored_by(name, method, pattern, body_with(fields, text))
    assert stored.removeprefix(b'{"v":1}\n') == text.encode()  # shard_view: what was seen, first


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("name", "pattern", "fields"), READS)
def test_what_is_stored_is_what_is_given_back(
    name: str, pattern: str, fields: dict[str, str], text: str
) -> None:
    said = handled(name, "GET", pattern, orjson.dumps(fields))
    assert isinstance(said, Ask)
    dots = (("AAAAAA.1", 7),)
    found = Found((text.encode(),), dots, dots, Token(), Past(), NODES[0], CLOCK)
    reply = msgspec.json.decode(said.say(found).body, type=dict[str, msgspec.Raw])
    assert bytes(reply["value"]) == text.encode()


@pytest.mark.parametrize("text", TEXTS)
def test_lists_of_values_have_them_as_they_are(text: str) -> None:
    listed = msgspec.structs.replace(OUTCOMES["listed"], items={"a": (text.encode(),)})
    said = handled("data_view", "GET", "/data", b"")
    assert isinstance(said, Ask)
    assert bytes(msgspec.json.decode(said.say(listed).body, type=dict[str, msgspec.Raw])["a"]) == (
        text.encode()
    )


@pytest.mark.parametrize("text", [t for t in TEXTS if t.startswith('"')])
def test_admin_view_has_strings_alone(text: str) -> None:
    facts = partial(facts_at, NODES[0], view="first")
    put = handlers_of(DIALECTS["admin_view"]())["PUT", "/kvs/data/{key}"]
    said = put(Call("PUT", {"key": "k"}, {}, {}, body_with({}, text, "val"), facts, LIMITS))
    assert isinstance(said, Ask)
    assert isinstance(said.request, Put)
    assert said.request.value == text.encode()
    for other in ("1e400", "1", "[]", "null"):
        body = body_with({}, other, "val")
        said = put(Call("PUT", {"key": "k"}, {}, {}, body, facts, LIMITS))
        assert isinstance(said, Reply)
        assert said.status == 400


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 1, 7]))
def test_a_shorter_text_says_the_same(value: Any, ascii_only: bool, indent: int | None) -> None:
    try:
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    except UnicodeEncodeError:
        return
    short = json_values.compact(text)
    assert json.loads(short) == value
    assert short == json_values.compact(short)
    assert json_values.are_equal(text, json.dumps(value, separators=(",", ":")).encode())
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(short) <= len(plain)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (b'"a b\\" c"', b'"a b\\" c"'),
        (b'"\\\\u0041"', b'"\\\\u0041"'),
        (b'"\\u0041\\/"', b'"A/"'),
        (b'"\\u0022\\u005c\\u0001\\n"', b'"\\"\\\\\\u0001\\n"'),
        (b"[ 1.00 , -0 , 1E400 ]", b"[1.00,-0,1E400]"),
        (b'{ "a" : 1 , "a" : "x  y" }', b'{"a":1,"a":"x  y"}'),
    ],
)
def test_how_a_text_is_made_shorter(text: bytes, short: bytes) -> None:
    assert json_values.compact(text) == short


def test_numbers_are_equal_as_they_are_written() -> None:
    assert json_values.are_equal(b'{"a": 1}', b'{"a":1}')
    assert not json_values.are_equal(b"1.0", b"1")
    assert not json_values.are_equal(b'{"a":1}', b'{"a":2}')


@pytest.mark.parametrize("envelope", ["\\u0041", "\\u00e9", "\\ud83d\\ude00"])
def test_the_limit_is_of_the_value_and_not_of_how_it_is_written(envelope: str) -> None:
    size = len(json.loads(f'"{envelope}"').encode())
    fits = (LIMIT - 2) // size
    body = body_with({}, f'"{envelope * fits}"')
    assert json.loads(stored_by("asg4", "PUT", "/kvs/{key}", body)) == (
        json.loads(f'"{envelope}"') * fits
    )
    said = handled("asg4", "PUT", "/kvs/{key}", body_with({}, f'"{envelope * (fits + 1)}"'))
    assert isinstance(said, Reply)
    assert said.status == 413
    assert b"as it is stored; the limit is 1000" in said.body


def test_a_value_with_indentation_is_as_large_as_without() -> None:
    value = [[n] for n in range(170)]
    body = body_with({}, json.dumps(value, indent=8))
    assert len(body) > 3 * LIMIT
    assert json.loads(stored_by("asg4", "PUT", "/kvs/{key}", body)) == value


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"[":', "}]"), ('["{",', "]")]
)
def test_nesting_has_a_bound_and_no_reader_breaks(opening: str, closing: str) -> None:
    levels = opening.count("[") + opening.count("{") - opening.count('"[') - opening.count('"{')
    times = json_values.DEPTH_MAX // levels
    text = opening * times + "1" + closing * times
    assert json_values.read(b'{"value":%b}' % text.encode())["value"] == msgspec.Raw(text.encode())
    for more in (1, 1000, 100_000):
        deeper = opening * (times + more) + "1" + closing * (times + more)
        with pytest.raises(json_values.BadBody, match=r"nested too deeply|not JSON"):
            json_values.read(b'{"value":%b}' % deeper.encode())


@pytest.mark.parametrize(
    "text",
    [b'"\\ud800"', b'"\\udc00"', b'"\xff"', b'{"\xc3":1}', b'"\xed\xa0\x80"', b"01", b"1.", b"NaN",
     b"Infinity", b"[1,]", b"'a'", b'"\x00"', b'"\n"', b"\xef\xbb\xbf1", b"", b"1 2", b"nul"],
)  # fmt: skip
def test_what_is_no_json_of_unicode_text_is_refused(text: bytes) -> None:
    with pytest.raises(json_values.BadBody, match="request body is not JSON"):
        json_values.read(b'{"value":%b}' % text)


def test_a_field_beside_the_value_that_cannot_be_read_is_named_as_json() -> None:
    with pytest.raises(json_values.BadBody, match="request body is not JSON: number is infinity"):
        json_values.read(b'{"value":1,"x":1e400}')
    with pytest.raises(json_values.BadBody, match="not a JSON object"):
        json_values.read(b"[1]")


def test_values_of_several_lines_that_were_kept_without_what_their_writer_saw() -> None:
    dots = (("AAAAAA.1", 7),)
    for text in (b'{\n "a": 1\n}', b"[\n]", b"{}", b'"a"'):
        found = Found((text,), dots, dots, Token(), Past(), NODES[0])
        assert opened("cart", found) == (Token(), text)
        both = Found((kept(Token(), text),), dots, dots, Token(), Past(), NODES[0])
        assert opened("cart", both)[1] == text
