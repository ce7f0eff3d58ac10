"""What the log says of links: each reason of a refusal once for a peer, each bug once in full."""

import logging
from collections.abc import Collection

from node.core.protocol.events import Envelopes
from node.core.protocol.messages import Envelope

BUGS_MAX = 1000  # different ones; each is logged once with its traceback

logger = logging.getLogger("coterie.links")


class LinkLog:
    """Remembers what has been logged, so that attempts that repeat themselves fill no disk."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}  # peer -> the reason that was logged last
        self._bugs: set[str] = set()

    def refusal(self, peer: str, reason: str, known: Collection[str]) -> None:
        """Log a refusal once for each reason, and not for each attempt."""
        remembered = peer if peer in known else ""
        if self._refused.get(remembered) != reason:
            self._refused[remembered] = reason
            logger.warning("no link with %.300s: %.300s", peer or "a stranger", reason)

    def forget(self, peer: str) -> None:
        self._refused.pop(peer, None)

    def bug(self, peer: str, envelope: Envelope | Envelopes | None, error: Exception) -> None:
        """Log a bug with its traceback the first time, as one line after that."""
        what = "a link" if envelope is None else _name_of(envelope)
        bug = f"{what}: {error!r}"[:200]
        is_new = bug not in self._bugs and len(self._bugs) < BUGS_MAX
        self._bugs.add(bug) if is_new else None
        logger.error("cannot handle what %s sent: %s", peer, bug, exc_info=is_new)


def _name_of(envelope: Envelope | Envelopes) -> str:
    last = envelope.envelopes[-1] if isinstance(envelope, Envelopes) else envelope
    return type(last.message).__name__
