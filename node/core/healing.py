"""Rows that the disk has changed, and how they are made whole again from what others hold.

A damaged row says nothing: neither what its key holds nor that it holds nothing.  So nothing is
answered from it, and no clock speaks for its slot, until everything is here again that our clock
says of the key.  The law: an item that others hold is all of it when its past has every dot that
our clock has and that may concern the key; a past says «these dots of the key are in my versions,
or obsolete» (I3), and our log knows which of the rest are of other keys.  What nobody else has is
lost, and is said to be: this node steps aside rather than show the key without it.
(docs/decisions/0020; reliability P9, B21.)
"""

from dataclasses import dataclass, field
from itertools import islice

from node.core.changes import key_within
from node.core.clock import Clock, Dot
from node.core.detector import Detector
from node.core.effects import DAMAGED, Damaged, Record
from node.core.keyspace import ENCODER, ITEMS, Keyspace
from node.core.messages import Fetch, State
from node.core.moving import Moving
from node.core.parts import Slots
from node.core.siblings import Item, Past, sync
from node.core.turn import Numbers, Turn
from node.core.view import Slot, ViewId
from node.core.walk import key_of, row_of, rows_within, slot_of_key

ASK_AGAIN_S = 1.0
LOOK_AGAIN_S = 0.1  # when nobody can be reached, or what is written is in no row yet
GIVE_UP_S = 30.0  # so long is waited for what may be on its way, although all have answered
DOTS_JUDGED_MAX = 4096  # whoever lacks more of what we have has nothing to tell us yet
SHOWN_MAX = 5  # dots in a message
ROWS_OF_A_SLOT_MAX = 1_000_000
NEVER = float("inf")


@dataclass(slots=True)
class Suspect:
    """A key whose row is damaged: what others have told of it in this view, and who has."""

    row: str
    since: float
    number: int  # of our questions: below 0, so that no read has it
    view: ViewId
    item: Item = field(default_factory=Item)
    told: set[str] = field(default_factory=set)
    next_ask: float = 0.0


class Healing:
    """The damaged rows of one node; `found` and `repaired` count them since its start."""

    def __init__(self, moving: Moving, rooms: tuple[Turn, Keyspace, Detector]) -> None:
        self._moving = moving
        self._turn, self._keyspace, self._detector = rooms
        self.found = self.repaired = 0
        self.next_tick = NEVER  # when there is something to ask, or to count
        self.suspects: dict[str, Suspect] = {}
        self._numbers = Numbers()
        self._uncounted: set[Slot] = set()  # where more has changed than is known

    @property
    def slots(self) -> Slots:
        """Those for which no clock of ours speaks."""
        slots = 0
        for key in self.suspects:
            slots |= 1 << slot_of_key(key)
        return slots

    def count_anew(self, slot: Slot) -> None:
        """What is kept of this slot is to be made what its rows say, soon."""
        self._uncounted.add(slot)
        self.next_tick = min(self.next_tick, self._turn.now + LOOK_AGAIN_S)

    def is_counting(self, slot: Slot) -> bool:
        """Whether what is kept of this slot is not what its rows say, and will be."""
        return slot in self._uncounted

    @property
    def is_idle(self) -> bool:
        """Whether all that is known to be damaged has been put right."""
        return not (self.suspects or self._uncounted or self._turn.suspects)

    # ---- what is found
    def _take_up(self) -> None:
        while self._turn.suspects:
            self._take_note(self._turn.suspects.popitem()[0])

    def _take_note(self, row: str) -> None:
        key = key_of(row)
        if row != row_of(key):
            self.found += 1
            self._turn.note(f"row {row!r} of table item is damaged, its name too: it is removed")
            self._keyspace.outbox.append(Record("item", row, None))
            return
        if row in self._keyspace.swept or key in self.suspects:
            return
        self.found += 1
        try:
            item = self._keyspace.item(key)
        except Damaged:
            text = "damaged: it is not read any more, and asked of the other replicas"
            self._turn.note(f"row {row!r} of table item is {text}")
            view = self._moving.view.id
            number = -self._numbers.next(self._turn.now)
            self.suspects[key] = Suspect(row, self._turn.now, number, view)
        else:
            self._write_again(row, item)

    def _write_again(self, row: str, item: Item) -> None:
        """The item is still in memory."""
        blob = ENCODER.encode(item) if item.versions or item.past else None
        is_open = key_of(row) in self._keyspace.open_keys
        self._keyspace.outbox.append(Record("item", row, blob, is_open))
        self.repaired += 1
        self._turn.note(
            f"row {row!r} of table item was damaged: written again, as it was in memory"
        )

    def on_missing(self, row: str, source: str) -> None:
        """A row that was not there, or was an older one, has been taken over from a fellow."""
        self.found, self.repaired = self.found + 1, self.repaired + 1
        self.count_anew(slot_of_key(key_of(row)))
        self._turn.note(f"row {row!r} of table item had gone, or was old: taken from {source}")

    # ---- what others tell
    def on_state(self, source: str, state: State) -> str | None:
        """A holder's answer to a question of ours; the key, if its row is whole now."""
        for key, suspect in self.suspects.items():
            if suspect.number == state.request:
                suspect.told.add(source)
                return key if self.offer(key, state.item, source) else None
        return None

    def offer(self, key: str, item: Item, source: str) -> bool:
        """What another replica knows of a key whose row is damaged; whether that made it whole."""
        self._take_up()
        suspect = self.suspects.get(key)
        if suspect is None or self._keyspace.parts.at(slot_of_key(key)) is None:
            return False
        suspect.item = sync(suspect.item, item)
        if self._lacking(key, suspect.item.past):
            return False
        del self.suspects[key]
        self._keyspace.open_keys.pop(key, None)
        self._keyspace.rewrite(key, suspect.item)
        self.count_anew(slot_of_key(key))
        self.repaired += 1
        self._turn.note(f"row {suspect.row!r} of table item is whole again, by what {source} holds")
        return True

    def _lacking(self, key: str, past: Past) -> list[Dot]:
        """The dots that are known here, that may concern the key, and that this past does not have;
        all of a floor is lacking as one."""
        part = self._keyspace.parts.at(slot_of_key(key))
        assert part is not None, "who asks has looked"
        reached, here = self._keyspace.reached.past_of(row_of(key)), part.clock.copy()
        here.join(Clock(reached.base, {}, reached.floor))
        if here.floor > past.floor:
            return [("", 0)]
        known = Clock(dict(past.base), {}, past.floor)
        missing = list(islice(here.missing_from(known), DOTS_JUDGED_MAX + 1))
        if len(missing) > DOTS_JUDGED_MAX:
            return missing
        slots = 1 << slot_of_key(key)
        log = self._keyspace.log
        keys = {dot: key_within(log, dot, slots) for dot in missing if not past.has(dot)}
        return [dot for dot, name in keys.items() if name is None or name == key]

    # ---- time
    def tick(self) -> None:
        """Take up what was found, ask for it, and count again where it was put right."""
        self._take_up()
        for key, suspect in list(self.suspects.items()):
            if self._keyspace.parts.at(slot_of_key(key)) is None:
                del self.suspects[key]
            elif self._turn.now >= suspect.next_ask:
                self._ask(key, suspect)
        if self._uncounted and not self._keyspace.outbox:
            self._count(self._uncounted.pop())
        next_count = self._turn.now + LOOK_AGAIN_S if self._uncounted else NEVER
        self.next_tick = min([next_count, *(s.next_ask for s in self.suspects.values())])

    def _ask(self, key: str, suspect: Suspect) -> None:
        """Ask whoever may hold the key; who cannot be reached is waited for."""
        now, view, slot = self._turn.now, self._moving.view.id, slot_of_key(key)
        if suspect.view != view:
            suspect.view, suspect.told = view, set()
        holders = [h for h in self._moving.history.owners(slot) if h != self._moving.address]
        has_waited = now - suspect.since >= GIVE_UP_S
        if not holders or (has_waited and suspect.told.issuperset(holders)):
            raise Damaged(suspect.row, self._beyond_repair(key, suspect, holders))
        able = [holder for holder in holders if self._detector.reachable(holder, now)]
        suspect.next_ask = now + (ASK_AGAIN_S if able else LOOK_AGAIN_S)
        for holder in able:
            self._turn.ask(holder, Fetch(suspect.number, key, bound=True))

    def _beyond_repair(self, key: str, suspect: Suspect, holders: list[str]) -> str:
        what = f"row {suspect.row!r} of table item, of key {key!r}, is damaged and "
        if not holders:
            return what + "no other node holds its slot"
        lacking = self._lacking(key, suspect.item.past)
        named = ", ".join(f"{n} of {actor or 'retired views'}" for actor, n in lacking[:SHOWN_MAX])
        more = f" and {len(lacking) - SHOWN_MAX} more" if len(lacking) > SHOWN_MAX else ""
        return what + f"{', '.join(holders)} lack writes of it, which are lost: {named}{more}"

    def _count(self, slot: Slot) -> None:
        """What there is in a slot, by its rows: what was in a damaged one is not known."""
        keyspace = self._keyspace
        if keyspace.swept.slots >> slot & 1:
            return
        rows = dict(rows_within(keyspace.rows, 1 << slot, None, ROWS_OF_A_SLOT_MAX))
        sound = {row: blob for row, blob in rows.items() if blob != DAMAGED}
        live = sum(ITEMS.decode(blob).is_live() for blob in sound.values())
        keyspace.tally.count_anew(slot, live, sum(map(len, sound.values())))
        keyspace.digests.count_anew(slot, sound)
