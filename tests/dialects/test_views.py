"""/v1/view: its exchanges go as written; a node's memory of plans is bounded; events of a job."""

from typing import Any

import orjson
import pytest

from node.api.admin.view_jobs import (
    HEARTBEAT_POLLS,
    JOBS_MAX,
    PLANS_MAX,
    Desk,
    Watcher,
    phase_of,
    views,
)
from node.api.admin.view_plans import ChangeRequest, plan_of
from node.api.contract import Ask, Call, Events, Facts, Reaction, Refused, Reply
from node.core.model.keys import SLOTS
from node.core.model.placement import first_view
from node.core.protocol.operations import Adopted, Forgotten
from tests.dialects.answering import answering
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import CHANGES, NEXT, NODES, STRANGER, facts_at, movement
from tests.web import served


def test_goes_as_written() -> None:
    path = HERE / "views.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "views.txt").read_text()
    for route in views().routes:
        assert f"\n{route.method} {route.pattern}" in text


async def test_a_real_node_tells_what_these_tests_make_up() -> None:
    async with served(views()) as site:
        told = orjson.loads((await site.ask("GET", "/v1/view")).body)
        made_up = movement(NEXT, "moving")
        assert told.keys() == made_up.keys()
        assert told["view"].keys() == made_up["view"].keys()
        assert {frozenset(node) for node in told["nodes"].values()} == {
            frozenset(node) for node in made_up["nodes"].values()
        }
        job = orjson.loads((await site.ask("GET", "/v1/view/job")).body)
        assert job["phase"] == "done"


async def test_a_real_node_streams_its_job() -> None:
    async with served(views()) as site:
        wire = await site.wire()
        wire.send(b"GET /v1/view/events HTTP/1.1\r\nHost: node\r\n\r\n")
        text = await wire.reader.readuntil(b"0\r\n\r\n")
        assert text.count(b"event: done\n") == 1


# ------------------------------------------------------------------ what is remembered


def asked(desk: Desk, method: str, body: object, query: str = "", **facts: str) -> Reaction:
    words = {"plan": query} if query else {}
    known = facts_at(NODES[0], **facts)
    call = Call(method, {}, words, {}, orjson.dumps(body), lambda: known, LIMITS)
    return answering(desk.plan_or_commit, views().reword)(call)


def planned(desk: Desk, wanted: dict[str, Any]) -> str:
    said = asked(desk, "POST", wanted, "true")
    assert isinstance(said, Reply)
    return str(orjson.loads(said.body)["plan"])


def test_plans_are_remembered_up_to_a_number() -> None:
    desk = Desk()
    first, second = planned(desk, {"shards": 1}), planned(desk, {"shards": 2})
    for host in range(PLANS_MAX - 2):
        planned(desk, {"add": [f"10.10.1.{host}:8090"]})
    assert planned(desk, {"shards": 1}) == first  # the same plan has the same name, and is new
    planned(desk, {"add": [STRANGER]})
    assert isinstance(asked(desk, "POST", {"plan": first}), Ask)
    forgotten = asked(desk, "POST", {"plan": second})
    assert isinstance(forgotten, Reply)
    assert forgotten.status == 404
    assert len(desk.plans) == PLANS_MAX


def test_sizes_of_jobs_are_remembered_up_to_a_number() -> None:
    desk = Desk()
    for number in range(JOBS_MAX + 3):
        facts = facts_at(NODES[0])
        shown = {**facts.movement(), "view": {"id": str(number)}}
        desk._begun(facts, shown)
    assert len(desk.jobs) == JOBS_MAX


def test_a_plan_is_forced_in_one_of_two_places() -> None:
    desk = Desk()
    name = planned(desk, {"shards": 1, "force": True})
    assert isinstance(asked(desk, "POST", {"plan": name}, change="moving"), Ask)
    name = planned(desk, {"shards": 1})
    assert isinstance(asked(desk, "POST", {"plan": name}, change="moving"), Reply)
    forced = asked(desk, "POST", {"plan": name, "force": True}, change="moving")
    assert isinstance(forced, Ask)


def test_a_change_that_gives_up_what_another_one_waits_for_is_taken_while_that_is_under_way() -> (
    None
):
    desk = Desk()
    name = planned(desk, {"lost": [NODES[4]], "shards": 2})
    assert isinstance(asked(desk, "POST", {"plan": name}, change="moving"), Ask)


def test_an_answer_to_no_proposal_is_a_bug() -> None:
    desk = Desk()
    said = asked(desk, "POST", {"plan": planned(desk, {"shards": 1})})
    assert isinstance(said, Ask)
    with pytest.raises(AssertionError, match="Forgotten"):
        said.say(Forgotten())
    assert said.say(Adopted(NEXT)).status == 202


# ------------------------------------------------------------------ plans


def plan(shards: int, nodes: tuple[str, ...] = tuple(NODES), **facts: str) -> dict[str, Any]:
    known = facts_at(NODES[0], **facts)
    return plan_of(known, ChangeRequest(nodes, shards, (), False)).document


@pytest.mark.parametrize("before", range(1, 9))
@pytest.mark.parametrize("after", range(1, 9))
def test_no_plan_moves_more_than_the_fewest_slots(before: int, after: int) -> None:
    nodes = tuple(f"n{i}:1" for i in range(8))
    facts = Facts(nodes[0], first_view(nodes, before), lambda: nodes)
    moves = plan_of(facts, ChangeRequest(nodes, after, (), True)).document["moves"]
    assert moves["slots"] == moves["ideal_slots"]
    least = abs(SLOTS * (after - before)) // max(before, after)
    assert abs(moves["slots"] - least) <= 1


def test_what_is_copied_is_what_new_members_own() -> None:
    moves = plan(1)["moves"]
    assert moves["copied_slots"] == 2 * SLOTS // 2 + 3 * SLOTS // 2  # each side gets the other's


def test_keys_are_counted_here_and_estimated_elsewhere() -> None:
    loads = facts_at(NODES[0]).slot_loads()
    held = sum(keys for slot, (keys, _) in loads.items() if slot < SLOTS // 2)
    moves = plan(1)["moves"]  # all of s2, by the density of s1
    assert (moves["keys"], moves["bytes"]) == (held, 100 * held)


def test_a_dead_shard_is_warned_of() -> None:
    facts = facts_at(NODES[0])
    shown = Facts(facts.address, facts.view, lambda: tuple(NODES[:2]))
    warnings = plan_of(shown, ChangeRequest(tuple(NODES), 2, (), False)).document["warnings"]
    assert "no member of shard s2 is up now: its keys move when one comes back" in warnings


def test_a_change_that_cannot_be_met_says_why() -> None:
    facts = facts_at(NODES[0])
    with pytest.raises(Refused, match="5 nodes make between 1 and 5 shards"):
        plan_of(facts, ChangeRequest(tuple(NODES), 6, (), False))
    with pytest.raises(Refused, match="every holder of shard s2"):
        plan_of(facts, ChangeRequest(tuple(NODES[:2]), 1, (), False))


# ------------------------------------------------------------------ the job


def test_phases_follow_each_other() -> None:
    phases = [phase_of(movement(NEXT, change)) for change in CHANGES]
    assert phases == ["adopting", "moving", "retiring", "done"]


def test_a_watcher_hears_of_changes_and_of_nothing_else() -> None:
    jobs = [{"phase": "moving", "n": 1}] * 2 + [{"phase": "moving", "n": 2}, {"phase": "done"}]
    given = iter(jobs)
    watcher = Watcher(lambda: next(given))
    said = [watcher.poll() for _ in range(5)]
    assert said == [
        b'id: 1\nevent: progress\ndata: {"phase":"moving","n":1}\n\n',
        b"",
        b'id: 2\nevent: progress\ndata: {"phase":"moving","n":2}\n\n',
        b'id: 3\nevent: done\ndata: {"phase":"done"}\n\n',
        None,
    ]


def test_a_watcher_gives_a_sign_of_life() -> None:
    watcher = Watcher(lambda: {"phase": "moving"})
    said = [watcher.poll() for _ in range(2 * HEARTBEAT_POLLS)]
    assert [text for text in said[1:] if text] == [b": still here\n\n"] * 2


def test_the_events_of_a_job_are_of_the_node_that_is_asked() -> None:
    facts = facts_at(NODES[0], view="next", change="reporting")
    said = Desk().events(Call("GET", {}, {}, {}, b"", lambda: facts, LIMITS))
    assert isinstance(said, Events)
    first = said.poll()
    assert first is not None
    assert b'"phase":"retiring"' in first
