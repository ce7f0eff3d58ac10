"""Counters and sets in a scripted world: what is asked, and how answers are read."""

import json
from typing import TypeVar

import pytest

from coterie import (
    Absent,
    BadRequest,
    Counted,
    KeyReused,
    Members,
    OutOfBounds,
    Unavailable,
    Unexpected,
    Unmet,
    merged,
)
from coterie.calls import Call, OnMiss
from coterie.steps import Answer
from tests.client.conversing import LOST, READ, WROTE, Reply, Script, header, problem

TIMEOUT_S = 20.0
T = TypeVar("T")


def counted(value: object, **headers: str) -> Answer:
    return Answer(200, {**WROTE, **headers}, json.dumps({"key": "k", "value": value}).encode())


def listed(*elements: object) -> Answer:
    return Answer(200, {**READ, **WROTE}, json.dumps({"elements": elements}).encode())


def add(script: Script, amount: int = 5, name: str | None = None) -> Counted:
    core = script.core()
    call = merged.add("k/1", amount, core.write_options("k/1", "all", idempotency_key=name))
    return script.run(core.talk(call, script.now + TIMEOUT_S))


def read(script: Script, call: Call[T]) -> T:
    return script.run(script.core().talk(call, script.now + TIMEOUT_S))


def test_an_addition_is_sent_again_under_its_name() -> None:
    said = Script([LOST, problem(503, "unavailable"), counted(7)])
    assert add(said) == Counted("k/1", 7, 2, 3, 0, "a:1")
    assert said.sent[0].url.startswith("http://a:1/v1/counters/k%2F1?w=all&timeout=")
    assert (said.sent[0].method, said.sent[0].body) == ("POST", b'{"add": 5}')
    names = [header(send, "Idempotency-Key") for send in said.sent]
    assert names == [names[0]] * 3
    own = Script([counted(-(10**30))])
    assert add(own, -2, "mine").value == -(10**30)
    assert header(own.sent[0], "Idempotency-Key") == ["mine"]


def test_an_addition_that_may_be_done_is_not_definite() -> None:
    with pytest.raises(Unavailable) as raised:
        add(Script([LOST, *[problem(503, "unavailable")] * 100]))
    assert not raised.value.definite
    with pytest.raises(BadRequest):
        add(Script([problem(400, "malformed")]))
    with pytest.raises(OutOfBounds):
        add(Script([problem(422, "bounds")]))
    with pytest.raises(KeyReused):
        add(Script([problem(422, "reused")]), name="mine")


@pytest.mark.parametrize("reply", [counted("7"), counted(None), Answer(200, WROTE, b"[]")])
def test_what_is_no_counter_is_told_so(reply: Reply) -> None:
    with pytest.raises(Unexpected):
        add(Script([reply]))


def test_a_counter_and_a_set_that_are_not_there_are_empty() -> None:
    absent = problem(404, "absent")
    assert read(Script([absent]), merged.value("k", "all", "stale")) == 0
    assert read(Script([absent]), merged.elements("k", None, None)) == []
    stranger = Answer(404, {}, b"<html>")
    with pytest.raises(Unexpected):
        read(Script([stranger]), merged.value("k", None, None))
    with pytest.raises(Unexpected):
        read(Script([stranger]), merged.elements("k", None, None))


@pytest.mark.parametrize(("miss", "tries"), [("fail", 1), (None, 2)])
def test_a_read_waits_for_what_its_session_has_seen(miss: OnMiss | None, tries: int) -> None:
    said = Script([problem(503, "unmet"), counted(3)])
    if tries == 1:
        with pytest.raises(Unmet):
            read(said, merged.value("k", 2, miss))
    else:
        assert read(said, merged.value("k", 2, miss)) == 3
    assert len(said.sent) == tries
    assert "r=2" in said.sent[0].url


def test_a_set_is_changed_in_one_write() -> None:
    said = Script([listed(None, True, 1, "a"), problem(404, "absent")])
    core = said.core()
    call = merged.change("k", ["a", 1], (None,), core.write_options("k"))
    changed = said.run(core.talk(call, said.now + TIMEOUT_S))
    assert changed == Members("k", [None, True, 1, "a"], 2, 3, 0, "a:1")
    assert json.loads(said.sent[0].body or b"") == {"add": ["a", 1], "remove": [None]}
    assert "/v1/sets/k?" in said.sent[0].url
    with pytest.raises(Absent):
        said.run(core.talk(call, said.now + TIMEOUT_S))
    with pytest.raises(ValueError, match="JSON"):
        merged.change("k", [float("nan")], (), core.write_options("k"))
    with pytest.raises(Unexpected):
        read(Script([counted(1)]), merged.elements("k", None, None))
