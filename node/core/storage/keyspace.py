"""What this replica holds: the items, its clock per slot, and the log of dots that peers may lack.

The one idea (I3): every dot in a slot's clock that concerns a key of the slot is in that key's item
or obsolete.  So an item is always filled with the *old* clock before it is merged, and stripped by
the *new* one before it is stored.  `Parts` knows which slots are held, with which clock.  Every
change becomes records of the step in hand; the driver sees to it that they are durable in time.

Example: n1 writes x as a1, and n2 has written x as b1; both know nothing else.

    n1 `write`  names a1; the clock becomes {a: 1}, so `_save` strips the past: x = a1, past {}
    n2 `take`   fills its x with {b: 1} and gets a1 with the past {a: 1}: neither past has the
                other's dot, so both stay.  Then the clock becomes {a: 1, b: 1}.  Filled with this
                one, n2's x would say that a1 is replaced, and a1 would be dropped.
    n1 `write`  names a2 in place of a1, and n3, which has nothing, takes it first: its clock gets
                a loose 2 and says nothing of a1, so the row keeps the past {a: 2} and is open
    n3 `take`   gets a1: the past has it, so it is dropped.  The clock becomes {a: 2}, and `_save`
                strips the past.  Without it a1 would have come back beside a2.
(protocol D3, D4, D6, D10 R2-R4.)
"""

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from node.core.model.actors import Actor
from node.core.model.conditions import Mode
from node.core.model.dots import Dot, DotClock
from node.core.model.hlc import HybridClock
from node.core.model.item import (
    Item,
    Past,
    Version,
    discard,
    fill,
    namings_of,
    strip,
    sync,
    without,
)
from node.core.model.keys import Slot, key_hash_of, key_of, row_of, slot_of_key
from node.core.model.options import Options
from node.core.model.slots import Slots
from node.core.model.token import Token
from node.core.model.vector_clock import Place, clock_of
from node.core.model.view import FIRST, NO_VIEW, ViewId
from node.core.protocol.effects import Damaged
from node.core.protocol.operations import Put
from node.core.protocol.step import Step
from node.core.storage.content_hash import ContentHashes
from node.core.storage.delete_marks import DeleteMarks
from node.core.storage.expiry import Expiry
from node.core.storage.hints import Hints
from node.core.storage.item_cache import ItemCache, OnChange
from node.core.storage.key_log import KeyLog
from node.core.storage.named_write import NamedWrite
from node.core.storage.open_keys import OpenKeys
from node.core.storage.past_runs import PastRuns
from node.core.storage.remembered_names import RememberedNames
from node.core.storage.replaced import Replaced
from node.core.storage.row_scan import END, Row, Rows, rows_within
from node.core.storage.slot_cleanup import SlotCleanup
from node.core.storage.slot_counts import SlotCounts
from node.core.storage.slot_groups import Parts, SavedPart
from node.core.storage.transfer_progress import TransferProgress
from node.core.storage.watermarks import Watermarks
from node.core.storage.written_since import Changes

ENCODER = msgspec.msgpack.Encoder()
ITEMS = msgspec.msgpack.Decoder(Item)
PARTS = msgspec.msgpack.Decoder(list[SavedPart])
NOTHING = DotClock()
ANYWHERE = Place()
CLEANED_AT_ONCE_MAX = 100


class Keyspace:
    """The items and clocks of one replica.

    `actor`: the name under which this run writes in the current view.
    `counter`: the number of its last write.  Invariant: no clock here has a higher one of `actor`.
    `name`: that of the cluster, for tokens.  `hints`: writes of other shards, kept for owners.
    """

    def __init__(self, rows: Rows, options: Options, step: Step) -> None:
        self.rows, self._step = rows, step
        self.actor, self.counter, self.name, self.view = "", 0, "", FIRST
        self.hybrid = HybridClock()
        self.watermarks = Watermarks()
        self._delete_marks = DeleteMarks(self.watermarks, self.trim)
        self.on_change: OnChange | None = None
        self._cache = ItemCache(options.cache_bytes_max)
        self.log, self.runs = KeyLog(step, options), PastRuns(rows, step)
        self._exact_dots_max = options.exact_dots_max
        self.changes = Changes(self.log)
        saved = rows.read("meta", "parts")
        self.parts = Parts(PARTS.decode(saved) if saved else ())
        self.cleanup, self.replaced = SlotCleanup(rows, step), Replaced(step, options)
        self.transfers = TransferProgress(rows, step)
        open_rows = (row for row in rows.open_keys("item") if row not in self.cleanup)
        self.open_keys = OpenKeys(map(key_of, open_rows))
        counts = rows.counts("item")
        self.slot_counts = SlotCounts(counts)
        self.slot_counts.forget(self.cleanup.slots)
        self.content_hashes = ContentHashes(rows, step, is_empty=not counts)
        self.expiry, self.names = Expiry(rows, step), RememberedNames()
        self.hints = Hints(rows, step, options)
        for key in list(self.open_keys.unsettled):
            with suppress(Damaged):
                item = self.item(key)
                self.slot_counts.change(slot_of_key(key), -(not item.is_live()), 0)
                self.open_keys.note(key, item, has_marks=True)

    def go_under(self, name: str) -> None:
        """From now on give tokens out under this name of the cluster."""
        self.name = name

    def tell_of_changes(self, on_change: OnChange) -> None:
        """From now on call this for what other replicas send."""
        self.on_change = on_change

    def load_log(self) -> None:
        """Add the dots since the clocks were saved, once it is known which slots are owned."""
        self.log.load(self.rows, lambda dot, key: self.parts.note(dot, slot_of_key(key)))

    def on_view(self, view: ViewId, oldest_view: ViewId, actor: Actor) -> None:
        """Write as this actor from now on, and forget what belonged to the last view alone."""
        self.view, self.actor = view, actor
        clocks = [part.clock for part in self.parts]
        self.counter = max((clock.highest(actor) for clock in clocks), default=0)
        self.content_hashes.own(self.parts.owned_slots)
        self.watermarks.on_view(oldest_view)
        self._delete_marks.on_view()

    @property
    def live_keys(self) -> int:
        """The keys with a value in the slots this node owns."""
        return self.slot_counts.keys_in(self.parts.owned_slots)

    # ---- clocks, per slot
    def clock_of(self, key: str) -> DotClock:
        part = self.parts.at(slot_of_key(key))
        return part.clock if part else NOTHING

    @property
    def clock(self) -> DotClock:
        """The clock of our first slots: of all of them, when the view has settled."""
        return next((part.clock for part in self.parts if part.owned), NOTHING)

    def note(self, dot: Dot, key: str) -> None:
        """Note that this replica has this dot, in its key's slot and in all others that it owns."""
        slot = slot_of_key(key)
        part = self.parts.at(slot)
        if part is None or part.clock.has(dot):
            return
        self.parts.note(dot, slot)
        self.log.add(dot, key)
        if self.log.is_full():
            self.save_parts()
            self.log.drop_oldest()

    def join(self, slots: Slots, clock: DotClock, complete_for: Iterable[ViewId]) -> None:
        """Take over a whole clock.  Every item that it speaks of must have been merged before."""
        if self.parts.join(slots, clock, complete_for):
            self.save_parts()
        self.transfers.let_go(self.is_covered)

    def is_covered(self, slots: Slots, past: Past) -> bool:
        """Whether the clocks of all these slots say all of this."""
        for clock in (part.clock for part in self.parts if part.slots & slots):
            left = strip(Item({}, past), clock, self.watermarks.lost).past
            is_above = left.oldest_view > NO_VIEW
            if left.base or is_above or not all(clock.has(dot) for dot in left.loose):
                return False
        return True

    def close(self, incarnation: Actor) -> None:
        """Fill the gaps of an ended incarnation (D7)."""
        self.parts.close(incarnation)
        self.save_parts()

    def save_parts(self) -> None:
        self._step.record("meta", "parts", ENCODER.encode(self.parts.saved()))

    # ---- slots that are not ours any more
    def forget(self, slots: Slots) -> None:
        """Forget slots that all owners have durably: their clocks at once, their rows soon (R4)."""
        self.parts.drop(slots)
        self.save_parts()
        self.cleanup.add(slots)
        self.content_hashes.forget(slots)
        self.transfers.forget(slots)
        self.log.take_off_disk(lambda key: bool(slots >> slot_of_key(key) & 1))
        self.slot_counts.forget(slots)
        self.open_keys.forget(slots)

    def clean_up(self, limit: int = CLEANED_AT_ONCE_MAX) -> None:
        """Remove some rows of forgotten slots."""
        self._are_gone(self.cleanup.some(limit))

    def _make_room(self, slot: Slot) -> None:
        """Before a row is written: remove what the cleanup has left of its slot's old rows."""
        if self.cleanup.slots >> slot & 1:
            self._are_gone(self.cleanup.clear(1 << slot))

    def _are_gone(self, rows: Iterable[str]) -> None:
        """Let the cache say that these rows are gone: until the step is over the disk has them."""
        for row in rows:
            self._cache.put(key_of(row), Item(), 0)

    # ---- items
    def item(self, key: str) -> Item:
        """The stored, stripped item; an empty one for a key of which nothing is known."""
        if self.cleanup.slots and row_of(key) in self.cleanup:
            return Item()
        item = self._cache.get(key)
        if item is None:
            blob = self.rows.read("item", row_of(key))
            item = ITEMS.decode(blob) if blob else Item()
            self._cache.put(key, item, len(blob) if blob else 0)
        return item

    def rows_of(self, slots: Slots, after: str | None, limit: int, before: str = END) -> list[Row]:
        """At most `limit` rows of these slots in their order, without those to be cleaned up."""
        return rows_within(self.rows, slots & ~self.cleanup.slots, after, limit, before)

    def trim_cache(self) -> None:
        """Trim the cache at the end of a step: what the step has written can be read from rows."""
        self._cache.trim()

    def filled(self, key: str) -> Item:
        part = self.parts.at(slot_of_key(key))
        return fill(self.transfers.fill(key, self.item(key)), part.clock) if part else Item()

    def write(self, put: Put, now: float, place: Place = ANYWHERE) -> NamedWrite:
        """Name a write with the next dot of this actor, and store it (D4.1, D9.5-7)."""
        lww, local = put.mode is Mode.LWW, self.filled(put.key)
        key_hash = key_hash_of(put.key, lww)
        met = [] if put.repeated else put.token.dots_of(key_hash)
        if lww:
            replaced = local.past.base
            gone = {d: v for d, v in local.versions.items() if d not in place.beside}
            past, named = local.past.joined({}, met), put.repeatable_as
            rest = without(local, gone, past, named, put.token.exact)
        else:
            replaced = local.past.base if put.is_in_context else put.context.base
            rest = discard(local, put.context, here_alone=put.is_in_context)
        self.counter += 1
        dot = self.actor, self.counter
        seen = (put.token.timestamp, *(version.timestamp for version in local.versions.values()))
        timestamp = place.timestamp or self.hybrid.next(now, self.actor, seen)
        clock = place.clock or clock_of(dot, local, rest, (*place.seen, *met), put.clocked)
        known = self.trim(put.token)
        version = Version(
            put.value, self.stored_deps(known), timestamp, lww, clock, put.labels, put.expires,
            put.identity,
        )  # fmt: skip
        is_shown = local.at(self._step.now_ms).is_live()
        item = self.names.kept(rest.with_version(dot, version, is_shown), self._step.now_ms)
        self.note(dot, put.key)
        self._save(put.key, item)
        token = known.after_write(key_hash, dot, timestamp, replaced).within(self._exact_dots_max)
        context = put.context if lww else put.context.joined({}, {dot})
        if put.repeatable_as or not lww:
            context = context.naming(namings_of({dot: version}))
        return NamedWrite(dot, item, token, context, is_shown, clock)

    def trim(self, token: Token) -> Token:
        """The token as it leaves with an answer, or is stored."""
        in_view = self.runs.spelled(token).in_view(self.view, self.watermarks.oldest_view)
        trimmed = in_view.trimmed(self.watermarks.cluster, self._exact_dots_max)
        return self.runs.folded(trimmed).given_as(self.name, self._step.now)

    def stored_deps(self, known: Token) -> Token:
        """What a version keeps: its writer's whole token, trimmed: transitivity lives only here."""
        return Token(known.floor, known.exact, known.keys, known.timestamp)

    def take(
        self,
        key: str,
        incoming: Item,
        dots: Iterable[Dot],
        now: float,
        snapshot: DotClock = NOTHING,
    ) -> None:
        """Merge a filled item of another replica, which tells that it has these `dots`, too (D4.2).
        `snapshot` is the snapshot of a full exchange.  Its dots join the clock with the last page,
        so they are not noted here.  No row keeps them in its past: `TransferProgress` does for all.
        """
        local = self.filled(key)
        merged = sync(local, incoming)
        for version in incoming.versions.values():
            self.hybrid.observe(version.timestamp, now)
        new_dots = dict.fromkeys((*incoming.versions, *dots))
        for dot in new_dots:
            if snapshot is NOTHING or not snapshot.has(dot):
                self.note(dot, key)
        self._save(key, merged, snapshot)
        if self.on_change is not None:
            self.on_change(key, local, incoming, new_dots)

    def adopt_row(self, row: str, blob: bytes) -> None:
        """Take a shard peer's row as it is: an item that is live, stripped, and not here before."""
        slot = int(row[:3], 16)
        self._make_room(slot)
        self._cache.drop(key_of(row))
        self.slot_counts.change(slot, 1, len(blob))
        self.content_hashes.adopt(row, blob)
        self.expiry.adopt(row, blob)
        self._step.record("item", row, blob)

    def rewrite(self, key: str, item: Item) -> None:
        """Replace a damaged row by this filled item, which has all that the clock says (0020)."""
        self._step.record("item", row_of(key), None)
        self._cache.put(key, Item(), 0)
        for dot in item.versions:
            self.note(dot, key)
        self._save(key, item)

    def _save(self, key: str, item: Item, snapshot: DotClock = NOTHING) -> None:
        """Store the item without done delete marks and without what the clock says (D3, D6)."""
        clock, slot, row = self.clock_of(key), slot_of_key(key), row_of(key)
        self._make_room(slot)
        before = self.item(key)
        has_marks = item.has_marks()
        kept = self._delete_marks.without_done(item) if has_marks else item
        kept = strip(kept, clock, self.watermarks.lost)
        if snapshot is not NOTHING:
            kept = strip(kept, snapshot)
        kept = self.names.kept(self.transfers.strip(key, kept), self._step.now_ms)
        if not kept.versions and not kept.past:
            self.parts.has_gone(slot)
        if kept == before:
            return
        is_open = self.open_keys.note(key, kept, has_marks)
        blob = None if kept.is_empty() else ENCODER.encode(kept)
        size = len(blob) if blob else 0
        more = kept.is_live() - before.is_live()
        self.slot_counts.change(slot, more, size - self._cache.bytes_of(key))
        self._cache.put(key, kept, size)
        self.content_hashes.change(row, before, kept)
        self.expiry.note(row, before, kept)
        self.replaced.note(key, before, kept)
        self._step.record("item", row, blob, is_open)

    def resave(self, limit: int) -> None:
        """Store some open items again, without what has become needless."""
        for key in self.open_keys.some(limit):
            self._save(key, self.item(key))
