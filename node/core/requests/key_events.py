"""The last changes of keys at this node, in memory, for explanations.

A change is a row that was written while a message about keys was handled.  Messages of this node's
own clients come as messages, too: a home is asked with `Accept` even where it is the origin.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from node.core.model.keys import row_of
from node.core.protocol import hints as h, messages as m
from node.core.protocol.inspection import KeyEvent
from node.core.protocol.step import Step

EVENTS_KEPT = 1000  # over all keys; with one more the oldest goes
EVENTS_SHOWN = 20  # of one key

WHAT: Mapping[type, str] = {
    m.Accept: "named",
    m.Replicate: "stored",
    m.ReadRepair: "repaired",
    m.State: "read",
    m.ItemPage: "pulled",
    m.RowPage: "pulled",
    h.HandOver: "taken over",
    h.Hint: "kept",
}
Handler = Callable[[Any, Any], None]


class KeyEvents:
    """Remembers which message has changed which key's row.

    `_cause` is the message in hand (what it does, its source, itself), `_upto` the number of the
    step's records that are noted already.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._events = deque[tuple[str, float, str, str]](maxlen=EVENTS_KEPT)
        self._cause: tuple[str, str, Any] | None = None
        self._upto = 0

    def watched(self, handlers: Mapping[type, Handler]) -> dict[type, Handler]:
        """The same handlers, with those of messages about keys watched."""
        return {kind: self._watched(kind, handler) for kind, handler in handlers.items()}

    def _watched(self, kind: type, handler: Handler) -> Handler:
        what = WHAT.get(kind)
        if what is None:
            return handler

        def watch(source: str, message: Any) -> None:
            records, around = self._step.records, self._cause
            if around is not None:  # a message that came has led to one of this node to itself
                self._note()
            self._upto, self._cause = len(records), (what, source, message)
            try:
                handler(source, message)
            finally:
                if len(records) > self._upto:
                    self._note()
                self._cause = around

        return watch

    def _note(self) -> None:
        """Note the rows that were written since the last call: the message in hand caused them."""
        assert self._cause is not None
        records, now_ms = self._step.records, self._step.now_ms
        what, source, message = self._cause
        for record in records[self._upto :]:
            if record.table == "item":
                self._events.append((record.key, now_ms, what, source))
            elif record.table == "hint" and record.value is not None:
                self._events.append((row_of(message.key), now_ms, what, source))
        self._upto = len(records)

    def of(self, key: str) -> tuple[KeyEvent, ...]:
        """The last events of a key, the oldest first."""
        row = row_of(key)
        events = [KeyEvent(int(at), *why) for name, at, *why in self._events if name == row]
        return tuple(events[-EVENTS_SHOWN:])
