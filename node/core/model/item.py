"""The value of one key: its concurrent versions (siblings) and its causal past.

An `Item` holds one version per live dot and a `Past`: what the versions have replaced. The past
says "every dot *of this key* up to n", so it never closes gaps. It also has loose dots: those that
a client has seen and the home has not. A replica stores the item without what its own clock says
anyway (strip), and adds that again before any use (fill). A delete is a version without a value.
(Preguiça et al. 2010; dotted causal containers, DAIS 2015; protocol D3, D8.3.)
"""

from collections.abc import Container, Iterable

import msgspec

from node.core.model.actors import Actor, incarnation_of, view_of
from node.core.model.dots import Dot, DotClock, Vector, join_vectors
from node.core.model.hlc import NO_TIMESTAMP, Timestamp
from node.core.model.labels import Labels, json_text
from node.core.model.token import Token
from node.core.model.view import FIRST, NO_VIEW, ViewId


class Past(msgspec.Struct, array_like=True, gc=False):
    """The writes of one key that are shown or replaced: a vector and loose dots above it, and
    everything written in views below the oldest view."""

    base: Vector = msgspec.field(default_factory=dict)
    loose: set[Dot] = msgspec.field(default_factory=set)
    oldest_view: ViewId = NO_VIEW

    def has(self, dot: Dot) -> bool:
        return dot[1] <= self.base.get(dot[0], 0) or dot in self.loose or self.retires(dot[0])

    def retires(self, actor: Actor) -> bool:
        """Whether this actor wrote below the oldest view."""
        return self.oldest_view > FIRST and view_of(actor) < self.oldest_view

    def joined(
        self, base: Vector, loose: Iterable[Dot] = (), oldest_view: ViewId = NO_VIEW
    ) -> "Past":
        """A past that also covers these: this one, if it does.  A past is never changed."""
        higher = oldest_view if oldest_view > self.oldest_view else self.oldest_view
        if not base and not loose and higher is self.oldest_view:
            return self
        both = join_vectors(self.base, base)
        if not self.loose and not loose:
            return Past(both, set(), higher)
        rest = {d for d in self.loose.union(loose) if d[1] > both.get(d[0], 0)}
        return Past(both, rest, higher)

    def with_all(self, other: "Past") -> "Past":
        """A past that covers both."""
        return self.joined(other.base, other.loose, other.oldest_view)

    def __bool__(self) -> bool:
        return bool(self.base or self.loose or self.oldest_view > NO_VIEW)


class Version(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One write: its value (None: a delete mark), what its writer depended on, when (HLC), whether
    it was written in lww mode, and its vector clock over its key's writes, where a client has asked
    for one.  The store decides nothing by that clock, except where a client sends it back, and
    nothing by its labels.  `expires`: from this instant on it is not shown (milliseconds since the
    epoch; 0: never)."""

    value: bytes | None
    deps: Token = msgspec.field(default_factory=Token)
    timestamp: Timestamp = NO_TIMESTAMP
    lww: bool = False
    clock: Vector | None = None
    labels: Labels | None = None
    expires: int = 0

    @property
    def size(self) -> int:
        """How many bytes its value and labels have; the rest is bounded, to a few hundred."""
        return len(self.value or b"") + (self.labels.size if self.labels else 0)

    @property
    def text(self) -> bytes:
        """Its value as JSON text; empty for a delete mark."""
        return b"" if self.value is None else json_text(self.value, self.labels)


class Item(msgspec.Struct, array_like=True, gc=False):
    """All that is known of one key."""

    versions: dict[Dot, Version] = msgspec.field(default_factory=dict)
    past: Past = msgspec.field(default_factory=Past)

    def at(self, now_ms: float) -> "Item":
        """The item as it shows at this moment: without the versions whose time is over."""
        for version in self.versions.values():
            if 0 < version.expires <= now_ms:
                break
        else:
            return self
        return Item(
            {d: v for d, v in self.versions.items() if not 0 < v.expires <= now_ms}, self.past
        )

    def live(self) -> dict[Dot, Version]:
        """The versions that carry a value."""
        return {dot: v for dot, v in self.versions.items() if v.value is not None}

    def shown(self) -> dict[Dot, Version]:
        """The siblings: the live versions, without the lww ones that a later lww delete hides."""
        marks = [self.rank(d) for d, v in self.versions.items() if v.value is None and v.lww]
        last = max(marks, default=None)
        return {
            d: v for d, v in self.live().items() if not (v.lww and last and self.rank(d) < last)
        }

    def clocks(self) -> dict[Dot, Vector]:
        """The vector clock of each version: its own, or one that names that write alone."""
        return {dot: v.clock or {dot[0]: dot[1]} for dot, v in self.versions.items()}

    def winner(self) -> Dot | None:
        """The version with the largest timestamp, deletes included (D11); None when there is
        none."""
        if len(self.versions) == 1:
            return next(iter(self.versions))
        return max(self.versions, key=self.rank, default=None)

    def rank(self, dot: Dot) -> tuple[Timestamp, Dot]:
        """What the winner has most of: one order, the same at every replica."""
        return self.versions[dot].timestamp, dot

    def is_live(self) -> bool:
        """Whether the key counts: whether it has a value that no delete hides or has replaced.  It
        counts the same when a delete is pruned."""
        for version in self.versions.values():
            if version.value is None:
                return bool(self.shown())
        return bool(self.versions)

    def has_marks(self) -> bool:
        """Whether a delete is among the versions."""
        for version in self.versions.values():  # noqa: SIM110 - three times as fast as any()
            if version.value is None:
                return True
        return False


def fill(item: Item, clock: DotClock) -> Item:
    """The item with its replica's clock in its past: absent dots at or below it are obsolete."""
    return covering(item, item.past.joined(clock.base, oldest_view=clock.oldest_view))


def covering(item: Item, past: Past) -> Item:
    """The item with this past, and its own versions in it: in the middle of a full exchange a store
    holds versions whose dots its clock does not know yet."""
    for dot in item.versions:
        if dot[1] > past.base.get(dot[0], 0) and not past.has(dot):
            unknown = [each for each in item.versions if not past.has(each)]
            return Item(item.versions, past.joined({}, unknown))
    return Item(item.versions, past)  # nearly always


def strip(item: Item, clock: DotClock, lost: Container[Actor] = ()) -> Item:
    """The item without what the clock's base says anyway; of `lost` incarnations and runs, which
    are over and closed here, nothing above the base exists any more."""
    past, had = item.past, clock.base
    oldest_view = past.oldest_view if past.oldest_view > clock.oldest_view else NO_VIEW
    base = {a: n for a, n in past.base.items() if n > had.get(a, 0)}
    loose = {d for d in past.loose if d[1] > had.get(d[0], 0)} if past.loose else set()
    if base or loose:
        base = {a: n for a, n in base.items() if not (is_lost(a, lost) or clock.drops(a))}
        loose = {d for d in loose if not (is_lost(d[0], lost) or clock.drops(d[0]))}
    return Item(item.versions, Past(base, loose, oldest_view))


def is_lost(actor: Actor, lost: Container[Actor]) -> bool:
    """Whether this actor, or its incarnation, is among those that are over and closed
    everywhere."""
    return actor in lost or incarnation_of(actor) in lost


def sync(one: Item, two: Item) -> Item:
    """Join two filled states: a version stays if both have it, or one has and the other never saw
    it.  Commutative, associative, idempotent."""
    kept = {d: v for d, v in one.versions.items() if d in two.versions or not two.past.has(d)}
    for dot, version in two.versions.items():
        if dot in one.versions or not one.past.has(dot):
            kept[dot] = version
    return Item(kept, one.past.with_all(two.past))


def discard(item: Item, context: Past) -> Item:
    """The filled item without the versions the context has seen."""
    kept = {d: v for d, v in item.versions.items() if not context.has(d)}
    return Item(kept, item.past.with_all(context))
