"""The operations of a bulk, the batches in which they are sent, and what comes of them.

A batch is one request.  It is bounded in number and bytes, so neither side holds more than that,
however many operations a program gives.  A key is in a batch once: all of its operations have the
same name then (Idempotency-Key), and the batch may be sent again.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from coterie.calls import Context
from coterie.errors import CoterieError
from coterie.values import Value, Written

BATCH_MAX = 256  # operations
BATCH_BYTES_MAX = 512 * 1024
# A node answers reads while the batch still comes.  So many bytes are on their way without being
# read, so neither side waits for the other.
READS_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Get:
    """Read a key."""

    key: str
    is_write: ClassVar[bool] = False
    context: ClassVar[None] = None

    def document(self) -> dict[str, Any]:
        """Return the operation as a bulk has it."""
        return {"op": "get", "key": self.key}


@dataclass(frozen=True, slots=True)
class Put:
    """Write a value: bytes as they are, everything else as JSON, also text.  `context` as in
    `put`."""

    key: str
    value: object
    context: Context | None = None
    is_write: ClassVar[bool] = True

    def document(self) -> dict[str, Any]:
        """Return the operation as a bulk has it."""
        if isinstance(self.value, bytes | bytearray | memoryview):
            raw = base64.b64encode(self.value).decode()
            return {"op": "put", "key": self.key, "value_base64": raw}
        return {"op": "put", "key": self.key, "value": self.value}


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key."""

    key: str
    context: Context | None = None
    is_write: ClassVar[bool] = True

    def document(self) -> dict[str, Any]:
        """Return the operation as a bulk has it."""
        return {"op": "delete", "key": self.key}


Operation: TypeAlias = Get | Put | Delete


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one operation: `value` of a read, `written` of a write, or the `error` that the
    call of the key would have raised."""

    operation: Operation
    value: Value | None = None
    written: Written | None = None
    error: CoterieError | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An operation, and its text without a context: that is known when the line is sent."""

    operation: Operation
    text: bytes

    def sent(self, context: str | None) -> bytes:
        """Return the line as it is sent."""
        if context is None:
            return self.text + b"\n"
        return b'%b,"context":%b}\n' % (self.text[:-1], json.dumps(context).encode())


def line_of(operation: Operation) -> Line:
    """Return the line of an operation; raise TypeError or ValueError for what is no JSON."""
    document = operation.document()
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Line(operation, text.encode())


@dataclass(slots=True)
class Batch:
    """Operations of different keys that are sent together."""

    lines: list[Line] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    size: int = 0
    has_writes: bool = False
    has_reads: bool = False

    def has_room(self, line: Line) -> bool:
        """Whether the line fits; one that is longer than a batch may be is one of its own."""
        reads = self.has_reads or not line.operation.is_write
        most = READS_BYTES_MAX if reads else BATCH_BYTES_MAX
        is_small = len(self.lines) < BATCH_MAX and self.size + len(line.text) <= most
        return not self.lines or (is_small and line.operation.key not in self.keys)

    def add(self, line: Line) -> None:
        """Take one more line."""
        self.lines.append(line)
        self.keys.add(line.operation.key)
        self.size += len(line.text)
        self.has_writes |= line.operation.is_write
        self.has_reads |= not line.operation.is_write


def batches(operations: Iterable[Operation]) -> Iterator[Batch]:
    """Yield all operations in batches, in their order."""
    batch = Batch()
    for operation in operations:
        line = line_of(operation)
        if not batch.has_room(line):
            yield batch
            batch = Batch()
        batch.add(line)
    if batch.lines:
        yield batch
