"""Conditions of writes (HTTP's If-Match and If-None-Match), drawn apart from everything else.

A condition that was judged is evidence, as a read is.  A write that was taken because the key had
no value, or refused because it had none, has read that there is none.  A write that was taken over
versions which its client had read has read these again.  The checker judges that like any read.
"""

from dataclasses import dataclass
from random import Random

from cluster.checker.history import Dot, Operation
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.tags import ANY_VALUE, tag_of
from node.core.protocol.operations import Found, Mismatch, Outcome, Stored

SHARE = 0.5  # of the seeds
OFTEN = 0.25  # of the puts of such a run
SINCE = 20261207 * 100_000  # seeds of the days before were played without, and play so again
OF_SUITE = range(900_000, 1_000_000)


def is_drawn(seed: int) -> bool:
    """Whether some writes of this run have conditions."""
    is_new = seed >= SINCE or seed in OF_SUITE
    return is_new and Random(f"conditions {seed}").random() < SHARE


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a judged condition has read: these values, or that there is none."""

    values: tuple[str, ...] = ()
    shown: tuple[Dot, ...] = ()
    dots: tuple[Dot, ...] = ()


NO_VALUE = Evidence()


class Conditions:
    """The draws of one run, and what each judged condition proves."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"conditions of {seed}")
        self._is_drawn = is_drawn(seed)
        self._taken: dict[int, Evidence] = {}  # what it proves that this operation is taken

    def drawn(
        self, operation: Operation, read: Found | None, refuse_when: RefuseWhen
    ) -> RefuseWhen:
        """Return when this write is to be refused; `read` is what its client has read of the key
        last."""
        is_put = operation.kind == "put" and refuse_when.unmet is None
        if not self._is_drawn or not is_put or self._random.random() >= OFTEN:
            return refuse_when
        mode = Mode(operation.mode)
        if read is not None and operation.mode == "siblings" and self._random.random() < 0.5:
            values = tuple(value.decode() for value in read.values)
            self._taken[operation.id] = Evidence(values, read.shown, read.dots)
            return RefuseWhen(other_than=(tag_of(read.shown),), shown_as=mode)
        if self._random.random() < 0.5:
            self._taken[operation.id] = NO_VALUE
            return RefuseWhen(one_of=(ANY_VALUE,), shown_as=mode)
        return RefuseWhen(other_than=(ANY_VALUE,), shown_as=mode)

    def read_by(
        self, operation: Operation, outcome: Outcome, number: int, now: float
    ) -> Operation | None:
        """Return what the condition of a write has read, by the outcome of the write, as a read
        with this number; None if it says nothing."""
        has_none = isinstance(outcome, Mismatch) and not outcome.shown_tag
        read = NO_VALUE if has_none else None
        if isinstance(outcome, Stored):
            read = self._taken.get(operation.id)
        if read is None:
            return None
        return Operation(
            number, operation.session, operation.node, "get", operation.key, operation.mode,
            started=operation.started, ended=now, status="ok", parents=operation.parents,
            values=read.values, dots=read.dots, shown=read.shown,
        )  # fmt: skip
