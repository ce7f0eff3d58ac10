"""Members' rows: what everybody has, which gaps may close, and whom to pull from, page by page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.clock import Clock
from node.core.messages import Page, Pull
from node.core.repair import GRACE_S, PAGE_PATIENCE_S, TRIES_MAX, Recovery, Repair, closable
from node.core.token import COUNT_MAX
from tests.core.given import all_dots, clock_of, clocks, dots_of, row

WHOLE = Recovery(arrived=True, caught_up=True)
A3, GAP = clock_of(all_dots({"a": 3})), clock_of([("a", 1), ("a", 3)])


def repair_with(*rows: Clock, now: float = 0.0, mine: Clock | None = None) -> Repair:
    """Of member m0, with a row of each fellow m1, m2 .."""
    repair = Repair("m0", tuple(f"m{i}" for i in range(len(rows) + 1)))
    for i, clock in enumerate(rows):
        repair.learn(f"m{i + 1}", row(clock), mine or Clock(), now)
    return repair


@given(clocks, st.lists(clocks, min_size=1, max_size=3))
def test_low_is_what_all_have_and_frontier_what_anybody_has(mine: Clock, rows: list[Clock]) -> None:
    repair = repair_with(*rows, mine=mine)
    low, frontier = all_dots(repair.low(mine)), repair.frontier(mine)
    for clock in (mine, *rows):
        assert low <= dots_of(clock)
        assert all(n <= frontier[actor] for actor, n in dots_of(clock))
    assert all(max(c.highest(a) for c in (mine, *rows)) == n for a, n in frontier.items())


def test_nothing_is_low_while_a_row_is_missing() -> None:
    repair = repair_with(A3, A3)
    assert repair.low(A3) == {"a": 3}
    repair.forget("m2")
    assert repair.low(A3) == {}
    assert repair.to_close(A3, ["a"]) == []
    assert repair.beyond(A3, ["a"]) == {}


def test_alone_the_own_clock_is_low() -> None:
    assert Repair("m0", ("m0",)).low(A3) == {"a": 3}


@pytest.mark.parametrize(
    ("mine", "rows", "may"),
    [
        (GAP, [GAP, GAP], True),
        (GAP, [GAP, A3], False),
        (GAP, [GAP, Clock()], False),
        (A3, [], True),
    ],
)
def test_gaps_close_where_all_are_equal(mine: Clock, rows: list[Clock], may: bool) -> None:
    assert closable(mine, rows, "a") is may


def test_gaps_close_only_when_all_refuse_the_life() -> None:
    repair = repair_with(GAP, GAP)
    repair.learn("m1", row(GAP, ended=["a"]), GAP, 0.0)
    assert repair.to_close(GAP, ["a"]) == []
    repair.learn("m2", row(GAP, ended=["a"]), GAP, 0.0)
    assert repair.to_close(GAP, ["a"]) == ["a"]
    assert repair.to_close(GAP, []) == []
    repair.closed["a"] = None
    assert repair.to_close(GAP, ["a"]) == []


def test_who_hears_that_a_gap_was_closed_closes_it_too() -> None:
    repair = repair_with(GAP, GAP)
    repair.learn("m1", row(A3, closed=["a"]), GAP, 0.0)
    assert repair.to_close(GAP, ["a"]) == ["a"]
    assert repair.to_close(clock_of([("a", 1)]), ["a"]) == []  # it has less than was closed


def test_beyond_is_what_all_have_closed() -> None:
    repair = repair_with(A3, A3)
    repair.closed["a"] = None
    assert repair.beyond(A3, ["a"]) == {}
    for fellow in ("m1", "m2"):
        repair.learn(fellow, row(A3, closed=["a"]), A3, 0.0)
    assert repair.beyond(A3, ["a", "b"]) == {"a": COUNT_MAX}
    assert repair.beyond(GAP, ["a"]) == {}


# ---- the pull


def pulled(repair: Repair, now: float, mine: Clock | None = None, **options: bool) -> str | None:
    """The fellow that is asked now, if any."""
    state = Recovery(options.get("arrived", True), options.get("caught_up", True))
    pull = repair.next_pull("x", mine or Clock(), ["m1", "m2"], state, now)
    return pull and pull[0]


def test_a_dot_on_its_way_is_not_missing() -> None:
    repair = repair_with(A3, Clock())
    assert pulled(repair, GRACE_S / 2) is None
    assert pulled(repair, GRACE_S, mine=A3) is None  # it has come meanwhile
    assert pulled(repair, GRACE_S) == "m1"


def test_after_a_start_there_is_no_grace() -> None:
    assert pulled(repair_with(A3, Clock()), 0.0, caught_up=False) == "m1"
    assert pulled(repair_with(Clock(), Clock()), 9.0, caught_up=False) is None
    assert not Recovery(arrived=True).over
    assert WHOLE.over


def test_the_fellow_that_has_had_it_longest_is_asked() -> None:
    repair = repair_with(Clock(), A3)
    repair.learn("m1", row(A3), Clock(), 1.0)
    assert pulled(repair, 2.0) == "m2"


def test_what_is_lacking_no_more_is_not_pulled() -> None:
    repair = repair_with(A3, A3)
    repair.learn("m1", row(A3), A3, 1.0)
    repair.forget("m2")
    assert pulled(repair, 2.0) is None


def test_who_arrives_asks_who_has_arrived_at_once() -> None:
    repair = repair_with(Clock(), Clock())
    repair.forget("m1")
    repair.learn("m1", row(A3, arrived=False), Clock(), 0.0)
    assert pulled(repair, 0.0, arrived=False) == "m2"


def test_a_page_that_does_not_come_is_asked_for_again_some_times() -> None:
    repair = repair_with(A3, A3)
    asked, now = [], GRACE_S
    for _ in range(TRIES_MAX + 2):
        pull = repair.next_pull("x", Clock(), ["m1", "m2"], WHOLE, now)
        assert pull is not None
        asked.append(pull[1].exchange)
        assert pulled(repair, now + PAGE_PATIENCE_S / 2) is None
        now += PAGE_PATIENCE_S + 0.01
    assert asked == [1] * (1 + TRIES_MAX) + [2]


def test_a_fellow_that_went_away_ends_the_exchange() -> None:
    repair = repair_with(A3)
    assert repair.next_pull("x", Clock(), ["m1"], WHOLE, GRACE_S) == ("m1", Pull(1, "x", Clock()))
    assert repair.next_pull("x", Clock(), [], WHOLE, GRACE_S + PAGE_PATIENCE_S) is None
    assert repair.exchange is None


def page(number: int, *, last: bool, after: str | None = None, upto: str | None = None) -> Page:
    full = after is not None
    return Page(number, A3, A3.base, {}, {}, full, last, after, upto, True)


def test_only_the_page_asked_for_is_expected() -> None:
    repair = repair_with(A3)
    assert not repair.expects("m1", page(1, last=True))
    repair.next_pull("x", Clock(), ["m1"], WHOLE, GRACE_S)
    assert repair.expects("m1", page(1, last=False, after="", upto="row"))
    assert not repair.expects("m2", page(1, last=True))
    assert not repair.expects("m1", page(2, last=True))
    first = page(1, last=False, after="", upto="row")
    assert repair.on_page(first, "x", Clock(), 1.0) == Pull(1, "x", Clock(), A3, "row")
    assert not repair.expects("m1", first)  # doubled
    second = page(1, last=True, after="row")
    assert repair.expects("m1", second)
    assert repair.on_page(second, "x", Clock(), 2.0) is None
    assert repair.exchange is None
    assert not repair.expects("m1", second)


def test_a_row_of_one_life_never_goes_back() -> None:
    """A late Compare of before a fellow arrived would make everybody look new again."""
    repair = Repair("a1", ("a1", "a2"))
    assert repair.learn("a2", row(A3, arrived=True), Clock(), 0.0)
    assert not repair.learn("a2", row(GAP, arrived=True), Clock(), 1.0)
    assert not repair.learn("a2", row(A3, arrived=False), Clock(), 1.0)
    assert repair.rows["a2"] == row(A3, arrived=True)
    repair.forget("a2")
    assert repair.learn("a2", row(Clock(), arrived=False), Clock(), 2.0)
