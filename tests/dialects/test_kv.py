"""The native API of single keys: its exchanges go as written; what it gives out it takes back."""

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from node.api.contract import Ask, Call, Reply, Talk
from node.api.native.key_values import key_values
from node.api.native.opaque import (
    NAMED_MAX,
    KeyContext,
    context_of,
    context_text,
    token_of,
    token_text,
)
from node.api.native.parameters import LABEL_BYTES_MAX, META_MAX
from node.api.native.problems import KINDS, PATH
from node.core.model.item import Past
from node.core.model.token import Malformed, Token
from node.core.model.view import ViewId
from node.core.model.write_name import WriteName
from node.core.protocol.operations import Found, Put, Stored
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import NODES, facts_at
from tests.dialects.outcomes import BOTH_DOTS, OUTCOMES, SEEN

ROUTES = handlers_of(key_values())
KEY = "users/42"
DOT = ("AAAAAA.1", 7)
FOUND = Found(
    (b"tea",), (DOT,), (DOT,), SEEN, Past(), NODES[0], (), (None,), ((0, 0, ""),), expires=(0,)
)

actors = st.from_regex(r"[A-Za-z0-9_-]{6,12}\.[1-9]", fullmatch=True)
counts = st.integers(1, 2**53 - 1)
pasts = st.builds(
    Past,
    st.dictionaries(actors, counts, max_size=5),
    st.sets(st.tuples(actors, counts), max_size=5),
)


def said(method: str, body: bytes = b"", **headers: str) -> Reply | Ask:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    handler = ROUTES[method, "/v1/kv/{key}"]
    call = Call(method, {"key": KEY}, {}, named, body, lambda: facts_at(NODES[0]), LIMITS)
    answer = handler(call)
    assert isinstance(answer, Reply | Ask)
    return answer


def problem_of(reply: Any) -> tuple[int, str]:
    assert isinstance(reply, Reply)
    assert reply.content_type == "application/problem+json"
    return reply.status, orjson.loads(reply.body)["type"].removeprefix(PATH)


def test_goes_as_written() -> None:
    path = HERE / "kv.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "kv.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern}" in text


def test_every_kind_of_problem_is_explained() -> None:
    for kind in KINDS:
        call = Call("GET", {"kind": kind}, {}, {}, b"", lambda: facts_at(NODES[0]), LIMITS)
        reply = ROUTES["GET", PATH + "{kind}"](call)
        assert isinstance(reply, Reply)
        assert reply.body.decode().startswith(f"{KINDS[kind].title} ({KINDS[kind].status})\n")


def test_a_context_comes_back_with_the_oldest_view() -> None:
    """What it has seen of retired views are all their writes: versions that replaced others are
    named, and those that they replaced are not."""
    past = Past({"AAAAAA.10": 3}, {("BBBBBB.9", 1)}, ViewId(9, "Zz90"))
    assert context_of(KEY, context_text(KEY, KeyContext(past))).past == past


def test_a_context_that_was_changed_is_refused() -> None:
    text = context_text(KEY, KeyContext(Past({"AAAAAA.1": 3}, {("BBBBBB.1", 5)}), "AAAAAA"))
    for place in range(len(text) - 1):
        other = "A" if text[place] != "A" else "B"
        with pytest.raises(Malformed):
            context_of(KEY, f"{text[:place]}{other}{text[place + 1 :]}")
        with pytest.raises(Malformed):
            context_of(KEY, text[: place or 1])


@given(pasts, st.text(min_size=1, max_size=20).filter(lambda key: key.isprintable()))
def test_a_context_that_is_given_out_is_taken_back(past: Past, key: str) -> None:
    for cluster in ("", "AAAAAA", "AAAAAABBBBBB"):
        assert context_of(key, context_text(key, KeyContext(past, cluster))) == (past, cluster)


def test_a_token_that_is_given_out_is_taken_back() -> None:
    assert token_of(token_text(SEEN)) == SEEN
    assert token_of(token_text(Token())) == Token()


@pytest.mark.parametrize("text", ["", "AAAA", "e30", "é", "=", "x" * 5000])
def test_other_texts_are_no_tokens(text: str) -> None:
    with pytest.raises(Malformed):
        context_of(KEY, text)
    if text != "e30":  # an empty object has seen nothing
        with pytest.raises(Malformed):
            token_of(text)


@pytest.mark.parametrize("base", [{"a b": 1}, {"AAAAAA.1": 0}, {"AAAAAA.1": 2**53}])
def test_a_context_of_what_no_node_can_have_named_is_malformed(base: dict[str, int]) -> None:
    with pytest.raises(Malformed):
        context_of(KEY, context_text(KEY, KeyContext(Past(base))))


def named(*identities: str) -> Past:
    """Return a past that names a write for each of these identities, one later than the other."""
    dots = [("AAAAAA.1", n) for n in range(1, 1 + len(identities))]
    names = {i: WriteName(d, (d[1], 0, d[0])) for i, d in zip(identities, dots, strict=True)}
    return Past({}, set(dots), namings=names)


def test_a_context_names_the_last_writes_that_may_be_sent_again() -> None:
    past = named(*(f"name{n}.request" for n in range(NAMED_MAX + 2)))
    back = context_of(KEY, context_text(KEY, KeyContext(past))).past
    assert back.loose == past.loose
    assert list(back.namings.items()) == list(past.namings.items())[2:]


def test_a_context_names_no_write_without_an_identity() -> None:
    """An empty identity would stand for every write that has none."""
    with pytest.raises(Malformed, match="is not a context"):
        context_of(KEY, context_text(KEY, KeyContext(named(""))))


def test_a_context_says_of_which_cluster_it_is() -> None:
    text = context_text(KEY, KeyContext(Past({"AAAAAA.1": 3}), "BBBBBB"))
    asked = said("PUT", b"tea", Kv_Context=text, Kv_Token=token_text(Token(name="AAAAAA")))
    assert isinstance(asked, Ask)
    assert isinstance(asked.request, Put)
    assert asked.request.token.name == "AAAAAABBBBBB"


def test_the_context_of_a_write_has_seen_the_write() -> None:
    asked = said("PUT", b"tea")
    assert isinstance(asked, Ask)
    stored = Stored(SEEN, Past(), ("AAAAAA.1", 7), False, 2, 2, NODES[0], shown=BOTH_DOTS)
    reply = asked.say(stored)
    seen = context_of(KEY, reply.headers["Kv-Context"])
    assert seen.past == Past({}, {("AAAAAA.1", 7)})


@pytest.mark.parametrize("number", [1, 2, 24, 25])
def test_siblings_are_counted(number: int) -> None:
    """A write tells all that it leaves, since its answer has no tag then; a read only many."""
    asked, read = said("PUT", b"tea", Kv_Context="none"), said("GET")
    assert isinstance(asked, Ask)
    assert isinstance(read, Ask)
    dots = tuple(("AAAAAA.1", n) for n in range(1, number + 1))
    stored = Stored(SEEN, Past(), dots[-1], True, 2, 2, NODES[0], shown=dots)
    values, labels = (b"1",) * number, (None,) * number
    timestamps = ((0, 0, ""),) * number
    found = Found(
        values, dots, dots, SEEN, Past(), NODES[0], (), labels, timestamps, expires=(0,) * number
    )
    written, shown_headers = asked.say(stored).headers, read.say(found).headers
    assert written.get("Kv-Siblings") == (str(number) if number > 1 else None)
    assert ("ETag" in written) is (number == 1)
    assert shown_headers.get("Kv-Siblings") == ("25" if number == 25 else None)


def asked_with(method: str, strict: str | None, body: bytes = b"") -> Put:
    """Return the write that a request asks for; of a PATCH, after its read."""
    query = {"strict": strict} if strict else {}
    if method == "PATCH":
        query["ttl"] = "60"
    call = Call(method, {"key": KEY}, query, {}, body, lambda: facts_at(NODES[0]), LIMITS)
    answer = ROUTES[method, "/v1/kv/{key}"](call)
    if isinstance(answer, Talk):
        next(answer.steps)
        requests = answer.steps.send((FOUND,))
    else:
        assert isinstance(answer, Ask)
        requests = (answer.request,)
    assert isinstance(requests, tuple)
    (request,) = requests
    assert isinstance(request, Put)
    return request


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("strict", "hinted"), [(None, True), ("false", True), ("true", False)])
def test_a_write_takes_hints_unless_it_is_strict(
    method: str, strict: str | None, hinted: bool
) -> None:
    body = b"tea" if method == "PUT" else b""
    assert asked_with(method, strict, body).hinted is hinted


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_hints_are_told_beside_the_copies(method: str) -> None:
    asked = said(method, b"tea" if method == "PUT" else b"")
    assert isinstance(asked, Ask)
    none = Stored(SEEN, Past(), DOT, True, 2, 3, NODES[0], shown=(DOT,))
    some = Stored(SEEN, Past(), DOT, True, 2, 3, NODES[0], shown=(DOT,), hints=1)
    headers = [asked.say(stored).headers for stored in (none, some)]
    told = [(each["Kv-Acks"], each.get("Kv-Hints")) for each in headers]
    assert told == [("2/3", None), ("2/3", "1")]


def test_labels_are_bounded_in_number_and_bytes() -> None:
    many = {f"Kv_Meta_{n}": "x" for n in range(META_MAX)}
    assert isinstance(said("PUT", b"tea", **many), Ask)
    assert problem_of(said("PUT", b"tea", **many, Kv_Meta_More="x")) == (431, "labels")
    long = {"Kv_Meta_Long": "x" * LABEL_BYTES_MAX}
    assert problem_of(said("PUT", b"tea", **long)) == (431, "labels")


def test_a_label_is_printable() -> None:
    assert problem_of(said("PUT", b"tea", Kv_Meta_Cup="a\udcffb")) == (400, "malformed")


def test_several_tokens_are_joined() -> None:
    once = said("PUT", b"tea", Kv_Token=token_text(SEEN))
    assert isinstance(once, Ask)
    assert isinstance(once.request, Put)
    assert once.request.token == SEEN


def test_a_long_key_is_refused() -> None:
    call = Call("GET", {"key": "é" * 513}, {}, {}, b"", lambda: facts_at(NODES[0]), LIMITS)
    assert problem_of(ROUTES["GET", "/v1/kv/{key}"](call)) == (400, "malformed")


def test_a_read_of_an_empty_value_is_a_value() -> None:
    put, get = said("PUT", b""), said("GET")
    assert isinstance(put, Ask)
    assert isinstance(put.request, Put)
    assert put.request.value == b""
    assert isinstance(get, Ask)
    reply = get.say(
        Found(
            (b"",), BOTH_DOTS[:1], BOTH_DOTS[:1], SEEN, Past(), NODES[0], (),
            (put.request.labels,), ((0, 0, ""),),
        )
    )  # fmt: skip
    assert (reply.status, reply.body) == (200, b"")


def test_there_are_outcomes_of_all_kinds_in_the_exchanges() -> None:
    text = (HERE / "kv.txt").read_text()
    of_keys = ("written", "another tag", "full", "absent", "unmet", "another cluster", "one value")
    for name in (*of_keys, "three values", "one stale value", "not written", "one acknowledged"):
        assert name in OUTCOMES
        assert f"outcome: {name}\n" in text
