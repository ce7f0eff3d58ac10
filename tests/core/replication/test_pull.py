"""Members' rows: what all members have, which gaps may close, and from which member to pull."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from node.core.model.actors import actor_of, short_name
from node.core.model.dots import DotClock
from node.core.model.slots import ALL, to_bytes
from node.core.model.token import COUNT_MAX
from node.core.model.view import FIRST
from node.core.protocol.messages import Pull
from node.core.replication.progress import PeerProgress, PeerSlots
from node.core.replication.pull import (
    GRACE_S,
    PAGE_PATIENCE_S,
    REST_FOR_DELAY,
    REST_MAX_S,
    TRIES_MAX,
    Exchange,
    Repair,
)
from node.core.storage.slot_groups import Parts
from tests.core.given import (
    all_dots,
    clock_of,
    clocks,
    dots_of,
    parts_with,
)
from tests.core.pulls import A3, GAP, learn, page, repair_with, row

SLOTS = to_bytes(ALL)
LOWER = (1 << 2000) - 1
UPPER = ALL & ~LOWER
A5, LATE_GAP = clock_of(all_dots({"a": 5})), clock_of([("a", 1), ("a", 5)])


def to_close(repair: Repair, mine: DotClock, ended: list[str]) -> list[str]:
    return repair.to_close(parts_with(mine), ended)


def beyond(repair: Repair, mine: DotClock, ended: list[str]) -> dict[str, int]:
    return repair.beyond(parts_with(mine), ended)


def low(repair: Repair, mine: DotClock) -> dict[str, int]:
    return repair.shard_watermark(parts_with(mine))


@given(clocks, st.lists(clocks, min_size=1, max_size=3))
def test_low_is_what_all_have_and_frontier_what_any_has(
    mine: DotClock, rows: list[DotClock]
) -> None:
    repair = repair_with(*rows, mine=mine)
    lowest, frontier = all_dots(low(repair, mine)), repair.highest_seen(parts_with(mine))
    for clock in (mine, *rows):
        assert lowest <= dots_of(clock)
        assert all(n <= frontier[actor] for actor, n in dots_of(clock))
    assert all(max(c.highest(a) for c in (mine, *rows)) == n for a, n in frontier.items())


def test_nothing_is_low_while_a_row_is_missing() -> None:
    repair = repair_with(A3, A3)
    assert low(repair, A3) == {"a": 3}
    repair.forget("m2")
    assert low(repair, A3) == {}
    assert to_close(repair, A3, ["a"]) == []
    assert beyond(repair, A3, ["a"]) == {}


def test_alone_the_own_clock_is_low() -> None:
    assert low(repair_with(), A3) == {"a": 3}


@pytest.mark.parametrize(
    ("mine", "rows", "may"),
    [
        (GAP, [GAP, GAP], True),
        (GAP, [GAP, A3], False),
        (GAP, [GAP, DotClock()], False),
        (A3, [], True),
    ],
)
def test_gaps_close_where_all_are_equal(mine: DotClock, rows: list[DotClock], may: bool) -> None:
    repair = repair_with(*rows)
    for i, clock in enumerate(rows):
        learn(repair, f"m{i + 1}", row(clock, ended=["a"]), mine)
    assert to_close(repair, mine, ["a"]) == (["a"] if may else [])


def test_gaps_close_only_when_all_refuse_the_life() -> None:
    repair = repair_with(GAP, GAP)
    learn(repair, "m1", row(GAP, ended=["a"]), GAP)
    assert to_close(repair, GAP, ["a"]) == []
    learn(repair, "m2", row(GAP, ended=["a"]), GAP)
    assert to_close(repair, GAP, ["a"]) == ["a"]
    assert to_close(repair, GAP, []) == []
    repair.closed["a"] = None
    assert to_close(repair, GAP, ["a"]) == []


def test_a_node_that_hears_that_a_gap_was_closed_closes_it_too() -> None:
    repair = repair_with(GAP, GAP)
    learn(repair, "m1", row(A3, closed=["a"]), GAP)
    assert to_close(repair, GAP, ["a"]) == ["a"]
    assert to_close(repair, clock_of([("a", 1)]), ["a"]) == []  # it has less than was closed


def apart(lower: DotClock, upper: DotClock) -> Parts:
    """Return all slots, in halves that know different dots."""
    parts = parts_with(lower, slots=LOWER)
    parts.adopt(FIRST, ALL, {FIRST}, FIRST)
    parts.join(UPPER, upper, ())
    return parts


def row_apart(lower: DotClock, upper: DotClock, *, is_closed: bool = False) -> PeerProgress:
    """Return a peer's statement that refuses the incarnation, and knows different dots in the
    halves."""
    compare = row(GAP, ended=["a"], closed=["a"] if is_closed else [])
    return replace(
        compare, groups=[PeerSlots(LOWER, lower, {FIRST}), PeerSlots(UPPER, upper, {FIRST})]
    )


@pytest.mark.parametrize(
    ("lower", "upper", "may"),
    [
        (GAP, LATE_GAP, True),  # each slot is equal at both members
        (LATE_GAP, GAP, False),
        (GAP, GAP, False),
        (GAP, DotClock(), False),
    ],
)
def test_gaps_close_where_each_slot_is_equal(lower: DotClock, upper: DotClock, may: bool) -> None:
    repair, mine = repair_with(DotClock()), apart(GAP, LATE_GAP)
    repair.note_progress("m1", row_apart(lower, upper), mine, FIRST, 0.0)
    assert repair.to_close(mine, ["a"]) == (["a"] if may else [])


def test_a_slot_that_a_shard_peer_tells_nothing_of_is_not_equal() -> None:
    repair, mine = repair_with(DotClock()), parts_with(GAP)
    half = replace(row(GAP, ended=["a"]), groups=[PeerSlots(LOWER, GAP, {FIRST})])
    repair.note_progress("m1", half, mine, FIRST, 0.0)
    assert repair.to_close(mine, ["a"]) == []


def test_a_life_is_closed_in_all_slots_up_to_what_one_of_them_knows() -> None:
    repair, mine = repair_with(DotClock()), apart(GAP, LATE_GAP)
    for lower, may in ((A3, []), (A5, ["a"])):
        repair.note_progress("m1", row_apart(lower, A5, is_closed=True), mine, FIRST, 0.0)
        assert repair.to_close(mine, ["a"]) == may
    repair.closed["a"] = None
    assert repair.beyond(mine, ["a"]) == {}
    mine.close("a")
    assert [part.clock for part in mine] == [A5]
    assert repair.beyond(mine, ["a"]) == {"a": COUNT_MAX}
    assert repair.shard_watermark(mine) == {"a": 5}


def test_beyond_is_what_all_have_closed() -> None:
    repair = repair_with(A3, A3)
    repair.closed["a"] = None
    assert beyond(repair, A3, ["a"]) == {}
    for shard_peer in ("m1", "m2"):
        learn(repair, shard_peer, row(A3, closed=["a"]), A3)
    assert beyond(repair, A3, ["a", "b"]) == {"a": COUNT_MAX}
    assert beyond(repair, GAP, ["a"]) == {}


# ---- the pull


def pulled(repair: Repair, now: float, mine: DotClock | None = None, **options: bool) -> str | None:
    """Return the peer that is asked now, if any."""
    parts = parts_with(mine or DotClock(), arrived=options.get("arrived", True))
    grace_s = GRACE_S if options.get("caught_up", True) else 0.0
    pull = repair.next_pull("x", parts, ["m1", "m2"], grace_s, now)
    return pull and pull[0]


def test_a_dot_on_its_way_is_not_missing() -> None:
    repair = repair_with(A3, DotClock())
    assert pulled(repair, GRACE_S / 2) is None
    assert pulled(repair, GRACE_S, mine=A3) is None  # it has come meanwhile
    assert pulled(repair, GRACE_S) == "m1"


def test_after_a_start_there_is_no_grace() -> None:
    assert pulled(repair_with(A3, DotClock()), 0.0, caught_up=False) == "m1"
    assert pulled(repair_with(DotClock(), DotClock()), 9.0, caught_up=False) is None


def test_the_shard_peer_that_has_had_it_longest_is_asked() -> None:
    repair = repair_with(DotClock(), A3)
    learn(repair, "m1", row(A3), DotClock(), 1.0)
    assert pulled(repair, 2.0) == "m2"


def test_its_writer_is_asked_before_the_node_that_has_had_it_longest() -> None:
    """Another may know the dot from a snapshot, without its key, and would send all that it has."""
    for holder, writer in (("m1", "m2"), ("m2", "m1")):
        repair = repair_with(DotClock(), DotClock())
        written = DotClock({actor_of(FIRST, writer): 3})
        learn(repair, holder, row(written), DotClock(), 1.0)
        told = row(written)
        told.name = short_name(writer)
        learn(repair, writer, told, DotClock(), 2.0)
        assert pulled(repair, 3.0) == writer


def test_what_is_lacking_no_more_is_not_pulled() -> None:
    repair = repair_with(A3, A3)
    learn(repair, "m1", row(A3), A3, 1.0)
    repair.forget("m2")
    assert pulled(repair, 2.0) is None


def test_an_arriving_node_asks_one_that_has_arrived_at_once() -> None:
    repair = repair_with(DotClock(), DotClock())
    repair.forget("m1")
    repair.note_progress(
        "m1", row(A3, arrived=False), parts_with(DotClock(), arrived=False), FIRST, 0.0
    )
    assert pulled(repair, 0.0, arrived=False) == "m2"


def test_a_page_that_does_not_come_is_asked_for_again_some_times() -> None:
    repair = repair_with(A3, A3)
    asked, now = [], GRACE_S
    for _ in range(TRIES_MAX + 2):
        pull = repair.next_pull("x", parts_with(DotClock()), ["m1", "m2"], GRACE_S, now)
        assert pull is not None
        asked.append(pull[1].exchange)
        assert pulled(repair, now + PAGE_PATIENCE_S / 2) is None
        now += PAGE_PATIENCE_S + 0.01
    assert asked == asked[:1] * (1 + TRIES_MAX) + asked[-1:]
    assert asked[0] != asked[-1]


def test_a_page_that_an_earlier_run_asked_for_is_not_expected() -> None:
    """What that run had merged may be lost with it."""
    numbers = []
    for asked_at in (GRACE_S, GRACE_S + 0.001):
        repair = repair_with(A3)
        pull = repair.next_pull("x", parts_with(DotClock()), ["m1"], GRACE_S, asked_at)
        assert pull is not None
        numbers.append(pull[1].exchange)
    assert [repair.expects("m1", page(number, last=True)) for number in numbers] == [False, True]


def test_a_shard_peer_that_went_away_ends_the_exchange() -> None:
    repair = repair_with(A3)
    mine = parts_with(DotClock())
    first = repair.next_pull("x", mine, ["m1"], GRACE_S, GRACE_S)
    assert repair.exchange is not None
    assert first == ("m1", Pull(repair.exchange.number, "x", SLOTS, DotClock()))
    assert repair.next_pull("x", mine, [], GRACE_S, GRACE_S + PAGE_PATIENCE_S) is None
    assert repair.exchange is None


def test_only_the_page_asked_for_is_expected() -> None:
    repair = repair_with(A3)
    assert not repair.expects("m1", page(1, last=True))
    asked = repair.next_pull("x", parts_with(DotClock()), ["m1"], GRACE_S, GRACE_S)
    assert asked is not None
    number = asked[1].exchange
    assert repair.expects("m1", page(number, last=False, after="", upto="row"))
    assert not repair.expects("m2", page(number, last=True))
    assert not repair.expects("m1", page(number + 1, last=True))
    first, mine = page(number, last=False, after="", upto="row"), parts_with(DotClock())
    assert not repair.on_page(first, mine, False, 1.0)
    following = repair.next_pull("x", mine, ["m1"], GRACE_S, 1.0)
    assert following == ("m1", Pull(number, "x", SLOTS, DotClock(), A3, "row"))
    assert not repair.expects("m1", first)  # doubled
    second = page(number, last=True, after="row")
    assert repair.expects("m1", second)
    assert repair.on_page(second, mine, False, 2.0)
    assert repair.exchange is None
    assert not repair.expects("m1", second)


def test_a_row_of_one_life_never_goes_back() -> None:
    """A late Compare from before a peer arrived would make every member look new again."""
    repair = repair_with(A3)
    assert not learn(repair, "m1", row(GAP), DotClock(), 1.0)
    assert not learn(repair, "m1", row(A3, arrived=False), DotClock(), 1.0)
    assert repair.progress["m1"] == row(A3)
    repair.forget("m1")
    assert learn(repair, "m1", row(DotClock(), arrived=False), DotClock(), 2.0)


def test_while_clients_are_served_the_next_page_waits() -> None:
    repair, mine = repair_with(A3), parts_with(DotClock())
    repair.next_pull("x", mine, ["m1"], 0.0, 1.0)
    assert not repair.on_page(page(1, last=False), mine, True, 1.01)
    assert repair.next_pull("x", mine, ["m1"], 0.0, 1.01) is not None
    delay_s = REST_MAX_S / 2 / REST_FOR_DELAY
    done = 1.01 + 2 * 0.01 + delay_s
    assert not repair.on_page(page(1, last=False), mine, True, done)
    rest_s = REST_FOR_DELAY * delay_s
    assert repair.next_pull("x", mine, ["m1"], 0.0, done + 0.9 * rest_s) is None
    assert repair.next_pull("x", mine, ["m1"], 0.0, done + 1.1 * rest_s) is not None
    assert repair.next_pull("x", mine, ["m1"], 0.0, done + 1.2 * rest_s) is None  # it is asked for


@pytest.mark.parametrize(
    ("pages_s", "rests_s"),
    [
        ((0.002, 0.004, 0.006), (0, 0, REST_FOR_DELAY * 0.002)),
        ((0.004, 0.002, 0.006), (0, 0, REST_FOR_DELAY * 0.002)),
        ((0.02, 0.03), (0, 0)),  # far away, and no node is busy
        ((0.02, 0.05, 0.02), (0, REST_FOR_DELAY * 0.01, 0)),
        ((0.02, 0.1), (0, REST_MAX_S)),
    ],
)
def test_a_page_that_takes_longer_than_others_is_followed_by_a_longer_rest(
    pages_s: tuple[float, ...], rests_s: tuple[float, ...]
) -> None:
    exchange = Exchange("m1", 1, ALL, 0.0)
    assert tuple(exchange.rest_s(page_s) for page_s in pages_s) == pytest.approx(rests_s)


def test_a_slow_page_does_not_make_the_next_one_wait_for_long() -> None:
    repair, mine = repair_with(A3), parts_with(DotClock())
    repair.next_pull("x", mine, ["m1"], 0.0, 1.0)
    assert not repair.on_page(page(1, last=False), mine, True, 1.01)
    repair.next_pull("x", mine, ["m1"], 0.0, 1.01)
    assert not repair.on_page(page(1, last=False), mine, True, 1.9)
    assert repair.next_pull("x", mine, ["m1"], 0.0, 1.9 + 0.9 * REST_MAX_S) is None
    assert repair.next_pull("x", mine, ["m1"], 0.0, 1.9 + 1.1 * REST_MAX_S) is not None
