"""Rules of one replica, each broken in one place: clocks, items, names, disks.

Each break comes from a failure seen in the field or in a model.  (protocol D14; reliability D9.)
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import Mock, patch

from cluster import simulation
from cluster.memory import MemoryReads
from node.core import hybrid, keyspace, replica, waiting
from node.core.clock import Clock, Dot
from node.core.digest import Digests
from node.core.effects import Damaged
from node.core.healing import Healing
from node.core.home import Home
from node.core.hybrid import HybridClock, Stamp
from node.core.keyspace import Keyspace
from node.core.messages import Accept, Event
from node.core.replica import Replica
from node.core.siblings import Item, Version, sync
from node.core.turn import Turn
from node.core.walk import slot_of_key
from node.driver import Driver
from tests.simulation.breaks import Breaks

OF_A_REPLICA = Breaks()


# ------------------------------------------------------------------ damaged rows


@OF_A_REPLICA.shown_by()
def take_a_damaged_row_for_an_absent_one() -> Iterator[None]:
    """The clock vouches for what the disk has lost."""
    original = MemoryReads.read

    def read(self: MemoryReads, table: str, key: str) -> bytes | None:
        with suppress(Damaged):
            return original(self, table, key)
        return None

    with patch.object(MemoryReads, "read", read):
        yield


@OF_A_REPLICA.shown_by()
def leave_a_damaged_row_as_it_is() -> Iterator[None]:
    """It is not served, and not asked for either."""
    with patch.object(Healing, "tick", lambda self: self._turn.suspects.clear()):
        yield


# ------------------------------------------------------------------ clocks and items


@OF_A_REPLICA.shown_by()
def fill_with_the_new_clock() -> Iterator[None]:
    """The replica believes it has seen, and dropped, what is just arriving."""

    def take(self: Keyspace, key: str, incoming: Item, dots: Iterable[Dot], *rest: Any) -> None:
        for dot in (*incoming.versions, *dots):
            self.note(dot, key)
        self._save(key, sync(self.filled(key), incoming))

    with patch.object(Keyspace, "take", take):
        yield


@OF_A_REPLICA.shown_by()
def add_the_whole_past_to_the_clock() -> Iterator[None]:
    """The item's past names unrelated writes, too."""
    original = Keyspace.take

    def take(self: Keyspace, key: str, incoming: Item, *rest: Any) -> None:
        original(self, key, incoming, *rest)
        self.join(1 << slot_of_key(key), Clock(dict(incoming.past.base)), ())

    with patch.object(Keyspace, "take", take):
        yield


@OF_A_REPLICA.shown_by()
def collapse_siblings_to_the_newest() -> Iterator[None]:
    """Last writer wins where every concurrent value was promised."""

    def newest(one: Item, two: Item) -> Item:
        joined = sync(one, two)
        winner = joined.winner()
        kept = {} if winner is None else {winner: joined.versions[winner]}
        return Item(kept, joined.past)

    with patch.object(keyspace, "sync", newest):
        yield


@OF_A_REPLICA.shown_by("late", deletes=0.3)
def compare_stamps_across_causally_ordered_values() -> Iterator[None]:
    """A stamp decides what is obsolete, the past does not."""

    def largest_stamp(one: Item, two: Item) -> Item:
        joined = sync(one, two)
        every: dict[Dot, Version] = {**one.versions, **two.versions}
        if not all(version.lww for version in every.values()):
            return joined
        winner = Item(every).winner()
        return Item({} if winner is None else {winner: every[winner]}, joined.past)

    with patch.object(keyspace, "sync", largest_stamp):
        yield


@OF_A_REPLICA.shown_by("skew")
def stamp_by_the_wall_clock_alone() -> Iterator[None]:
    """A write may be stamped below what its client has seen."""
    original = HybridClock.next

    def following(self: HybridClock, now: float, actor: str, above: Iterable[Stamp]) -> Stamp:
        return original(self, now, actor, ())

    with (
        patch.object(HybridClock, "next", following),
        patch.object(HybridClock, "witness", lambda self, stamp, now: None),
    ):
        yield


@OF_A_REPLICA.shown_by("skew")
def believe_any_future() -> Iterator[None]:
    """One bad clock drags all others."""
    with patch.object(hybrid, "LEAD_MS_MAX", 10**12):
        yield


# ------------------------------------------------------------------ names and disks


@OF_A_REPLICA.shown_by("wipe")
def reuse_the_actor_after_a_wipe() -> Iterator[None]:
    """The node keeps its id, though its disk is new."""

    def restore(address: str, *rest: Any) -> Replica:
        with patch.object(replica, "base64", Mock(urlsafe_b64encode=lambda raw: address.encode())):
            return replica.restore(address, *rest)

    with patch.object(simulation, "restore", restore):
        yield


@OF_A_REPLICA.shown_by()
def tell_before_it_is_durable() -> Iterator[None]:
    """Acks and replications leave at once."""

    def step(self: Driver, source: str, event: Event) -> None:
        effects = self.replica.step(self._clock.now(), source, event)
        if effects.peers is not None:
            self._links.know(effects.peers)
        for peer, message in effects.asks:
            self._send(peer, message, effects.stamp)
        self._answer(effects.relays)
        if effects.records:
            self._store.write(effects.records, lambda: None)
        self._release(effects)
        self._arm(effects.wake_at)

    with patch.object(Driver, "_step", step):
        yield


@OF_A_REPLICA.shown_by()
def answer_before_it_is_durable() -> Iterator[None]:
    """A reader is shown what a crash may undo."""
    with patch.object(Turn, "reply", Turn.relay):
        yield


@OF_A_REPLICA.shown_by()
def drop_log_entries_under_an_unsaved_clock() -> Iterator[None]:
    """A restart then forgets dots it has had."""

    def prune(self: Keyspace) -> None:
        with patch.object(Keyspace, "save_parts", lambda space: None):
            original(self)

    original = Keyspace.prune
    with patch.object(Keyspace, "prune", prune):
        yield


@OF_A_REPLICA.shown_by()
def answer_below_the_level_asked() -> Iterator[None]:
    """One copy is called a quorum."""
    with patch.object(waiting, "enough", lambda level, copies, acks, awaited: acks >= 1):
        yield


@OF_A_REPLICA.shown_by("duplication")
def coordinate_a_doubled_accept_twice() -> Iterator[None]:
    """The home forgets at once which requests it has named."""
    original = Home.on_accept

    def on_accept(self: Home, source: str, accept: Accept) -> None:
        self._accepted.clear()
        original(self, source, accept)

    with patch.object(Home, "on_accept", on_accept):
        yield


@OF_A_REPLICA.shown_by()
def send_dots_alone_whatever_is_held() -> Iterator[None]:
    """Every content has one hash, so nobody is sent what he lacks."""
    with patch.object(Digests, "of", lambda self, slots: b"the same"):
        yield
