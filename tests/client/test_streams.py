"""Lists and bulks in a scripted world: which node goes on, what is sent again, what is given."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from coterie import (
    SEEN,
    BadRequest,
    Delete,
    Done,
    Get,
    Group,
    Incomplete,
    Operation,
    Put,
    TooManySiblings,
    Unavailable,
    Unexpected,
    Unmet,
    key_lists,
)
from coterie.bulk import BulkOptions, bulk
from coterie.calls import OnMiss
from coterie.key_lists import Listing
from coterie.lines import Lines
from coterie.operations import BATCH_BYTES_MAX, BATCH_MAX, READS_BYTES_MAX, batches
from coterie.steps import Answer, Send
from tests.client.conversing import LOST, REFUSED, Parts, Script, header, lines, problem

TIMEOUT_S = 20.0
END = {"done": 2, "token": "t2"}
LISTED = {"kv-token": "t1", "kv-served-by": "a:1", "content-type": "application/json"}


def wrote(key: str, **more: Any) -> dict[str, Any]:
    said = {"status": 201, "etag": '"e"', "context": f"of {key}", "acks": 2, "copies": 3}
    return {**said, "key": key, **more}


def refused(key: str, status: int, kind: str, *, definite: bool = True) -> dict[str, Any]:
    document = json.loads(problem(status, kind, definite=definite).body)
    return {"status": status, "key": key, "problem": document}


def listing(**named: Any) -> Listing:
    return Listing("", "", 1000, named.pop("is_partial", False), TIMEOUT_S, **named)


def page(keys: list[str], after: str | None = None, **more: Any) -> Answer:
    said = {"keys": keys, "next": after, "complete": "unanswered" not in more, **more}
    return Answer(200, LISTED, json.dumps(said).encode())


def carried_out(
    script: Script,
    operations: Iterable[Operation] = (Put("a", 1), Put("b", 2)),
    timeout_s: float = TIMEOUT_S,
    on_miss: OnMiss = "wait",
    reading_s: float = 0.0,
) -> list[Done]:
    options = BulkOptions(w=None, r=None, on_miss=on_miss, resolve=None, timeout_s=timeout_s)
    return list(script.give(bulk(script.core(), operations, options), reading_s))


def keys_of(send: Send) -> list[str]:
    return [json.loads(line)["key"] for line in (send.body or b"").splitlines()]


# ------------------------------------------------------------------ lists
def test_the_next_page_begins_behind_the_last_key_and_comes_from_another_node() -> None:
    said = Script([page(["a", "b"], "b"), page(["c"])])
    assert list(said.give(key_lists.keys(said.core(), listing()))) == ["a", "b", "c"]
    assert said.asked == ["a", "b"]
    assert ["after=b" in send.url for send in said.sent] == [False, True]
    assert [header(send, "Kv-Token") for send in said.sent] == [[], ["t1"]]


def test_another_node_may_have_the_shard_that_one_lacks() -> None:
    said = Script([page(["a"], unanswered=["s2"]), REFUSED, page(["a", "b"])])
    wanted = listing()
    assert list(said.give(key_lists.keys(said.core(), wanted))) == ["a", "b"]
    assert (said.asked, wanted.unanswered) == (["a", "b", "c"], set())


def test_a_list_that_lacks_a_shard_in_the_end_gives_nothing_of_that_page() -> None:
    said = Script([page(["a"], "a"), *[page(["b"], unanswered=["s2"])] * 200], takes_s=0.5)
    given = said.give(key_lists.keys(said.core(), listing()))
    assert next(given) == "a"
    with pytest.raises(Incomplete, match="no node of s2 answered") as raised:
        next(given)
    assert raised.value.unanswered == ("s2",)
    assert 119.0 <= said.now <= 121.0


def test_a_program_may_want_what_there_is() -> None:
    said = Script([page(["a"], "a", unanswered=["s2"]), page(["b"])])
    wanted = listing(is_partial=True)
    assert list(said.give(key_lists.keys(said.core(), wanted))) == ["a", "b"]
    assert wanted.unanswered == {"s2"}


def test_a_group_that_goes_on_in_the_next_page_is_one() -> None:
    one = page(["b"], "c/5", groups=[{"prefix": "a/", "count": 1}, {"prefix": "c/", "count": 5}])
    other = page([], groups=[{"prefix": "c/", "count": 2}])
    said = Script([one, other])
    given = list(said.give(key_lists.groups(said.core(), listing(delimiter="/", counts=True))))
    assert given == [
        Group("a/", 1, is_key=False),
        Group("b", 1, is_key=True),
        Group("c/", 7, is_key=False),
    ]


@pytest.mark.parametrize("body", ['{"keys":7,"next":null}', '{"keys":[]}', "[]", '{"next":null}'])
def test_what_is_no_list_is_told_so(body: str) -> None:
    said = Script([Answer(200, LISTED, body.encode())])
    with pytest.raises(Unexpected):
        list(said.give(key_lists.keys(said.core(), listing())))


# ------------------------------------------------------------------ batches
def sizes(operations: Iterable[Operation]) -> list[int]:
    return [len(batch.lines) for batch in batches(operations)]


def test_batches_are_bounded_in_number_and_bytes_and_have_a_key_once() -> None:
    assert sizes(Put(str(n), n) for n in range(2 * BATCH_MAX + 1)) == [BATCH_MAX, BATCH_MAX, 1]
    assert sizes([Get("a"), Get("b"), Put("a", 1), Delete("a"), Get("b")]) == [2, 1, 2]
    large = "x" * (BATCH_BYTES_MAX // 2)
    assert sizes([Put("a", large), Put("b", "x"), Put("c", large), Put("d", 1)]) == [2, 2]
    assert sizes([Put("a", 4 * large), Put("b", 1)]) == [1, 1]
    assert sizes([Put("a", "x" * READS_BYTES_MAX), Put("b", 1), Get("c"), Get("d")]) == [2, 2]
    assert sizes([Get("a"), Put("b", "x" * READS_BYTES_MAX), Put("c", 1)]) == [1, 2]
    assert sizes([]) == []


def test_lines_are_put_together_from_parts() -> None:
    cut = Lines()
    assert [cut.take(part) for part in (b"a", b"b\nc\n", b"", b"d", b"\n")] == [
        [],
        [b"ab", b"c"],
        [],
        [],
        [b"d"],
    ]


# ------------------------------------------------------------------ bulks
def test_a_batch_is_one_request_and_its_last_line_has_the_token() -> None:
    answer = lines(wrote("a"), wrote("b", etag=None), END)
    said = Script([Parts((answer[:30], answer[30:50], answer[50:]))])
    core = said.core()
    options = BulkOptions(w="all", r=2, on_miss="stale", resolve=None, timeout_s=TIMEOUT_S)
    given = list(said.give(bulk(core, [Put("a", "x"), Put("b", b"\xff", "none")], options)))
    assert [each.written.etag for each in given if each.written] == ['"e"', ""]
    [send] = said.sent
    assert send.body == (
        b'{"op":"put","key":"a","value":"x"}\n'
        b'{"op":"put","key":"b","value_base64":"/w==","context":"none"}\n'
    )
    assert "w=all&r=2&on-miss=stale&timeout=4.750" in send.url
    assert (core.seen.token, core.seen.context_of("b")) == ("t2", "of b")


def test_an_answer_that_breaks_off_is_asked_for_again_and_nothing_is_given_twice() -> None:
    broken = Parts((lines(wrote("a")), LOST))
    cut_off = Parts((lines(wrote("a"), wrote("b")),))
    said = Script([broken, REFUSED, cut_off, Parts((lines(wrote("a"), wrote("b"), END),))])
    assert [each.operation.key for each in carried_out(said)] == ["a", "b"]
    assert said.asked[:3] == ["a", "b", "c"]
    assert {(send.body, *header(send, "Idempotency-Key")) for send in said.sent} == {
        (said.sent[0].body, *header(said.sent[0], "Idempotency-Key"))
    }


def test_each_batch_has_a_name_of_its_own() -> None:
    said = Script([Parts((lines(wrote("a"), END),)), Parts((lines(wrote("a"), END),))])
    carried_out(said, [Put("a", 1), Put("a", 2)])
    one, other = (header(send, "Idempotency-Key") for send in said.sent)
    assert one != other
    assert header(said.sent[1], "Kv-Token") == ["t2"]


def test_what_the_session_has_seen_is_known_when_the_batch_is_sent() -> None:
    said = Script([Parts((lines(wrote("a"), END),)), Parts((lines(wrote("a"), END),))])
    carried_out(said, [Put("a", 1, SEEN), Put("a", 2, SEEN)])
    contexts = [json.loads(send.body or b"")["context"] for send in said.sent]
    assert contexts == ["none", "of a"]


def test_a_line_that_another_node_may_do_is_sent_to_it() -> None:
    away = refused("b", 503, "unavailable")
    said = Script(
        [Parts((lines(wrote("a"), away, END),)), Parts((lines(wrote("a"), wrote("b"), END),))]
    )
    assert [each.error for each in carried_out(said)] == [None, None]
    assert said.asked == ["a", "b"]


def test_a_line_that_no_node_does_in_time_is_an_error_and_the_others_are_done() -> None:
    answer = Parts((lines(refused("a", 503, "unavailable"), wrote("b"), END),))
    said = Script([answer] * 100, takes_s=0.5)
    core_options: dict[str, Any] = {"timeout_s": 6.0}
    [a, b] = carried_out(said, **core_options)
    assert (type(a.error), b.error) == (Unavailable, None)
    assert 3.0 <= said.now - 100.0 <= 6.0


def test_an_unmet_token_is_an_error_at_once_if_the_program_wants_that() -> None:
    said = Script([Parts((lines(refused("a", 503, "unmet"), END),))])
    [a] = carried_out(said, [Get("a")], on_miss="fail")
    assert isinstance(a.error, Unmet)
    assert a.error.definite


def test_an_error_is_definite_only_if_no_try_may_have_been_done() -> None:
    last = Parts((lines(refused("a", 412, "condition"), refused("b", 412, "condition"), END),))
    for first, definite in ((REFUSED, True), (LOST, False)):
        given = carried_out(Script([first, last]))
        assert [each.error.definite for each in given if each.error] == [definite] * 2
    [read] = carried_out(
        Script([LOST, Parts((lines(refused("a", 404, "absent"), END),))]), [Get("a")]
    )
    assert read.error is not None
    assert read.error.definite


def test_a_key_that_remembers_no_more_names_takes_its_write_without_one() -> None:
    crowded = Parts((lines(refused("a", 409, "siblings"), wrote("b"), END),))
    alone = Answer(200, {"kv-served-by": "b:1"}, lines(wrote("a"), {"done": 1, "token": "t1"}))
    said = Script([crowded, alone])
    assert [each.error for each in carried_out(said)] == [None, None]
    assert keys_of(said.sent[1]) == ["a"]
    assert header(said.sent[1], "Idempotency-Key") == []
    lost = Script([crowded, LOST])
    [a, b] = carried_out(lost)
    assert isinstance(a.error, Unavailable)
    assert (a.error.definite, b.error) == (False, None)
    full = Script([crowded, Answer(200, {}, lines(refused("a", 409, "siblings"), END))])
    assert isinstance(carried_out(full)[0].error, TooManySiblings)


def test_a_node_that_stops_hands_the_batch_on() -> None:
    stops = refused("", 503, "unavailable")["problem"]
    stopping = Parts((lines(wrote("a"), {"done": 1, "token": "t1", "problem": stops}),))
    said = Script(
        [stopping, problem(503, "unavailable"), Parts((lines(wrote("a"), wrote("b"), END),))]
    )
    assert [each.error for each in carried_out(said)] == [None, None]
    assert said.asked == ["a", "b", "c"]


def test_a_refusal_of_the_whole_ends_the_bulk() -> None:
    with pytest.raises(BadRequest, match="it is malformed"):
        carried_out(Script([problem(400, "malformed")]))
    long = refused("", 413, "too-large")["problem"]
    with pytest.raises(BadRequest):
        carried_out(Script([Parts((lines({"done": 0, "token": "t", "problem": long}),))]))


@pytest.mark.parametrize(
    "body",
    [b"<html>\n", lines([]), lines({}), lines(END), lines(wrote("a"), wrote("b"), wrote("c"))],
)
def test_what_is_no_bulk_is_told_so(body: bytes) -> None:
    with pytest.raises(Unexpected) as raised:
        carried_out(Script([Parts((body,))]))
    assert not raised.value.definite


def test_the_time_that_the_program_takes_does_not_count() -> None:
    said = Script(
        [Parts((lines(wrote("a"), wrote("b")), LOST)), Parts((lines(wrote("a"), wrote("b"), END),))]
    )
    assert len(carried_out(said, reading_s=100.0)) == 2


def test_a_batch_is_not_sent_again_when_its_name_may_be_forgotten() -> None:
    said = Script([Parts((lines(wrote("a"), wrote("b")), LOST)), *[LOST] * 100])
    with pytest.raises(Unavailable) as raised:
        carried_out(said, reading_s=400.0)
    assert (raised.value.definite, len(said.sent)) == (False, 1)
