"""Lists of the keys of any slots, in the order of keys, page by page.

    begin          the origin looks at its own store, or asks a holder for a page of these slots
    on_fetch_keys  a holder answers from its own store
    on_key_page    the page comes; the origin answers its client, or asks one more holder
    tick           time passes: ask one more, ask all again, give up

A page is the list of a holder's live keys up to some key, and says for which slots the holder's
store is whole, by which views.  The origin needs each slot from stores that are whole for the
current view and for each that led to it, as a read does (D10 R5).  Usually one holder has all of
it.  While slots move, the list is the union of several pages as far as all of them reach.

Example: n4 has become the owner of slot 7 and has not pulled it yet.  Its page is whole for view 2;
n1, which owned the slot in view 1, gives a page that is whole for view 1.  The union has every key
that was written in either view.  A key that n4 has deleted meanwhile is still in the page of n1:
the list is not `certain`, and the client's node reads its keys.

The walk reads names alone, slot by slot, and the items of those keys that it may list.
"""

from collections.abc import Iterable, Iterator
from heapq import merge

import msgspec

from node.core.membership.services import Services
from node.core.model.dots import Dot, covered_by
from node.core.model.item import Item
from node.core.model.keys import FIRST_PLAIN, NAMES, KeyHash, Slot, key_hash_of
from node.core.model.slots import Slots, each_of, from_bytes, to_bytes
from node.core.model.token import Token
from node.core.protocol.effects import Damaged
from node.core.protocol.key_pages import FetchKeys, KeyPage
from node.core.protocol.messages import Epoch
from node.core.protocol.operations import KeysListed, ListKeys, Outcome, Unavailable, Unmet
from node.core.protocol.pieces import bytes_of
from node.core.requests.coverage import Missing, missing_in
from node.core.requests.reading import ASK_AGAIN_S, UNREACHABLE_S
from node.core.storage.keyspace import Keyspace

LOOKED_AT_MAX = 2048  # keys, for one page: some are deleted
PAGE_BYTES_MAX = 4 * 1024 * 1024  # of the items that are read for one page
BEHIND_SLOT = "0"  # follows the slash behind a slot's name


class Listing(msgspec.Struct):
    """One list under way: the holders that were asked, and the pages that have come."""

    wanted: ListKeys
    started: float
    epoch: Epoch
    asked: dict[str, float] = msgspec.field(default_factory=dict)
    pages: dict[str, KeyPage] = msgspec.field(default_factory=dict)

    def begin_again(self, epoch: Epoch) -> None:
        """Forget all pages: they are of another view, or were not enough."""
        self.epoch = epoch
        self.asked.clear()
        self.pages.clear()


class KeyPages:
    """The lists of this node's clients, and the pages that it gives to other nodes.
    `under_way`: the lists that still wait."""

    def __init__(self, services: Services) -> None:
        self._views, self._keyspace, self._step = services.views, services.store, services.step
        self._detector = services.detector
        self.under_way = self._listings = dict[int, Listing]()

    # ------------------------------------------------------------------ the origin
    def begin(self, request: int, wanted: ListKeys) -> None:
        self._step.serve()
        if not wanted.slots:  # of a shard that owns none
            self._step.reply(request, KeysListed([], "", wanted.token))
            return
        self._listings[request] = Listing(wanted, self._step.now, self._views.epoch)
        self._go_on(request)

    def on_key_page(self, source: str, page: KeyPage) -> None:
        listing = self._listings.get(page.request)
        if listing is not None:
            self._renew(listing)
            listing.pages[source] = page
            self._go_on(page.request)

    def _renew(self, listing: Listing) -> None:
        """Forget the pages of another view or oldest view: what is whole by one may lack what the
        stores of the other have."""
        if listing.epoch != self._views.epoch:
            listing.begin_again(self._views.epoch)

    def tick(self) -> None:
        now = self._step.now
        for request, listing in list(self._listings.items()):
            self._renew(listing)
            if not listing.asked:
                self._go_on(request)
            elif now - max(listing.asked.values(), default=listing.started) >= ASK_AGAIN_S:
                self._ask_next(request, listing, is_late=True)
            if request in self._listings:
                self._give_up(request, listing)

    def _go_on(self, request: int) -> None:
        """Answer, or ask one more holder unless one has yet to answer."""
        listing = self._listings[request]
        outcome = self._outcome(listing)
        if outcome is not None:
            del self._listings[request]
            self._step.reply(request, outcome)
        elif listing.asked.keys() <= listing.pages.keys():
            self._ask_next(request, listing)

    def _ask_next(self, request: int, listing: Listing, *, is_late: bool = False) -> None:
        holder = self._next_holder(request, listing)
        if holder is None and is_late:  # what they have may be more by now
            listing.begin_again(listing.epoch)
            holder = self._next_holder(request, listing)
        if holder is None:
            return
        listing.asked[holder] = self._step.now
        wanted = listing.wanted
        fetch = FetchKeys(
            request, to_bytes(wanted.slots), wanted.start, wanted.end, wanted.limit, wanted.token
        )
        if holder == self._views.address:
            listing.pages[holder] = self._page(fetch)
            self._go_on(request)
        else:
            self._step.ask(holder, fetch)

    def _next_holder(self, request: int, listing: Listing) -> str | None:
        """A node that can be reached, was not asked, and may hold what the pages lack."""
        lacking = self._lacking(listing.pages.values(), listing.wanted.slots)
        if not lacking:  # the slots are whole, and writes that the token names are missing
            lacking = listing.wanted.slots
        tried: set[tuple[str, ...]] = set()
        for slot in each_of(lacking):
            holders = self._holders(request, slot)
            if holders in tried:
                continue
            tried.add(holders)
            for holder in holders:
                is_fresh = holder not in listing.asked
                if is_fresh and self._detector.reachable(holder, self._step.now):
                    return holder
        return None

    def _holders(self, request: int, slot: Slot) -> tuple[str, ...]:
        """The nodes that may hold a slot, in the order in which they are asked."""
        view, history = self._views.view, self._views.history
        owners = view.asked_by(self._views.address, slot, request)
        return tuple(dict.fromkeys((*owners, *history.owners(slot))))

    def _lacking(self, pages: Iterable[KeyPage], slots: Slots) -> Slots:
        """The slots that are not whole in these pages, for each view that counts."""
        lacking = 0
        for view in self._views.history.need():
            left = slots
            for page in pages:
                left &= ~page.slots_complete_for(view)
            lacking |= left
        return lacking

    def _outcome(self, listing: Listing) -> KeysListed | None:
        """The list by the pages that have come; None while they are not enough."""
        slots = listing.wanted.slots
        for page in listing.pages.values():
            if not page.missing and not self._lacking((page,), slots):
                return KeysListed(page.keys, page.upto, page.token)
        pages = list(listing.pages.values())
        if not pages or self._lacking(pages, slots) or _missing_in_all(pages):
            return None
        upto = min((page.upto for page in pages if page.upto), default="")
        keys = {key for page in pages for key in page.keys if not upto or key < upto}
        token = listing.wanted.token
        for page in pages:
            token = token.joined(page.token)
        return KeysListed(sorted(keys), upto, token, certain=False)

    def _give_up(self, request: int, listing: Listing) -> None:
        """Refuse a list whose time is over."""
        now, wanted, patience_s = self._step.now, listing.wanted, listing.wanted.timeout_s
        slots = self._lacking(listing.pages.values(), wanted.slots)
        missing = _missing_in_all(list(listing.pages.values()))
        outcome: Outcome
        if listing.pages and missing and not slots:
            outcome = Unmet(missing)
        else:
            first = next(iter(each_of(slots or wanted.slots)))
            holders = self._holders(request, first)
            if not any(self._detector.reachable(holder, now) for holder in holders):
                patience_s = min(patience_s, UNREACHABLE_S)
            reason = f"no node that was reached has all keys of slot {first}"
            outcome = Unavailable(reason, definite=True, nodes=tuple(listing.pages))
        if now - listing.started >= patience_s:
            del self._listings[request]
            self._step.reply(request, outcome)

    # ------------------------------------------------------------------ a holder
    def on_fetch_keys(self, source: str, fetch: FetchKeys) -> None:
        self._step.serve()
        self._step.tell(source, self._page(fetch))

    def _page(self, fetch: FetchKeys) -> KeyPage:
        """This node's page; whole for no slot if it finds a damaged row."""
        keyspace, slots = self._keyspace, from_bytes(fetch.slots)
        walk = _Walk(keyspace, self._step.now_ms)
        try:
            walk.go(fetch, slots)
        except Damaged as found:
            self._step.suspect(found)
            return KeyPage(fetch.request, [], "", [], {}, Token(), keyspace.name)
        parts = [part for part in keyspace.parts if part.slots & slots]
        complete_for = [
            (to_bytes(part.slots & slots), sorted(part.complete_for))
            for part in parts
            if self._views.is_confirmed
        ]
        missing = missing_in(fetch.token, slots, self._views, keyspace)
        token = keyspace.trim(fetch.token.joined(walk.token))
        return KeyPage(
            fetch.request, walk.keys, walk.upto, complete_for, missing, token, keyspace.name
        )


class _Walk:
    """A walk over the keys of some slots, in the order of keys.  `keys` are those with a value, and
    all before `upto` were looked at (empty: all there are); `token` depends on their writes."""

    def __init__(self, keyspace: Keyspace, now_ms: float) -> None:
        self._keyspace, self._now_ms = keyspace, now_ms
        self.keys: list[str] = []
        self.upto = ""
        self._deps, self._dots = Token(), dict[Dot, KeyHash]()

    @property
    def token(self) -> Token:
        return self._deps.joined(Token({}, self._dots))

    def go(self, fetch: FetchKeys, slots: Slots) -> None:
        """Walk until there are enough keys; raise Damaged."""
        looked_at = size = 0
        at_once = 4 + 2 * fetch.limit // max(1, slots.bit_count())
        for key in names_in(self._keyspace, slots, fetch.start, fetch.end, at_once):
            is_enough = len(self.keys) >= fetch.limit or size >= PAGE_BYTES_MAX
            if is_enough or looked_at >= LOOKED_AT_MAX:
                self.upto = key
                return
            item = self._keyspace.item(key)
            looked_at, size = looked_at + 1, size + bytes_of(item.versions.values())
            self._depend_on(key, item)
            if item.at(self._now_ms).is_live():
                self.keys.append(key)

    def _depend_on(self, key: str, item: Item) -> None:
        watermark = self._keyspace.watermarks.cluster
        for dot, version in item.versions.items():
            if version.deps:
                self._deps = self._deps.joined(version.deps)
            if dot[1] > covered_by(watermark, dot[0]):
                self._dots[dot] = key_hash_of(key, version.lww)


def _missing_in_all(pages: list[KeyPage]) -> Missing:
    """What the token names and no page has: the join of their stores lacks it, too."""
    if not pages:
        return {}
    first, *others = pages
    return {a: n for a, n in first.missing.items() if all(a in page.missing for page in others)}


def names_in(keyspace: Keyspace, slots: Slots, start: str, end: str, at_once: int) -> Iterator[str]:
    """The keys of these slots that have rows, from `start` on (empty: from the first that is of no
    counter or set) and before `end` (empty: to the last one), in their order; of each slot so many
    are read at once."""
    start = start or FIRST_PLAIN
    held = 0
    for part in keyspace.parts:
        held |= part.slots
    each = keyspace.slot_counts.with_rows(slots & held & ~keyspace.cleanup.slots)
    return merge(*[_names_of(keyspace, slot, start, end, at_once) for slot in each])


def _names_of(keyspace: Keyspace, slot: Slot, start: str, end: str, at_once: int) -> Iterator[str]:
    name = NAMES[slot]
    first, before = f"{name}/{start}", f"{name}/{end}" if end else name + BEHIND_SLOT
    while rows := keyspace.rows.names("item", first, at_once, before):
        yield from [row[4:] for row in rows]
        if len(rows) < at_once:
            return
        first = rows[-1] + "\0"
