"""How long this replica remembers the names of replaced writes.

Those that clients have named for ten minutes; those that origins have named until the origin says
that they are settled.  What origins say is in memory alone: after a restart this node remembers
more, until it is told again, or the names are a day older than ten minutes: clocks may be apart
(`drawn_identity.apart_ms`).  (docs/decisions/0041, 0049.)
"""

from collections import OrderedDict

from node.core.model.drawn_identity import APART_MS, Settled, is_drawn, run_and_number
from node.core.model.item import Item, Past, namings_of

REPEATED_WITHIN_MS = 600_000  # so long a write may be sent again
ORIGINS_MAX = 256  # runs of origins; with one more, the one that was silent for longest goes
NAMES_MAX = 256  # of one key that are not settled; with one more, the oldest goes


class RememberedNames:
    """By run of an origin, the most that it has said of the identities that it has drawn."""

    def __init__(self) -> None:
        self._told = OrderedDict[str, Settled]()

    def take_settled(self, settled: Settled | None) -> None:
        """Take over what an origin says, unless a later message was faster."""
        if settled is None:
            return
        known = self._told.get(settled.run)
        if known is None or settled.below >= known.below:
            self._told[settled.run] = settled
            self._told.move_to_end(settled.run)
            if len(self._told) > ORIGINS_MAX:
                self._told.popitem(last=False)

    def kept(self, item: Item, now_ms: float) -> Item:
        """The item without the names that are not needed any more."""
        if not item.past.namings:  # nearly always
            return item
        item = item.remembering(now_ms - REPEATED_WITHIN_MS)
        past = item.past
        drawn = [identity for identity in past.namings if is_drawn(identity)]
        if not drawn:
            return item
        open_ = [identity for identity in drawn if not self._has(identity)]
        open_.sort(key=lambda identity: past.namings[identity].rank)
        gone = {*drawn}.difference(open_[-NAMES_MAX:])
        kept = {i: naming for i, naming in past.namings.items() if i not in gone}
        return Item(item.versions, Past(past.base, past.loose, past.oldest_view, kept))

    def seen(self, item: Item, now_ms: float) -> Past:
        """What a reader of this item has seen, with the names of versions that may get a second
        one: so a write with this context replaces that one, too."""
        since_ms = now_ms - REPEATED_WITHIN_MS - APART_MS
        open_ = {
            dot: version
            for dot, version in item.versions.items()
            if is_drawn(version.identity)
            and version.timestamp[0] > since_ms
            and not self._has(version.identity)
        }
        return item.past.naming(namings_of(open_)) if open_ else item.past

    def is_settled(self, identity: str) -> bool:
        """Whether an origin has drawn this identity, and no second name of its write can come."""
        return is_drawn(identity) and self._has(identity)

    def _has(self, identity: str) -> bool:
        run, number = run_and_number(identity)
        told = self._told.get(run)
        return told is not None and told.has(number)
