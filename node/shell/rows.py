"""The database file: its tables, its checksums, and how it is opened.

Three tables of one shape.  Keys are TEXT and compare byte by byte, which for UTF-8 is the order of
Python's strings.  Every row carries a checksum of its table, key and value, so that a row which the
disk has changed is noticed and never served.  Statements handle many rows at once: SQLite lets go
of the interpreter's lock once a statement, and getting it back beside a busy loop may take
milliseconds.
"""

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from node.core.effects import Record

TABLES = ("item", "log", "meta")
FORMAT = 1  # PRAGMA user_version; a file of another format is refused
ROWS_PER_STATEMENT = 64
READER_CACHE_KIB = 16 * 1024
WRITER_CACHE_KIB = 16 * 1024

Batched = TypeVar("Batched")


class Durability(StrEnum):
    """What an acknowledged row survives: the machine's power, or just this process."""

    FULL = "full"
    OS = "os"


class StoreError(Exception):
    """The store cannot be used; the text is one sentence with the path and what to do."""


def checksum(table: str, key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key.encode(), zlib.crc32(table.encode())))


def lock_directory(directory: Path) -> int:
    """Makes the directory and keeps it for this process; the kernel frees it when we die."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{directory} is not a writable directory ({error.strerror}): "
            "choose another DATA_DIR or fix its permissions"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(
            f"{directory} is in use by another process: stop it or choose another DATA_DIR"
        ) from error
    return lock


def open_pair(path: Path, durability: Durability) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A connection that writes and one that reads; raises `StoreError` and leaves neither open."""
    opened: list[sqlite3.Connection] = []
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        opened.append(_connect(path, WRITER_CACHE_KIB))
        _prepare(opened[0], path, durability)
        opened.append(_connect(path, READER_CACHE_KIB))
        opened[1].execute("PRAGMA query_only = ON")
    except (OSError, sqlite3.Error, StoreError) as error:
        for connection in opened:
            connection.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path} cannot be opened ({error}): free space, fix its permissions, or move it away "
            "so that the node starts empty and its shard fills it again"
        ) from error
    return opened[0], opened[1]


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


def _prepare(writer: sqlite3.Connection, path: Path, durability: Durability) -> None:
    (found,) = writer.execute("PRAGMA user_version").fetchone()
    if found not in (0, FORMAT):
        raise StoreError(
            f"{path} has format {found} and this program knows {FORMAT}: "
            "start the program that wrote it, or choose another DATA_DIR"
        )
    writer.execute("PRAGMA journal_mode = WAL")
    # NORMAL skips the flush at a commit: a crash of the machine loses the last commits, no more.
    synchronous = "FULL" if durability is Durability.FULL else "NORMAL"
    writer.execute(f"PRAGMA synchronous = {synchronous}")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        writer.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY NOT NULL, "
            "value BLOB NOT NULL, crc INTEGER NOT NULL, open INTEGER NOT NULL) WITHOUT ROWID"
        )
    writer.execute("CREATE INDEX IF NOT EXISTS item_open ON item (key) WHERE open = 1")
    writer.execute(f"PRAGMA user_version = {FORMAT}")
    writer.execute("COMMIT")


def commit(writer: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Writes all records in one transaction, at most one per row; raises sqlite3.Error."""
    writer.execute("BEGIN IMMEDIATE")
    try:
        by_table: dict[str, list[Record]] = {}
        for record in records:
            by_table.setdefault(record.table, []).append(record)
        for table, rows in by_table.items():
            _replace(writer, table, [row for row in rows if row.value is not None])
            _remove(writer, table, [row.key for row in rows if row.value is None])
        writer.execute("COMMIT")
    except sqlite3.Error:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        raise


def _replace(writer: sqlite3.Connection, table: str, rows: Sequence[Record]) -> None:
    for some in _portions(rows):
        values: list[object] = []
        for _, key, value, is_open in some:
            assert value is not None
            values += (key, value, checksum(table, key, value), int(is_open))
        marks = ",".join(["(?,?,?,?)"] * len(some))
        writer.execute(f"REPLACE INTO {table} (key, value, crc, open) VALUES {marks}", values)


def _remove(writer: sqlite3.Connection, table: str, keys: Sequence[str]) -> None:
    for some in _portions(keys):
        writer.execute(f"DELETE FROM {table} WHERE key IN ({','.join('?' * len(some))})", some)


def _portions(rows: Sequence[Batched]) -> Iterable[Sequence[Batched]]:
    """In powers of two, so that few different statements are prepared, and those once."""
    at, size = 0, ROWS_PER_STATEMENT
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield rows[at : at + size]
        at += size
