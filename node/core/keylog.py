"""The log dot -> key: which key a dot wrote, kept until every member of the shard has the dot.

Repair answers «what am I missing?» from it; a dot that is no longer here costs a full exchange.
A restart reads it back: the clock is the one saved when entries were last dropped, and these dots.
(protocol D5, D6; «Concise Server-Wide Causality Management», DAIS 2015.)
"""

from collections.abc import Callable, Iterable
from itertools import islice

from node.core.clock import Dot, Vector
from node.core.effects import Record
from node.core.parts import Slots
from node.core.view import Actor, ViewId, view_of
from node.core.walk import Scans

ENTRIES_MAX = 1_000_000  # beyond it the oldest go, and repair falls back to full exchanges
DROPPED_AT_ONCE_MAX = 600  # a few milliseconds
OUTSIDE_MAX = 10_000
PAGE_ROWS = 5_000


def log_row(dot: Dot) -> str:
    return f"{dot[0]}/{dot[1]:014x}"


class KeyLog:
    """Dots and their keys, per actor in the order they became known."""

    def __init__(self, outbox: list[Record]) -> None:
        self._outbox = outbox
        self._keys: dict[Actor, dict[int, str]] = {}
        self._off_disk: set[Dot] = set()
        self._outside: dict[Dot, Slots] = {}
        self._dropped_below: Vector = {}
        self.entries = 0
        self.is_behind = False  # whether the last `drop_below` has left some for the next

    def load(self, rows: Scans, note: Callable[[Dot, str], None]) -> None:
        """Read the log back, noting each dot and its key."""
        after: str | None = None
        while page := rows.scan("log", after, PAGE_ROWS):
            for row, key in page:
                actor, _, n = row.rpartition("/")
                self._keys.setdefault(actor, {})[int(n, 16)] = key.decode()
                note((actor, int(n, 16)), key.decode())
                self.entries += 1
            after = page[-1][0]

    def add(self, dot: Dot, key: str) -> None:
        if dot in self._off_disk:
            self._off_disk.remove(dot)
        elif self.key_of(dot) is not None:
            return
        else:
            self._keys.setdefault(dot[0], {})[dot[1]] = key
            self.entries += 1
        if dot[1] <= self._dropped_below.get(dot[0], 0):
            self._dropped_below[dot[0]] = dot[1] - 1
        self._outbox.append(Record("log", log_row(dot), key.encode()))

    def is_full(self) -> bool:
        return self.entries > ENTRIES_MAX

    def drop_oldest(self) -> None:
        """Make room: the oldest entries of the actor with most go."""
        longest = max(self._keys, key=lambda actor: len(self._keys[actor]))
        for n in list(islice(self._keys[longest], DROPPED_AT_ONCE_MAX)):
            self._drop(longest, n)

    def key_of(self, dot: Dot) -> str | None:
        """The key this dot wrote; None when it has been dropped."""
        return self._keys.get(dot[0], {}).get(dot[1])

    def note_outside(self, dots: Iterable[Dot], slots: Slots) -> None:
        """Of these dots it is known that they concern no key of these slots, but not which."""
        self._outside.update(dict.fromkeys(dots, slots))
        while len(self._outside) > OUTSIDE_MAX:
            del self._outside[next(iter(self._outside))]

    def is_outside(self, dot: Dot, slots: Slots) -> bool:
        """Whether this dot is known to concern none of these slots."""
        return not slots & ~self._outside.get(dot, 0)

    def has_below(self, low: Vector) -> bool:
        """Whether `drop_below` would find something to drop."""
        return any(low.get(a, 0) > self._dropped_below.get(a, 0) for a in self._keys)

    def bounds_below(self, view: ViewId) -> Vector:
        """What `drop_below` must be given to drop whatever was written in views below."""
        return {a: max(numbers) for a, numbers in self._keys.items() if view_of(a) < view}

    def take_off_disk(self, is_gone: Callable[[str], bool]) -> None:
        """Of keys that this node does not hold any more: after a restart their dots must not be
        known to slots that came back.  Until then they can be told to whoever lacks them."""
        for actor, numbers in self._keys.items():
            for n in [n for n, key in numbers.items() if is_gone(key)]:
                if (actor, n) not in self._off_disk:
                    self._off_disk.add((actor, n))
                    self._outbox.append(Record("log", log_row((actor, n)), None))

    def drop_below(self, low: Vector) -> None:
        """Drop the dots that every member has, some at a time."""
        room, self.is_behind = DROPPED_AT_ONCE_MAX, False
        for actor in list(self._keys):
            bound = low.get(actor, 0)
            if bound <= self._dropped_below.get(actor, 0):
                continue
            done = list(islice((n for n in self._keys[actor] if n <= bound), room + 1))
            for n in done[:room]:
                self._drop(actor, n)
            if len(done) <= room:
                self._dropped_below[actor] = bound
            else:
                self.is_behind = True
            room = max(0, room - len(done))

    def _drop(self, actor: Actor, n: int) -> None:
        del self._keys[actor][n]
        if not self._keys[actor]:
            del self._keys[actor]
        self.entries -= 1
        if (actor, n) in self._off_disk:
            self._off_disk.remove((actor, n))
        else:
            self._outbox.append(Record("log", log_row((actor, n)), None))
