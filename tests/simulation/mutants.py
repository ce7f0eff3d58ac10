"""Rules of the core, each broken on purpose in one place: the simulator must notice every one.

A mutant is a context manager that replaces one small function of the product while it is open.
Each comes from a failure seen in the field or in a model.  (protocol D14; reliability D9.)
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from cluster import simulation
from cluster.faults import Swarm
from node.core import exchange, hybrid, judging, keyspace, upkeep, waiting
from node.core.clock import Clock, Dot, Vector
from node.core.hybrid import HybridClock, Stamp
from node.core.judging import Need
from node.core.keyspace import Keyspace, Rows, Written
from node.core.messages import Accept, Event, Page, Put, Replicate
from node.core.repair import Repair
from node.core.replica import Options, Replica
from node.core.siblings import Item, Past, Version, fill, sync
from node.core.token import Token
from node.core.upkeep import Upkeep
from node.core.view import View
from node.driver import Driver

Mutant = Callable[[], AbstractContextManager[None]]
MUTANTS: dict[str, tuple[Mutant, Callable[[Swarm], bool]]] = {}


def mutant(*faults: str, deletes: float = 0.0) -> Callable[[Callable[[], Iterator[None]]], Mutant]:
    """Register a break, and what a run must have so that it can show."""

    def can_show(swarm: Swarm) -> bool:
        return set(faults) <= set(swarm.faults) and swarm.deletes >= deletes

    def register(broken: Callable[[], Iterator[None]]) -> Mutant:
        opened = contextmanager(broken)
        MUTANTS[broken.__name__] = opened, can_show
        return opened

    return register


# ------------------------------------------------------------------ clocks and items


@mutant()
def fill_with_the_new_clock() -> Iterator[None]:
    """The replica believes it has seen, and dropped, what is just arriving."""

    def take(self: Keyspace, key: str, incoming: Item, dots: Iterable[Dot], now: float) -> None:
        for dot in (*incoming.versions, *dots):
            self.note(dot, key)
        self._save(key, sync(self.filled(key), incoming))

    with patch.object(Keyspace, "take", take):
        yield


@mutant()
def add_the_whole_past_to_the_clock() -> Iterator[None]:
    """The item's past names unrelated writes, too."""
    original = Keyspace.take

    def take(self: Keyspace, key: str, incoming: Item, dots: Iterable[Dot], now: float) -> None:
        original(self, key, incoming, dots, now)
        self.join(Clock(dict(incoming.past.base)))

    with patch.object(Keyspace, "take", take):
        yield


@mutant()
def collapse_siblings_to_the_newest() -> Iterator[None]:
    """Last writer wins where every concurrent value was promised."""

    def newest(one: Item, two: Item) -> Item:
        joined = sync(one, two)
        winner = joined.winner()
        kept = {} if winner is None else {winner: joined.versions[winner]}
        return Item(kept, joined.past)

    with patch.object(keyspace, "sync", newest):
        yield


@mutant("late", deletes=0.1)
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


@mutant("skew")
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


@mutant("skew")
def believe_any_future() -> Iterator[None]:
    """One bad clock drags all others."""
    with patch.object(hybrid, "LEAD_MS_MAX", 10**12):
        yield


# ------------------------------------------------------------------ names and disks


@mutant("wipe")
def reuse_the_actor_after_a_wipe() -> Iterator[None]:
    """The node keeps its id, though its disk is new."""

    def restore(address: str, view: View, rows: Rows, options: Options, chance: Random) -> Replica:
        return Replica(address, view, rows, f"the node at {address}", options, chance)

    with patch.object(simulation, "restore", restore):
        yield


@mutant()
def tell_before_it_is_durable() -> Iterator[None]:
    """Acks and replications leave at once."""

    def step(self: Driver, source: str, event: Event) -> None:
        effects = self.replica.step(self._clock.now(), source, event)
        for peer, message in effects.asks:
            self._send(peer, message)
        if effects.records:
            self._store.write(effects.records, lambda: None)
        self._release(effects)
        self._arm(effects.wake_at)

    with patch.object(Driver, "_step", step):
        yield


@mutant()
def drop_log_entries_under_an_unsaved_clock() -> Iterator[None]:
    """A restart then forgets dots it has had."""

    def settle(self: Upkeep) -> None:
        self._keyspace.log.drop_below(self._keyspace.low)
        self._keyspace.settle(upkeep.SETTLED_AT_ONCE_MAX)

    with patch.object(Upkeep, "_settle", settle):
        yield


@mutant()
def answer_below_the_level_asked() -> Iterator[None]:
    """One copy is called a quorum."""
    with patch.object(waiting, "enough", lambda level, copies, acks, awaited: acks >= 1):
        yield


@mutant("duplication")
def coordinate_a_doubled_accept_twice() -> Iterator[None]:
    """The home forgets at once which requests it has named."""
    original = Replica.on_accept

    def on_accept(self: Replica, source: str, accept: Accept) -> None:
        self._accepted.clear()
        original(self, source, accept)

    with _handling("on_accept", on_accept):
        yield


def _handling(name: str, handler: Callable[..., None]) -> AbstractContextManager[object]:
    return patch.object(Replica, name, handler)


# ------------------------------------------------------------------ repair


@mutant()
def pull_stripped_objects() -> Iterator[None]:
    """Pages are not filled with the sender's snapshot."""
    with patch.object(exchange, "fill", lambda item, clock: item):
        yield


@mutant()
def strip_with_the_senders_clock() -> Iterator[None]:
    """Stripped by one clock, filled by another."""

    def absorb(space: Keyspace, page: Page, now: float) -> None:
        mine = space.clock.copy()
        with patch.object(exchange, "fill", lambda item, clock: fill(item, mine)):
            original(space, page, now)

    original = exchange.absorb
    with patch.object(upkeep, "absorb", absorb):
        yield


@mutant()
def join_the_clock_with_the_first_page() -> Iterator[None]:
    """Of a full exchange, the rest is then believed to be here."""
    original = exchange.absorb

    def absorb(space: Keyspace, page: Page, now: float) -> None:
        original(space, page, now)
        if page.full:
            space.join(page.snapshot)

    with patch.object(upkeep, "absorb", absorb):
        yield


@mutant("wipe", deletes=0.1)
def leave_absent_keys_out_of_a_full_exchange() -> Iterator[None]:
    """A delete that nobody remembers does not travel."""
    with patch.object(exchange, "absent_keys", lambda space, page: []):
        yield


@mutant()
def prune_at_a_majority() -> Iterator[None]:
    """What most members have is taken for what all have."""

    def low(self: Repair, mine: Clock) -> Vector:
        rows = [mine.base, *(row.clock.base for row in self.rows.values())]
        middle = (len(rows) - 1) // 2
        return {
            actor: sorted((row.get(actor, 0) for row in rows), reverse=True)[middle]
            for actor in mine.base
        }

    with patch.object(Repair, "low", low):
        yield


@mutant("wipe")
def answer_at_once_after_a_wipe() -> Iterator[None]:
    """An empty disk is taken for an empty shard."""
    with patch.object(Upkeep, "arrived", property(lambda self: True)):
        yield


@mutant("wipe", "late")
def take_messages_of_lives_that_ended() -> Iterator[None]:
    """Gaps were closed behind a fence that is not there."""

    def on_replicate(self: Replica, source: str, message: Replicate) -> None:
        ended, self.upkeep.ended = self.upkeep.ended, {}
        original(self, source, message)
        self.upkeep.ended = ended

    original = Replica.on_replicate
    with _handling("on_replicate", on_replicate):
        yield


@mutant(deletes=0.1)
def erase_delete_marks_at_once() -> Iterator[None]:
    """The absence that a reader sees is then explained by nothing."""

    def is_done(self: Keyspace, dot: Dot, mark: Version) -> bool:
        return self.clock.has(dot)

    with patch.object(Keyspace, "_is_done", is_done):
        yield


# ------------------------------------------------------------------ tokens and contexts


@mutant()
def answer_a_write_with_the_whole_clock() -> Iterator[None]:
    """The context then claims siblings that the client has never seen."""
    original = Keyspace.write

    def write(self: Keyspace, put: Put, now: float) -> Written:
        return original(self, put, now)._replace(context=Past(dict(self.clock.base)))

    with patch.object(Keyspace, "write", write):
        yield


@mutant()
def store_no_dependencies() -> Iterator[None]:
    """Whoever reads the write does not learn what its writer had seen."""
    with patch.object(Keyspace, "stored_deps", lambda self, token: Token()):
        yield


@mutant()
def hand_out_no_dependencies() -> Iterator[None]:
    """They are stored, and not told."""
    original = judging.token_after_read

    def forgetful(token: Token, need: Need, item: Item) -> Token:
        bare = {
            dot: Version(version.value, Token(), version.stamp, version.lww)
            for dot, version in item.versions.items()
        }
        return original(token, need, Item(bare, item.past))

    with patch.object(judging, "token_after_read", forgetful):
        yield


@mutant(deletes=0.1)
def leave_deletes_out_of_the_token() -> Iterator[None]:
    """Only what is shown counts as seen."""
    original = judging.token_after_read

    def forgetful(token: Token, need: Need, item: Item) -> Token:
        return original(token, need, Item(item.live(), item.past))

    with patch.object(judging, "token_after_read", forgetful):
        yield


@mutant()
def leave_its_own_dot_out_of_a_writes_token() -> Iterator[None]:
    """A client does not depend on what it has just written."""
    original = Token.after_write

    def after_write(self: Token, digest: int, dot: Dot, stamp: Stamp, replaced: Vector) -> Token:
        token = original(self, digest, dot, stamp, replaced)
        del token.exact[dot]
        return token

    with patch.object(Token, "after_write", after_write):
        yield


@mutant()
def ignore_the_token_on_reads() -> Iterator[None]:
    """Whatever is here is shown."""
    with patch.object(Need, "of", lambda self, token, scope, past, clock: {}):
        yield


@mutant()
def ignore_the_floors_of_a_token() -> Iterator[None]:
    """Only exact dots are waited for."""
    original = Need.of

    def of(self: Need, token: Token, *rest: Any) -> judging.Missing:
        return original(self, Token({}, token.exact, b"", token.stamp), *rest)

    with patch.object(Need, "of", of):
        yield


@mutant()
def replace_what_the_client_has_not_seen() -> Iterator[None]:
    """A write with a context discards all that its home holds."""
    with patch.object(keyspace, "discard", lambda item, context: Item({}, item.past)):
        yield
