"""What a read needs, and what it says: the token's rules for one key, judged in one place.

A state of a key may be shown if it covers what the reader's token needs of it, and, where siblings
are shown, what the shown versions themselves depend on within the key: who sees a write also sees
what its writer had written before. (protocol D9.2, D9.3, D9.11; docs/decisions/0007.)
"""

from collections.abc import Callable
from dataclasses import dataclass

from node.core.clock import Clock, Dot, Vector
from node.core.messages import Absent, Found, Get, Mode, Outcome, Scope
from node.core.siblings import Item, Past, Version
from node.core.token import Token, same_key
from node.core.view import FIRST, Actor, Digest, ViewId

DAMAGED_HERE = "this node's own row of it is damaged and not made whole yet"
Missing = dict[Actor, tuple[int, int]]  # actor -> (have, need)


@dataclass(slots=True)
class Need:
    """What tokens ask of one key, and of the clock of its shard."""

    digest: Digest
    same_shard: Callable[[Digest], bool]  # of the digest of an exact dot
    elsewhere: Callable[[Actor], bool]  # whether an actor never wrote for this key's slot
    here: Callable[[Dot, Digest], bool]  # whether this node has a dot of another key
    stable: Vector
    view: ViewId
    trim: Callable[[Token], Token]  # as it leaves with an answer

    def to_show(self, get: Get, item: Item, clock: Clock) -> Missing:
        """What a read of this filled item lacks; empty: it may be answered."""
        if get.token.view > self.view:
            return {f"view.{get.token.view}": (self.view.number, get.token.view.number)}
        missing = self.of(get.token, get.scope, item.past, clock)
        if get.mode is Mode.SIBLINGS:
            for version in item.versions.values():
                missing.update(self.of(version.deps, Scope.KEY, item.past, clock))
        return missing

    def of(self, token: Token, scope: Scope, past: Past, clock: Clock) -> Missing:
        """The entries of a token that a key's past, or its shard's clock, does not cover."""
        missing: Missing = {}
        key, stable = self.digest >> 1, self.stable
        for dot, tag in token.exact.items():
            actor, n = dot
            if n <= stable.get(actor, 0):
                continue
            if tag >> 1 == key:
                covered = past.has(dot)
            else:
                matters = scope is Scope.SHARD and not clock.has(dot) and self.same_shard(tag)
                covered = not matters or self.here(dot, tag) or self.elsewhere(actor)
            if not covered:
                missing[actor] = clock.base.get(actor, 0), n
        if scope is Scope.SHARD or token.binds(self.digest):
            for actor, n in token.floor.items():
                have = max(past.base.get(actor, 0), self.stable.get(actor, 0))
                if n > have and not past.retires(actor) and not self.elsewhere(actor):
                    missing[actor] = have, n
        return missing


def answer(get: Get, need: Need, item: Item, served_by: str) -> Outcome:
    """The outcome of a read whose token is covered."""
    token = token_after_read(get.token, need, item)
    shown = shown_versions(get.mode, item)
    dots = tuple(item.versions)
    context = item.past if get.mode is Mode.SIBLINGS else Past()
    if not shown:
        return Absent(dots, token, context, served_by)
    order = sorted(shown, key=lambda dot: (shown[dot].stamp, dot), reverse=True)
    values = tuple(shown[dot].value or b"" for dot in order)
    clocks: tuple[Vector, ...] = ()
    if get.mode is Mode.SIBLINGS:
        known = item.clocks()
        clocks = tuple(known[dot] for dot in order)
    return Found(values, tuple(order), dots, token, context, served_by, clocks)


def token_after_read(token: Token, need: Need, item: Item) -> Token:
    """What a reader of this item depends on (rule 3): all versions held, shown or not, and all that
    their writers depended on, instead of what it depended on of the key before."""
    if not token and len(item.versions) == 1:
        ((dot, version),) = item.versions.items()
        if not version.deps:
            is_stable = dot[1] <= need.stable.get(dot[0], 0)
            exact = {} if is_stable else {dot: need.digest}
            stamp = max(token.stamp, version.stamp, version.deps.stamp)
            alone = Token({}, exact, b"", stamp, token.view)
            return alone if need.view <= FIRST else need.trim(alone)
    mine = {d: tag for d, tag in token.exact.items() if not same_key(tag, need.digest)}
    joined = Token(token.floor, mine, token.keys, token.stamp, token.view)
    stamp = token.stamp
    for version in item.versions.values():
        joined = joined.joined(version.deps)
        stamp = max(stamp, version.stamp)
    exact = {
        d: tag
        for d, tag in joined.exact.items()
        if not (same_key(tag, need.digest) and item.past.has(d))
    }
    exact.update(dict.fromkeys(item.versions, need.digest))
    stamp = max(stamp, joined.stamp)
    return need.trim(Token(joined.floor, exact, joined.keys, stamp, joined.view))


def shown_versions(mode: Mode, item: Item) -> dict[tuple[Actor, int], Version]:
    """All siblings; in lww mode the winner, if it has a value."""
    if mode is Mode.SIBLINGS:
        return item.shown()
    live, winner = item.live(), item.winner()
    return {winner: live[winner]} if winner in live else {}
