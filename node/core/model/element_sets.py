"""The state of a set: its elements with the names of their additions, and the writes it has seen.

An element is there as long as one of its additions is.  A remove takes the additions that it has
seen.  When two states meet, an addition stays if both have it, or if one has it and the other has
never seen it.  So an addition beside a remove stays, and what was removed never comes back.
(Bieniusa et al. 2012, "An optimized conflict-free replicated set"; docs/decisions/0051.)

Example: n1 and n2 hold {milk: a1} and have seen {a: 1}.

    n1 removes milk            {}, seen {a: 2}
    n2 adds milk once more     {milk: b1}, seen {a: 1, b: 1}
    n1 and n2 meet             b1 is not seen at n1: {milk: b1}.  a1 is seen there, and gone

An addition takes the place of those that it has seen: a remove that has seen it has seen them.
Not so one that its client may send again.  If two homes have named it, it is gone under all of its
names when it is under one, and what it has replaced under the other would be gone with it.
"""

import msgspec

from node.core.model.actors import Actor
from node.core.model.changes import NamedAs, StateChange
from node.core.model.dots import Dot
from node.core.model.item import Past
from node.core.model.repeats import (
    IsSettled,
    Repeat,
    Repeats,
    join_repeats,
    with_repeat,
    without_old,
)

ELEMENTS_MAX = 10_000
ELEMENT_BYTES_MAX = 256 * 1024  # of all elements together, as JSON text
CROWDED = (
    f"the set would have more than {ELEMENTS_MAX} elements, or {ELEMENT_BYTES_MAX} bytes of them"
)

ITSELF = ""  # stands for the set: it is there, though perhaps empty, unless a delete has taken it
Tags = dict[str, tuple[Dot, ...]]  # element -> its additions


class ElementSet(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The elements, as JSON text, and all writes of the key that the state has `seen`."""

    repeats: Repeats = {}
    tags: Tags = {}
    seen: Past = msgspec.field(default_factory=Past)

    def joined(self, other: "ElementSet") -> "ElementSet":
        """What either state says.  Commutative, associative, idempotent."""
        tags: Tags = {}
        for element in self.tags.keys() | other.tags.keys():
            mine, theirs = self.tags.get(element, ()), other.tags.get(element, ())
            kept = {dot for dot in mine if dot in theirs or not other.seen.has(dot)}
            kept.update(dot for dot in theirs if dot in mine or not self.seen.has(dot))
            if kept:
                tags[element] = tuple(sorted(kept))
        repeats = join_repeats(self.repeats, other.repeats)
        return ElementSet(repeats, tags, self.seen.with_all(other.seen))

    @property
    def elements(self) -> set[str]:
        return {element for element in self._left() if element != ITSELF}

    @property
    def is_there(self) -> bool:
        """Whether it has been written since the last delete."""
        return ITSELF in self._left()

    def tidied(self, since_ms: int, is_settled: IsSettled) -> "ElementSet":
        """The state without repeats that no client sends any more, and without the other names of
        additions that are gone."""
        kept = without_old(self.repeats, since_ms, is_settled, lambda repeat: False)
        return ElementSet(kept, _without_followed(self._left(), kept), self.seen)

    def after(self, change: StateChange, naming: NamedAs) -> "ElementSet":
        """The state after this change, which this replica names."""
        actor, n = naming.dot
        repeat = Repeat(naming.at_ms, 0, {actor: n})
        tags: Tags = {}
        if not change.resets:
            tags = {e: dots for e, dots in self.tags.items() if e not in change.remove}
            for element in (ITSELF, *change.add):
                beside = tags.get(element, ()) if naming.identity else ()
                tags[element] = tuple(sorted((*beside, naming.dot)))
        repeats = with_repeat(self.repeats, naming.identity, repeat)
        past = naming.past
        return ElementSet(
            repeats, tags, Past(past.base, past.loose | {naming.dot}, past.oldest_view)
        )

    def problem(self) -> str:
        """Why no addition may lead to this; empty if it may."""
        size = sum(len(element.encode()) for element in self.tags)
        return CROWDED if len(self.tags) - 1 > ELEMENTS_MAX or size > ELEMENT_BYTES_MAX else ""

    def _left(self) -> Tags:
        """The additions without those that are gone under another name."""
        gone: dict[Dot, frozenset[Dot]] = {}
        for repeat in self.repeats.values():
            if len(repeat.names) > 1:
                twins = frozenset(repeat.dots())
                gone |= dict.fromkeys(twins, twins)
        if not gone:
            return self.tags
        kept = {
            element: tuple(d for d in dots if gone.get(d, frozenset()) <= {*dots})
            for element, dots in self.tags.items()
        }
        return {element: dots for element, dots in kept.items() if dots}


def _without_followed(tags: Tags, repeats: Repeats) -> Tags:
    """The additions without those that a later one of their run follows which has no other name."""
    named = {dot for repeat in repeats.values() for dot in repeat.dots()}
    return {element: _last_of(dots, named) for element, dots in tags.items()}


def _last_of(dots: tuple[Dot, ...], named: set[Dot]) -> tuple[Dot, ...]:
    if len(dots) == 1:
        return dots
    last: dict[Actor, int] = {}
    for actor, n in dots:
        if (actor, n) not in named:
            last[actor] = max(n, last.get(actor, 0))
    return tuple(dot for dot in dots if dot[1] >= last.get(dot[0], 0))
