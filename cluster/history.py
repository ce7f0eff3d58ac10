"""What clients asked and what they were told: the only evidence the causal checker accepts.

An operation is appended when it is sent and finished when its answer is in. Order between
operations is never read off the clock: `parents` names the operations whose answers' tokens were
joined into the token that was sent, and that, with what reads saw, is the whole causal order.
Times only serve the summary. Nothing is read or written here but by `dump` and `load`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

Dot = tuple[str, int]
Kind = Literal["put", "get", "delete"]
Mode = Literal["lww", "siblings"]
Status = Literal["ok", "fail", "unknown"]

CLOSE_READ_S = 0.05


@dataclass(slots=True)
class Operation:
    """One request and its outcome; instants are seconds on the recorder's monotonic clock.

    `fail` means certainly not applied, `unknown` perhaps. A delete answered «absent» is `ok`
    without a dot: it wrote nothing and counts as a read of absence.
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
    parents: tuple[int, ...] = ()  # whose answers' tokens were joined into the token sent
    context_of: int | None = None  # whose context of this key was sent; None: blind
    dot: Dot | None = None  # of a write, when known
    values: tuple[str, ...] = ()  # of a read: the values shown
    dots: tuple[Dot, ...] = ()  # of a read: all versions held, shown or hidden, and delete marks
    shown: tuple[Dot, ...] = ()  # of a read: the dots of `values`, in the same order
    marks: tuple[Dot, ...] = ()  # of a read: the delete marks held

    @property
    def writes(self) -> bool:
        """Tell whether this may have stored a version or a delete mark."""
        if self.kind == "get" or self.status == "fail":
            return False
        return self.kind == "put" or self.status != "ok" or self.dot is not None

    @property
    def reads(self) -> bool:
        """Tell whether the answer shows what the key held."""
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

    def dump(self, path: Path) -> None:
        """Write one JSON object a line, in order; `load` gives the same history back."""
        encoder = msgspec.json.Encoder()
        path.write_bytes(b"".join(encoder.encode(each) + b"\n" for each in self))

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read what `dump` wrote; msgspec.ValidationError if a line is not an operation."""
        decoder = msgspec.json.Decoder(Operation)
        return cls(decoder.decode(line) for line in path.read_bytes().splitlines() if line)

    def summary(self, faults: Sequence[tuple[float, float]] = ()) -> "Summary":
        """Count what was exercised; `faults` are the (start, end) instants of active faults."""
        reads = [each for each in self if each.kind == "get"]
        sibling_reads = [each for each in reads if each.mode == "siblings" and each.reads]
        return Summary(
            operations=len(self),
            ok=sum(each.status == "ok" for each in self),
            failed=sum(each.status == "fail" for each in self),
            unknown=sum(each.status == "unknown" for each in self),
            reads=len(reads),
            writes=len(self) - len(reads),
            under_fault=sum(_overlaps(each, faults) for each in self),
            steps=len(self) - len({each.session for each in self}),
            node_changes=_node_changes(self),
            close_reads=_close_reads(self),
            sibling_reads=len(sibling_reads),
            reads_of_siblings=sum(len(each.values) > 1 for each in sibling_reads),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """How much a run exercised: a run below the floors is no evidence, not a green one."""

    operations: int
    ok: int
    failed: int
    unknown: int
    reads: int
    writes: int
    under_fault: int  # operations that overlap an active fault
    steps: int  # operations that follow another one of their session
    node_changes: int  # of these, on another node than the one before
    close_reads: int  # reads within CLOSE_READ_S of a write to the same key
    sibling_reads: int  # answered reads of keys that keep siblings
    reads_of_siblings: int  # of these, with two values or more

    @property
    def ok_ratio(self) -> float:
        """Return the share of operations that were answered with success, 1.0 for none."""
        return _ratio(self.ok, self.operations)

    def shortfalls(self, *, faulty: bool) -> list[str]:
        """Name the floors the run missed; `faulty` if faults were injected. None: it counts."""
        floors = [
            ("ok operations", self.ok_ratio, 0.5 if faulty else 0.95),
            ("reads to writes", _ratio(self.reads, self.writes), 1.0),
            ("changes of node", _ratio(self.node_changes, self.steps), 0.5),
            ("reads close to a write", _ratio(self.close_reads, self.reads), 0.1),
            ("reads of siblings", _ratio(self.reads_of_siblings, self.sibling_reads), 0.05),
        ]
        if faulty:
            floors.append(
                ("operations under fault", _ratio(self.under_fault, self.operations), 0.3)
            )
        missed = [
            f"{name}: {share:.3f} < {floor}" for name, share, floor in floors if share < floor
        ]
        return missed if self.operations else ["no operations"]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _overlaps(operation: Operation, faults: Sequence[tuple[float, float]]) -> bool:
    ended = float("inf") if operation.ended is None else operation.ended
    return any(start <= ended and operation.started <= end for start, end in faults)


def _node_changes(history: History) -> int:
    last: dict[int, str] = {}
    changes = 0
    for operation in history:
        changes += last.get(operation.session, operation.node) != operation.node
        last[operation.session] = operation.node
    return changes


def _close_reads(history: History) -> int:
    last_write: dict[str, float] = {}
    close = 0
    for operation in sorted(history, key=lambda each: each.started):
        if operation.kind != "get":
            last_write[operation.key] = operation.started
        elif operation.key in last_write:
            close += operation.started - last_write[operation.key] <= CLOSE_READ_S
    return close
