"""Compare the content of this node's slots with its shard peers', when nothing is on its way.

The law: two owners of the same slots with equal clocks hold the same versions, unless one of them
has something open there (a delete mark, or a past beyond the clock).  For each dot of a clock is in
the versions or obsolete (I3), and what made it obsolete is a dot of the clock, too.  So a `Compare`
brings a hash of the content; different hashes beside equal clocks mean that a disk has lost some of
it.  It is this node's disk if all shard peers have one hash, and this node another.  With only one
shard peer this node adds the versions that the peer has, and drops none of its own.  The node finds
the difference by halving the slots: the answer to a `Pull` says whether both have the same hash.

Example: n1, n2 and n3 own slots 0 to 3, all with the clock {a: 9}, and n1's disk drops the row of x
in slot 2.  The scrub of n1 finds the sum of slot 2 short, and n1's hash becomes that of its rows.

    n2 and n3 say hash h    n1 has g: they agree against n1.  n1 waits for SURE_S.
    they say h again        n1 begins: it asks n2 for slots 0 and 1, with its own hash of these
    n2: `SamePage`          n1 asks for slots 2 and 3
    n2: `ItemPage`          the hashes differ (it has no items, since no dot is missing): n1 asks
                            for slot 2, this time for all rows
    n2: `RowPage` with x    n1 lacks the version of x and writes the row again; then it asks for
                            slot 3, finds no difference, and the search is over
    meanwhile               n2 hears g from n1 and h from n3: its peers differ, so it begins nothing

(docs/decisions/0020.)
"""

from collections.abc import Iterator

import msgspec

from node.core.integrity.row_repair import RowRepair
from node.core.membership.services import Services
from node.core.model.dots import DotClock
from node.core.model.item import Item, covering
from node.core.model.keys import key_of, row_of
from node.core.model.slots import Slots, each_of, from_bytes, to_bytes
from node.core.protocol.effects import Damaged
from node.core.protocol.messages import Compare, Page, Pull, RowPage, SamePage, SlotSummary
from node.core.protocol.pieces import Pieces
from node.core.replication.sync_pages import made_whole
from node.core.storage.keyspace import ITEMS
from node.core.storage.slot_groups import Part

SURE_S = 2.0  # a difference counts if it has lasted so long
PATIENCE_S = 2.0  # for a page; then the search is given up, until the next comparison
FIRST_ROW = ""


class Search(msgspec.Struct):
    """The search for a difference from one shard peer: `asked` are the slots in question, `left`
    those to come.  Of a single slot all rows are compared; `after` is the last one so far."""

    shard_peer: str
    number: int
    clock: DotClock
    left: list[Slots]
    asked: Slots = 0
    at: float = 0.0
    after: str = FIRST_ROW
    pieces: Pieces = msgspec.field(default_factory=Pieces)


class ContentCompare:
    """Compares one node with its shard peers; `unequal` names those that differ."""

    def __init__(self, services: Services, row_repair: RowRepair) -> None:
        self._views, self._step, self._row_repair = services.views, services.step, row_repair
        self._keyspace, self._repair = services.store, services.peers
        self.unequal: dict[str, float] = {}  # shard peer -> since when
        self._last: dict[str, list[SlotSummary]] = {}
        self._search: Search | None = None

    def content(self, part: Part) -> bytes:
        """The hash of a part's content, to be told with its clock; empty while equal clocks do not
        imply equal hashes."""
        keyspace = self._keyspace
        is_calm = self._row_repair.is_idle and not self._search and self._is_closed()
        return keyspace.content_hashes.of(part.slots) if is_calm and part.answers else b""

    def _is_closed(self) -> bool:
        keyspace = self._keyspace
        is_open = keyspace.open_keys.unsettled or keyspace.parts.withheld or keyspace.cleanup.slots
        return not (is_open or keyspace.transfers) and keyspace.content_hashes.is_whole

    # ---- comparing
    def on_compare(self, source: str, compare: Compare) -> None:
        """Compare a shard peer's hashes with this node's; search if all peers agree against it."""
        if source not in self._repair.shard_peers:
            return
        self._last[source] = compare.summaries
        equal: set[str] = set()
        unequal: set[str] = set()
        for part in self._keyspace.parts.owned():
            mine = self.content(part)
            theirs = {f: self._said_of(part, f) for f in self._repair.shard_peers} if mine else {}
            equal.update(f for f, content in theirs.items() if content == mine)
            unequal.update(f for f, content in theirs.items() if content not in (mine, b""))
            agreed = set(theirs.values())
            if len(agreed) == 1 and not agreed & {mine, b""}:
                self._begin(part)
        for shard_peer in equal - unequal:
            self.unequal.pop(shard_peer, None)
        for shard_peer in sorted(unequal):
            self.unequal.setdefault(shard_peer, self._step.now)

    def _said_of(self, part: Part, shard_peer: str) -> bytes:
        """The hash that a shard peer has told of the same slots and the same clock; or nothing."""
        for held in self._last.get(shard_peer, ()):
            if held.content and held.clock == part.clock and from_bytes(held.slots) == part.slots:
                return held.content
        return b""

    def _begin(self, part: Part) -> None:
        """Begin a search, if the difference has lasted: all shard peers agree against this node."""
        shard_peer, now = self._repair.shard_peers[0], self._step.now
        if now - self.unequal.get(shard_peer, now) < SURE_S or self._search is not None:
            return
        number = self._repair.numbers.next(now)
        self._search = Search(shard_peer, number, part.clock.copy(), list(_halves(part.slots)))
        self._ask(self._search)

    # ---- searching
    def _ask(self, search: Search) -> None:
        """Ask for the next slots in question; end the search if none are left."""
        if not search.asked:
            if not search.left:
                self._search = None
                return
            search.asked = search.left.pop()
        search.at = self._step.now
        slots, after = search.asked, search.after if search.asked.bit_count() == 1 else None
        content = self._keyspace.content_hashes.of(slots)
        self._step.ask(
            search.shard_peer,
            Pull(
                search.number, self._views.node_id, to_bytes(slots), search.clock, None, after,
                content, search.pieces.have(search.shard_peer),
            ),
        )  # fmt: skip

    def on_page(self, source: str, page: Page) -> None:
        """Go on with the search, if this page answers it (`Repair` has not asked for the page)."""
        search = self._search
        if search is None or (source, page.exchange) != (search.shard_peer, search.number):
            return
        slots = from_bytes(page.slots)
        parts = [part for part in self._keyspace.parts.owned() if part.slots & slots]
        clocks = [page.snapshot, *(part.clock for part in parts)]
        is_single = search.asked.bit_count() == 1
        after = page.after if isinstance(page, RowPage) else FIRST_ROW
        is_next = slots == search.asked and after == search.after
        is_sound = is_next and isinstance(page, RowPage) == is_single and self._is_closed()
        if not is_sound or any(clock != search.clock for clock in clocks):
            self._search = None  # something has changed: the next comparison begins anew
            return
        whole = made_whole(search.pieces, source, page, self._versions_of)
        if whole is None:
            self._ask(search)
            return
        if isinstance(whole, RowPage):
            self._take_rows(whole, source)
            search.after = whole.upto or FIRST_ROW
        elif not isinstance(whole, SamePage):
            search.left += _halves(slots)
        if page.last or not is_single:
            search.asked, search.after = 0, FIRST_ROW
        self._ask(search)

    def _versions_of(self, key: str) -> Item:
        """The versions in this node's row, without a past: here the clock may claim too much."""
        try:
            return Item(self._keyspace.item(key).versions)
        except Damaged as found:  # all of the item comes from the other
            self._step.suspect(found)
            return Item()

    def _take_rows(self, page: RowPage, source: str) -> None:
        """Write the rows in which a shard peer has a version that this node has lost."""
        rows = {key_of(row): ITEMS.decode(blob) for row, blob in page.rows.items()}
        for key, item in {**rows, **page.items}.items():
            try:
                mine = self._keyspace.item(key)
            except Damaged as found:  # go on with the other keys
                self._step.suspect(found)
                continue
            if item.versions.keys() <= mine.versions.keys():
                continue
            kept = mine.versions if len(self._repair.shard_peers) == 1 else {}
            whole = covering(item, item.past.with_all(page.base))
            past = whole.past.naming(mine.past.namings)
            self._keyspace.rewrite(key, Item({**kept, **whole.versions}, past))
            self._row_repair.on_missing(row_of(key), source)

    def tick(self) -> None:
        """Give the search up if the shard peer does not answer."""
        if self._search is not None and self._step.now - self._search.at > PATIENCE_S:
            self._search = None

    def on_view(self) -> None:
        """Begin a view: forget what shard peers said in the last one."""
        self._last, self.unequal, self._search = {}, {}, None


def _halves(slots: Slots) -> Iterator[Slots]:
    """The two halves of a set of slots; a single slot is one half."""
    each = each_of(slots)
    middle = len(each) // 2
    for half in (each[middle:], each[:middle]):
        if half:
            yield sum(1 << slot for slot in half)
