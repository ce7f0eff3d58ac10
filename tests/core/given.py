"""Given to the core's tests: small values for properties, and rows in memory."""

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from cluster.simulator.memory_store import MemoryReads, write_rows
from node.core.model.dots import Dot, DotClock, Vector
from node.core.model.hlc import Timestamp
from node.core.model.item import Item, Past, Version
from node.core.model.options import Options
from node.core.model.slots import ALL, Slots, to_bytes
from node.core.model.token import FILTER_BITS, Token
from node.core.model.view import FIRST, ViewId
from node.core.protocol.effects import Record
from node.core.protocol.messages import Compare, ItemPage, RowPage, SlotSummary
from node.core.protocol.step import Step
from node.core.storage.keyspace import Keyspace
from node.core.storage.slot_groups import Parts

NUMBER_MAX = 7
MEGABYTE = 1_000_000
OPTIONS = Options()

actors = st.sampled_from("abc")
numbers = st.integers(1, NUMBER_MAX)
dots = st.tuples(actors, numbers)
dot_sets = st.frozensets(dots, max_size=14)
vectors = st.dictionaries(actors, numbers, max_size=3)
pasts = st.builds(lambda base, loose: Past().joined(base, loose), vectors, dot_sets)
digests = st.integers(0, 2**36 - 1) | st.sampled_from([2, 3, 2**25, 2**25 + 1])
filters = st.just(b"\xff" * 64) | st.binary(min_size=FILTER_BITS // 8, max_size=FILTER_BITS // 8)


def small_pages(rows: int) -> Options:
    """Limit the pages of an exchange to so many rows, merged or taken as they lie."""
    return Options(page_items=rows, page_rows=rows)


def clock_of(known: Iterable[Dot]) -> DotClock:
    clock = DotClock()
    for dot in known:
        clock.add(dot)
    return clock


def all_dots(vector: Vector) -> set[Dot]:
    """Return all dots that "up to n" stands for."""
    return {(actor, n) for actor, top in vector.items() for n in range(1, top + 1)}


def dots_of(clock: DotClock) -> set[Dot]:
    return all_dots(clock.base) | {(a, n) for a, loose in clock.loose.items() for n in loose}


clocks = st.builds(clock_of, st.lists(dots, max_size=14))


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Draw a filled item: its past covers its versions; a dot has one value wherever it is."""
    past = draw(pasts)
    candidates = sorted(all_dots(past.base) | past.loose)
    live = draw(st.lists(st.sampled_from(candidates), max_size=4)) if candidates else []
    return Item({dot: Version(b"%s%d" % (dot[0].encode(), dot[1])) for dot in live}, past)


@st.composite
def tokens(draw: st.DrawFn, number_max: int = 60) -> Token:
    """Draw any token that a decoder accepts."""
    some = st.integers(1, number_max)
    oldest_view = draw(st.dictionaries(actors, some, max_size=3))
    exact = draw(st.dictionaries(st.tuples(actors, some), digests, max_size=50))
    keys = draw(filters)
    stamp = draw(st.tuples(st.integers(0, 99), st.integers(0, 9), actors))
    return Token(oldest_view, exact, keys if oldest_view else b"", stamp)


class MemoryRows(MemoryReads):
    """Rows in memory; `apply` makes the records of a step durable."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        super().__init__({})
        write_rows(self.tables, records)

    def apply(self, records: list[Record]) -> list[Record]:
        written = list(records)
        write_rows(self.tables, written)
        records.clear()
        return written


def parts_with(clock: DotClock, *, arrived: bool = True, slots: Slots = ALL) -> Parts:
    """Return all these slots, owned in the first view, with this clock."""
    parts = Parts()
    parts.adopt(FIRST, slots, {FIRST}, FIRST if arrived else None)
    parts.join(slots, clock, ())
    return parts


class Held:
    """A keyspace that owns these slots in the first view and is complete for it.

    Its rows are durable as soon as it is asked for.
    """

    def __init__(
        self,
        actor: str,
        rows: MemoryRows | None = None,
        slots: Slots = ALL,
        options: Options = OPTIONS,
    ) -> None:
        self.rows = rows or MemoryRows()
        self.slots, self.options = slots, options
        self.turn = Step()
        self.keyspace = Keyspace(self.rows, options, self.turn)
        self.keyspace.parts.adopt(FIRST, slots, {FIRST}, FIRST)
        self.keyspace.load_log()
        self.keyspace.on_view(FIRST, FIRST, actor)

    def sync(self) -> list[Record]:
        return self.rows.apply(self.turn.records)

    def restarted(self) -> "Held":
        """Return the same disk in the next process."""
        return Held(self.keyspace.actor, self.rows, self.slots, self.options)


def holding(
    clock: DotClock, slots: Slots = ALL, complete_for: Sequence[ViewId] = (FIRST,)
) -> SlotSummary:
    """Return slots of a peer that share one clock."""
    return SlotSummary(to_bytes(slots), clock, list(complete_for))


def row(
    clock: DotClock,
    *,
    node_id: str = "x",
    arrived: bool = True,
    ended: Sequence[str] = (),
    closed: Sequence[str] = (),
    answer: bool = False,
) -> Compare:
    """Return a member's row: in the first view, where every shard's slots have one clock."""
    whole = [holding(clock, complete_for=(FIRST,) if arrived else ())]
    return Compare(node_id, whole, {}, list(ended), list(closed), answer)


def page_of_dots(
    items: dict[str, Item],
    dots: dict[Dot, str],
    *,
    exchange: int = 1,
    slots: Slots = ALL,
    snapshot: DotClock | None = None,
    base: Past | None = None,
    last: bool = True,
    complete_for: Sequence[ViewId] = (FIRST,),
) -> ItemPage:
    """Return a page of an exchange whose missing dots were all in the log."""
    return ItemPage(
        exchange=exchange,
        slots=to_bytes(slots),
        snapshot=snapshot or DotClock(),
        complete_for=list(complete_for),
        last=last,
        dots=dots,
        items=items,
        base=base or Past(),
    )


def page_of_rows(
    items: dict[str, Item], after: str, upto: str | None, snapshot: DotClock, exchange: int = 1
) -> RowPage:
    """Return a page of a full exchange over all slots; without `upto` the last one."""
    base = Past(snapshot.base)
    return RowPage(exchange, to_bytes(ALL), snapshot, [FIRST], after, upto, {}, items, base)


def stamp(milliseconds: int) -> Timestamp:
    return milliseconds, 0, "a"
