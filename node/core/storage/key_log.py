"""The log dot -> key: which key a dot wrote, kept until every member of the shard has the dot.

A holder finds in it the items that a peer lacks; a dot that it has dropped costs a full exchange.
A restart makes the clock from the one that was saved before entries were dropped, and these dots.
(protocol D5, D6; "Concise Server-Wide Causality Management", DAIS 2015.)
"""

from collections.abc import Callable, Iterable
from itertools import islice

from node.core.model.actors import Actor, view_of
from node.core.model.dots import Dot, Vector
from node.core.model.options import Options
from node.core.model.slots import Slots
from node.core.model.view import ViewId
from node.core.protocol.step import Step
from node.core.storage.row_scan import Scans


def log_row(dot: Dot) -> str:
    return f"{dot[0]}/{dot[1]:014x}"


class KeyLog:
    """Dots and their keys, per actor in the order they became known."""

    def __init__(self, step: Step, options: Options) -> None:
        self._step = step
        self._entries_max, self._outside_max = options.log_entries_max, options.log_outside_max
        self._dropped_max, self._page_rows = options.log_dropped_at_once_max, options.log_page_rows
        self._keys: dict[Actor, dict[int, str]] = {}
        self._off_disk: set[Dot] = set()
        self._outside: dict[Dot, Slots] = {}
        self._dropped_below: Vector = {}
        self._recent: dict[Dot, str] = {}
        self._recent_max = options.log_recent_max
        self.entries = 0
        self.is_behind = False  # whether the last `drop_below` has left some for the next

    def load(self, rows: Scans, note: Callable[[Dot, str], None]) -> None:
        """Read the log back, noting each dot and its key."""
        after: str | None = None
        while page := rows.scan("log", after, self._page_rows):
            for row, key in page:
                actor, _, n = row.rpartition("/")
                self._keys.setdefault(actor, {})[int(n, 16)] = key.decode()
                note((actor, int(n, 16)), key.decode())
                self.entries += 1
            after = page[-1][0]

    def add(self, dot: Dot, key: str) -> None:
        actor, n = dot
        keys = self._keys.setdefault(actor, {})
        if dot in self._off_disk:
            self._off_disk.remove(dot)
        elif n in keys:
            return
        else:
            keys[n] = key
            self.entries += 1
        if n <= self._dropped_below.get(actor, 0):
            self._dropped_below[actor] = n - 1
        self._step.record("log", log_row(dot), key.encode())

    def is_full(self) -> bool:
        return self.entries > self._entries_max

    def drop_oldest(self) -> None:
        """Make room: drop the oldest entries of the actor with most."""
        longest = max(self._keys, key=lambda actor: len(self._keys[actor]))
        for n in list(islice(self._keys[longest], self._dropped_max)):
            self._drop(longest, n)

    def key_of(self, dot: Dot) -> str | None:
        """The key this dot wrote; None when it has been dropped."""
        return self._keys.get(dot[0], {}).get(dot[1])

    def recent_key_of(self, dot: Dot) -> str | None:
        """The key this dot wrote, also for a while after it has been dropped."""
        return self.key_of(dot) or self._recent.get(dot)

    def note_outside(self, dots: Iterable[Dot], slots: Slots) -> None:
        """Note that these dots concern no key of these slots; which they wrote is not known."""
        self._outside.update(dict.fromkeys(dots, slots))
        while len(self._outside) > self._outside_max:
            del self._outside[next(iter(self._outside))]

    def is_outside(self, dot: Dot, slots: Slots) -> bool:
        """Whether this dot is known to concern none of these slots."""
        return not slots & ~self._outside.get(dot, 0)

    def has_below(self, low: Vector) -> bool:
        """Whether `drop_below` would find something to drop."""
        return any(low.get(a, 0) > self._dropped_below.get(a, 0) for a in self._keys)

    def bounds_below(self, view: ViewId) -> Vector:
        """The bounds by which `drop_below` drops all that was written in views below this one."""
        return {a: max(numbers) for a, numbers in self._keys.items() if view_of(a) < view}

    def take_off_disk(self, is_gone: Callable[[str], bool]) -> None:
        """Remove from the disk the entries of keys that this node holds no longer.  A restart must
        not give their dots to slots that came back; until then they are here for peers."""
        for actor, numbers in self._keys.items():
            for n in [n for n, key in numbers.items() if is_gone(key)]:
                if (actor, n) not in self._off_disk:
                    self._off_disk.add((actor, n))
                    self._step.record("log", log_row((actor, n)), None)

    def drop_off_disk(self) -> None:
        """Drop some of the entries that `take_off_disk` has removed from the disk: all owners have
        these dots, and no view is on its way in which one could lack them."""
        for dot in sorted(self._off_disk)[: self._dropped_max]:
            self._drop(*dot)

    def drop_below(self, low: Vector) -> None:
        """Drop the dots that every member has, some at a time."""
        room, self.is_behind = self._dropped_max, False
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
        self._recent[actor, n] = self._keys[actor].pop(n)
        if len(self._recent) > self._recent_max:
            del self._recent[next(iter(self._recent))]
        if not self._keys[actor]:
            del self._keys[actor]
        self.entries -= 1
        if (actor, n) in self._off_disk:
            self._off_disk.remove((actor, n))
        else:
            self._step.record("log", log_row((actor, n)), None)
