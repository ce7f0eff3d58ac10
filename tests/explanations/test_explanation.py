"""How the reports of several nodes are compared."""

from typing import Any

import pytest
from msgspec.structs import replace

from node.api.contract import Call
from node.api.native.explanation import explanation, lacking_of, state_at
from node.api.native.parameters import KeyRequest
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Past
from node.core.model.policies import Policy
from node.core.model.tags import tag_of
from node.core.model.token import Token
from node.core.model.view import ViewId
from node.core.protocol.inspection import (
    Explained,
    HeldVersion,
    KeyEvent,
    KeyReport,
    Lacking,
    Silence,
)
from tests.explanations.site import LIMITS, Site

A, B = "aaaaaa.1", "bbbbbb.1"
OLD, NEW, BESIDE = (A, 1), (A, 2), (B, 1)
AT_MS: dict[Dot, int] = {OLD: 1000, NEW: 2000, BESIDE: 1500}


def held(dot: Dot, state: str = "shown") -> HeldVersion:
    return HeldVersion(dot, (AT_MS[dot], 0, dot[0]), state, 3, "text/plain")


def report(*versions: HeldVersion, **upto: int) -> KeyReport:
    """A report of a holder with these versions, whose clock has so many writes of A and B."""
    clock = DotClock({{"a": A, "b": B}[name]: n for name, n in upto.items()})
    return KeyReport(holds=True, whole=True, versions=versions, clock=clock)


def compared(reports: dict[str, KeyReport], **more: Any) -> dict[str, Any]:
    facts = replace(Site().facts("a1"), node_of=lambda actor: {A: "a1", B: "a2"}.get(actor, ""))
    token: Token = more.pop("token", Token())
    silent: dict[str, Silence] = more.pop("silent", {})
    missing: dict[str, Lacking] = more.pop("missing", {})
    call = Call("GET", {"key": "pear"}, {}, {}, b"", lambda: facts, LIMITS)
    asked = KeyRequest(call, facts, Policy(""), "pear", 3, token, 1.0)
    return explanation(asked, facts, Explained(reports, silent, missing))


def test_a_version_is_held_replaced_or_lacking() -> None:
    said = compared({"a1": report(held(NEW), a=2), "a2": report(held(OLD), a=1)})
    new, old = said["versions"]
    assert (new["id"], old["id"]) == (tag_of((NEW,)), tag_of((OLD,)))
    assert (new["held_by"], new["lacking_at"], new["replaced_at"]) == (["a1"], ["a2"], [])
    assert (old["held_by"], old["lacking_at"], old["replaced_at"]) == (["a2"], [], ["a1"])
    assert (new["replaces"], old["replaces"]) == ([tag_of((OLD,))], [])
    states = {r["node"]: [each["state"] for each in r["versions"]] for r in said["replicas"]}
    assert states == {"a1": ["shown", "replaced"], "a2": ["lacking", "shown"]}
    assert said["replicas"][1]["lacks"] == [{"node": "a1", "actor": A, "writes": 1}]


def test_what_stands_beside_an_older_version_does_not_replace_it() -> None:
    both = report(held(OLD), held(BESIDE), a=1, b=1)
    said = compared({"a1": both, "a2": report(held(OLD), a=1)})
    assert [each["replaces"] for each in said["versions"]] == [[], []]


def test_a_version_that_only_the_past_of_the_key_names_is_replaced() -> None:
    seen = KeyReport(holds=True, past=Past({}, {OLD}))
    assert state_at(seen, OLD) == "replaced"
    assert state_at(seen, NEW) == "lacking"


def test_a_damaged_replica_says_nothing_of_versions() -> None:
    damaged = KeyReport(holds=True, damaged=True, clock=DotClock({A: 2}))
    said = compared({"a1": report(held(NEW), a=2), "a2": damaged})
    assert said["replicas"][1]["versions"] == []
    [version] = said["versions"]
    assert (version["held_by"], version["replaced_at"], version["lacking_at"]) == (["a1"], [], [])


def test_a_node_that_owns_the_slot_no_more_is_a_replica_as_long_as_it_holds_it() -> None:
    said = compared({"a1": report(held(OLD), a=1), "b1": report(held(OLD), a=1)})
    assert [(each["node"], each["owner"]) for each in said["replicas"]] == [
        ("a1", True),
        ("a2", True),
        ("b1", False),
    ]
    gone = said["replicas"][1]
    assert (gone["reached"], gone["reason"], gone["heard_s_ago"]) == (False, "unreachable", None)


def test_a_token_is_covered_or_what_it_wants_is_named_with_its_holders() -> None:
    reports = {"a1": report(held(NEW), a=2), "a2": report(held(OLD), a=1)}
    token = Token({}, {NEW: 0})
    said = compared(reports, token=token, missing={"a1": {}, "a2": {A: (1, 2)}})
    one, two = said["replicas"]
    assert (one["covers_token"], one["missing"]) == (True, [])
    assert two["covers_token"] is False
    assert two["missing"] == [{"node": "a1", "actor": A, "have": 1, "need": 2, "held_by": ["a1"]}]
    assert not any("covers_token" in each for each in compared(reports)["replicas"])


def test_the_last_twenty_events_of_all_nodes_come_in_their_order() -> None:
    events = tuple(KeyEvent(n, "stored", "a2") for n in range(0, 40, 2))
    others = tuple(KeyEvent(n, "named", "a1") for n in range(1, 41, 2))
    said = compared({"a1": KeyReport(events=events), "b1": KeyReport(events=others)})
    assert [each["at"] for each in said["events"]] == [n / 1000 for n in range(20, 40)]
    assert {each["node"] for each in said["events"]} == {"a1", "b1"}


@pytest.mark.parametrize(
    ("here", "lacking"),
    [
        (DotClock(), 5),
        (DotClock({A: 3}), 2),
        (DotClock({A: 4}), 1),
        (DotClock({A: 1}, {A: {3, 4}}), 2),
        (DotClock({A: 1}, {A: {3, 6}}), 2),
        (DotClock({A: 6}), 0),
        (DotClock(oldest_view=ViewId(2)), 0),
    ],
)
def test_writes_are_counted_that_one_clock_has_and_another_lacks(
    here: DotClock, lacking: int
) -> None:
    there = DotClock({A: 4}, {A: {6}})
    assert lacking_of(there, here, A) == lacking
    assert lacking_of(there, here, B) == 0
