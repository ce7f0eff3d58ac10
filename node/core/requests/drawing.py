"""Draws the identities of an origin's writes, and knows which ones are settled.

(docs/decisions/0049.)
"""

from node.core.model.drawn_identity import Settled, identity_of

OPEN_S = 600.0  # so long a write that two homes were asked for is not settled
BESIDES_MAX = 64  # writes of two homes; with one more, all from the oldest of them on count as open


class Drawing:
    """The numbers of one run of an origin."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._last = 0
        self._open: dict[int, float] = {}  # given to two homes: until when it counts as open

    def next(self) -> int:
        """Give a write that begins its number."""
        self._last += 1
        return self._last

    def identity(self, number: int) -> str:
        return identity_of(self._run, number)

    def open(self, number: int, now: float) -> None:
        """Note that a second home is asked for this write."""
        self._open[number] = now + OPEN_S

    def settled(self, below: int) -> Settled:
        """What to tell homes.  `below`: the lowest number of a write that has no name yet, and may
        yet be given to another home."""
        besides = [number for number in self._open if number < below]
        if len(besides) > BESIDES_MAX:
            return Settled(self._run, min(besides))
        return Settled(self._run, below, tuple(besides))

    def tick(self, now: float) -> None:
        """Settle what was given to two homes long ago."""
        for number, until in list(self._open.items()):
            if until < now:
                del self._open[number]
