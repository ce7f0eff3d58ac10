"""The store after a crash, on a damaged file, on a full disk: it has what it called done, or says
so.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from node.core.protocol.effects import DAMAGED, Damaged, Record
from node.shell.disk import sqlite_file
from node.shell.disk.store import SqliteStore, StoreError
from tests.stores import opened, written


def rows_in(store: SqliteStore) -> int:
    return sum(rows for rows, _ in store.counts("item").values())


WRITER = """
import asyncio, sys
from pathlib import Path
from node.core.protocol.effects import Record
from node.shell.disk.disk_limits import DiskLimits
from node.shell.disk.store import SqliteStore

async def main():
    rows = int(sys.argv[2])
    limits = DiskLimits(generation_rows=rows, portion_rows=rows)
    store = SqliteStore(Path(sys.argv[1]), limits=limits)
    number = 0
    while True:
        waits = []
        for _ in range(7):
            number += 1
            wait = asyncio.get_running_loop().create_future()
            records = [Record("item", f"k{number}", b"%d" % number, True)]
            store.write(records, lambda n=number, w=wait: (print(n, flush=True), w.set_result(0)))
            waits.append(wait)
        await asyncio.gather(*waits[:5])

asyncio.run(main())
"""


def damage(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "store.db")) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def flip_in_file(directory: Path, value: bytes) -> None:
    """Flip one bit of a value, by a write to the file behind the back of SQLite."""
    with open(directory / "store.db", "r+b") as file:
        at = file.read().index(value)
        file.seek(at)
        file.write(bytes([value[0] ^ 1]))


def write_until_killed(directory: Path, lines: int, generation_rows: int = 50) -> list[int]:
    """Return the numbers of the rows that a killed writer has called done."""
    command = [sys.executable, "-c", WRITER, str(directory), str(generation_rows)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        printed = [process.stdout.readline() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        printed += process.stdout.readlines()
    return [int(line) for line in printed if line.endswith("\n")]


def break_pages(directory: Path) -> None:
    with open(directory / "store.db", "r+b") as file:
        for page in range(10, os.fstat(file.fileno()).st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)


@pytest.mark.parametrize(("lines", "generation_rows"), [(1, 50), (40, 10), (400, 50), (400, 9999)])
async def test_has_all_it_called_done_after_kill_9(
    tmp_path: Path, lines: int, generation_rows: int
) -> None:
    done = write_until_killed(tmp_path, lines, generation_rows)
    assert done == list(range(1, len(done) + 1))
    async with opened(tmp_path) as store:
        for number in done:
            assert store.read("item", f"k{number}") == b"%d" % number
        assert rows_in(store) >= len(done)
        assert len(store.open_keys("item")) == rows_in(store)


async def test_opens_with_a_torn_log(tmp_path: Path) -> None:
    """The machine died in the middle of a commit: that one is gone, the earlier ones are there."""
    write_until_killed(tmp_path, 20)
    os.truncate(tmp_path / "store.db-wal", (tmp_path / "store.db-wal").stat().st_size - 2000)
    async with opened(tmp_path) as store:
        count = rows_in(store)
        assert count > 0
        assert len(store.scan("item", None, 10_000)) == count


DAMAGES = pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET value = x'00' WHERE key = 'b'",
        "UPDATE {table} SET crc = crc + 1 WHERE key = 'b'",
        "UPDATE {table} SET key = 'bb' WHERE key = 'b'",
    ],
)


def key_after(statement: str) -> str:
    return "bb" if "'bb'" in statement else "b"


@DAMAGES
async def test_a_damaged_row_is_a_failure_not_an_absence(tmp_path: Path, statement: str) -> None:
    async with opened(tmp_path) as store:
        await written(store, *(Record("log", key, b"value") for key in "abc"))
    damage(tmp_path, statement.format(table="log"))
    async with opened(tmp_path) as store:
        assert store.read("log", "a") == b"value"
        with pytest.raises(StoreError, match="is damaged"):
            store.read("log", key_after(statement))
        with pytest.raises(StoreError, match="is damaged"):
            store.scan("log", None, 3)
        assert "is damaged" in store.failed


@DAMAGES
async def test_a_damaged_item_is_told_from_an_absent_one(tmp_path: Path, statement: str) -> None:
    """A read finds it and a scan passes it on; the store goes on, and takes the item again."""
    key, failures = key_after(statement), list[str]()
    async with opened(tmp_path) as store:
        await written(store, *(Record("item", each, b"value") for each in "abc"))
    damage(tmp_path, statement.format(table="item"))
    async with opened(tmp_path, failures.append) as store:
        with pytest.raises(Damaged, match=f"row '{key}' of table item is damaged"):
            store.read("item", key)
        expected = [("a", b"value"), (key, DAMAGED), ("c", b"value")]
        assert store.scan("item", None, 9) == store.reread(None, 9) == expected
        await written(store, Record("item", key, b"whole"))
        assert store.read("item", key) == b"whole"
    assert failures == []
    async with opened(tmp_path) as store:
        assert store.scan("item", "a", 1) == [(key, b"whole")]


@pytest.mark.parametrize("in_place", [True, False])
async def test_damage_is_seen_while_it_runs(tmp_path: Path, in_place: bool) -> None:
    """This holds although SQLite still remembers the page as it was."""
    value = b"a value that nobody else has"
    async with opened(tmp_path) as store:
        await written(store, Record("item", "a", b"first"), Record("item", "b", value))
    async with opened(tmp_path) as store:
        assert store.read("item", "b") == value
        if in_place:
            flip_in_file(tmp_path, value)
        else:
            damage(tmp_path, "UPDATE item SET value = x'00' WHERE key = 'b'")
        assert store.reread(None, 9) == [("a", b"first"), ("b", DAMAGED)]
        assert store.reread("a", 9, "b") == []


async def test_a_store_that_cannot_go_on_says_so_and_stops(tmp_path: Path) -> None:
    failures = list[str]()
    async with opened(tmp_path, failures.append) as store:
        store.give_up("row '3fa/pear' is damaged")
        assert store.failed == failures[0]
    assert failures[0].startswith(f"{tmp_path / 'store.db'}: row '3fa/pear' is damaged; stop")


async def test_a_damaged_commit_is_noticed_at_the_start(tmp_path: Path) -> None:
    write_until_killed(tmp_path, 20, generation_rows=9999)
    damage(tmp_path, "UPDATE recent SET crc = crc + 1 WHERE number = 2")
    with pytest.raises(StoreError, match=r"row 2 of table recent in .* is damaged"):
        async with opened(tmp_path):
            pass


async def test_a_removed_row_stays_away_after_a_crash(tmp_path: Path) -> None:
    """The row had settled in its table, and its removal had not."""
    async with opened(tmp_path) as store:
        await written(store, Record("log", "a/1", b"key"), Record("log", "a/2", b"key"))
    async with opened(tmp_path) as store:
        await written(store, Record("log", "a/1", None))
        copied = tmp_path / "crashed"
        shutil.copytree(tmp_path, copied, ignore=lambda *_: ["lock", "crashed"])
    async with opened(copied) as store:
        assert store.scan("log", None, 10) == [("a/2", b"key")]
        assert store.read("log", "a/1") is None


async def test_a_file_that_cannot_be_read_is_an_error_not_an_absence(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await written(store, *(Record("item", f"{n:05}", b"v" * 500) for n in range(3000)))
    break_pages(tmp_path)
    with pytest.raises(StoreError, match="check the disk"):
        async with opened(tmp_path) as store:
            store.scan("item", None, 5000)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commits fail once the row named "last straw" is among them."""
    real = sqlite_file.commit

    def commit(
        writer: sqlite3.Connection, records: Collection[Record], *rest: Any
    ) -> tuple[int, int]:
        if any(record.key == "last straw" for record in records):
            raise sqlite3.OperationalError("database or disk is full")
        return real(writer, records, *rest)

    monkeypatch.setattr(sqlite_file, "commit", commit)


@pytest.mark.usefixtures("full_disk")
async def test_acknowledges_nothing_after_a_failed_commit(tmp_path: Path) -> None:
    done: list[str] = []
    failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with opened(tmp_path, failure.set_result) as store:
        await written(store, Record("item", "before", b"1"))
        store.write([Record("item", "last straw", b"1")], lambda: done.append("last straw"))
        reason = await failure
        assert "disk is full" in reason
        assert str(tmp_path) in reason
        assert store.failed == reason
        store.write([Record("item", "after", b"1")], lambda: done.append("after"))
        assert store.read("item", "after") == b"1"
    assert done == []
    async with opened(tmp_path) as store:
        assert [key for key, _ in store.scan("item", None, 10)] == ["before"]
