"""What the command makes of an explanation beyond what the stories show."""

from typing import Any

import pytest

from cluster.cli.explained import explained, with_names
from cluster.cli.explained_words import age_of, listed
from tests.explanations.site import Site

LACKED = {"node": "a1", "actor": "x.1", "have": 1, "need": 2, "held_by": ["a1"]}


@pytest.fixture
def document() -> dict[str, Any]:
    site = Site()
    site.put("a1", "green")
    return site.explain("b1")


def text_of(document: dict[str, Any]) -> str:
    return explained(document, Site.names)


def test_a_damaged_row_and_slots_that_arrive_are_told(document: dict[str, Any]) -> None:
    one, two = document["replicas"]
    one.update(damaged=True, versions=[])
    two.update(whole=False)
    text = text_of(document)
    assert "alice    damaged  -" in text
    assert "bob      in part  v1" in text
    assert "bob shows one value, v1.\n" in text
    assert "The row of the key at alice is damaged: its peers mend it." in text
    assert "bob answers reads with the help of others: its slots have not all arrived." in text


def test_versions_that_are_held_and_not_shown_are_named(document: dict[str, Any]) -> None:
    for replica, state in zip(document["replicas"], ("early", "expired"), strict=True):
        replica["versions"][0]["state"] = state
    text = text_of(document)
    assert "v1 (early)" in text
    assert "v1 (expired)" in text
    assert "Both owners show no value." in text


def test_a_node_that_leaves_is_marked(document: dict[str, Any]) -> None:
    document["replicas"][1]["owner"] = False
    document["owners"] = ["a1"]
    text = text_of(document)
    assert "bob (leaving)" in text
    assert "The owner shows one value, v1." in text


def test_one_lacking_write_of_this_key_is_told_with_its_age(document: dict[str, Any]) -> None:
    [version] = document["versions"]
    version.update(lacking_at=["a2"], written_at=document["at"] - 3)
    lack = {"node": "a1", "actor": version["actor"], "writes": 1}
    document["replicas"][1]["lacks"] = [lack]
    assert "bob lacks 1 write of alice, made 3.0 s ago." in text_of(document)
    version["lacking_at"] = []
    assert "bob lacks 1 write of alice, none of them to this key." in text_of(document)


def test_a_token_that_is_ahead_names_the_holders_or_the_view(document: dict[str, Any]) -> None:
    for replica in document["replicas"]:
        replica["covers_token"] = True
    ahead = document["replicas"][1]
    ahead.update(covers_token=False, missing=[LACKED])
    assert "The token is ahead of bob: it wants write 2 of alice, and alice has it." in text_of(
        document
    )
    ahead["missing"] = [{**LACKED, "node": "", "actor": "view.2", "held_by": []}]
    words = "The token is ahead of bob: it knows view 1, and the session has met view 2."
    assert words in text_of(document)


def test_requests_that_wait_are_told(document: dict[str, Any]) -> None:
    write = {"node": "b1", "kind": "write", "for_s": 1.5, "nodes": ["a1", "a2"], "missing": []}
    read = {"node": "b2", "kind": "read", "for_s": 0.2, "nodes": [], "missing": []}
    document["waiting"] = [write, {**write, "nodes": []}, read]
    text = text_of(document)
    assert "A write has waited at carol for 1.5 s: alice and bob have acknowledged it." in text
    assert "A write has waited at carol for 1.5 s: no replica has acknowledged it." in text
    assert "A read has waited at dave for 0.2 s for replicas to answer." in text


def test_a_key_that_is_an_address_keeps_its_name(document: dict[str, Any]) -> None:
    assert text_of({**document, "key": "a1"}).startswith("a1: slot ")


def test_a_node_that_was_never_heard_of_is_told_so(document: dict[str, Any]) -> None:
    document["replicas"][1] = {"node": "a2", "owner": True, "reached": False, "reason": "silent"}
    silence = {"node": "a2", "reason": "unreachable", "heard_s_ago": None}
    document["unreached"] = [silence]
    words = "bob cannot be reached from carol, which has not heard of it since it started"
    assert words in text_of(document)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"),
        (3.14, "3.1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (90_000, "1 d"),
    ],
)
def test_ages_have_the_unit_that_a_person_would_use(seconds: float, words: str) -> None:
    assert age_of(seconds) == words


def test_lists_of_words_read_as_english() -> None:
    assert [listed(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_the_longer_of_two_addresses_is_named_first() -> None:
    names = {"h:809": "short", "h:8090": "long"}
    assert with_names("write 1 of h:8090, 2 of h:809", names) == "write 1 of long, 2 of short"
