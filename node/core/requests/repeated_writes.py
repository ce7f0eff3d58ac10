"""What a home does with a write that its client has sent before.

A client repeats a write whose outcome it does not know, perhaps through another node, with the same
identity.  The item of the key keeps the names of such writes for ten minutes, so the home finds the
first one and answers as it was answered then.  A home that has not heard of it names the write
again; then the write has two versions, which are twins (`node/core/model/item.py`).

Example: n1 and n2 own x, and the client sends its write through n3.

    n3 asks n1, which names it a1; n1 dies before it can answer.  n2 has a1 already
    the client repeats it.  n3 asks n2, which finds a1: `Written` with a1, and `Replicate` with it
    had n2 not had a1, it would have named b1.  When n1 is back, x has both a1 and b1: one value

(protocol D12; docs/decisions/0041.)
"""

from node.core.membership.services import Services
from node.core.model.conditions import Mode, Scope
from node.core.model.dots import Dot
from node.core.model.drawn_identity import is_drawn
from node.core.model.hlc import before
from node.core.model.item import Item, Past, Version, alone, namings_of
from node.core.model.keys import key_hash_of, slot_of_key
from node.core.model.vector_clock import Place
from node.core.model.write_name import WriteName
from node.core.protocol.messages import Accept, Declined, Replicate, Written
from node.core.protocol.operations import Overfull, Put, Reused
from node.core.protocol.pieces import fits
from node.core.requests.coverage import need_of
from node.core.requests.hinting import Hinting
from node.core.storage.keyspace import ANYWHERE

NAMINGS_MAX = 1024  # of one key; each takes about a hundred bytes of its row
REUSED = Reused("in the last 10 minutes another write of the key had this identity")
CROWDED = Overfull(
    f"in the last 10 minutes the key has had {NAMINGS_MAX} writes with an identity: the limit"
)


class RepeatedWrites:
    """Finds the first name of a write that has an identity."""

    def __init__(self, services: Services, hinting: Hinting, bytes_max: int) -> None:
        self._views, self._step = services.views, services.step
        self._keyspace, self._repair = services.store, services.peers
        self._hinting, self._bytes_max = hinting, bytes_max

    def find(self, source: str, accept: Accept) -> Written | Declined | None:
        """Return the answer to a write that was named before, or may not be named; None if the home
        is to name it.  If it was named, the shard peers are told of it again and acknowledge it."""
        put = accept.put
        item = self._keyspace.names.kept(self._keyspace.filled(put.key), self._step.now_ms)
        namings = item.past.namings
        naming = _name_of(put.identity, item)
        if naming is not None:
            self.tell_again(source, accept, item, naming.dot)
            return self._written(accept, item, naming)
        if is_drawn(put.identity):
            return None
        stem = stem_of(put.identity)
        if any(stem_of(identity) == stem for identity in namings):
            return Declined(accept.request, REUSED)
        if len(namings) >= NAMINGS_MAX:
            return Declined(accept.request, CROWDED)
        return None

    def tell_again(self, source: str, accept: Accept, item: Item, dot: Dot) -> None:
        """Tell the shard peers of a write that was named before, so that they acknowledge it."""
        is_whole = fits(item, self._bytes_max)
        if not is_whole:
            if dot not in item.versions or accept.put.mode is Mode.LWW:
                return  # repair brings it: no message has room for what has replaced it, or it has
            item = alone(item, dot, accept.put.context)
        replicate = Replicate(accept.request, source, accept.put.key, item, dot, not is_whole)
        for shard_peer in self._repair.shard_peers:
            self._step.tell(shard_peer, replicate)
        if is_whole:
            self._hinting.leave(replicate, accept.hints)

    def _written(self, accept: Accept, item: Item, naming: WriteName) -> Written:
        put, dot = accept.put, naming.dot
        lww = put.mode is Mode.LWW
        token = self._keyspace.trim(put.token)
        token = token.after_write(key_hash_of(put.key, lww), dot, naming.timestamp, {})
        context = put.context if lww else put.context.joined({}, {dot})
        context = context.naming({put.identity: naming})
        version = item.versions.get(dot)
        clock = version.clock if version else None
        shown = tuple(item.at(self._step.now_ms).shown())
        return Written(accept.request, dot, token, context, naming.replaced, clock, shown)

    def is_unsure(self, put: Put) -> bool:
        """Whether this write may have a name that is not here: its slot has moved here and not
        arrived, or its client has seen a write of the key that is not here, and that may have
        replaced this very one.  Then this one must not replace it in turn, or both would be gone.
        So the origin reads the key first."""
        if put.mode is not Mode.LWW or put.repeated or is_drawn(put.identity):
            return False
        part = self._keyspace.parts.at(slot_of_key(put.key))
        has_arrived = part is not None and part.answers
        if not has_arrived and not self._views.history.settled:
            return True
        past = self._keyspace.filled(put.key).past
        return not all(map(past.has, put.token.dots_of(key_hash_of(put.key, lww=True))))

    def place_of(self, put: Put, again: bool) -> Place:
        """Where to put a write that is named now.  If it replaces all, it leaves the versions that
        may have come after it, and gets a timestamp below theirs.

        Their writers had seen a write of the key that is not here: that may be this very one, under
        the name of another home.  What its own client had seen came before it, and so did all that
        has no later timestamp than its token.  A write that may be named already replaces nothing
        with a later timestamp than its first name; where that is not known, nothing at all.  One
        that its origin has given to two homes replaces only what its client had seen.
        """
        if put.mode is not Mode.LWW:
            return Place(timestamp=put.first)
        held, named = self._keyspace.item(put.key).versions, put.first if put.repeated else None
        if named is not None:
            stays = (dot for dot, version in held.items() if version.timestamp > named)
            return Place(tuple(stays), timestamp=named)
        key_hash, clock = key_hash_of(put.key, lww=True), self._keyspace.clock_of(put.key)
        need = need_of(key_hash, self._views, self._keyspace)

        def may_be_later(version: Version) -> bool:
            if version.timestamp <= put.token.timestamp:
                return False
            had = {dot for dot in version.deps.dots_of(key_hash) if clock.has(dot)}
            past = Past(clock.base, had, clock.oldest_view)
            return bool(need.of(version.deps, Scope.KEY, past, clock))

        later = {dot: v for dot, v in held.items() if may_be_later(v)}
        beside = {*held} if put.repeated else {*self._unseen(put)} if again else set[Dot]()
        if not later:
            return Place(tuple(beside)) if beside else ANYWHERE
        first = min(version.timestamp for version in later.values())
        timestamp = before(first, put.token.timestamp, self._keyspace.actor)
        beside |= {dot for dot, v in held.items() if dot in later or v.timestamp > timestamp}
        return Place(tuple(beside), timestamp=timestamp)

    def _unseen(self, put: Put) -> tuple[Dot, ...]:
        """What a second home leaves beside a write that its origin has given to two: all that the
        client had not seen.  Any of it may have replaced the name that the first home gave."""
        held, seen, latest = self._keyspace.item(put.key), put.token.exact, put.token.timestamp
        later = {dot for dot, version in held.versions.items() if version.timestamp > latest}
        return tuple(later.difference(seen))


def _name_of(identity: str, item: Item) -> WriteName | None:
    """The first name of a write, whether it is replaced or among the versions."""
    here = {dot: v for dot, v in item.versions.items() if v.identity == identity}
    return item.past.naming(namings_of(here)).namings.get(identity)


def stem_of(identity: str) -> str:
    """The part of an identity that stands for what its client calls the write; the rest stands for
    what the client wants to write."""
    return identity.partition(".")[0]
