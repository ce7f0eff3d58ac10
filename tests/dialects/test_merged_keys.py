"""Counters and sets over HTTP: what a request asks of the core, and what an outcome answers."""

from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from multidict import CIMultiDict, MultiDict

from node.api.contract import Ask, Call, Limits, Reply
from node.api.native.merged_keys import merged_keys
from node.core.model.changes import StateChange
from node.core.model.conditions import Mode, Scope
from node.core.model.counters import COUNT_MAX, Counter
from node.core.model.element_sets import ElementSet
from node.core.model.item import Past
from node.core.model.keys import COUNTERS, SETS
from node.core.model.merged_values import State, value_of
from node.core.model.token import Token
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Outcome,
    OutOfBounds,
    Overfull,
    Put,
    Stored,
    Unmet,
)
from tests.dialects.answering import handlers_of
from tests.dialects.nodes import NODES, facts_at

LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)
HANDLERS = handlers_of(merged_keys())
COUNTER, SET = "/v1/counters/{key}", "/v1/sets/{key}"
A, B = "aaaaaaRUNRUN.1", "bbbbbbRUNRUN.1"


def ask(
    method: str, pattern: str, body: object = b"", query: str = "", **headers: str
) -> Ask | Reply:
    named = CIMultiDict({name.replace("_", "-"): text for name, text in headers.items()})
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    asked = MultiDict(parse_qsl(query))
    call = Call(method, {"key": "a/b"}, asked, named, raw, lambda: facts_at(NODES[0]), LIMITS)
    said = HANDLERS[method, pattern](call)
    assert isinstance(said, Ask | Reply)
    return said


def put_in(said: Ask | Reply) -> Put:
    assert isinstance(said, Ask), said
    assert isinstance(said.request, Put)
    return said.request


def answer(said: Ask | Reply, outcome: Outcome) -> tuple[int, Any, dict[str, str]]:
    assert isinstance(said, Ask), said
    reply = said.say(outcome)
    return reply.status, orjson.loads(reply.body or b"null"), dict(reply.headers)


def problem_in(said: Ask | Reply) -> str:
    assert isinstance(said, Reply), said
    assert said.status == 400
    return str(orjson.loads(said.body)["detail"])


def found(*states: State) -> Found:
    dots = tuple((A, n) for n in range(1, len(states) + 1))
    values, past = tuple(map(value_of, states)), Past({A: len(states)})
    return Found(
        values, dots, dots, Token(), past, NODES[0], labels=(None,) * len(states),
        timestamps=((1, 0, ""),) * len(states), expires=(0,) * len(states),
    )  # fmt: skip


def stored(state: State) -> Stored:
    shown = ((A, 1),)
    return Stored(Token(), Past(), (A, 1), True, 2, 3, NODES[0], shown=shown, state=value_of(state))


# ------------------------------------------------------------------ requests
def test_an_addition_asks_for_no_more_than_a_home() -> None:
    put = put_in(ask("POST", COUNTER, {"add": -5}))
    assert (put.key, put.value, put.mode) == (f"{COUNTERS}a/b", None, Mode.SIBLINGS)
    assert (put.change, put.identity, put.hinted) == (StateChange(-5), "", True)
    assert not put.refuse_when


def test_a_remove_and_a_delete_want_what_their_client_has_seen() -> None:
    put = put_in(ask("POST", SET, {"add": [1.0, "x"], "remove": [None, True, 2.5]}))
    assert put.key == f"{SETS}a/b"
    assert put.change == StateChange(add=("1", '"x"'), remove=("null", "true", "2.5"))
    assert put.refuse_when.unmet is Scope.KEY
    gone = put_in(ask("DELETE", SET, query="strict=true"))
    assert (gone.change, gone.hinted) == (StateChange(resets=True), False)
    assert (gone.refuse_when.unmet, gone.refuse_when.absent) == (Scope.KEY, True)


def test_a_number_that_is_whole_is_an_integer() -> None:
    assert put_in(ask("POST", COUNTER, b'{"add":5.0}')).change == StateChange(5)


def test_the_same_request_has_the_same_identity() -> None:
    names = [
        put_in(ask("POST", COUNTER, {"add": add}, Idempotency_Key="n")).identity
        for add in (1, 1, 2)
    ]
    assert names[0] == names[1] != names[2]
    assert len({name.partition(".")[0] for name in names}) == 1


@pytest.mark.parametrize(
    ("pattern", "body", "words"),
    [
        (COUNTER, b"", 'the body is no {"add":NUMBER}'),
        (COUNTER, {"add": "1"}, 'the body is no {"add":NUMBER}'),
        (COUNTER, {"add": 1.5}, "add is 1.5; expected an integer of 64 bits"),
        (COUNTER, {"add": 1e300}, "add is 1e+300; expected an integer of 64 bits"),
        (COUNTER, {"add": 1, "more": 1}, "unknown field"),
        (COUNTER, {"add": 2**63}, f"add is {COUNT_MAX + 1}; expected an integer of 64 bits"),
        (SET, {"add": [[1]]}, "the body is no"),
        (SET, b'{"add":["\\ud800"]}', "the body is no"),
        (SET, b'{"add":[12345678901234567890123]}', "the body is no"),
    ],
)
def test_a_body_that_says_something_else_is_refused(pattern: str, body: object, words: str) -> None:
    assert words in problem_in(ask("POST", pattern, body))


@pytest.mark.parametrize("name", ["Kv-Context", "If-Match", "If-None-Match"])
def test_what_says_nothing_of_a_change_is_refused(name: str) -> None:
    headers = {name.replace("-", "_"): "none"}
    assert name in problem_in(ask("POST", COUNTER, {"add": 1}, **headers))


def test_queries_and_bodies_are_checked() -> None:
    assert "there is no parameter 'ttl'" in problem_in(ask("POST", COUNTER, {}, "ttl=1"))
    assert "a DELETE has no body" in problem_in(ask("DELETE", SET, {"add": [1]}))
    assert "the key is empty" in problem_in(ask("GET", "/v1/sets/"))


def test_a_read_asks_for_all_siblings_as_they_are_stored() -> None:
    said = ask("GET", COUNTER, query="r=quorum")
    assert isinstance(said, Ask)
    get = said.request
    assert isinstance(get, Get)
    assert (get.key, get.mode, get.raw, get.repair) == (f"{COUNTERS}a/b", Mode.SIBLINGS, True, True)


# ------------------------------------------------------------------ answers
def test_a_read_joins_the_siblings() -> None:
    said = ask("GET", COUNTER)
    both = found(Counter(sums={A: (1, 5)}), Counter(sums={B: (1, COUNT_MAX)}))
    status, body, headers = answer(said, both)
    assert (status, body) == (200, {"key": "a/b", "value": COUNT_MAX + 5})
    assert {"ETag", "Kv-Token", "Kv-Reads"} <= headers.keys()
    assert "Kv-Context" not in headers
    again = ask("GET", COUNTER, If_None_Match=headers["ETag"])
    assert answer(again, both)[0] == 304


def test_elements_have_an_order() -> None:
    dots = ((A, 1),)
    texts = ('"b"', "10", "2.5", "null", '"a"', "true", "false")
    state = ElementSet(tags=dict.fromkeys((*texts, ""), dots))
    expected = [None, False, True, 2.5, 10, "a", "b"]
    assert answer(ask("GET", SET), found(state))[1] == {"key": "a/b", "elements": expected}


def test_what_was_deleted_is_absent() -> None:
    deleted = Counter(sums={A: (1, 5)}, resets={A: (1, 5)})
    absent = Absent((), Token(), Past(), NODES[0])
    for outcome in (absent, found(deleted)):
        status, body, headers = answer(ask("GET", COUNTER), outcome)
        assert (status, body["type"]) == (404, "/v1/problems/absent")
        assert "Kv-Context" not in headers
    assert answer(ask("DELETE", COUNTER), absent)[0] == 404
    assert answer(ask("DELETE", COUNTER), stored(deleted))[0] == 204


def test_a_change_is_answered_with_what_is_there_then() -> None:
    status, body, headers = answer(
        ask("POST", COUNTER, {"add": 1}), stored(Counter(sums={A: (1, 6)}))
    )
    assert (status, headers["Kv-Acks"]) == (200, "2/3")
    assert body == {
        "key": "a/b", "value": 6, "token": headers["Kv-Token"], "acks": 2, "copies": 3,
    }  # fmt: skip
    minimal = ask("POST", COUNTER, {"add": 1}, Prefer="return=minimal")
    status, _, headers = answer(minimal, stored(Counter(sums={A: (1, 6)})))
    assert (status, headers["Preference-Applied"]) == (204, "return=minimal")


@pytest.mark.parametrize(
    ("outcome", "status", "kind"),
    [
        (OutOfBounds("too far"), 422, "bounds"),
        (Overfull("too many"), 409, "siblings"),
        (Unmet({A: (1, 2)}), 503, "unmet"),
    ],
)
def test_refusals_are_problems(outcome: Outcome, status: int, kind: str) -> None:
    answered, body, _ = answer(ask("POST", SET, {"remove": [1]}), outcome)
    assert (answered, body["type"]) == (status, f"/v1/problems/{kind}")
