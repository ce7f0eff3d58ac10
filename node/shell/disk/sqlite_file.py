"""The database file: its tables, its checksums, and how it is opened.

There are five tables of one shape, and `recent`.  A row of `recent` is a whole commit; it stays
until the commit's rows have settled in their tables (node/shell/disk/commit_buffer.py).  Keys are
TEXT and compare byte by byte, which for UTF-8 is the order of Python's strings.  Every row has a
checksum of its table, key and value, so the store notices a row that the disk has changed, and
never serves it.  Statements are few and handle many rows at once: SQLite releases the interpreter's
lock once for each statement, and to get it back beside a busy loop may take milliseconds.
"""

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec

from node.core.protocol.effects import Record
from node.shell.disk.checkpoints import Checkpoints
from node.shell.disk.commit_buffer import Portion, Recent, rows_of
from node.shell.disk.disk_limits import DiskLimits

TABLES = ("item", "log", "expiry", "hint", "meta")
FORMAT = 4  # PRAGMA user_version; refuse files of other formats (2: without `recent`)
READABLE = (0, 3, FORMAT)  # 0: new; 3: rows without names of writes
INSERT_COMMIT = "INSERT INTO recent (number, value, crc) VALUES (?, ?, ?)"
ROWS_PER_STATEMENT = 64
READER_CACHE_KIB = 16 * 1024
WRITER_CACHE_KIB = 16 * 1024
CHECKPOINT_CACHE_KIB = 1024  # it copies each page once

Batched = TypeVar("Batched")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class Durability(StrEnum):
    """What an acknowledged row survives: a crash of the machine, or only one of the process."""

    FULL = "full"
    OS = "os"


class StoreError(Exception):
    """The store cannot be used; the text is one sentence with the path and what to do."""


def checksum(table: str, key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key.encode(), zlib.crc32(table.encode())))


def lock_directory(directory: Path) -> int:
    """Make the directory and lock it; the kernel frees the lock when the process ends."""
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


def opened(
    path: Path, durability: Durability, limits: DiskLimits
) -> tuple[sqlite3.Connection, sqlite3.Connection, Recent, Checkpoints]:
    """Open the file; return the writer, the reader, the unsettled rows and the checkpoints.

    Raises `StoreError` and leaves nothing open.
    """
    connections: list[sqlite3.Connection] = []
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connections.append(_connect(path, WRITER_CACHE_KIB))
        _prepare(connections[0], path, durability)
        recent = recalled(connections[0], path, limits)
        connections.append(_connect(path, READER_CACHE_KIB))
        connections[1].execute("PRAGMA query_only = ON")
        connections.append(_connect(path, CHECKPOINT_CACHE_KIB))
        checkpoints = Checkpoints(path, connections[0], connections[2])
    except (OSError, sqlite3.Error, StoreError) as error:
        for connection in connections:
            connection.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path} cannot be opened ({error}): free space, fix its permissions, or move it away "
            "so that the node starts empty and its shard fills it again"
        ) from error
    return connections[0], connections[1], recent, checkpoints


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


def _prepare(writer: sqlite3.Connection, path: Path, durability: Durability) -> None:
    (found,) = writer.execute("PRAGMA user_version").fetchone()
    if found not in READABLE:
        raise StoreError(
            f"{path} has format {found} and this program knows {FORMAT}: "
            "start the program that wrote it, or choose another DATA_DIR"
        )
    writer.execute("PRAGMA journal_mode = WAL")
    # NORMAL does not flush at a commit: a crash of the machine loses the last commits, and only
    # those.
    synchronous = "FULL" if durability is Durability.FULL else "NORMAL"
    writer.execute(f"PRAGMA synchronous = {synchronous}")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        writer.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY NOT NULL, "
            "value BLOB NOT NULL, crc INTEGER NOT NULL, open INTEGER NOT NULL) WITHOUT ROWID"
        )
    writer.execute(
        "CREATE TABLE IF NOT EXISTS recent (number INTEGER PRIMARY KEY NOT NULL, "
        "value BLOB NOT NULL, crc INTEGER NOT NULL)"
    )
    writer.execute("CREATE INDEX IF NOT EXISTS item_open ON item (key) WHERE open = 1")
    writer.execute(f"PRAGMA user_version = {FORMAT}")
    writer.execute("COMMIT")


def recalled(writer: sqlite3.Connection, path: Path, limits: DiskLimits) -> Recent:
    """Read the commits whose rows have not settled; raise `StoreError` when one is damaged."""
    recent = Recent(limits)
    for number, blob, crc in writer.execute("SELECT number, value, crc FROM recent ORDER BY 1"):
        if checksum("recent", str(number), blob) != crc:
            raise StoreError(damage(path, "recent", number))
        recent.add(number, rows_of(_decode(blob)), len(blob))
    return recent


def damage(path: Path, table: str, key: object) -> str:
    return (
        f"row {key!r} of table {table} in {path} is damaged: stop the node, throw its data "
        "directory away and start it; the other replicas refill it"
    )


def beyond_repair(path: Path, reason: str) -> str:
    return (
        f"{path}: {reason}; stop the node, throw its data directory away and start it: "
        "the other replicas refill it with what they have"
    )


def commit(
    writer: sqlite3.Connection,
    records: Collection[Record],
    number: int,
    portion: Portion,
    blob_bytes_max: int,
) -> tuple[int, int]:
    """Write all records, at most one per row, and settle a portion of earlier ones.

    They are one commit with this number, or several from it on if one blob cannot hold them.
    Returns the last number and the bytes.  Raises sqlite3.Error.
    """
    blobs = _encoded(list(records), blob_bytes_max)
    numbered = enumerate(blobs, number)
    values = [(at, blob, checksum("recent", str(at), blob)) for at, blob in numbered]
    if len(values) == 1 and not portion.records:
        writer.execute(INSERT_COMMIT, values[0])  # a single statement commits itself
    else:
        with _transaction(writer):
            writer.executemany(INSERT_COMMIT, values)
            _settle(writer, portion)
    return values[-1][0], sum(map(len, blobs))


def _encoded(records: list[Record], bytes_max: int) -> list[bytes]:
    """Encode the records as one blob, or as several if SQLite could not take that one."""
    blob = _encode(records)
    if len(blob) <= bytes_max or len(records) == 1:
        return [blob]
    half = len(records) // 2
    return [*_encoded(records[:half], bytes_max), *_encoded(records[half:], bytes_max)]


def settle(writer: sqlite3.Connection, portion: Portion) -> None:
    """Move these rows to their tables; raise sqlite3.Error."""
    with _transaction(writer):
        _settle(writer, portion)


@contextmanager
def _transaction(writer: sqlite3.Connection) -> Iterator[None]:
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
        writer.execute("COMMIT")
    except sqlite3.Error:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        raise


def _settle(writer: sqlite3.Connection, portion: Portion) -> None:
    by_table: dict[str, list[Record]] = {}
    for record in portion.records:
        by_table.setdefault(record.table, []).append(record)
    for table, rows in by_table.items():
        _replace(writer, table, [row for row in rows if row.value is not None])
        _remove(writer, table, [row.key for row in rows if row.value is None])
    if portion.ends is not None:
        writer.execute("DELETE FROM recent WHERE number <= ?", (portion.ends,))


def _replace(writer: sqlite3.Connection, table: str, rows: Sequence[Record]) -> None:
    for some in _portions(rows):
        values: list[object] = []
        for record in some:
            key, value = record.key, record.value
            assert value is not None
            values += (key, value, checksum(table, key, value), int(record.open))
        marks = ",".join(["(?,?,?,?)"] * len(some))
        writer.execute(f"REPLACE INTO {table} (key, value, crc, open) VALUES {marks}", values)


def _remove(writer: sqlite3.Connection, table: str, keys: Sequence[str]) -> None:
    for some in _portions(keys):
        writer.execute(f"DELETE FROM {table} WHERE key IN ({','.join('?' * len(some))})", some)


def _portions(rows: Sequence[Batched]) -> Iterable[Sequence[Batched]]:
    """Split into powers of two, so that SQLite prepares few different statements, and each once."""
    at, size = 0, ROWS_PER_STATEMENT
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield rows[at : at + size]
        at += size
