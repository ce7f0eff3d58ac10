"""Pieces of an item arrive at a damaged row, a mend, or a search for lost rows.

None of these takes a piece for the whole item.
"""

from msgspec.structs import replace

from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.options import Options
from node.core.model.view import FIRST
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.pieces import piece_of
from tests.core.damage import content, fetches, member, rows_written, suffering, tick
from tests.core.mends import READ_REPAIRS, mends, state
from tests.core.one import NOW, PEAR
from tests.core.shards import KEYS, Shard

THREE = Item({("x", n): Version(b"%d" % n * 9) for n in (1, 2, 3)}, Past({"x": 3}))
LATER = NOW + 1.2  # a link is up for long enough


def piece(*numbers: int) -> Item:
    return Item({("x", n): THREE.versions["x", n] for n in numbers}, THREE.past)


def only(*numbers: int) -> Item:
    """Return an item of which nothing more is known."""
    versions = piece(*numbers).versions
    return Item(versions, Past().joined({}, versions))


# ---- damaged rows


def test_a_damaged_row_is_asked_for_piece_by_piece() -> None:
    one = suffering(item=THREE)
    tick(one)
    number = one.replica.maintenance.row_repair.suspects[PEAR].number
    have: tuple[Dot, ...] = ()
    for count in range(3):
        some, rest = piece_of(THREE, have, 1)
        told = m.State(number, some, DotClock({"x": 3}), [FIRST], rest=rest)
        effects = one.step("a2", told)
        assert bool(rows_written(effects)) is (count == 2)
        for peer, fetch in fetches(one, effects):
            assert (peer, fetch.request) == ("a2", number)
            have = fetch.have
    assert content(one).versions == THREE.versions


# ---- mends


def compares(effects: Effects) -> list[str]:
    return [peer for peer, told in effects.tells if isinstance(told, m.Compare)]


def test_a_node_that_is_told_less_than_all_that_it_lacks_compares_at_once() -> None:
    one = member(item=only(1))
    for shard_peer in ("a2", "a3"):
        one.step(shard_peer, m.Heartbeat(f"id of {shard_peer}"), LATER)
    effects = one.step("b1", m.ReadRepair(PEAR, piece(2), (("x", 1), ("x", 3))), LATER)
    assert (rows_written(effects), compares(effects)) == ([], ["a2", "a3"])
    assert content(one).versions == only(1).versions


def test_a_node_that_is_told_all_that_it_lacks_takes_it() -> None:
    one = member(item=Item({("y", 1): Version(b"mine")}, Past({"y": 1})))
    effects = one.step("b1", m.ReadRepair(PEAR, only(1, 2), ()), LATER)
    assert rows_written(effects)
    one.rows.apply(effects.records)
    effects = one.step("b1", m.ReadRepair(PEAR, piece(3), (("x", 1), ("x", 2))), LATER)
    assert (bool(rows_written(effects)), compares(effects)) == (True, [])
    assert content(one).versions.keys() == {("x", 1), ("x", 2), ("x", 3), ("y", 1)}


def test_a_mend_leaves_out_what_its_receiver_has_said_that_it_holds() -> None:
    one = member(options=Options(message_bytes_max=1))
    one.submit(READ_REPAIRS)
    one.step("a2", state(THREE))
    [(_, mend)] = mends(one.step("a3", state(only(1, 2))))
    assert (list(mend.item.versions), mend.rest) == ([("x", 3)], (("x", 1), ("x", 2)))


def test_a_piece_that_comes_when_its_read_is_answered_is_not_asked_for_further() -> None:
    one = member()
    one.submit(READ_REPAIRS)
    one.step("a2", state(THREE))
    one.step("a3", state(THREE))
    more = Item({("y", 1): Version(b"y")}, Past({"x": 3, "y": 2}))
    effects = one.step("a3", replace(state(more), rest=(("y", 2),)))
    assert (effects.asks, mends(effects), rows_written(effects)) == ([], [], [])


# ---- what has gone


def test_what_has_gone_is_found_piece_by_piece() -> None:
    shard = Shard(options=Options(message_bytes_max=1))
    key = KEYS[7]
    for one in shard.members.values():
        one.replica.keyspace.take(key, THREE, (), NOW)
        one.rows.apply(one.replica._step.records)
        tick(one)
    one = shard.lose("a3", key)
    said = shard.settle()
    pages = [message for message in said if isinstance(message, m.ItemPage | m.RowPage)]
    assert sum(bool(page.rest) for page in pages) >= 3
    theirs = shard.members["a1"].replica.peek(key)
    assert one.replica.peek(key).versions == theirs.versions
