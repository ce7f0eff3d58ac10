"""Read repair: the origin of a read tells owners the versions that they turned out to lack.

A read that repairs asks all owners that can be reached.  After its client was answered it takes
further states into account for a moment.  No request waits for these messages; if one is lost, the
next comparison makes up for it.  (Dynamo, SOSP 2007, section 5; protocol D4.3.)
"""

import msgspec

from node.core.model.dots import Dot
from node.core.model.item import Item, sync
from node.core.protocol.messages import ReadRepair, State
from node.core.protocol.pieces import piece_of, whole_of
from node.core.requests.reading import Read

LATE_S = 1.0  # so long after its answer a read takes note of what owners hold

Tells = list[tuple[str, ReadRepair]]


class AnsweredRead(msgspec.Struct):
    """What one read has found of a key, which versions each owner has said that it holds, and which
    versions it was told."""

    key: str
    item: Item
    owners: frozenset[str]
    holds: dict[str, set[Dot]]
    until: float
    sent_to: dict[str, set[Dot]] = msgspec.field(default_factory=dict)


class ReadRepairs:
    """The reads that were answered a moment ago.  `address` is ours: this node has merged the
    states already, so it tells itself nothing.  If an item is larger than `bytes_max`, an owner is
    told only what it lacks."""

    def __init__(self, address: str, bytes_max: int) -> None:
        self._address, self._bytes_max = address, bytes_max
        self._found: dict[int, AnsweredRead] = {}

    def begin(self, request: int, read: Read, now: float) -> Tells:
        """Begin after the answer: tell each owner what its state lacked."""
        owners = frozenset(read.owners) - {self._address}
        found = AnsweredRead(read.get.key, read.item, owners, read.holds, now + LATE_S)
        self._found[request] = found
        return self._told(found)

    def on_state(self, request: int, source: str, state: State) -> Tells:
        """Take in a state that comes after the answer: it may lack something, or have what all
        others lack."""
        found = self._found.get(request)
        if found is None:
            return []
        item = whole_of(state.item, state.rest, {}, found.item)
        if item is None:  # the origin does not ask for the rest of a large item now
            return []
        found.item = sync(found.item, item)
        found.holds[source] = {*state.item.versions, *state.rest}
        return self._told(found)

    def key_of(self, request: int) -> str | None:
        """The key of a read that still takes states into account; None for others."""
        found = self._found.get(request)
        return found.key if found else None

    def _told(self, found: AnsweredRead) -> Tells:
        """The messages to owners that lack a version.  Each owner is told the same versions once.
        Where versions were replaced and only the past says so, the next comparison brings it."""
        whole, sent_to = set(found.item.versions), found.sent_to
        behind = [
            owner
            for owner, holds in found.holds.items()
            if whole and owner in found.owners and whole not in (holds, sent_to.get(owner))
        ]
        sent_to.update(dict.fromkeys(behind, whole))
        return [(owner, self._repair(found, owner)) for owner in behind]

    def _repair(self, found: AnsweredRead, owner: str) -> ReadRepair:
        return ReadRepair(found.key, *piece_of(found.item, found.holds[owner], self._bytes_max))

    def forget(self) -> None:
        """Forget all reads: their owners were those of another view."""
        self._found.clear()

    def tick(self, now: float) -> None:
        """Forget the reads whose time is over."""
        for request in [r for r, found in self._found.items() if now >= found.until]:
            del self._found[request]
