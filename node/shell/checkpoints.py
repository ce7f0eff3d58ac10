"""Moving SQLite's log into its tables, beside the commits.

To move a long log takes a tenth of a second and more, most of it to flush pages, and a commit that
waits for it is a write that waits.  So it has a thread and a connection of its own: SQLite lets
commits go on.  They make the log longer meanwhile, and it begins anew only when all of it has been
moved; so what has come, which is little, is moved between two commits.  How long the log is stands
in the index that SQLite keeps beside it.  («The WAL-Index File Format», sqlite.org/walformat.html.)
"""

import os
import sqlite3
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

FRAMES_AT, MOVED_AT = 16, 96  # in the index: frames of the log, and how many of them are moved
NUMBER = struct.Struct("=I")


class Checkpoints:
    """Of one database, for the thread that commits; every method may raise `sqlite3.Error`.  Closes
    the connection that it has aside, and not the writer."""

    def __init__(self, path: Path, writer: sqlite3.Connection, aside: sqlite3.Connection) -> None:
        self._writer, self._aside = writer, aside
        self._page_bytes = int(writer.execute("PRAGMA page_size").fetchone()[0])
        self._index = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._under_way: Future[None] | None = None

    def is_due(self, log_bytes_max: int) -> bool:
        """Whether there is something to do: the log is that long, or has been moved aside."""
        return self._under_way is not None or self._log_bytes() > log_bytes_max

    def go_on(self, log_bytes_max: int) -> None:
        """Begin to move a log that is too long; or move the rest, if that has come to its end."""
        if self._under_way is None:
            if self._log_bytes() > log_bytes_max:
                self._under_way = self._thread.submit(_move, self._aside)
        elif self._under_way.done():
            self._under_way.result()
            self._under_way = None
            _move(self._writer)

    def close(self) -> None:
        """Waits for what is under way.  The index stays open: see `release`."""
        self._thread.shutdown()
        self._aside.close()

    def release(self) -> None:
        """Only when all connections are closed: to close a file lets go of all locks that the
        process has on it, also of SQLite's."""
        os.close(self._index)

    def _log_bytes(self) -> int:
        """What of the log has not been moved."""
        return self._page_bytes * (self._number_at(FRAMES_AT) - self._number_at(MOVED_AT))

    def _number_at(self, place: int) -> int:
        return int(NUMBER.unpack(os.pread(self._index, NUMBER.size, place))[0])


def _move(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
