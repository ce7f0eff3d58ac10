"""Stamps follow causality, whatever the wall clocks say, and no wrong clock drags others far."""

from hypothesis import given, strategies as st

from node.core.hybrid import LEAD_MS_MAX, NO_STAMP, HybridClock, Stamp

SKEW_S_MAX = LEAD_MS_MAX / 2000  # clocks that differ by less than the lead that is believed
NOW_S = 1000.0
TEN_YEARS_S = 10 * 365 * 86400.0

steps = st.tuples(
    st.integers(0, 2),  # who
    st.one_of(st.none(), st.integers(0, 30)),  # whose stamp it has seen
    st.floats(0, 0.01),  # time that passes
)


@given(st.lists(steps, max_size=30), st.tuples(*[st.floats(-SKEW_S_MAX, SKEW_S_MAX)] * 3))
def test_cause_has_the_smaller_stamp(
    history: list[tuple[int, int | None, float]], skews: tuple[float, float, float]
) -> None:
    clocks, stamps, last = [HybridClock() for _ in skews], list[Stamp](), dict[int, Stamp]()
    now = NOW_S
    for who, cause, passed in history:
        now += passed
        local = now + skews[who]
        seen = stamps[cause % len(stamps)] if cause is not None and stamps else NO_STAMP
        given_now = clocks[who].next(local, str(who), [seen])
        assert given_now > seen
        assert given_now > last.get(who, NO_STAMP)
        assert given_now[0] <= (now + SKEW_S_MAX) * 1000
        last[who] = given_now
        stamps.append(given_now)
    assert len(set(stamps)) == len(stamps)


@given(st.integers(0, 10**13), st.integers(0, 9), st.floats(-TEN_YEARS_S, TEN_YEARS_S))
def test_a_stamp_is_above_what_its_writer_saw_however_far_apart(
    milliseconds: int, count: int, skew: float
) -> None:
    seen, clock = [(milliseconds, count, "z"), (1, 1, "a")], HybridClock()
    assert clock.next(abs(NOW_S + skew), "a", seen) > max(seen)


def test_a_stamp_ten_years_ahead_does_not_drag() -> None:
    clock = HybridClock()
    clock.witness((int((NOW_S + TEN_YEARS_S) * 1000), 7, "x"), NOW_S)
    lifted = clock.next(NOW_S, "b", [(int((NOW_S + TEN_YEARS_S) * 1000), 7, "x")])
    assert lifted == (int((NOW_S + TEN_YEARS_S) * 1000), 8, "b")
    milliseconds, _, actor = clock.next(NOW_S, "a", [])
    assert milliseconds <= NOW_S * 1000 + LEAD_MS_MAX
    assert actor == "a"


def test_a_wall_clock_that_goes_back_is_outlived_by_the_count() -> None:
    clock = HybridClock()
    first = clock.next(NOW_S, "a", [])
    second = clock.next(NOW_S - 60, "a", [])
    assert first == (int(NOW_S * 1000), 0, "a")
    assert second == (int(NOW_S * 1000), 1, "a")
    assert clock.next(NOW_S + 1, "a", []) == (int(NOW_S * 1000) + 1000, 0, "a")
