"""What a token asks of one key, in a view and by what this replica holds.

A node may show a state of a key if it covers what the reader's token needs of the key.  Where
siblings are shown, it must also cover what the shown versions depend on within the key.  (protocol
D9.2, R6.)
"""

from collections.abc import Callable

import msgspec

from node.core.membership.known_views import KnownViews
from node.core.model.actors import Actor
from node.core.model.conditions import Mode, Scope
from node.core.model.dots import Dot, DotClock, Vector, covered_by
from node.core.model.item import Item, Past
from node.core.model.keys import KeyHash, slot_of
from node.core.model.slots import Slots
from node.core.model.token import Token
from node.core.model.view import ViewId
from node.core.protocol.operations import Get
from node.core.storage.keyspace import Keyspace

Missing = dict[Actor, tuple[int, int]]  # actor -> (have, need)


class Need(msgspec.Struct):
    """What tokens ask of one key, and of the clock of its shard."""

    key_hash: KeyHash
    same_shard: Callable[[KeyHash], bool]  # of the key hash of an exact dot
    elsewhere: Callable[[Actor], bool]  # whether an actor never wrote for this key's slot
    here: Callable[[Dot, KeyHash], bool]  # whether this node has a dot of another key
    cluster_watermark: Vector
    view: ViewId
    trim: Callable[[Token], Token]  # as it leaves with an answer
    spell: Callable[[Token], Token]  # with the runs that its heads stand for
    seen: Callable[[Item, float], Past]  # what a reader of an item sees, at an instant
    now_ms: float = 0.0

    def to_show(self, get: Get, item: Item, clock: DotClock) -> Missing:
        """What a read of this filled item lacks; empty: it may be answered."""
        if get.token.view > self.view:
            return {f"view.{get.token.view}": (self.view.number, get.token.view.number)}
        missing = self.of(get.token, get.scope, item.past, clock)
        if get.mode is Mode.SIBLINGS:
            for version in item.versions.values():
                missing.update(self.of(version.deps, Scope.KEY, item.past, clock))
        return missing

    def of(self, token: Token, scope: Scope, past: Past, clock: DotClock) -> Missing:
        """The entries of a token that a key's past, or its shard's clock, does not cover."""
        missing: Missing = {}
        key, watermark = self.key_hash >> 1, self.cluster_watermark
        for dot, tag in token.exact.items():
            actor, n = dot
            if n <= covered_by(watermark, actor):
                continue
            if tag >> 1 == key:
                covered = past.has(dot)
            else:
                matters = scope is Scope.SHARD and not clock.has(dot) and self.same_shard(tag)
                covered = not matters or self.here(dot, tag) or self.elsewhere(actor)
            if not covered:
                missing[actor] = clock.base.get(actor, 0), n
        if scope is Scope.SHARD or token.binds(self.key_hash):
            for actor, n in self.spell(token).floor.items():
                have = max(past.base.get(actor, 0), covered_by(self.cluster_watermark, actor))
                if n > have and not past.retires(actor) and not self.elsewhere(actor):
                    missing[actor] = have, n
        return missing


def need_of(key_hash: KeyHash, views: KnownViews, keyspace: Keyspace) -> Need:
    """What tokens ask of the key with this key hash, in the current view."""
    view = views.view
    slot = slot_of(key_hash)
    shard = view.shard_of(slot)

    def elsewhere(actor: str) -> bool:
        slots = views.slots_of_actor(actor)
        return slots is not None and not slots >> slot & 1

    def same_shard(tag: int) -> bool:
        return view.shard_of(slot_of(tag)) is shard

    def here(dot: Dot, tag: int) -> bool:
        part = keyspace.parts.at(slot_of(tag))
        return part is not None and part.clock.has(dot)

    return Need(
        key_hash, same_shard, elsewhere, here, keyspace.watermarks.cluster, view.id, keyspace.trim,
        keyspace.runs.spelled, keyspace.names.seen, keyspace.expiry.now_ms,
    )  # fmt: skip


def missing_in(token: Token, slots: Slots, views: KnownViews, keyspace: Keyspace) -> Missing:
    """The writes in these slots that the token names and the clocks here do not cover."""
    if token.view > views.view.id:
        return {f"view.{token.view}": (views.view.number, token.view.number)}
    missing: Missing = {}
    parts = [part for part in keyspace.parts if part.slots & slots]
    for (actor, n), tag in token.exact.items():
        part = keyspace.parts.at(slot_of(tag))
        if slots >> slot_of(tag) & 1 and not (part and part.clock.has((actor, n))):
            missing[actor] = part.clock.base.get(actor, 0) if part else 0, n
    for actor, n in keyspace.runs.spelled(token).floor.items():
        wrote_in = views.slots_of_actor(actor)
        for part in parts:
            matters = wrote_in is None or wrote_in & part.slots & slots
            have = part.clock.base.get(actor, 0)
            if matters and n > have and not part.clock.drops(actor):
                missing[actor] = have, n
    watermark = keyspace.watermarks.cluster
    return {a: (have, n) for a, (have, n) in missing.items() if n > covered_by(watermark, a)}
