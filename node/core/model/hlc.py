"""Hybrid logical clocks: timestamps that choose among concurrent versions, and do nothing else.

A timestamp (milliseconds, count, actor) is above every timestamp its writer had seen, however far
the clocks are apart, and otherwise near the wall clock. No timestamp decides whether a version is
obsolete. Clients may send absurd timestamps, and older versions may have stored some: a timestamp
that no clock can have reached does not count. (Kulkarni et al., OPODIS 2014; protocol D11.)
"""

from collections.abc import Collection

Timestamp = tuple[int, int, str]
NO_TIMESTAMP: Timestamp = (0, 0, "")
LEAD_MS_MAX = 500  # a timestamp further ahead of our clock than this does not drag us along
AHEAD_MS_MAX = 24 * 3600 * 1000  # clocks are set wrong by hours; further ahead is no clock's time
MILLISECONDS_MAX = 2**48  # the year 10889
TIMESTAMP_COUNT_MAX = 2**31


def is_timestamp(timestamp: Timestamp) -> bool:
    """Whether its numbers are in the range that any node gives out."""
    return 0 <= timestamp[0] < MILLISECONDS_MAX and 0 <= timestamp[1] < TIMESTAMP_COUNT_MAX


def bounded(timestamp: Timestamp, now: float) -> Timestamp:
    """The timestamp; one from further ahead than clocks can be apart becomes one of `now`."""
    milliseconds, count, actor = timestamp
    now_ms = int(now * 1000)
    if milliseconds > now_ms + AHEAD_MS_MAX:
        return now_ms, 0, actor
    return (
        timestamp if count < TIMESTAMP_COUNT_MAX else (milliseconds, TIMESTAMP_COUNT_MAX - 1, actor)
    )


def _next_to(milliseconds: int, count: int) -> tuple[int, int]:
    return (milliseconds, count + 1) if count + 1 < TIMESTAMP_COUNT_MAX else (milliseconds + 1, 0)


def before(later: Timestamp, earlier: Timestamp, actor: str) -> Timestamp:
    """A timestamp between these two: a millisecond below the later one, if the other is below
    that."""
    below = later[0] - 1, 0, actor
    return below if below > earlier else (earlier[0], earlier[1] + 1, actor)


class HybridClock:
    """Gives timestamps in order; learns from every timestamp it is shown."""

    def __init__(self) -> None:
        self.milliseconds = 0
        self.count = 0

    def observe(self, timestamp: Timestamp, now: float) -> None:
        """Give later timestamps above this one, unless it is too far ahead to be true."""
        timestamp = bounded(timestamp, now)
        milliseconds = min(timestamp[0], int(now * 1000) + LEAD_MS_MAX)
        if milliseconds > self.milliseconds:
            self.milliseconds, self.count = milliseconds, 0
        if timestamp[0] == self.milliseconds:
            self.count = max(self.count, timestamp[1])

    def next(self, now: float, actor: str, above: Collection[Timestamp]) -> Timestamp:
        """A timestamp above these and above all given before; `now` in seconds.

        A timestamp from far ahead lifts this one write, as causality demands, but not this clock:
        the timestamps of independent writes stay near the wall clock.
        """
        highest = max(above, default=NO_TIMESTAMP)
        if bounded(highest, now) != highest:  # then the others count, too
            highest = max([bounded(timestamp, now) for timestamp in above])
        self.observe(highest, now)
        milliseconds = int(now * 1000)
        if milliseconds > self.milliseconds:
            self.milliseconds, self.count = milliseconds, 0
        else:
            self.milliseconds, self.count = _next_to(self.milliseconds, self.count)
        if highest >= (self.milliseconds, self.count, actor):
            return *_next_to(highest[0], highest[1]), actor
        return self.milliseconds, self.count, actor
