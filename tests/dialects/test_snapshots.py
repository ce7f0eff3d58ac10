"""A snapshot reads keys again until no value may lack what another one depends on."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict, MultiDict

from node.api.contract import Call, Facts, Limits, Reply, Talk
from node.api.native.opaque import token_text
from node.api.native.snapshots import CHANGING, snapshots
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Outcome,
    Rejected,
    Unavailable,
    Unmet,
)
from tests.dialects.answering import handlers_of
from tests.dialects.nodes import NODES, facts_at

LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)
POST = handlers_of(snapshots())["POST", "/v1/snapshot"]
Round = Callable[[int, Get], Outcome]


def facts() -> Facts:
    return facts_at(NODES[0])


def found(key: str, n: int, *deps: tuple[str, int]) -> Found:
    """Return the n-th value of a key, which depends on values of others."""
    dot = key, n
    exact = {(name, number): key_hash_of(name, False) for name, number in ((key, n), *deps)}
    return Found(
        (b"%d" % n,), (dot,), (dot,), Token({}, exact), Past({key: n}), NODES[0],
        labels=(None,), timestamps=((1000, 0, ""),), expires=(0,),
    )  # fmt: skip


def absent() -> Absent:
    return Absent((), Token(), Past(), NODES[0])


def said(body: object, answer: Round, at: Callable[[], Facts] = facts) -> tuple[Reply, list[Any]]:
    """Return the reply, and the reads of each round."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    call = Call("POST", {}, MultiDict({"timeout": "2"}), CIMultiDict(), raw, at, LIMITS)
    talk = POST(call)
    if isinstance(talk, Reply):
        return talk, []
    assert isinstance(talk, Talk)
    rounds: list[list[Get]] = []
    try:
        wanted = next(talk.steps)
        while True:
            assert isinstance(wanted, Sequence)
            reads = [request for request in wanted if isinstance(request, Get)]
            rounds.append(reads)
            wanted = talk.steps.send([answer(len(rounds), get) for get in reads])
    except StopIteration as end:
        return end.value, rounds


def names(rounds: list[list[Get]]) -> list[list[str]]:
    return [[get.key for get in reads] for reads in rounds]


def values(reply: Reply) -> dict[str, list[int]]:
    assert reply.status == 200, reply.body
    shown = orjson.loads(reply.body)["values"]
    return {each["key"]: [sibling["value"] for sibling in each["siblings"]] for each in shown}


def test_one_key_is_read_once() -> None:
    reply, rounds = said({"keys": ["a"]}, lambda number, get: found("a", 1))
    assert (values(reply), names(rounds)) == ({"a": [1]}, [["a"]])
    assert orjson.loads(reply.body)["token"] == token_text(found("a", 1).token)


def test_keys_that_do_not_change_are_read_twice() -> None:
    reply, rounds = said({"keys": ["b", "a"]}, lambda number, get: found(get.key, 1))
    assert list(values(reply)) == ["b", "a"]
    assert names(rounds) == [["b", "a"], ["b", "a"]]
    assert set(rounds[1][0].token.exact) == {("a", 1), ("b", 1)}
    assert [get.mode for get in rounds[0]] == [Mode.SIBLINGS] * 2


def test_an_album_is_not_shown_without_its_photo() -> None:
    """The story of the module: both come while the snapshot is taken."""

    def answer(number: int, get: Get) -> Outcome:
        if get.key == "album":
            return found("album", 1, ("photo", 1)) if number > 1 else absent()
        return found("photo", 1) if ("photo", 1) in get.token.exact else absent()

    reply, rounds = said({"keys": ["album", "photo"]}, answer)
    assert values(reply) == {"album": [1], "photo": [1]}
    assert names(rounds) == [["album", "photo"], ["album", "photo"], ["photo"], ["album"]]


def test_a_photo_that_all_replicas_had_is_in_no_token_and_yet_shown() -> None:
    """The first read of the photo has missed it, and the album names nothing any more."""

    def answer(number: int, get: Get) -> Outcome:
        if get.key == "album":
            return found("album", 1)
        return found("photo", 1) if number > 1 else absent()

    reply, _ = said({"keys": ["photo", "album"]}, answer)
    assert values(reply) == {"photo": [1], "album": [1]}


def test_one_key_that_always_changes_keeps_no_snapshot_from_its_end() -> None:
    def answer(number: int, get: Get) -> Outcome:
        return found("hot", number) if get.key == "hot" else found(get.key, 1)

    reply, rounds = said({"keys": ["hot", "a", "b"]}, answer)
    assert values(reply) == {"hot": [2], "a": [1], "b": [1]}
    assert names(rounds)[2] == ["a", "b"]


def test_keys_that_change_too_fast_are_refused_when_the_time_is_over() -> None:
    times = iter(n * 0.1 for n in range(1000))

    def passing() -> Facts:
        known = facts()
        return Facts(known.address, known.view, tuple, now=next(times))

    reply, rounds = said({"keys": ["a", "b"]}, lambda number, get: found(get.key, number), passing)
    body = orjson.loads(reply.body)
    assert (reply.status, body["detail"], body["definite"]) == (503, CHANGING, True)
    assert len(rounds) > 3


def test_a_key_without_a_value_has_no_siblings() -> None:
    reply, _ = said({"keys": ["a", "b"]}, lambda number, get: absent())
    assert values(reply) == {"a": [], "b": []}


@pytest.mark.parametrize(
    ("outcome", "status", "kind"),
    [
        (Unmet({"AAAAAA.1": (3, 4)}), 503, "unmet"),
        (Unavailable("away", definite=True), 503, "unavailable"),
        (Rejected("this token is of another cluster"), 400, "malformed"),
    ],
)
def test_says_why_there_is_none(outcome: Outcome, status: int, kind: str) -> None:
    reply, _ = said({"keys": ["a", "b"]}, lambda number, get: outcome)
    assert reply.status == status
    assert orjson.loads(reply.body)["type"] == f"/v1/problems/{kind}"


def test_a_node_without_a_view_has_none() -> None:
    reply, _ = said({"keys": ["a"]}, lambda n, get: absent(), lambda: facts_at("x", view="nothing"))
    assert reply.status == 503


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", 'the body is no {"keys":[...]}: Input data was truncated'),
        ({"keys": "a"}, 'the body is no {"keys":[...]}: Expected `array`, got `str`'),
        ({"keys": ["a"], "at": 1}, 'the body is no {"keys":[...]}: Object contains unknown field'),
        ({"keys": []}, "there are 0 keys; expected 1 to 100"),
        ({"keys": [str(n) for n in range(101)]}, "there are 101 keys; expected 1 to 100"),
        ({"keys": ["a", ""]}, "a key is empty: it has 1 to 1024 bytes"),
        ({"keys": ["a" * 1025]}, "a key has 1025 bytes; the limit is 1024"),
        ({"keys": ["a\0"]}, "a key has a NUL character"),
        ({"keys": ["a", "b", "a"]}, "a key is there more than once"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(body: object, detail: str) -> None:
    reply, _ = said(body, lambda number, get: absent())
    assert reply.status == 400
    assert orjson.loads(reply.body)["detail"].startswith(detail)
