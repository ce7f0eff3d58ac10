"""The home of a write: names it, stores it, tells its fellows; once for each request.

Fellows and home answer the origin, whose client waits there (three hops).  A write that must not be
done here is declined, which is certain; a key of another shard is sent elsewhere.  (protocol D4.1,
D4.2, P-3.)
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from node.core import messages as m
from node.core.detector import Detector
from node.core.effects import Damaged
from node.core.healing import Healing
from node.core.holding import Holding
from node.core.judging import DAMAGED_HERE, answer
from node.core.keyspace import ANYWHERE, Keyspace, Written
from node.core.moving import Moving
from node.core.siblings import Place, placed
from node.core.turn import Turn
from node.core.upkeep import Upkeep
from node.core.view import digest_of
from node.core.walk import slot_of_key

REMEMBERED_ACCEPTS_MAX = 10_000
RESENT_S = 0.5  # writes named this short before a view change are replicated again


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A write that this replica has named, declined or refused."""

    answer: m.Named | m.Declined | m.Elsewhere | m.Unsure
    key: str
    at: float

    def is_over(self, attempt: int) -> bool:
        """Whether this was the refusal of an earlier attempt."""
        refusal = self.answer
        return isinstance(refusal, m.Elsewhere | m.Unsure) and refusal.attempt < attempt


class Home:
    """Writes that come here to be named; `feed` tells reads that wait that a key has changed."""

    def __init__(
        self,
        moving: Moving,
        upkeep: Upkeep,
        rooms: tuple[Turn, Keyspace, Detector, Holding, Healing],
        feed: Callable[[str], None],
    ) -> None:
        self._moving, self._upkeep, self._feed = moving, upkeep, feed
        self._turn, self._keyspace, _, self._holding, self._healing = rooms
        self._accepted: OrderedDict[tuple[str, int], Accepted] = OrderedDict()

    def on_accept(self, source: str, accept: m.Accept) -> None:
        """Be the home of a write: once for each request, however often it is asked."""
        self._turn.served = self._turn.now
        accepted = self._accepted.get((source, accept.request))
        if accepted is None or accepted.is_over(accept.attempt):
            try:
                done = self._refuse(accept) or self._decline(accept) or self._name(source, accept)
            except Damaged as found:  # nothing has been named
                self._turn.suspect(found)
                done = m.Elsewhere(accept.request, accept.attempt)
            accepted = Accepted(done, accept.put.key, self._turn.now)
            self._accepted[source, accept.request] = accepted
            if len(self._accepted) > REMEMBERED_ACCEPTS_MAX:
                self._accepted.popitem(last=False)
        self._turn.tell(source, accepted.answer)

    def _refuse(self, accept: m.Accept) -> m.Elsewhere | None:
        is_ours = self._owns(accept.put.key) and self._moving.may_name()
        return None if is_ours else m.Elsewhere(accept.request, accept.attempt)

    def _owns(self, key: str) -> bool:
        return self._keyspace.parts.owns(slot_of_key(key))

    def _decline(self, accept: m.Accept) -> m.Declined | m.Unsure | None:
        put = accept.put
        if accept.looked:
            return None
        is_bound = put.if_present or put.refuse_unmet is not None
        if is_bound and put.token.view > self._moving.view.id:  # not ours to judge (D10 R6)
            return m.Unsure(accept.request, accept.attempt)
        if not put.if_present and (put.refuse_unmet is None or not put.token):
            return m.Unsure(accept.request, accept.attempt) if self._is_blind(put.key) else None
        need = self._moving.need_of(digest_of(put.key, put.mode is m.Mode.LWW))
        item, clock = self._keyspace.filled(put.key), self._keyspace.clock_of(put.key)
        missing = need.of(put.token, put.refuse_unmet or m.Scope.KEY, item.past, clock)
        if missing:
            is_refused = put.refuse_unmet is not None
            return self._declined(accept, m.Unmet(missing)) if is_refused else None
        if not put.if_present:
            return None
        outcome = answer(m.Get(put.key, put.mode, put.token), need, item, self._moving.address)
        return self._declined(accept, outcome) if isinstance(outcome, m.Absent) else None

    def _is_blind(self, key: str) -> bool:
        """Whether this store cannot tell if the key has a value, because its slot has moved here
        and the past has not come."""
        if self._moving.history.settled:
            return False
        part = self._keyspace.parts.at(slot_of_key(key))
        return part is not None and not part.answers and not self._keyspace.item(key).is_live()

    def _declined(self, accept: m.Accept, outcome: m.Absent | m.Unmet) -> m.Declined | m.Unsure:
        """Only a store that has arrived can say no, and nothing is on its way from older views."""
        part = self._keyspace.parts.at(slot_of_key(accept.put.key))
        if part is None or not part.answers or not self._moving.history.settled:
            return m.Unsure(accept.request, accept.attempt)
        return m.Declined(accept.request, outcome)

    def _name(self, source: str, accept: m.Accept) -> m.Named:
        """Write here, tell the fellows; they answer the origin (three hops)."""
        put = accept.put
        if put.after_all:
            put = replace(put, token=put.token.joined(self._holding.seen(put.key)))
        written = self._write(put)
        replicate = m.Replicate(accept.request, source, put.key, written.item, written.dot)
        for fellow in self._upkeep.repair.fellows:
            self._turn.tell(fellow, replicate)
        self._feed(put.key)
        return m.Named(
            accept.request,
            written.dot,
            written.token,
            written.context,
            written.replaced,
            written.clock,
        )

    def _write(self, put: m.Put, place: Place = ANYWHERE) -> Written:
        """Name it in the keyspace; where writes are held, this one may be early, too."""
        if not self._holding.is_on:
            return self._keyspace.write(put, self._turn.now, place)
        before = self._keyspace.filled(put.key)
        written = self._keyspace.write(put, self._turn.now, place)
        dots = (written.dot,)
        self._holding.on_change(put.key, before, written.item, dots, put.after_all)
        return written

    def keep(self, request: int, keep: m.Keep) -> None:
        """A write on this replica alone.  A client may say anything: its vector clock decides what
        its value replaces here, and enters neither a past nor a clock of ours (I1)."""
        if not self._owns(keep.key) or not self._moving.may_name():
            reason = "this node cannot name writes of the key now"
            self._turn.reply(request, m.Unavailable(reason, definite=True))
            return
        try:
            held = self._keyspace.filled(keep.key)
        except Damaged as found:
            self._turn.suspect(found)
            self._turn.reply(request, m.Unavailable(DAMAGED_HERE, definite=True))
            return
        place = placed(keep.clock, held, self._keyspace.actor)
        if keep.only_new and held.versions and place.clock is None:
            need = self._moving.need_of(digest_of(keep.key, False))
            get = m.Get(keep.key, m.Mode.SIBLINGS)
            self._turn.reply(request, answer(get, need, held, self._moving.address))
            return
        put = m.Put(keep.key, keep.value, clocked=True)
        written = self._write(put, place)
        self._feed(keep.key)
        copies = len(self._moving.view.shard_of(slot_of_key(keep.key)).members)
        self._turn.reply(
            request,
            m.Stored(
                written.token, written.context, written.dot, written.replaced, 1, copies,
                self._moving.address, (self._moving.address,), written.clock,
            ),
        )  # fmt: skip

    def on_replicate(self, source: str, message: m.Replicate) -> None:
        """A fellow's write; one of a life that has ended is refused (D7)."""
        if not self._owns(message.key) or message.dot[0] in self._moving.ended:
            return
        self._turn.served = self._turn.now
        try:
            self._keyspace.take(message.key, message.item, (message.dot,), self._turn.now)
        except Damaged as found:
            self._turn.suspect(found)
            if not self._healing.offer(message.key, message.item, source):
                return
        self._turn.tell(message.origin, m.Ack(message.request, message.dot))
        self._feed(message.key)

    def on_mend(self, source: str, message: m.Mend) -> None:
        """What a read has found and this replica lacks; of lives that have ended repair tells."""
        if not self._owns(message.key):
            return
        if any(actor in self._moving.ended for actor, _ in message.item.versions):
            return
        try:
            self._keyspace.take(message.key, message.item, (), self._turn.now)
        except Damaged as found:
            self._turn.suspect(found)
            if not self._healing.offer(message.key, message.item, source):
                return
        self._feed(message.key)

    def replicate_again(self) -> None:
        """The last view's fellows may have taken the next before they took our last writes."""
        for (origin, request), accepted in reversed(self._accepted.items()):
            if self._turn.now - accepted.at > RESENT_S:
                break
            named, key = accepted.answer, accepted.key
            if not isinstance(named, m.Named):
                continue
            part = self._keyspace.parts.at(slot_of_key(key))
            if part is None or not part.clock.has(named.dot):
                continue  # forgotten since: all owners had it then
            try:
                item = self._keyspace.filled(key)
            except Damaged as found:
                self._turn.suspect(found)
                continue
            replicate = m.Replicate(request, origin, key, item, named.dot)
            for owner in self._moving.view.shard_of(slot_of_key(key)).members:
                if owner != self._moving.address:
                    self._turn.tell(owner, replicate)
