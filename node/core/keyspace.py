"""What this replica holds: the items, its clock per slot, and the log of dots not yet stable.

The one idea (I3): every dot in a slot's clock that concerns a key of the slot is in that key's item
or obsolete.  So an item is always filled with the *old* clock before it is merged, and stripped by
the *new* one before it is stored.  Which slots are held, with which clock, is said by `parts`.
Every change becomes records in `outbox`; what must be durable before what leaves is the driver's
business.  (protocol D3, D4, D6, D10 R2-R4.)
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import msgspec

from node.core.cache import ItemCache, OnChange
from node.core.changes import Changes
from node.core.clock import Clock, Dot, Vector
from node.core.digest import Digests
from node.core.effects import Damaged, Record
from node.core.hybrid import NO_STAMP, HybridClock
from node.core.keylog import KeyLog
from node.core.messages import Mode, Put
from node.core.parts import Parts, Saved, Slots
from node.core.reached import Reached
from node.core.siblings import Item, Past, Place, Version, clock_of, discard, fill, strip, sync
from node.core.sweep import Sweep
from node.core.tally import Tally
from node.core.token import Token
from node.core.view import FIRST, Actor, Slot, ViewId, digest_of, view_of
from node.core.walk import END, Row, Rows, key_of, row_of, rows_within, slot_of_key

NO_DOT: Dot = ("", 0)
ENCODER = msgspec.msgpack.Encoder()
ITEMS = msgspec.msgpack.Decoder(Item)
PARTS = msgspec.msgpack.Decoder(list[Saved])
NOTHING = Clock()
ANYWHERE = Place()
SWEPT_AT_ONCE_MAX = 100


class Written(NamedTuple):
    """A write that has its name: what to replicate and what to answer."""

    dot: Dot
    item: Item
    token: Token
    context: Past
    replaced: bool
    clock: Vector | None


class Keyspace:
    """The items and clocks of one replica.

    `stable` is what every replica of every shard has (tokens and deps are trimmed by it); `low`
    what every member of this shard has, by our own rows; `frontier` how far each member had
    written by then.  `actor` is ours in the current view.
    """

    def __init__(self, rows: Rows, cache_bytes_max: int) -> None:
        self.rows = rows
        self.actor: Actor = ""
        self.counter = 0
        self.view = self.floor = FIRST
        self.hybrid = HybridClock()
        self.outbox: list[Record] = []
        self.stable: Vector = {}
        self.low: Vector = {}
        self.frontier: Vector = {}
        self.lost: Vector = {}  # ended lives that are closed here and everywhere
        self.on_change: OnChange | None = None
        self._horizon: dict[Dot, Vector] = {}
        self._cache = ItemCache(cache_bytes_max)
        self.log = KeyLog(self.outbox)
        self.changes = Changes(self.log)
        saved = rows.read("meta", "parts")
        self.parts = Parts(PARTS.decode(saved) if saved else ())
        self.swept = Sweep(rows, self.outbox)
        self.reached = Reached(rows, self.outbox)
        self.open_keys = {key_of(r): None for r in rows.open_keys("item") if r not in self.swept}
        counts = rows.counts("item")
        self.tally = Tally(counts)
        self.tally.forget(self.swept.slots)
        self.digests = Digests(rows, self.outbox, is_empty=not counts)
        for key in self.open_keys:
            with suppress(Damaged):
                self.tally.change(slot_of_key(key), -(not self.item(key).is_live()), 0)

    def load_log(self) -> None:
        """The dots since the clocks were saved; once it is known which slots are ours."""
        self.log.load(self.rows, lambda dot, key: self.parts.note(dot, slot_of_key(key)))

    def enter(self, view: ViewId, floor: ViewId, actor: Actor) -> None:
        """Write as this actor from now on; what belonged to the last view alone is forgotten."""
        self.view, self.floor, self.actor = view, floor, actor
        clocks = [part.clock for part in self.parts]
        self.counter = max((clock.highest(actor) for clock in clocks), default=0)
        self.digests.own(self.parts.owned_slots)
        self.low, self.frontier, self.lost = {}, {}, {}
        self._horizon.clear()

    @property
    def live_keys(self) -> int:
        """The keys with a value in the slots this node owns."""
        return self.tally.keys_in(self.parts.owned_slots)

    # ---- clocks, per slot
    def clock_of(self, key: str) -> Clock:
        part = self.parts.at(slot_of_key(key))
        return part.clock if part else NOTHING

    @property
    def clock(self) -> Clock:
        """The clock of our first slots: of all of them, when the view has settled."""
        return next((part.clock for part in self.parts if part.owned), NOTHING)

    def note(self, dot: Dot, key: str) -> None:
        """This dot is known from now on, in every slot that we own."""
        slot = slot_of_key(key)
        part = self.parts.at(slot)
        if part is None or part.clock.has(dot):
            return
        self.parts.note(dot, slot)
        self.log.add(dot, key)
        if self.log.is_full():
            self.save_parts()
            self.log.drop_oldest()

    def join(self, slots: Slots, clock: Clock, claims: Iterable[ViewId]) -> None:
        """Take over a whole clock: only when every item it speaks of has been merged."""
        if self.parts.join(slots, clock, claims):
            self.save_parts()
        self.reached.let_go(self._is_covered)

    def _is_covered(self, slots: Slots, past: Past) -> bool:
        """Whether our clocks say all of this in all of these slots."""
        clocks = [part.clock for part in self.parts if part.slots & slots]
        return not any(strip(Item({}, past), clock, self.lost).past for clock in clocks)

    def close(self, actor: Actor) -> None:
        """Fill the gaps of an ended life (D7)."""
        for part in self.parts:
            part.clock.close(actor)
            part.only_grew = False
        self.save_parts()

    def save_parts(self) -> None:
        self.outbox.append(Record("meta", "parts", ENCODER.encode(self.parts.saved())))

    # ---- slots that are not ours any more
    def forget(self, slots: Slots) -> None:
        """All owners have these slots durably: their store goes at once, their rows soon (R4)."""
        self.parts.drop(slots)
        self.save_parts()
        self.swept.add(slots)
        self.digests.forget(slots)
        self.reached.forget(slots)
        self.log.take_off_disk(lambda key: bool(slots >> slot_of_key(key) & 1))
        self.tally.forget(slots)
        for key in [key for key in self.open_keys if slots >> slot_of_key(key) & 1]:
            del self.open_keys[key]

    def sweep(self, limit: int = SWEPT_AT_ONCE_MAX) -> None:
        """Remove some rows of forgotten slots."""
        self._are_gone(self.swept.some(limit))

    def _make_room(self, slot: Slot) -> None:
        """A row is about to be written: if its slot is held again while it is being swept, what is
        left of the forgotten rows goes now."""
        if self.swept.slots >> slot & 1:
            self._are_gone(self.swept.clear(1 << slot))

    def _are_gone(self, rows: Iterable[str]) -> None:
        """They can still be read until the step is over."""
        for row in rows:
            self._cache.put(key_of(row), Item(), 0)

    # ---- items
    def item(self, key: str) -> Item:
        """The stored, stripped item; an empty one for a key of which nothing is known."""
        if self.swept.slots and row_of(key) in self.swept:
            return Item()
        item = self._cache.get(key)
        if item is None:
            blob = self.rows.read("item", row_of(key))
            item = ITEMS.decode(blob) if blob else Item()
            self._cache.put(key, item, len(blob) if blob else 0)
        return item

    def rows_of(self, slots: Slots, after: str | None, limit: int, before: str = END) -> list[Row]:
        """At most `limit` rows of these slots in their order, without those being swept."""
        return rows_within(self.rows, slots & ~self.swept.slots, after, limit, before)

    def trim_cache(self) -> None:
        """The step is over: what it has written can be read again from its rows."""
        self._cache.trim()

    def filled(self, key: str) -> Item:
        part = self.parts.at(slot_of_key(key))
        return fill(self.reached.fill(key, self.item(key)), part.clock) if part else Item()

    def write(self, put: Put, now: float, place: Place = ANYWHERE) -> Written:
        """Name a write here, at its home: the next dot of this actor (D4.1, D9.5-7)."""
        lww = put.mode is Mode.LWW
        digest = digest_of(put.key, lww)
        local = self.filled(put.key)
        met = put.token.dots_of(digest)
        if lww:
            replaced = local.past.base
            beside = place.beside
            kept = {d: v for d, v in local.versions.items() if d in beside} if beside else {}
            rest = Item(kept, local.past.joined({}, met))
        else:
            replaced = put.context.base
            rest = discard(local, put.context)
        self.counter += 1
        dot = self.actor, self.counter
        seen = [put.token.stamp, *(version.stamp for version in local.versions.values())]
        stamp = self.hybrid.next(now, self.actor, seen)
        clock = place.clock or clock_of(dot, local, rest, (*place.seen, *met), put.clocked)
        known = self.trim(put.token)
        version = Version(put.value, self.stored_deps(known), stamp, lww, clock)
        item = Item({**rest.versions, dot: version}, rest.past.joined({dot[0]: dot[1]}))
        self.note(dot, put.key)
        self._save(put.key, item)
        token = known.after_write(digest, dot, stamp, replaced).within()
        context = put.context if lww else put.context.joined({}, {dot})
        return Written(dot, item, token, context, local.is_live(), clock)

    def trim(self, token: Token) -> Token:
        """The token as it leaves with an answer."""
        return token.in_view(self.view, self.floor).trimmed(self.stable)

    def stored_deps(self, known: Token) -> Token:
        """A version keeps its writer's whole token, trimmed: transitivity lives only here."""
        return Token(known.floor, known.exact, known.keys, known.stamp)

    def take(
        self,
        key: str,
        incoming: Item,
        dots: Iterable[Dot],
        now: float,
        told: Clock = NOTHING,
    ) -> None:
        """Merge a filled item of another replica; `dots` of this key are known by it (D4.2).

        What the clock will be `told` at the end of a full exchange is not noted: until then fewer
        dots count as known.  Nor is it kept in each row: `reached` says it of all.
        """
        local = self.filled(key)
        merged = sync(local, incoming)
        for version in incoming.versions.values():
            self.hybrid.witness(version.stamp, now)
        news = dict.fromkeys((*incoming.versions, *dots))
        for dot in news:
            if told is NOTHING or not told.has(dot):
                self.note(dot, key)
        self._save(key, merged, told)
        if self.on_change is not None:
            self.on_change(key, local, incoming, news)

    def adopt_row(self, row: str, blob: bytes) -> None:
        """Take a fellow's row as it is: an item that is live, stripped, and not here yet."""
        slot = int(row[:3], 16)
        self._make_room(slot)
        self._cache.drop(key_of(row))
        self.tally.change(slot, 1, len(blob))
        self.digests.adopt(row, blob)
        self.outbox.append(Record("item", row, blob))

    def rewrite(self, key: str, item: Item) -> None:
        """The row was damaged: here is all that our clock says of the key, filled (0020)."""
        self.outbox.append(Record("item", row_of(key), None))
        self._cache.put(key, Item(), 0)
        for dot in item.versions:
            self.note(dot, key)
        self._save(key, item)

    def _save(self, key: str, item: Item, told: Clock = NOTHING) -> None:
        """Store the item without marks that are done and without what the clock says (D3, D6)."""
        clock, slot, row = self.clock_of(key), slot_of_key(key), row_of(key)
        self._make_room(slot)
        before = self.item(key)
        has_marks = item.has_marks()
        kept = strip(self._without_done_marks(item) if has_marks else item, clock, self.lost)
        if told is not NOTHING:
            kept = strip(kept, told)
        kept = self.reached.strip(key, kept)
        if not kept.versions and not kept.past:
            self.parts.has_gone(slot)
        if kept == before:
            return
        is_open = bool(kept.past) or (has_marks and kept.has_marks())
        if is_open:
            self.open_keys[key] = None
        elif key in self.open_keys:
            del self.open_keys[key]
        blob = ENCODER.encode(kept) if kept.versions or kept.past else None
        size = len(blob) if blob else 0
        more = kept.is_live() - before.is_live()
        self.tally.change(slot, more, size - self._cache.bytes_of(key))
        self._cache.put(key, kept, size)
        self.digests.change(row, before, kept)
        self.outbox.append(Record("item", row, blob, is_open))

    def prune(self) -> None:
        """Drop some log entries of dots that every member has, under a clock that is saved."""
        gone = {**self.low, **self.log.bounds_below(self.floor)}
        if self.log.has_below(gone):
            self.save_parts()
        self.log.drop_below(gone)

    # ---- deletes that leave nothing (D6 as corrected)
    def _without_done_marks(self, item: Item) -> Item:
        done = [d for d, v in item.versions.items() if v.value is None and self._is_done(d, v)]
        if not done:
            return item
        for dot in done:
            self._horizon.pop(dot, None)
        last = max((item.rank(d) for d in done if item.versions[d].lww), default=(NO_STAMP, NO_DOT))
        kept = {
            d: v
            for d, v in item.versions.items()
            if d not in done and not (v.lww and item.rank(d) < last)  # what the mark hid goes too
        }
        return Item(kept, item.past)

    def _is_done(self, dot: Dot, mark: Version) -> bool:
        """Whether a delete mark explains nothing any more: everybody has it, what it depended on,
        and everything written beside it."""
        if not self._has_everybody(*dot):
            return False
        beside = self._horizon.setdefault(dot, dict(self.frontier))
        late = any(not self._has_everybody(actor, n) for actor, n in beside.items())
        return not late and not self.trim(mark.deps)

    def _has_everybody(self, actor: Actor, n: int) -> bool:
        """Whether every member has this dot, or nobody ever will."""
        is_retired = self.floor > FIRST and view_of(actor) < self.floor
        return is_retired or n <= self.low.get(actor, 0) or actor in self.lost

    def settle(self, limit: int) -> None:
        """Look again at open items: strip what the clock covers, erase marks that are done."""
        self.reached.let_go(self._is_covered)
        for key in list(self.open_keys)[:limit]:
            self.open_keys[key] = self.open_keys.pop(key)  # the next call begins behind it
            self._save(key, self.item(key))
