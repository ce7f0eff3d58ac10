"""Watches in a scripted world, and over HTTP against listeners that break off."""

import json
from contextlib import suppress
from typing import Any

import pytest

from coterie import BadRequest, Change, Patience, Reset, Unavailable, Unexpected
from coterie.watching import Event, Events, Progress, watch
from tests.client.bad_nodes import telling
from tests.client.conftest import Connect
from tests.client.conversing import LOST, REFUSED, Parts, Script, header, problem

HEAD = (("content-type", "text/event-stream"), ("kv-token", "t1"), ("kv-served-by", "a:1"))
MILK = {"id": "i1", "content_type": "application/json", "value": ["milk"], "meta": {}}
SEEN = {"written_at": 5.0, "expires_at": None, "node": "a:1"}
TIMEOUT_S = 20.0


def event(kind: str, number: str, **said: Any) -> bytes:
    return f"event: {kind}\nid: {number}\ndata: {json.dumps(said)}\n\n".encode()


def change(key: str, number: str, token: str = "t2", **more: Any) -> bytes:
    return event("change", number, key=key, etag='"i1"', token=token, **{**MILK, **SEEN, **more})


def told(*parts: Any) -> Parts:
    return Parts(parts, headers=HEAD)


def given(script: Script, last_id: str = "") -> list[Change]:
    """Return the changes that a watch gives until no node goes on with it."""
    return [
        change for change, _ in each_given(script, Progress("carts/", None, last_id, TIMEOUT_S))
    ]


def each_given(script: Script, progress: Progress) -> list[tuple[Change, tuple[str, ...]]]:
    """Return the changes, and on which tokens the session depends when it is given one."""
    core = script.core()
    items, found = script.give(watch(core, progress)), []
    with suppress(Unavailable):
        assert next(items) is None
        for change in items:
            assert change is not None
            found.append((change, core.seen.tokens()))
    assert core.world.clock() > 119.0
    return found


# ------------------------------------------------------------------ event streams
def test_an_event_stream_is_cut_into_events() -> None:
    text = (
        b": a comment\n\nid: 1\n\nevent: change\r\nid:2\r\ndata: a\r\ndata:  b\r\n\r\n"
        b"data: c\nretry: 5\nunknown\n\nevent: change\n\nevent: delete\ndata"
    )
    for size in (1, 7, len(text)):
        events = Events()
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        assert [each for part in parts for each in events.take(part)] == [
            Event("", "", "1"),
            Event("change", "a\n b", "2"),
            Event("message", "c", ""),
        ]


# ------------------------------------------------------------------ a scripted world
def test_a_watch_gives_what_each_key_shows() -> None:
    large = {**MILK, **SEEN, "size": 5000, "id": "i2"}
    del large["value"]
    both = event(
        "change", "n2", key="b", etag='"e"', token="t3", siblings=[{**MILK, **SEEN}, large]
    )
    gone = event("delete", "n3", key="c", token="t4")
    raw = change("d", "n4", value_base64="AP8=", content_type="a/b")
    fast = event("change", "n5", key="e", token="t5", overwritten=True)
    said = Script([told(change("a", "n1") + both, gone, raw, fast), *[REFUSED] * 200])
    [a, b, c, d, e] = given(said)
    assert (a.kind, a.key, a.value, a.etag, a.id, a.token) == (
        "change",
        "a",
        ["milk"],
        '"i1"',
        "n1",
        "t2",
    )
    assert (b.value, [each.size for each in b.shown], b.shown[1].value) == (
        None,
        [None, 5000],
        None,
    )
    assert (c.kind, c.shown, c.value, c.etag) == ("delete", (), None, "")
    assert d.value == b"\x00\xff"
    assert [each.overwritten for each in (a, e)] == [False, True]
    assert (e.kind, e.shown, e.value) == ("change", (), None)


def test_a_watch_that_breaks_off_goes_on_at_another_node_from_where_it_was() -> None:
    said = Script(
        [
            told(b"id: n0\n\n", change("a", "n1"), b"event: change\nid: n9\ndata: {", LOST),
            REFUSED,
            told(change("b", "n2"), b": \n\n", b"id: n3\n\n"),
            *[LOST] * 200,
        ]
    )
    assert [each.key for each in given(said)] == ["a", "b"]
    assert said.asked[:4] == ["a", "b", "c", said.asked[3]]
    ids = [header(send, "Last-Event-ID") for send in said.sent]
    assert ids[:4] == [[], ["n1"], ["n1"], ["n3"]]
    assert ["prefix=carts%2F" in send.url for send in said.sent[:3]] == [True] * 3


def test_a_program_says_where_a_watch_goes_on() -> None:
    said = Script([told(change("a", "n6")), *[REFUSED] * 200])
    assert len(given(said, last_id="n5")) == 1
    assert header(said.sent[0], "Last-Event-ID") == ["n5"]


def test_a_session_depends_on_the_last_change_that_was_given() -> None:
    said = Script([told(change("a", "n1", "t2"), change("a", "n2", "t3")), *[REFUSED] * 200])
    given = each_given(said, Progress("", "a", "", TIMEOUT_S))
    assert [tokens for _, tokens in given] == [("t1", "t2"), ("t1", "t3")]
    assert "key=a" in said.sent[0].url


def test_changes_that_nodes_cannot_tell_of_raise() -> None:
    lost = event("reset", "n7", reason="it was too much", token="t9")
    said = Script([told(change("a", "n1"), lost, change("b", "n8"))])
    core, progress = said.core(), Progress("", None, "", TIMEOUT_S)
    items = said.give(watch(core, progress))
    assert [next(items) is None for _ in range(2)] == [True, False]
    with pytest.raises(Reset, match="it was too much; read the keys again") as raised:
        next(items)
    assert (raised.value.last_id, progress.last_id, core.seen.tokens()) == (
        "n7",
        "n7",
        ("t1", "t9"),
    )


def test_a_node_that_takes_no_more_watches_is_passed_over() -> None:
    said = Script([problem(503, "unavailable"), told(change("a", "n1")), *[REFUSED] * 200])
    assert [each.key for each in given(said)] == ["a"]
    with pytest.raises(BadRequest, match="it is malformed"):
        given(Script([problem(400, "malformed")]))


def test_a_node_that_ends_each_watch_at_once_is_asked_after_longer_and_longer_pauses() -> None:
    said = Script([told(b"id: n1\n\n")] * 300)
    assert given(said) == []
    assert 10 < len(said.sent) < 100
    assert sum(said.pauses[-6:]) > 3 * sum(said.pauses[:6])


@pytest.mark.parametrize(
    "text",
    [
        event("change", "n1", key="a"),
        event("change", "n1", token="t"),
        b"event: delete\ndata: []\n\n",
        b"event: change\ndata: {\n\n",
    ],
)
def test_what_is_no_change_is_told_so(text: bytes) -> None:
    with pytest.raises(Unexpected):
        given(Script([told(text)]))
    with pytest.raises(Unexpected, match="its type is 'text/html'"):
        given(Script([Parts((text,), headers=(("content-type", "text/html"),))]))


# ------------------------------------------------------------------ over HTTP
def http(*parts: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nKv-Token: t1\r\n"
    return head + b"Connection: close\r\n\r\n" + b"".join(parts)


def test_both_kinds_go_on_at_another_node(connect: Connect) -> None:
    """Both nodes break off their first connection."""
    first, second = http(change("a", "n1"), b"event: cha"), http(change("b", "n2"))
    with telling(first, second) as one, telling(first, second) as other:
        with connect([one.url, other.url, "http://127.0.0.1:1"]) as kv, kv.watch("c") as changes:
            assert [next(changes).key for _ in range(3)] == ["a", "a", "b"]
            assert changes.last_id == "n2"
        asked = [*one.asked, *other.asked]
    assert sorted("Last-Event-ID: n1" in head for head in asked) == [False, True, True]


def test_a_node_that_falls_silent_is_left(connect: Connect) -> None:
    text, patience = http(change("a", "n1")), Patience(silence_s=0.2)
    with telling(text) as one, telling(text) as other:
        with connect([one.url, other.url], patience=patience) as kv, kv.watch() as changes:
            assert [next(changes).key for _ in range(2)] == ["a", "a"]
        asked = [*one.asked, *other.asked]
    assert sorted("Last-Event-ID: n1" in head for head in asked) == [False, True]


def test_a_watch_that_no_node_takes(connect: Connect) -> None:
    with connect(["http://127.0.0.1:1"]) as kv:
        with pytest.raises(Unavailable, match="no node answered in time"):
            next(kv.watch(timeout=0.2))
        with pytest.raises(ValueError, match="not of both"):
            kv.watch("a", key="b")
