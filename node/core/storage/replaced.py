"""Writes that have left their items a moment ago: replaced versions, and pruned delete marks.

An item tells what its key holds now.  A watch tells each write, so it also wants those that others
have replaced before it has seen them, and the deletes whose marks are gone.  This is in memory and
bounded.  Replaced versions are kept only while some watch asks this node; marks always, since a
watch that comes back has to know whether it can have missed a delete: not if it was away for less
than `kept_s`.
"""

from collections.abc import Iterator

from node.core.model.dots import Dot
from node.core.model.item import Item, Version
from node.core.model.options import Options
from node.core.protocol.step import Step
from node.core.protocol.watching import without_long_value

WATCHED_S = 60.0  # so long after it was asked a node keeps what is replaced
OVERHEAD_BYTES = 400  # of an entry, beside its key and value

Gone = tuple[str, Version, int]  # its key, what was written, and the size of a value left out


class Replaced:
    """What has left the items of this replica."""

    def __init__(self, step: Step, options: Options) -> None:
        self._step = step
        self._bytes_max, self._marks_max = options.replaced_bytes_max, options.gone_marks_max
        self._versions: dict[Dot, Gone] = {}
        self._marks: dict[Dot, tuple[str, Version, float]] = {}
        self._bytes, self._watched_until = 0, 0.0
        self._since: float | None = None  # the first moment from which on all marks are here

    def begin(self) -> None:
        """Take note that this replica has begun, in some step; what left its items before is not
        known."""
        if self._since is None:
            self._since = self._step.now

    def be_watched(self) -> None:
        """Take note that a watch asks."""
        self._watched_until = self._step.now + WATCHED_S

    @property
    def kept_s(self) -> float:
        """For how long all marks that have gone are still here."""
        return self._step.now - self._since if self._since is not None else 0.0

    def note(self, key: str, before: Item, after: Item) -> None:
        """Keep what a key held before and holds no longer."""
        for dot, version in before.versions.items():
            if dot in after.versions:
                continue
            if version.value is None:
                self._note_mark(dot, key, version)
            elif self._step.now < self._watched_until:
                self._note_version(dot, key, version)

    def _note_mark(self, dot: Dot, key: str, mark: Version) -> None:
        self._marks[dot] = key, mark, self._step.now
        if len(self._marks) > self._marks_max:
            oldest = next(iter(self._marks))
            self._since = self._marks.pop(oldest)[2]

    def _note_version(self, dot: Dot, key: str, version: Version) -> None:
        short, size = without_long_value(version)
        self._versions[dot] = key, short, size
        self._bytes += _bytes_of(key, short)
        while self._bytes > self._bytes_max:
            oldest_key, oldest, _ = self._versions.pop(next(iter(self._versions)))
            self._bytes -= _bytes_of(oldest_key, oldest)

    def get(self, dot: Dot) -> Gone | None:
        """A write that has left its item."""
        mark = self._marks.get(dot)
        return (*mark[:2], 0) if mark else self._versions.get(dot)

    def __iter__(self) -> Iterator[Dot]:
        return iter((*self._marks, *self._versions))


def _bytes_of(key: str, version: Version) -> int:
    return OVERHEAD_BYTES + len(key) + version.size
