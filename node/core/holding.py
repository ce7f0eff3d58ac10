"""Writes that have come before their past: durable, acknowledged and counted, but not yet shown.

A version that depends on a write of this shard which is not shown here is *early*.  Who reads its
key without a token is shown the key as it was before, until that past is here, and for `hold_s` at
the longest; a token that names what is hidden overrides that.  So what is hidden must stay in
tokens: it is withheld from the clocks that the others are told, for what everybody has is dropped
from tokens.  Nobody is told when a hold ends: it is judged when somebody looks, by the same `Need`
as reads.  It is in memory only.  (docs/decisions/0019.)
"""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from node.core.clock import Clock, Dot, Vector
from node.core.effects import Damaged
from node.core.judging import DAMAGED_HERE, Missing
from node.core.keyspace import Keyspace
from node.core.messages import Early, Look, Looked, Scope, Unavailable
from node.core.moving import Moving
from node.core.siblings import Item, Past, sync
from node.core.token import ALL_KEYS, EXACT_MAX, Token
from node.core.turn import Turn
from node.core.view import actor_of, digest_of
from node.core.walk import key_of, row_of

HELD_MAX = 500  # keys; one more, and the oldest is shown
EARLY_SHOWN_MAX = 100  # writes in the answer to a look
PAGE_ROWS = 128
TICK_S = 0.1
JUDGED_S = 0.05  # unless something has come, what is held is not judged again for so long
NEVER = float("inf")


@dataclass(slots=True)
class Held:
    """A key with early versions: what is shown of it, until when, what each of them depends on,
    and the dots of the key that are not in what is shown.  The first early version counts for the
    time: a key that is written all the while is shown, too."""

    shown: Item
    until: float
    early: dict[Dot, Token] = field(default_factory=dict)
    hidden: set[Dot] = field(default_factory=set)


class Holding:
    """What is held here; `hold_s` 0: nothing ever is."""

    def __init__(self, moving: Moving, keyspace: Keyspace, turn: Turn, hold_s: float) -> None:
        self._moving, self._keyspace, self._turn = moving, keyspace, turn
        self._hold_s, self.is_on = hold_s, hold_s > 0
        self._held: dict[str, Held] = {}  # the oldest first
        self._withheld = keyspace.parts.withheld  # by whose key they are
        self._judged = self._next_ask = self.next_tick = NEVER
        if hold_s:
            keyspace.on_change = self.on_change

    def __len__(self) -> int:
        return len(self._held)

    # ---- what comes
    def on_change(
        self, key: str, before: Item, came: Item, dots: Iterable[Dot], is_ours: bool = False
    ) -> None:
        """A key has changed here: by a write that was named, or by what another replica sent; these
        dots of it are known from now on.  `is_ours`: what it depends on is what is shown here."""
        held = self._held.get(key)
        if held is not None and self._turn.now >= held.until:
            self._show(key)
            held = None
        early = {} if is_ours else self._early_in(key, held.shown if held else before, came)
        if held is None and early:
            held = self._hold(key, before)
        self._judged = -NEVER
        if held is None:
            return
        held.early.update(early)
        held.shown = sync(held.shown, _without(came, held.early))
        held.hidden = {d for d in held.hidden.union(dots) if not held.shown.past.has(d)}
        for dot in [dot for dot, name in self._withheld.items() if name == key]:
            del self._withheld[dot]
        self._withheld.update(dict.fromkeys(held.hidden, key))

    def _early_in(self, key: str, known: Item, came: Item) -> dict[Dot, Token]:
        """The versions that are new, and early; with what they depend on."""
        return {
            dot: version.deps
            for dot, version in came.versions.items()
            if version.deps
            and not (dot in known.versions or known.past.has(dot))
            and (
                self._missing(key, version.deps, came.past)
                or self._waits_for(key, version.deps, self._held)
            )
        }

    def _hold(self, key: str, shown: Item) -> Held:
        now = self._turn.now
        if not self._held:
            self._next_ask, self.next_tick = now + self._hold_s / 3, now + TICK_S
        elif len(self._held) >= HELD_MAX:
            self._show(next(iter(self._held)))
        self._held[key] = held = Held(shown, now + self._hold_s)
        return held

    def _show(self, key: str) -> None:
        for dot in self._held.pop(key).hidden:
            self._withheld.pop(dot, None)

    # ---- what is early
    def _missing(self, key: str, deps: Token, past: Past) -> Missing:
        """What a version depends on in this shard and is not here.  A floor is asked of our clock
        alone: the past of an item speaks of its own key."""
        need, clock = self._moving.need_of(digest_of(key, True)), self._keyspace.clock_of(key)
        own = {dot for dot in deps.dots_of(need.digest) if past.has(dot)}
        return need.of(deps, Scope.SHARD, Past(clock.base, own, clock.floor), clock)

    def _waits_for(self, key: str, deps: Token, others: Container[str]) -> bool:
        """Whether it depends on what is here and hidden, of these other keys."""
        return any(
            other != key and other in others
            for dot, other in self._withheld.items()
            if dot in deps.exact or dot[1] <= deps.floor.get(dot[0], 0)
        )

    def _judge(self) -> None:
        """Let go what has been held for long enough, and all that is early no more: whose past is
        here, and hidden at most by what is let go with it."""
        now = self._turn.now
        for key in [key for key, held in self._held.items() if now >= held.until]:
            self._show(key)
        if not self._withheld:  # or it has been given up: a whole clock has come
            self._held.clear()
        if 0 <= now - self._judged < JUDGED_S:
            return
        self._judged = now
        waiting: dict[str, dict[Dot, Token]] = {}
        stuck: set[str] = set()
        for key, held in self._held.items():
            item = self._filled(key)
            waiting[key] = {dot: t for dot, t in held.early.items() if dot in item.versions}
            if any(self._missing(key, deps, item.past) for deps in waiting[key].values()):
                stuck.add(key)
        more = stuck
        while more:
            more = {
                key
                for key in self._held
                if key not in stuck
                and any(self._waits_for(key, deps, stuck) for deps in waiting[key].values())
            }
            stuck |= more
        for key in [key for key in self._held if key not in stuck]:
            self._show(key)

    def _filled(self, key: str) -> Item:
        """What there is of a key; nothing that is early, where its row cannot be read."""
        try:
            return self._keyspace.filled(key)
        except Damaged as found:
            self._turn.suspect(found)
            return Item()

    def tick(self, ask: Callable[[], None]) -> None:
        """See what is still held, and ask the fellows what they have: usually one of them has what
        is waited for."""
        now = self._turn.now
        if now < self.next_tick:
            return
        self._judge()
        if self._held and now >= self._next_ask:
            self._next_ask = now + self._hold_s / 3
            ask()
        self.next_tick = now + TICK_S if self._held else NEVER

    # ---- what is shown
    def shown(self, key: str) -> Item | None:
        """What is shown of a key, filled, to who reads it without a token; None: what there is."""
        if key in self._held:
            self._judge()
        held = self._held.get(key)
        return held.shown if held is not None else None

    def seen(self, key: str) -> Token:
        """All that this node shows of the shard of a key: what a write without a token depends on.
        What cannot be named beside what is hidden is named with it: that only makes others wait."""
        clock = self._keyspace.clock_of(key)
        floor = self._shown_of(clock)
        exact = self._beside(clock, floor)
        if exact is None:
            floor = dict(clock.base)
            exact = self._beside(clock, floor) or {}
        return Token(floor, exact, ALL_KEYS if floor else b"")

    def _beside(self, clock: Clock, floor: Vector) -> dict[Dot, int] | None:
        """The dots above these floors that are not hidden; None when a token cannot name them."""
        above = clock.missing_from(Clock(dict(floor), floor=clock.floor))
        first = islice(above, EXACT_MAX + len(self._withheld) + 1)
        names = {dot: self._keyspace.log.key_of(dot) for dot in first if dot not in self._withheld}
        if len(names) > EXACT_MAX or None in names.values():
            return None
        return {dot: digest_of(name, True) for dot, name in names.items() if name is not None}

    def _shown_of(self, clock: Clock) -> Vector:
        """How far all writes of each actor are shown."""
        return {actor: n for actor, n in self._keyspace.parts.told(clock).base.items() if n}

    # ---- looking
    def look(self, request: int, look: Look) -> None:
        """A page of what is shown, how far it goes, and what is held."""
        self._judge()
        clock = self._shown_of(self._keyspace.clock)
        try:
            items, after = self._page(look.after, look.limit)
        except Damaged as found:
            self._turn.suspect(found)
            self._turn.reply(request, Unavailable(f"of some key: {DAMAGED_HERE}", definite=True))
            return
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
        owned = self._keyspace.parts.owned_slots
        row = None if after is None else row_of(after)
        while len(items) < limit:
            found = self._keyspace.rows_of(owned, row, min(PAGE_ROWS, limit - len(items)))
            if not found:
                return items, None
            for row, _ in found:
                key = key_of(row)
                item = self._held[key].shown if key in self._held else self._keyspace.item(key)
                winner = item.winner()
                value = item.versions[winner].value if winner is not None else None
                if value is not None:
                    items[key] = value
        return items, key_of(row) if row is not None else None

    def _early(self) -> Iterator[Early]:
        for key, held in self._held.items():
            item = self._filled(key)
            for dot, deps in held.early.items():
                if dot in item.versions:
                    missing = self._missing(key, deps, item.past)
                    yield Early(key, item.versions[dot].value, dot, deps, missing)


def _without(item: Item, early: Container[Dot]) -> Item:
    """What may be shown of an item.  Beside an early version nobody can tell which of them has
    replaced what was there; the stamps show the last one."""
    rest = {dot: version for dot, version in item.versions.items() if dot not in early}
    return item if len(rest) == len(item.versions) else Item(rest, Past({}, set(rest)))
