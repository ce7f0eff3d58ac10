"""What one answer may show, given the writes that it had to know of: each mode has its rules.

`lww` keys are registers: the value shown, or the delete that explains its absence, may not be
causally before another write that the reader knew of.  `siblings` keys keep every version that no
context discarded.  Each put that the reader knew of is shown, or covered by something that may have
replaced it (otherwise MissingVersion); and no write that the reader knew of discarded what is shown
(otherwise StaleVersion).  A delete may explain an absence though its mark is gone, since replicas
erase stable marks.  No reader has to know of an excused write, but it still explains what it
replaced.

A key of siblings may have operations of the mode `latest`, too.  Such a read shows one sibling, and
may leave out each put that is not after this one.  Such a write replaces what its home holds, and
may have replaced each put that is not after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.checker.causal_order import CausalOrder, members, union
from cluster.checker.history import Mode
from cluster.checker.reads_from import Seen
from cluster.checker.violations import Excused, ViolationKind


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer, or one replica at rest: what it showed, and what it had to know of."""

    mode: Mode
    past: int  # the operations it had to know of
    seen: Seen
    position: int | None = None  # of the read; None: after everything


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken rule: the write that was missing or ignored, and the older one that was shown."""

    kind: ViolationKind
    ignored: int
    stale: int | None = None


class Key:
    """The writes of one key as bit sets over the positions of the order."""

    def __init__(self) -> None:
        self.writes = 0  # all writes that may have been applied: they can explain
        self.puts = 0
        self.binding = 0  # without the excused ones: a reader must account for them
        self.replacers = 0  # those that discarded something
        self.explainers = 0  # deletes, whose marks vanish, and excused writes
        self.sweepers = 0  # those that replaced whatever their homes held


class Rules:
    """The rules of both modes over one order; with `by_context`, only contexts replace.

    Without `by_context` a version counts as replaced by whatever is causally after it, which is
    sound for stores where a token alone replaces.  With it, only a context that covered a version
    replaces it.
    """

    def __init__(self, order: CausalOrder, excused: Excused, by_context: bool) -> None:
        self.order = order
        self.keys: dict[str, Key] = {}
        self._by_context = by_context
        for at, operation in enumerate(order.operations):
            if operation.writes:
                key = self.keys.setdefault(operation.key, Key())
                is_excused = excused(operation)
                key.writes |= 1 << at
                key.puts |= (operation.kind == "put") << at
                key.binding |= (not is_excused) << at
                key.replacers |= bool(order.replaced[at]) << at
                key.explainers |= (is_excused or operation.kind == "delete") << at
                key.sweepers |= (operation.mode == "latest") << at

    def faults(self, key: str, view: Observation) -> list[Fault]:
        """Return every rule this view of `key` breaks."""
        found = self.keys.get(key)
        if found is None:
            return []
        if view.mode == "siblings":
            return [*self._missing(found, view), *self._stale(found, view)]
        if view.mode == "latest":
            return [*self._overlooked(found, view), *self._stale(found, view)]
        return self._absent(found, view) if view.seen.absent else self._outdated(found, view)

    def beaten(self, key: str, view: Observation) -> dict[int, int]:
        """Return the greatest writes that a register's winner won over, as winner -> set.

        A later write makes a winner wrong; `faults` reports that.
        """
        winners = view.seen.marks if view.seen.absent else view.seen.shown
        if view.mode != "lww" or len(winners) != 1 or (view.seen.absent and view.seen.vague):
            return {}
        winner = self.order.position.get(winners[0].id)
        if winner is None:
            return {}
        rivals = self.order.rivals(winner, self.keys[key].binding & view.past)
        if not rivals or any(self.order.before(winner, each) for each in rivals):
            return {}
        return {winner: union(1 << each for each in rivals)}

    def _outdated(self, key: Key, view: Observation) -> list[Fault]:
        shown = self.order.bits(view.seen.shown)
        found = [(at, self._newer(at, key.binding & view.past)) for at in members(shown)]
        return [Fault("WriteCORead", newer, at) for at, newer in found if newer is not None]

    def _absent(self, key: Key, view: Observation) -> list[Fault]:
        known = key.binding & view.past
        if not known & key.puts:
            return []
        kind: ViolationKind = "WriteCORead"
        causes = self.order.bits(view.seen.marks)
        if view.seen.vague:
            kind, causes = "WriteCOInitRead", key.writes & ~key.puts
        stale: int | None = None
        newest = next(self.order.greatest(known & key.puts))
        for cause in members(causes):
            if self._comes_after(view, cause):
                continue
            newer = self._newer(cause, known)
            if newer is None:
                return []
            stale, newest = cause, newer
        return [Fault(kind, newest, stale)]

    def _newer(self, write: int, known: int) -> int | None:
        rivals = self.order.rivals(write, known)
        return next((each for each in rivals if self.order.before(write, each)), None)

    def _missing(self, key: Key, view: Observation) -> Iterator[Fault]:
        for each in self.order.greatest(self._unaccounted(key, view)):
            yield Fault("MissingVersion", each)

    def _overlooked(self, key: Key, view: Observation) -> Iterator[Fault]:
        """Find puts that the one value shown is older than, or all if there is none."""
        shown = list(members(self.order.bits(view.seen.shown)))
        for each in self.order.greatest(self._unaccounted(key, view)):
            if view.seen.absent:
                yield Fault("MissingVersion", each)
            elif older := [at for at in shown if self.order.before(at, each)]:
                yield Fault("WriteCORead", each, older[0])

    def _unaccounted(self, key: Key, view: Observation) -> int:
        """Collect the puts that are not shown, and that nothing can have replaced."""
        missing = key.binding & key.puts & view.past & ~self.order.bits(view.seen.shown)
        held = self.order.bits(view.seen.held)
        for covers in (held, key.explainers & view.past, key.explainers & ~view.past):
            missing = self._uncovered(missing, covers, view)
        for sweeper in members(key.sweepers):
            if not self._comes_after(view, sweeper):
                after = (at for at in members(missing) if self.order.before(sweeper, at))
                missing &= union(1 << at for at in (sweeper, *after))
        return missing

    def _comes_after(self, view: Observation, write: int) -> bool:
        return view.position is not None and self.order.before(view.position, write)

    def _uncovered(self, missing: int, covers: int, view: Observation) -> int:
        for cover in members(covers):
            if not missing:
                break
            if self._comes_after(view, cover):
                continue
            missing &= ~self.order.replaced[cover]
            if not self._by_context:
                missing &= ~self.order.past[cover]
        return missing

    def _stale(self, key: Key, view: Observation) -> Iterator[Fault]:
        shown = self.order.bits(view.seen.shown)
        remaining = key.binding & key.replacers & view.past
        while remaining:
            top = remaining.bit_length() - 1
            for stale in members(self.order.replaced[top] & shown):
                yield Fault("StaleVersion", top, stale)
            remaining &= ~(self.order.replaced[top] | 1 << top)
