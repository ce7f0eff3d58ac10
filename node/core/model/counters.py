"""The state of a counter: what each run has added, so that no addition is lost or counted twice.

Only a run raises its own entry, in the order in which it names its additions, so of two entries of
one run the one with the greater number has all that the other one has.  Two states join run by run.
(Shapiro et al. 2011, PN-Counter; docs/decisions/0051.)

Example: n1 and n2 are cut off from each other, and both hold {a: (1, 10)}, which is 10.

    n1 names a2, an addition of 5     {a: (2, 15)}
    n2 names b1, an addition of 7     {a: (1, 10), b: (1, 7)}
    the network heals                 {a: (2, 15), b: (1, 7)}, which is 22

A delete resets what it has seen: it notes the entries, and their sums count no more.  In the
example, if n2 had deleted the counter instead, {a: (1, 10)} would be reset, and 15 - 10 is left.

When a view is retired, every owner has all that was written below, so all compute the same sum of
the entries of runs below.  One entry, the *total* below that view, stands for them from then on.
"""

from typing import Final

import msgspec

from node.core.model.actors import Actor, view_of
from node.core.model.changes import NamedAs, StateChange
from node.core.model.repeats import (
    IsSettled,
    Repeat,
    Repeats,
    join_repeats,
    with_repeat,
    without_old,
)
from node.core.model.view import FIRST, NO_VIEW, ViewId

COUNT_MAX: Final = 2**63 - 1
OVERFLOW = "the counter, or what one node has added to it, would exceed 64 bits"

Entries = dict[Actor, tuple[int, int]]  # the number of a run's last addition, and their sum


class Counter(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What runs have added (`sums`), and how much of it deletes have taken away (`resets`)."""

    repeats: Repeats = {}
    sums: Entries = {}
    resets: Entries = {}

    def joined(self, other: "Counter") -> "Counter":
        """What either state says.  Commutative, associative, idempotent."""
        return Counter(
            join_repeats(self.repeats, other.repeats),
            _latest(self.sums, other.sums),
            _latest(self.resets, other.resets),
        )

    @property
    def value(self) -> int:
        added = sum(amount for _, amount in self.sums.values())
        taken = sum(amount for _, amount in self.resets.values())
        twice = sum(each.amount * self._surplus(each) for each in self.repeats.values())
        return added - taken - twice

    @property
    def is_there(self) -> bool:
        """Whether it has been added to since the last delete."""
        return any(not self._is_reset(actor, n) for actor, (n, _) in self.sums.items())

    def tidied(self, since_ms: int, is_settled: IsSettled) -> "Counter":
        """The state without repeats that no client sends any more.  Those that two homes have
        counted stay: the sums of both have them."""
        kept = without_old(self.repeats, since_ms, is_settled, lambda r: self._surplus(r) > 0)
        return Counter(kept, self.sums, self.resets)

    def after(self, change: StateChange, naming: NamedAs) -> "Counter":
        """The state after this change, which this replica names."""
        actor, n = naming.dot
        repeat = Repeat(naming.at_ms, change.amount, {actor: n})
        repeats = with_repeat(self.repeats, naming.identity, repeat)
        if change.resets:
            return Counter(repeats, self.sums, _latest(self.resets, self.sums))
        _, before = self.sums.get(actor, (0, 0))
        sums = {**self.sums, actor: (n, before + change.amount)}
        return Counter(repeats, sums, self.resets)._with_total(naming.past.oldest_view)

    def problem(self) -> str:
        """Why no addition may lead to this; empty if it may."""
        amounts = [self.value, *(amount for _, amount in self.sums.values())]
        return "" if all(abs(amount) <= COUNT_MAX for amount in amounts) else OVERFLOW

    def _with_total(self, below: ViewId) -> "Counter":
        """The state with one entry for all runs of views below this one, which are retired.  What
        deletes have taken is as before."""
        retired = {a: entry for a, entry in self.sums.items() if view_of(a) < below}
        total = sum(amount for _, amount in retired.values())
        if not retired or below <= FIRST or abs(total) > COUNT_MAX:
            return self
        entry = {_total_below(below): (1, total)}
        is_reset = all(self._is_reset(actor, n) for actor, (n, _) in retired.items())
        resets = _latest(self.resets, entry) if is_reset else self.resets
        return Counter(self.repeats, _latest(self.sums, entry), resets)

    def _is_reset(self, actor: Actor, n: int) -> bool:
        until, _ = self.resets.get(actor, (0, 0))
        return n <= until or view_of(actor) < _totalled(self.resets)

    def _surplus(self, repeat: Repeat) -> int:
        """How many additions of one change count too much.  If a delete has seen it under one of
        its names, none of them counts."""
        counted = sum(not self._is_reset(*dot) for dot in repeat.dots())
        return max(0, counted - (counted == len(repeat.names)))


def _total_below(view: ViewId) -> Actor:
    """The name of the entry that stands for all runs of views below this one."""
    return f".{view}"


def _totalled(entries: Entries) -> ViewId:
    """The view below which a total stands for all runs."""
    return max((view_of(each) for each in entries if each.startswith(".")), default=NO_VIEW)


def _latest(one: Entries, two: Entries) -> Entries:
    """The later entry of each run, without those that a total stands for."""
    latest = dict(one)
    for actor, entry in two.items():
        latest[actor] = max(entry, latest.get(actor, entry))
    below = _totalled(latest)
    if below == NO_VIEW:
        return latest
    return {actor: entry for actor, entry in latest.items() if view_of(actor) >= below}
