"""Writes that have come before their past: durable, acknowledged and counted, but not yet shown.

A version that depends on a write of this shard which is not here is *early*.  Who reads its key
without a token is shown the key as it was before, until that past is here, and for `hold_s` at the
longest; a token that names the early write overrides that.  Nobody is told when a hold ends: it is
judged when somebody looks, by the same `Need` as reads.  It is in memory only, so what is held
changes nothing that is promised of the store.  (docs/decisions/0018.)
"""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import islice

from node.core.clock import Clock, Dot, Vector
from node.core.judging import Missing
from node.core.keyspace import Keyspace, key_of, row_of
from node.core.messages import Early, Look, Looked, Scope
from node.core.moving import Moving
from node.core.siblings import Item, Past, sync
from node.core.token import ALL_KEYS, EXACT_MAX, Token
from node.core.turn import Turn
from node.core.view import actor_of, digest_of
from node.core.walk import rows_within

HELD_MAX = 1000  # keys; one more, and the oldest is shown
EARLY_SHOWN_MAX = 100  # writes in the answer to a look
PAGE_ROWS = 128
TICK_S = 0.1
NEVER = float("inf")


@dataclass(slots=True)
class Held:
    """A key with early versions: what is shown of it, until when, and what each of them depends
    on.  The first one counts for the time: a key that is written all the while is shown, too."""

    shown: Item
    until: float
    early: dict[Dot, Token]


class Holding:
    """What is held here; `hold_s` 0: nothing ever is."""

    def __init__(self, moving: Moving, keyspace: Keyspace, turn: Turn, hold_s: float) -> None:
        self._moving, self._keyspace, self._turn = moving, keyspace, turn
        self._hold_s = hold_s
        self._held: dict[str, Held] = {}  # the oldest first
        self._next_ask = self.next_tick = NEVER
        if hold_s:
            keyspace.on_change = self.on_change

    def __len__(self) -> int:
        return len(self._held)

    # ---- what comes
    def on_change(self, key: str, before: Item, came: Item) -> None:
        """A key has changed here: by a write that was named, or by what another replica sent."""
        held = self._held.get(key)
        if held is not None and self._is_over(key, held, before):
            del self._held[key]
            held = None
        early = {
            dot: version.deps
            for dot, version in came.versions.items()
            if version.deps
            and not (dot in before.versions or before.past.has(dot))
            and self._missing(key, version.deps, came.past)
        }
        if early and held is None:
            held = self._hold(key, before)
        if held is not None:
            held.early.update(early)
            held.shown = sync(held.shown, _without(came, held.early))

    def _hold(self, key: str, shown: Item) -> Held:
        now = self._turn.now
        if not self._held:
            self._next_ask, self.next_tick = now + self._hold_s / 3, now + TICK_S
        elif len(self._held) >= HELD_MAX:
            del self._held[next(iter(self._held))]
        self._held[key] = held = Held(shown, now + self._hold_s, {})
        return held

    def _missing(self, key: str, deps: Token, past: Past) -> Missing:
        """What a version depends on in this shard and is not here.  A floor is asked of our clock
        alone: the past of an item speaks of its own key."""
        need, clock = self._moving.need_of(digest_of(key, True)), self._keyspace.clock_of(key)
        own = {dot for dot in deps.dots_of(need.digest) if past.has(dot)}
        return need.of(deps, Scope.SHARD, Past(clock.base, own, clock.floor), clock)

    def _is_over(self, key: str, held: Held, item: Item) -> bool:
        """Whether the key is shown as it is: in time, or because nothing of it is early now."""
        return self._turn.now >= held.until or not any(
            dot in item.versions and self._missing(key, deps, item.past)
            for dot, deps in held.early.items()
        )

    def tick(self, ask: Callable[[], None]) -> None:
        """Let go what has been held for long enough, and ask the fellows what they have: usually
        one of them has what is waited for."""
        now = self._turn.now
        if now < self.next_tick:
            return
        for key in [key for key, held in self._held.items() if now >= held.until]:
            del self._held[key]
        if self._held and now >= self._next_ask:
            self._let_go()
            self._next_ask = now + self._hold_s / 3
            if self._held:
                ask()
        self.next_tick = now + TICK_S if self._held else NEVER

    def _let_go(self) -> None:
        """Look at all that is held."""
        for key in list(self._held):
            self.shown(key)

    # ---- what is shown
    def shown(self, key: str) -> Item | None:
        """What is shown of a key, filled, to who reads it without a token; None: what there is."""
        held = self._held.get(key)
        if held is None:
            return None
        if self._is_over(key, held, self._keyspace.filled(key)):
            del self._held[key]
            return None
        return held.shown

    def seen(self, key: str) -> Token:
        """All that this node shows of the shard of a key: what a write without a token depends on.
        What cannot be named beside what is held is named with it: that only makes others wait."""
        clock, early = self._keyspace.clock_of(key), self._early_dots()
        floor = self._below(clock, early)
        exact = self._beside(clock, floor, early)
        if exact is None:
            floor = dict(clock.base)
            exact = self._beside(clock, floor, early) or {}
        return Token(floor, exact, ALL_KEYS if floor else b"")

    def _beside(self, clock: Clock, floor: Vector, early: set[Dot]) -> dict[Dot, int] | None:
        """The dots above these floors that are not held; None when a token cannot name them."""
        above = clock.missing_from(Clock(dict(floor), floor=clock.floor))
        dots = [dot for dot in islice(above, EXACT_MAX + len(early) + 1) if dot not in early]
        names = {dot: self._keyspace.log.key_of(dot) for dot in dots}
        if len(names) > EXACT_MAX or None in names.values():
            return None
        return {dot: digest_of(name, True) for dot, name in names.items() if name is not None}

    def _early_dots(self) -> set[Dot]:
        return {dot for held in self._held.values() for dot in held.early}

    def _below(self, clock: Clock, early: set[Dot]) -> Vector:
        """How far all writes of each actor are shown."""
        lowest: Vector = {}
        for actor, n in early:
            lowest[actor] = min(n, lowest.get(actor, n))
        shown = {actor: min(n, lowest.get(actor, n + 1) - 1) for actor, n in clock.base.items()}
        return {actor: n for actor, n in shown.items() if n}

    # ---- looking
    def look(self, request: int, look: Look) -> None:
        """A page of what is shown, how far it goes, and what is held."""
        self._let_go()
        clock = self._below(self._keyspace.clock, self._early_dots())
        items, after = self._page(look.after, look.limit)
        early = list(islice(self._early(), EARLY_SHOWN_MAX))
        self._turn.reply(request, Looked(self._actors(), clock, items, after, early))

    def _actors(self) -> dict[str, str]:
        """Under which name each member of our shard writes in this view, as far as we know."""
        view, lives = self._moving.view, self._moving.lives
        shard = view.shard_with(self._moving.address)
        ids = {node: lives.current(node) for node in shard.members} if shard else {}
        return {actor_of(view.id, node_id): node for node, node_id in ids.items() if node_id}

    def _page(self, after: str | None, limit: int) -> tuple[dict[str, bytes], str | None]:
        """So many keys with the values that are shown, in the order of their rows, and the key
        after which there may be more."""
        items: dict[str, bytes] = {}
        rows, owned = self._keyspace.rows, self._keyspace.parts.owned_slots
        row = None if after is None else row_of(after)
        while len(items) < limit:
            found = rows_within(rows, owned, row, min(PAGE_ROWS, limit - len(items)))
            if not found:
                return items, None
            for row, _ in found:
                key = key_of(row)
                item = self.shown(key) or self._keyspace.item(key)
                winner = item.winner()
                value = item.versions[winner].value if winner is not None else None
                if value is not None:
                    items[key] = value
        return items, key_of(row) if row is not None else None

    def _early(self) -> Iterator[Early]:
        for key, held in self._held.items():
            item = self._keyspace.filled(key)
            for dot, deps in held.early.items():
                if dot in item.versions:
                    missing = self._missing(key, deps, item.past)
                    yield Early(key, item.versions[dot].value, dot, deps, missing)


def _without(item: Item, early: Container[Dot]) -> Item:
    """What may be shown of an item.  Beside an early version nobody can tell which of them has
    replaced what was there; the stamps show the last one."""
    rest = {dot: version for dot, version in item.versions.items() if dot not in early}
    return item if len(rest) == len(item.versions) else Item(rest, Past({}, set(rest)))
