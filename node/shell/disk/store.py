"""The store port on SQLite: rows that survive a crash once `done` has been called.

One thread writes.  It takes all queued writes, commits them as one row, and tells the loop once
(group commit).  Records that are written and have not settled in their tables override the tables'
rows, so reads see every write.  A commit that fails is final.  The kernel may or may not have
written the pages, so the store never tries again and acknowledges nothing more; the node stops, and
a restart reads what is really there.  All methods belong to the loop's thread.
"""

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from node.core.protocol.effects import DAMAGED, Damaged, Record
from node.shell.disk import sqlite_file
from node.shell.disk.commit_buffer import Portion, Row
from node.shell.disk.disk_limits import USUAL, DiskLimits
from node.shell.disk.overlay import Unsettled
from node.shell.disk.sqlite_file import Durability, StoreError, checksum

__all__ = ["Durability", "SqliteStore", "StoreError"]

SETTLED_WHEN_IDLE_ROWS = 1024
FILE_NAME = "store.db"
BEHIND_ALL = b""  # SQLite orders every text before every blob
COUNTS = "SELECT substr(key, 1, 3), count(*), sum(length(value))"

logger = logging.getLogger("coterie.store")

Done = Callable[[], None]


class _Batch(msgspec.Struct):
    """One transaction: the last record of each row, and the callbacks that wait for it."""

    records: dict[Row, Record] = msgspec.field(default_factory=dict)
    dones: deque[Done] = msgspec.field(default_factory=deque)


class SqliteStore:
    """Rows in DATA_DIR/store.db; raises `StoreError` when that cannot be opened.

    `failed` is empty, or the reason why the store acknowledges nothing more.  A damaged row is such
    a reason, except an item's: to read it raises `Damaged`, and a scan returns `DAMAGED` for it.
    """

    def __init__(
        self,
        directory: Path,
        durability: Durability = Durability.FULL,
        on_failure: Callable[[str], None] = lambda reason: None,
        limits: DiskLimits = USUAL,
    ) -> None:
        self.failed = ""
        self.commits = self.rows_committed = 0
        self.commit_s = 0.0
        self.on_failure, self._limits = on_failure, limits
        self._loop = asyncio.get_running_loop()
        self._path = directory / FILE_NAME
        self._gathering = _Batch()  # the records of the next transaction
        self._unsettled = Unsettled()
        self._under_way: deque[_Batch] = deque()  # taken by the writer, not finished; oldest first
        self._handover = threading.Lock()  # guards both, from the loop to the writer
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: a batch; False: the end
        self._lock = sqlite_file.lock_directory(directory)
        try:
            opened = sqlite_file.opened(self._path, durability, limits)
        except StoreError:
            os.close(self._lock)
            raise
        self._writer, self._reader, self._recent, self._checkpoints = opened
        self._unsettled.put(self._recent.newer.values())
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def write(self, records: Sequence[Record], done: Done) -> None:
        """Call `done` when these and all earlier records are durable; never after a failure."""
        self._unsettled.put(records)
        with self._handover:
            batch = self._gathering
            if not batch.dones:
                self._calls.put(True)
            for record in records:
                batch.records[record.table, record.key] = record
            batch.dones.append(done)

    def read(self, table: str, key: str) -> bytes | None:
        record = self._unsettled.find(table, key)
        if record is not None:
            return record.value
        row = next(self._select(f"SELECT key, value, crc FROM {table} WHERE key = ?", (key,)), None)
        value = self._sound(table, row)[1] if row is not None else None
        if value == DAMAGED and table == "item":
            raise Damaged(key)
        return value

    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]:
        """Return at most `limit` rows with keys between `after` and `before`, in their order."""
        waiting = self._unsettled.between(table, after, before)
        first = next(waiting, None)
        if first is None:
            return [self._sound(table, row) for row in self._durable(table, after, before, limit)]
        merged = self._merged(table, self._durable(table, after, before), chain((first,), waiting))
        return list(islice(merged, limit))

    def reread(
        self, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]:
        """Scan the items, but read every page from the disk and none from SQLite's memory."""
        self._reader.execute("PRAGMA shrink_memory")
        return self.scan("item", after, limit, before)

    def names(self, table: str, start: str, limit: int, before: str) -> list[str]:
        """Return at most `limit` keys from `start` on and before `before`, in their order."""
        first = self._unsettled.find(table, start)
        waiting = {record.key: record for record in self._unsettled.between(table, start, before)}
        if first is not None and start < before:
            waiting[start] = first
        where = f"SELECT key FROM {table} WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        found = self._select(where, (start, before, limit + len(waiting)))
        keys = [key for (key,) in found if key not in waiting]
        if waiting:
            keys += [key for key, record in waiting.items() if record.value is not None]
            keys = sorted(keys)[:limit]
        return keys

    def open_keys(self, table: str) -> list[str]:
        durable = self._select(f"SELECT key FROM {table} WHERE open = 1", ())
        keys = {key for (key,) in durable if self._unsettled.find(table, key) is None}
        waiting = self._unsettled.all_of(table)
        keys.update(record.key for record in waiting if record.open and record.value is not None)
        return sorted(keys)

    def counts(self, table: str) -> dict[str, tuple[int, int]]:
        """Count the rows, damaged ones too, and their values' bytes, by the key's first three
        letters.

        This walks the table, so it is for starts.  All reads are of one snapshot, since a batch may
        become durable in between.
        """
        waiting = list(self._unsettled.all_of(table))
        counts, sizes = Counter[str](), Counter[str]()
        self._reader.execute("BEGIN")
        try:
            for start, count, size in self._select(f"{COUNTS} FROM {table} GROUP BY 1", ()):
                counts[start], sizes[start] = count, size
            for record in waiting:
                for (size,) in self._durable_size(table, record.key):
                    counts[record.key[:3]] -= 1
                    sizes[record.key[:3]] -= size
        finally:
            self._reader.execute("COMMIT")
        for record in waiting:
            if record.value is not None:
                counts[record.key[:3]] += 1
                sizes[record.key[:3]] += len(record.value)
        return {start: (count, sizes[start]) for start, count in counts.items() if count}

    @property
    def waiting_rows(self) -> int:
        """The number of rows that are written and not durable."""
        return sum(len(batch.records) for batch in (*self._under_way, self._gathering))

    def note(self, text: str) -> None:
        """Log what the core has noticed about its rows."""
        logger.warning("%s: %s", self._path, text)

    def give_up(self, reason: str) -> None:
        """Fail, since the node cannot go on with these rows."""
        self._fail(sqlite_file.beyond_repair(self._path, reason))

    async def close(self) -> None:
        """Wait until every write is durable and its `done` called, or has failed; close the
        file.
        """
        self._calls.put(False)
        await self._loop.run_in_executor(None, self._thread.join)
        self._checkpoints.close()
        self._reader.close()
        self._writer.close()
        self._checkpoints.release()
        os.close(self._lock)

    # -------------------------------------------------------------- on the loop's thread

    def _durable_size(self, table: str, key: str) -> Iterator[tuple[int]]:
        """Return the bytes of the row's value, if the row is in its table."""
        return self._select(f"SELECT length(value) FROM {table} WHERE key = ?", (key,))

    def _merged(
        self, table: str, rows: Iterator[Any], waiting: Iterable[Record]
    ) -> Iterator[tuple[str, bytes]]:
        """Merge a table's rows with the unsettled records, in the order of their keys, as they are
        read.  The record counts where both have the same key."""
        row = next(rows, None)
        for record in waiting:
            while row is not None and row[0] < record.key:
                yield self._sound(table, row)
                row = next(rows, None)
            if row is not None and row[0] == record.key:
                row = next(rows, None)
            if record.value is not None:
                yield record.key, record.value
        while row is not None:
            yield self._sound(table, row)
            row = next(rows, None)

    def _durable(
        self, table: str, after: str | None, before: str | None, limit: int = -1
    ) -> Iterator[Any]:
        """Return rows of the table itself, each with its checksum; all of them without a limit."""
        first = "key >= ?" if after is None else "key > ?"
        where = (
            f"SELECT key, value, crc FROM {table} WHERE {first} AND key < ? ORDER BY key LIMIT ?"
        )
        end = BEHIND_ALL if before is None else before
        return self._select(where, (after or "", end, limit))

    def _sound(self, table: str, row: tuple[str, bytes, int]) -> tuple[str, bytes]:
        """Return a row whose checksum is right; never serve a damaged one nor call it absent.  A
        replica would vouch for either answer."""
        key, value, crc = row
        if checksum(table, key, value) == crc:
            return key, value
        if table == "item":
            return key, DAMAGED
        self._fail(sqlite_file.damage(self._path, table, key))
        raise StoreError(self.failed)

    def _select(self, statement: str, values: Sequence[object]) -> Iterator[Any]:
        """Return the rows that the statement finds; a read error is an error, never an absence."""
        try:
            yield from self._reader.execute(statement, values)
        except sqlite3.Error as error:
            self._fail(f"{self._path} cannot be read ({error}): check the disk, then restart")
            raise StoreError(self.failed) from error

    def _finish(self, batch: _Batch) -> None:
        """Call the callbacks of a batch; it is durable, and so is every earlier one."""
        self.commits += 1
        self.rows_committed += len(batch.records)
        with self._handover:
            told = self._under_way.popleft()
        assert told is batch, "batches become durable in their order"
        self._tell(batch.dones)

    def _tell(self, dones: deque[Done]) -> None:
        try:
            while dones:
                dones.popleft()()
        finally:
            if dones:  # one callback raised, which the loop reports; the others still count
                self._loop.call_soon(self._tell, dones)

    def _fail(self, reason: str) -> None:
        if not self.failed:
            self.failed = reason
            logger.critical("%s", reason)
            self.on_failure(reason)

    # -------------------------------------------------------------- on the writer's thread

    def _work(self) -> None:
        reason = "the writer's thread has died"
        try:
            for batch in self._batches():
                self._write_batch(batch)
            self._settle_all()
            reason = ""
        except sqlite3.Error as error:
            reason = f"{error}: free space or replace the disk"
        finally:
            if reason:
                text = f"{self._path} cannot be written ({reason}), then restart the node"
                self._loop.call_soon_threadsafe(self._fail, text)

    def _write_batch(self, batch: _Batch) -> None:
        is_awaited = bool(batch.dones)  # now: the loop empties them
        if batch.records:
            began = time.perf_counter()
            self._commit(batch)
            self.commit_s += time.perf_counter() - began
        elif not is_awaited and self._recent.older:
            self._settle()
        if is_awaited:
            self._loop.call_soon_threadsafe(self._finish, batch)
        busy, idle = self._limits.checkpoint_busy_bytes, self._limits.checkpoint_idle_bytes
        self._checkpoints.go_on(busy if is_awaited else idle)

    def _commit(self, batch: _Batch) -> None:
        recent, records = self._recent, batch.records.values()
        portion, at = recent.portion(len(records)), recent.number + 1
        blob_max = self._limits.blob_bytes_max
        number, size = sqlite_file.commit(self._writer, records, at, portion, blob_max)
        self._has_settled(portion)
        recent.add(number, batch.records, size)
        if recent.is_full():
            recent.turn()

    def _settle(self) -> None:
        portion = self._recent.portion(SETTLED_WHEN_IDLE_ROWS)
        sqlite_file.settle(self._writer, portion)
        self._has_settled(portion)

    def _has_settled(self, portion: Portion) -> None:
        self._recent.settled(portion)
        if portion.records:
            self._loop.call_soon_threadsafe(self._unsettled.settled, portion.records)

    def _settle_all(self) -> None:
        until = time.monotonic() + self._limits.settling_at_end_s
        while self._recent and time.monotonic() < until:
            if not self._recent.older:
                self._recent.turn()
            self._settle()

    def _batches(self) -> Iterable[_Batch]:
        """Take queued batches until the store closes, and an empty one when idle with work left."""
        is_open, idle_s = True, self._limits.idle_s
        idle_bytes = self._limits.checkpoint_idle_bytes
        while is_open:
            is_due = self._checkpoints.is_due(idle_bytes) or bool(self._recent.older)
            try:
                is_open = self._calls.get(timeout=idle_s if is_due else None)
            except queue.Empty:
                yield _Batch()
            else:
                yield self._take()

    def _take(self) -> _Batch:
        """Take the records that have gathered since the last time; the loop begins a new batch."""
        with self._handover:
            batch, self._gathering = self._gathering, _Batch()
            if batch.dones:
                self._under_way.append(batch)
        return batch
