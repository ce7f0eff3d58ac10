"""Calls of a session about many keys, for threads; `async_many_keys` has them with await."""

from collections.abc import Iterable, Sequence

from coterie import bulk, exports, key_lists, snapshots, watching
from coterie.bulk import BulkOptions
from coterie.calls import OnMiss, ReadLevel, WriteLevel
from coterie.exports import Imported
from coterie.key_lists import PAGE_KEYS_MAX, Listing
from coterie.operations import Done, Operation
from coterie.resolvers import Resolver
from coterie.snapshots import Snapshot
from coterie.thread_calls import Items, Listed, ThreadCalls, Watch
from coterie.values import Group
from coterie.watching import Progress


class ManyKeys(ThreadCalls):
    """Lists of keys, bulks, snapshots, watches, exports and imports."""

    def keys(
        self,
        prefix: str = "",
        *,
        after: str = "",
        page_keys: int = PAGE_KEYS_MAX,
        partial: bool = False,
        timeout: float | None = None,
    ) -> Listed[str]:
        """Iterate over all keys that begin so, in the order of their code points, page by page.

        A key that has a value from the first page to the last is given once.  `after`: only keys
        behind this one.  `timeout` is for each page of at most `page_keys` keys.  `partial`: go on
        without shards of which no node answers; `unanswered` of the iterator names them.

        The iterator raises Incomplete if a shard did not answer in time, Unmet, Unavailable,
        BadRequest.
        """
        timeout_s = self._core.timeout_s(timeout)
        listing = Listing(prefix, after, page_keys, partial, timeout_s)
        return Listed(self._items(key_lists.keys(self._core, listing), timeout_s), listing)

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
    ) -> Listed[Group]:
        """Iterate over the keys that begin so, in groups up to the next delimiter.

        `counts`: say how many keys each group has, which takes a look at all of them.  Everything
        else is as in `keys`.
        """
        timeout_s = self._core.timeout_s(timeout)
        listing = Listing(prefix, after, page_keys, partial, timeout_s, delimiter, counts)
        return Listed(self._items(key_lists.groups(self._core, listing), timeout_s), listing)

    def bulk(
        self,
        operations: Iterable[Operation],
        *,
        w: WriteLevel | None = None,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
        resolve: Resolver | None = None,
    ) -> Items[Done]:
        """Carry out many operations (`Put`, `Get`, `Delete`); iterate over what came of each.

        `for done in kv.bulk(Put(key, value) for key, value in things): ...`

        The results come in the order of the operations, and errors of single operations are
        results.  Operations are taken from the iterable as they are sent, in batches of up to 256,
        which are carried out only as the program iterates.  `timeout` is for each batch.

        The iterator raises Unavailable if no node answers (then some operations of the last batch
        may be done), BadRequest; TypeError and ValueError for what is no JSON.
        """
        timeout_s = self._core.timeout_s(timeout)
        options = BulkOptions(
            w=self._core.w(w),
            r=self._core.r(r),
            on_miss=self._core.on_miss(on_miss),
            resolve=resolve,
            timeout_s=timeout_s,
        )
        return Items(self._items(bulk.bulk(self._core, operations, options), timeout_s))

    def snapshot(
        self,
        keys: Sequence[str],
        *,
        resolve: Resolver | None = None,
        timeout: float | None = None,
    ) -> Snapshot:
        """Return what up to 100 keys show as of one causal moment.

        No value depends on a write of these keys that the snapshot lacks.  `resolve` makes one
        value of several, as in `get`.

        Raises Unmet, Unavailable (also if the keys change faster than they can be read),
        BadRequest.
        """
        taken = self._call(snapshots.snapshot(keys, resolve), timeout)
        self._core.learn_contexts(taken.contexts())
        return taken

    def watch(
        self,
        prefix: str = "",
        *,
        key: str | None = None,
        last_id: str = "",
        timeout: float | None = None,
    ) -> Watch:
        """Iterate over the changes of keys as they come: of one key, or of all that begin so.

        `for change in kv.watch("carts/"): print(change.key, change.value)`

        The program is given each change at least once, and a change before those that depend on it.
        If the connection breaks, the watch goes on at another node.  The session depends on the
        last change that was given, so a read of its key shows it, or what has replaced it.

        `last_id`: how far an earlier watch of the same keys has come, to go on from there; without
        it, only changes from now on are given.  `timeout` is how long it may take to find a node
        that goes on with the watch.

        The iterator raises Reset if nodes cannot tell what has changed since it was broken off,
        Unavailable if none goes on with it in time, BadRequest.
        """
        if prefix and key is not None:
            raise ValueError("a watch is of a key or of a prefix, not of both")
        progress = Progress(prefix, key, last_id, self._core.timeout_s(timeout))
        return Watch(self._items(watching.watch(self._core, progress), None), progress)

    def export(self, *, partial: bool = False, timeout: float | None = None) -> Items[bytes]:
        """Iterate over the lines of an export of all keys, counters, sets and policies.

        All that was acknowledged before is in it, or what has replaced it.  The lines are those of
        `GET /v1/export` (docs/api.md), without their ends.  If the iterator ends, the export is
        whole.  `partial`: go without nodes that cannot be reached; the first line names them.
        `timeout` is how long it may take to begin.  Keep the lines: an export that is broken off
        cannot be gone on with.

        The iterator raises Unavailable (also if it is broken off), BadRequest.
        """
        timeout_s = self._core.timeout_s(timeout)
        return Items(self._items(exports.export(self._core, partial, timeout_s), timeout_s))

    def import_lines(
        self,
        lines: Iterable[bytes],
        *,
        merge: bool = False,
        w: WriteLevel | None = None,
        timeout: float | None = None,
    ) -> Items[Imported]:
        """Write the lines of an export; iterate over what has become of each batch of them.

        Nothing is replaced: a value that its key shows already stays as it is, and others are
        written beside what is there.  So the same lines may be imported again after a break, with
        `merge`.  Lines are sent only as the program iterates.  `w` is the level of each write,
        "quorum" if it is not given, and `timeout` is for each batch.

        The iterator raises NotEmpty before anything is written if the cluster has keys, unless
        `merge` is given; Unavailable, BadRequest.
        """
        timeout_s = self._core.timeout_s(timeout)
        steps = exports.imports(self._core, lines, merge, self._core.w(w), timeout_s)
        return Items(self._items(steps, timeout_s))
