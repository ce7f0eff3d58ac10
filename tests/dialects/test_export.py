"""An export: what it asks, what it says, and how it ends.  tests/simulation/test_export.py has what
it promises."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict, MultiDict

from node.api.contract import Call, Feed, FeedWords, Limits, Refused, Reply
from node.api.native.export import PAGE_KEYS, READ_BYTES_MAX, READS_MAX, exports
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.labels import Labels
from node.core.model.token import ALL_KEYS, Token
from node.core.protocol.inspection import ClocksJoined, JoinClocks
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    KeysListed,
    ListKeys,
    Outcome,
    Request,
    Unavailable,
)
from node.security.scopes import ApiScope, Scopes
from tests.dialects.answering import handlers_of
from tests.dialects.nodes import NODES, facts_at

LIMITS = Limits(value_bytes_max=READ_BYTES_MAX, wait_s_max=2.0)
GET = handlers_of(exports())["GET", "/v1/export"]
BEGUN = Token({"AAAAAA.1": 7}, {}, ALL_KEYS)
NOTHING: Mapping[str, str] = {}
ALL: Scopes = frozenset(ApiScope)
Line = dict[str, Any]


class Core:
    """Two shards whose first slots have these keys; `clocks` are what all nodes have, each time
    that they are asked."""

    def __init__(self, keys: Sequence[str] = (), size: int = 1) -> None:
        self.keys, self.value = sorted(keys), b"x" * size
        self.clocks = [ClocksJoined(BEGUN, ())]
        self.lists: list[ListKeys] = []
        self.reads: list[list[str]] = []
        self.absent: set[str] = set()
        self.list_outcome: Callable[[ListKeys], Outcome | None] = lambda wanted: None
        self._asked_clocks = 0

    def answer(self, requests: Sequence[Request]) -> list[Outcome]:
        if isinstance(requests[0], Get):
            self.reads.append([get.key for get in requests if isinstance(get, Get)])
        return [self._outcome(request) for request in requests]

    def _outcome(self, request: Request) -> Outcome:
        if isinstance(request, JoinClocks):
            self._asked_clocks += 1
            return self.clocks[min(self._asked_clocks, len(self.clocks)) - 1]
        if isinstance(request, ListKeys):
            self.lists.append(request)
            return self.list_outcome(request) or self._listed(request)
        assert isinstance(request, Get)
        assert (request.mode, request.token, request.raw) == (Mode.SIBLINGS, BEGUN, True)
        if request.key in self.absent:
            return Absent((), Token(), Past(), NODES[0])
        dots = (("AAAAAA.1", 3),)
        return Found(
            (self.value,), dots, dots, Token({}, {dots[0]: 2}), Past(), NODES[0],
            labels=(Labels("text/plain"),), timestamps=((1000, 0, ""),), expires=(0,),
        )  # fmt: skip

    def _listed(self, wanted: ListKeys) -> KeysListed:
        if not wanted.slots & 1:
            return KeysListed([], "", Token())
        left = [key for key in self.keys if key >= wanted.start]
        page, rest = left[: wanted.limit], left[wanted.limit :]
        return KeysListed(page, rest[0] if rest else "", Token())


def begun(query: Mapping[str, str] = NOTHING, scopes: Scopes = ALL, view: str = "first") -> Any:
    facts = facts_at(NODES[0], view=view)
    return GET(Call("GET", {}, MultiDict(query), CIMultiDict(), b"", lambda: facts, LIMITS, scopes))


def exported(core: Core, query: Mapping[str, str] = NOTHING) -> list[Line]:
    feed = begun(query)
    assert isinstance(feed, Feed)
    assert not feed.is_watch
    words: list[bytes] = []
    head = taken(feed.opening, core, words)
    assert (head.status, head.content_type) == (200, "application/x-ndjson")
    taken(feed.go_on(), core, words)
    return [orjson.loads(line) for line in b"".join(words).splitlines()]


def taken(steps: Any, core: Core, words: list[bytes]) -> Any:
    try:
        wanted = next(steps)
        while True:
            if isinstance(wanted, FeedWords):
                words.append(wanted.text)
            told = core.answer(wanted) if isinstance(wanted, list | tuple) else []
            wanted = steps.send(told)
    except StopIteration as end:
        return end.value


def refusal(core: Core, query: Mapping[str, str] = NOTHING) -> Line:
    feed = begun(query)
    assert isinstance(feed, Feed)
    with pytest.raises(Refused) as refused:
        taken(feed.opening, core, [])
    said: Line = orjson.loads(refused.value.reply.body)
    return said


def test_an_empty_cluster_has_a_head_its_shards_and_an_end() -> None:
    head, first, second, last = exported(Core())
    assert (head["export"], head["shards"], head["unreached"]) == (1, ["s1", "s2"], [])
    assert (first, second) == ({"shard": "s1"}, {"shard": "s2"})
    assert (last["done"], last["keys"], last["unchanged"]) == (0, 0, True)


def test_policies_come_first() -> None:
    feed = begun(view="ruled")
    assert isinstance(feed, Feed)
    words: list[bytes] = []
    taken(feed.opening, Core(), words)
    taken(feed.go_on(), Core(), words)
    said = [orjson.loads(line) for line in b"".join(words).splitlines()]
    assert [line["policy"]["prefix"] for line in said[1:4]] == ["carts/", "last/", "top/"]


def test_all_slots_are_listed_with_what_all_nodes_have() -> None:
    core = Core(["a"])
    exported(core)
    slots = 0
    for wanted in core.lists[2:]:
        assert wanted.token == BEGUN
        assert not slots & wanted.slots
        assert wanted.start == "\0"
        slots |= wanted.slots
    assert slots == (1 << 4096) - 1


def test_pages_are_read_on() -> None:
    keys = [f"k{n:05}" for n in range(PAGE_KEYS + 9)]
    core = Core(keys)
    said = exported(core)
    assert [line["key"] for line in said if "key" in line] == keys
    assert said[-1]["done"] == len(keys)
    assert max(map(len, core.reads)) == READS_MAX


def test_few_large_values_are_read_at_once() -> None:
    core = Core([f"k{n:03}" for n in range(100)], READ_BYTES_MAX // 2)
    exported(core)
    assert [len(each) for each in core.reads[1:]] == [1] * 92


def test_a_key_that_was_deleted_since_it_was_listed_has_no_line() -> None:
    core = Core(["a", "b"])
    core.absent = {"a"}
    said = exported(core)
    assert [line["key"] for line in said if "key" in line] == ["b"]
    assert said[-1]["keys"] == 1


@pytest.mark.parametrize(
    ("token", "silent"),
    [
        (Token({"AAAAAA.1": 8}, {}, ALL_KEYS), ()),
        (Token({"AAAAAA.1": 7}, {("AAAAAA.1", 9): 2}, ALL_KEYS), ()),
        (Token({"AAAAAA.1": 7, "BBBBBB.1": 1}, {}, ALL_KEYS), ()),
        (BEGUN, (NODES[1],)),
    ],
)
def test_it_is_not_unchanged_if_a_node_has_more_or_does_not_say(
    token: Token, silent: tuple[str, ...]
) -> None:
    core = Core()
    core.clocks.append(ClocksJoined(token, silent))
    assert exported(core)[-1]["unchanged"] is False


def test_what_closes_a_gap_by_itself_is_no_change() -> None:
    core = Core()
    core.clocks = [
        ClocksJoined(Token({"AAAAAA.1": 7}, {("AAAAAA.1", 8): 2}, ALL_KEYS), ()),
        ClocksJoined(Token({"AAAAAA.1": 8}, {}, ALL_KEYS), ()),
    ]
    assert exported(core)[-1]["unchanged"] is True


def test_a_shard_that_fails_later_is_told_in_the_last_line() -> None:
    core = Core(["a"])
    core.list_outcome = lambda wanted: (
        Unavailable("away", definite=True) if len(core.lists) > 10 else None
    )
    last = exported(core)[-1]
    assert (last["problem"]["status"], last["problem"]["detail"]) == (503, "away")
    assert "unchanged" not in last
    assert last["done"] == 1


def test_a_shard_that_fails_at_once_is_named() -> None:
    core = Core()
    core.list_outcome = lambda wanted: (
        None if wanted.slots & 1 else Unavailable("away", definite=True)
    )
    assert "cannot be exported: away" in refusal(core)["detail"]


def test_a_node_that_does_not_answer_refuses_unless_it_may_be_missing() -> None:
    core = Core()
    core.clocks = [ClocksJoined(BEGUN, (NODES[1],))]
    said = refusal(core, {"timeout": "0.1"})
    assert (said["status"], said["unreached"]) == (503, [NODES[1]])
    assert NODES[1] in said["detail"]
    head, *_, last = exported(core, {"partial": "true"})
    assert (head["unreached"], last["unchanged"]) == ([NODES[1]], False)


@pytest.mark.parametrize(
    ("query", "scopes", "view", "status"),
    [
        ({"partial": "yes"}, ALL, "first", 400),
        ({"prefix": "a"}, ALL, "first", 400),
        ({"timeout": "x"}, ALL, "first", 400),
        (NOTHING, frozenset({ApiScope.ADMIN}), "first", 403),
        (NOTHING, ALL, "nothing", 503),
    ],
)
def test_a_request_that_is_wrong_is_refused(
    query: Mapping[str, str], scopes: Scopes, view: str, status: int
) -> None:
    said = begun(query, scopes, view)
    assert isinstance(said, Reply)
    assert said.status == status
