"""Read repair: what a read has found is told to the owners that turned out to lack some of it.

A read that mends asks all owners that can be reached, and goes on for a moment after its client was
answered, until they have told what they hold.  Nobody waits for that, and whatever is lost on the
way is left to the next comparison.  (Dynamo, SOSP 2007, section 5; protocol D4.3.)
"""

from dataclasses import dataclass, field

from node.core.clock import Dot
from node.core.messages import Mend, State
from node.core.reading import Read
from node.core.siblings import Item, sync

LATE_S = 1.0  # so long after its answer a read takes note of what owners hold

Tells = list[tuple[str, Mend]]


@dataclass(slots=True)
class Finding:
    """What one read has found of a key, what each owner has said that it holds of it, and what it
    was told."""

    key: str
    item: Item
    owners: frozenset[str]
    holds: dict[str, set[Dot]]
    until: float
    told: dict[str, set[Dot]] = field(default_factory=dict)


class Mending:
    """The reads that were answered a moment ago; `address` is ours: we have taken all we were
    sent already."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._found: dict[int, Finding] = {}

    def begin(self, request: int, read: Read, now: float) -> Tells:
        """The read has been answered: tell those who have answered it with less."""
        owners = frozenset(read.owners) - {self._address}
        found = Finding(read.get.key, read.item, owners, read.holds, now + LATE_S)
        self._found[request] = found
        return self._told(found)

    def on_state(self, request: int, source: str, state: State) -> Tells:
        """An answer that comes late may lack something, or have what all others lack."""
        found = self._found.get(request)
        if found is None:
            return []
        found.item = sync(found.item, state.item)
        found.holds[source] = set(state.item.versions)
        return self._told(found)

    def key_of(self, request: int) -> str | None:
        """The key of a read that still takes note."""
        found = self._found.get(request)
        return found.key if found else None

    def _told(self, found: Finding) -> Tells:
        """Each owner is told the same once.  What nobody holds a version of is known by the past
        alone: repair knows of that, too."""
        whole, told = set(found.item.versions), found.told
        behind = [
            owner
            for owner, holds in found.holds.items()
            if whole and owner in found.owners and whole not in (holds, told.get(owner))
        ]
        told.update(dict.fromkeys(behind, whole))
        return [(owner, Mend(found.key, found.item)) for owner in behind]

    def forget(self) -> None:
        """What was found was found in another view."""
        self._found.clear()

    def tick(self, now: float) -> None:
        """Nobody takes note for ever."""
        for request in [r for r, found in self._found.items() if now >= found.until]:
            del self._found[request]
