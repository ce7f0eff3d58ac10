"""What the core's tests are given: small values for properties, and rows in memory."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.memory import MemoryReads, write_rows
from node.core import exchange
from node.core.clock import Clock, Dot, Vector
from node.core.effects import Record
from node.core.hybrid import Stamp
from node.core.keyspace import Keyspace
from node.core.messages import Compare, Holding, Page
from node.core.parts import ALL, Parts, Slots, to_bytes
from node.core.siblings import Item, Past, Version
from node.core.token import FILTER_BITS, Token
from node.core.view import FIRST, ViewId

NUMBER_MAX = 7
MEGABYTE = 1_000_000

actors = st.sampled_from("abc")
numbers = st.integers(1, NUMBER_MAX)
dots = st.tuples(actors, numbers)
dot_sets = st.frozensets(dots, max_size=14)
vectors = st.dictionaries(actors, numbers, max_size=3)
pasts = st.builds(lambda base, loose: Past().joined(base, loose), vectors, dot_sets)
digests = st.integers(0, 2**36 - 1) | st.sampled_from([2, 3, 2**25, 2**25 + 1])
filters = st.just(b"\xff" * 64) | st.binary(min_size=FILTER_BITS // 8, max_size=FILTER_BITS // 8)


def small_pages(patch: pytest.MonkeyPatch, rows: int) -> None:
    """Pages of an exchange hold so few rows, merged or taken as they lie."""
    patch.setattr(exchange, "PAGE_ITEMS", rows)
    patch.setattr(exchange, "PAGE_ROWS", rows)


def clock_of(known: Iterable[Dot]) -> Clock:
    clock = Clock()
    for dot in known:
        clock.add(dot)
    return clock


def all_dots(vector: Vector) -> set[Dot]:
    """The dots that «up to n» stands for."""
    return {(actor, n) for actor, top in vector.items() for n in range(1, top + 1)}


def dots_of(clock: Clock) -> set[Dot]:
    return all_dots(clock.base) | {(a, n) for a, loose in clock.loose.items() for n in loose}


clocks = st.builds(clock_of, st.lists(dots, max_size=14))


@st.composite
def items(draw: st.DrawFn) -> Item:
    """A filled item: its past covers its versions; a dot has one value wherever it is."""
    past = draw(pasts)
    candidates = sorted(all_dots(past.base) | past.loose)
    live = draw(st.lists(st.sampled_from(candidates), max_size=4)) if candidates else []
    return Item({dot: Version(b"%s%d" % (dot[0].encode(), dot[1])) for dot in live}, past)


@st.composite
def tokens(draw: st.DrawFn, number_max: int = 60) -> Token:
    """Any token that a decoder lets pass."""
    some = st.integers(1, number_max)
    floor = draw(st.dictionaries(actors, some, max_size=3))
    exact = draw(st.dictionaries(st.tuples(actors, some), digests, max_size=50))
    keys = draw(filters)
    stamp = draw(st.tuples(st.integers(0, 99), st.integers(0, 9), actors))
    return Token(floor, exact, keys if floor else b"", stamp)


class MemoryRows(MemoryReads):
    """Rows in memory; `apply` makes a keyspace's outbox durable."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        super().__init__({})
        write_rows(self.tables, records)

    def apply(self, outbox: list[Record]) -> list[Record]:
        records = list(outbox)
        write_rows(self.tables, records)
        outbox.clear()
        return records


def parts_with(clock: Clock, *, arrived: bool = True, slots: Slots = ALL) -> Parts:
    """All these slots, owned in the first view, with this clock."""
    parts = Parts()
    parts.adopt(FIRST, slots, {FIRST}, FIRST if arrived else None)
    parts.join(slots, clock, ())
    return parts


class Held:
    """A keyspace that owns these slots in the first view and is whole for it; its rows are durable
    as soon as it is asked for."""

    def __init__(self, actor: str, rows: MemoryRows | None = None, slots: Slots = ALL) -> None:
        self.rows = rows or MemoryRows()
        self.slots = slots
        self.keyspace = Keyspace(self.rows, MEGABYTE)
        self.keyspace.parts.adopt(FIRST, slots, {FIRST}, FIRST)
        self.keyspace.load_log()
        self.keyspace.enter(FIRST, FIRST, actor)

    def sync(self) -> list[Record]:
        return self.rows.apply(self.keyspace.outbox)

    def restarted(self) -> "Held":
        """The same disk in the next process."""
        return Held(self.keyspace.actor, self.rows, self.slots)


def holding(clock: Clock, slots: Slots = ALL, claims: Sequence[ViewId] = (FIRST,)) -> Holding:
    """Slots of a peer that share one clock."""
    return Holding(to_bytes(slots), clock, list(claims))


def row(
    clock: Clock,
    *,
    node_id: str = "x",
    arrived: bool = True,
    ended: Sequence[str] = (),
    closed: Sequence[str] = (),
    answer: bool = False,
) -> Compare:
    """A member's row: in the first view, where every shard's slots have one clock."""
    whole = [holding(clock, claims=(FIRST,) if arrived else ())]
    return Compare(node_id, whole, {}, list(ended), list(closed), answer)


def page_of_dots(
    items: dict[str, Item],
    dots: dict[Dot, str],
    *,
    exchange: int = 1,
    slots: Slots = ALL,
    snapshot: Clock | None = None,
    base: Past | None = None,
    last: bool = True,
    claims: Sequence[ViewId] = (FIRST,),
) -> Page:
    """A page of an exchange whose missing dots were all in the log."""
    return Page(
        exchange=exchange,
        slots=to_bytes(slots),
        snapshot=snapshot or Clock(),
        base=base or Past(),
        items=items,
        rows={},
        dots=dots,
        full=False,
        last=last,
        after=None,
        upto=None,
        claims=list(claims),
    )


def page_of_rows(items: dict[str, Item], after: str, upto: str | None, snapshot: Clock) -> Page:
    """A page of a full exchange over all slots; without `upto` the last one."""
    page = page_of_dots(items, {}, snapshot=snapshot, base=Past(snapshot.base), last=upto is None)
    return replace(page, full=True, after=after, upto=upto)


def stamp(milliseconds: int) -> Stamp:
    return milliseconds, 0, "a"
