"""The audit: one line for each refusal and for each act of an administrator.

A line names what happened, the address that it came from, and the reason.  It holds no secret, no
token and no value, and no text of a caller begins a line of its own.  Lines of one kind are
bounded: a burst, then one a second; the next line says how many are missing.
"""

import logging
import re
from collections.abc import Callable
from time import monotonic

BURST_LINES = 100
LINES_PER_S = 1.0
TEXT_CHARACTERS_MAX = 200
PLAIN = re.compile(rf"[A-Za-z0-9._:/\[\]-]{{1,{TEXT_CHARACTERS_MAX}}}")

logger = logging.getLogger("coterie.audit")


class Budget:
    """How many more lines of one kind may be written now."""

    def __init__(self, now: float) -> None:
        self._left, self._at = float(BURST_LINES), now
        self._missing = 0

    def take(self, now: float) -> int | None:
        """Take one line; return how many are missing before it, or None if there is no room."""
        self._left = min(BURST_LINES, self._left + (now - self._at) * LINES_PER_S)
        self._at = now
        if self._left < 1:
            self._missing += 1
            return None
        self._left -= 1
        missing, self._missing = self._missing, 0
        return missing


class Audit:
    """Writes the lines; `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._budgets: dict[str, Budget] = {}

    def note(self, event: str, source: str | None, **facts: str) -> None:
        """Write that this has happened.  `event` is one of ours, since each has a budget."""
        now = self._clock()
        budget = self._budgets.get(event)
        if budget is None:
            budget = self._budgets[event] = Budget(now)
        missing = budget.take(now)
        if missing is None:
            return
        before = {"not_written": str(missing)} if missing else {}
        words = {"from": source or "unknown", **facts, **before}
        said = " ".join(f"{name}={_shown(text)}" for name, text in words.items())
        logger.warning("%s %s", event, said)


def _shown(text: str) -> str:
    """Return the text in ASCII on one line, in quotation marks unless it is one plain word."""
    return text if PLAIN.fullmatch(text) else ascii(text[:TEXT_CHARACTERS_MAX])
