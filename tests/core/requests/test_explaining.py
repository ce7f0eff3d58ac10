"""What one node says of a key, and how long it waits for what the others say."""

import msgspec
import pytest

from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of, slot_of_key
from node.core.model.labels import Labels
from node.core.model.options import Options
from node.core.model.token import Token
from node.core.protocol import events, messages as m
from node.core.protocol.hints import Hint
from node.core.protocol.inspection import (
    Explain,
    Explained,
    HeldVersion,
    Inspect,
    Inspected,
    KeyReport,
    Recognize,
    Recognized,
)
from node.core.protocol.operations import Get, Put, Rejected, Unavailable
from node.core.requests.key_events import EVENTS_SHOWN
from tests.core.damage import damage
from tests.core.one import FIG, NOW, PEAR, One

OTHERS = {"a2", "b1", "b2"}


@pytest.fixture
def one() -> One:
    one = One()
    one.arrive()
    return one


def merge(one: One, item: Item, key: str = PEAR, source: str = "a2") -> None:
    """Let a home tell this node an item."""
    for dot in item.versions:
        one.step(source, m.Replicate(9, source, key, item, dot))


def report_of(one: One, key: str = PEAR, now: float = NOW) -> KeyReport:
    """Ask the node as another one does."""
    effects = one.step("a2", Inspect(3, key), now)
    [(peer, told)] = [tell for tell in effects.tells if isinstance(tell[1], Inspected)]
    assert isinstance(told, Inspected)
    assert (peer, told.request, effects.asks) == ("a2", 3, [])
    return told.report


def states(report: KeyReport) -> dict[tuple[str, int], str]:
    return {each.dot: each.state for each in report.versions}


def item_of(**versions: Version) -> Item:
    """An item with these versions, the first writes of actors that are named by one letter."""
    return Item({(f"{name * 6}.1", 1): version for name, version in versions.items()})


def dot(name: str) -> tuple[str, int]:
    return f"{name * 6}.1", 1


# ------------------------------------------------------------------ reports
def test_a_report_has_sizes_and_types_and_no_values(one: One) -> None:
    text = Version(b"Ann", timestamp=(2, 0, "x"), labels=Labels("text/plain", {}), expires=2**60)
    merge(one, item_of(x=text, y=Version(b"{}", timestamp=(1, 0, "y"))))
    report = report_of(one)
    assert report.versions == (
        HeldVersion(dot("x"), (2, 0, "x"), "shown", 3, "text/plain", 2**60),
        HeldVersion(dot("y"), (1, 0, "y"), "shown", 2, "application/json"),
    )
    assert (report.holds, report.whole, report.damaged) == (True, True, False)
    assert all(report.clock.has(dot(name)) and report.past.has(dot(name)) for name in "xy")


def test_a_node_of_another_shard_holds_nothing(one: One) -> None:
    report = report_of(one, FIG)
    assert (report.holds, report.whole, report.versions) == (False, False, ())


def test_versions_that_readers_are_not_shown_say_why(one: One) -> None:
    hidden = Version(b"1", timestamp=(1, 0, "x"), lww=True)
    mark = Version(None, timestamp=(2, 0, "y"), lww=True)
    over = Version(b"2", timestamp=(3, 0, "z"), expires=int(NOW * 1000))
    merge(one, item_of(x=hidden, y=mark, z=over))
    assert states(report_of(one)) == {dot("x"): "hidden", dot("y"): "delete", dot("z"): "expired"}
    assert [each.content_type for each in report_of(one).versions] == [
        "application/json",
        "",
        "application/json",
    ]


def test_a_write_that_was_sent_twice_is_one_of_its_versions(one: One) -> None:
    first = Version(b"1", timestamp=(1, 0, "x"), identity="name.1")
    again = Version(b"1", timestamp=(2, 0, "y"), identity="name.1")
    merge(one, item_of(x=first, y=again))
    assert states(report_of(one)) == {dot("x"): "shown", dot("y"): "repeated"}


def test_a_version_before_its_past_is_early() -> None:
    one = One(options=Options(hold_s=1.0))
    one.arrive()
    other = next(
        key for key in map(str, range(99)) if one.replica.keyspace.parts.at(slot_of_key(key))
    )
    deps = Token({}, {("zzzzzz.1", 1): key_hash_of(other, True)})
    merge(one, item_of(x=Version(b"1", deps=deps, timestamp=(1, 0, "x"))))
    assert states(report_of(one)) == {dot("x"): "early"}


def test_a_damaged_row_is_told_and_nothing_of_it(one: One) -> None:
    merge(one, item_of(x=Version(b"1")))
    damage(one)
    report = report_of(one)
    assert (report.damaged, report.versions, report.past) == (True, (), Past())


def test_hints_of_the_key_are_reported_and_no_others(one: One) -> None:
    view = one.replica.view
    keys = [f"k{n}" for n in range(3000)]
    slot = key_hash_of(FIG, False) >> 24
    beside = next(k for k in keys if key_hash_of(k, False) >> 24 == slot)
    assert view.shard_of(slot).id == "s2"
    for name, key in (("x", FIG), ("y", beside)):
        actor_dot = dot(name)
        one.step("b1", Hint(5, "b1", "b2", key, item_of(**{name: Version(b"1")}), actor_dot))
    [hint] = report_of(one, FIG).hints
    assert (hint.target, hint.dot, hint.at_ms) == ("b2", dot("x"), NOW * 1000)
    assert [each.what for each in report_of(one, FIG).events] == ["kept"]


def test_reads_and_writes_that_wait_are_reported(one: One) -> None:
    ahead = Token({}, {(one.replica.keyspace.actor, 1): key_hash_of(PEAR, True)})
    one.submit(Put(PEAR, b"1", level="all"), request=20)
    one.step("a1", m.Ack(20, (one.replica.keyspace.actor, 1)))
    later = Token({}, {("zzzzzz.1", 1): key_hash_of(PEAR, True)}, name=one.replica.keyspace.name)
    one.submit(Get(PEAR, token=later, wait_s=9.0), request=21)
    one.submit(Get(FIG, token=ahead, wait_s=9.0), request=22)
    write, read = report_of(one, now=NOW + 2).waiting
    assert (write.kind, write.for_s, write.nodes, write.missing) == ("write", 2.0, ("a1",), {})
    assert (read.kind, read.nodes, read.missing) == ("read", ("a1",), {"zzzzzz.1": (0, 1)})


def test_the_last_events_of_a_key_are_kept(one: One) -> None:
    one.step("a2", m.Accept(8, Put(PEAR, b"1")))
    merge(one, item_of(x=Version(b"1")))
    merge(one, item_of(x=Version(b"1")))  # it changes nothing
    merge(one, item_of(y=Version(b"1")), key="melon")
    told = report_of(one).events
    assert [(each.what, each.source, each.at_ms) for each in told] == [
        ("named", "a2", NOW * 1000),
        ("stored", "a2", NOW * 1000),
    ]
    for n in range(2 * EVENTS_SHOWN):
        one.step("b1", m.Accept(10 + n, Put(PEAR, b"%d" % n)))
    assert [each.source for each in report_of(one).events] == ["b1"] * EVENTS_SHOWN


def test_a_read_that_writes_notes_both_causes(one: One) -> None:
    """A state is stored here, and the write that has waited for it is named at once."""
    one.submit(Put(PEAR, b"1"))
    [event] = report_of(one).events
    assert (event.what, event.source) == ("named", "a1")


# ------------------------------------------------------------------ the node whose client asks
def ask(one: One, explain: Explain, request: int = 7) -> list[object]:
    effects = one.submit(explain, request)
    asked = {peer for peer, ask in effects.asks if ask == Inspect(request, explain.key)}
    assert asked == OTHERS
    return [outcome for _, outcome in effects.replies]


def answer(one: One, source: str, report: KeyReport, now: float = NOW) -> list[object]:
    effects = one.step(source, Inspected(7, report), now)
    return [outcome for number, outcome in effects.replies if number == 7]


def test_all_nodes_are_asked_and_the_answer_has_their_reports(one: One) -> None:
    reports = {peer: KeyReport(holds=peer == "a2") for peer in OTHERS}
    assert ask(one, Explain(PEAR)) == []
    assert answer(one, "a2", reports["a2"]) == []
    assert answer(one, "b1", reports["b1"]) == []
    [explained] = answer(one, "b2", reports["b2"])
    assert isinstance(explained, Explained)
    assert explained.reports == {"a1": report_of(one), **reports}
    assert (explained.silent, explained.missing) == ({}, {"a1": {}, "a2": {}})
    assert answer(one, "b2", reports["b2"]) == []  # once more: it is over


def test_a_node_that_is_cut_off_is_not_waited_for(one: One) -> None:
    for peer in OTHERS:
        one.step("a1", events.LinkDown(peer))
    [explained] = ask(one, Explain(PEAR))
    assert isinstance(explained, Explained)
    assert set(explained.reports) == {"a1"}
    assert {n: s.reachable for n, s in explained.silent.items()} == dict.fromkeys(OTHERS, False)


def test_a_silent_node_is_asked_again_and_given_up(one: One) -> None:
    ask(one, Explain(PEAR, timeout_s=0.5))
    for peer in ("b1", "b2"):
        assert answer(one, peer, KeyReport()) == []
    again = one.step("a1", events.Tick(), NOW + 0.3)
    assert [each for each in again.asks if isinstance(each[1], Inspect)] == [
        ("a2", Inspect(7, PEAR))
    ]
    ended = one.step("a1", events.Tick(), NOW + 0.6)
    [explained] = [outcome for number, outcome in ended.replies if number == 7]
    assert isinstance(explained, Explained)
    [(node, silence)] = explained.silent.items()
    assert (node, silence.reachable) == ("a2", True)
    assert silence.heard_s == pytest.approx(0.6)


def test_each_replica_is_judged_by_the_token(one: One) -> None:
    written = ("zzzzzz.1", 1)
    token = Token({}, {written: key_hash_of(PEAR, True)}, name=one.replica.keyspace.name)
    ask(one, Explain(PEAR, token))
    answer(one, "b1", KeyReport())
    answer(one, "a2", KeyReport(holds=True, past=Past({}, {written})))
    [explained] = answer(one, "b2", KeyReport())
    assert isinstance(explained, Explained)
    assert explained.missing == {"a1": {"zzzzzz.1": (0, 1)}, "a2": {}}


# ------------------------------------------------------------------ tokens and contexts
def test_a_token_of_this_cluster_is_recognized(one: One) -> None:
    token = Token({}, {("zzzzzz.1", 1): key_hash_of(PEAR, True)})
    [(_, outcome)] = one.submit(Recognize(token)).replies
    assert isinstance(outcome, Recognized)
    assert outcome.token.exact == token.exact


def test_foreign_names_are_refused_as_by_a_read(one: One) -> None:
    foreign = Token({}, {("zzzzzz.1", 1): key_hash_of(PEAR, True)}, name="zzzzzz")
    asked = (Get(PEAR, token=foreign), Explain(PEAR, foreign), Recognize(foreign))
    outcomes = [one.submit(each).replies[0][1] for each in asked]
    assert isinstance(outcomes[0], Rejected | Unavailable)
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_report_is_the_same_on_the_wire(one: One) -> None:
    merge(one, item_of(x=Version(b"1")))
    told = m.Envelope(one.replica.views.epoch, Inspected(3, report_of(one)))
    raw = msgspec.msgpack.encode(told)
    assert msgspec.msgpack.decode(raw, type=m.Envelope) == told
