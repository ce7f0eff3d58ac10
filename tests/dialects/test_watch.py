"""What a watch shows, in which order, and how its ids and events read."""

import orjson
import pytest
from msgspec.structs import replace
from multidict import CIMultiDict, MultiDict

from node.api.contract import Call, Facts, Feed, Reply
from node.api.native.watch import watches
from node.api.native.watch_events import event_of, id_alone, reset_event
from node.api.native.watch_order import Backlog, Shown
from node.api.native.watch_position import Clocks, Position, position_of, position_text
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.labels import Labels
from node.core.model.policies import Policy
from node.core.model.slots import ALL
from node.core.model.token import Malformed
from node.core.model.view import ViewId
from node.core.protocol.watching import (
    Cause,
    KeyChange,
)
from tests.dialects.answering import handlers_of
from tests.dialects.nodes import NODES, facts_at
from tests.dialects.watched import EVERYTHING, LIMITS, A, B, after, plain, version
from tests.simulation.watching import Event, read_events

WATCH = handlers_of(watches())["GET", "/v1/watch"]
LEFT, RIGHT = (1 << 2048) - 1, ALL ^ ((1 << 2048) - 1)


def change(dot: Dot, key: str, at: int, *causes: Cause) -> KeyChange:
    return KeyChange(dot, key, version(at), causes)


def added(backlog: Backlog, number: int, *changes: KeyChange) -> None:
    items = {
        each.key: Item({each.dot: each.version} if each.version else {}, Past({each.dot[0]: 9}))
        for each in changes
    }
    backlog.add(changes, items, {}, number)


def shown(backlog: Backlog, number: int, clocks: Clocks = EVERYTHING) -> list[str]:
    return [each.change.key for each in backlog.ready(clocks, number)]


# ------------------------------------------------------------------ order
def test_the_album_waits_for_the_photo_that_comes_in_the_next_round() -> None:
    """The example of the module."""
    backlog = Backlog()
    added(backlog, 1, change((B, 1), "album", 20))
    assert shown(backlog, 1) == []
    added(backlog, 2, change((A, 1), "photo", 10))
    assert shown(backlog, 2) == []
    assert shown(backlog, 3) == ["photo", "album"]
    assert (len(backlog), backlog.bytes, backlog.dots) == (0, 0, [])


def test_what_comes_two_rounds_later_is_no_unnamed_cause() -> None:
    backlog = Backlog()
    added(backlog, 1, change((B, 1), "album", 20))
    added(backlog, 3, change((A, 1), "other", 10))
    assert shown(backlog, 3) == ["album"]
    assert shown(backlog, 4) == ["other"]


@pytest.mark.parametrize("is_floor", [False, True])
def test_a_change_waits_for_a_cause_that_it_names(is_floor: bool) -> None:
    backlog = Backlog()
    added(backlog, 1, change((B, 1), "album", 20, after(A, 3, is_floor=is_floor)))
    added(backlog, 1, change((B, 2), "reader", 30, after(B, 1)))
    added(backlog, 1, change((B, 3), "other", 25))
    known = Clocks([(ALL, DotClock({A: 2, B: 9}))])
    assert shown(backlog, 3, known) == ["other"]  # it does not wait for what waits for a cause
    added(backlog, 4, change((A, 3), "photo", 10))
    assert shown(backlog, 4) == []
    assert shown(backlog, 5) == ["photo", "album", "reader"]


def test_a_cause_in_slots_that_it_does_not_concern_is_not_waited_for() -> None:
    clocks = Clocks([(LEFT, DotClock({A: 3})), (RIGHT, DotClock({B: 3}))])
    assert clocks.covers(Cause(A, 3, LEFT, is_floor=True))
    assert not clocks.covers(Cause(A, 3, ALL, is_floor=True))
    retired = DotClock({}, {}, ViewId(2, "x"))
    assert Clocks([(ALL, retired)]).covers(Cause(A, 3, ALL))


def test_an_overwritten_cause_is_announced_just_before_its_effect() -> None:
    backlog = Backlog()
    latest = Item({(A, 2): version(30)}, Past({A: 9}))
    changes = [
        KeyChange((A, 1), "photo", None),
        KeyChange((A, 2), "photo", version(30)),
        change((B, 1), "album", 20, after(A, 1)),
    ]
    backlog.add(changes, {"photo": latest, "album": Item()}, {}, 1)
    assert (A, 1) in backlog.dots
    found = list(backlog.ready(EVERYTHING, 2))
    assert [(each.change.key, each.is_overwritten) for each in found] == [
        ("photo", True),
        ("album", False),
        ("photo", False),
    ]


def test_an_overwritten_write_that_is_no_cause_is_not_announced() -> None:
    backlog = Backlog()
    changes = [KeyChange((A, 1), "k", None), KeyChange((A, 2), "k", version(30))]
    backlog.add(changes, {"k": Item({(A, 2): version(30)})}, {}, 1)
    assert [each.change.dot for each in backlog.ready(EVERYTHING, 2)] == [(A, 2)]
    assert len(backlog.dots) == 0


def test_an_event_shows_what_is_shown_of_its_key_by_then() -> None:
    backlog = Backlog()
    item = Item({(A, 1): version(10), (B, 1): version(20)}, Past({A: 1, B: 1}))
    one = KeyChange((A, 1), "k", version(10))
    two = KeyChange((B, 1), "k", version(20), (after(A, 5),))
    backlog.add([one, two, one], {"k": item}, {(A, 1): 5000}, 1)
    few = Clocks([(ALL, DotClock({A: 4}))])
    (first,) = backlog.ready(few, 2)
    assert (set(first.item.versions), first.sizes) == ({(A, 1)}, {(A, 1): 5000})
    (second,) = backlog.ready(EVERYTHING, 2)
    assert set(second.item.versions) == {(A, 1), (B, 1)}


def test_a_replaced_value_is_shown_without_what_replaced_it() -> None:
    backlog = Backlog()
    item = Item({(A, 2): version(20)}, Past({A: 2}))
    changes = [KeyChange((A, 1), "k", version(10)), KeyChange((A, 2), "k", version(20))]
    backlog.add(changes, {"k": item}, {}, 1)
    assert [set(each.item.versions) for each in backlog.ready(EVERYTHING, 2)] == [
        {(A, 1)},
        {(A, 2)},
    ]


# ------------------------------------------------------------------ positions
def test_a_position_comes_back_as_it_was() -> None:
    clocks = Clocks(
        [(LEFT, DotClock({A: 3}, {B: {5, 7}})), (RIGHT, DotClock({}, {}, ViewId(2, "x")))]
    )
    back = position_of(position_text(Position(clocks, "aaaaaa", 7.25), plain))
    assert (back.clocks.groups, back.cluster, back.at) == (clocks.groups, "aaaaaa", 7.25)


def test_what_is_no_position_is_malformed() -> None:
    text = position_text(Position(EVERYTHING, "aaaaaa", 1.0), plain)
    for wrong in ("garbage", "ä", text[:-4], f"A{text[1:]}", "x" * 7000):
        with pytest.raises(Malformed):
            position_of(wrong)
    twice = Clocks([(LEFT, DotClock({A: 1})), (ALL, DotClock({A: 2}))])
    with pytest.raises(Malformed):
        position_of(position_text(Position(twice, "aaaaaa", 1.0), plain))
    nameless = Clocks([(ALL, DotClock({"no actor": 1}))])
    with pytest.raises(Malformed):
        position_of(position_text(Position(nameless, "aaaaaa", 1.0), plain))


def test_a_position_that_is_too_long_is_not_given_out() -> None:
    many = {f"{n:06x}{n * 7919:06x}.{n}": n for n in range(1, 2000)}
    assert position_text(Position(Clocks([(ALL, DotClock(many))]), "aaaaaa", 1.0), plain) == ""
    assert id_alone("") == b": \n\n"


def test_clocks_are_cut_and_joined() -> None:
    clocks = Clocks([(ALL, DotClock({A: 1}))])
    clocks.join(LEFT, DotClock({B: 1}))
    assert clocks.groups == [(RIGHT, DotClock({A: 1})), (LEFT, DotClock({A: 1, B: 1}))]
    clocks.replace(LEFT, [(ALL, DotClock({A: 1}))])
    assert clocks.groups == [(ALL, DotClock({A: 1}))]
    clocks.replace(LEFT, [(1, DotClock({A: 2}))])
    assert clocks.within(3) == [(1, DotClock({A: 2})), (2, None)]
    assert Clocks([(ALL, DotClock({A: 3}))]).without([(A, 2)]).groups == [
        (ALL, DotClock({A: 1}, {A: {3}}))
    ]
    heads = Clocks([(ALL, DotClock({"aaaaaa:12345678.1": 2, A: 1}))])
    assert heads.without_heads().groups == [(ALL, DotClock({A: 1}))]
    assert clocks.token.floor == {A: 2}


# ------------------------------------------------------------------ events
def event(
    versions: dict[Dot, Version], written: Version | None, at: Facts | None = None, **sizes: int
) -> Event:
    told = Shown(KeyChange((A, 1), "k", written), Item(versions), {(A, 1): sizes.get("size", 0)})
    ((found,), _) = read_events(event_of(told, "7", at or facts_at(NODES[0])))
    return found


def test_kinds_of_events() -> None:
    one = version(1000, b"text", labels=Labels("text/plain"))
    assert event({(A, 1): one}, one).said["value"] == "text"
    assert event({(A, 1): one}, one, size=5000).said["size"] == 5000
    raw = version(1000, b"\xff", labels=Labels("image/png"), expires=2**52)
    assert event({(A, 1): raw}, raw).said["value_base64"] == "/w=="
    both = event({(A, 1): one, (B, 1): raw}, one)
    assert (both.kind, len(both.said["siblings"])) == ("change", 2)
    gone = version(2000, None)
    assert event({(A, 1): gone}, gone).kind == event({}, None).kind == "delete"
    over = version(2000, None, expires=5)
    assert event({(A, 1): over}, over).kind == "expire"
    assert event({(A, 1): replace(one, expires=5)}, replace(one, expires=5)).kind == "expire"
    assert "etag" not in event({(A, 1): gone}, gone).said


def test_under_lww_an_event_shows_one_value() -> None:
    known = facts_at(NODES[0])
    at = replace(known, view=replace(known.view, policies=(Policy("", merge="lww"),)))
    versions = {(A, 1): version(1000, b"1"), (B, 1): version(2000, b"2")}
    assert event(versions, versions[A, 1], at).said["value"] == 2


def test_a_reset_says_why() -> None:
    ((found,), last) = read_events(reset_event("8", "why", "token"))
    assert (found.kind, found.said, last) == ("reset", {"reason": "why", "token": "token"}, "8")


# ------------------------------------------------------------------ the route
def asked(query: dict[str, str], **headers: str) -> Reply | Feed:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    call = Call(
        "GET", {}, MultiDict(query), CIMultiDict(named), b"", lambda: facts_at(NODES[0]), LIMITS
    )
    said = WATCH(call)
    assert isinstance(said, Reply | Feed)
    return said


@pytest.mark.parametrize(
    ("query", "headers", "words"),
    [
        ({"prefix": "a", "key": "b"}, {}, "not of both"),
        ({"key": ""}, {}, "the key is empty"),
        ({"other": ""}, {}, "there is no parameter"),
        ({}, {"Last_Event_ID": "garbage"}, "Last-Event-ID is malformed"),
        ({}, {"Kv_Token": "garbage"}, "Kv-Token is malformed"),
    ],
)
def test_what_is_malformed_is_refused(
    query: dict[str, str], headers: dict[str, str], words: str
) -> None:
    said = asked(query, **headers)
    assert isinstance(said, Reply)
    assert (said.status, words in orjson.loads(said.body)["detail"]) == (400, True)
