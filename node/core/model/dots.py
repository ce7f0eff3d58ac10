"""Dots and clocks: which writes a replica has.

A dot (actor, n) names the n-th write of one actor, n = 1, 2, 3 ... without gaps.  A `DotClock` is
the set of dots a replica has: per actor everything up to `base`, and loose dots above it.  A gap
closes by itself: when base + 1 becomes known, base moves.  (Almeida et al., DAIS 2015; protocol D1,
D3.)
"""

from collections.abc import Iterable, Iterator

import msgspec

from node.core.model.actors import Actor, incarnation_of, view_of
from node.core.model.view import FIRST, NO_VIEW, ViewId

Dot = tuple[Actor, int]
Vector = dict[Actor, int]  # "every dot of this actor up to n"


class DotClock(msgspec.Struct, array_like=True, gc=False):
    """A set of dots; `loose[a]` holds only numbers above `base[a]` + 1.  Every dot of a view below
    the oldest view is in it, and has no entry of its own."""

    base: Vector = msgspec.field(default_factory=dict)
    loose: dict[Actor, set[int]] = msgspec.field(default_factory=dict)
    oldest_view: ViewId = NO_VIEW

    def has(self, dot: Dot) -> bool:
        actor, n = dot
        if n <= self.base.get(actor, 0):
            return True
        loose = self.loose.get(actor)
        if loose is not None and n in loose:
            return True
        return self.oldest_view > FIRST and self.drops(actor)

    def drops(self, actor: Actor) -> bool:
        """Whether this actor wrote below the oldest view."""
        return self.oldest_view > FIRST and view_of(actor) < self.oldest_view

    def raise_oldest_view(self, oldest_view: ViewId) -> None:
        """Have every dot below this oldest view from now on, and drop the entries that say so."""
        if oldest_view > self.oldest_view:
            self.oldest_view = oldest_view
            self.base = {a: n for a, n in self.base.items() if not self.drops(a)}
            self.loose = {a: numbers for a, numbers in self.loose.items() if not self.drops(a)}

    def below(self, view: ViewId) -> "DotClock":
        """The part of this clock that older views wrote."""
        base = {a: n for a, n in self.base.items() if view_of(a) < view}
        loose = {a: set(numbers) for a, numbers in self.loose.items() if view_of(a) < view}
        return DotClock(base, loose, self.oldest_view)

    def add(self, dot: Dot) -> None:
        actor, n = dot
        if self.oldest_view > FIRST and self.drops(actor):
            return
        base = self.base.get(actor, 0)
        if n > base + 1:
            self.loose.setdefault(actor, set()).add(n)
        elif n == base + 1:
            self.base[actor] = n
            if actor in self.loose:
                self._close(actor)

    def without(self, dots: Iterable[Dot]) -> "DotClock":
        """A copy that lacks these dots, where it has them, and nothing else."""
        less, lacking = self.copy(), dict[Actor, set[int]]()
        for actor, n in dots:
            lacking.setdefault(actor, set()).add(n)
        for actor, numbers in lacking.items():
            base, loose = less.base.pop(actor, 0), less.loose.pop(actor, set())
            below = min(base, min(numbers) - 1)
            loose = (loose | set(range(below + 1, base + 1))) - numbers
            less.base.update({actor: below} if below else {})
            less.loose.update({actor: loose} if loose else {})
        return less

    def join(self, other: "DotClock") -> None:
        """Afterwards this clock has every dot that either had."""
        self.raise_oldest_view(other.oldest_view)
        for actor, n in other.base.items():
            if n > self.base.get(actor, 0) and not self.drops(actor):
                self.base[actor] = n
        for actor, numbers in other.loose.items():
            if not self.drops(actor):
                self.loose.setdefault(actor, set()).update(numbers)
        for actor in list(self.loose):
            self._close(actor)

    def _close(self, actor: Actor) -> None:
        """Move loose dots that touch the base into it."""
        base = self.base.get(actor, 0)
        loose = {n for n in self.loose[actor] if n > base}
        while base + 1 in loose:
            base += 1
            loose.discard(base)
        if base:
            self.base[actor] = base
        if loose:
            self.loose[actor] = loose
        else:
            del self.loose[actor]

    def copy(self) -> "DotClock":
        loose = {a: set(numbers) for a, numbers in self.loose.items()}
        return DotClock(dict(self.base), loose, self.oldest_view)

    def missing_from(self, other: "DotClock") -> Iterator[Dot]:
        """The dots here that `other` lacks: actor by actor, lowest first, one by one.  It has all
        below its oldest view; an oldest view of this clock yields none, for it keeps no names
        below."""
        for actor, n in sorted(self.base.items()):
            if other.drops(actor):
                continue
            seen = other.loose.get(actor, ())
            for i in range(other.base.get(actor, 0) + 1, n + 1):
                if i not in seen:
                    yield actor, i
        for actor, numbers in sorted(self.loose.items()):
            for i in sorted(numbers):
                if not other.has((actor, i)):
                    yield actor, i

    def lacks(self, other: "DotClock") -> bool:
        """Whether `other` has a dot that this clock has not."""
        if other.oldest_view > self.oldest_view:
            return True
        for actor, n in other.base.items():
            had = self.base.get(actor, 0)
            if n > had and not self.drops(actor):
                seen = self.loose.get(actor)
                if seen is None or not seen.issuperset(range(had + 1, n + 1)):
                    return True
        for actor, numbers in other.loose.items():
            if not self.drops(actor):
                had, seen = self.base.get(actor, 0), self.loose.get(actor, set())
                if max(numbers, default=0) > had and any(
                    n > had and n not in seen for n in numbers
                ):
                    return True
        return False

    def highest(self, actor: Actor) -> int:
        """The largest number of this actor's dots here; 0 when there is none."""
        return max(self.loose.get(actor, ()), default=self.base.get(actor, 0))

    def close(self, actor: Actor, upto: int = 0) -> None:
        """Fill the gaps of an actor whose incarnation has ended, at least up to this number: no
        node has the missing dots, and none ever will."""
        if highest := max(upto, self.highest(actor)):
            self.base[actor] = highest
        self.loose.pop(actor, None)

    def runs_of(self, incarnation: Actor) -> set[Actor]:
        """The actors of this incarnation, or just this run, that the clock has an entry of."""
        return {a for a in (*self.base, *self.loose) if incarnation in (a, incarnation_of(a))}

    def entry(self, actor: Actor) -> tuple[int, frozenset[int]]:
        """What this clock says of one actor; equal entries name equal sets."""
        return self.base.get(actor, 0), frozenset(self.loose.get(actor, ()))


def join_vectors(one: Vector, two: Vector) -> Vector:
    """The entry-wise maximum, as a new vector."""
    if not one:
        return dict(two)
    joined = dict(one)
    for actor, n in two.items():
        if n > joined.get(actor, 0):
            joined[actor] = n
    return joined


def covered_by(watermark: Vector, actor: Actor) -> int:
    """The number up to which a watermark has an actor's dots.  It may name a whole
    incarnation, whose runs are all over (D7)."""
    return max(watermark.get(actor, 0), watermark.get(incarnation_of(actor), 0))


def lowest(vectors: Iterable[Vector]) -> Vector:
    """The entry-wise minimum: what every one of the vectors covers (none given: nothing)."""
    first, *rest = list(vectors) or [{}]
    low = {actor: min([n, *(v.get(actor, 0) for v in rest)]) for actor, n in first.items()}
    return {actor: n for actor, n in low.items() if n}
