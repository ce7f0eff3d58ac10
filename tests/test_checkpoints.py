"""The store moves its log beside its commits."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from node.core.protocol.effects import Record
from node.shell.disk import checkpoints
from node.shell.disk.disk_limits import DiskLimits
from tests.peers import until
from tests.stores import opened, written

WITHIN_S = 10.0
SHORT_LOG = DiskLimits(checkpoint_busy_bytes=0)  # the store moves any log

Move = Callable[[sqlite3.Connection], None]


def aside(
    monkeypatch: pytest.MonkeyPatch, instead: Callable[[Move, sqlite3.Connection], None]
) -> None:
    """Set what happens on the thread that moves a long log, in place of moving it."""
    move = checkpoints._move

    def moved(connection: sqlite3.Connection) -> None:
        if threading.current_thread().name.startswith("checkpoint"):
            instead(move, connection)
        else:
            move(connection)

    monkeypatch.setattr(checkpoints, "_move", moved)


def row(number: int) -> Record:
    return Record("item", f"{number:06}", b"v" * 1000)


async def test_commits_go_on_while_the_log_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(move: Move, connection: sqlite3.Connection) -> None:
        begun.set()
        assert may_end.wait(WITHIN_S)
        move(connection)

    aside(monkeypatch, slow)
    async with opened(tmp_path, limits=SHORT_LOG) as store:
        try:
            async with asyncio.timeout(WITHIN_S):
                for number in range(100):
                    await written(store, row(number))
            assert begun.is_set()
            assert store.commits == 100
        finally:
            may_end.set()
    async with opened(tmp_path) as store:
        assert len(store.scan("item", None, 200)) == 100


async def test_a_log_that_cannot_be_moved_makes_the_store_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(move: Move, connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    aside(monkeypatch, broken)
    failed = asyncio.Event()
    async with opened(tmp_path, lambda reason: failed.set(), limits=SHORT_LOG) as store:
        async with asyncio.timeout(WITHIN_S):
            number = 0
            while not failed.is_set():
                store.write([row(number)], lambda: None)
                number += 1
                await asyncio.sleep(0.001)
        assert "cannot be written (disk I/O error" in store.failed


async def test_a_store_at_rest_has_moved_its_log(tmp_path: Path) -> None:
    async with opened(tmp_path, limits=DiskLimits(checkpoint_idle_bytes=100_000)) as store:
        await written(store, *map(row, range(1000)))
        await until(lambda: not store._checkpoints.is_due(0))
        assert (tmp_path / "store.db").stat().st_size > 1_000_000
