"""The simulated clock, links and disk keep what the ports promise, and break only what they may."""

import os
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from cluster.simulator import hinted
from cluster.simulator.campaign import run_seed
from cluster.simulator.invariants import InvariantMonitor
from cluster.simulator.nemesis import FAULTS, Nemesis, swarm_of
from cluster.simulator.timeline import LivelockError, Timeline
from cluster.simulator.trial import Trial
from cluster.simulator.world import SimStore, World
from node.core.model.dots import DotClock
from node.core.model.item import Item
from node.core.model.placement import first_view
from node.core.protocol.effects import Record
from node.core.protocol.events import Event, LinkDown, LinkUp
from node.core.protocol.messages import Envelope, Epoch, Fetch, Message, State
from tests.simulation.seeds import A_FEW, CHUNK, SEEDS
from tests.simulation.stage import heard_by, quiet_world

ROOT = Path(__file__).parents[2]


def send(world: World, requests: Iterable[int], source: str = "n1", target: str = "n2") -> None:
    for request in requests:
        envelope = Envelope(Epoch(), Fetch(request, "key"))
        world.send(world.nodes[source], target, envelope)


def link_events(world: World, address: str) -> list[Event]:
    heard = heard_by(world, address).heard
    return [event for _, _, event in heard if isinstance(event, LinkUp | LinkDown)]


def store_of(world: World, address: str) -> SimStore:
    store = world.nodes[address].store
    assert store is not None
    return store


def row(key: str, value: bytes | None = b"1", is_open: bool = False) -> list[Record]:
    return [Record("item", key, value, is_open)]


# ------------------------------------------------------------------ time


def test_callbacks_come_by_their_instant_and_those_of_one_instant_as_they_were_asked_for() -> None:
    timeline, seen = Timeline(), list[str]()
    for when, name in ((2.0, "later"), (1.0, "first"), (1.0, "second")):
        timeline.at(when, partial(seen.append, name))
    timeline.run(1.5)
    assert (seen, timeline.now) == (["first", "second"], 1.5)


def test_time_that_does_not_go_on_is_reported() -> None:
    timeline = Timeline()

    def again() -> None:
        timeline.at(0.0, again)

    again()
    with pytest.raises(LivelockError):
        timeline.run(1.0)


def test_a_skewed_clock_shows_other_seconds_and_its_timers_are_never_early() -> None:
    world = quiet_world()
    world.crash("n1")
    world.nodes["n1"].skew_s = 123.456789
    world.start("n1")
    listener = heard_by(world, "n1")
    started, _, _ = listener.heard[0]
    listener.wake_at = started + 1.0
    send(world, [1], "n2", "n1")
    world.timeline.run(world.timeline.now + 5.0)
    woken, _, _ = listener.heard[-1]
    assert started == pytest.approx(1_000_123.456789)
    assert started + 1.0 <= woken < started + 1.001


# ------------------------------------------------------------------ links


def test_in_fair_weather_every_message_arrives_once_as_a_copy_of_its_own() -> None:
    world = quiet_world()
    item = Item()
    world.send(world.nodes["n1"], "n2", Envelope(Epoch(), State(1, item, DotClock(), [])))
    send(world, range(2, 50))
    world.timeline.run(5.0)
    listener = heard_by(world, "n2")
    assert sorted(listener.fetches()) == list(range(2, 50))
    states = [message for message in listener.messages() if isinstance(message, State)]
    assert states[0].item == item
    assert states[0].item is not item


def test_messages_overtake_each_other() -> None:
    world = quiet_world()
    send(world, range(50))
    world.timeline.run(5.0)
    assert heard_by(world, "n2").fetches() != list(range(50))


@pytest.mark.parametrize(("loss", "duplication", "copies"), [(1.0, 0.0, 0), (0.0, 1.0, 2)])
def test_bad_weather_loses_and_doubles(loss: float, duplication: float, copies: int) -> None:
    world = quiet_world()
    world.weather.loss, world.weather.duplication = loss, duplication
    send(world, range(20))
    world.timeline.run(5.0)
    assert len(heard_by(world, "n2").fetches()) == 20 * copies


def test_a_cut_has_a_direction_and_takes_along_what_is_on_its_way() -> None:
    world = quiet_world()
    send(world, [1])
    world.cut([("n1", "n2")])
    send(world, [2])
    send(world, [3], "n2", "n1")
    world.timeline.run(5.0)
    world.mend([("n1", "n2")])
    send(world, [4])
    world.timeline.run(10.0)
    assert heard_by(world, "n2").fetches() == [4]
    assert heard_by(world, "n1").fetches() == [3]


def test_an_unknown_node_is_an_unlisted_peer_and_has_a_link_all_the_same() -> None:
    world = quiet_world()
    heard_by(world, "n1").peers = []
    send(world, [1], "n2", "n1")
    world.timeline.run(5.0)
    assert world.nodes["n1"].known == set()
    send(world, [2])
    world.timeline.run(10.0)
    assert heard_by(world, "n2").fetches() == [2]


def test_a_link_ends_when_neither_knows_the_other_any_more() -> None:
    world = quiet_world()
    world.timeline.run(5.0)
    for address, other in (("n1", "n2"), ("n2", "n1")):
        heard_by(world, address).peers = []
        send(world, [1], other, address)
    world.timeline.run(10.0)
    send(world, [2])
    world.timeline.run(15.0)
    assert link_events(world, "n1") == [LinkUp("n2"), LinkDown("n2")]
    assert heard_by(world, "n2").fetches() == [1]


def test_both_ends_learn_of_a_cut_and_of_its_end() -> None:
    world = quiet_world()
    world.timeline.run(5.0)
    world.cut([("n1", "n2"), ("n2", "n1")])
    world.timeline.run(10.0)
    world.mend([("n1", "n2"), ("n2", "n1")])
    world.timeline.run(15.0)
    assert link_events(world, "n1") == [LinkUp("n2"), LinkDown("n2"), LinkUp("n2")]
    assert link_events(world, "n2") == [LinkUp("n1"), LinkDown("n1"), LinkUp("n1")]


def test_a_restart_breaks_a_link_before_it_comes_back() -> None:
    world = quiet_world()
    world.timeline.run(5.0)
    world.crash("n1")
    world.start("n1")
    world.timeline.run(10.0)
    assert link_events(world, "n2") == [LinkUp("n1"), LinkDown("n1"), LinkUp("n1")]


def test_a_paused_process_finds_its_backlog_when_it_goes_on() -> None:
    world = quiet_world()
    listener = heard_by(world, "n2")
    world.timeline.run(5.0)
    before = len(listener.heard)
    listener.wake_at = 1_000_006.0
    send(world, [1])
    world.timeline.run(5.5)
    world.pause("n2", 4.0)
    send(world, [2, 3])
    world.timeline.run(9.4)
    assert len(listener.heard) == before + 1
    world.timeline.run(10.0)
    assert sorted(listener.fetches()) == [1, 2, 3]
    assert len(listener.heard) == before + 4  # the timer, too


def test_nothing_reaches_a_node_that_is_down_and_no_timer_of_its_life_outlives_it() -> None:
    world = quiet_world()
    old = heard_by(world, "n2")
    old.wake_at = 1_000_001.0
    send(world, [1])
    world.timeline.run(0.5)
    world.crash("n2")
    before = len(old.heard)
    send(world, [2])
    world.timeline.run(5.0)
    assert len(old.heard) == before


# ------------------------------------------------------------------ disks


def test_reads_see_what_is_written_and_the_disk_has_it_when_it_is_told() -> None:
    world = quiet_world(1)
    store, told = store_of(world, "n1"), list[int]()
    for number in range(3):
        store.write(row(f"k{number}"), partial(told.append, number))
    assert (store.read("item", "k2"), store.counts("item"), told) == (
        b"1",
        {"k0": (1, 1), "k1": (1, 1), "k2": (1, 1)},
        [],
    )
    assert not world.nodes["n1"].disk
    world.timeline.run(1.0)
    assert told == [0, 1, 2]
    assert list(world.nodes["n1"].disk["item"]) == ["k0", "k1", "k2"]


def test_rows_are_scanned_in_order_and_open_ones_are_found() -> None:
    world = quiet_world(1)
    store = store_of(world, "n1")
    for key, is_open in (("b", True), ("a", False), ("c", True)):
        store.write(row(key, is_open=is_open), lambda: None)
    store.write(row("c", None), lambda: None)
    assert store.scan("item", None, 9) == [("a", b"1"), ("b", b"1")]
    assert store.scan("item", "a", 9) == [("b", b"1")]
    assert store.scan("item", None, 1) == [("a", b"1")]
    assert store.open_keys("item") == ["b"]
    store.write(row("aa"), lambda: None)
    assert store.names("item", "a", 9, "b") == ["a", "aa"]
    store.write(row("a", None), lambda: None)
    assert store.scan("item", None, 9) == [("aa", b"1"), ("b", b"1")]


def test_a_crash_forgets_what_was_not_durable_and_never_tells_it() -> None:
    world = quiet_world(1)
    store, told = store_of(world, "n1"), list[str]()
    store.write(row("first"), lambda: told.append("first"))
    world.timeline.run(1.0)
    store.write(row("second"), lambda: told.append("second"))
    world.crash("n1")
    world.start("n1")
    world.timeline.run(5.0)
    assert told == ["first"]
    assert store_of(world, "n1").scan("item", None, 9) == [("first", b"1")]


def test_a_crash_may_keep_the_first_of_the_batches_that_were_not_durable() -> None:
    kept = set()
    for seed in range(40):
        world = quiet_world(1, seed)
        for number in range(3):
            store_of(world, "n1").write(row(f"k{number}"), lambda: None)
        world.crash("n1", keep=True)
        kept.add("".join(world.nodes["n1"].disk.get("item", {})))
    assert kept == {"", "k0", "k0k1", "k0k1k2"}


def test_a_wiped_disk_is_empty() -> None:
    world = quiet_world(1)
    store_of(world, "n1").write(row("key"), lambda: None)
    world.timeline.run(1.0)
    world.crash("n1")
    world.wipe("n1")
    world.start("n1")
    assert store_of(world, "n1").counts("item") == {}


# ------------------------------------------------------------------ whole runs


def test_the_same_seed_is_the_same_run() -> None:
    assert Trial(5).run() == Trial(5).run()
    assert Trial(5).run().digest != Trial(6).run().digest


def test_a_run_does_not_depend_on_hash_order() -> None:
    code = (
        "from cluster.simulator.trial import Trial; print([Trial(seed).run() for seed in (5, 6)])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize("first", range(0, A_FEW, CHUNK))
def test_a_few_seeds_are_green(first: int) -> None:
    for seed in range(first, first + CHUNK):
        assert not run_seed(seed).failure


def test_a_few_runs_reach_every_corner() -> None:
    messages = {type_.__name__ for type_ in get_args(Message)} - {"FetchChanges", "ChangePage"}
    answers = {
        f"{kind} {answer}"
        for kind, answers in {
            "put": ("Stored", "Unmet", "Unavailable"),
            "get": ("Found", "Absent", "Unmet", "Unavailable"),
            "delete": ("Stored", "Absent", "Unmet", "Unavailable"),
        }.items()
        for answer in answers
    }
    corners = {"page of rows", "page of rows, not the last", "page of dots", "page, not the last"}
    missing = messages | answers | corners | {"a row has changed by itself"}
    for seed in (*filter(hinted.is_drawn, SEEDS), *range(A_FEW)):
        missing -= Trial(seed).run().reached.keys()
        if not missing:
            break
    assert not missing


def test_swarms_differ_and_every_fault_is_drawn() -> None:
    swarms = [swarm_of(Random(seed)) for seed in range(100)]
    assert all(2 <= len(swarm.faults) <= 6 for swarm in swarms)
    assert {fault for swarm in swarms for fault in swarm.faults} == set(FAULTS)
    assert {(swarm.nodes, swarm.shards) for swarm in swarms} >= {(1, 1), (3, 1), (6, 2), (6, 3)}


def test_healing_ends_every_fault() -> None:
    trial = Trial(7)
    world = trial.world
    swarm = swarm_of(Random(7))
    nemesis = Nemesis(world, swarm, InvariantMonitor(first_view(["n1"], 1), world.nodes))
    nemesis.begin()
    world.timeline.run(8.0)
    nemesis.heal()
    world.timeline.run(20.0)
    assert not world.cuts
    assert world.weather.loss == 0.0
    assert all(node.driver for node in world.nodes.values())
