"""The hints of one replica: writes of other shards that it keeps for owners.

An owner that could not be reached when the write was named is the *target* of the hint.  A row has
all of a hint; memory has only what it takes to choose the next one.  Numbers are given in the order
of time and never twice, so a late answer about a hint that is gone means no other one.  (protocol
P-3; docs/decisions/0043.)
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from node.core.model.actors import view_of
from node.core.model.dots import Dot
from node.core.model.item import Item
from node.core.model.keys import Slot, slot_of_key
from node.core.model.options import Options
from node.core.model.view import ViewId
from node.core.protocol.step import Step
from node.core.storage.row_scan import ReadsAndScans

TABLE = "hint"
ROWS_AT_ONCE = 100  # read when a replica starts

encode = msgspec.msgpack.encode


class SavedHint(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row: the write, with the filled item that its home told; `at_ms` is when it came."""

    target: str
    key: str
    dot: Dot
    at_ms: int
    item: Item


class Kept(msgspec.Struct, frozen=True, gc=False):
    """What memory has of a hint."""

    target: str
    slot: Slot
    dot: Dot
    at_ms: int
    bytes: int


SAVED = msgspec.msgpack.Decoder(SavedHint)


def row_of(number: int) -> str:
    return f"{number:016x}"


class Hints:
    """All hints of one replica, by number; the oldest comes first.

    `numbers`, `bytes`: of the rows for each target.  Invariant: they count the rows of `kept`.
    """

    def __init__(self, rows: ReadsAndScans, step: Step, options: Options) -> None:
        self._rows, self._step = rows, step
        self._number_max, self._bytes_max = options.hints_max, options.hint_bytes_max
        self.kept: dict[int, Kept] = {}
        self.turned_away = 0  # since the start, because there were too many
        self.numbers = Counter[str]()
        self.bytes = Counter[str]()
        self._known: dict[tuple[str, Dot], int] = {}
        self._last = 0
        after: str | None = None
        while page := rows.scan(TABLE, after, ROWS_AT_ONCE):
            for row, blob in page:
                self._note(int(row, 16), SAVED.decode(blob), len(blob))
            after = page[-1][0]

    def __len__(self) -> int:
        return len(self.kept)

    def add(self, target: str, key: str, item: Item, dot: Dot) -> bool:
        """Keep a write for an owner; return whether it is kept.  It is not where there are too many
        for that owner."""
        if (target, dot) in self._known:
            return True
        saved = SavedHint(target, key, dot, int(self._step.now_ms), item)
        blob = encode(saved)
        has_room = self.numbers[target] < self._number_max
        if not has_room or self.bytes[target] + len(blob) > self._bytes_max:
            self.turned_away += 1
            return False
        number = max(self._last + 1, self._step.numbers.next(self._step.now))
        self._step.record(TABLE, row_of(number), blob)
        self._note(number, saved, len(blob))
        return True

    def _note(self, number: int, saved: SavedHint, size: int) -> None:
        target, dot, self._last = saved.target, saved.dot, number
        self.kept[number] = Kept(target, slot_of_key(saved.key), dot, saved.at_ms, size)
        self._known[target, dot] = number
        self.numbers[target] += 1
        self.bytes[target] += size

    def read(self, number: int) -> SavedHint:
        """All of a hint that is kept."""
        blob = self._rows.read(TABLE, row_of(number))
        assert blob is not None, "a hint that is kept has a row"
        return SAVED.decode(blob)

    def of_key(self, key: str) -> Iterator[SavedHint]:
        """The hints of a key, the oldest first."""
        slot = slot_of_key(key)
        for number, kept in self.kept.items():
            if kept.slot == slot and (saved := self.read(number)).key == key:
                yield saved

    def drop(self, number: int) -> None:
        """Remove a hint that is kept."""
        kept = self.kept.pop(number)
        target = kept.target
        del self._known[target, kept.dot]
        self.numbers[target] -= 1
        self.bytes[target] -= kept.bytes
        if not self.numbers[target]:
            del self.numbers[target], self.bytes[target]
        self._step.record(TABLE, row_of(number), None)

    def below(self, view: ViewId) -> Iterator[int]:
        """The hints of writes that were named in older views than this.  They are the first ones,
        since a node keeps hints of its present view alone."""
        for number, kept in self.kept.items():
            if view_of(kept.dot[0]) >= view:
                return
            yield number

    def oldest_ms(self) -> int | None:
        """When the oldest hint came, in milliseconds since the epoch; None: there is none."""
        return next((kept.at_ms for kept in self.kept.values()), None)
