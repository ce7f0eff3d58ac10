"""The delivery buffer: hides versions that arrive before the writes on which they depend.

A version is *early* while it depends on a write of this shard that the node does not show.  The
node has it on disk, acknowledges it and counts it.  A read without a token is shown the key as it
was before, until the past has arrived, and for `hold_s` at the longest.  A read whose token names a
hidden write is shown that write.  So tokens must keep the names of hidden writes: the node leaves
these out of the clocks that it tells its peers, because tokens drop what all members have.  No
event ends a hold: the node judges it when a client reads the key and with each tick, by the same
`Need` as reads.  The buffer is in memory only.  (docs/decisions/0019.)

Example: n1 writes x as (n1, 1).  n2 has read x and writes y as (n2, 1), then z as (n2, 2), which
depends on y.  The writes come to n3 in the opposite order:

    z comes  it depends on (n2, 1), which is not here: n3 holds z and hides (n2, 2)
    y comes  it depends on (n1, 1), which is not here: n3 holds y and hides (n2, 1)
    judging  y lacks (n1, 1): y is stuck.  z lacks nothing, but it waits for (n2, 1), which is
             hidden with y: z is stuck, too.  No other key waits for these two: the search ends
    x comes  it depends on nothing, so it is shown
    judging  y lacks nothing, and neither y nor z waits for a stuck key: both are shown at once

Keys that wait only for each other do not block each other: only a key that lacks a write is stuck
at first, and the search adds only keys that wait for a stuck one.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice

import msgspec

from node.core.membership.services import Services
from node.core.model.actors import Actor, actor_of, incarnation_of
from node.core.model.conditions import Mode, Scope
from node.core.model.dots import Dot, DotClock, Vector
from node.core.model.item import Item, Past, sync
from node.core.model.keys import is_plain, key_hash_of, key_of, row_of
from node.core.model.options import Options
from node.core.model.token import ALL_KEYS, EXACT_MAX, Token
from node.core.protocol.effects import Damaged
from node.core.protocol.operations import Early, Look, Looked
from node.core.requests.coverage import Missing, need_of
from node.core.requests.read_answer import shown_versions

EARLY_SHOWN_MAX = 100  # writes in the answer to a look
PAGE_ROWS = 128
TICK_S = 0.1
JUDGED_S = 0.05  # unless something has come, what is held is not judged again for so long
NEVER = float("inf")


class Undelivered(msgspec.Struct):
    """A key with early versions: the item that readers see, until when, what each early version
    depends on, and the dots of the key that the shown item lacks.  The time runs from the first
    early version, so a key with a steady stream of writes is shown, too."""

    shown: Item
    until: float
    early: dict[Dot, Token] = msgspec.field(default_factory=dict)
    hidden: set[Dot] = msgspec.field(default_factory=set)


class DeliveryBuffer:
    """The keys that this node holds back; with `hold_s` 0 it holds none."""

    def __init__(self, services: Services, options: Options) -> None:
        self._views, self._keyspace, self._step = services.views, services.store, services.step
        self._hold_s, self._held_max = options.hold_s, options.held_keys_max
        self.is_on = self._hold_s > 0
        self._undelivered: dict[str, Undelivered] = {}  # the oldest first
        self._withheld = self._keyspace.parts.withheld  # by whose key they are
        self._judged = self._next_ask = self.next_tick = NEVER
        if self.is_on:
            self._keyspace.tell_of_changes(self.on_change)

    def __len__(self) -> int:
        return len(self._undelivered)

    # ---- what comes
    def on_change(
        self, key: str, before: Item, came: Item, dots: Iterable[Dot], is_ours: bool = False
    ) -> None:
        """Take note that a key has changed, by a write that this node named or by what another
        replica sent.  From now on the node knows these `dots` of the key.  `is_ours`: the write
        depends on what this node shows, so it is not early."""
        entry = self._undelivered.get(key)
        if entry is not None and self._step.now >= entry.until:
            self._show(key)
            entry = None
        early = {} if is_ours else self._early_in(key, entry.shown if entry else before, came)
        if entry is None and early:
            entry = self._hold(key, before)
        self._judged = -NEVER
        if entry is None:
            return
        entry.early.update(early)
        entry.shown = sync(entry.shown, _without(came, entry.early))
        entry.hidden = {d for d in entry.hidden.union(dots) if not entry.shown.past.has(d)}
        self._keyspace.parts.withhold(key, entry.hidden)

    def _early_in(self, key: str, known: Item, came: Item) -> dict[Dot, Token]:
        """The versions that are new and early, each with what it depends on."""
        return {
            dot: version.deps
            for dot, version in came.versions.items()
            if version.deps
            and not (dot in known.versions or known.past.has(dot))
            and (
                self._missing(key, version.deps, came.past)
                or self._waits_for(key, version.deps, self._undelivered)
            )
        }

    def _hold(self, key: str, shown: Item) -> Undelivered:
        now = self._step.now
        if not self._undelivered:
            self._next_ask, self.next_tick = now + self._hold_s / 3, now + TICK_S
        elif len(self._undelivered) >= self._held_max:
            self._show(next(iter(self._undelivered)))
        self._undelivered[key] = entry = Undelivered(shown, now + self._hold_s)
        return entry

    def _show(self, key: str) -> None:
        self._keyspace.parts.show(self._undelivered.pop(key).hidden)

    # ---- what is early
    def _missing(self, key: str, deps: Token, past: Past) -> Missing:
        """The writes of this shard on which a version depends and which this node lacks.  Only the
        clock can cover a floor, because an item's past speaks of its own key alone."""
        need, clock = (
            need_of(key_hash_of(key, True), self._views, self._keyspace),
            self._keyspace.clock_of(key),
        )
        own = {dot for dot in deps.dots_of(need.key_hash) if past.has(dot)}
        return need.of(deps, Scope.SHARD, Past(clock.base, own, clock.oldest_view), clock)

    def _waits_for(self, key: str, deps: Token, others: Container[str]) -> bool:
        """Whether a version depends on a write that this node has, and hides, at one of these other
        keys."""
        return any(
            other != key and other in others
            for dot, other in self._withheld.items()
            if dot in deps.exact or dot[1] <= deps.floor.get(dot[0], 0)
        )

    def _judge(self) -> None:
        """Show the keys whose time is over, and the keys whose early versions have all of their
        past: here, and hidden at most by a key that is shown with them (see the example above)."""
        now = self._step.now
        for key in [key for key, entry in self._undelivered.items() if now >= entry.until]:
            self._show(key)
        if not self._withheld:  # a peer's whole clock covers all, or old rows went
            self._undelivered.clear()
        if 0 <= now - self._judged < JUDGED_S:
            return
        self._judged = now
        waiting: dict[str, dict[Dot, Token]] = {}
        stuck: set[str] = set()
        for key, entry in self._undelivered.items():
            if not is_plain(key):
                continue
            item = self._filled(key)
            waiting[key] = {dot: t for dot, t in entry.early.items() if dot in item.versions}
            if any(self._missing(key, deps, item.past) for deps in waiting[key].values()):
                stuck.add(key)
        more = stuck
        while more:
            more = {
                key
                for key in self._undelivered
                if key not in stuck
                and any(self._waits_for(key, deps, stuck) for deps in waiting[key].values())
            }
            stuck |= more
        for key in [key for key in self._undelivered if key not in stuck]:
            self._show(key)

    def _filled(self, key: str) -> Item:
        """The item of a key, or an empty one if its row is damaged."""
        try:
            return self._keyspace.filled(key)
        except Damaged as found:
            self._step.suspect(found)
            return Item()

    def tick(self, ask: Callable[[], None]) -> None:
        """Judge what is still held, and now and then ask the shard peers what they have: usually
        one of them has the missing past."""
        now = self._step.now
        if now < self.next_tick:
            return
        self._judge()
        if self._undelivered and now >= self._next_ask:
            self._next_ask = now + self._hold_s / 3
            ask()
        self.next_tick = now + TICK_S if self._undelivered else NEVER

    # ---- what is shown
    def shown(self, key: str) -> Item | None:
        """The filled item that a reader without a token is shown; None if nothing of the key is
        hidden."""
        if key in self._undelivered:
            self._judge()
        entry = self._undelivered.get(key)
        return entry.shown if entry is not None else None

    def seen(self, key: str) -> Token:
        """A token of all that this node shows of the shard of a key: what a write without a token
        depends on.  If the token cannot name the rest without a hidden write, it names the hidden
        one, too.  That only makes other nodes wait longer."""
        clock = self._keyspace.clock_of(key)
        floor = self._shown_of(clock)
        exact = self._beside(clock, floor)
        if exact is None:
            floor = dict(clock.base)
            exact = self._beside(clock, floor) or {}
        return Token(floor, exact, ALL_KEYS if floor else b"")

    def _beside(self, clock: DotClock, floor: Vector) -> dict[Dot, int] | None:
        """The dots above these floors that are not hidden; None if a token cannot name them."""
        above = clock.missing_from(DotClock(dict(floor), oldest_view=clock.oldest_view))
        first = islice(above, EXACT_MAX + len(self._withheld) + 1)
        names = {dot: self._keyspace.log.key_of(dot) for dot in first if dot not in self._withheld}
        if len(names) > EXACT_MAX or None in names.values():
            return None
        return {dot: key_hash_of(name, True) for dot, name in names.items() if name is not None}

    def _shown_of(self, clock: DotClock) -> Vector:
        """For each actor, the number up to which this node shows all of its writes."""
        return {
            actor: n for actor, n in self._keyspace.parts.visible_to_peers(clock).base.items() if n
        }

    # ---- looking
    def look(self, request: int, look: Look) -> None:
        """Answer with a page of what is shown, how far that goes, and what is held."""
        self._judge()
        clock = self._shown_of(self._keyspace.clock)
        items, after = self._page(look.after, look.limit)
        early = list(islice(self._early(), EARLY_SHOWN_MAX))
        present = self._present()
        looked = Looked(self._actors(present), clock, items, after, early, present)
        self._step.reply(request, looked)

    def _members(self) -> dict[Actor, str]:
        """The present incarnations of the members of our shard, as far as we know them."""
        view, incarnations = self._views.view, self._views.incarnations
        shard = view.shard_with(self._views.address)
        ids = {node: incarnations.current(node) for node in shard.members} if shard else {}
        return {actor_of(view.id, node_id): node for node, node_id in ids.items() if node_id}

    def _present(self) -> dict[str, Actor]:
        """The actor as which each member of our shard writes in its present run."""
        view_id, incarnations = self._views.view.id, self._views.incarnations
        ids = {node: incarnations.current(node) or "" for node in self._members().values()}
        runs = {
            node: (i, incarnations.runs[i]) for node, i in ids.items() if i in incarnations.runs
        }
        return {node: actor_of(view_id, *names) for node, names in runs.items()}

    def _actors(self, present: dict[str, Actor]) -> dict[Actor, str]:
        """The member behind each actor that has written in this view, and that writes now."""
        members, clock = self._members(), self._keyspace.clock
        known = (*clock.base, *clock.loose)
        past = {a: members[incarnation_of(a)] for a in known if incarnation_of(a) in members}
        return {**members, **past, **{actor: node for node, actor in present.items()}}

    def _page(self, after: str | None, limit: int) -> tuple[dict[str, bytes], str | None]:
        """At most `limit` keys with their shown values, in the order of their rows, and the key
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
                if not is_plain(key):
                    continue
                item = (
                    self._undelivered[key].shown
                    if key in self._undelivered
                    else self._keyspace.item(key)
                )
                for version in shown_versions(Mode.LWW, item.at(self._step.now_ms)).values():
                    items[key] = version.text
        return items, key_of(row) if row is not None else None

    def _early(self) -> Iterator[Early]:
        for key, entry in self._undelivered.items():
            item = self._filled(key)
            for dot, deps in entry.early.items():
                if dot in item.versions:
                    missing = self._missing(key, deps, item.past)
                    yield Early(key, item.versions[dot].text or None, dot, deps, missing)


def _without(item: Item, early: Container[Dot]) -> Item:
    """The part of an item that may be shown.  Beside an early version the node cannot tell which of
    the versions has replaced the shown one; the timestamps decide."""
    rest = {dot: version for dot, version in item.versions.items() if dot not in early}
    return item if len(rest) == len(item.versions) else Item(rest, Past({}, set(rest)))
