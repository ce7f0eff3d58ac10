"""The instants at which versions expire, in the order of time.

Each version with an instant has a row here: the instant, then the row of its key.  The row goes
when its instant is over and the version is gone.  So a restart, and an owner that has just got the
slot, know what is to be deleted without reading all items.
"""

import msgspec

from node.core.model.item import Item
from node.core.model.keys import key_of
from node.core.protocol.step import Step
from node.core.storage.row_scan import Scans

TABLE = "expiry"
NEVER = float("inf")
DIGITS = 14  # of an instant in milliseconds, so that rows lie in the order of time


class _Lifetime(msgspec.Struct, array_like=True):
    """A version of which only the end is read."""

    value: msgspec.Raw
    deps: msgspec.Raw
    timestamp: msgspec.Raw
    lww: msgspec.Raw = msgspec.Raw()
    clock: msgspec.Raw = msgspec.Raw()
    labels: msgspec.Raw = msgspec.Raw()
    expires: int = 0


class _Lifetimes(msgspec.Struct, array_like=True):
    """An item of which only the lifetimes of its versions are read."""

    versions: dict[tuple[str, int], _Lifetime]


_skim = msgspec.msgpack.Decoder(_Lifetimes).decode


class Expiry:
    """The instants of one replica's versions; `next_ms` is the first, as far as is known."""

    def __init__(self, rows: Scans, step: Step) -> None:
        self._rows, self._step = rows, step
        self.next_ms = NEVER
        self._look()

    def __bool__(self) -> bool:
        """Whether some version may expire."""
        return self.next_ms < NEVER

    @property
    def now_ms(self) -> float:
        """The moment at which it is judged what has expired: that of the step."""
        return self._step.now_ms

    def _look(self) -> None:
        first = self._rows.scan(TABLE, None, 1)
        self.next_ms = int(first[0][0][:DIGITS]) if first else NEVER

    def note(self, row: str, before: Item, after: Item) -> None:
        """Note the instants of the versions that a row has got."""
        for dot, version in after.versions.items():
            is_new = dot not in before.versions
            if version.expires and version.value is not None and is_new:
                self._add(version.expires, row)

    def adopt(self, row: str, blob: bytes) -> None:
        """Note the instants in a row that is taken as it lies."""
        for lifetime in _skim(blob).versions.values():
            if lifetime.expires:
                self._add(lifetime.expires, row)

    def _add(self, instant_ms: int, row: str) -> None:
        self.next_ms = min(self.next_ms, instant_ms)
        self._step.record(TABLE, f"{instant_ms:0{DIGITS}d}/{row}", b"1")

    def due(self, after: str | None, upto_ms: int, limit: int) -> list[tuple[str, str]]:
        """Some rows behind this one whose instants are over, the first ones first, and their
        keys."""
        found = self._rows.scan(TABLE, after, limit, f"{upto_ms + 1:0{DIGITS}d}")
        if not found:
            self._look()
        return [(name, key_of(name[DIGITS + 1 :])) for name, _ in found]

    def drop(self, name: str) -> None:
        """Remove a row: its version is gone."""
        self._step.record(TABLE, name, None)
