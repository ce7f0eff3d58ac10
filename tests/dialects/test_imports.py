"""An import: what is written of each line, what is left alone, and what is said of the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict, MultiDict

from node.api.contract import BodyLines, Call, Limits, Reply
from node.api.native.export_lines import line_of, lines_of
from node.api.native.imports import imports
from node.api.parsing import refused
from node.core.model.changes import NamedAs, StateChange
from node.core.model.conditions import Mode
from node.core.model.counters import Counter
from node.core.model.hlc import Timestamp
from node.core.model.item import Past
from node.core.model.keys import COUNTERS, SETS
from node.core.model.labels import Labels
from node.core.model.merged_values import value_of
from node.core.model.token import Token
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    KeysListed,
    ListKeys,
    Outcome,
    Propose,
    Put,
    Request,
    Stored,
    Unavailable,
)
from node.security.scopes import ApiScope, Scopes
from tests.dialects.answering import handlers_of
from tests.dialects.nodes import NODES, STARTED, facts_at

LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)
NOTHING: Mapping[str, str] = {}
POST = handlers_of(imports())["POST", "/v1/import"]
TEXT = Labels("text/plain")
NOW = STARTED + 100.0
MERGE = {"merge": "true"}


def found(
    *values: bytes,
    labels: Labels | None = None,
    expires: int = 0,
    timestamps: Sequence[Timestamp] = (),
) -> Found:
    dots = tuple(("AAAAAA.1", n) for n in range(1, len(values) + 1))
    times = tuple(timestamps) or tuple((1000 + n, 0, "") for _, n in dots)
    return Found(
        values, dots, dots, Token(), Past(), NODES[0], labels=(labels,) * len(values),
        timestamps=times, expires=(expires,) * len(values),
    )  # fmt: skip


class Core:
    """Has what its keys show; writes are noted, and keep what they have written."""

    def __init__(self, **shown: Found) -> None:
        self.shown: dict[str, Found] = dict(shown)
        self.writes: list[Put] = []
        self.refuses: dict[str, Outcome] = {}
        self.keys: list[str] = []

    def answer(self, requests: Sequence[Request]) -> list[Outcome]:
        return [self._outcome(request) for request in requests]

    def _outcome(self, request: Request) -> Outcome:
        if isinstance(request, ListKeys):
            assert request.start == "\0"
            return self.refuses.get("list", KeysListed(self.keys, "", Token()))
        if isinstance(request, Get):
            assert (request.mode, request.raw) == (Mode.SIBLINGS, True)
            absent = Absent((), Token(), Past(), NODES[0])
            return self.refuses.get(f"get {request.key}", self.shown.get(request.key, absent))
        assert isinstance(request, Put)
        if request.key in self.refuses:
            return self.refuses[request.key]
        self.writes.append(request)
        if request.value is not None:
            self.shown[request.key] = found(request.value, labels=request.labels)
        return Stored(Token(), Past(), ("AAAAAA.1", 1), False, 2, 2, NODES[0])


def begun(
    query: Mapping[str, str] = MERGE, scopes: Scopes = frozenset(ApiScope)
) -> BodyLines | Reply:
    facts = facts_at(NODES[0])
    call = Call("POST", {}, MultiDict(query), CIMultiDict(), b"", lambda: facts, LIMITS, scopes)
    said = POST(call)
    assert isinstance(said, BodyLines | Reply)
    return said


def imported(core: Core, *lines: bytes, query: Mapping[str, str] = MERGE) -> list[Any]:
    """Return what is said of these lines, with the last one."""
    work = begun(query)
    assert isinstance(work, BodyLines)
    text = _taken(work.answer(lines), core) + work.end(None)
    return [orjson.loads(line) for line in text.splitlines()]


def _taken(steps: Any, core: Core) -> Any:
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(core.answer(wanted))
    except StopIteration as end:
        return end.value


def value_line(key: str = "a", value: object = 1, **more: object) -> bytes:
    return orjson.dumps({"key": key, "content_type": "application/json", "value": value, **more})


# ------------------------------------------------------------------ values
@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (b"1", None),
        (b'{ "b" : 1.0,  "a": "\xc3\xa4" }', None),
        (b'{\n "a": 1\n}', None),
        (b" 1 ", None),
        (b"[]", Labels("application/json; charset=utf-8", {}, is_json=True)),
        (b"[", Labels("application/json")),
        (b"\xff", Labels("application/json")),
        (b'"text"', TEXT),
        (b"many\nlines\r\n\0", TEXT),
        (b"", TEXT),
        (b"\xff\xfe", TEXT),
        (bytes(range(256))[:150], Labels("image/png", {"By": "Ann", "x-y": "z"})),
        (b"text", Labels("application/octet-stream", {"a": "b"})),
    ],
)
def test_a_value_comes_back_byte_for_byte(value: bytes, labels: Labels | None) -> None:
    expires = int(NOW * 1000) + 12_345
    [(_, line)] = lines_of("a", found(value, labels=labels, expires=expires))
    assert line.count(b"\n") == 1
    core = Core()
    [last] = imported(core, line)
    assert (last["done"], last["written"], last["failed"]) == (1, 1, 0)
    [put] = core.writes
    assert (put.key, put.value, put.labels, put.expires) == ("a", value, labels, expires)
    assert (put.mode, put.context, put.token) == (Mode.SIBLINGS, Past(), Token())


def test_siblings_come_in_the_order_in_which_they_were_written() -> None:
    times = [(3, 0, "x"), (1, 0, "x"), (2, 0, "x")]
    lines = [line for _, line in lines_of("a", found(b"3", b"1", b"2", timestamps=times))]
    core = Core()
    imported(core, *lines)
    assert [put.value for put in core.writes] == [b"1", b"2", b"3"]
    assert [put.token.timestamp[0] for put in core.writes] == [0, 1001, 1001]


def test_what_is_there_is_left_alone_and_another_value_stands_beside_it() -> None:
    core = Core(a=found(b"1"), b=found(b"2"), c=found(b"3", labels=TEXT))
    lines = [value_line(key, n) for key, n in (("a", 1), ("b", 3), ("c", 3))]
    [last] = imported(core, *lines)
    assert (last["there"], last["written"]) == (1, 2)
    assert [put.key for put in core.writes] == ["b", "c"]
    assert all(put.context == Past() for put in core.writes)


def test_a_line_that_comes_again_is_the_same_write() -> None:
    first, second, third = Core(), Core(), Core()
    imported(first, value_line())
    imported(second, value_line() + b"\r")
    imported(third, value_line(written_at=5.0))
    names = [core.writes[0].identity for core in (first, second, third)]
    assert names[0] == names[1] != names[2]
    assert names[0].count(".") == 1


def test_what_has_expired_is_left_out() -> None:
    core = Core()
    [last] = imported(core, value_line(expires_at=1.0))
    assert (last["expired"], last["written"], core.writes) == (1, 0, [])


def test_the_level_is_that_of_the_request() -> None:
    core = Core()
    imported(core, value_line())
    imported(core, value_line("b"), query={**MERGE, "w": "all"})
    assert [put.level for put in core.writes] == ["quorum", "all"]


# ------------------------------------------------------------------ counters, sets, policies
def counter_of(amount: int) -> Found:
    named = NamedAs(("AAAAAA.1", 1), "", 1000, Past())
    return found(value_of(Counter().after(StateChange(amount), named)))


def test_a_counter_is_added_once_and_kept_where_it_is() -> None:
    [(kind, line)] = lines_of(f"{COUNTERS}c", counter_of(-7))
    assert (kind, line) == ("counters", b'{"counter":"c","value":-7}\n')
    core = Core()
    assert imported(core, line)[-1]["written"] == 1
    assert (core.writes[0].key, core.writes[0].change) == (f"{COUNTERS}c", StateChange(-7))
    core.shown[f"{COUNTERS}c"] = counter_of(5)
    assert imported(core, line)[-1]["there"] == 1


def test_a_counter_that_was_deleted_has_no_line() -> None:
    named = NamedAs(("AAAAAA.1", 2), "", 1000, Past())
    state = Counter().after(StateChange(1), NamedAs(("AAAAAA.1", 1), "", 1000, Past()))
    gone = value_of(state.after(StateChange(resets=True), named))
    assert list(lines_of(f"{COUNTERS}c", found(gone))) == []


def test_a_set_gets_what_it_lacks() -> None:
    line = b'{"set":"s","elements":[null,7,"7"]}'
    core = Core()
    assert imported(core, line)[-1]["written"] == 1
    [put] = core.writes
    assert (put.key, put.change) == (f"{SETS}s", StateChange(add=("null", "7", '"7"')))


def test_a_policy_is_set_where_its_prefix_has_none() -> None:
    work = begun()
    assert isinstance(work, BodyLines)
    steps = work.answer([b'{"policy":{"prefix":"new/","merge":"lww","ttl":null}}'])
    wanted = next(steps)
    assert isinstance(wanted, Sequence)
    [proposal] = wanted
    assert isinstance(proposal, Propose)
    assert [policy.prefix for policy in proposal.layout.policies or ()] == ["new/"]


def test_lines_that_say_nothing_are_passed_over() -> None:
    lines = b'{"export":1}', b"", b'{"shard":"s1"}', b'{"done":3,"problem":{}}'
    [last] = imported(Core(), *lines)
    assert last["done"] == 0


# ------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (b"{", "malformed", "the line is none of an export"),
        (b"[]", "malformed", "the line is none of an export"),
        (b'{"other":1}', "malformed", "it has no field key, counter, set, policy"),
        (value_line(""), "malformed", "the key is empty"),
        (value_line("a\0"), "malformed", "NUL"),
        (value_line("a" * 1025), "malformed", "the limit is 1024"),
        (value_line(colour="red"), "malformed", "colour"),
        (value_line(value_base64="AA=="), "malformed", "one of value and value_base64"),
        (value_line(value="x" * 300), "too-large", "the limit is 200"),
        (value_line(content_type="text/plain"), "malformed", "Expected `str`"),
        (value_line(meta={str(n): "" for n in range(33)}), "labels", "the limit is 32"),
        (b'{"counter":"","value":1}', "malformed", "the key is empty"),
        (b'{"counter":"c","value":1.5}', "malformed", "Expected `int`"),
        (b'{"counter":"c","value":9223372036854775808}', "malformed", "64 bits"),
        (b'{"set":"s","elements":[[]]}', "malformed", "the line is none of an export"),
        (b'{"policy":{"prefix":"a","merge":"no"}}', "malformed", "merge"),
    ],
)
def test_a_line_that_is_wrong_is_told_and_the_next_goes_on(
    line: bytes, kind: str, words: str
) -> None:
    core = Core()
    said, last = imported(core, line, value_line("next"))
    assert said["line"] == 1
    assert said["problem"]["type"] == f"/v1/problems/{kind}"
    assert words in said["problem"]["detail"]
    assert (last["failed"], last["written"], last["done"]) == (1, 1, 2)
    assert [put.key for put in core.writes] == ["next"]


@pytest.mark.parametrize("where", ["a", "get a"])
def test_a_line_that_cannot_be_written_now_is_named(where: str) -> None:
    core = Core()
    core.refuses[where] = Unavailable("away", definite=False)
    said, last = imported(core, value_line())
    assert (said["key"], said["problem"]["status"]) == ("a", 503)
    assert last["failed"] == 1


def test_what_breaks_the_body_off_is_in_the_last_line() -> None:
    work = begun()
    assert isinstance(work, BodyLines)
    assert orjson.loads(work.end(refused(408, "late")))["problem"]["status"] == 400


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"w": "most"}, "w is 'most'"),
        ({"merge": "yes"}, "merge is 'yes'"),
        ({"prefix": "a"}, "there is no parameter"),
    ],
)
def test_parameters_are_checked_first(query: Mapping[str, str], words: str) -> None:
    said = begun(query)
    assert isinstance(said, Reply)
    assert (said.status, words in said.body.decode()) == (400, True)


def test_a_token_that_may_not_write_is_refused() -> None:
    said = begun(MERGE, frozenset({ApiScope.ADMIN}))
    assert isinstance(said, Reply)
    assert said.status == 403


# ------------------------------------------------------------------ an empty cluster
def opened(core: Core) -> Reply:
    work = begun(NOTHING)
    assert isinstance(work, BodyLines)
    reply = _taken(work.opening, core)
    assert isinstance(reply, Reply)
    return reply


def test_a_cluster_without_keys_is_opened() -> None:
    assert opened(Core()).status == 200


def test_a_cluster_with_keys_is_not() -> None:
    core = Core()
    core.keys = [f"{COUNTERS}c"]
    reply = opened(core)
    assert (reply.status, orjson.loads(reply.body)["type"]) == (409, "/v1/problems/not-empty")


def test_a_cluster_that_cannot_be_looked_at_is_not() -> None:
    core = Core()
    core.refuses["list"] = Unavailable("away", definite=True)
    assert opened(core).status == 503


def test_a_line_ends_with_its_end() -> None:
    assert line_of({"a": 1}) == b'{"a":1}\n'
