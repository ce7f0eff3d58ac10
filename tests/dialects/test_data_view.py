"""The data_view contract: its exchanges go as written; its requests; which node proposes when."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from node.api.contract import Ask, Call, Facts, Reply, Talk
from node.api.dialects.data_view.handlers import TURN_S, WAIT_S, data_view
from node.api.dialects.data_view.orders import TURNS_MAX
from node.core.model.view import View, ViewId
from node.core.protocol.operations import Adopted, Get, List, Outcome, Propose, Put, Request
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import CALLED, STARTED, WRITTEN, facts_at, movement
from tests.dialects.ordered import FOUR, NONE, TWO, Groups, body_of, ordered, view_of
from tests.dialects.outcomes import OUTCOMES

ROUTES = handlers_of(data_view())


def call(
    method: str, pattern: str, body: object = None, key: str = "cart"
) -> Reply | Ask | Talk | Any:
    facts = facts_at(WRITTEN[0], view="called")
    raw = b"" if body is None else orjson.dumps(body)
    return ROUTES[method, pattern](Call(method, {"key": key}, {}, {}, raw, lambda: facts, LIMITS))


def test_goes_as_written() -> None:
    path = HERE / "data_view.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "data_view.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern.partition('{')[0]}" in text


# ------------------------------------------------------------------ data


@pytest.mark.parametrize("seen", [{}, None, ""])
@pytest.mark.parametrize("pattern", ["/data/{key}", "/data"])
def test_forms_of_nothing_seen(seen: object, pattern: str) -> None:
    said = call("GET", pattern, {"causal-metadata": seen})
    assert isinstance(said, Ask)
    assert isinstance(said.request, Get | List)
    assert not said.request.token
    assert said.request.wait_s == WAIT_S


NOTHING_SEEN: list[object] = [{}, None, ""]


@pytest.mark.parametrize(
    ("fields", "created"),
    [({}, 201), *(({"causal-metadata": seen}, 200) for seen in NOTHING_SEEN)],
)
def test_only_a_client_without_metadata_is_told_what_is_new(
    fields: dict[str, object], created: int
) -> None:
    said = call("PUT", "/data/{key}", {"value": 1, **fields})
    assert isinstance(said, Ask)
    statuses = [said.say(OUTCOMES[outcome]).status for outcome in ("created", "replaced")]
    assert statuses == [created, 200]


@pytest.mark.parametrize("key", ["k" * 1000, "é" * 1000, " ", "a/b", "\0", "..", "?#%", "{}"])
@pytest.mark.parametrize("value", ["", None, 0, [], {}, False])
def test_long_and_odd_keys_and_empty_values(key: str, value: object) -> None:
    said = call("PUT", "/data/{key}", {"value": value}, key)
    assert isinstance(said, Ask)
    assert isinstance(said.request, Put)
    assert (said.request.key, said.request.value) == (key, orjson.dumps(value))


# ------------------------------------------------------------------ one view, put to every node


class Meanwhile:
    """What a node sees while it obeys: views that come at their time, a clock that waits move.

    `lacks_until` is when the last of its slots has come.
    """

    def __init__(self, node: int, come: dict[float, View], lacks_until: float = 0.0) -> None:
        self.address, self.come, self.lacks_until = f"node-{node}", come, lacks_until
        self.passed = 0.0
        self.proposed: list[tuple[float, Propose]] = []

    def facts(self) -> Facts:
        arrived = [view for at, view in self.come.items() if at <= self.passed + 1e-9]
        return replace(
            facts_at(self.address, view="nothing"),
            view=arrived[-1] if arrived else NONE,
            now=STARTED + self.passed,
            movement=self.movement,
        )

    def movement(self) -> dict[str, Any]:
        shown = movement(CALLED, "done")
        shown["nodes"].pop(self.address, None)
        is_late = self.passed < self.lacks_until
        ours = {"in_view": True, "alive": True, "lacking": 200 if is_late else 0}
        return {**shown, "nodes": {**shown["nodes"], self.address: ours}}

    def does(self, request: Request) -> Outcome:
        assert isinstance(request, Propose)
        self.proposed.append((round(self.passed, 2), request))
        return Adopted(CALLED)

    def put(self, order: Groups) -> Reply:
        raw = orjson.dumps(body_of(order))
        said = ROUTES["PUT", "/view"](Call("PUT", {}, {}, {}, raw, self.facts, LIMITS))
        assert isinstance(said, Talk)
        try:
            wanted: Sequence[Request] | float = next(said.steps)
            while True:
                if isinstance(wanted, float):
                    self.passed += wanted
                    wanted = said.steps.send([])
                else:
                    wanted = said.steps.send([self.does(request) for request in wanted])
        except StopIteration as end:
            reply: Reply = end.value
            return reply


@pytest.mark.parametrize("node", range(4))
def test_a_node_proposes_in_its_turn(node: int) -> None:
    meanwhile = Meanwhile(node, {})
    assert meanwhile.put(TWO).status == 200
    [(at, propose)] = meanwhile.proposed
    assert at == pytest.approx(node * TURN_S, abs=0.06)
    assert propose.layout == ordered(TWO).layout(NONE)
    assert propose.base == ViewId(0)


@pytest.mark.parametrize("node", range(1, 4))
def test_a_node_that_is_told_of_the_view_before_its_turn_proposes_none(node: int) -> None:
    meanwhile = Meanwhile(node, {0.1: view_of(TWO, NONE)})
    assert meanwhile.put(TWO).status == 200
    assert meanwhile.proposed == []
    assert meanwhile.passed == pytest.approx(0.1)


def test_a_node_that_is_told_of_another_view_proposes_from_that() -> None:
    other = view_of(FOUR, NONE)
    meanwhile = Meanwhile(2, {0.1: other})
    assert meanwhile.put(TWO).status == 200
    [(_, propose)] = meanwhile.proposed
    assert (propose.base, propose.layout) == (other.id, ordered(TWO).layout(other))


def test_a_node_that_the_view_leaves_out_goes_last() -> None:
    meanwhile = Meanwhile(3, {0.0: view_of(TWO, NONE)})
    assert meanwhile.put({"Red": [0, 1], "Blue": [2]}).status == 200
    [(at, _)] = meanwhile.proposed
    assert at == pytest.approx(TURNS_MAX * TURN_S, abs=0.06)


def test_it_is_answered_when_the_node_has_what_it_owns() -> None:
    meanwhile = Meanwhile(0, {0.0: view_of(TWO, NONE)}, lacks_until=2.0)
    reply = meanwhile.put(TWO)
    assert (reply.status, reply.headers) == (200, {})
    assert meanwhile.passed == pytest.approx(2.0, abs=0.06)


def test_it_is_answered_in_time_by_a_node_that_lacks_something_still() -> None:
    meanwhile = Meanwhile(0, {0.0: view_of(TWO, NONE)}, lacks_until=100.0)
    reply = meanwhile.put(TWO)
    assert (reply.status, reply.headers) == (200, {"Kv-Lacking": "200 slots"})
    assert meanwhile.passed == pytest.approx(WAIT_S, abs=0.06)
