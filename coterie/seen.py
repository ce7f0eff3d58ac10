"""What a session has seen: its token over all keys, and the last context of each key.

Threads and tasks may share a session.  Two requests under way began with the same token, and
neither answer knows of the other; so a session keeps both tokens, and sends both with the next
request, whose answer joins them.  It has at most one token for each request under way.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

NOTHING = "none"  # the context of a client that has seen nothing of the key


class SeenBySession:
    """The tokens and contexts of one session."""

    def __init__(self, token: str, contexts_max: int) -> None:
        """Take the token of another session, or an empty text; of so many keys, those that were
        used last, the contexts are kept."""
        self._tokens = [text for text in token.split(",") if text]
        self._contexts: OrderedDict[str, str] = OrderedDict()
        self._contexts_max = contexts_max
        self._lock = threading.Lock()

    @property
    def token(self) -> str:
        """Return all that the session depends on, as text for another session."""
        return ",".join(self.tokens())

    def tokens(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._tokens)

    def learn_token(self, sent: Iterable[str], told: str) -> None:
        """Keep the token of an answer in place of those that the request had."""
        with self._lock:
            gone = {*sent, told}
            self._tokens = [token for token in self._tokens if token not in gone] + [told]

    def context_of(self, key: str) -> str:
        """Return what the session has seen of the key, as far as it remembers."""
        with self._lock:
            return self._contexts.get(key, NOTHING)

    def learn_context(self, key: str, context: str) -> None:
        with self._lock:
            self._contexts[key] = context
            self._contexts.move_to_end(key)
            while len(self._contexts) > self._contexts_max:
                self._contexts.popitem(last=False)
