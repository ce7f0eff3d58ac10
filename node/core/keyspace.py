"""What this replica holds: the items, its clock per slot, and the log of dots not yet stable.

The one idea (I3): every dot in a slot's clock that concerns a key of the slot is in that key's item
or obsolete.  So an item is always filled with the *old* clock before it is merged, and stripped by
the *new* one before it is stored.  Clocks are kept per slot and shared while equal: a dot names one
key, so it is vacuous, hence known, in every other slot.  Every change becomes records in `outbox`;
what must be durable before what leaves is the driver's business.  (protocol D3, D4, D6, D10 R2.)
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import msgspec

from node.core.cache import ItemCache
from node.core.clock import Actor, Clock, Dot, Vector
from node.core.effects import Record
from node.core.hybrid import NO_STAMP, HybridClock
from node.core.keylog import KeyLog
from node.core.messages import Mode, Put
from node.core.siblings import Item, Past, Version, discard, fill, strip, sync
from node.core.token import Token
from node.core.view import SLOTS, digest_of, slot_of

NO_DOT: Dot = ("", 0)
ENCODER = msgspec.msgpack.Encoder()
ITEMS = msgspec.msgpack.Decoder(Item)
CLOCKS = msgspec.msgpack.Decoder(Clock)


class Rows(Protocol):
    """The part of the store that the core reads: local, current, in microseconds."""

    def read(self, table: str, key: str) -> bytes | None: ...
    def scan(self, table: str, after: str | None, limit: int) -> list[tuple[str, bytes]]: ...
    def open_keys(self, table: str) -> list[str]: ...
    def count(self, table: str) -> int: ...


class Written(NamedTuple):
    """A write that has its name: what to replicate and what to answer."""

    dot: Dot
    item: Item
    token: Token
    context: Past
    replaced: bool


def row_of(key: str) -> str:
    """The row of a key: rows of one slot lie together."""
    return f"{slot_of(digest_of(key, False)):03x}/{key}"


def key_of(row: str) -> str:
    return row[4:]


class Keyspace:
    """The items and clocks of one replica.

    `stable` is what every replica of every shard has (tokens and deps are trimmed by it); `low`
    what every member of this shard has, by our own rows; `frontier` how far each member had
    written by then.
    """

    def __init__(self, rows: Rows, actor: Actor, cache_bytes_max: int) -> None:
        self.rows = rows
        self.actor = actor
        self.hybrid = HybridClock()
        self.outbox: list[Record] = []
        self.stable: Vector = {}
        self.low: Vector = {}
        self.frontier: Vector = {}
        self.lost: Vector = {}  # ended lives that are closed here and everywhere
        self._accounted: tuple[Vector, str] | None = None
        self._horizon: dict[Dot, Vector] = {}
        self._cache = ItemCache(cache_bytes_max)
        self.log = KeyLog(self.outbox)
        saved = rows.read("meta", "clock")
        clock = CLOCKS.decode(saved) if saved else Clock()
        self._clocks = [clock] * SLOTS
        self.log.load(rows, clock)
        self.open_keys = dict.fromkeys(key_of(row) for row in rows.open_keys("item"))
        self.live_keys = rows.count("item") - sum(
            not self.item(key).is_live() for key in self.open_keys
        )

    # ---- clocks, per slot
    def clock_of(self, key: str) -> Clock:
        return self._clocks[slot_of(digest_of(key, False))]

    @property
    def clock(self) -> Clock:
        """The clock that all slots share."""
        return self._clocks[0]

    def _distinct_clocks(self) -> list[Clock]:
        return [self._clocks[0]]

    def note(self, dot: Dot, key: str) -> None:
        """This dot is known from now on, in every slot."""
        for clock in self._distinct_clocks():
            if clock.has(dot):
                return
            clock.add(dot)
        self.log.add(dot, key)
        if self.log.is_full():
            self.save_clock()
            self.log.drop_oldest()

    def join(self, clock: Clock) -> None:
        """Take over a whole clock: only when every item it speaks of has been merged."""
        self.clock.join(clock)
        self.save_clock()

    def close(self, actor: Actor) -> None:
        """Fill the gaps of an ended life (D7)."""
        self.clock.close(actor)
        self.save_clock()

    def save_clock(self) -> None:
        self.outbox.append(Record("meta", "clock", ENCODER.encode(self.clock)))

    # ---- items
    def item(self, key: str) -> Item:
        """The stored, stripped item; an empty one for a key of which nothing is known."""
        item = self._cache.get(key)
        if item is None:
            blob = self.rows.read("item", row_of(key))
            item = ITEMS.decode(blob) if blob else Item()
            self._cache.put(key, item, len(blob) if blob else 0)
        return item

    def filled(self, key: str) -> Item:
        item = fill(self.item(key), self.clock_of(key))
        if self._accounted is not None and row_of(key) <= self._accounted[1]:
            item = Item(item.versions, item.past.joined(self._accounted[0]))
        return item

    def account(self, snapshot: Clock | None, upto: str = "") -> None:
        """In a full exchange the rows up to here are as whole as the snapshot, before it joins the
        clock: what comes late must not pass them by.  None: no such exchange is under way."""
        self._accounted = (snapshot.base, upto) if snapshot is not None else None

    def write(self, put: Put, now: float) -> Written:
        """Name a write here, at its home: the next dot of this actor (D4.1, D9.5-7)."""
        lww = put.mode is Mode.LWW
        digest = digest_of(put.key, lww)
        local = self.filled(put.key)
        if lww:
            replaced = local.past.base
            rest = Item({}, local.past.joined({}, put.token.dots_of(digest)))
        else:
            replaced = put.context.base
            rest = discard(local, put.context)
        dot = self.next_dot()
        seen = [put.token.stamp, *(version.stamp for version in local.versions.values())]
        stamp = self.hybrid.next(now, self.actor, seen)
        version = Version(put.value, self.stored_deps(put.token), stamp, lww)
        item = Item({**rest.versions, dot: version}, rest.past.joined({dot[0]: dot[1]}))
        self.note(dot, put.key)
        self._save(put.key, item)
        token = put.token.after_write(digest, dot, stamp, replaced).trimmed(self.stable)
        context = put.context if lww else put.context.joined({}, {dot})
        return Written(dot, item, token, context, local.is_live())

    def next_dot(self) -> Dot:
        return self.actor, self.clock.base.get(self.actor, 0) + 1

    def stored_deps(self, token: Token) -> Token:
        """A version keeps its writer's whole token: transitivity lives only here."""
        return token.trimmed(self.stable)

    def take(self, key: str, incoming: Item, dots: Iterable[Dot], now: float) -> None:
        """Merge a filled item of another replica; `dots` of this key are known by it (D4.2)."""
        local = self.filled(key)
        merged = sync(local, incoming)
        for version in incoming.versions.values():
            self.hybrid.witness(version.stamp, now)
        for dot in (*incoming.versions, *dots):
            self.note(dot, key)
        self._save(key, merged)

    def _save(self, key: str, item: Item) -> None:
        """Store the item without marks that are done and without what the clock says (D3, D6)."""
        before = self.item(key)
        kept = strip(self._without_done_marks(item), self.clock_of(key), self.lost)
        if kept == before:
            return
        has_marks = kept.has_marks()
        self.live_keys += kept.is_live() - before.is_live()
        is_open = has_marks or bool(kept.past)
        if is_open:
            self.open_keys[key] = None
        elif key in self.open_keys:
            del self.open_keys[key]
        blob = ENCODER.encode(kept) if kept.versions or kept.past else None
        self._cache.put(key, kept, len(blob) if blob else 0)
        self.outbox.append(Record("item", row_of(key), blob, is_open))

    # ---- deletes that leave nothing (D6 as corrected)
    def _without_done_marks(self, item: Item) -> Item:
        if not item.has_marks():
            return item
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
        return not late and not mark.deps.trimmed(self.stable)

    def _has_everybody(self, actor: Actor, n: int) -> bool:
        """Whether every member has this dot, or nobody ever will."""
        return n <= self.low.get(actor, 0) or actor in self.lost

    def settle(self, limit: int) -> None:
        """Look again at open items: strip what the clock covers, erase marks that are done."""
        for key in list(self.open_keys)[:limit]:
            self.open_keys[key] = self.open_keys.pop(key)  # the next call begins behind it
            self._save(key, self.item(key))
