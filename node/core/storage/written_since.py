"""The keys that were written since an exchange that this node serves began.

For each page of an exchange its holder needs the keys written since the first page.  It remembers
those that it found for one page, and for the next looks at later dots only.  It can find them
again, so none of this is durable.
"""

from node.core.model.dots import Dot, DotClock
from node.core.model.keys import slot_of_key
from node.core.model.slots import Slots
from node.core.storage.key_log import KeyLog

NOT_HERE = ""  # stands for the key of a dot that concerns no slot of the exchange
EXCHANGES_MAX = 32  # nodes that pull from us at once

Asker = tuple[str, int]  # a node, and its number of an exchange


def key_within(log: KeyLog, dot: Dot, slots: Slots) -> str | None:
    """The key of these slots that a dot wrote, or `NOT_HERE`; None where the log does not know."""
    key = log.key_of(dot)
    if key is None:
        return NOT_HERE if log.is_outside(dot, slots) else None
    return key if slots >> slot_of_key(key) & 1 else NOT_HERE


class Changes:
    """By exchange: up to which clock dots have been looked at, and the keys that they wrote."""

    def __init__(self, log: KeyLog) -> None:
        self._log = log
        self._found: dict[Asker, tuple[DotClock, set[str]]] = {}

    def since(
        self, asker: Asker, slots: Slots, clock: DotClock, snapshot: DotClock
    ) -> set[str] | None:
        """The keys of these slots that dots of this clock, and not of the snapshot, have written,
        and perhaps some more; None when the log does not know them all any more.  Of one exchange
        neither the snapshot goes back nor do the slots become more."""
        upto, keys = self._found.pop(asker, (snapshot, set[str]()))
        new = {key_within(self._log, dot, slots) for dot in clock.missing_from(upto)}
        keys.update(key for key in new if key)
        if None in new:
            return None
        self._found[asker] = clock.copy(), keys
        if len(self._found) > EXCHANGES_MAX:
            del self._found[next(iter(self._found))]
        return keys
