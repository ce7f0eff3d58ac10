"""Repair rows that the disk has changed, from what other replicas hold.

This node treats a damaged row as unknown: neither as a value nor as an absent key.  It answers
nothing from the row, and tells no clock of its slot, until it has again all that its clock says of
the key.  The law: the joined item of the others is complete when its past has each dot of this
node's clock that may concern the key.  For a past says "these dots of the key are in my versions,
or obsolete" (I3), and the log knows which of the other dots wrote other keys.  If no other replica
has one of these dots, the write is lost: this node names it and ends, rather than show the key
without it.  (docs/decisions/0020; reliability P9, B21.)
"""

from itertools import islice

import msgspec

from node.core.membership.services import Services
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, sync
from node.core.model.keys import Slot, key_of, row_of, slot_of_key
from node.core.model.options import Options
from node.core.model.slots import Slots
from node.core.model.view import ViewId
from node.core.protocol.effects import DAMAGED, Damaged
from node.core.protocol.messages import Fetch, State
from node.core.protocol.pieces import Pieces
from node.core.storage.keyspace import ENCODER, ITEMS
from node.core.storage.row_scan import rows_within
from node.core.storage.written_since import key_within

ASK_AGAIN_S = 1.0
LOOK_AGAIN_S = 0.1  # while no holder can be reached, or a write has not reached its row
GIVE_UP_S = 30.0  # though all holders have answered, a write may be on its way for so long
SHOWN_MAX = 5  # dots in a message
ROWS_OF_A_SLOT_MAX = 1_000_000
NEVER = float("inf")
RETIRED: Dot = ("", 0)  # stands for all writes below a floor, whose dots are not kept
CANNOT_VOUCH = (
    "cannot tell whether all that was written to it in retired views is there, because its slot "
    "has not arrived there yet: keep this node's data directory"
)


class Suspect(msgspec.Struct):
    """A key whose row is damaged: what other nodes have told of it, and which have in this view."""

    row: str
    since: float
    number: int  # of our questions
    view: ViewId
    item: Item = msgspec.field(default_factory=Item)
    answered: set[str] = msgspec.field(default_factory=set)
    next_ask: float = 0.0
    pieces: Pieces = msgspec.field(default_factory=Pieces)


class RowRepair:
    """The damaged rows of one node; `found` and `repaired` count them since its start."""

    def __init__(self, services: Services, options: Options) -> None:
        self._views, self._step = services.views, services.step
        self._keyspace, self._detector = services.store, services.detector
        self.found = self.repaired = 0
        self.next_tick = NEVER  # when there is something to ask, or to count
        self.suspects: dict[str, Suspect] = {}
        self._judged_dots_max = options.judged_dots_max
        self._uncounted: set[Slot] = set()  # where more has changed than is known

    @property
    def slots(self) -> Slots:
        """The slots of damaged rows: this node tells no clock of them."""
        slots = 0
        for key in self.suspects:
            slots |= 1 << slot_of_key(key)
        return slots

    def count_anew(self, slot: Slot) -> None:
        """Set the count and the hash of this slot by its rows, soon."""
        self._uncounted.add(slot)
        self.next_tick = min(self.next_tick, self._step.now + LOOK_AGAIN_S)

    def is_counting(self, slot: Slot) -> bool:
        """Whether the count and the hash of this slot are still to be set by its rows."""
        return slot in self._uncounted

    @property
    def is_idle(self) -> bool:
        """Whether no damaged row is known that has not been put right."""
        return not (self.suspects or self._uncounted or self._step.suspects)

    # ---- what is found
    def _take_up(self) -> None:
        for row in self._step.take_suspects():
            self._take_note(row)

    def _take_note(self, row: str) -> None:
        key = key_of(row)
        if row != row_of(key):
            self.found += 1
            self._step.note(f"row {row!r} of table item is damaged, its name too: it is removed")
            self._step.record("item", row, None)
            return
        if row in self._keyspace.cleanup or key in self.suspects:
            return
        self.found += 1
        try:
            item = self._keyspace.item(key)
        except Damaged:
            text = "damaged: it is not read any more, and asked of the other replicas"
            self._step.note(f"row {row!r} of table item is {text}")
            view = self._views.view.id
            number = self._step.numbers.next(self._step.now)
            self.suspects[key] = Suspect(row, self._step.now, number, view)
        else:
            self._write_again(row, item)

    def _write_again(self, row: str, item: Item) -> None:
        """Write the row again from memory, where the item still is."""
        blob = None if item.is_empty() else ENCODER.encode(item)
        is_open = key_of(row) in self._keyspace.open_keys
        self._step.record("item", row, blob, is_open)
        self.repaired += 1
        self._step.note(
            f"row {row!r} of table item was damaged: written again, as it was in memory"
        )

    def on_missing(self, row: str, source: str) -> None:
        """Count a row that was absent or old, and that a shard peer's has replaced."""
        self.found, self.repaired = self.found + 1, self.repaired + 1
        self.count_anew(slot_of_key(key_of(row)))
        self._step.note(f"row {row!r} of table item had gone, or was old: taken from {source}")

    # ---- what others tell
    def has_asked(self, number: int) -> bool:
        """Whether this is the number of a question about a row that is still damaged."""
        if not self.suspects:
            return False
        return any(suspect.number == number for suspect in self.suspects.values())

    def on_state(self, source: str, state: State) -> str | None:
        """Take a holder's answer; the key, if its row is whole now."""
        for key, suspect in self.suspects.items():
            if suspect.number == state.request:
                item = suspect.pieces.add(source, state.item, state.rest, suspect.item)
                if item is None:
                    self._step.ask(source, self._fetch(key, suspect, source))
                    return None
                suspect.answered.add(source)
                return key if self.offer(key, item, source) else None
        return None

    def offer(self, key: str, item: Item, source: str) -> bool:
        """Add what another replica knows of a key; whether its damaged row is whole now."""
        self._take_up()
        suspect = self.suspects.get(key)
        if suspect is None or self._keyspace.parts.at(slot_of_key(key)) is None:
            return False
        suspect.item = sync(suspect.item, item)
        if self._lacking(key, suspect.item.past):
            return False
        del self.suspects[key]
        self._keyspace.open_keys.drop(key)
        self._keyspace.rewrite(key, suspect.item)
        self.count_anew(slot_of_key(key))
        self.repaired += 1
        self._step.note(f"row {suspect.row!r} of table item is whole again, by what {source} holds")
        return True

    def _lacking(self, key: str, past: Past) -> list[Dot]:
        """The dots of this node's clock that may concern the key and that this past lacks.  If it
        lacks writes below a floor, `RETIRED` stands for all of them."""
        part = self._keyspace.parts.at(slot_of_key(key))
        assert part is not None, "who asks has looked"
        reached, here = self._keyspace.transfers.past_of(row_of(key)), part.clock.copy()
        here.join(DotClock(reached.base, {}, reached.oldest_view))
        if here.oldest_view > past.oldest_view:
            return [RETIRED]
        known = DotClock(dict(past.base), {}, past.oldest_view)
        missing = list(islice(here.missing_from(known), self._judged_dots_max + 1))
        if len(missing) > self._judged_dots_max:
            return missing
        slots = 1 << slot_of_key(key)
        log = self._keyspace.log
        keys = {dot: key_within(log, dot, slots) for dot in missing if not past.has(dot)}
        return [dot for dot, name in keys.items() if name is None or name == key]

    # ---- time
    def tick(self) -> None:
        """Take up damaged rows, ask for them, and count anew in the slots of repaired ones."""
        self._take_up()
        for key, suspect in list(self.suspects.items()):
            if self._keyspace.parts.at(slot_of_key(key)) is None:
                del self.suspects[key]
            elif self._step.now >= suspect.next_ask:
                self._ask(key, suspect)
        if self._uncounted and not self._step.records:
            self._count(self._uncounted.pop())
        next_count = self._step.now + LOOK_AGAIN_S if self._uncounted else NEVER
        self.next_tick = min([next_count, *(s.next_ask for s in self.suspects.values())])

    def _ask(self, key: str, suspect: Suspect) -> None:
        """Ask the reachable nodes that may hold the key; the others are asked later."""
        now, view, slot = self._step.now, self._views.view.id, slot_of_key(key)
        if suspect.view != view:
            suspect.view, suspect.answered = view, set()
        holders = [h for h in self._views.history.owners(slot) if h != self._views.address]
        has_waited = now - suspect.since >= GIVE_UP_S
        if not holders or (has_waited and suspect.answered.issuperset(holders)):
            raise Damaged(suspect.row, self._beyond_repair(key, suspect, holders))
        able = [holder for holder in holders if self._detector.reachable(holder, now)]
        suspect.next_ask = now + (ASK_AGAIN_S if able else LOOK_AGAIN_S)
        for holder in able:
            self._step.ask(holder, self._fetch(key, suspect, holder))

    def _fetch(self, key: str, suspect: Suspect, holder: str) -> Fetch:
        return Fetch(suspect.number, key, bound=True, have=suspect.pieces.have(holder))

    def _beyond_repair(self, key: str, suspect: Suspect, holders: list[str]) -> str:
        what = f"row {suspect.row!r} of table item, of key {key!r}, is damaged and "
        if not holders:
            return what + "no other node holds its slot"
        lacking = self._lacking(key, suspect.item.past)
        if lacking == [RETIRED]:
            return what + f"{', '.join(holders)} {CANNOT_VOUCH}"
        named = ", ".join(f"{n} of {actor}" for actor, n in lacking[:SHOWN_MAX])
        more = f" and {len(lacking) - SHOWN_MAX} more" if len(lacking) > SHOWN_MAX else ""
        return what + f"{', '.join(holders)} lack writes of it, which are lost: {named}{more}"

    def _count(self, slot: Slot) -> None:
        """Set the count and the hash of a slot by its sound rows."""
        keyspace = self._keyspace
        if keyspace.cleanup.slots >> slot & 1:
            return
        rows = dict(rows_within(keyspace.rows, 1 << slot, None, ROWS_OF_A_SLOT_MAX))
        sound = {row: blob for row, blob in rows.items() if blob != DAMAGED}
        live = sum(ITEMS.decode(blob).is_live() for blob in sound.values())
        keyspace.slot_counts.count_anew(slot, live, sum(map(len, sound.values())))
        keyspace.content_hashes.count_anew(slot, sound)
