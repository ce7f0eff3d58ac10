"""Three replicas that write and exchange filled items, in any order, are the set oracle (I3).

The oracle of one key: a write is live while no write that had seen it has replaced it.  The run
uses the keyspace alone: a Replicate carries the filled item, may be lost, doubled or late.
"""

import pytest
from hypothesis import given, settings, strategies as st

from node.core.model.conditions import Mode
from node.core.model.dots import Dot, DotClock
from node.core.model.hlc import NO_TIMESTAMP
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of, key_of, row_of
from node.core.model.options import Options
from node.core.model.slots import ALL, to_bytes
from node.core.model.token import Token
from node.core.model.view import FIRST, ViewId
from node.core.model.write_name import WriteName
from node.core.protocol.operations import Put
from node.core.storage.keyspace import PARTS
from node.core.storage.named_write import NamedWrite
from node.core.storage.pruning import compact, prune
from node.core.storage.slot_groups import SavedPart
from tests.core.given import Held, clock_of, dots_of

NOW = 1000.0

writes = st.tuples(st.just("write"), st.integers(0, 2), st.sampled_from("kl"), st.booleans())
sends = st.tuples(st.just("send"), st.integers(0, 2), st.integers(0, 99), st.booleans())
restarts = st.tuples(st.just("restart"), st.integers(0, 2), st.just(0), st.just(False))


class Oracle:
    """What each replica has seen of each key, and what is live there, as plain sets of dots."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, str], frozenset[Dot]] = {}
        self.live: dict[tuple[int, str], frozenset[Dot]] = {}

    def state(self, who: int, key: str) -> tuple[frozenset[Dot], frozenset[Dot]]:
        return self.seen.get((who, key), frozenset()), self.live.get((who, key), frozenset())

    def write(self, who: int, key: str, dot: Dot) -> None:
        self.seen[who, key] = self.state(who, key)[0] | {dot}
        self.live[who, key] = frozenset({dot})

    def take(self, who: int, key: str, seen: frozenset[Dot], live: frozenset[Dot]) -> None:
        mine_seen, mine_live = self.state(who, key)
        self.live[who, key] = (mine_live & live) | (mine_live - seen) | (live - mine_seen)
        self.seen[who, key] = mine_seen | seen


@settings(max_examples=60)
@given(st.lists(st.one_of(writes, sends, sends, restarts), max_size=25))
def test_agrees_with_the_set_oracle(steps: list[tuple[str, int, str | int, bool]]) -> None:
    held, oracle = [Held(actor) for actor in "abc"], Oracle()
    letters: list[tuple[str, NamedWrite, frozenset[Dot], frozenset[Dot]]] = []
    for what, who, argument, gone in steps:
        if what == "write":
            key = str(argument)
            put = Put(key, None if gone else b"%d" % len(letters))
            written = held[who].keyspace.write(put, NOW)
            oracle.write(who, key, written.dot)
            letters.append((key, written, *oracle.state(who, key)))
        elif what == "send" and letters:
            key, written, seen, live = letters[int(argument) % len(letters)]
            held[who].keyspace.take(key, written.item, (written.dot,), NOW)
            oracle.take(who, key, seen, live)
        elif what == "restart":
            held[who].sync()
            held[who] = held[who].restarted()
        for key in "kl":
            item = held[who].keyspace.filled(key)
            assert item.versions.keys() == oracle.state(who, key)[1]


def put(key: str, value: bytes | None, mode: Mode = Mode.LWW, **extra: Past | Token) -> Put:
    token, context = extra.get("token", Token()), extra.get("context", Past())
    assert isinstance(token, Token)
    assert isinstance(context, Past)
    return Put(key, value, mode, token, context)


def test_dots_go_on_after_a_restart() -> None:
    held = Held("a")
    assert [held.keyspace.write(put("k", b"%d" % n), NOW).dot[1] for n in range(3)] == [1, 2, 3]
    held.sync()
    held.keyspace.write(put("k", b"never durable"), NOW)
    again = held.restarted()
    assert again.keyspace.write(put("k", b"5"), NOW).dot == ("a", 4)


def test_a_restart_reads_back_items_clock_log_and_counts() -> None:
    held = Held("a")
    for n in range(5):
        held.keyspace.write(put(f"k{n}", b"v"), NOW)
    held.keyspace.write(put("k0", None), NOW)
    held.keyspace.take("k1", Item({("b", 2): Version(b"w")}, Past({"b": 2})), (), NOW)
    held.sync()
    one, two = held.keyspace, held.restarted().keyspace
    assert two.clock == one.clock == clock_of([*(("a", n) for n in range(1, 7)), ("b", 2)])
    assert [two.item(f"k{n}") for n in range(5)] == [one.item(f"k{n}") for n in range(5)]
    assert two.live_keys == one.live_keys == 4
    assert two.open_keys.unsettled == one.open_keys.unsettled
    assert two.log.entries == one.log.entries == 7
    assert two.log.key_of(("b", 2)) == "k1"


def test_a_restart_counts_no_key_whose_versions_are_all_hidden() -> None:
    """The row is neither deleted nor does it have a past; a later write, which is replaced itself,
    has replaced what it has."""
    first, later = ("b", 1), ("b", 2)
    stamps = {dot: (dot[1], 0, "b") for dot in (first, later)}
    names = {
        "w": WriteName(first, stamps[first], by=("x",)),
        "x": WriteName(later, stamps[later], certain=True),
    }
    hidden = {first: Version(b"v", timestamp=stamps[first], lww=True, identity="w")}
    held = Held("a")
    held.keyspace.take("k", Item(hidden, Past({"b": 2}, namings=names)), [later], NOW)
    held.sync()
    for keyspace in (held.keyspace, held.restarted().keyspace):
        assert keyspace.item("k").versions == hidden
        assert not keyspace.filled("k").shown()
        assert keyspace.live_keys == 0


def test_rows_of_one_slot_lie_together() -> None:
    assert key_of(row_of("a/b")) == "a/b"
    assert row_of("pear")[:4] == row_of("pear")[:3] + "/"


def test_lww_discards_all_that_is_held_and_what_the_token_names_of_the_key() -> None:
    held = Held("a")
    held.keyspace.take("k", Item({("b", 1): Version(b"w")}, Past({"b": 1})), (), NOW)
    digest = key_hash_of("k", True)
    token = Token({}, {("c", 5): digest, ("c", 6): digest + 2})
    written = held.keyspace.write(put("k", b"v", token=token), NOW)
    assert written.item.versions.keys() == {("a", 1)}
    assert written.item.past == Past({"a": 1, "b": 1}, {("c", 5)})
    assert written.replaced
    assert written.token.exact == {("c", 5): digest, ("c", 6): digest + 2, ("a", 1): digest}


def test_siblings_discard_what_the_context_has_seen() -> None:
    held = Held("a")
    held.keyspace.take("k", Item({("b", 1): Version(b"w")}, Past({"b": 1})), (), NOW)
    beside = held.keyspace.write(put("k", b"v", Mode.SIBLINGS), NOW)
    assert beside.item.versions.keys() == {("a", 1), ("b", 1)}
    assert beside.context == Past({}, {("a", 1)})
    seen = Past({"a": 1, "b": 1})
    above = held.keyspace.write(put("k", b"u", Mode.SIBLINGS, context=seen), NOW)
    assert above.item.versions.keys() == {("a", 2)}
    assert above.context == Past({"a": 1, "b": 1}, {("a", 2)})


def test_a_stamp_is_above_what_was_held_and_what_the_token_names() -> None:
    held = Held("a")
    ahead = int(NOW * 1000) + 200
    held.keyspace.take("k", Item({("b", 1): Version(b"w", timestamp=(ahead, 3, "b"))}), (), NOW)
    first = held.keyspace.write(put("l", b"v", token=Token(timestamp=(ahead + 100, 0, "c"))), NOW)
    assert first.token.timestamp > (ahead + 100, 0, "c")
    second = held.keyspace.write(put("k", b"v"), NOW)
    assert second.token.timestamp > first.token.timestamp > NO_TIMESTAMP


def delete_held() -> Held:
    held = Held("a")
    held.keyspace.write(put("k", b"v"), NOW)
    held.keyspace.write(put("k", None), NOW)
    return held


def test_a_mark_goes_when_all_members_have_it_and_what_was_written_beside_it() -> None:
    held = delete_held()
    space = held.keyspace
    mark = {("a", 2)}
    compact(space, 10)
    assert space.item("k").versions.keys() == mark  # no other member is known to have it
    space.watermarks.shard, space.watermarks.highest_seen = {"a": 2}, {"a": 2, "b": 7}
    compact(space, 10)
    assert space.item("k").versions.keys() == mark  # b had written up to 7 by then
    space.watermarks.shard, space.watermarks.highest_seen = {"a": 2, "b": 6}, {"a": 2, "b": 9}
    compact(space, 10)
    assert space.item("k").versions.keys() == mark  # the highest seen then, not now
    space.watermarks.shard = {"a": 2, "b": 7}
    compact(space, 10)
    assert space.item("k") == Item()
    assert space.open_keys.unsettled == {}
    assert held.sync()[-1].value is None
    assert held.rows.counts("item") == {}


def test_a_mark_waits_for_what_it_depends_on() -> None:
    held = Held("a")
    space = held.keyspace
    token = Token({}, {("z", 4): 8})
    space.write(put("k", None, token=token), NOW)
    space.watermarks.shard = {"a": 1}
    compact(space, 10)
    assert space.item("k").versions
    space.watermarks.cluster = {"z": 4}
    compact(space, 10)
    assert not space.item("k").versions


@pytest.mark.parametrize(("stamp", "stays"), [((1, 0, "b"), False), ((2**42, 0, "b"), True)])
def test_an_lww_mark_takes_what_it_hid_along(stamp: tuple[int, int, str], stays: bool) -> None:
    held = delete_held()
    space = held.keyspace
    beside = Version(b"w", timestamp=stamp, lww=True)
    space.take("k", Item({("b", 1): beside}, Past({"b": 1})), (), NOW)
    space.watermarks.shard = space.watermarks.highest_seen = {"a": 2, "b": 1}
    compact(space, 10)
    assert space.item("k").versions.keys() == ({("b", 1)} if stays else set())


def test_settling_goes_round() -> None:
    held = Held("a")
    space = held.keyspace
    for n in range(4):
        space.write(put(f"k{n}", None), NOW)
    space.watermarks.shard = {"a": 4}
    compact(space, 3)
    assert len(space.open_keys.unsettled) == 1
    compact(space, 3)
    assert space.open_keys.unsettled == {}


def test_an_item_whose_past_the_clock_covers_is_open_no_more() -> None:
    held = Held("a")
    space = held.keyspace
    space.take("k", Item({("b", 2): Version(b"w")}, Past({"b": 2})), (), NOW)
    assert list(space.open_keys.unsettled) == ["k"]
    space.take("l", Item({("b", 1): Version(b"u")}, Past({"b": 1})), (), NOW)
    compact(space, 10)
    assert space.open_keys.unsettled == {}
    assert space.item("k").past == Past()


def test_joining_and_closing_are_durable() -> None:
    held = Held("a")
    held.keyspace.join(ALL, clock_of([("b", 1), ("b", 3)]), ())
    held.keyspace.close("b")
    held.sync()
    saved = held.rows.read("meta", "parts")
    assert saved is not None
    assert PARTS.decode(saved) == [SavedPart(to_bytes(ALL), DotClock({"b": 3}), [FIRST])]
    assert held.keyspace.clock == DotClock({"b": 3})
    assert held.restarted().keyspace.clock == DotClock({"b": 3})


def test_one_option_bounds_the_tokens_of_writes_and_those_that_are_stored() -> None:
    space = Held("a", options=Options(exact_dots_max=2)).keyspace
    token = Token(exact={("b", n): key_hash_of(f"k{n}", True) for n in range(1, 6)})
    written = space.write(put("k", b"v", token=token), NOW)
    [version] = written.item.versions.values()
    assert [len(written.token.exact), len(version.deps.exact)] == [2, 2]


def test_prunes_some_at_a_time_while_it_is_known_what_every_member_has() -> None:
    space = Held("a", options=Options(log_dropped_at_once_max=2)).keyspace
    for n in range(6):
        space.write(put(f"k{n}", b"v"), NOW)
    space.watermarks.shard = {"a": 5}
    left = []
    for _ in range(3):
        prune(space)
        left.append((space.log.entries, space.log.is_behind))
    assert left == [(4, True), (2, True), (1, False)]
    space.watermarks.shard = {"a": 6}
    space.write(put("k", b"v"), NOW)
    space.log.is_behind = True
    space.on_view(ViewId(2, "p"), FIRST, "a.2.p")  # of this view nothing is known yet
    prune(space)
    assert (space.log.entries, space.log.is_behind) == (2, False)


def test_a_full_log_drops_its_oldest_under_a_saved_clock() -> None:
    held = Held("a", options=Options(log_entries_max=3, log_dropped_at_once_max=2))
    for n in range(4):
        held.keyspace.write(put(f"k{n}", b"v"), NOW)
    tables = [(record.table, record.value is None) for record in held.sync()]
    assert tables[-4:] == [("meta", False), ("log", True), ("log", True), ("item", False)]
    assert held.keyspace.log.entries == 2
    assert held.keyspace.log.key_of(("a", 2)) is None
    assert dots_of(held.restarted().keyspace.clock) == {("a", n) for n in range(1, 5)}


def test_of_slots_that_are_not_held_nothing_is_known() -> None:
    held = Held("a", slots=0)
    assert held.keyspace.filled("k") == Item()
    assert held.keyspace.clock_of("k") == held.keyspace.clock == DotClock()
    held.keyspace.note(("b", 1), "k")
    assert held.keyspace.log.entries == 0


def test_a_restart_finds_the_past_that_was_noted_before_slots_changed_hands() -> None:
    """A dot of an older view is known in its own slot; of the current one in all that are owned."""
    second = ViewId(2, "p")
    held = Held("a")
    held.keyspace.write(put("k", b"v"), NOW)
    held.keyspace.parts.adopt(second, ALL, {second}, second)
    held.keyspace.on_view(second, FIRST, "a.2.p")
    held.keyspace.save_parts()
    assert held.keyspace.write(put("l", b"w"), NOW).dot == ("a.2.p", 1)
    held.sync()
    again = Held("a", held.rows)
    again.keyspace.parts.adopt(second, ALL, {second}, None)
    again.keyspace.load_log()
    again.keyspace.on_view(second, FIRST, "a.2.p")
    assert again.keyspace.clock == held.keyspace.clock == DotClock({"a": 1, "a.2.p": 1})
    assert again.keyspace.write(put("l", b"x"), NOW).dot == ("a.2.p", 2)
