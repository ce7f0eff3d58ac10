"""Moves SQLite's log into its tables, beside the commits.

To move a long log takes a tenth of a second and more, most of it to flush pages, and a write would
wait as long for its commit.  So a thread moves the log with a connection of its own, and SQLite
lets commits go on.  These make the log longer meanwhile, and SQLite restarts the log only when all
of it has been moved.  So the writer moves the rest, which is short, between two commits.  The
length of the log is in the index that SQLite keeps beside it.  ("The WAL-Index File Format",
sqlite.org/walformat.html.)
"""

import os
import sqlite3
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

FRAMES_AT, MOVED_AT = 16, 96  # in the index: frames of the log, and how many of them are moved
NUMBER = struct.Struct("=I")


class Checkpoints:
    """Moves the log of one database, for the thread that commits.

    Every method may raise `sqlite3.Error`.  `close` closes the connection `aside`, and not the
    writer.
    """

    def __init__(self, path: Path, writer: sqlite3.Connection, aside: sqlite3.Connection) -> None:
        self._writer, self._aside = writer, aside
        self._page_bytes = int(writer.execute("PRAGMA page_size").fetchone()[0])
        self._index = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._under_way: Future[None] | None = None

    def is_due(self, log_bytes_max: int) -> bool:
        """Whether there is something to do: the log is too long, or the thread has moved it."""
        return self._under_way is not None or self._log_bytes() > log_bytes_max

    def go_on(self, log_bytes_max: int) -> None:
        """Begin to move a log that is too long; or move the rest, once the thread has finished."""
        if self._under_way is None:
            if self._log_bytes() > log_bytes_max:
                self._under_way = self._thread.submit(_move, self._aside)
        elif self._under_way.done():
            self._under_way.result()
            self._under_way = None
            _move(self._writer)

    def close(self) -> None:
        """Wait for the move under way.  The index stays open: see `release`."""
        self._thread.shutdown()
        self._aside.close()

    def release(self) -> None:
        """Close the index, once all connections are closed.

        To close a file drops all locks that the process has on it, and SQLite's are among them.
        """
        os.close(self._index)

    def _log_bytes(self) -> int:
        """Return how much of the log has not been moved."""
        return self._page_bytes * (self._number_at(FRAMES_AT) - self._number_at(MOVED_AT))

    def _number_at(self, place: int) -> int:
        return int(NUMBER.unpack(os.pread(self._index, NUMBER.size, place))[0])


def _move(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
