"""Vector clocks of versions, for contracts that show one to clients.

A version has a vector clock when a client has asked for one.  The store decides nothing by it,
except where a client sends it back (`placed`).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from node.core.model.actors import Actor, view_of
from node.core.model.dots import Dot, Vector, join_vectors
from node.core.model.hlc import Timestamp
from node.core.model.item import Item
from node.core.model.token import COUNT_MAX

CLOCK_ENTRIES_MAX = 64


def following(dot: Dot, replaced: Iterable[Vector], seen: Iterable[Dot] = ()) -> Vector:
    """The vector clock of a write that replaces versions with these clocks and has seen these dots.
    One that is too long forgets the entries of the oldest views, as Dynamo's does."""
    clock: Vector = {}
    for each in (*replaced, *({actor: n} for actor, n in seen)):
        clock = join_vectors(clock, each)
    newest = sorted(clock.items(), key=lambda entry: (view_of(entry[0]), entry), reverse=True)
    return dict((*sorted(newest[: CLOCK_ENTRIES_MAX - 1]), dot))


class Place(NamedTuple):
    """How a write relates to the versions that the key has."""

    beside: tuple[Dot, ...] = ()  # those that it does not replace, though in lww mode
    clock: Vector | None = None  # its vector clock, if it brings one
    seen: tuple[Dot, ...] = ()  # otherwise what its writer had seen
    timestamp: Timestamp | None = None  # its timestamp, if it must be below those that stay


def placed(clock: Vector, item: Item, actor: Actor) -> Place:
    """Where a client's vector clock puts a write of this actor: it replaces older versions, and the
    others stay beside it.  The write has this clock, unless a version has it or a later one.  Then
    the clock says what the writer had seen, and the write gets one that is later than it, and later
    than all that the actor wrote before."""
    clocks = item.clocks()
    orders = {compare(clock, known) for known in clocks.values()}
    is_new = clock and not orders & {Order.BEFORE, Order.EQUAL}
    own = clock if is_new else {**clock, actor: COUNT_MAX}
    newer = (Order.AFTER, Order.EQUAL)
    beside = tuple(dot for dot, known in clocks.items() if compare(own, known) not in newer)
    return Place(beside, clock if is_new else None, tuple(clock.items()))


def clock_of(dot: Dot, local: Item, rest: Item, seen: Iterable[Dot], asked: bool) -> Vector | None:
    """The vector clock of a write that leaves `rest` of an item.  None, unless a client has asked
    for one, now or with a write that the key still shows."""
    if not (asked or any(v.clock for v in local.versions.values())):
        return None
    clocks = local.clocks()
    return following(dot, [clocks[d] for d in clocks if d not in rest.versions], seen)


class Order(StrEnum):
    """How one vector relates to another."""

    BEFORE = "before"
    AFTER = "after"
    EQUAL = "equal"
    CONCURRENT = "concurrent"


def compare(one: Vector, two: Vector) -> Order:
    """Whether the first vector says less than the second, more, the same, or something else."""
    lacks = any(n > one.get(actor, 0) for actor, n in two.items())
    exceeds = any(n > two.get(actor, 0) for actor, n in one.items())
    if lacks:
        return Order.CONCURRENT if exceeds else Order.BEFORE
    return Order.AFTER if exceeds else Order.EQUAL
