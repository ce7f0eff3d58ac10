"""The scrub: read all rows from the disk again, some at a time, whether a client wants them or not.
So a node finds damage while other replicas can still repair it.

A row with a wrong checksum goes to `row_repair`.  An absent row has no checksum, but the sum of its
slot is wrong.  The law: the sum over the rows of a slot, read in one step that has written nothing,
equals the sum that `ContentHashes` keeps up with every write.  If it does not, a row has gone or is
an older one.  Then the node sets the kept sum, and so the content hash, to that of the disk, and
`content_compare` finds what is missing at the shard peers.
(docs/decisions/0020.)
"""

from node.core.integrity.row_repair import RowRepair
from node.core.membership.services import Services
from node.core.model.keys import SLOTS, Slot
from node.core.model.options import Options
from node.core.model.slots import ALL, Slots
from node.core.protocol.effects import DAMAGED
from node.core.storage.content_hash import content_of
from node.core.storage.row_scan import Row, Rows, rows_within

STEP_S = 1.0
QUIET_S = 0.1  # the scrub waits until no client was served for so long
PATIENCE_S = 30.0  # but no longer than this; a scan of rows not settled costs milliseconds


class Disk:
    """Reads the rows of items from the disk, not from what was written to it."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[Row]:
        return self._rows.reread(after, limit, before)


class Scrub:
    """One pass after another over all rows.  `after` is the last row that was read, and `slot` the
    first slot whose sum has not been judged.  `passes` counts those finished since the start."""

    def __init__(self, services: Services, row_repair: RowRepair, options: Options) -> None:
        self._keyspace, self._step, self._row_repair = services.store, services.step, row_repair
        self._disk = Disk(self._keyspace.rows)
        self.after: str | None = None
        self.slot: Slot = 0
        self.passes = 0
        self.finished_at: float | None = None
        self.short_slots = 0  # those that had lost something, since the start
        self._sum = 0  # of the rows of `slot` so far
        self._rows_at_once = self._limit = options.scrub_rows_at_once
        self._bytes_at_once = options.scrub_bytes_at_once
        self._slot_rows_max = options.scrub_slot_rows_max
        self._due = 0.0

    def tick(self) -> None:
        """Read some more rows, unless the node is busy."""
        now, keyspace = self._step.now, self._keyspace
        late_s = PATIENCE_S if now - self._step.served < QUIET_S else 0.0
        if now < self._due + late_s or self._step.records or not keyspace.content_hashes.is_whole:
            return
        found = rows_within(self._disk, self._slots(), self.after, self._limit)
        for row, blob in found:
            if blob == DAMAGED:
                self._step.suspect_rows([row])
            else:
                self._judge_before(int(row[:3], 16))
                self._sum += content_of(row, blob)
        if len(found) == self._limit:
            self.after = found[-1][0]
        else:
            self._finish()
        self._pace(sum(len(blob) for _, blob in found), len(found))

    def _slots(self) -> Slots:
        return ALL & ~self._keyspace.cleanup.slots

    def _pace(self, size: int, rows: int) -> None:
        """Read fewer rows at once where values are large, and rest longer after one very large."""
        self._due = self._step.now + STEP_S * max(1.0, size / self._bytes_at_once)
        if rows:
            fitting = self._bytes_at_once * rows // max(size, 1)
            self._limit = max(1, min(self._rows_at_once, fitting))

    def _finish(self) -> None:
        self._judge_before(SLOTS)
        self.after, self.slot, self._sum = None, 0, 0
        self.passes, self.finished_at = self.passes + 1, self._step.now

    # ---- sums
    def _judge_before(self, slot: Slot) -> None:
        """Judge the sums of the slots below this one: all their rows have been read."""
        if self.slot == slot:
            return
        hashes = self._keyspace.content_hashes
        wrong = hashes.counted_slots(self.slot + 1, slot)
        if self._sum != hashes.sum_of(self.slot):
            wrong = [self.slot, *wrong]
        for short in wrong:
            self._look_again(short)
        self.slot, self._sum = slot, 0

    def _look_again(self, slot: Slot) -> None:
        """Read all of a slot in one step and judge its sum again.  As a rule the first sum was
        wrong because a row was written between two steps."""
        slots, hashes = self._slots() & 1 << slot, self._keyspace.content_hashes
        rows = dict(rows_within(self._disk, slots, None, self._slot_rows_max))
        if not slots or DAMAGED in rows.values() or len(rows) == self._slot_rows_max:
            return
        on_disk = sum(content_of(row, blob) for row, blob in rows.items())
        if on_disk != hashes.sum_of(slot) and not self._row_repair.is_counting(slot):
            self.short_slots += 1
            self._step.note(f"rows of slot {slot:03x} of table item are not there any more, or old")
            self._row_repair.count_anew(slot)
