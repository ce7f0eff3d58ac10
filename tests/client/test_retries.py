"""Which node a call asks, when it asks again, and what its error says of the outcome."""

from collections.abc import Sequence

import pytest

from coterie import (
    Absent,
    BadRequest,
    KeyReused,
    PreconditionFailed,
    TooManySiblings,
    Unavailable,
    Unexpected,
    Unmet,
    Value,
    Written,
    calls,
)
from coterie.snapshots import snapshot
from coterie.steps import Answer
from tests.client.conversing import (
    HANGS,
    LOST,
    REFUSED,
    Reply,
    Script,
    found,
    header,
    problem,
    wrote,
)

TIMEOUT_S = 20.0


def get(script: Script, timeout_s: float = TIMEOUT_S, on_miss: calls.OnMiss = "wait") -> Value:
    call = calls.get("k", r=None, on_miss=on_miss)
    return script.run(script.core().talk(call, script.now + timeout_s))


def put(script: Script, timeout_s: float = TIMEOUT_S, name: str | None = None) -> Written:
    core = script.core()
    call = calls.put("k", [1], core.write_options("k", idempotency_key=name))
    return script.run(core.talk(call, script.now + timeout_s))


def script(*replies: Reply, takes_s: float = 0.01) -> Script:
    return Script(list(replies), takes_s=takes_s)


@pytest.mark.parametrize("bad", [REFUSED, LOST, problem(503, "unavailable"), Answer(502, {}, b"")])
def test_the_next_node_is_asked_at_once(bad: Reply) -> None:
    said = script(bad, bad, found(7))
    assert get(said).value == 7
    assert (said.asked, said.pauses) == (["a", "b", "c"], [])


def test_a_write_is_sent_again_with_the_same_bytes() -> None:
    said = script(LOST, problem(503, "unavailable", definite=False), wrote(201))
    assert put(said).created
    one, *others = said.sent
    assert len(header(one, "Idempotency-Key")) == 1
    assert [(each.headers, each.body) for each in others] == [(one.headers, one.body)] * 2


def test_two_writes_have_two_names() -> None:
    said = script(wrote(), wrote())
    core = said.core()
    for _ in range(2):
        call = calls.put("k", 1, core.write_options("k"))
        said.run(core.talk(call, said.now + TIMEOUT_S))
    one, other = (header(send, "Idempotency-Key") for send in said.sent)
    assert one != other


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (problem(400, "malformed"), BadRequest),
        (problem(404, "absent"), Absent),
        (problem(412, "condition"), PreconditionFailed),
        (problem(422, "reused"), KeyReused),
        (Answer(404, {"content-type": "text/html"}, b"<html>"), Unexpected),
        (Answer(500, {}, b""), Unexpected),
    ],
)
def test_a_definite_refusal_is_not_tried_again(refusal: Answer, error: type[Exception]) -> None:
    said = script(refusal)
    with pytest.raises(error):
        put(said)
    assert len(said.sent) == 1


def test_a_node_that_asks_for_time_is_asked_after_it() -> None:
    busy = problem(503, "unavailable", retry_after="2")
    said = script(busy, busy, busy, found())
    get(said)
    assert said.asked == ["a", "b", "c", "a"]
    [pause] = said.pauses
    assert pause == pytest.approx(2.0 - 2 * said.takes_s)


def test_a_node_that_refuses_connections_is_asked_again_after_longer_and_longer_pauses() -> None:
    said = script(*[REFUSED] * 24, found())
    get(said)
    assert max(said.pauses[:3]) <= 0.05
    assert sum(said.pauses[-6:]) > 5 * sum(said.pauses[:6])
    assert max(said.pauses) <= 1.0


def test_the_last_refusal_ends_a_call_in_time() -> None:
    said = script(*[problem(503, "unmet")] * 100, takes_s=0.5)
    with pytest.raises(Unmet, match="it is unmet"):
        get(said, timeout_s=4.0)
    assert said.now <= 104.0


def test_fail_means_at_once() -> None:
    said = script(problem(503, "unmet"))
    with pytest.raises(Unmet):
        get(said, on_miss="fail")
    other = script(problem(503, "unavailable"), found(2))
    assert get(other, on_miss="fail").value == 2


def test_nodes_are_told_how_long_the_client_waits() -> None:
    said = script(LOST, found(), takes_s=5.0)
    get(said, timeout_s=6.0)
    waits = [(send.timeout_s, send.url.rpartition("timeout=")[2]) for send in said.sent]
    assert waits == [(5.0, "4.750"), (1.0, "0.750")]


def outcome(*replies: Reply) -> bool:
    """Return whether the error of a write says that certainly nothing was written."""
    last: Sequence[Reply] = [problem(503, "unavailable")] * 100
    with pytest.raises((Unavailable, PreconditionFailed)) as raised:
        put(script(*replies, *last))
    return raised.value.definite


def test_an_error_is_definite_only_if_no_try_may_have_been_done() -> None:
    assert outcome()
    assert outcome(REFUSED, REFUSED)
    assert not outcome(LOST)
    assert not outcome(REFUSED, problem(503, "unavailable", definite=False))
    assert not outcome(Answer(504, {}, b""))
    assert outcome(problem(412, "condition"))
    assert not outcome(LOST, problem(412, "condition"))


def test_a_read_has_no_outcome_to_doubt() -> None:
    with pytest.raises(Unavailable) as raised:
        get(script(*[LOST] * 100))
    assert raised.value.definite
    assert "http://b:1: the node has closed" in str(raised.value)


def test_a_key_that_remembers_no_more_names_takes_a_write_without_one() -> None:
    said = script(problem(409, "siblings"), wrote())
    assert put(said).acks == 2
    assert [len(header(send, "Idempotency-Key")) for send in said.sent] == [1, 0]


def test_a_write_without_a_name_is_not_repeated() -> None:
    said = script(problem(409, "siblings"), REFUSED, LOST)
    with pytest.raises(Unavailable) as raised:
        put(said)
    assert not raised.value.definite
    assert said.asked == ["a", "a", "b"]


def test_a_name_is_kept_where_it_is_needed() -> None:
    own = script(problem(409, "siblings"))
    with pytest.raises(TooManySiblings):
        put(own, name="mine")
    in_doubt = script(LOST, problem(409, "siblings"))
    with pytest.raises(TooManySiblings) as raised:
        put(in_doubt)
    assert not raised.value.definite


def test_calls_take_turns_and_avoid_a_node_that_has_not_answered() -> None:
    said = script(REFUSED, *[found()] * 5)
    core = said.core()
    for _ in range(5):
        call = calls.get("k", r=None, on_miss=None)
        said.run(core.talk(call, said.now + TIMEOUT_S))
    assert said.asked == ["a", "b", "b", "c", "b", "b"]
    said.now += 1.0
    said.replies = [found()] * 3
    said.sent.clear()
    for _ in range(3):
        said.run(core.talk(calls.get("k", r=None, on_miss=None), said.now + TIMEOUT_S))
    assert sorted(said.asked) == ["a", "b", "c"]


def test_a_node_that_hangs_costs_a_call_little_from_the_second_time_on() -> None:
    """It is waited for 5 s once, left alone for 10 s, waited for 1 s, left alone for 20 s."""
    said = script(HANGS, *[found()] * 3)
    core = said.core()

    def call() -> str:
        said.sent.clear()
        said.run(core.talk(calls.get("k", r=None, on_miss=None), said.now + TIMEOUT_S))
        return "".join(said.asked)

    assert (call(), call(), call()) == ("ab", "b", "c")
    said.now += 10.0
    said.replies = [HANGS, found()]
    assert call() == "ab"
    assert [sent.timeout_s for sent in said.sent] == [1.0, 5.0]
    said.now += 19.0
    said.replies = [found()] * 3
    assert "a" not in call() + call() + call()
    said.now += 1.5
    said.replies = [found()] * 3
    assert "a" in call() + call() + call()
    assert not core.world.nodes.is_doubted("http://a:1")


def test_what_would_be_something_else_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="idempotency_key is empty"):
        script().core().write_options("k", idempotency_key="")
    with pytest.raises(TypeError, match="keys is the text 'abc'; expected a list"):
        snapshot("abc", None)


@pytest.mark.parametrize("timeout", [0.0, -1.0, 301.0])
def test_a_timeout_has_bounds(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout is"):
        script().core(timeout=timeout)
    with pytest.raises(ValueError, match="timeout is"):
        script().core().timeout_s(timeout)
