"""Which writes a read saw: matches values and dots with the operations that wrote them.

Values are unique over a run, so a value names its writer.  A dot names its writer once an
acknowledgement or a read has shown the two together, or the recorder has told it.  This module
reports a value without a writer, the value of a refused write, a value that one answer shows twice,
and a dot with two meanings.  A dot that no answer ever showed with a value may belong to a write of
unknown outcome: the checker ignores it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.checker.history import Dot, History, Operation
from cluster.checker.violations import Final, Findings, ViolationKind, describe


@dataclass(frozen=True, slots=True)
class Seen:
    """The writes behind one answer, or behind one replica's state of a key."""

    absent: bool  # no value was shown
    shown: tuple[Operation, ...]  # of the values shown
    held: tuple[Operation, ...]  # all versions that were surely held: shown, hidden and marks
    marks: tuple[Operation, ...]  # the deletes whose marks were held
    vague: bool  # a mark of an unknown delete was held, or may have been


class Sources:
    """The writers of a history by value and by dot; a value written twice is a ValueError."""

    def __init__(self, history: History, findings: Findings, names: Mapping[Dot, str]) -> None:
        self._findings = findings
        self._by_value: dict[str, Operation] = {}
        self._by_dot: dict[Dot, Operation] = {}
        self._deleted: set[str] = {
            each.key for each in history if each.kind == "delete" and each.status != "fail"
        }
        for operation in history:
            self._learn_write(operation)
        for operation in history:
            if operation.reads:
                self._learn_read(operation)
        for dot, value in names.items():
            if writer := self._by_value.get(value):
                self._name(dot, writer)

    def seen(
        self, key: str, values: Iterable[str], dots: Iterable[Dot], marks: Iterable[Dot]
    ) -> Seen:
        """Match an answer for `key` with the writes that it shows; leave out refused writes."""
        shown = self._writers(key, (self._by_value.get(value) for value in values))
        deletes = self._writers(key, (self._by_dot.get(mark) for mark in marks))
        held = self._writers(key, (self._by_dot.get(dot) for dot in dots))
        known_marks = tuple(each for each in deletes if each.kind == "delete")
        return Seen(
            absent=not tuple(values),
            shown=shown,
            held=tuple({each.id: each for each in (*shown, *held, *known_marks)}.values()),
            marks=known_marks,
            vague=len(set(marks)) != len(known_marks) or not known_marks,
        )

    def of_read(self, read: Operation) -> Seen:
        """Match the answer of one read with the writes that it shows."""
        return self.seen(read.key, read.values, read.dots, read.marks)

    def check_read(self, read: Operation) -> None:
        """Report values in this read that have no writer, or that it shows twice."""
        for value in dict.fromkeys(read.values):
            if read.values.count(value) > 1:
                self._findings.add("DuplicateWrite", f"{describe(read)} shows {value!r} twice")
            if fault := self.fault_of(read.key, value):
                kind, reason = fault
                self._findings.add(kind, f"{describe(read)}: {reason}")
        if read.marks and read.key not in self._deleted:
            text = f"{describe(read)} holds a delete mark, and no operation deleted the key"
            self._findings.add("ThinAirRead", text)

    def fault_of(self, key: str, value: str) -> tuple[ViolationKind, str] | None:
        """Say why `value` may not be shown under `key`; None if a write of it may stand."""
        writer = self._by_value.get(value)
        if writer is None:
            return "ThinAirRead", f"no operation wrote {value!r}"
        if writer.key != key:
            return "ThinAirRead", f"{value!r} was written to {writer.key!r}"
        if writer.status == "fail":
            return "AbortedRead", f"the write of {value!r} was refused"
        return None

    def check_final(self, final: Final) -> None:
        """Report values without a writer that replicas hold at rest."""
        for key, replicas in sorted(final.replicas.items()):
            values = {value for state in replicas.values() for value in state.values}
            for value in sorted(values):
                if fault := self.fault_of(key, value):
                    text = f"{key!r} ends with {value!r}: {fault[1]}"
                    self._findings.add("ThinAirFinal", text)

    def _learn_write(self, operation: Operation) -> None:
        if operation.kind == "put":
            value = operation.value
            if value is None or value in self._by_value:
                raise ValueError(f"operation {operation.id} must write a value of its own")
            self._by_value[value] = operation
        if operation.kind != "get" and operation.dot is not None:
            self._name(operation.dot, operation)

    def _learn_read(self, read: Operation) -> None:
        if len(read.values) == len(read.shown):
            for value, dot in zip(read.values, read.shown, strict=True):
                if writer := self._by_value.get(value):
                    self._name(dot, writer)
        for mark in read.marks:
            named = self._by_dot.get(mark)
            if named is not None and named.kind == "put":
                text = f"{mark} names {describe(named)}, and a delete mark in {describe(read)}"
                self._findings.add("DotReuse", text)

    def _name(self, dot: Dot, writer: Operation) -> None:
        named = self._by_dot.setdefault(dot, writer)
        if named is not writer:
            text = f"{dot} names {describe(named)} and {describe(writer)}"
            self._findings.add("DotReuse", text)

    @staticmethod
    def _writers(key: str, found: Iterable[Operation | None]) -> tuple[Operation, ...]:
        writers = (each for each in found if each is not None and each.key == key)
        return tuple({each.id: each for each in writers if each.status != "fail"}.values())
