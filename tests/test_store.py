"""The store shows what was written, durable or not, and keeps what it called done."""

import asyncio
import random
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from node.core.protocol.effects import Record
from node.shell.disk import sqlite_file
from node.shell.disk.commit_buffer import Recent
from node.shell.disk.disk_limits import DiskLimits
from node.shell.disk.store import SqliteStore, StoreError
from tests.stores import opened, written


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


async def test_shows_what_was_written_again_before_it_was_durable(tmp_path: Path) -> None:
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


async def test_scans_in_the_order_of_keys_with_what_has_not_settled(tmp_path: Path) -> None:
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


async def test_counts_by_the_beginning_of_keys_with_what_has_not_settled(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        assert store.counts("item") == {}
        old = ("00a/1", "00a/2", "00b/1", "fff/1", "x", "")
        await written(store, *(Record("item", key, b"old") for key in old))
        await written(store, Record("meta", "00a/1", b"old"))
        assert store.counts("item") == {
            **{"00a": (2, 6), "00b": (1, 3)},
            **{"fff": (1, 3), "x": (1, 3), "": (1, 3)},
        }
        store.write(
            [Record("item", "00a/1", b"longer"), Record("item", "00a/3", b"new")]
            + [Record("item", key, None) for key in ("00b/1", "00c/never", "x")],
            lambda: None,
        )
        assert store.counts("item") == {"00a": (3, 12), "fff": (1, 3), "": (1, 3)}
        assert store.counts("log") == {}
    async with opened(tmp_path) as store:
        assert store.counts("item") == {"00a": (3, 12), "fff": (1, 3), "": (1, 3)}


async def test_a_count_sees_one_moment_although_a_batch_becomes_durable_within_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await written(store, Record("item", "00a/1", b"old"))
        release = threading.Event()
        real = sqlite_file.commit

        def commit(*arguments: Any) -> tuple[int, int]:
            release.wait()
            done = real(*arguments)
            committed.set()
            return done

        committed = threading.Event()
        monkeypatch.setattr(sqlite_file, "commit", commit)
        store.write([Record("item", "00a/2", b"new"), Record("item", "00a/1", None)], lambda: None)
        durable_size = store._durable_size

        def look_late(table: str, key: str) -> Iterator[tuple[int]]:
            release.set()
            committed.wait()
            return durable_size(table, key)

        monkeypatch.setattr(store, "_durable_size", look_late)
        assert store.counts("item") == {"00a": (1, 3)}


async def test_settled_rows_lie_in_their_tables_alone(tmp_path: Path) -> None:
    limits = DiskLimits(generation_rows=20, idle_s=0.001)
    async with opened(tmp_path, limits=limits) as store:
        await written(store, *(Record("item", f"{n:03}", b"old") for n in range(30)))
        store.write([Record("item", "007", b"new")], lambda: None)
        assert len(store.scan("item", None, 100)) == 30
        async with asyncio.timeout(20):
            while len(list(store._unsettled.all_of("item"))) > 1:
                await written(store)
        assert store.read("item", "007") == b"new"
        assert store.scan("item", "006", 2) == [("007", b"new"), ("008", b"old")]
        assert store.read("item", "008") == b"old"


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
        st.sampled_from(("a", "b", "00a/x", "00a/y", "00b/x", "ffff")),
        st.one_of(st.none(), st.binary(max_size=3)),
        st.booleans(),
    ),
    max_size=30,
)


@given(STEPS, st.sampled_from((1, 2, 3, 16_384)))
@settings(max_examples=60)
def test_agrees_with_a_dictionary(steps: list[Step], generation_rows: int) -> None:
    """This holds however often the generations of recent rows change."""
    asyncio.run(_agree(steps, DiskLimits(generation_rows=generation_rows, portion_rows=1)))


def counted(model: dict[str, bytes]) -> dict[str, tuple[int, int]]:
    starts = Counter(key[:3] for key in model)
    sizes = {start: sum(len(model[k]) for k in model if k[:3] == start) for start in starts}
    return {start: (rows, sizes[start]) for start, rows in starts.items()}


async def _agree(steps: list[Step], limits: DiskLimits) -> None:
    with tempfile.TemporaryDirectory() as directory:
        model: dict[str, bytes] = {}
        async with opened(Path(directory), limits=limits) as store:
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
                assert store.counts("item") == counted(model)
        async with opened(Path(directory), limits=limits) as store:
            assert store.scan("item", None, 100) == sorted(model.items())


async def test_what_is_removed_soon_never_reaches_its_table(tmp_path: Path) -> None:
    settled: list[str] = []
    async with opened(tmp_path) as store:
        store._writer.set_trace_callback(settled.append)
        await written(store, Record("log", "a/1", b"key"), Record("item", "key", b"1"))
        await written(store, Record("log", "a/1", None), Record("item", "key", b"2"))
        assert not any("item" in statement for statement in settled)
    assert sum("REPLACE INTO item" in statement for statement in settled) == 1
    assert not any("REPLACE INTO log" in statement for statement in settled)


async def test_recent_rows_settle_as_others_come(tmp_path: Path) -> None:
    limits = DiskLimits(generation_rows=20, portion_rows=4)
    async with opened(tmp_path, limits=limits) as store:
        for number in range(200):
            await written(store, Record("item", f"{number:03}", b"1"), Record("item", "x", b"1"))
            assert len(store._recent) < 60
            assert sum(rows for rows, _ in store.counts("item").values()) == number + 2
        assert [key for key, _ in store.scan("item", "150", 2)] == ["151", "152"]


def test_a_generation_settles_in_the_order_of_its_keys() -> None:
    of, some = Recent(DiskLimits(portion_rows=7)), random.Random(1)
    keys = [("item", f"{some.randrange(4096):03x}/{n}") for n in range(100)]
    for number, row in enumerate([*keys, *keys[:20]]):
        of.add(number, {row: Record(*row, b"")}, 1)
    of.turn()
    settled: list[str] = []
    while of:
        portion = of.portion(1)
        settled += [record.key for record in portion.records]
        of.settled(portion)
    assert settled == sorted(key for _, key in keys)
    assert portion.ends == 119


async def test_a_commit_that_no_row_can_hold_is_several(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    async with opened(tmp_path, limits=DiskLimits(blob_bytes_max=100)) as store:
        await written(store, *(Record("item", f"{n:03}", b"v" * 40) for n in range(100)))
        assert store._recent.number > 50
        await written(store, Record("item", "last", b"v" * 200))
        shutil.copytree(tmp_path, crashed, ignore=lambda *_: ["lock", "crashed"])
    async with opened(crashed) as store:
        assert len(store.scan("item", None, 200)) == 101
        assert len(store._recent) == 101


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


async def test_a_file_of_before_gets_the_table_that_it_lacks(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await written(store, Record("item", "k", b"v"))
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("DROP TABLE hint")
    async with opened(tmp_path) as store:
        assert store.read("item", "k") == b"v"
        await written(store, Record("hint", "1", b"h"))
    async with opened(tmp_path) as store:
        assert store.scan("hint", None, 9) == [("1", b"h")]


async def test_moves_the_log_into_the_tables_when_it_is_long(tmp_path: Path) -> None:
    async with opened(tmp_path, limits=DiskLimits(checkpoint_busy_bytes=0)) as store:
        for number in range(200):
            await written(store, Record("item", "k", b"%d" % number * 1000))
        assert (tmp_path / "store.db-wal").stat().st_size < 400_000
