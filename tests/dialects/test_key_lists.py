"""Lists of keys: pages follow each other without gap or double, groups count, shards are named."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st
from multidict import CIMultiDict, MultiDict

from node.api.contract import Call, Facts, Limits, Reply, Talk
from node.api.native.key_lists import behind, key_lists
from node.core.model.item import Past
from node.core.model.keys import slot_of_key
from node.core.model.token import Token
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    KeysListed,
    ListKeys,
    Outcome,
    Rejected,
    Request,
    Unavailable,
    Unmet,
)
from tests.dialects.answering import handlers_of
from tests.dialects.nodes import NODES, VIEW, facts_at

LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)
KEYS = ["a", "a/", "a/1", "a/2", "a/b/c", "ab", "b/1", "c", "c\U0010ffff", "c\U0010ffffx", "ä/ö"]
LIST = handlers_of(key_lists())["GET", "/v1/keys"]
texts = st.text(st.sampled_from("ab/\uffff\U0010ffff"), min_size=1, max_size=4)
Answers = Callable[[Request], Outcome]


class Shards:
    """Two shards that have these keys; each question is answered with so many at most."""

    def __init__(
        self, keys: Collection[str], at_once: int = 1000, gone: Collection[str] = ()
    ) -> None:
        self._keys, self._at_once, self._gone = sorted({*keys, *gone}), at_once, gone
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Outcome:
        self.asked.append(request)
        if isinstance(request, Get):
            if request.key in self._gone:
                return Absent((), Token(), Past(), NODES[0])
            return Found((b"1",), (), (), Token(), Past(), NODES[0])
        assert isinstance(request, ListKeys)
        found = [key for key in self._keys if self._is_wanted(request, key)]
        most = min(self._at_once, request.limit)
        upto = found[most] if len(found) > most else ""
        return KeysListed(found[:most], upto, Token(), not self._gone)

    def _is_wanted(self, request: ListKeys, key: str) -> bool:
        is_in = request.start <= key and (not request.end or key < request.end)
        return is_in and bool(request.slots >> slot_of_key(key) & 1)


def facts() -> Facts:
    return facts_at(NODES[0])


def said(answers: Answers, query: dict[str, str], at: Callable[[], Facts] = facts) -> Reply:
    call = Call("GET", {}, MultiDict(query), CIMultiDict(), b"", at, LIMITS)
    talk = LIST(call)
    if isinstance(talk, Reply):
        return talk
    assert isinstance(talk, Talk)
    try:
        wanted = next(talk.steps)
        while True:
            assert isinstance(wanted, Sequence)
            wanted = talk.steps.send([answers(request) for request in wanted])
    except StopIteration as end:
        reply: Reply = end.value
        return reply


def listed(answers: Answers, **query: str) -> Any:
    reply = said(answers, query)
    assert reply.status == 200, reply.body
    return orjson.loads(reply.body)


def pages(answers: Answers, **query: str) -> list[Any]:
    """Return all pages, each from where the last one says."""
    found = [listed(answers, **query)]
    while found[-1]["next"] is not None:
        found.append(listed(answers, **{**query, "after": found[-1]["next"]}))
    return found


@given(st.lists(texts, unique=True), texts | st.just(""), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_pages_have_each_key_of_the_prefix_once_and_in_order(
    keys: list[str], prefix: str, limit: int, at_once: int
) -> None:
    found = pages(Shards(keys, at_once), prefix=prefix, limit=str(limit))
    listed = [key for page in found for key in page["keys"]]
    assert listed == sorted(key for key in keys if key.startswith(prefix))
    assert all(len(page["keys"]) == limit for page in found[:-1])
    assert all(page["complete"] for page in found)


@given(
    st.lists(texts, unique=True),
    texts | st.just(""),
    st.sampled_from(["/", "b", "/a", "\U0010ffff"]),
    st.integers(1, 5),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_groups_have_each_key_behind_their_delimiter(
    keys: list[str], prefix: str, delimiter: str, limit: int, counts: bool
) -> None:
    query = {"prefix": prefix, "delimiter": delimiter, "limit": str(limit)}
    found = pages(Shards(keys, 2), **query, counts=str(counts).lower())
    plain, groups = set[str](), dict[str, int]()
    for key in keys:
        stem, met, _ = key.removeprefix(prefix).partition(delimiter)
        if key.startswith(prefix) and met:
            groups[prefix + stem + met] = groups.get(prefix + stem + met, 0) + 1
        elif key.startswith(prefix):
            plain.add(key)
    assert [key for page in found for key in page["keys"]] == sorted(plain)
    shown = [group for page in found for group in page["groups"]]
    assert [group["prefix"] for group in shown] == sorted(groups)
    if counts:
        assert {group["prefix"]: group["count"] for group in shown} == groups


def test_a_group_is_stepped_over_without_its_keys() -> None:
    shards = Shards([f"a/{n:05}" for n in range(5000)] + ["b"])
    assert listed(shards, delimiter="/")["groups"] == [{"prefix": "a/"}]
    assert len(shards.asked) <= 16


@pytest.mark.parametrize(
    ("prefix", "following"),
    [("a", "b"), ("a\U0010ffff", "b"), ("\U0010ffff", ""), ("\ud7ff", "\ue000"), ("", "")],
)
def test_the_first_text_behind_a_prefix(prefix: str, following: str) -> None:
    assert behind(prefix) == following


def test_keys_that_may_be_deleted_are_read() -> None:
    shards = Shards(["a", "b"], gone=["c", "d"])
    assert listed(shards)["keys"] == ["a", "b"]
    assert {request.key for request in shards.asked if isinstance(request, Get)} == set("abcd")


def test_a_shard_that_does_not_answer_is_named() -> None:
    answered, second = Shards(KEYS), VIEW.slots_of_shard(1)

    def answers(request: Request) -> Outcome:
        is_away = isinstance(request, ListKeys) and request.slots & second
        return Unavailable("away", definite=True) if is_away else answered(request)

    found = listed(answers)
    assert (found["complete"], found["unanswered"]) == (False, ["s2"])
    assert found["keys"] == sorted(k for k in KEYS if not second >> slot_of_key(k) & 1)


@pytest.mark.parametrize(
    ("outcome", "status", "kind"),
    [
        (Unavailable("away", definite=True), 503, "unavailable"),
        (Unmet({"AAAAAA.1": (3, 4)}), 503, "unmet"),
        (Rejected("this token is of another cluster"), 400, "malformed"),
    ],
)
def test_says_why_there_is_no_list(outcome: Outcome, status: int, kind: str) -> None:
    reply = said(lambda request: outcome, {})
    assert reply.status == status
    assert orjson.loads(reply.body)["type"] == f"/v1/problems/{kind}"


def test_a_node_without_a_view_has_no_list() -> None:
    reply = said(Shards([]), {}, lambda: facts_at(NODES[0], view="nothing"))
    assert (reply.status, orjson.loads(reply.body)["definite"]) == (503, True)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"limit": "0"}, "limit is '0'; expected a number from 1 to 1000"),
        ({"limit": "1001"}, "limit is '1001'; expected a number from 1 to 1000"),
        ({"limit": "ten"}, "limit is 'ten'; expected a number from 1 to 1000"),
        ({"prefix": "a\0"}, "prefix has a NUL character"),
        ({"after": "a" * 1025}, "after has 1025 bytes; the limit is 1024"),
        ({"counts": "true"}, "counts=true counts the keys of groups: give a delimiter, such as /"),
        ({"counts": "1", "delimiter": "/"}, "counts is '1'; expected true, false"),
        (
            {"from": "a"},
            "there is no parameter 'from'; there are after, counts, delimiter, limit, prefix, "
            "timeout",
        ),
    ],
)
def test_what_is_not_as_it_should_be_is_named(query: dict[str, str], detail: str) -> None:
    reply = said(Shards([]), query)
    assert (reply.status, orjson.loads(reply.body)["detail"]) == (400, detail)


def test_a_count_that_takes_too_long_goes_on_in_the_next_page() -> None:
    times = iter(range(1000))

    def late() -> Facts:
        known = facts_at(NODES[0])
        return Facts(known.address, known.view, tuple, now=float(next(times)))

    query = {"delimiter": "/", "counts": "true", "timeout": "1"}
    first = orjson.loads(said(Shards(KEYS, 1), query, late).body)
    assert first["next"] is not None
    assert first["complete"]
