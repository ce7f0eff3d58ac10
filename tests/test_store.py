"""The store keeps what it called done, shows what was written, and serves nothing damaged."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.effects import Record
from node.shell import rows
from node.shell.store import Durability, SqliteStore, StoreError

WRITER = """
import asyncio, sys
from pathlib import Path
from node.core.effects import Record
from node.shell.store import SqliteStore

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


@asynccontextmanager
async def opened(
    directory: Path, on_failure: Callable[[str], None] = lambda reason: None
) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(directory, Durability.FULL, on_failure)
    try:
        yield store
    finally:
        await store.close()


async def written(store: SqliteStore, *records: Record) -> None:
    done = asyncio.Event()
    store.write(records, done.set)
    await done.wait()


def damage(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "store.db")) as connection, connection:
        assert connection.execute(statement).rowcount == 1


async def test_shows_a_write_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.write([Record("item", "a", b"1"), Record("meta", "a", b"2")], lambda: None)
        assert (store.read("item", "a"), store.read("meta", "a")) == (b"1", b"2")
        assert store.read("log", "a") is None
        assert store.waiting_rows == 2
    async with opened(tmp_path) as store:
        assert (store.read("item", "a"), store.read("meta", "a")) == (b"1", b"2")
        assert store.waiting_rows == 0


async def test_calls_done_in_order(tmp_path: Path) -> None:
    order: list[int] = []
    async with opened(tmp_path) as store:
        for number in range(100):
            records = [Record("item", "k", b"%d" % number)] * (number % 3 > 0)  # or none at all
            store.write(records, partial(order.append, number))
    assert order == list(range(100))
    assert store.commits < 100


async def test_a_done_that_raises_keeps_no_other_from_being_called(tmp_path: Path) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

    def crash() -> None:
        raise RuntimeError("a bug")

    async with opened(tmp_path) as store:
        store.write([Record("item", "a", b"1")], crash)
        await written(store, Record("item", "b", b"1"))
    assert len(errors) == 1


async def test_keeps_an_overlay_row_that_was_written_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        seen: list[bytes | None] = []

        def write_again() -> None:
            store.write([Record("item", "k", b"3")], lambda: None)
            seen.append(store.read("item", "k"))

        store.write([Record("item", "k", b"1")], write_again)
        store.write([Record("item", "k", b"2")], lambda: None)
        await written(store, Record("item", "other", b""))
        assert seen == [b"3"]
        assert store.read("item", "k") == b"3"


async def test_scans_in_the_order_of_keys_with_the_overlay_in_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await written(store, *(Record("item", key, b"old") for key in ("a", "c", "e", "g")))
        store.write(
            [Record("item", "b", b"new"), Record("item", "c", None), Record("item", "e", b"new")],
            lambda: None,
        )
        expected = [("a", b"old"), ("b", b"new"), ("e", b"new"), ("g", b"old")]
        assert store.scan("item", None, 10) == expected
        assert store.scan("item", "a", 2) == expected[1:3]
        assert store.scan("item", "g", 2) == []
        assert store.count("item") == 4


KEYS = ["", "\0", "a", "a\0", "a\0b", "aa", "ä", "z", "\u07ff", "\u0800", "\uffff", "\U00010000"]


async def test_takes_any_key_and_orders_by_code_points(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await written(store, *(Record("item", key, key.encode()) for key in reversed(KEYS)))
    async with opened(tmp_path) as store:
        assert store.scan("item", None, 100) == [(key, key.encode()) for key in sorted(KEYS)]
        for key in KEYS:
            assert store.read("item", key) == key.encode()
            after = [later for later, _ in store.scan("item", key, 100)]
            assert after == [later for later in sorted(KEYS) if later > key]


async def test_knows_open_rows(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await written(
            store,
            Record("item", "a", b"1", open=True),
            Record("item", "b", b"1"),
            Record("item", "c", b"1", open=True),
            Record("item", "d", b"1", open=True),
        )
        store.write([Record("item", "a", b"2"), Record("item", "b", b"2", open=True)], lambda: None)
        store.write([Record("item", "d", None)], lambda: None)
        assert store.open_keys("item") == ["b", "c"]
    async with opened(tmp_path) as store:
        assert store.open_keys("item") == ["b", "c"]


Step = tuple[str, bytes | None, bool]
STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.one_of(st.none(), st.binary(max_size=3)), st.booleans()
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_agrees_with_a_dictionary(steps: list[Step]) -> None:
    asyncio.run(_agree(steps))


async def _agree(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        model: dict[str, bytes] = {}
        async with opened(Path(directory)) as store:
            for key, value, waits in steps:
                record = Record("item", key, value)
                if waits:
                    await written(store, record)
                else:
                    store.write([record], lambda: None)
                model.pop(key, None)
                if value is not None:
                    model[key] = value
                assert store.scan("item", None, 100) == sorted(model.items())
                assert store.count("item") == len(model)
        async with opened(Path(directory)) as store:
            assert store.scan("item", None, 100) == sorted(model.items())


# ------------------------------------------------------------------ crashes and damage


def write_until_killed(directory: Path, lines: int) -> list[int]:
    """The numbers of the rows that a killed writer has called done, at least so many."""
    command = [sys.executable, "-c", WRITER, str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        printed = [process.stdout.readline() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        printed += process.stdout.readlines()
    return [int(line) for line in printed if line.endswith("\n")]


def break_pages(directory: Path) -> None:
    with open(directory / "store.db", "r+b") as file:
        for page in range(10, 300):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)


@pytest.mark.parametrize("lines", [1, 40, 400])
async def test_has_all_it_called_done_after_kill_9(tmp_path: Path, lines: int) -> None:
    done = write_until_killed(tmp_path, lines)
    assert done == list(range(1, len(done) + 1))
    async with opened(tmp_path) as store:
        for number in done:
            assert store.read("item", f"k{number}") == b"%d" % number
        assert store.count("item") >= len(done)
        assert len(store.open_keys("item")) == store.count("item")


async def test_opens_with_a_torn_log(tmp_path: Path) -> None:
    """The machine died in the middle of a commit: that one is gone, the earlier ones are not."""
    write_until_killed(tmp_path, 20)
    os.truncate(tmp_path / "store.db-wal", (tmp_path / "store.db-wal").stat().st_size - 2000)
    async with opened(tmp_path) as store:
        assert store.count("item") > 0
        assert len(store.scan("item", None, 10_000)) == store.count("item")


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

    def commit(writer: sqlite3.Connection, records: list[Record]) -> None:
        records = list(records)
        if any(record.key == "last straw" for record in records):
            raise sqlite3.OperationalError("database or disk is full")
        real(writer, records)

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


# ------------------------------------------------------------------ opening


async def test_data_is_for_its_owner_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
        for name in ("store.db", "store.db-wal"):
            assert (tmp_path / "new" / name).stat().st_mode & 0o777 == 0o600


async def test_refuses_a_directory_in_use(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StoreError, match="in use by another process"):
            SqliteStore(tmp_path)


async def test_refuses_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="not a writable directory"):
        SqliteStore(tmp_path / "file" / "below")


async def test_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database" * 1000)
    for _ in range(2):  # the first refusal leaves nothing locked
        with pytest.raises(StoreError, match=r"store\.db cannot be opened"):
            SqliteStore(tmp_path)


async def test_refuses_another_format(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99"):
        SqliteStore(tmp_path)


async def test_moves_the_log_into_the_tables_when_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.shell.store.CHECKPOINT_BUSY_BYTES", 0)
    async with opened(tmp_path) as store:
        for number in range(200):
            await written(store, Record("item", "k", b"%d" % number * 1000))
        assert (tmp_path / "store.db-wal").stat().st_size < 400_000
