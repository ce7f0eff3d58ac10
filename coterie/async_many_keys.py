"""Calls of a session about many keys, for asyncio: those of `many_keys`, with await."""

from collections.abc import Iterable, Sequence

from coterie import bulk, exports, key_lists, snapshots, watching
from coterie.bulk import BulkOptions
from coterie.calls import OnMiss, ReadLevel, WriteLevel
from coterie.exports import Imported
from coterie.key_lists import PAGE_KEYS_MAX, Listing
from coterie.operations import Done, Operation
from coterie.resolvers import Resolver
from coterie.snapshots import Snapshot
from coterie.task_calls import AsyncItems, AsyncListed, AsyncWatch, TaskCalls
from coterie.values import Group
from coterie.watching import Progress


class AsyncManyKeys(TaskCalls):
    """Lists of keys, bulks, snapshots, watches, exports and imports, as `ManyKeys`."""

    def keys(
        self,
        prefix: str = "",
        *,
        after: str = "",
        page_keys: int = PAGE_KEYS_MAX,
        partial: bool = False,
        timeout: float | None = None,
    ) -> AsyncListed[str]:
        """As `Session.keys`, with `async for`."""
        timeout_s = self._core.timeout_s(timeout)
        listing = Listing(prefix, after, page_keys, partial, timeout_s)
        return AsyncListed(self._items(key_lists.keys(self._core, listing), timeout_s), listing)

    def groups(
        self,
        prefix: str = "",
        *,
        delimiter: str = "/",
        counts: bool = False,
        after: str = "",
        page_keys: int = PAGE_KEYS_MAX,
        partial: bool = False,
        timeout: float | None = None,
    ) -> AsyncListed[Group]:
        """As `Session.groups`, with `async for`."""
        timeout_s = self._core.timeout_s(timeout)
        listing = Listing(prefix, after, page_keys, partial, timeout_s, delimiter, counts)
        return AsyncListed(self._items(key_lists.groups(self._core, listing), timeout_s), listing)

    def bulk(
        self,
        operations: Iterable[Operation],
        *,
        w: WriteLevel | None = None,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
        resolve: Resolver | None = None,
    ) -> AsyncItems[Done]:
        """As `Session.bulk`, with `async for`."""
        timeout_s = self._core.timeout_s(timeout)
        options = BulkOptions(
            w=self._core.w(w),
            r=self._core.r(r),
            on_miss=self._core.on_miss(on_miss),
            resolve=resolve,
            timeout_s=timeout_s,
        )
        return AsyncItems(self._items(bulk.bulk(self._core, operations, options), timeout_s))

    async def snapshot(
        self,
        keys: Sequence[str],
        *,
        resolve: Resolver | None = None,
        timeout: float | None = None,
    ) -> Snapshot:
        """As `Session.snapshot`."""
        taken = await self._call(snapshots.snapshot(keys, resolve), timeout)
        self._core.learn_contexts(taken.contexts())
        return taken

    def watch(
        self,
        prefix: str = "",
        *,
        key: str | None = None,
        last_id: str = "",
        timeout: float | None = None,
    ) -> AsyncWatch:
        """As `Session.watch`, with `async for`."""
        if prefix and key is not None:
            raise ValueError("a watch is of a key or of a prefix, not of both")
        progress = Progress(prefix, key, last_id, self._core.timeout_s(timeout))
        return AsyncWatch(self._items(watching.watch(self._core, progress), None), progress)

    def export(self, *, partial: bool = False, timeout: float | None = None) -> AsyncItems[bytes]:
        """As `Session.export`, with `async for`."""
        timeout_s = self._core.timeout_s(timeout)
        return AsyncItems(self._items(exports.export(self._core, partial, timeout_s), timeout_s))

    def import_lines(
        self,
        lines: Iterable[bytes],
        *,
        merge: bool = False,
        w: WriteLevel | None = None,
        timeout: float | None = None,
    ) -> AsyncItems[Imported]:
        """As `Session.import_lines`, with `async for`."""
        timeout_s = self._core.timeout_s(timeout)
        steps = exports.imports(self._core, lines, merge, self._core.w(w), timeout_s)
        return AsyncItems(self._items(steps, timeout_s))
