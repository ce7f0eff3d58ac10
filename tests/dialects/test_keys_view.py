"""The keys_view contract: its exchanges go as written; its keys alone; how long changes take."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from node.api.contract import Ask, Call, Facts, Reply, Talk
from node.api.dialects.keys_view.handlers import keys_view
from node.core.protocol.operations import Adopted, Count, Counted, Get, Outcome, Propose, Request
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import NEXT, NODES, STARTED, STRANGER, facts_at, movement
from tests.dialects.outcomes import OUTCOMES

ROUTES = handlers_of(keys_view())
CHANGE = orjson.dumps({"view": ",".join(NODES), "repl-factor": 1})


def call(method: str, pattern: str, body: object = None, at: str = NODES[0]) -> Reply | Ask:
    facts = facts_at(at)
    words = {"key": "cart"} if "{" in pattern else {}
    raw = b"" if body is None else orjson.dumps(body)
    said = ROUTES[method, pattern](Call(method, words, {}, {}, raw, lambda: facts, LIMITS))
    assert isinstance(said, Reply | Ask)
    return said


def test_goes_as_written() -> None:
    path = HERE / "keys_view.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "keys_view.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern.partition('{')[0]}" in text


@pytest.mark.parametrize("at", [NODES[0], NODES[3]], ids=["own shard", "proxied"])
@pytest.mark.parametrize(
    ("method", "outcome", "status", "keys"),
    [
        ("PUT", "created", 201, {"message", "replaced"}),
        ("PUT", "replaced", 200, {"message", "replaced"}),
        ("PUT", "not written", 503, {"error", "message"}),
        ("GET", "found", 200, {"message", "doesExist", "value"}),
        ("GET", "absent", 404, {"message", "error", "doesExist"}),
        ("GET", "unmet", 400, {"error", "message"}),
        ("GET", "not written", 503, {"error", "message"}),
        ("DELETE", "replaced", 200, {"message", "doesExist"}),
        ("DELETE", "absent", 404, {"message", "error", "doesExist"}),
        ("DELETE", "undecided", 503, {"error", "message"}),
    ],
)
def test_data_replies_have_these_keys_and_no_others(
    method: str, outcome: str, status: int, keys: set[str], at: str
) -> None:
    body = {"value": 1, "causal-context": {}} if method == "PUT" else {"causal-context": {}}
    said = call(method, "/kvs/keys/{key}", body, at)
    assert isinstance(said, Ask)
    reply = said.say(OUTCOMES[outcome])
    has_served = outcome in ("created", "replaced", "found", "absent")
    proxied = {"address"} if at == NODES[3] and has_served else set()
    told = orjson.loads(reply.body)
    assert reply.status == status
    assert told.keys() == keys | {"causal-context"} | proxied
    assert type(told["causal-context"]) is dict


@pytest.mark.parametrize("seen", [None, {}, ""])
def test_forms_of_nothing_seen(seen: object) -> None:
    said = call("GET", "/kvs/keys/{key}", {"causal-context": seen})
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert not said.request.token


def test_a_read_is_answered_within_5_s() -> None:
    said = call("GET", "/kvs/keys/{key}")
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get)
    assert 4 <= said.request.wait_s < 5


# ------------------------------------------------------------------ a view change takes its time


class Cluster:
    """What the asked node reports of a change under way, and a clock that each look moves."""

    def __init__(self, changes: list[str], look_s: float, **only: Sequence[str]) -> None:
        self.changes, self.look_s = iter(changes), look_s
        self.alive, self.lacks = only.get("alive", NODES), only.get("lacks", NEXT.nodes)
        self.looks, self.view = count(), "first"

    def facts(self) -> Facts:
        now = STARTED + self.look_s * next(self.looks)
        told = facts_at(NODES[0], view=self.view)
        told = replace(told, now=now, movement=self.movement)
        return replace(told, alive=lambda: tuple(self.alive))

    def movement(self) -> dict[str, Any]:
        shown = movement(NEXT, next(self.changes, "beginning"))
        nodes = {n: {**told, "alive": n in self.alive} for n, told in shown["nodes"].items()}
        whole = {
            n: {**nodes[n], "in_view": True, "lacking": 0} for n in nodes if n not in self.lacks
        }
        return {**shown, "nodes": {**nodes, **whole}}


def played(cluster: Cluster) -> tuple[Reply, list[Sequence[Request] | float]]:
    """Return the reply to a change, with its requests and waits."""
    handler = ROUTES["PUT", "/kvs/view-change"]
    said = handler(Call("PUT", {}, {}, {}, CHANGE, cluster.facts, LIMITS))
    assert isinstance(said, Talk)
    all_wanted: list[Sequence[Request] | float] = [next(said.steps)]
    try:
        while True:
            wanted = all_wanted[-1]
            asked = () if isinstance(wanted, float) else wanted
            if not isinstance(wanted, float) and isinstance(wanted[0], Propose):
                cluster.view = "next"
            all_wanted.append(said.steps.send([outcome_of(request) for request in asked]))
    except StopIteration as end:
        return end.value, all_wanted


def outcome_of(request: Request) -> Outcome:
    if isinstance(request, Propose):
        return Adopted(replace(NEXT, shards=request.layout.shards))
    return Counted(5)


def key_counts(reply: Reply) -> list[int | None]:
    return [shard["key-count"] for shard in orjson.loads(reply.body)["shards"]]


def test_a_change_waits_until_every_node_has_what_it_owns() -> None:
    reply, all_wanted = played(Cluster(["beginning", "moving", "moving", "done"], 0.01))
    assert [isinstance(wanted, float) for wanted in all_wanted] == [False, True, True, True, False]
    assert key_counts(reply) == [5] * 5


def test_a_view_that_others_have_adopted_is_waited_for() -> None:
    """Until the node has the view, it reports on the last change, which is over."""
    cluster = Cluster(["done"] * 9, 0.01)
    late = replace(cluster.facts(), now=STARTED)

    def facts() -> Facts:
        return late if next(cluster.looks) < 6 else cluster.facts()

    said = ROUTES["PUT", "/kvs/view-change"](Call("PUT", {}, {}, {}, CHANGE, facts, LIMITS))
    assert isinstance(said, Talk)
    asked = next(said.steps)
    assert not isinstance(asked, float)
    [propose] = asked
    cluster.view = "next"
    all_wanted = [said.steps.send([outcome_of(propose)])]
    while isinstance(all_wanted[-1], float):
        all_wanted.append(said.steps.send([]))
    *waits, counts = all_wanted
    assert len(waits) > 1
    assert not isinstance(counts, float)
    assert all(isinstance(each, Count) for each in counts)


def test_a_dead_node_is_not_waited_for() -> None:
    _, all_wanted = played(Cluster(["moving"], 0.01, alive=NODES[:1], lacks=NODES[1:]))
    assert not any(isinstance(wanted, float) for wanted in all_wanted)


def test_a_newcomer_that_has_not_been_heard_of_yet_is_waited_for() -> None:
    cluster = Cluster(["moving", "moving", "done"], 0.01, alive=NODES, lacks=[STRANGER])
    _, all_wanted = played(cluster)
    assert [isinstance(wanted, float) for wanted in all_wanted] == [False, True, True, False]


@pytest.mark.parametrize(("alive", "most_s"), [(NODES, 4.3), (NODES[2:], 2.6)])
def test_a_change_that_takes_long_is_answered_in_time(alive: list[str], most_s: float) -> None:
    """It is answered within 5 s; to count a shard without a live node takes 2 of them."""
    cluster = Cluster(["moving"] * 1000, 0.05, alive=alive)
    reply, _ = played(cluster)
    assert reply.status == 200
    assert most_s - 0.3 < next(cluster.looks) * cluster.look_s < most_s + 0.3
