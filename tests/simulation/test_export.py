"""An export has all that was acknowledged before it began, and an import brings all of it back.

Writers write at any node of two shards, at the level `available`: many writes are acknowledged by
one replica while messages are lost and late and nodes are cut off.  Keys have siblings, and there
are counters and sets.  Now and then all of it is exported at some node, while the writers go on and
the shards change.  Each export is imported into another cluster, of three shards.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, cycle
from typing import Any

import pytest

from node.api.native.export import _Export
from node.core.model.changes import StateChange
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.keys import COUNTERS, SETS, slot_of_key
from node.core.model.options import Options
from node.core.model.placement import reshaped
from node.core.model.token import Token
from node.core.protocol.messages import ItemPage, Replicate, ReplicateAgain, RowPage, SamePage
from node.core.protocol.operations import ListKeys, Outcome, Propose, Put, Stored
from node.core.requests.joined_clocks import JoinedClocks
from tests.simulation.exporting import Line, RefusedExportError, exported, imported
from tests.simulation.post import Post, nothing
from tests.simulation.talking import facts_of

pytestmark = pytest.mark.slow

NODES = tuple(f"n{n}" for n in range(1, 7))
OTHERS = tuple(f"m{n}" for n in range(1, 7))
OPTIONS = Options(repair_every_s=0.5, page_items=2, page_rows=2)
KEYS = [f"k{n:02}" for n in range(20)]
COUNTER, SET = f"{COUNTERS}visits", f"{SETS}tags"
SEEDS = range(2)
EXPORTS = 2


class Shop(Post):
    """Writers that note what was acknowledged: the last number of each key, what was added to the
    counter, and the elements of the set."""

    def __init__(self, seed: int, moves: bool) -> None:
        super().__init__(seed, NODES, 2, options=OPTIONS)
        self.weather.loss, self.weather.late, self.weather.late_s = 0.02, 0.2, 0.5
        self.weather.detect_s = 0.2
        self.acknowledged = dict.fromkeys(KEYS, 0)
        self.added, self.tags = 0, set[int]()
        self.goes_on, self.is_cut = True, False
        self._numbers, self._shards = count(1), cycle((3, 1, 2))
        for key in KEYS:
            self._write(key, Token(), Past())
        self._count()
        self._tag()
        self._cut()
        if moves:
            self._move()

    def _somewhere(self) -> str:
        return self.random.choice(NODES)

    def soon(self, most_s: float, what: Callable[[], None]) -> None:
        if self.goes_on:
            self.timeline.after(self.random.uniform(0.0, most_s), what)

    def _write(self, key: str, token: Token, seen: Past) -> None:
        number = next(self._numbers)
        put = Put(key, b"%d" % number, Mode.SIBLINGS, token, seen, timeout_s=1.0)
        done = partial(self._on_written, key, token, seen, number)
        self.submit(self._somewhere(), put, done)

    def _on_written(
        self, key: str, token: Token, seen: Past, number: int, outcome: Outcome
    ) -> None:
        """Write the next value over this one; or beside it, if it is not known to be there."""
        if isinstance(outcome, Stored):
            self.acknowledged[key] = number
            token, seen = outcome.token, outcome.context.joined({}, {outcome.dot})
        self.soon(0.4, partial(self._write, key, token, seen))

    def _count(self) -> None:
        put = Put(COUNTER, None, Mode.SIBLINGS, timeout_s=1.0, change=StateChange(1))
        self.submit(self._somewhere(), put, self._on_counted)

    def _on_counted(self, outcome: Outcome) -> None:
        self.added += isinstance(outcome, Stored)
        self.soon(0.3, self._count)

    def _tag(self) -> None:
        number = next(self._numbers)
        change = StateChange(add=(str(number),))
        put = Put(SET, None, Mode.SIBLINGS, timeout_s=1.0, change=change)
        self.submit(self._somewhere(), put, partial(self._on_tagged, number))

    def _on_tagged(self, number: int, outcome: Outcome) -> None:
        if isinstance(outcome, Stored):
            self.tags.add(number)
        self.soon(0.3, self._tag)

    def _cut(self) -> None:
        one = self._somewhere()
        pairs = [pair for n in NODES if n != one for pair in ((one, n), (n, one))]
        self.cut(pairs)
        self.timeline.after(self.random.uniform(0.2, 1.0), partial(self.mend, pairs))
        self.soon(4.0, self._cut)

    def _move(self) -> None:
        address = self._somewhere()
        layout = reshaped(facts_of(self, address).view, NODES, next(self._shards))
        self.submit(address, Propose(layout), lambda outcome: None)
        self.soon(8.0, self._move)


def lacking(shop: Shop, lines: list[Line], before: tuple[dict[str, int], int, set[int]]) -> object:
    """Return what was acknowledged before the export, and neither it nor what came later is
    there."""
    numbers, added, tags = before
    values: dict[str, int] = {}
    for line in lines:
        if "key" in line:
            values[line["key"]] = max(line["value"], values.get(line["key"], 0))
    counted = next((line["value"] for line in lines if "counter" in line), 0)
    listed = next((set(line["elements"]) for line in lines if "set" in line), set())
    older = {key: n for key, n in numbers.items() if values.get(key, 0) < n}
    return older, max(0, added - counted), tags - listed


def exports_of(seed: int, moves: bool = True) -> Iterator[tuple[Shop, list[Line], object]]:
    """Yield some exports, and what each of them lacks."""
    shop = Shop(seed, moves)
    shop.wait(3.0)
    taken = tries = 0
    while taken < EXPORTS:
        tries += 1
        assert tries < 20 * EXPORTS
        before = dict(shop.acknowledged), shop.added, set(shop.tags)
        try:
            lines = exported(shop, shop.random.choice(NODES), {"timeout": "5"})
        except RefusedExportError as refused:
            if not str(refused).startswith("503 /v1/problems/unavailable"):
                raise
            continue
        if "problem" not in lines[-1]:
            taken += 1
            yield shop, lines, lacking(shop, lines, before)
        shop.wait(1.0)


def quiet_shop(seed: int) -> Shop:
    """Return a shop whose writers have stopped, and where all messages come."""
    shop = Shop(seed, moves=False)
    shop.wait(5.0)
    shop.goes_on = False
    shop.weather.loss = shop.weather.late = 0.0
    shop.wait(10.0)
    return shop


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_was_acknowledged_before_is_exported(seed: int) -> None:
    for shop, lines, lacks in exports_of(seed):
        assert lacks == ({}, 0, set())
        keys = [line["key"] for line in lines if "key" in line]
        assert set(keys) == {*KEYS}
        assert lines[-1]["values"] == len(keys)
        assert not lines[-1]["unchanged"]
        assert sum(shop.acknowledged.values()) > 0


def test_an_export_is_imported_into_other_shards_and_the_same_is_exported_there() -> None:
    _, lines, _ = next(exports_of(seed=1))
    other = Post(2, OTHERS, 3, options=OPTIONS)
    [last] = imported(other, "m2", lines)
    assert (last["failed"], last["written"]) == (0, lines[-1]["done"])
    again = exported(other, "m5")
    assert again[-1]["unchanged"]
    assert things_in(again) == things_in(lines)
    assert any(len(values) > 1 for values in things_in(lines).values()), "no key has siblings"


def things_in(lines: list[Line]) -> dict[str, list[Any]]:
    """Return the values of each key in their order, of the counter and of the set."""
    things: dict[str, list[Any]] = {}
    for line in lines:
        for kind, field in (("key", "value"), ("counter", "value"), ("set", "elements")):
            if kind in line:
                things.setdefault(f"{kind} {line[kind]}", []).append(line[field])
    return things


def test_an_import_that_is_made_again_writes_nothing_more() -> None:
    _, lines, _ = next(exports_of(seed=2))
    other = Post(3, OTHERS, 3, options=OPTIONS)
    half = lines[: len(lines) // 2]
    assert imported(other, "m1", half)[-1]["failed"] == 0
    with pytest.raises(RefusedExportError, match="409 /v1/problems/not-empty"):
        imported(other, "m3", lines)
    other.wait(660.0)  # no node knows the names of those writes any more
    [last] = imported(other, "m3", lines, {"merge": "true"})
    assert last["there"] == sum(1 for line in half if line.keys() & {"key", "counter", "set"})
    assert last["written"] + last["there"] == lines[-1]["done"]
    assert things_in(exported(other, "m6")) == things_in(lines)


def test_a_quiet_cluster_is_exported_unchanged() -> None:
    shop = quiet_shop(5)
    lines = exported(shop, "n4")
    assert lines[-1]["unchanged"]
    assert lines[0]["unreached"] == []


def test_a_node_that_is_down_is_named_or_gone_without() -> None:
    shop = quiet_shop(6)
    shop.crash("n2")
    with pytest.raises(RefusedExportError, match="n2 cannot be reached, so writes may be missing"):
        exported(shop, "n4", {"timeout": "1"})
    lines = exported(shop, "n4", {"partial": "true"})
    assert lines[0]["unreached"] == ["n2"]
    assert {line["key"] for line in lines if "key" in line} == {*KEYS}
    assert not lines[-1]["unchanged"]


def test_a_shard_that_is_down_is_refused_also_in_part() -> None:
    shop = quiet_shop(7)
    [shard] = [s for s in facts_of(shop, "n1").view.shards if "n1" not in s.members]
    for node in shard.members:
        shop.crash(node)
    with pytest.raises(RefusedExportError, match=f"shard {shard.id} cannot be exported"):
        exported(shop, "n1", {"partial": "true", "timeout": "1"})


def test_a_shard_that_goes_down_meanwhile_breaks_the_export_off() -> None:
    """The last line says so."""
    shop = quiet_shop(8)
    [shard] = [s for s in facts_of(shop, "n1").view.shards if "n1" not in s.members]
    for node in shard.members:
        shop.timeline.after(4.0, partial(shop.crash, node))
    shop.weather.late, shop.weather.late_s = 1.0, 0.4
    lines = exported(shop, "n1", {"timeout": "1"})
    assert lines[-1]["problem"]["status"] == 503
    assert "unchanged" not in lines[-1]


# ------------------------------------------------------------------ a write on one disk
def key_on_one_disk() -> tuple[str, list[Line]]:
    """Write a key that only its home has until the export has begun; return it, and the export."""
    world = Post(9, NODES, 2, options=OPTIONS)
    view = facts_of(world, "n1").view
    home, peer, *_ = view.shards[0].members
    key = next(k for n in count() if view.shard_of(slot_of_key(k := f"k{n}")) is view.shards[0])
    carriers = Replicate, ReplicateAgain, ItemPage, SamePage, RowPage
    world.holds = lambda node, target, envelope: (
        node.address == home and isinstance(envelope.message, carriers)
    )
    told: list[Outcome] = []
    world.submit(home, Put(key, b"1", Mode.SIBLINGS, level="one"), told.append)
    world.wait(1.0)
    assert isinstance(told[0], Stored)
    assert told[0].acks == 1

    def let_go() -> None:
        world.holds = nothing
        world.let_go(world.held)

    world.timeline.after(1.0, let_go)
    return key, exported(world, peer)


def test_a_write_that_one_node_has_is_waited_for() -> None:
    key, lines = key_on_one_disk()
    assert [line["key"] for line in lines if "key" in line] == [key]


def test_without_the_clocks_of_all_nodes_it_would_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(JoinedClocks, "_silent", lambda clocks, asked: [])
    assert not any("key" in line for line in key_on_one_disk()[1])


def test_a_list_without_the_token_would_miss_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(work: _Export, slots: int, start: str, limit: int) -> ListKeys:
        return ListKeys(slots, start, limit=limit)

    monkeypatch.setattr(_Export, "_list", blind)
    assert not any("key" in line for line in key_on_one_disk()[1])
