"""The names of rows are those of the last writes, whether these have settled or not."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings, strategies as st

from node.core.protocol.effects import Record
from node.shell.disk.disk_limits import DiskLimits
from tests.stores import opened, written

KEYS = ("00a/", "00a/k", "00a/k\0", "00a/l", "00a0", "00b/a", "00b/k", "00c/k")
STEPS = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans(), st.booleans()), max_size=25)
bounds = st.sampled_from(("", *KEYS, "g"))


@given(STEPS, bounds, bounds, st.integers(1, 4), st.sampled_from((1, 3, 1000)))
@settings(max_examples=40, deadline=None)
def test_agree_with_a_set(
    steps: list[tuple[str, bool, bool]], start: str, before: str, limit: int, rows: int
) -> None:
    asyncio.run(_agree(steps, (start, before, limit), rows))


async def _agree(
    steps: list[tuple[str, bool, bool]], wanted: tuple[str, str, int], generation_rows: int
) -> None:
    (start, before, limit), there = wanted, set[str]()
    limits = DiskLimits(generation_rows=generation_rows, portion_rows=1)
    with tempfile.TemporaryDirectory() as directory:
        async with opened(Path(directory), limits=limits) as store:
            for key, is_delete, waits in steps:
                record = Record("item", key, None if is_delete else b"value")
                if waits:
                    await written(store, record)
                else:
                    store.write([record], lambda: None)
                (there.discard if is_delete else there.add)(key)
                expected = sorted(name for name in there if start <= name < before)[:limit]
                assert store.names("item", start, limit, before) == expected
