"""How often each client may ask: a token bucket for each.

A client is known by its bearer token, or without one by its address.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from node.api.contract import Reply
from node.api.parsing import refused

BURST_S = 2.0  # so many seconds' requests may come at once
CLIENTS_MAX = 4096  # those that asked last; one that is forgotten begins with a full bucket


class Rates:
    """The buckets of all clients; each is refilled with `per_s` requests a second."""

    def __init__(self, per_s: float, clock: Callable[[], float]) -> None:
        self._per_s, self._clock = per_s, clock
        self._full = per_s * BURST_S
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests, when

    def refusal(self, client: str) -> Reply | None:
        """Count a request of this client, or return what it is told if it asks too often."""
        wait_s = self.wait_s(client)
        if not wait_s:
            return None
        headers = {"Retry-After": str(ceil(wait_s)), "Kv-Outcome": "definite"}
        words = f"this client has sent more than REQUESTS_PER_S_MAX={self._per_s:g} allows"
        return refused(429, words, headers)

    def wait_s(self, client: str) -> float:
        """Count a request of this client and return 0, or return how long it has to wait."""
        now = self._clock()
        left, then = self._buckets.pop(client, (self._full, now))
        left = min(self._full, left + (now - then) * self._per_s)
        may_ask = left >= 1
        self._buckets[client] = left - may_ask, now
        if len(self._buckets) > CLIENTS_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if may_ask else (1 - left) / self._per_s
