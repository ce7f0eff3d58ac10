"""The words of the causal checker: a violation, what replicas hold at rest, what is excused.

They know nothing of how violations are found; every other part of the checker imports them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cluster.history import Dot, Operation

ViolationKind = Literal[
    "CyclicCO",
    "ThinAirRead",
    "AbortedRead",
    "WriteCOInitRead",
    "WriteCORead",
    "CyclicCF",
    "MissingVersion",
    "StaleVersion",
    "DuplicateWrite",
    "DotReuse",
    "Diverged",
    "LostWrite",
    "Resurrected",
    "ThinAirFinal",
]
# Says of a write whether the injected faults were allowed to lose it.
Excused = Callable[[Operation], bool]

VIOLATIONS_OF_A_KIND_MAX = 25


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, told in a sentence, with the ids of the operations that show it."""

    kind: ViolationKind
    text: str
    operations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FinalState:
    """What one replica's own store holds of a key at rest; `dots` are of all versions held."""

    values: tuple[str, ...] = ()
    dots: tuple[Dot, ...] = ()
    marks: tuple[Dot, ...] = ()


@dataclass(slots=True)
class Final:
    """What every replica holds after healing and quiescence: key -> node -> state.

    A key that is not named was not looked at; a key that is gone is named with empty states.
    """

    replicas: dict[str, dict[str, FinalState]] = field(default_factory=dict)


class Findings:
    """The violations found so far, at most VIOLATIONS_OF_A_KIND_MAX of each kind; more are cut."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._count: Counter[ViolationKind] = Counter()

    def full(self, kind: ViolationKind) -> bool:
        """Tell whether more violations of this kind would be cut."""
        return self._count[kind] >= VIOLATIONS_OF_A_KIND_MAX

    def add(self, kind: ViolationKind, text: str, *operations: Operation) -> None:
        """Report a violation shown by these operations."""
        self._count[kind] += 1
        if self._count[kind] <= VIOLATIONS_OF_A_KIND_MAX:
            named = tuple(each.id for each in operations)
            self.violations.append(Violation(kind, text, named))


def describe(operation: Operation) -> str:
    """Name an operation so that a person finds it in the history."""
    what = operation.kind if operation.value is None else f"put {operation.value!r}"
    if operation.reads:
        what += f" = {list(operation.values)}"
    return f"#{operation.id} (session {operation.session}, {operation.key!r}: {what})"
