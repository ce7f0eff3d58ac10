"""Rules of one replica, each broken in one place: clocks, items, names, disks.

Each break comes from a failure seen in the field or in a model.  (protocol D14; reliability D9.)
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import Mock, patch

from cluster.simulator import world
from cluster.simulator.memory_store import MemoryReads
from node.core import replica
from node.core.integrity.row_repair import RowRepair
from node.core.maintenance import schedule
from node.core.model import hlc
from node.core.model.dots import Dot, DotClock
from node.core.model.hlc import HybridClock, Timestamp
from node.core.model.item import Item, Version, sync
from node.core.model.keys import slot_of_key
from node.core.protocol.effects import Damaged
from node.core.protocol.events import Event
from node.core.protocol.messages import Accept
from node.core.protocol.step import Step
from node.core.replica import Replica
from node.core.requests import write_under_way
from node.core.requests.write_home import Home
from node.core.storage import keyspace, pruning
from node.core.storage.content_hash import ContentHashes
from node.core.storage.keyspace import Keyspace
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
    with patch.object(RowRepair, "tick", lambda self: self._step.suspects.clear()):
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


@contextmanager
def add_the_whole_past_to_the_clock() -> Iterator[None]:
    """The item's past names unrelated writes, too.  A story shows it: runs seldom have two keys of
    one slot, and dots of other slots do no harm."""
    original = Keyspace.take

    def take(self: Keyspace, key: str, incoming: Item, *rest: Any) -> None:
        original(self, key, incoming, *rest)
        self.join(1 << slot_of_key(key), DotClock(dict(incoming.past.base)), ())

    with patch.object(Keyspace, "take", take):
        yield


@OF_A_REPLICA.shown_by()
def collapse_siblings_to_the_newest() -> Iterator[None]:
    """The last writer wins where every concurrent value was promised."""

    def newest(one: Item, two: Item) -> Item:
        joined = sync(one, two)
        winner = joined.winner()
        kept = {} if winner is None else {winner: joined.versions[winner]}
        return Item(kept, joined.past)

    with patch.object(keyspace, "sync", newest):
        yield


@contextmanager
def compare_stamps_across_causally_ordered_values() -> Iterator[None]:
    """A stamp decides what is obsolete, and not the past.

    A story shows it: stamps go with the past, but where a delete has left no row there is no stamp.
    """

    def largest_stamp(one: Item, two: Item) -> Item:
        joined = sync(one, two)
        every: dict[Dot, Version] = {**one.versions, **two.versions}
        if not all(version.lww for version in every.values()):
            return joined
        winner = Item(every).winner()
        return Item({} if winner is None else {winner: every[winner]}, joined.past)

    with patch.object(keyspace, "sync", largest_stamp):
        yield


@contextmanager
def stamp_by_the_wall_clock_alone() -> Iterator[None]:
    """A write may get a stamp below what its client has seen.

    A story shows it: it takes a third write, concurrent with both, and a node that holds all three.
    """
    original = HybridClock.next

    def following(
        self: HybridClock, now: float, actor: str, above: Iterable[Timestamp]
    ) -> Timestamp:
        return original(self, now, actor, ())

    with (
        patch.object(HybridClock, "next", following),
        patch.object(HybridClock, "observe", lambda self, stamp, now: None),
    ):
        yield


@OF_A_REPLICA.shown_by("skew")
def believe_any_future() -> Iterator[None]:
    """One bad clock drags all others."""
    with patch.object(hlc, "LEAD_MS_MAX", 10**12):
        yield


# ------------------------------------------------------------------ names and disks


@OF_A_REPLICA.shown_by("wipe")
def reuse_the_actor_after_a_wipe() -> Iterator[None]:
    """The node keeps its id, though its disk is new."""

    def restore(address: str, *rest: Any) -> Replica:
        with patch.object(replica, "base64", Mock(urlsafe_b64encode=lambda raw: address.encode())):
            return replica.restore(address, *rest)

    with patch.object(world, "restore", restore):
        yield


@OF_A_REPLICA.shown_by()
def tell_before_it_is_durable() -> Iterator[None]:
    """Acks and replications leave at once, before the disk has the write."""

    def step(self: Driver, source: str, event: Event) -> None:
        effects = self.replica.step(self._timer.now(), source, event)
        if effects.peers is not None:
            self._links.know(effects.peers)
        for peer, message in effects.asks:
            self._send(peer, message, effects.epoch)
        self._answer(effects.relays)
        if effects.records:
            self._store.write(effects.records, lambda: None)
        self._release(effects)
        self._arm(effects.wake_at)

    with patch.object(Driver, "_step", step):
        yield


@contextmanager
def answer_before_it_is_durable() -> Iterator[None]:
    """A read shows what a crash may undo.

    A story shows it: the crash must come in the few milliseconds after the read.
    """
    with patch.object(Step, "reply", Step.relay):
        yield


@OF_A_REPLICA.shown_by()
def drop_log_entries_under_an_unsaved_clock() -> Iterator[None]:
    """A restart then forgets dots it has had."""

    def prune(keyspace: Keyspace) -> None:
        with patch.object(Keyspace, "save_parts", lambda space: None):
            pruning.prune(keyspace)

    with patch.object(schedule, "prune", prune):
        yield


@OF_A_REPLICA.shown_by()
def answer_below_the_level_asked() -> Iterator[None]:
    """One copy is called a quorum."""
    with patch.object(write_under_way, "enough", lambda level, copies, acks, awaited: acks >= 1):
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
    """Every content has one hash, so no node gets the items that it lacks."""
    with patch.object(ContentHashes, "of", lambda self, slots: b"the same"):
        yield


@contextmanager
def count_no_key_whose_latest_write_is_a_delete() -> Iterator[None]:
    """A value beside a delete counts only when the delete has been pruned.  A story shows it."""

    def is_live(self: Item) -> bool:
        winner = self.winner()
        return winner is not None and self.versions[winner].value is not None

    with patch.object(Item, "is_live", is_live):
        yield
