"""The types of the checker's verdict: a violation, the replicas' state at rest, what is excused.

They know nothing of how the checker finds violations; every other part of the checker imports them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cluster.checker.history import Dot, Operation

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
# Whether the injected faults were allowed to lose a write.
Excused = Callable[[Operation], bool]

VIOLATIONS_OF_A_KIND_MAX = 25


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, told in a sentence that names the operations that show it."""

    kind: ViolationKind
    text: str


@dataclass(frozen=True, slots=True)
class FinalState:
    """What one replica's own store holds of a key at rest; `dots` are of all versions in it."""

    values: tuple[str, ...] = ()
    dots: tuple[Dot, ...] = ()
    marks: tuple[Dot, ...] = ()


@dataclass(slots=True)
class Final:
    """What every replica holds after healing and quiescence: key -> node -> state.

    The run did not look at a key that is absent here; a key that is gone has empty states.
    """

    replicas: dict[str, dict[str, FinalState]] = field(default_factory=dict)


class Findings:
    """The violations found so far, at most VIOLATIONS_OF_A_KIND_MAX of each kind."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._count: Counter[ViolationKind] = Counter()

    def full(self, kind: ViolationKind) -> bool:
        """Whether another violation of this kind would be dropped."""
        return self._count[kind] >= VIOLATIONS_OF_A_KIND_MAX

    def add(self, kind: ViolationKind, text: str) -> None:
        self._count[kind] += 1
        if self._count[kind] <= VIOLATIONS_OF_A_KIND_MAX:
            self.violations.append(Violation(kind, text))


def describe(operation: Operation) -> str:
    """Name an operation so that a person finds it in the history."""
    what = operation.kind if operation.value is None else f"put {operation.value!r}"
    if operation.reads:
        what += f" = {list(operation.values)}"
    return f"#{operation.id} (session {operation.session}, {operation.key!r}: {what})"
