"""A client that stays at one node and passes nothing on never sees an effect before its cause.

This holds in any order of messages, as long as the node holds early versions back.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from cluster.simulator.trial import Trial
from cluster.simulator.world import SimNode, World
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.model.token import Token
from node.core.protocol import messages as m
from node.core.protocol.effects import Record
from node.core.protocol.operations import (
    Absent,
    Early,
    Found,
    Get,
    Look,
    Looked,
    Outcome,
    Put,
    Stored,
)

NODES = ("n1", "n2", "n3", "n4")
KEYS = "abcde"
BEGIN_S, WORK_S, REST_S = 5.0, 12.0, 8.0
FOREVER_S = 10_000.0


class Nobody:
    """A watch that sees nothing."""

    def on_sent(self, node: SimNode, target: str, envelope: m.Envelope) -> None: ...
    def on_durable(self, node: SimNode, records: Sequence[Record]) -> None: ...
    def on_forgotten(self, node: SimNode) -> None: ...


class Unordered(World):
    """One shard; the network loses messages, reorders them, and slows some links down by turns."""

    def __init__(self, seed: int, hold_s: float) -> None:
        told = dict.fromkeys(NODES, Start(first_view(NODES, 1)))
        super().__init__(told, Random(seed), Nobody(), Options(repair_every_s=0.3, hold_s=hold_s))
        for address in NODES:
            self.start(address)
        self.timeline.run(self.timeline.now + BEGIN_S)
        self.weather.loss = self.random.choice((0.0, 0.05, 0.3))
        self.weather.late, self.weather.late_s = self.random.choice((0.01, 0.2)), 1.0
        self._change_lags()

    def _change_lags(self) -> None:
        self.lags.clear()
        pairs = [(one, two) for one in NODES for two in NODES if one != two]
        slow = self.random.sample(pairs, self.random.randint(0, 6))
        self.lags.update({pair: self.random.choice((0.05, 0.5, 2.0)) for pair in slow})
        self.timeline.after(self.random.uniform(0.2, 2.0), self._change_lags)


Pasts = dict[bytes, tuple[str, frozenset[bytes]]]  # of each value: its key, and what it depends on


class Client:
    """A client at one node or, with its token, at any; it knows all dependencies of its reads."""

    def __init__(
        self, world: Unordered, pasts: Pasts, name: str, at: str, wrong: list[str]
    ) -> None:
        self.world, self.pasts, self.name, self.at, self.wrong = world, pasts, name, at, wrong
        self.token = Token()
        self.past: set[bytes] = set()
        self.done = Counter[str]()
        self.until = world.timeline.now + WORK_S

    def go_on(self) -> None:
        world, random = self.world, self.world.random
        if world.timeline.now >= self.until:
            return
        key = random.choice(KEYS)
        node = self.at or random.choice(NODES)
        if random.random() < 0.25:
            self.write(node, key)
        else:
            get = Get(key, token=self.token, wait_s=2.0)
            world.submit(node, get, lambda outcome: self.on_read(key, outcome))

    def pause(self) -> None:
        self.world.timeline.after(self.world.random.uniform(0.0, 0.05), self.go_on)

    def write(self, node: str, key: str) -> None:
        value = f"{self.name}{len(self.pasts)}".encode()
        self.pasts[value] = key, frozenset(self.past)
        put = Put(key, value, token=self.token, after_all=bool(self.at))
        self.world.submit(node, put, lambda outcome: self.on_written(value, outcome))

    def on_written(self, value: bytes, outcome: Outcome) -> None:
        if isinstance(outcome, Stored):
            self.done["writes"] += 1
            self.past |= {value, *self.pasts[value][1]}
            self.keep(outcome.token)
        self.pause()

    def on_read(self, key: str, outcome: Outcome) -> None:
        if isinstance(outcome, Found | Absent):
            self.done["reads"] += 1
            shown = outcome.values[0] if isinstance(outcome, Found) else None
            self.look(key, shown)
            self.keep(outcome.token)
        self.pause()

    def keep(self, token: Token) -> None:
        if not self.at:
            self.token = token

    def look(self, key: str, shown: bytes | None) -> None:
        """Demand that what is shown is not older than this client's dependencies."""
        for value in self.past:
            of, past = self.pasts[value]
            if of == key and value != shown and (shown is None or shown in past):
                self.wrong.append(f"{self.name} at {self.at} is shown {shown!r}, knows {value!r}")
        if shown is not None:
            self.past |= {shown, *self.pasts[shown][1]}


def played(seed: int, hold_s: float) -> tuple[list[str], Counter[str], World]:
    """Return what was wrong, what was done, and the world after it."""
    world, pasts, wrong = Unordered(seed, hold_s), Pasts(), list[str]()
    staying = [Client(world, pasts, f"s{node}-", node, wrong) for node in NODES]
    roaming = [Client(world, pasts, f"r{n}-", "", wrong) for n in range(3)]
    for client in (*staying, *roaming):
        client.go_on()
    world.timeline.run(world.timeline.now + WORK_S)
    done = sum((client.done for client in (*staying, *roaming)), Counter[str]())
    return wrong, done, world


@pytest.mark.parametrize("seed", range(8))
def test_no_reader_sees_an_effect_before_its_cause(seed: int) -> None:
    wrong, done, world = played(seed, FOREVER_S)
    assert wrong == []
    assert done["reads"] > 100
    assert done["writes"] > 30
    world.weather.loss = 0.0
    world.timeline.run(world.timeline.now + REST_S)
    assert not any(held_at(world, node) for node in NODES)


def held_at(world: World, address: str) -> list[Early]:
    """Return what a node holds back."""
    looked: list[Outcome] = []
    world.submit(address, Look(), looked.append)
    world.timeline.run(world.timeline.now + 0.5)
    [outcome] = looked
    assert isinstance(outcome, Looked)
    return outcome.early


def test_without_the_hold_a_reader_does() -> None:
    assert any(played(seed, 0.0)[0] for seed in range(8))


@pytest.mark.parametrize("seed", range(6))
def test_all_that_is_promised_holds_with_it_too(seed: int) -> None:
    assert Trial(seed, hold_s=2.0).run().ok > 0
