"""A bulk: each line is the request of one key that it stands for, in its place."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict, MultiDict

from node.api.contract import BodyLines, Call, Limits, Reply
from node.api.native.bulk import READ_BYTES_MAX, READS_AT_ONCE, bulk
from node.api.native.opaque import KeyContext, context_text, token_of, token_text
from node.api.parsing import refused
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.labels import Labels
from node.core.model.token import EXACT_MAX, Token
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Outcome,
    Put,
    Request,
    Stored,
    Unavailable,
)
from tests.dialects.answering import handlers_of
from tests.dialects.nodes import NODES, facts_at

LIMITS = Limits(value_bytes_max=READ_BYTES_MAX, wait_s_max=20.0)
NOTHING: Mapping[str, str] = {}
POST = handlers_of(bulk())["POST", "/v1/bulk"]


class Core:
    """Keeps values; answers all requests of a run at once, and remembers which these were."""

    def __init__(self) -> None:
        self.values: dict[str, bytes | None] = {}
        self.runs: list[list[Request]] = []
        self.writes = 0

    def answer(self, run: Sequence[Request]) -> list[Outcome]:
        self.runs.append(list(run))
        return [self._outcome(request) for request in run]

    def _outcome(self, request: Request) -> Outcome:
        if isinstance(request, Get):
            value = self.values.get(request.key)
            if value is None:
                return Absent((), Token(), Past(), NODES[0])
            dots = (("AAAAAA.1", 1),)
            return Found(
                (value,), dots, dots, Token(), Past(), NODES[0],
                labels=(None,), timestamps=((1000, 0, ""),), expires=(0,),
            )  # fmt: skip
        assert isinstance(request, Put)
        if request.key == "away":
            return Unavailable("away", definite=False, acks=1)
        self.writes += 1
        was = self.values.get(request.key) is not None
        self.values[request.key] = request.value
        dot = "AAAAAA.1", self.writes
        token = Token({}, {dot: self.writes << 1})
        return Stored(token, Past(), dot, was, 2, 3, NODES[0], shown=(dot,))


def begun(query: Mapping[str, str] = NOTHING, **headers: str) -> BodyLines | Reply:
    named = CIMultiDict({name.replace("_", "-"): text for name, text in headers.items()})
    facts = facts_at(NODES[0])
    call = Call("POST", {}, MultiDict(query), named, b"", lambda: facts, LIMITS)
    said = POST(call)
    assert isinstance(said, BodyLines | Reply)
    return said


def answered(core: Core, lines: BodyLines, batch: Sequence[bytes]) -> list[Any]:
    """Return what is said of the lines of one batch."""
    steps = lines.answer(batch)
    try:
        wanted = next(steps)
        while True:
            assert isinstance(wanted, Sequence)
            wanted = steps.send(core.answer(wanted))
    except StopIteration as end:
        return [orjson.loads(line) for line in end.value.splitlines()]


def carried_out(core: Core, *operations: Any, **headers: str) -> list[Any]:
    """Return what is said of these operations, and the last line."""
    lines = begun({}, **headers)
    assert isinstance(lines, BodyLines)
    batch = [each if isinstance(each, bytes) else orjson.dumps(each) for each in operations]
    return [*answered(core, lines, batch), orjson.loads(lines.end(None))]


def put(key: str, value: object = 1, **more: str) -> dict[str, object]:
    return {"op": "put", "key": key, "value": value, **more}


def get(key: str) -> dict[str, object]:
    return {"op": "get", "key": key}


def test_each_line_has_its_answer_in_its_place() -> None:
    core = Core()
    said = carried_out(core, put("a", ["milk"]), get("b"), put("b"), {"op": "delete", "key": "c"})
    assert [line["status"] for line in said[:-1]] == [201, 404, 201, 204]
    assert [line["key"] for line in said[:-1]] == ["a", "b", "b", "c"]
    assert (said[0]["acks"], said[0]["copies"], "token" in said[0]) == (2, 3, False)
    assert said[1]["problem"]["type"] == "/v1/problems/absent"
    assert said[-1]["done"] == 4
    assert core.values == {"a": b'["milk"]', "b": b"1", "c": None}


def test_a_value_is_stored_as_it_was_sent() -> None:
    core = Core()
    line = b'{"op":"put","key":"a","value":{"pi": 3.140, "big": 12345678901234567890123}}'
    carried_out(core, line, {"op": "put", "key": "b", "value_base64": "AAH/"})
    assert core.values == {"a": b'{"pi": 3.140, "big": 12345678901234567890123}', "b": b"\0\1\xff"}
    puts = [request for run in core.runs for request in run if isinstance(request, Put)]
    assert [each.labels for each in puts] == [None, Labels("application/octet-stream")]


def test_a_read_shows_the_value_and_its_context() -> None:
    core = Core()
    core.values["a"] = b'{"n": 1.50}'
    line = b"".join(_text_of(core, get("a")))
    assert b'"value":{"n": 1.50}' in line
    [found, _] = carried_out(core, get("a"))
    assert (found["status"], found["key"]) == (200, "a")
    assert found["siblings"][0]["content_type"] == "application/json"


def _text_of(core: Core, operation: object) -> list[bytes]:
    lines = begun()
    assert isinstance(lines, BodyLines)
    steps = lines.answer([orjson.dumps(operation)])
    wanted = next(steps)
    assert isinstance(wanted, Sequence)
    try:
        steps.send(core.answer(wanted))
    except StopIteration as end:
        return [end.value]
    raise AssertionError("it asks no more than once")


def test_operations_of_one_key_wait_for_each_other_and_others_do_not() -> None:
    core = Core()
    carried_out(core, put("a"), put("b"), put("a", 2), put("c"), get("a"))
    keys = [[request.key for request in run if hasattr(request, "key")] for run in core.runs]
    assert keys == [["a", "b"], ["a", "c"], ["a"]]


def test_few_values_are_read_at_once_where_they_are_long() -> None:
    core = Core()
    core.values = {f"k{n}": b'"' + b"x" * (READ_BYTES_MAX // 4) + b'"' for n in range(60)}
    carried_out(core, *(get(key) for key in core.values))
    assert [len(run) for run in core.runs][:4] == [READS_AT_ONCE, 3, 3, 3]
    short = Core()
    short.values = {f"k{n}": b"1" for n in range(60)}
    carried_out(short, *(get(key) for key in short.values))
    assert [len(run) for run in short.runs] == [8, 16, 32, 4]


def test_a_context_decides_what_a_write_replaces() -> None:
    core = Core()
    seen = context_text("a", KeyContext(Past({"AAAAAA.1": 3})))
    said = carried_out(core, put("a", context=seen), put("b", context=seen))
    assert [line["status"] for line in said[:-1]] == [201, 400]
    [[write]] = core.runs
    assert isinstance(write, Put)
    assert (write.mode, write.context.base) == (Mode.SIBLINGS, {"AAAAAA.1": 3})


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"{", "the line is no operation: Input data was truncated"),
        (b'"\xff"', "the line is no operation: "),
        (b"[1]", "the line is no operation: Expected `object`, got `array`"),
        (b'{"op":"put"}', "the line is no operation: Object missing required field `key`"),
        (b'{"op":"add","key":"a"}', "the line is no operation: Invalid enum value 'add'"),
        (b'{"op":"put","key":"a","ttl":1}', "the line is no operation: Object contains unknown"),
        (b'{"op":"put","key":"a"}', "a put has a value or a value_base64, and other operations"),
        (b'{"op":"get","key":"a","value":1}', "a put has a value or a value_base64, and other"),
        (b'{"op":"put","key":"a","value":1,"value_base64":""}', "a put has a value or a value_"),
        (b'{"op":"get","key":"a","context":"none"}', "a get has no context"),
        (b'{"op":"get","key":""}', "the key is empty: it has 1 to 1024 bytes"),
        (b'{"op":"get","key":"a\\u0000"}', "the key has a NUL character"),
        (b'{"op":"delete","key":"a","context":"x"}', "Kv-Context is malformed: "),
    ],
)
def test_a_line_that_is_no_operation_is_refused_and_the_next_goes_on(
    line: bytes, detail: str
) -> None:
    said = carried_out(Core(), line, put("a"))
    assert [each["status"] for each in said[:-1]] == [400, 201]
    assert said[0]["problem"]["detail"].startswith(detail)
    assert said[-1]["done"] == 2


def test_a_value_that_is_too_large_is_refused() -> None:
    said = carried_out(Core(), put("a", "x" * READ_BYTES_MAX))
    assert said[0]["status"] == 413


def test_what_may_have_been_done_is_said() -> None:
    [said, _] = carried_out(Core(), put("away"))
    assert (said["status"], said["problem"]["definite"]) == (503, False)


def test_blank_lines_are_no_operations() -> None:
    assert carried_out(Core(), b"", b"  ", put("a"))[-1]["done"] == 1


def test_one_token_counts_for_all_and_one_is_given_back() -> None:
    core = Core()
    sent = Token({}, {("BBBBBB.1", 4): 2})
    lines = begun(Kv_Token=token_text(sent))
    assert isinstance(lines, BodyLines)
    answered(core, lines, [orjson.dumps(put(f"k{n}")) for n in range(100)])
    answered(core, lines, [orjson.dumps(put("last")), orjson.dumps(get("k1"))])
    [[*writes], [last, read]] = core.runs
    for write in (*writes, last):
        assert isinstance(write, Put)
        assert write.token.exact == sent.exact
    assert isinstance(read, Get)
    assert read.token.floor
    token = token_of(orjson.loads(lines.end(None))["token"])
    assert len(token.exact) <= EXACT_MAX
    for n in range(1, 102):
        assert ("AAAAAA.1", n) in token.exact or n <= token.floor["AAAAAA.1"]
    assert ("BBBBBB.1", 4) in token.exact or token.floor["BBBBBB.1"] >= 4


def test_every_write_has_the_name_that_is_given() -> None:
    core = Core()
    carried_out(core, put("a"), put("b"), Idempotency_Key="7f3a")
    [writes] = core.runs
    assert (
        len({write.identity.partition(".")[0] for write in writes if isinstance(write, Put)}) == 1
    )
    assert all(isinstance(write, Put) and write.identity for write in writes)


def test_levels_count_for_each_operation() -> None:
    core = Core()
    lines = begun({"w": "all", "strict": "true", "timeout": "3"})
    assert isinstance(lines, BodyLines)
    answered(core, lines, [orjson.dumps(put("a"))])
    [[write]] = core.runs
    assert isinstance(write, Put)
    assert (write.level, write.timeout_s, write.hinted) == ("all", 3.0, False)


def test_a_short_answer_has_the_status_alone() -> None:
    said = carried_out(Core(), put("a"), get("a"), Prefer="return=minimal")
    assert said[0] == {"status": 201}
    assert said[1]["siblings"]


def test_the_last_line_says_why_the_body_was_not_read_to_its_end() -> None:
    lines = begun()
    assert isinstance(lines, BodyLines)
    last = orjson.loads(lines.end(refused(413, "request body is too large")))
    assert last["done"] == 0
    assert last["problem"]["type"] == "/v1/problems/too-large"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({"ttl": "3"}, {}),
        ({"strict": "yes"}, {}),
        ({"on-miss": "cry"}, {}),
        ({"timeout": "0"}, {}),
        ({"w": ""}, {}),
        ({"r": "available"}, {}),
        ({}, {"Kv_Token": "%"}),
        ({}, {"Idempotency_Key": "x" * 129}),
    ],
)
def test_what_counts_for_all_is_checked_first(
    query: dict[str, str], headers: dict[str, str]
) -> None:
    said = begun(query, **headers)
    assert isinstance(said, Reply)
    assert said.status == 400
