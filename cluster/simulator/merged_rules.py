"""What must be true of counters and sets, by what clients were told of their changes.

* An addition that was acknowledged counts once; one whose outcome is unknown counts at most once;
  one that was refused does not count.
* An addition that a delete has seen does not count.
* An element is there if an addition of it was acknowledged that no remove or delete has seen; and
  it is not there if removes have seen all of its additions.
"""

from collections.abc import Callable, Sequence

import msgspec

from cluster.simulator.invariants import ViolationError
from node.core.model.actors import view_of
from node.core.model.changes import StateChange
from node.core.model.counters import Counter
from node.core.model.dots import Dot
from node.core.model.element_sets import ElementSet
from node.core.model.merged_values import State, joined

DIGIT = 4  # an addition that counts up to three times shows as that
DIGITS_MAX = 31  # so many fit into 64 bits


class Done(msgspec.Struct):
    """A change, and what its client knows of it.  `seen_by`: the states that its homes answered."""

    number: int
    key: str
    change: StateChange
    started: float
    repeated: bool = False
    sent: int = 0
    refusals: int = 0
    is_refused: bool = False
    dots: list[Dot] = []
    states: list[State] = []

    @property
    def is_done(self) -> bool:
        return bool(self.dots)

    def told(self, dot: Dot, state: bytes) -> None:
        """Note an answer that says that it is done.  If another home had done it before, the state
        has it under another name than that of the answer."""
        self.dots.append(dot)
        self.states.append(joined(self.key, (state,)))
        self.repeated |= _has_other_names(self.states[-1], self.change, dot)

    def has_taken(self, dot: Dot) -> bool:
        """Whether one of its homes had seen this dot when it removed or deleted."""
        return any(_has_seen(state, dot) for state in self.states)


def _has_other_names(state: State, change: StateChange, dot: Dot) -> bool:
    """Whether a state knows this change by names, and this is none of them."""
    if isinstance(state, ElementSet):
        names = [state.tags.get(element, ()) for element in change.add]
        return any(dot not in dots for dots in names if dots)
    known = [
        each for each in state.repeats.values() if change.amount and each.amount == change.amount
    ]
    return any(dot not in each.dots() for each in known)


Excuses = Callable[[Done], bool]


def _has_seen(state: State, dot: Dot) -> bool:
    if isinstance(state, ElementSet):
        return state.seen.has(dot)
    n, _ = state.resets.get(dot[0], (0, 0))
    totals = [view_of(actor) for actor in state.resets if actor.startswith(".")]
    return dot[1] <= n or any(view_of(dot[0]) < view for view in totals)


def _may_have_taken(addition: Done, takers: Sequence[Done]) -> bool:
    """Whether one of these may have seen the addition.  The answer to a change that was sent again
    says what one of its homes had seen, and the addition may have another name."""
    for taker in takers:
        if taker.is_refused:
            continue
        is_unknown = not taker.is_done or taker.repeated or addition.repeated
        if is_unknown or any(map(taker.has_taken, addition.dots)):
            return True
    return False


def _has_been_taken(addition: Done, takers: Sequence[Done], is_excused: Excuses) -> bool:
    """Whether one of these has certainly seen the addition.  A change that was sent again may be
    answered with a later state than that which it has made."""
    certain = [each for each in takers if not (each.repeated or is_excused(each))]
    return any(taker.has_taken(dot) for taker in certain for dot in addition.dots)


def _takes(change: Done, addition: Done) -> bool:
    """Whether a change is of a kind that takes this addition."""
    return change.change.resets or not {*addition.change.add}.isdisjoint(change.change.remove)


# ------------------------------------------------------------------ counters
def counted(state: Counter, addition: Done) -> int:
    """How often a counter has this addition."""
    amount = addition.change.amount
    total = state.value if amount > 0 else -state.value
    return total // abs(amount) % DIGIT if total >= 0 else -1


def demand_read(state: State, addition: Done) -> None:
    """Demand that a counter without deletes shows an addition that its reader had seen."""
    assert isinstance(state, Counter)
    if (times := counted(state, addition)) != 1:
        kind = "NotCounted" if times < 1 else "CountedTwice"
        raise ViolationError(kind, f"a read counts {addition} {times} times: {state}")


def demand_seen(taker: Done, known: Done, changes: Sequence[Done]) -> None:
    """Demand that a remove or a delete has seen what its client had seen, unless another one may
    have taken that before: then there may be no trace of it any more."""
    others = [each for each in changes if each is not taker and _takes(each, known)]
    if not any(map(taker.has_taken, known.dots)) and not _may_have_taken(known, others):
        raise ViolationError("RemovedUnseen", f"{taker} has not seen {known}")


def demand_counted(
    state: State, addition: Done, changes: Sequence[Done], is_excused: Excuses, where: str
) -> None:
    """Demand that an addition to a counter counts as often as its client was told."""
    if not isinstance(state, Counter) or not addition.change.amount:
        return
    resets = [each for each in changes if each.change.resets]
    times = counted(state, addition)
    least, most = 0, 1
    if addition.is_refused or _has_been_taken(addition, resets, is_excused):
        most = 0
    elif addition.is_done and not is_excused(addition) and not _may_have_taken(addition, resets):
        least = 1
    if not least <= times <= most:
        detail = f"{where} counts {times} times, not {least} to {most}, {addition}: {state}"
        raise ViolationError("CountedTwice" if times > most else "NotCounted", detail)


# ------------------------------------------------------------------ sets
def demand_element(
    state: ElementSet, element: str, changes: Sequence[Done], is_excused: Excuses, where: str
) -> None:
    """Demand that an element is there, or not there, as its clients were told."""
    additions = [each for each in changes if element in each.change.add and not each.is_refused]
    takers = [each for each in changes if element in each.change.remove or each.change.resets]
    is_there = element in state.elements
    for addition in additions:
        is_certain = addition.is_done and not is_excused(addition)
        if is_certain and not is_there and not _may_have_taken(addition, takers):
            raise ViolationError("ElementLost", f"{where} lacks {element} of {addition}: {state}")
    if is_there and all(_has_been_taken(each, takers, is_excused) for each in additions):
        raise ViolationError("ElementBack", f"{where} has {element} again: {state}, {additions}")
