"""Comparing what fellows hold with what we hold, when nothing is on its way.

The law: two owners of the same slots whose clocks of them are equal hold the same versions, as long
as neither has anything open there (a delete mark, or a past beyond the clock): each dot of a clock
is in the versions or obsolete (I3), and what made it obsolete is a dot of the clock, too.  So each
`Compare` brings the hash of what it speaks of, and hashes that differ beside equal clocks mean that
a disk has lost something.  Whose?  Ours, if all fellows agree against us.  A single fellow is
believed in what it has, and not in what it lacks: nothing is lost by that.  Where the difference
lies is found by halving, with pulls: a page says whether the hash of its slots is the same.
(docs/decisions/0020.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

from node.core.clock import Clock
from node.core.effects import Damaged
from node.core.healing import Healing
from node.core.keyspace import ITEMS, Keyspace
from node.core.messages import Compare, Holding, Page, Pull
from node.core.moving import Moving
from node.core.parts import Part, Slots, each_of, from_bytes, to_bytes
from node.core.repair import Repair
from node.core.siblings import Item, covering
from node.core.turn import Numbers, Turn
from node.core.walk import key_of, row_of

SURE_S = 2.0  # a difference that is gone before that was none
PATIENCE_S = 2.0  # for a page; then the search is given up, until the next comparison
FIRST_ROW = ""


@dataclass(slots=True)
class Search:
    """Where a fellow has something else: `asked` are the slots in question, `left` those to come;
    of a single one all rows are looked at, up to now those up to `after`."""

    fellow: str
    number: int
    clock: Clock
    left: list[Slots]
    asked: Slots = 0
    at: float = 0.0
    after: str = FIRST_ROW


class Weighing:
    """Comparisons of one node with its fellows; `unequal` are those that were found to differ."""

    def __init__(
        self, moving: Moving, rooms: tuple[Turn, Keyspace, Repair], healing: Healing
    ) -> None:
        self._moving, self._healing = moving, healing
        self._turn, self._keyspace, self._repair = rooms
        self.unequal: dict[str, float] = {}  # fellow -> since when
        self._last: dict[str, list[Holding]] = {}
        self._search: Search | None = None
        self._numbers = Numbers()

    def content(self, part: Part) -> bytes:
        """The hash of what is held of a part, to be told with its clock; nothing where equal clocks
        would not mean equal hashes."""
        keyspace = self._keyspace
        is_calm = self._healing.is_idle and not self._search and self._is_closed()
        return keyspace.digests.of(part.slots) if is_calm and part.answers else b""

    def _is_closed(self) -> bool:
        keyspace = self._keyspace
        is_open = keyspace.open_keys or keyspace.parts.withheld or keyspace.swept.slots
        return not (is_open or keyspace.reached) and keyspace.digests.is_whole

    # ---- comparing
    def on_compare(self, source: str, compare: Compare) -> None:
        """A fellow has said what it holds: see who differs from whom."""
        if source not in self._repair.fellows:
            return
        self._last[source] = compare.holdings
        equal: set[str] = set()
        unequal: set[str] = set()
        for part in self._keyspace.parts.owned():
            mine = self.content(part)
            theirs = {f: self._said_of(part, f) for f in self._repair.fellows} if mine else {}
            equal.update(f for f, content in theirs.items() if content == mine)
            unequal.update(f for f, content in theirs.items() if content not in (mine, b""))
            agreed = set(theirs.values())
            if len(agreed) == 1 and not agreed & {mine, b""}:
                self._begin(part)
        for fellow in equal - unequal:
            self.unequal.pop(fellow, None)
        for fellow in sorted(unequal):
            self.unequal.setdefault(fellow, self._turn.now)

    def _said_of(self, part: Part, fellow: str) -> bytes:
        """The hash that a fellow has of the same slots by the same clock."""
        for held in self._last.get(fellow, ()):
            if held.content and held.clock == part.clock and from_bytes(held.slots) == part.slots:
                return held.content
        return b""

    def _begin(self, part: Part) -> None:
        """All fellows agree against us; look for the difference, if it has lasted."""
        fellow, now = self._repair.fellows[0], self._turn.now
        if now - self.unequal.get(fellow, now) < SURE_S or self._search is not None:
            return
        number = -self._numbers.next(now)
        self._search = Search(fellow, number, part.clock.copy(), list(_halves(part.slots)))
        self._ask(self._search)

    # ---- searching
    def _ask(self, search: Search) -> None:
        """The next slots in question, unless that was all."""
        if not search.asked:
            if not search.left:
                self._search = None
                return
            search.asked = search.left.pop()
        search.at = self._turn.now
        slots, after = search.asked, search.after if search.asked.bit_count() == 1 else None
        content = self._keyspace.digests.of(slots)
        self._turn.ask(
            search.fellow,
            Pull(
                search.number, self._moving.node_id, to_bytes(slots), search.clock, None, after,
                content,
            ),
        )  # fmt: skip

    def on_page(self, source: str, page: Page) -> None:
        """A page that repair has not asked for."""
        search = self._search
        if search is None or (source, page.exchange) != (search.fellow, search.number):
            return
        slots = from_bytes(page.slots)
        parts = [part for part in self._keyspace.parts.owned() if part.slots & slots]
        clocks = [page.snapshot, *(part.clock for part in parts)]
        is_single = search.asked.bit_count() == 1
        is_next = slots == search.asked and (page.after or FIRST_ROW) == search.after
        is_sound = is_next and page.full == is_single and self._is_closed()
        if not is_sound or any(clock != search.clock for clock in clocks):
            self._search = None  # something has changed; the next comparison tells
            return
        if is_single:
            self._take_rows(page, source)
            search.after = page.upto or FIRST_ROW
        elif not page.same:
            search.left += _halves(slots)
        if page.last or not is_single:
            search.asked, search.after = 0, FIRST_ROW
        self._ask(search)

    def _take_rows(self, page: Page, source: str) -> None:
        """What a fellow has of one slot; our clock says that we have it, too."""
        rows = {key_of(row): ITEMS.decode(blob) for row, blob in page.rows.items()}
        for key, item in {**rows, **page.items}.items():
            try:
                mine = self._keyspace.item(key)
            except Damaged as found:
                self._turn.suspect(found)
                continue
            if item.versions.keys() <= mine.versions.keys():
                continue
            kept = mine.versions if len(self._repair.fellows) == 1 else {}
            whole = covering(item, item.past.with_all(page.base))
            self._keyspace.rewrite(key, Item({**kept, **whole.versions}, whole.past))
            self._healing.on_missing(row_of(key), source)

    def tick(self) -> None:
        """Who does not answer is not waited for."""
        if self._search is not None and self._turn.now - self._search.at > PATIENCE_S:
            self._search = None

    def enter(self) -> None:
        """Another view: nothing that was said counts any more."""
        self._last, self.unequal, self._search = {}, {}, None


def _halves(slots: Slots) -> Iterator[Slots]:
    """A set of slots in two; a single one is whole."""
    each = each_of(slots)
    middle = len(each) // 2
    for half in (each[middle:], each[:middle]):
        if half:
            yield sum(1 << slot for slot in half)
