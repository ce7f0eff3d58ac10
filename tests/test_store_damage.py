"""The store after a crash, on a damaged file, on a full disk: what it called done is there, or it
says so."""

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

import pytest

from node.core.effects import Record
from node.shell import rows
from node.shell.recent import Portion
from node.shell.store import SqliteStore, StoreError
from tests.stores import opened, written


def rows_in(store: SqliteStore) -> int:
    return sum(rows for rows, _ in store.counts("item").values())


WRITER = """
import asyncio, sys
from pathlib import Path
from node.core.effects import Record
from node.shell import recent
from node.shell.store import SqliteStore

recent.GENERATION_ROWS = recent.PORTION_ROWS = int(sys.argv[2])

async def main():
    store = SqliteStore(Path(sys.argv[1]))
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


def write_until_killed(directory: Path, lines: int, generation_rows: int = 50) -> list[int]:
    """The numbers of the rows that a killed writer has called done, at least so many."""
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
    """The machine died in the middle of a commit: that one is gone, the earlier ones are not."""
    write_until_killed(tmp_path, 20)
    os.truncate(tmp_path / "store.db-wal", (tmp_path / "store.db-wal").stat().st_size - 2000)
    async with opened(tmp_path) as store:
        count = rows_in(store)
        assert count > 0
        assert len(store.scan("item", None, 10_000)) == count


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE item SET value = x'00' WHERE key = 'b'",
        "UPDATE item SET crc = crc + 1 WHERE key = 'b'",
        "UPDATE item SET key = 'bb' WHERE key = 'b'",
    ],
)
async def test_a_damaged_row_is_a_failure_not_an_absence(tmp_path: Path, statement: str) -> None:
    async with opened(tmp_path) as store:
        await written(store, *(Record("item", key, b"value") for key in "abc"))
    damage(tmp_path, statement)
    key = "bb" if "'bb'" in statement else "b"
    async with opened(tmp_path) as store:
        assert store.read("item", "a") == b"value"
        with pytest.raises(StoreError, match="is damaged"):
            store.read("item", key)
        with pytest.raises(StoreError, match="is damaged"):
            store.scan("item", None, 3)
        assert "is damaged" in store.failed


async def test_a_damaged_commit_is_noticed_at_the_start(tmp_path: Path) -> None:
    write_until_killed(tmp_path, 20, generation_rows=9999)
    damage(tmp_path, "UPDATE recent SET crc = crc + 1 WHERE number = 2")
    with pytest.raises(StoreError, match=r"row 2 of table recent in .* is damaged"):
        async with opened(tmp_path):
            pass


async def test_a_removed_row_stays_away_after_a_crash(tmp_path: Path) -> None:
    """Although it had settled in its table, and its removal had not."""
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
    """Commits fail, but only once the row named "last straw" is among them."""
    real = rows.commit

    def commit(
        writer: sqlite3.Connection, records: Collection[Record], number: int, portion: Portion
    ) -> tuple[int, int]:
        if any(record.key == "last straw" for record in records):
            raise sqlite3.OperationalError("database or disk is full")
        return real(writer, records, number, portion)

    monkeypatch.setattr(rows, "commit", commit)


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
