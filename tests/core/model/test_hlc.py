"""Timestamps follow causality, whatever wall clocks say, and no wrong clock drags others far."""

from hypothesis import given, strategies as st

from node.core.model.hlc import (
    AHEAD_MS_MAX,
    LEAD_MS_MAX,
    NO_TIMESTAMP,
    TIMESTAMP_COUNT_MAX,
    HybridClock,
    Timestamp,
    bounded,
    is_timestamp,
)

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
    clocks, stamps, last = [HybridClock() for _ in skews], list[Timestamp](), dict[int, Timestamp]()
    now = NOW_S
    for who, cause, passed in history:
        now += passed
        local = now + skews[who]
        seen = stamps[cause % len(stamps)] if cause is not None and stamps else NO_TIMESTAMP
        given_now = clocks[who].next(local, str(who), [seen])
        assert given_now > seen
        assert given_now > last.get(who, NO_TIMESTAMP)
        assert given_now[0] <= (now + SKEW_S_MAX) * 1000
        last[who] = given_now
        stamps.append(given_now)
    assert len(set(stamps)) == len(stamps)


@given(
    st.integers(0, 10**9),
    st.integers(0, TIMESTAMP_COUNT_MAX - 1),
    st.floats(-TEN_YEARS_S, AHEAD_MS_MAX / 1000),
)
def test_a_stamp_is_above_what_its_writer_saw_up_to_a_day_ahead(
    now_s: int, count: int, lead_s: float
) -> None:
    milliseconds = max(0, int((now_s + lead_s) * 1000))
    seen, clock = [(milliseconds, count, "z"), (1, 1, "a")], HybridClock()
    assert clock.next(now_s, "a", seen) > max(seen)


stamps = st.tuples(
    st.integers(0, 2**53) | st.integers(0, 9), st.integers(0, 2**53) | st.integers(0, 9), st.text()
)


@given(st.integers(0, 10**9), st.lists(stamps), st.lists(stamps))
def test_whatever_it_is_shown_its_stamps_are_in_range_and_in_order(
    now_s: int, witnessed: list[Timestamp], seen: list[Timestamp]
) -> None:
    clock, last = HybridClock(), NO_TIMESTAMP
    for stamp in witnessed:
        clock.observe(stamp, now_s)
    lifted = clock.next(now_s, "a", seen)
    assert is_timestamp(lifted)
    assert lifted[0] <= now_s * 1000 + AHEAD_MS_MAX + 1
    for _ in range(3):
        following = clock.next(now_s, "a", [])
        assert last < following
        assert following[0] <= now_s * 1000 + LEAD_MS_MAX
        last = following


def test_a_stamp_ten_years_ahead_does_not_count() -> None:
    clock, far = HybridClock(), (int((NOW_S + TEN_YEARS_S) * 1000), 7, "x")
    clock.observe(far, NOW_S)
    assert clock.next(NOW_S, "b", [far])[0] <= NOW_S * 1000 + LEAD_MS_MAX
    assert bounded(far, NOW_S) == (int(NOW_S * 1000), 0, "x")
    assert bounded(far, NOW_S + TEN_YEARS_S) == far


def test_a_stamp_of_hours_ahead_lifts_one_write_and_does_not_drag() -> None:
    clock, hour_ms = HybridClock(), 3_600_000
    clock.observe((int(NOW_S * 1000) + hour_ms, 7, "x"), NOW_S)
    lifted = clock.next(NOW_S, "b", [(int(NOW_S * 1000) + hour_ms, 7, "x")])
    assert lifted == (int(NOW_S * 1000) + hour_ms, 8, "b")
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
