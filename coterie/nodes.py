"""The nodes of a cluster, as a client knows them: which has its turn, and which does not answer.

Any node answers for any key, so calls take turns.  A node that gave no answer comes last for a
while, twice as long as a call has waited for it, and longer each time.  It is still asked when all
others have failed.
"""

import threading
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

AVOID_S = 0.5
AVOID_S_MAX = 30.0


class Nodes:
    """All of one client's nodes; its sessions and threads share them."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float], first: int = 0) -> None:
        """Take the URLs of one node or more; raises ValueError for what is no URL of a node."""
        self.urls = [checked(url) for url in urls]
        if not self.urls:
            raise ValueError("a client needs the URL of one node or more")
        self._clock = clock
        self._turn = first
        self._avoided_for_s: dict[str, float] = {}
        self._avoided_until: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def is_encrypted(self) -> bool:
        return any(url.startswith("https") for url in self.urls)

    def in_turn(self) -> list[str]:
        """Return all nodes in the order in which a call asks them."""
        with self._lock:
            now, self._turn = self._clock(), (self._turn + 1) % len(self.urls)
            turned = self.urls[self._turn :] + self.urls[: self._turn]
            return sorted(turned, key=lambda url: self._avoided_until.get(url, now) > now)

    def has_answered(self, url: str) -> None:
        with self._lock:
            self._avoided_for_s.pop(url, None)
            self._avoided_until.pop(url, None)

    def has_not_answered(self, url: str, waited_s: float = 0.0) -> None:
        """Note that a call has waited so long in vain."""
        with self._lock:
            before_s = self._avoided_for_s.get(url, 0.0)
            avoid_s = min(AVOID_S_MAX, max(AVOID_S, 2 * before_s, 2 * waited_s))
            self._avoided_for_s[url], self._avoided_until[url] = avoid_s, self._clock() + avoid_s

    def is_doubted(self, url: str) -> bool:
        """Whether the last call of this node had no answer."""
        with self._lock:
            return url in self._avoided_for_s


def checked(url: str) -> str:
    """Return the URL of a node without the slash at its end; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not the URL of a node; expected one as http://localhost:8082")
    return url.rstrip("/")
