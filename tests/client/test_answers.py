"""What calls ask, and how answers are read: values, siblings, resolvers, refusals, strangers."""

from collections.abc import Mapping
from typing import Any

import pytest

from coterie import (
    Client,
    Conflict,
    CoterieError,
    Missing,
    Sibling,
    Unavailable,
    Unexpected,
    Unmet,
    answers,
    calls,
)
from coterie.nodes import Nodes, checked
from coterie.resolvers import Resolver, Unresolvable, resolved
from coterie.steps import Answer
from coterie.values import decoded, encoded
from tests.client.conversing import READ, WROTE, found, problem


def sibling(value: Any, number: int = 0) -> Sibling:
    return Sibling(f"i{number}", f'"i{number}"', value, "application/json", {}, number, None, "a:1")


@pytest.mark.parametrize(
    ("value", "raw", "content_type"),
    [
        ({"a": [1, None, "ä"]}, '{"a":[1,null,"ä"]}'.encode(), "application/json"),
        (None, b"null", "application/json"),
        ("ä", "ä".encode(), "text/plain; charset=utf-8"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
    ],
)
def test_values_come_back_as_they_were(value: object, raw: bytes, content_type: str) -> None:
    assert encoded(value) == (raw, content_type)
    assert decoded(raw, content_type) == value


def test_a_value_that_is_not_what_its_type_says_stays_bytes() -> None:
    assert decoded(b"{", "application/json") == b"{"
    assert decoded(b"\xff", "text/plain") == b"\xff"
    assert encoded(b"[1]", "application/json") == (b"[1]", "application/json")
    for value in ({1}, float("nan"), {1: 2}, [{"a": ({None: 1},)}]):
        with pytest.raises((TypeError, ValueError)):
            encoded(value)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("users/42", "users%2F42"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("a.b", "a.b"),
        ("../a", "..%2Fa"),
        ("ä?#%", "%C3%A4%3F%23%25"),
    ],
)
def test_a_key_is_escaped_so_that_no_url_changes_it(key: str, path: str) -> None:
    assert calls.head(key, r=None, on_miss=None).path == f"/v1/kv/{path}"


@pytest.mark.parametrize(
    "meta", [{"a b": "x"}, {"a": "x\ny"}, {"a": "x\r\nKv-Context: none"}, {"a": " x"}]
)
def test_a_label_cannot_become_another_header(meta: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        calls.put("k", 1, calls.WriteOptions(name="n"), meta=meta)


LISTS = [sibling([1, 2], 1), sibling([2, {"a": 1}], 2)]
NUMBERS = [sibling(1.5, 1), sibling(3, 2), sibling(2, 3)]


@pytest.mark.parametrize(
    ("resolve", "siblings", "value"),
    [
        ("union", LISTS, [1, 2, {"a": 1}]),
        ("lww", LISTS, [2, {"a": 1}]),
        ("max", NUMBERS, 3),
        ("min", NUMBERS, 1.5),
        (lambda siblings: [each.id for each in siblings], LISTS, ["i1", "i2"]),
    ],
)
def test_resolvers(resolve: Resolver, siblings: list[Sibling], value: object) -> None:
    assert resolved(resolve, siblings) == value


def test_a_resolver_says_what_it_is_for() -> None:
    with pytest.raises(Unresolvable, match="union is for lists; a value is int"):
        resolved("union", [sibling(3)])
    with pytest.raises(Unresolvable, match="a value is bool"):
        resolved("max", [sibling(1), sibling(True)])
    untyped: Any = "mean"  # as a program without types may have it
    with pytest.raises(ValueError, match="'mean'; expected union, lww, max, min or a function"):
        resolved(untyped, NUMBERS)


def test_a_conflict_that_a_resolver_is_not_for_stays_one() -> None:
    said = (
        '{"siblings":[{"id":"1","etag":"","value_base64":"AP8=","content_type":"a/b","meta":{},'
        '"written_at":1.5,"expires_at":2.5,"node":"a:1"}],"context":"c"}'
    )
    with pytest.raises(Conflict, match="union is for lists") as raised:
        answers.value_in("k", "union", Answer(300, READ, said.encode()))
    [one] = raised.value.siblings
    assert (one.value, one.written_at, one.expires) == (b"\x00\xff", 1.5, 2.5)


def test_a_read_says_what_it_lacks_and_from_what_it_was_made() -> None:
    value = answers.value_in("k", None, found(1, kv_missing="a.1=0/1, b%2C=2/5", kv_reads="2/3"))
    assert value.missing == (Missing("a.1", 0, 1), Missing("b,", 2, 5))
    assert (value.reads, value.copies, value.siblings, value.expires) == (2, 3, 1, None)


def test_refusals_carry_their_document() -> None:
    document = problem(503, "unmet")
    text = document.body.replace(b'"node"', b'"missing":[{"actor":"a","have":1,"need":2}],"node"')
    error = answers.error_in(Answer(503, document.headers, text), is_write=False)
    assert isinstance(error, Unmet)
    assert error.missing == [Missing("a", 1, 2)]
    assert error.problem is not None
    assert (error.problem.kind, error.problem.node, error.problem.retryable) == (
        "unmet",
        "a:1",
        True,
    )
    short = problem(503, "unavailable", definite=False)
    text = short.body.replace(b'"node"', b'"acks":1,"reached":["b:1"],"node"')
    error = answers.error_in(Answer(503, short.headers, text), is_write=True)
    assert isinstance(error, Unavailable)
    assert (error.acks, error.reached, error.definite) == (1, ["b:1"], False)


STRANGE: tuple[Answer, ...] = (
    Answer(200, {"content-type": "text/html"}, b"<html>"),
    Answer(302, {"location": "/"}, b""),
    Answer(300, READ, b"[]"),
    Answer(300, READ, b"{"),
    Answer(200, {**READ, "kv-reads": "many"}, b"1"),
    Answer(200, {**READ, "kv-expires": "soon"}, b"1"),
    Answer(200, {**READ, "kv-missing": "a"}, b"1"),
    Answer(403, {"content-type": "application/problem+json"}, b"{"),
)


@pytest.mark.parametrize("answer", STRANGE)
def test_what_is_no_node_is_told_so(answer: Answer) -> None:
    with pytest.raises(Unexpected, match="not one of a node") as raised:
        answers.value_in("k", None, answer)
    assert isinstance(raised.value, CoterieError)


def test_a_stranger_that_took_a_write_may_have_done_it() -> None:
    for answer in (Answer(200, {}, b""), Answer(200, {**WROTE, "kv-acks": "x"}, b"")):
        with pytest.raises(Unexpected) as raised:
            answers.written_in("k", answer)
        assert not raised.value.definite


@pytest.mark.parametrize("url", ["localhost:8082", "ftp://a", "http://", "http://a/?b", ""])
def test_a_client_wants_urls_of_nodes(url: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of a node"):
        checked(url)
    with pytest.raises(ValueError, match="is not the URL of a node"):
        Client([url])


def test_a_client_wants_a_node() -> None:
    with pytest.raises(ValueError, match="one node or more"):
        Client([])
    assert Nodes(["http://a:1/"], lambda: 0.0).urls == ["http://a:1"]
    Client("http://localhost:1").close()
