"""Hybrid logical clocks: stamps that choose among concurrent versions, and do nothing else.

A stamp (milliseconds, count, actor) is above every stamp its writer had seen, however far the
clocks are apart, and otherwise near the wall clock. Whether a version is obsolete is never decided
by a stamp. (Kulkarni et al., OPODIS 2014; protocol D11.)
"""

from collections.abc import Iterable

Stamp = tuple[int, int, str]
NO_STAMP: Stamp = (0, 0, "")
LEAD_MS_MAX = 500  # a stamp further ahead of our clock than this does not drag us along


class HybridClock:
    """Gives stamps in order; learns from every stamp it is shown."""

    def __init__(self) -> None:
        self.milliseconds = 0
        self.count = 0

    def witness(self, stamp: Stamp, now: float) -> None:
        """Later stamps will be above this one, unless it is too far ahead to be believed."""
        milliseconds = min(stamp[0], int(now * 1000) + LEAD_MS_MAX)
        if milliseconds > self.milliseconds:
            self.milliseconds, self.count = milliseconds, 0
        if stamp[0] == self.milliseconds:
            self.count = max(self.count, stamp[1])

    def next(self, now: float, actor: str, above: Iterable[Stamp]) -> Stamp:
        """A stamp above these and above all given before; `now` in seconds.

        A stamp from far ahead lifts this one write, as causality demands, and not our clock: what
        does not depend on it stays near the wall clock (and below it).
        """
        highest = max(above, default=NO_STAMP)
        self.witness(highest, now)
        milliseconds = int(now * 1000)
        if milliseconds > self.milliseconds:
            self.milliseconds, self.count = milliseconds, 0
        else:
            self.count += 1
        if highest >= (self.milliseconds, self.count, actor):
            return highest[0], highest[1] + 1, actor
        return self.milliseconds, self.count, actor
