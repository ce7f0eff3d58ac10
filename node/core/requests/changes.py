"""The changes that a holder tells a watch: the writes of some slots that a clock does not cover.

The log says which key each of them wrote.  Of most, the item still holds what was written; of some,
`Replaced` does.  If the log does not know one of them any more, all rows are looked at: a version
that the clock lacks is a change.  A write of which nothing is left, and that no watch can be told,
was replaced by one that is told.

Every dot of a slot's clock is in its key's item, or obsolete (I3).  So whoever has been told all
changes up to a clock of this holder lacks nothing that this clock covers, whichever holder is asked
for the next ones.
"""

from collections.abc import Mapping
from itertools import islice

from node.core.membership.services import Services
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Version
from node.core.model.keys import FIRST_PLAIN, slot_of_key
from node.core.model.options import Options
from node.core.model.slots import Slots, from_bytes, to_bytes
from node.core.protocol.effects import Damaged
from node.core.protocol.watching import ChangePage, FetchChanges, without_long_value
from node.core.requests.key_pages import names_in
from node.core.storage.keyspace import Keyspace
from node.core.storage.slot_groups import Part
from node.core.storage.written_since import NOT_HERE

NAMES_AT_ONCE = 32


class ChangeHolder:
    """A holder's side of watches."""

    def __init__(self, services: Services, options: Options) -> None:
        self._views, self._keyspace, self._step = services.views, services.store, services.step
        self._options = options

    def on_fetch_changes(self, source: str, fetch: FetchChanges) -> None:
        self._step.tell(source, self.page(fetch))

    def page(self, fetch: FetchChanges) -> ChangePage:
        """This node's page; of no slots if it holds none of them, or finds a damaged row."""
        self._keyspace.replaced.be_watched()
        slots = from_bytes(fetch.slots)
        part = next((part for part in self._keyspace.parts if part.slots & slots), None)
        if part is None:
            return ChangePage(fetch.request, fetch.turn)
        walk = _ChangeWalk(self._keyspace, fetch, part.slots & slots, self._options)
        try:
            walk.go(part)
        except Damaged as found:
            self._step.suspect(found)
            return ChangePage(fetch.request, fetch.turn)
        return ChangePage(
            fetch.request,
            fetch.turn,
            to_bytes(part.slots & slots),
            part.clock.copy(),
            tuple(sorted(part.complete_for)) if self._views.is_confirmed else (),
            walk.dots,
            walk.items,
            walk.replaced,
            walk.sizes,
            walk.upto,
            walk.next_key,
            walk.scanned,
            self._keyspace.replaced.kept_s,
        )


class _ChangeWalk:
    """What a page has; the fields are as those of `ChangePage`."""

    def __init__(
        self, keyspace: Keyspace, fetch: FetchChanges, slots: Slots, options: Options
    ) -> None:
        self._keyspace, self._fetch, self._slots = keyspace, fetch, slots
        self._options, self._bytes = options, 0
        self.dots: dict[Dot, str] = {}
        self.items: dict[str, Item] = {}
        self.replaced: dict[Dot, Version] = {}
        self.sizes: dict[Dot, int] = {}
        self.upto: DotClock | None = None
        self.next_key, self.scanned = "", False

    def go(self, part: Part) -> None:
        """Find the next changes of this part; raise Damaged."""
        known = self._fetch.clock
        if known is None:
            return
        if self._fetch.next_key or part.clock.oldest_view > known.oldest_view:
            self._scan(known)
            return
        missing = list(islice(part.clock.missing_from(known), self._options.page_dots_max + 1))
        keys = {dot: self._key_of(dot) for dot in missing}
        named = {dot: key for dot, key in keys.items() if key is not None}
        if len(named) < len(keys):
            self._scan(known)
        else:
            self._tell(known, named)

    def _key_of(self, dot: Dot) -> str | None:
        """The key that a dot wrote, or that it was none of these slots; None: not known."""
        log = self._keyspace.log
        if (key := log.recent_key_of(dot)) is not None:
            return key
        return NOT_HERE if log.is_outside(dot, self._slots) else None

    def _tell(self, known: DotClock, keys: Mapping[Dot, str]) -> None:
        """Tell the writes of these dots; stop where the page is full."""
        upto = known.copy()
        for number, (dot, key) in enumerate(keys.items()):
            if self._is_full() or number == self._options.page_dots_max:
                self.upto = upto
                return
            if self._is_wanted(key):
                self._add(dot, key)
            upto.add(dot)

    def _is_wanted(self, key: str) -> bool:
        fetch = self._fetch
        if key < max(fetch.start, FIRST_PLAIN) or (fetch.end and key >= fetch.end):
            return False  # of another prefix, of no slot that is asked for, a counter or a set
        return bool(self._slots >> slot_of_key(key) & 1)

    def _scan(self, known: DotClock) -> None:
        """Tell what the rows hold that this clock lacks, and what has left them of late."""
        self.scanned = True
        fetch = self._fetch
        start = fetch.next_key or fetch.start
        if not fetch.next_key:
            self._add_replaced(known)
        names = names_in(self._keyspace, self._slots, start, fetch.end, NAMES_AT_ONCE)
        for number, key in enumerate(names):
            if self._is_full() or number == self._options.page_dots_max:
                self.next_key = key
                return
            for dot in self._keyspace.item(key).versions:
                if not known.has(dot):
                    self._add(dot, key)

    def _add_replaced(self, known: DotClock) -> None:
        for dot in self._keyspace.replaced:
            gone = self._keyspace.replaced.get(dot)
            if gone is not None and not known.has(dot) and self._is_wanted(gone[0]):
                self._add(dot, gone[0])

    def _is_full(self) -> bool:
        return len(self.dots) >= self._options.page_rows or (
            self._bytes >= self._options.page_bytes_max
        )

    def _add(self, dot: Dot, key: str) -> None:
        self.dots[dot] = key
        if key not in self.items:
            item = self._keyspace.transfers.fill(key, self._keyspace.item(key))
            versions = {d: self._short(d, version) for d, version in item.versions.items()}
            self.items[key] = Item(versions, item.past)
            self._bytes += len(key)
        gone = self._keyspace.replaced.get(dot)
        if dot not in self.items[key].versions and gone is not None:
            _, self.replaced[dot], size = gone
            self._bytes += self.replaced[dot].size
            self.sizes.update({dot: size} if size else {})

    def _short(self, dot: Dot, version: Version) -> Version:
        short, size = without_long_value(version)
        if size:
            self.sizes[dot] = size
        self._bytes += short.size
        return short
