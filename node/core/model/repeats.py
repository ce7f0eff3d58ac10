"""Changes of counters and sets that a client may send again: one change, under several names.

Two homes may carry out one change: the first is cut off, and the client sends it to another.  The
state of a counter or a set remembers each such change by its identity, with all names that homes
have given it, so every reader of the joined state counts it once.  (docs/decisions/0051.)
"""

from collections.abc import Callable, Iterator

import msgspec

from node.core.model.actors import Actor
from node.core.model.dots import Dot, Vector, join_vectors
from node.core.model.drawn_identity import apart_ms

REPEATS_MAX = 4096  # of one counter or set in the time in which a repeat is known


class Repeat(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One change with an identity: when it was named last (milliseconds since the epoch), what it
    adds to a counter, and its names, the last one of each run."""

    at_ms: int
    amount: int
    names: Vector

    def joined(self, other: "Repeat") -> "Repeat":
        names = join_vectors(self.names, other.names)
        return Repeat(max(self.at_ms, other.at_ms), self.amount, names)

    def dots(self) -> Iterator[Dot]:
        """Its names as dots."""
        yield from self.names.items()


Repeats = dict[str, Repeat]  # by the identity of the change
IsSettled = Callable[[Actor, int], bool]


def join_repeats(one: Repeats, two: Repeats) -> Repeats:
    """What either has; all names of a change that both have."""
    joined = {**one, **two}
    for identity in one.keys() & two.keys():
        joined[identity] = one[identity].joined(two[identity])
    return joined


def with_repeat(repeats: Repeats, identity: str, repeat: Repeat) -> Repeats:
    """These and this one; without an identity it is not remembered."""
    return {**repeats, identity: repeat} if identity else repeats


def is_crowded(repeats: Repeats, since_ms: int) -> bool:
    """Whether there is no room for one more: all were named since this instant."""
    return (
        len(repeats) >= REPEATS_MAX
        and sum(repeat.at_ms >= since_ms for repeat in repeats.values()) >= REPEATS_MAX
    )


def without_old(
    repeats: Repeats, since_ms: int, is_settled: IsSettled, is_needed: Callable[[Repeat], bool]
) -> Repeats:
    """Forget what no client sends again, unless the value `is_needed` for it: what was named before
    this instant and is settled.  What is not settled may have a second name that is still to come,
    so it goes only where another one needs its room.  A change with a drawn identity stays for
    longer (`apart_ms`)."""
    old = sorted(
        (repeat.at_ms, identity)
        for identity, repeat in repeats.items()
        if repeat.at_ms < since_ms - apart_ms(identity) and not is_needed(repeat)
    )
    if not old:
        return repeats
    gone = {i for _, i in old if all(is_settled(*dot) for dot in repeats[i].dots())}
    excess = len(repeats) - len(gone) - REPEATS_MAX + 1
    gone.update([i for _, i in old if i not in gone][: max(0, excess)])
    return {identity: repeat for identity, repeat in repeats.items() if identity not in gone}


def without_settled(repeats: Repeats, is_settled: Callable[[str], bool]) -> Repeats:
    """Forget the changes with one name of which no second one can come (decision 0049)."""
    return {i: each for i, each in repeats.items() if len(each.names) > 1 or not is_settled(i)}
