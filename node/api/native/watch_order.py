"""In which order a watch shows the writes that it has been told: causes before effects.

A watch asks all shards, and then asks them all again: each time is a *round*.  A write names what
it depends on, less the writes that all replicas had when it was made.  So there are two kinds of
causes:

* named ones: the write is held back while the clocks of the watch lack one of them;
* those that all replicas had before the write was made.  So they had them when the watch was told
  the write, and the answers of the next round have them.  The write is held back until then, and
  behind every write with a lower timestamp that came in that round or before: a cause always has a
  lower timestamp than its effects.

A write that waits for a named cause holds back no other write.  If it were a cause of that one, the
other one would name the same missing write, too, or all replicas would have that by now.

Example: an album (in shard 2) depends on its photo (in shard 1).

    round 1   shard 1 is asked, and has no photo yet.  The photo is written, all replicas get it,
              and the album is written, which need not name it.  Shard 2 is asked: the album comes
    round 2   shard 1 tells the photo; it came in round 2 and may have causes that come in round 3.
              The album waits behind it
    round 3   nothing comes: both are shown, the photo first
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from node.api.native.watch_position import Clocks
from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version, sync
from node.core.protocol.watching import Cause, KeyChange

CHANGE_BYTES = 500  # of a change that is held, beside its key, value and causes
CAUSE_BYTES = 120
FOREVER = float("inf")
NOTHING_LEFT = Version(None)  # stands for a write of a key that has left no trace


class Held(msgspec.Struct, frozen=True):
    """A change that is not shown yet, and the round in which it came."""

    change: KeyChange
    version: Version
    round: int
    size: int  # of its value, if that is too long to be here


class Shown(msgspec.Struct, frozen=True):
    """A change that is shown, and what its key holds, as far as that is shown by then."""

    change: KeyChange
    item: Item
    sizes: dict[Dot, int]  # of values that are too long to be here
    is_overwritten: bool = False  # nothing is known of it but its key


class Backlog:
    """The changes that are held.  Of overwritten ones nothing but the key is known: one is shown
    just before the first change that depends on it, or not at all if its key is shown first."""

    def __init__(self) -> None:
        self._held: dict[Dot, Held] = {}
        self._overwritten: dict[Dot, KeyChange] = {}
        self._items: dict[str, tuple[Item, dict[Dot, int]]] = {}
        self._keys = Counter[str]()  # how many changes of each key are held
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def dots(self) -> list[Dot]:
        """The writes that are held."""
        return [*self._held, *self._overwritten]

    def add(
        self,
        changes: Iterable[KeyChange],
        items: Mapping[str, Item],
        sizes: Mapping[Dot, int],
        number: int,
    ) -> None:
        """Hold these, which came in the round of this number; `items` are what their keys hold, and
        `sizes` of what that leaves out."""
        for change in changes:
            version = change.version
            if version is None and not items[change.key].versions:
                version = NOTHING_LEFT
            if change.dot in self._held or change.dot in self._overwritten:
                continue
            if version is None:
                self._overwritten[change.dot] = change
            else:
                size = sizes.get(change.dot, 0)
                self._held[change.dot] = Held(change, version, number, size)
            self._keys[change.key] += 1
            self.bytes += _bytes_of(change)
        for key, item in items.items():
            if self._keys[key]:
                known, long = self._items.get(key, (Item(), {}))
                long |= {dot: sizes[dot] for dot in item.versions if dot in sizes}
                self._items[key] = sync(known, item), long

    def ready(self, clocks: Clocks, number: int) -> Iterator[Shown]:
        """Give away what may be shown after the round of this number; `clocks` say what has been
        told by then."""
        order = sorted(
            self._held.values(), key=lambda each: (each.version.timestamp, each.change.dot)
        )
        lacking = self._lacking(order, clocks)
        first_stuck = FOREVER
        for held in order:
            change = held.change
            if change.dot in lacking:
                continue
            is_early = held.round >= number or first_stuck <= held.round + 1
            if is_early or self._waits_for_held(change):
                first_stuck = min(first_stuck, held.round)
                continue
            yield from self._overwritten_before(change)
            yield self._shown(held)

    def _lacking(self, order: list[Held], clocks: Clocks) -> set[Dot]:
        """The changes with a cause that has not come, or that waits for one itself."""
        lacking: set[Dot] = set()
        for held in order:
            for cause in held.change.causes:
                if not clocks.covers(cause) or any(_is_of(dot, cause) for dot in lacking):
                    lacking.add(held.change.dot)
                    break
        return lacking

    def _waits_for_held(self, change: KeyChange) -> bool:
        """Whether a cause of it is held."""
        for cause in change.causes:
            if not cause.is_floor:
                if (cause.actor, cause.n) in self._held:
                    return True
            elif any(_is_of(dot, cause) and dot != change.dot for dot in self._held):
                return True
        return False

    def _overwritten_before(self, change: KeyChange) -> Iterator[Shown]:
        if not self._overwritten:
            return
        for dot, gone in list(self._overwritten.items()):
            if any(_is_of(dot, cause) for cause in change.causes) and gone.key != change.key:
                self._forget(gone)
                yield Shown(gone, Item(), {}, is_overwritten=True)

    def _shown(self, held: Held) -> Shown:
        change = held.change
        item, sizes = self._items.get(change.key, (Item(), {}))
        for gone in [each for each in self._overwritten.values() if each.key == change.key]:
            self._forget(gone)
        self._forget(change)
        versions = {dot: v for dot, v in item.versions.items() if dot not in self._held}
        if change.version is not None and change.dot not in versions:
            earlier = change.version.timestamp
            versions = {dot: v for dot, v in versions.items() if v.timestamp < earlier}
            versions[change.dot] = change.version
        sizes = {**sizes, change.dot: held.size}
        is_whole = len(versions) == len(item.versions) and change.dot in item.versions
        past = item.past if is_whole else Past()  # it knows that what is held has replaced the rest
        return Shown(change, Item(versions, past), sizes)

    def _forget(self, change: KeyChange) -> None:
        """Hold this no longer."""
        self._held.pop(change.dot, None)
        self._overwritten.pop(change.dot, None)
        self.bytes -= _bytes_of(change)
        self._keys[change.key] -= 1
        if not self._keys[change.key]:
            del self._keys[change.key]
            self._items.pop(change.key, None)


def _is_of(dot: Dot, cause: Cause) -> bool:
    """Whether this write is one of those."""
    actor, n = dot
    return actor == cause.actor and (n <= cause.n if cause.is_floor else n == cause.n)


def _bytes_of(change: KeyChange) -> int:
    size = change.version.size if change.version is not None else 0
    return CHANGE_BYTES + len(change.key) + size + CAUSE_BYTES * len(change.causes)
