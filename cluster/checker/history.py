"""What clients asked and what they were told: the only evidence that the causal checker accepts.

A recorder appends an operation when it sends it, and finishes it when the answer is in.  The
checker never reads an order off the clock: `parents` names the operations whose answers' tokens
were joined into the token that was sent.  These and the values that reads saw are the whole causal
order.  Instants tell only which writes a fault may have lost.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Dot = tuple[str, int]
Kind = Literal["put", "get", "delete"]
Mode = Literal["lww", "siblings", "latest"]
Status = Literal["ok", "fail", "unknown"]


@dataclass(slots=True)
class Operation:
    """One request and its outcome; instants are seconds on the recorder's monotonic clock.

    `fail` means certainly not applied, `unknown` perhaps.  A delete that was answered "absent" is
    `ok` without a dot: it wrote nothing and counts as a read of absence.

    A key has operations of the mode `lww` alone, or of the two others.  A read of the mode `latest`
    shows one of the siblings, and a write of it replaces all that its home holds.
    """

    id: int
    session: int
    node: str
    kind: Kind
    key: str
    mode: Mode
    value: str | None = None  # of a put: unique over the run
    started: float = 0.0
    ended: float | None = None
    status: Status = "unknown"
    parents: tuple[int, ...] = ()  # whose answers' tokens were joined into this one's
    context_of: int | None = None  # whose context of this key was sent; None: no context
    dot: Dot | None = None  # of a write, when known
    values: tuple[str, ...] = ()  # of a read: the values shown
    dots: tuple[Dot, ...] = ()  # of a read: all versions held, shown or hidden, and delete marks
    shown: tuple[Dot, ...] = ()  # of a read: the dots of `values`, in the same order
    marks: tuple[Dot, ...] = ()  # of a read: the delete marks held
    repeated: bool = False  # a write that was sent more than once, with one identity

    @property
    def writes(self) -> bool:
        """Whether this may have stored a version or a delete mark."""
        if self.kind == "get" or self.status == "fail":
            return False
        return self.kind == "put" or self.status != "ok" or self.dot is not None

    @property
    def reads(self) -> bool:
        """Whether the answer shows what the key held."""
        return self.status == "ok" and (
            self.kind == "get" or (self.kind == "delete" and self.dot is None)
        )


class History:
    """The operations of one run, in the order they were appended, each under its own id."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations: list[Operation] = []
        self._by_id: dict[int, Operation] = {}
        for operation in operations:
            self.append(operation)

    def __len__(self) -> int:
        return len(self.operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __getitem__(self, operation_id: int) -> Operation:
        """Return the operation of that id; KeyError if there is none."""
        return self._by_id[operation_id]

    def append(self, operation: Operation) -> Operation:
        """Record an operation as it is sent; ValueError if its id was used before."""
        if operation.id in self._by_id:
            raise ValueError(f"operation {operation.id} is recorded twice")
        self.operations.append(operation)
        self._by_id[operation.id] = operation
        return operation

    def finish(
        self,
        operation_id: int,
        *,
        ended: float,
        status: Status,
        dot: Dot | None = None,
        values: tuple[str, ...] = (),
        dots: tuple[Dot, ...] = (),
        shown: tuple[Dot, ...] = (),
        marks: tuple[Dot, ...] = (),
    ) -> Operation:
        """Record the outcome of an operation that is under way; ValueError if it has one."""
        operation = self[operation_id]
        if operation.ended is not None:
            raise ValueError(f"operation {operation_id} is finished twice")
        operation.ended, operation.status, operation.dot = ended, status, dot
        operation.values, operation.dots = values, dots
        operation.shown, operation.marks = shown, marks
        return operation
