"""Numbers of our own routes: as programs write them, in a query, a policy and a plan."""

from typing import Any

import orjson
import pytest

from node.api.admin.view_plans import change_request_of
from node.api.contract import Call, Refused, Reply
from node.api.native.parameters import seconds_in
from node.api.native.policies import policies
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import LIMITS
from tests.dialects.nodes import NODES, VIEW, facts_at

PUT = handlers_of(policies())["PUT", "/v1/policies"]


def call_of(policy: object) -> Call:
    body = orjson.dumps(policy)
    return Call("PUT", {}, {}, {}, body, lambda: facts_at(NODES[0]), LIMITS)


def refusal_of(policy: object) -> str:
    """Return the detail of the refusal of a policy; empty if it is not refused."""
    said = PUT(call_of(policy))
    problem: dict[str, Any] = orjson.loads(said.body) if isinstance(said, Reply) else {}
    return str(problem.get("detail", ""))


@pytest.mark.parametrize("number", [0.1 + 0.2, 1e-05, 5e-324, 60.0, 59.99999999999999])
def test_seconds_may_be_any_number_in_their_range(number: float) -> None:
    assert seconds_in(call_of({}), "timeout", str(number), 60.0) == number
    assert refusal_of({"ttl": number}) == ""


@pytest.mark.parametrize("number", [2, 2.0, "2"])
def test_a_level_is_a_whole_number(number: object) -> None:
    assert refusal_of({"w": number, "r": number}) == ""


@pytest.mark.parametrize("policy", [{"ttl": "60"}, {"ttl": True}, {"w": 1.5}, {"r": True}])
def test_other_texts_and_numbers_are_refused(policy: dict[str, object]) -> None:
    assert refusal_of(policy).partition(" is ")[0] in policy


def test_a_refused_level_of_reads_names_no_level_of_writes_alone() -> None:
    assert refusal_of({"r": 0}) == "r is 0; expected one, quorum, all or a number from 1 to 3"


def test_a_number_of_shards_is_a_whole_number() -> None:
    assert type(change_request_of({"shards": 3.0}, VIEW, ()).shards) is int
    for wrong in (2.5, True, "3"):
        with pytest.raises(Refused):
            change_request_of({"shards": wrong}, VIEW, ())
