"""How a conversation spells what a node writes to its disk."""

from collections.abc import Iterable

import msgspec

from node.core.effects import Record
from node.core.history import Saved as SavedViews
from node.core.keyspace import ITEMS, PARTS
from node.core.reached import SAVED as REACHED
from node.core.walk import key_of
from tests.conversations.words import Words

VIEWS = msgspec.msgpack.Decoder(SavedViews)


class RecordWords:
    """What is in a row, in the words of one conversation."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def all_of(self, records: Iterable[Record]) -> str:
        return "; ".join(self._record(record) for record in records)

    def _record(self, record: Record) -> str:
        table, key, value = record.table, record.key, record.value
        if table == "item":
            row = self._words.item(ITEMS.decode(value)) if value else "nothing"
            return f"item {key_of(key)}={row}{' open' if record.open else ''}"
        if table == "log":
            actor, _, n = key.rpartition("/")
            dot = self._words.dot((actor, int(n, 16)))
            return f"log {dot} of {value.decode()}" if value else f"log {dot} gone"
        return f"{key}{self._meta(key, value or b'')}"

    def _meta(self, key: str, value: bytes) -> str:
        words = self._words
        if key == "parts":
            parts = PARTS.decode(value)
            held = [words.holding(p.slots, p.clock, p.whole, len(parts) == 1) for p in parts]
            return f" {', '.join(held) or 'none'}"
        if key == "views":
            saved = VIEWS.decode(value)
            views = words.views_of(view.id for view in saved.views)
            return f" {views} floor {words.view(saved.floor)}{words.reports(saved.reports)}"
        if key == "sweep":
            return f" {words.slots(value)}" if value else " done"
        if key == "reached":
            known = REACHED.decode(value) if value else []
            reached = [f"{words.past(past)} up to {key_of(upto)}" for _, past, upto in known]
            return f" {', '.join(reached) or 'done'}"
        if key == "lives":
            return f" {words.lives(msgspec.msgpack.decode(value))}"
        return f" {words.node(value.decode())}" if key == "node" else ""
