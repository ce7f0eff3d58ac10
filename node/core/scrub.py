"""The scrub: all rows are read again from the disk, some at a time, whether somebody wants them or
not, so that damage is found while there is still somebody to repair it from.

A row whose checksum is wrong is left to `healing`.  A row that is not there at all tells nothing;
but the sum of its slot does.  The law: what the rows of a slot add up to, read in one step that has
written nothing, is what `digest` has kept up with every write.  Less, and a row has gone, or is an
older one.  Then the sum that is kept becomes that of the disk, and with it the content hash; what
is missing is found by comparing with the fellows, in `weighing`.  (docs/decisions/0020.)
"""

from node.core.digest import content_of
from node.core.effects import DAMAGED
from node.core.healing import Healing
from node.core.keyspace import Keyspace
from node.core.parts import ALL, Slots
from node.core.turn import Turn
from node.core.view import SLOTS, Slot
from node.core.walk import Row, Rows, rows_within

STEP_S = 1.0
ROWS_AT_ONCE = 100  # a million rows in three hours
BYTES_AT_ONCE = 1024 * 1024
QUIET_S = 0.1  # so long without a client; a step waits for that
PATIENCE_S = 30.0  # but not for ever; a scan of rows that have not settled costs milliseconds
ROWS_OF_A_SLOT_MAX = 100_000  # a slot with more is judged by checksums alone


class Disk:
    """The rows of items as the disk has them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[Row]:
        return self._rows.reread(after, limit, before)


class Scrub:
    """Where the pass is: `after` is the last row that was read.  Of `slot` and those behind it the
    sums have not been judged; `passes` are those that have been finished since the start."""

    def __init__(self, keyspace: Keyspace, turn: Turn, healing: Healing) -> None:
        self._keyspace, self._turn, self._healing = keyspace, turn, healing
        self._disk = Disk(keyspace.rows)
        self.after: str | None = None
        self.slot: Slot = 0
        self.passes = 0
        self.finished_at: float | None = None
        self.short_slots = 0  # those that had lost something, since the start
        self._sum = 0  # of the rows of `slot` so far
        self._limit = ROWS_AT_ONCE
        self._due = 0.0

    def tick(self) -> None:
        """Read some more rows, unless something else is to be done."""
        now, keyspace = self._turn.now, self._keyspace
        late_s = PATIENCE_S if now - self._turn.served < QUIET_S else 0.0
        if now < self._due + late_s or keyspace.outbox or not keyspace.digests.is_whole:
            return
        self._due = now + STEP_S
        found = rows_within(self._disk, self._slots(), self.after, self._limit)
        for row, blob in found:
            if blob == DAMAGED:
                self._turn.suspects[row] = None
            else:
                self._judge_before(int(row[:3], 16))
                self._sum += content_of(row, blob)
        if len(found) == self._limit:
            self.after = found[-1][0]
        else:
            self._finish()
        self._pace(sum(len(blob) for _, blob in found), len(found))

    def _slots(self) -> Slots:
        return ALL & ~self._keyspace.swept.slots

    def _pace(self, size: int, rows: int) -> None:
        """Large values: fewer at once."""
        if rows:
            self._limit = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE * rows // max(size, 1)))

    def _finish(self) -> None:
        self._judge_before(SLOTS)
        self.after, self.slot, self._sum = None, 0, 0
        self.passes, self.finished_at = self.passes + 1, self._turn.now

    # ---- sums
    def _judge_before(self, slot: Slot) -> None:
        """All rows of the slots below this one have been read; between them there were none."""
        if self.slot == slot:
            return
        digests = self._keyspace.digests
        wrong = digests.counted_slots(self.slot + 1, slot)
        if self._sum != digests.sum_of(self.slot):
            wrong = [self.slot, *wrong]
        for short in wrong:
            self._look_again(short)
        self.slot, self._sum = slot, 0

    def _look_again(self, slot: Slot) -> None:
        """Something has been written meanwhile, as a rule; so all of the slot is read in one."""
        slots, digests = self._slots() & 1 << slot, self._keyspace.digests
        rows = dict(rows_within(self._disk, slots, None, ROWS_OF_A_SLOT_MAX))
        if not slots or DAMAGED in rows.values() or len(rows) == ROWS_OF_A_SLOT_MAX:
            return
        on_disk = sum(content_of(row, blob) for row, blob in rows.items())
        if on_disk != digests.sum_of(slot) and not self._healing.is_counting(slot):
            self.short_slots += 1
            self._turn.note(f"rows of slot {slot:03x} of table item are not there any more, or old")
            self._healing.count_anew(slot)
