"""A member of a shard whose disk has changed a row, for tests of what it does then."""

from cluster.simulator.memory_store import write_rows
from node.core.model.dots import DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import row_of, slot_of_key
from node.core.model.options import Options
from node.core.model.placement import first_view
from node.core.model.view import FIRST, View
from node.core.protocol import events, messages as m
from node.core.protocol.effects import DAMAGED, Effects, Record
from node.core.protocol.operations import Peek
from tests.core.given import OPTIONS
from tests.core.one import NOW, PEAR, One

TRIO = first_view(["a1", "a2", "a3"], 1)
ALONE = first_view(["a1"], 1)
PLUM = "plum"
SLOT = 1 << slot_of_key(PEAR)
HELD = Item({("x", 1): Version(b"held", timestamp=(1, 0, "x"))}, Past({"x": 1}))
NEWER = Item({("x", 2): Version(b"newer", timestamp=(2, 0, "x"))}, Past({"x": 2}))
MARK = Item({("x", 1): Version(None, timestamp=(1, 0, "x"))}, Past({"x": 1}))


def damage(one: One, key: str = PEAR, row: str = "") -> None:
    """Let the disk change this row; memory has nothing of it."""
    write_rows(one.rows.tables, [Record("item", row or row_of(key), DAMAGED)])
    one.replica.keyspace._cache.drop(key)


def member(view: View = TRIO, item: Item = HELD, options: Options = OPTIONS, **others: Item) -> One:
    """Make a member that has arrived and knows its shard peers, with items that came from them."""
    one = One("a1", view, options=options)
    for shard_peer in view.nodes[1:]:
        one.step(shard_peer, m.Heartbeat(f"id of {shard_peer}"))
    one.arrive()
    for key, held in {PEAR: item, **others}.items():
        one.replica.keyspace.take(key, held, (), NOW)
    tick(one)
    return one


def suffering(
    view: View = TRIO, item: Item = HELD, options: Options = OPTIONS, **others: Item
) -> One:
    """Make a member whose row of PEAR is damaged, and which has noticed it."""
    one = member(view, item, options, **others)
    damage(one)
    one.submit(Peek(PEAR), 5)
    return one


def tick(one: One, now: float = NOW) -> Effects:
    return one.step("a1", events.Tick(), now)


def fetches(one: One, effects: Effects) -> list[tuple[str, m.Fetch]]:
    """Our own questions, without those of clients' reads."""
    asks = [(peer, ask) for peer, ask in effects.asks if isinstance(ask, m.Fetch)]
    reads = one.replica._read_origin._reads
    return [(peer, ask) for peer, ask in asks if reads.get(ask.request) is None]


def told(one: One, item: Item, source: str = "a2", now: float = NOW) -> Effects:
    """Give a shard peer's answer to the member's question."""
    number = one.replica.maintenance.row_repair.suspects[PEAR].number
    return one.step(source, m.State(number, item, DotClock(dict(item.past.base)), [FIRST]), now)


def rows_written(effects: Effects) -> list[str]:
    return [r.key for r in effects.records if r.table == "item" and r.value is not None]


def content(one: One) -> Item:
    return one.replica.keyspace.item(PEAR)
