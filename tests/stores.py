"""A store for tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from node.core.protocol.effects import Record
from node.shell.disk.disk_limits import USUAL, DiskLimits
from node.shell.disk.store import Durability, SqliteStore


@asynccontextmanager
async def opened(
    directory: Path,
    on_failure: Callable[[str], None] = lambda reason: None,
    limits: DiskLimits = USUAL,
) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(directory, Durability.FULL, on_failure, limits)
    try:
        yield store
    finally:
        await store.close()


async def written(store: SqliteStore, *records: Record) -> None:
    done = asyncio.Event()
    store.write(records, done.set)
    await done.wait()
