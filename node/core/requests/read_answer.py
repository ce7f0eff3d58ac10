"""What a read answers once its token is covered: the values, the token, the context.

A reader who sees a write also sees what its writer had written before.  `coverage.py` judges
whether a state may be shown at all.  (protocol D9.2, D9.3, D9.11; docs/decisions/0007.)
"""

from collections.abc import Collection, Iterable, Mapping

from msgspec.structs import replace

from node.core.model.actors import Actor
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.dots import Dot, Vector, covered_by
from node.core.model.item import Item, Past, Version
from node.core.model.keys import KeyHash
from node.core.model.tags import tag_of
from node.core.model.token import Token, same_key
from node.core.protocol.operations import Absent, Found, Get, Mismatch, Outcome
from node.core.requests.coverage import Missing, Need

NO_PAST = Past()
DAMAGED_HERE = "this node's own row of it is damaged and not made whole yet"


def answer(get: Get, need: Need, item: Item, served_by: str, reads: int = 1) -> Found | Absent:
    """The outcome of a read of so many replicas whose token is covered."""
    if get.mode is not Mode.SIBLINGS and len(item.versions) > 1:
        item = without_doubtful(item, get.token, need.key_hash)
    token = token_after_read(get.token, need, item)
    shown = shown_versions(get.mode, item.at(need.now_ms))
    dots, naming = tuple(item.versions), item.past.namings.get(get.identity)
    context = need.seen(item, need.now_ms) if get.mode is Mode.SIBLINGS else NO_PAST
    if not shown:
        return Absent(dots, token, context, served_by, reads, naming=naming)
    order = list(shown)
    if len(order) > 1:
        order.sort(key=lambda dot: (shown[dot].timestamp, dot), reverse=True)
    if get.raw:
        return _raw(order, item, token, need.seen(item, need.now_ms), served_by, reads)
    values = tuple([shown[dot].text for dot in order])
    clocks: tuple[Vector, ...] = ()
    if get.mode is Mode.SIBLINGS:
        known = item.clocks()
        clocks = tuple(known[dot] for dot in order)
    return Found(
        values, tuple(order), dots, token, context, served_by, clocks, reads=reads,
        naming=naming,
    )  # fmt: skip


def _raw(
    order: list[Dot], item: Item, token: Token, context: Past, served_by: str, reads: int
) -> Found:
    """The outcome of a read that wants values as they are stored."""
    versions = [item.versions[dot] for dot in order]
    return Found(
        tuple(version.value or b"" for version in versions),
        tuple(order),
        tuple(item.versions),
        token,
        context,
        served_by,
        labels=tuple(version.labels for version in versions),
        timestamps=tuple(version.timestamp for version in versions),
        expires=tuple(version.expires for version in versions),
        reads=reads,
    )


def stale(
    get: Get, need: Need, item: Item, missing: Missing, served_by: str, reads: int
) -> Outcome:
    """The outcome of a read that is answered although its token is not covered: what there is, and
    what is missing.  Its client goes on depending on all of its token."""
    there_is = answer(replace(get, token=Token()), need, item, served_by, reads)
    token = get.token.joined(there_is.token)
    return replace(there_is, token=need.trim(token), missing=missing)


def refusal_by_tag(refuse_when: RefuseWhen, read: Found | Absent) -> Mismatch | Absent | None:
    """Why a write is refused where a key shows this; None if its condition allows it."""
    tag = tag_of(read.shown) if isinstance(read, Found) else ""
    if refuse_when.rejects(tag):
        return Mismatch(tag, read.token, read.context, read.served_by)
    return read if refuse_when.absent and isinstance(read, Absent) else None


def token_after_read(token: Token, need: Need, item: Item) -> Token:
    """What a reader of this item depends on (rule 3).  It depends on all versions held, shown or
    not, and on all that their writers depended on.  These replace the versions of the key that the
    token named before."""
    if not token and len(item.versions) == 1:
        ((dot, version),) = item.versions.items()
        if not version.deps:
            is_stable = dot[1] <= covered_by(need.cluster_watermark, dot[0])
            exact = {} if is_stable else {dot: need.key_hash}
            timestamp = max(token.timestamp, version.timestamp, version.deps.timestamp)
            alone = Token({}, exact, b"", timestamp, token.view)
            return need.trim(alone)
    mine = {d: tag for d, tag in token.exact.items() if not same_key(tag, need.key_hash)}
    joined = Token(token.floor, mine, token.keys, token.timestamp, token.view)
    timestamp = token.timestamp
    for version in item.versions.values():
        joined = joined.joined(version.deps)
        timestamp = max(timestamp, version.timestamp)
    exact = {
        d: tag
        for d, tag in joined.exact.items()
        if not (same_key(tag, need.key_hash) and item.past.has(d))
    }
    exact.update(dict.fromkeys(item.versions, need.key_hash))
    timestamp = max(timestamp, joined.timestamp)
    return need.trim(Token(joined.floor, exact, joined.keys, timestamp, joined.view))


def shown_versions(mode: Mode, item: Item) -> dict[tuple[Actor, int], Version]:
    """The versions that a reader sees: all siblings, or in lww mode the one with the largest
    timestamp.  A delete in lww mode hides what is older; another one has deleted what its client
    had seen, and hides nothing beside it: once it is pruned, that would come back."""
    winner = None if mode is Mode.SIBLINGS else item.winner()
    if winner is not None and item.versions[winner].value is not None:
        return {winner: item.versions[winner]}
    shown = item.shown()
    if mode is Mode.SIBLINGS or not shown:
        return shown
    latest = max(shown, key=item.rank)
    return {latest: shown[latest]}


def without_doubtful(item: Item, token: Token, key_hash: KeyHash) -> Item:
    """The item without versions whose order is in doubt, as far as their reader knows nothing of
    them.

    The writer of a version K had seen a write of the key that is not here.  That may be a version H
    that is here, under the name of another home and with a later timestamp than K: then K has
    replaced H.  The names meet when this replica gets what is missing.  Until then a reader is told
    of K or of H, and not of both, unless its token names both.  (docs/decisions/0041)"""
    past, versions = item.past, item.versions
    named = {naming.dot for naming in past.namings.values()}
    lacking = past.loose - named - versions.keys()
    after = {dot for dot, v in versions.items() if not lacking.isdisjoint(v.deps.exact)}
    doubtful = {dot for dot, v in versions.items() if _may_precede(v, [versions[d] for d in after])}
    if not doubtful:
        return item
    seen = token.dots_of(key_hash)
    knows_doubtful, knows_after = (_names(token, seen, dots) for dots in (doubtful, after))
    kept = {dot: version for dot, version in versions.items() if dot not in doubtful}
    if not knows_doubtful and (knows_after or all(_is_known(dot, kept) for dot in seen)):
        return Item(kept, past)
    if knows_after:
        return item
    return Item({d: v for d, v in versions.items() if d in doubtful or d not in after}, past)


def _names(token: Token, seen: Collection[Dot], dots: Collection[Dot]) -> bool:
    """Whether a token asks for one of these versions; `seen` are its dots of the key."""
    return any(dot in seen or dot[1] <= token.floor.get(dot[0], 0) for dot in dots)


def _is_known(dot: Dot, kept: Mapping[Dot, Version]) -> bool:
    """Whether one of these versions surely is not older than this write.  Its writer had seen the
    write, or its home had named the write before: a home replaces all that it holds, but for writes
    with an identity."""
    actor, n = dot
    return any(
        dot == own or dot in version.deps.exact
        or (not version.identity and own[0] == actor and n < own[1])
        for own, version in kept.items()
    )  # fmt: skip


def _may_precede(version: Version, after: Iterable[Version]) -> bool:
    """Whether a version, with its later timestamp, may be what one of these has replaced: that was
    written above all that its own writer had seen."""
    return bool(version.identity) and any(
        version.deps.timestamp < each.timestamp < version.timestamp for each in after
    )
