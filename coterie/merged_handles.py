"""Handles of counters and sets, for threads and for asyncio."""

from collections.abc import Iterable

from coterie import merged
from coterie.calls import OnMiss, ReadLevel, WriteLevel
from coterie.merged import Counted, Members, Scalar
from coterie.task_calls import TaskCalls
from coterie.thread_calls import ThreadCalls


class Counter:
    """A counter that loses no addition: those on both sides of a partition count."""

    def __init__(self, session: ThreadCalls, key: str) -> None:
        """A program calls `counter` of a session instead."""
        self._session = session
        self.key = key

    def add(
        self,
        amount: int = 1,
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Counted:
        """Add to the counter; a negative amount counts down.

        The call may be sent several times, and counts once; `idempotency_key` is the name of this
        addition, if the program itself may repeat it.  Raises Unavailable, BadRequest.
        """
        core = self._session._core
        options = core.write_options(self.key, w, idempotency_key=idempotency_key)
        return self._session._call(merged.add(self.key, amount, options), timeout)

    def value(
        self,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
    ) -> int:
        """Return the value of the counter, 0 if nothing was added.

        Raises Unmet, Unavailable, BadRequest.
        """
        core = self._session._core
        call = merged.value(self.key, core.r(r), core.on_miss(on_miss))
        return self._session._call(call, timeout)


class Set:
    """A set of texts, numbers, booleans and null, which loses no addition.

    A remove takes what its session has seen of an element; an addition beside it stays.
    """

    def __init__(self, session: ThreadCalls, key: str) -> None:
        """A program calls `set` of a session instead."""
        self._session = session
        self.key = key

    def add(
        self,
        *elements: Scalar,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Members:
        """Add elements.  Raises what `change` raises."""
        return self.change(elements, (), w=w, timeout=timeout, idempotency_key=idempotency_key)

    def remove(
        self,
        *elements: Scalar,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Members:
        """Remove elements, as far as this session has seen them.  Raises what `change` raises."""
        return self.change((), elements, w=w, timeout=timeout, idempotency_key=idempotency_key)

    def change(
        self,
        add: Iterable[Scalar],
        remove: Iterable[Scalar],
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Members:
        """Add and remove elements in one write.

        The session has seen an element if it has read or added it.  Raises Unmet, Unavailable,
        BadRequest.
        """
        core = self._session._core
        options = core.write_options(self.key, w, idempotency_key=idempotency_key)
        return self._session._call(merged.change(self.key, add, remove, options), timeout)

    def elements(
        self,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
    ) -> list[Scalar]:
        """Return all elements: null, booleans, numbers and texts, each in their order.

        Raises Unmet, Unavailable, BadRequest.
        """
        core = self._session._core
        call = merged.elements(self.key, core.r(r), core.on_miss(on_miss))
        return self._session._call(call, timeout)


class AsyncCounter:
    """A counter, as `Counter`."""

    def __init__(self, session: TaskCalls, key: str) -> None:
        """A program calls `counter` of a session instead."""
        self._session = session
        self.key = key

    async def add(
        self,
        amount: int = 1,
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Counted:
        """As `Counter.add`."""
        core = self._session._core
        options = core.write_options(self.key, w, idempotency_key=idempotency_key)
        return await self._session._call(merged.add(self.key, amount, options), timeout)

    async def value(
        self,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
    ) -> int:
        """As `Counter.value`."""
        core = self._session._core
        call = merged.value(self.key, core.r(r), core.on_miss(on_miss))
        return await self._session._call(call, timeout)


class AsyncSet:
    """A set, as `Set`."""

    def __init__(self, session: TaskCalls, key: str) -> None:
        """A program calls `set` of a session instead."""
        self._session = session
        self.key = key

    async def add(
        self,
        *elements: Scalar,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Members:
        """As `Set.add`."""
        return await self.change(
            elements, (), w=w, timeout=timeout, idempotency_key=idempotency_key
        )

    async def remove(
        self,
        *elements: Scalar,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Members:
        """As `Set.remove`."""
        return await self.change(
            (), elements, w=w, timeout=timeout, idempotency_key=idempotency_key
        )

    async def change(
        self,
        add: Iterable[Scalar],
        remove: Iterable[Scalar],
        *,
        w: WriteLevel | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> Members:
        """As `Set.change`."""
        core = self._session._core
        options = core.write_options(self.key, w, idempotency_key=idempotency_key)
        return await self._session._call(merged.change(self.key, add, remove, options), timeout)

    async def elements(
        self,
        *,
        r: ReadLevel | None = None,
        timeout: float | None = None,
        on_miss: OnMiss | None = None,
    ) -> list[Scalar]:
        """As `Set.elements`."""
        core = self._session._core
        call = merged.elements(self.key, core.r(r), core.on_miss(on_miss))
        return await self._session._call(call, timeout)
