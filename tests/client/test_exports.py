"""Exports and imports in a scripted world: which node goes on, what is sent again or given."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from coterie import BadRequest, Imported, NotEmpty, TooLarge, Unavailable, Unexpected
from coterie.exports import BATCH_BYTES_MAX, BATCH_LINES_MAX, batches, export, imports
from coterie.steps import Answer
from tests.client.conversing import LOST, REFUSED, Parts, Script, lines, problem

TIMEOUT_S = 20.0
FIRST, VALUE = {"export": 1}, {"key": "a", "value": 1}
LAST = {"done": 1, "token": "t1"}
SAID = {"content-type": "application/x-ndjson", "kv-served-by": "a:1"}
EMPTY = {"done": 0, "written": 0, "there": 0, "expired": 0, "failed": 0, "token": "t"}
LINES = [b'{"key":"a"}\n', b'{"key":"b"}']


def exported(script: Script, is_partial: bool = False) -> list[bytes]:
    return list(script.give(export(script.core(), is_partial, TIMEOUT_S)))


def imported(script: Script, some: Iterable[bytes] = LINES, merges: bool = True) -> list[Imported]:
    return list(script.give(imports(script.core(), some, merges, None, TIMEOUT_S)))


def answer(*failed: dict[str, Any], **counts: int) -> Answer:
    """Return an answer to a batch; the last line counts its lines."""
    last = {**EMPTY, **counts, "failed": len(failed)}
    last["done"] = sum(int(str(last[name])) for name in ("written", "there", "expired", "failed"))
    return Answer(200, SAID, lines(*failed, last))


def failure(status: int, kind: str, **name: Any) -> dict[str, Any]:
    return {**name, "problem": json.loads(problem(status, kind).body)}


# ------------------------------------------------------------------ exports
def test_each_line_is_given_and_the_last_one_ends_it() -> None:
    whole = lines(FIRST, VALUE, LAST)
    script = Script([Parts((whole[:20], whole[20:]))])
    assert exported(script) == whole.splitlines()
    assert "/v1/export?timeout=" in script.sent[0].url
    assert "partial" not in script.sent[0].url


def test_nodes_that_do_not_begin_it_are_passed_over() -> None:
    script = Script([REFUSED, problem(503, "unavailable"), Parts((lines(FIRST, LAST),))])
    assert len(exported(script, is_partial=True)) == 2
    assert script.asked == ["a", "b", "c"]
    assert "partial=true" in script.sent[0].url


@pytest.mark.parametrize("end", [b"", LOST])
def test_an_export_that_breaks_off_is_not_gone_on_with(end: Any) -> None:
    script = Script([Parts((lines(FIRST, VALUE), end))])
    with pytest.raises(Unavailable, match="broken off"):
        exported(script)
    assert script.asked == ["a"]


def test_a_problem_in_the_last_line_is_raised() -> None:
    last = {**LAST, "problem": json.loads(problem(503, "unavailable").body)}
    with pytest.raises(Unavailable, match="it is unavailable"):
        exported(Script([Parts((lines(FIRST, VALUE, last),))]))


def test_a_refusal_for_good_is_raised_at_once() -> None:
    script = Script([problem(403, "forbidden")])
    with pytest.raises(BadRequest):
        exported(script)
    assert script.asked == ["a"]


# ------------------------------------------------------------------ imports
def test_an_import_looks_first_whether_the_cluster_is_empty() -> None:
    script = Script([answer(), answer(written=2)])
    [batch] = imported(script, merges=False)
    assert (batch.lines, batch.written, batch.failures) == (2, 2, ())
    look, send = script.sent
    assert (look.body, "merge" in look.url) == (b"", False)
    assert send.body == b'{"key":"a"}\n{"key":"b"}\n'
    assert "merge=true" in send.url


def test_a_cluster_with_keys_is_refused_and_nothing_is_sent() -> None:
    script = Script([problem(409, "not-empty")])
    with pytest.raises(NotEmpty):
        imported(script, merges=False)
    assert len(script.sent) == 1


@pytest.mark.parametrize("first", [LOST, REFUSED, problem(503, "unavailable")])
def test_a_batch_goes_to_the_next_node_with_the_same_bytes(first: Any) -> None:
    script = Script([first, answer(written=1, there=1)])
    [batch] = imported(script)
    assert (batch.written, batch.there) == (1, 1)
    assert script.asked == ["a", "b"]
    assert script.sent[0].body == script.sent[1].body


def test_a_line_that_another_node_may_write_is_sent_again() -> None:
    refused = failure(503, "unavailable", line=2, key="b")
    script = Script([answer(refused, written=1), answer(there=1, written=1)])
    [batch] = imported(script)
    assert (batch.there, batch.written, batch.failures) == (1, 1, ())


def test_a_line_that_no_node_writes_in_time_ends_the_import() -> None:
    refused = failure(503, "unavailable", line=2, key="b")
    script = Script([answer(refused, written=1)] * 1000)
    with pytest.raises(Unavailable, match="it is unavailable"):
        imported(script)


def test_a_line_that_fails_for_good_is_given_with_its_number_in_the_import() -> None:
    many = [b"{}"] * (BATCH_LINES_MAX + 2)
    failed = failure(413, "too-large", line=2, counter="c")
    script = Script([answer(written=BATCH_LINES_MAX), answer(failed, written=1)])
    first, second = imported(script, many)
    assert (first.lines, first.failures) == (BATCH_LINES_MAX, ())
    [told] = second.failures
    assert (told.line, told.name) == (BATCH_LINES_MAX + 2, "c")
    assert isinstance(told.error, TooLarge)


@pytest.mark.parametrize("body", [b"", lines(VALUE), b"x\n"])
def test_an_answer_that_is_none_is_told(body: bytes) -> None:
    with pytest.raises(Unexpected):
        imported(Script([Answer(200, SAID, body)]))


def test_batches_are_bounded_and_every_line_has_an_end() -> None:
    long, short = b"x" * (BATCH_BYTES_MAX + 1), b"y"
    cut = list(batches([short, long, short, *[short] * BATCH_LINES_MAX]))
    assert [len(batch) for batch in cut] == [1, 1, BATCH_LINES_MAX, 1]
    assert {line[-1:] for batch in cut for line in batch} == {b"\n"}
    assert list(batches([])) == []
