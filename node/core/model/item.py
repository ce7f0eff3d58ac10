"""The value of one key: its concurrent versions (siblings) and its causal past.

An `Item` holds one version per live dot and a `Past`: what the versions have replaced. The past
says "every dot *of this key* up to n", so it never closes gaps. It also has loose dots: those that
a client has seen and the home has not. A replica stores the item without what its own clock says
anyway (strip), and adds that again before any use (fill). A delete is a version without a value.
(Preguiça et al. 2010; dotted causal containers, DAIS 2015; protocol D3, D8.3.)

Two homes may name one write: then it has two versions, *twins*, with the same identity. They count
as one version: a reader sees the older one, and whoever replaces one of them has replaced both. The
item keeps the names of replaced writes for some time, so that a twin that comes late is known; one
that a client may repeat has its name from the first. (protocol D12; docs/decisions/0041, 0049.)
"""

from collections.abc import Collection, Container, Iterable, Mapping

import msgspec

from node.core.model.actors import Actor, incarnation_of, view_of
from node.core.model.dots import Dot, DotClock, Vector, join_vectors
from node.core.model.drawn_identity import apart_ms, is_drawn
from node.core.model.hlc import NO_TIMESTAMP, Timestamp
from node.core.model.labels import Labels, json_text
from node.core.model.token import Token
from node.core.model.view import FIRST, NO_VIEW, ViewId
from node.core.model.write_name import WriteName, WriteNames


class Past(msgspec.Struct, array_like=True, gc=False):
    """The writes of one key that are shown or replaced: a vector and loose dots above it, and
    everything written in views below the oldest view.  `namings` are of those that have an identity
    and were named lately."""

    base: Vector = msgspec.field(default_factory=dict)
    loose: set[Dot] = msgspec.field(default_factory=set)
    oldest_view: ViewId = NO_VIEW
    namings: WriteNames = msgspec.field(default_factory=dict)

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
            return Past(both, set(), higher, self.namings)
        rest = {d for d in self.loose.union(loose) if d[1] > both.get(d[0], 0)}
        return Past(both, rest, higher, self.namings)

    def by_name(self, dots: Iterable[Dot]) -> "Past":
        """What a client has seen of a key that has these versions, each of them by name: the oldest
        view may be another where it writes."""
        named = {dot for dot in dots if dot[1] > self.base.get(dot[0], 0)}
        return Past(self.base, self.loose | named, self.oldest_view, self.namings)

    def with_all(self, other: "Past") -> "Past":
        """A past that covers both."""
        return self.joined(other.base, other.loose, other.oldest_view).naming(other.namings)

    def naming(self, namings: WriteNames) -> "Past":
        """A past that also knows these names; of two names of a write it keeps the older one."""
        if not namings:
            return self
        both = dict(self.namings)
        for identity, naming in namings.items():
            known = both.get(identity, naming)
            both[identity] = naming if known == naming else known.joined(naming)
        return Past(self.base, self.loose, self.oldest_view, both)

    def replacing(self, identities: Collection[str], by: str = "") -> "Past":
        """A past in which these writes, whose names it knows, are replaced: certainly, or `by` a
        write whose client had not seen them."""
        if not identities:
            return self
        marked = {identity: self.namings[identity].marked(by) for identity in identities}
        return Past(self.base, self.loose, self.oldest_view, {**self.namings, **marked})

    def with_replacers(self, identities: set[str]) -> set[str]:
        """These writes and all by which `hides` judges them: their replacers, and so on."""
        known, more = set[str](), identities
        while more:
            known |= more
            more = {by for i in more & self.namings.keys() for by in self.namings[i].by} - known
        return known

    def hides(self, identity: str, live: Container[str]) -> bool:
        """Whether a write with an identity was replaced by one with a later first name, that stands
        or was itself replaced by a later one, and so on; `live` have a version.

        Two homes that were sent two writes in turn may each have replaced the first one with the
        second.  The first names, which are the same wherever all is known, tell which was first.
        """
        naming = self.namings.get(identity)
        if naming is None:
            return False
        for by in naming.by:
            later = self.namings.get(by)
            if later is None or (later.rank > naming.rank and self._stands(by, live)):
                return True
        return False

    def _stands(self, identity: str, live: Container[str]) -> bool:
        """Whether this write, or one that came after it, is what a reader is to see."""
        naming = self.namings[identity]
        return identity in live or naming.certain or not naming.by or self.hides(identity, live)

    def __bool__(self) -> bool:
        """Whether it covers any write."""
        return bool(self.base or self.loose or self.oldest_view > NO_VIEW)


class Version(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One write: its value (None: a delete mark), what its writer depended on, when (HLC), whether
    it was written in lww mode, and its vector clock over its key's writes, where a client has asked
    for one.  The store decides nothing by that clock, except where a client sends it back, and
    nothing by its labels.  `expires`: from this instant on it is not shown (milliseconds since the
    epoch; 0: never).  `identity` names the write where its client may repeat it."""

    value: bytes | None
    deps: Token = msgspec.field(default_factory=Token)
    timestamp: Timestamp = NO_TIMESTAMP
    lww: bool = False
    clock: Vector | None = None
    labels: Labels | None = None
    expires: int = 0
    identity: str = ""

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
        kept = {d: v for d, v in self.versions.items() if not 0 < v.expires <= now_ms}
        return Item(kept, self.past)

    def distinct(self) -> dict[Dot, Version]:
        """One version of each write: of twins the one with the smaller timestamp, because its
        client was told one of the two, and has written with larger ones since.  Left out are writes
        that were replaced by one with a later first name."""
        first: dict[str, Dot] = {}
        for dot, version in self.versions.items():
            if version.identity:
                known = first.setdefault(version.identity, dot)
                first[version.identity] = min(known, dot, key=self.rank)
        if not first:
            return self.versions
        kept = {d: v for d, v in self.versions.items() if first.get(v.identity, d) == d}
        return {d: v for d, v in kept.items() if not self.past.hides(v.identity, first)}

    def live(self) -> dict[Dot, Version]:
        """The versions that carry a value, each write once."""
        return {dot: v for dot, v in self.distinct().items() if v.value is not None}

    def shown(self) -> dict[Dot, Version]:
        """The siblings: the live versions, without the lww ones that a later lww delete hides."""
        if not self.has_marks():
            return self.distinct()
        marks = [self.rank(d) for d, v in self.distinct().items() if v.value is None and v.lww]
        last, live = max(marks, default=None), self.live().items()
        return {d: v for d, v in live if not (v.lww and last and self.rank(d) < last)}

    def clocks(self) -> dict[Dot, Vector]:
        """The vector clock of each version: its own, or one that names that write alone."""
        return {dot: v.clock or {dot[0]: dot[1]} for dot, v in self.versions.items()}

    def winner(self) -> Dot | None:
        """The version with the largest timestamp, deletes included (D11); None when there is
        none."""
        if len(self.versions) == 1 and not self.past.namings:
            return next(iter(self.versions))
        return max(self.distinct(), key=self.rank, default=None)

    def rank(self, dot: Dot) -> tuple[Timestamp, Dot]:
        """What the winner has most of: one order, the same at every replica."""
        return self.versions[dot].timestamp, dot

    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.versions or self.past or self.past.namings)

    def is_only_remembered(self) -> bool:
        """Whether there are only names of replaced writes, and versions that these hide."""
        return bool(self.past.namings) and not (self.past or self.has_marks() or self.is_live())

    def remembering(self, since_ms: float) -> "Item":
        """The item without the names of writes that were named before this instant, drawn ones long
        before (`apart_ms`), and say nothing of a version any more."""
        if not (past := self.past).namings:
            return self
        needed = past.with_replacers({version.identity for version in self.versions.values()})
        kept = {
            i: naming
            for i, naming in past.namings.items()
            if i in needed or naming.timestamp[0] >= since_ms - apart_ms(i)
        }
        if len(kept) == len(past.namings):
            return self
        return Item(self.versions, Past(past.base, past.loose, past.oldest_view, kept))

    def with_version(self, dot: Dot, version: Version, replaced: bool) -> "Item":
        """The item with a version that is named now.  `replaced`: a value was shown before."""
        past = self.past.joined({dot[0]: dot[1]})
        if version.identity and not is_drawn(version.identity):
            past = past.naming({version.identity: WriteName(dot, version.timestamp, replaced)})
        return Item({**self.versions, dot: version}, past)

    def is_live(self) -> bool:
        """Whether the key counts: whether it has a value that no delete hides or has replaced.  It
        counts the same when a delete is pruned."""
        if self.past.namings or self.has_marks():
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
    return Item(item.versions, Past(base, loose, oldest_view, past.namings))


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
    past = one.past.with_all(two.past)
    both = (*one.versions.items(), *two.versions.items())
    if not past.namings and not any(v.identity and d not in kept for d, v in both):
        return Item(kept, past)
    return _without_replaced(one, two, kept, past)


def _without_replaced(one: Item, two: Item, kept: dict[Dot, Version], past: Past) -> Item:
    """The join of two states that have namings, without the twins of versions that were replaced:
    in one of the states before, or now by what the other one has seen."""
    for each, other in ((one, two), (two, one)):
        gone = {d: v for d, v in each.versions.items() if v.identity and d not in kept}
        past = past.naming(namings_of(gone))
        told = {i for i, naming in other.past.namings.items() if naming.by}
        past = past.replacing({v.identity for v in gone.values()} - told)
    replaced = {identity for identity, naming in past.namings.items() if naming.certain}
    twins = {dot: version for dot, version in kept.items() if version.identity in replaced}
    rest = {dot: version for dot, version in kept.items() if dot not in twins}
    return Item(rest, past.naming(namings_of(twins)).joined({}, twins))


def namings_of(versions: Mapping[Dot, Version]) -> WriteNames:
    """How those of these versions are named that have an identity: twins by the older name."""
    named = [(v.timestamp, d, v.identity) for d, v in versions.items() if v.identity]
    named.sort(reverse=True)
    return {identity: WriteName(dot, timestamp) for timestamp, dot, identity in named}


def discard(item: Item, context: Past, here_alone: bool = False) -> Item:
    """The filled item without the versions the context has seen, and without their twins; also
    those that come later, unless `here_alone`."""
    known = context.namings
    seen = {d: v for d, v in item.versions.items() if context.has(d) or v.identity in known}
    past = item.past if here_alone else item.past.with_all(context).replacing(known)
    return without(item, seen, past)


def without(
    item: Item,
    replaced: Mapping[Dot, Version],
    past: Past,
    by: str = "",
    seen: Container[Dot] = (),
) -> Item:
    """The filled item, with this past, without these of its versions and without their twins.
    `by`: the write that replaces them, if it has an identity, and what its client had `seen`."""
    kept = {d: v for d, v in item.versions.items() if d not in replaced}
    named = namings_of(replaced)
    if named:
        kept = {d: v for d, v in kept.items() if v.identity not in named}
        known = {v.identity for d, v in replaced.items() if v.identity and (not by or d in seen)}
        past = past.naming(named).replacing(known).replacing(named.keys() - known, by)
    return Item(kept, past)


def alone(item: Item, dot: Dot, context: Past) -> Item:
    """A version without those beside it; its past is what it has replaced."""
    version, names = item.versions[dot], item.past.namings
    known = {i: names[i] for i in (*context.namings, version.identity) if i in names}
    return Item({dot: version}, Past(context.base, context.loose, context.oldest_view, known))
