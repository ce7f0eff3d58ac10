"""How a conversation spells what a node writes to its disk."""

from collections.abc import Iterable

import msgspec

from node.core.membership.view_history import SavedViews as SavedViews
from node.core.model.keys import key_of
from node.core.protocol.effects import Record
from node.core.storage.hints import SAVED as HINT
from node.core.storage.keyspace import ITEMS, PARTS
from node.core.storage.transfer_progress import SAVED as REACHED
from tests.conversations.words import Words

# Each start, view and contact writes these: leave them out.
MARKS = ("generation", "marks", "address", "runs")
VIEWS = msgspec.msgpack.Decoder(SavedViews)


class RecordWords:
    """Spells what is in a row, in the words of one conversation."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def all_of(self, records: Iterable[Record]) -> str:
        told = (record for record in records if record.key not in MARKS)
        return "; ".join(self._record(record) for record in told)

    def _record(self, record: Record) -> str:
        table, key, value = record.table, record.key, record.value
        if table == "item":
            row = self._words.item(ITEMS.decode(value)) if value else "nothing"
            return f"item {key_of(key)}={row}{' open' if record.open else ''}"
        if table == "log":
            actor, _, n = key.rpartition("/")
            dot = self._words.dot((actor, int(n, 16)))
            return f"log {dot} of {value.decode()}" if value else f"log {dot} gone"
        if table == "hint":
            return self._hint(value)
        return f"{key}{self._meta(key, value or b'')}"

    def _hint(self, value: bytes | None) -> str:
        if value is None:
            return "hint gone"
        hint = HINT.decode(value)
        return f"hint for {hint.target} {hint.key}={self._words.item(hint.item)}"

    def _meta(self, key: str, value: bytes) -> str:
        words = self._words
        if key == "parts":
            parts = PARTS.decode(value)
            held = [
                words.slot_group(p.slots, p.clock, p.complete_for, len(parts) == 1) for p in parts
            ]
            return f" {', '.join(held) or 'none'}"
        if key == "views":
            saved = VIEWS.decode(value)
            views = words.views_of(view.id for view in saved.views)
            return f" {views} oldest {words.view(saved.oldest_view)}{words.reports(saved.reports)}"
        if key == "sweep":
            return f" {words.slots(value)}" if value else " done"
        if key == "reached":
            known = REACHED.decode(value) if value else []
            reached = [f"{words.past(past)} up to {key_of(upto)}" for _, past, upto in known]
            return f" {', '.join(reached) or 'done'}"
        if key == "lives":
            return f" {words.incarnations(msgspec.msgpack.decode(value))}"
        if key == "anew":
            return f" {value.decode()}"
        return f" {words.node(value.decode()) if value else 'gone'}" if key == "node" else ""
