"""How long to wait before the next attempt to reach one peer.

The smaller address of a pair dials first.  Attempts that fail come less and less often, except
where this node seeks a first contact.  It takes no writes until it has heard of such a node, so it
dials again and again, as often as the number of sought nodes allows.
"""

from random import Random

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 1.0
HASTE_S = 0.15  # between two attempts to reach a node that is sought
SOUGHT_MAX = 8  # with more of them, each is tried less often


class RedialPace:
    """The pace of the attempts to reach one peer, which may dial first within `head_start_s`."""

    def __init__(self, head_start_s: float, random: Random) -> None:
        self._head_start_s, self._random = head_start_s, random
        self._pause_s, self._backoff_s = self._head_start_s, BACKOFF_MIN_S

    def pause_s(self, sought: int) -> float:
        """Return the wait before the next attempt; `sought` counts sought peers, 0 if this is
        none.
        """
        haste_s = HASTE_S * max(1.0, sought / SOUGHT_MAX)
        return min(self._pause_s, haste_s) if sought else self._pause_s

    def on_attempt(self, took_s: float, was_cut: bool) -> None:
        """Plan the next attempt: soon only after a link that lasted, or a cut."""
        if was_cut or took_s > 2 * BACKOFF_MAX_S:
            self._backoff_s = BACKOFF_MIN_S
        self._pause_s = self._head_start_s + self._backoff_s * self._random.uniform(0.5, 1.0)
        self._backoff_s = min(BACKOFF_MAX_S, 2 * self._backoff_s)
