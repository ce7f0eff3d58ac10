"""The home of a write: it names the write once, stores it, and tells its shard peers.

The home and its shard peers answer the origin, where the client waits (three hops).  A home that
must not do a write declines it, and then the write certainly does not exist.  A home that does not
own the key says so, and the origin asks another member.

Example: n1, n2 and n3 own the key.  n1 has named the writes 6 and 7 of it; n2 has only 6.  The
origin asks n2 to be the home of a third write, whose token names 7 and which its contract refuses
while the token is not covered:

    settled   n2 cannot cover the token.  Its slot has arrived and all older views are retired, so
              n2 may say no: `Declined`, "have 6, need 7".  The client is told, nothing is written
    moving    the slot has moved to n2 a moment ago, and its rows are still on their way.  What n2
              lacks proves nothing: `CannotDecide`.  The origin reads the key from all nodes that
              may hold it; n1 tells 7, so the read covers the token.  The origin asks a home again,
              with the read's token and `looked`, and n2 names the write without judging it
    left      n2 is in a newer view, in which n4 owns the key: `NotOwner`; the origin asks a member

The last two answers count for one attempt only: when the origin asks n2 again, n2 judges anew.
`Written` and `Declined` stay the answer to the request, however often the origin asks.

(protocol D4.1, D4.2, P-3.)
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from node.core.membership.services import Services
from node.core.model.conditions import Mode
from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version, alone, discard, namings_of
from node.core.model.keys import key_hash_of, slot_of_key
from node.core.model.options import Options
from node.core.model.vector_clock import Place, placed
from node.core.protocol import messages as m
from node.core.protocol.operations import (
    Absent,
    Get,
    Put,
    Rejected,
    Stored,
    StoreLocally,
    Unavailable,
    Unmet,
)
from node.core.protocol.pieces import fits, overfull
from node.core.requests.admission import impossible
from node.core.requests.causal_delivery import DeliveryBuffer
from node.core.requests.coverage import Need, need_of
from node.core.requests.hinting import Hinting
from node.core.requests.merged_writes import MergedWrites
from node.core.requests.read_answer import answer, refusal_by_tag
from node.core.requests.repeated_writes import RepeatedWrites
from node.core.storage.keyspace import ANYWHERE
from node.core.storage.named_write import NamedWrite

EXPIRED = Unavailable("the value had expired before a replica could write it", definite=True)

Answer = m.Written | m.Declined | m.NotOwner | m.CannotDecide


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The answer that this replica has given to a write: its name, or a refusal."""

    answer: Answer

    def is_over(self, attempt: int) -> bool:
        """Whether this was the refusal of an earlier attempt, which says nothing of this one."""
        refusal = self.answer
        return isinstance(refusal, m.NotOwner | m.CannotDecide) and refusal.attempt < attempt


class Home:
    """Names the writes that origins give to this node; `feed` goes on with reads that wait for the
    key."""

    def __init__(
        self,
        services: Services,
        hinting: Hinting,
        delivery_buffer: DeliveryBuffer,
        options: Options,
        feed: Callable[[str], None],
    ) -> None:
        self._views, self._step = services.views, services.step
        self._keyspace, self._repair = services.store, services.peers
        self._delivery_buffer, self._feed = delivery_buffer, feed
        self._bytes_max = options.message_bytes_max
        self._siblings_max = options.siblings_max, options.siblings_bytes_max
        self._hinting = hinting
        self._repeated = RepeatedWrites(services, hinting, options.message_bytes_max)
        self._changes = MergedWrites(services, self._repeated)
        self._accepts_max = options.accepts_remembered_max
        self._accepted: OrderedDict[tuple[str, int], Accepted] = OrderedDict()

    def on_accept(self, source: str, accept: m.Accept) -> None:
        """Be the home of a write: decide once for each request, and repeat the answer when asked
        again."""
        self._step.serve()
        accepted = self._accepted.get((source, accept.request))
        if accepted is None or accepted.is_over(accept.attempt):
            self._answer(source, accept, self._decide(source, accept))
        else:
            self._step.tell(source, accepted.answer)

    def _decide(self, source: str, accept: m.Accept) -> Answer:
        if refusal := self._refuse(accept):
            return refusal
        accept = self._without_later_views(accept)
        self._keyspace.names.take_settled(accept.settled)
        if accept.put.change is not None:
            return self._decline(accept) or self._change(source, accept)
        if accept.put.identity and (known := self._repeated.find(source, accept)):
            return known
        return self._decline(accept) or self._overfull(accept) or self._name(source, accept)

    def _change(self, source: str, accept: m.Accept) -> Answer:
        """Change a counter or a set: name the state that comes after the change."""
        changed = self._changes.resolve(source, accept)
        if not isinstance(changed, m.Accept):
            return changed
        return replace(self._name(source, changed), state=changed.put.value or b"")

    def _without_later_views(self, accept: m.Accept) -> m.Accept:
        """Let the client's context say nothing of views that this node does not know to be
        retired: it would hide writes of views that are to come."""
        seen, oldest_view = accept.put.context, self._views.history.oldest_view
        if seen.oldest_view <= oldest_view:
            return accept
        context = Past(seen.base, seen.loose, oldest_view, seen.namings)
        return replace(accept, put=replace(accept.put, context=context))

    def on_accept_damaged(self, source: str, accept: m.Accept) -> None:
        """Refuse: nothing has been named, and another home may name the write."""
        self._answer(source, accept, m.NotOwner(accept.request, accept.attempt))

    def _answer(self, source: str, accept: m.Accept, answer: Answer) -> None:
        self._accepted[source, accept.request] = Accepted(answer)
        if len(self._accepted) > self._accepts_max:
            self._accepted.popitem(last=False)
        self._step.tell(source, answer)

    def _refuse(self, accept: m.Accept) -> m.NotOwner | None:
        is_ours = self._owns(accept.put.key) and self._views.may_name()
        return None if is_ours else m.NotOwner(accept.request, accept.attempt)

    def _owns(self, key: str) -> bool:
        return self._keyspace.parts.owns(slot_of_key(key))

    def _decline(self, accept: m.Accept) -> m.Declined | m.CannotDecide | None:
        put = accept.put
        problem = impossible(put.token, put.context, self._views, self._keyspace)
        if problem and not put.foretold:
            return m.Declined(accept.request, Rejected(problem))
        if put.value is not None and 0 < put.expires <= self._step.now_ms:
            return m.Declined(accept.request, EXPIRED)
        if accept.looked:
            return None
        if put.identity and self._repeated.is_unsure(put):
            return m.CannotDecide(accept.request, accept.attempt)
        refuse_when = put.refuse_when
        if put.token.view > self._views.epoch.view and refuse_when:  # not ours to judge (D10 R6)
            return m.CannotDecide(accept.request, accept.attempt)
        blind = m.CannotDecide(accept.request, accept.attempt) if self._is_blind(put) else None
        asks_for_state = refuse_when.absent or refuse_when.asks_for_tag
        if not asks_for_state and (refuse_when.unmet is None or not put.token):
            return blind
        need = need_of(key_hash_of(put.key, put.mode is Mode.LWW), self._views, self._keyspace)
        item, clock = self._keyspace.filled(put.key), self._keyspace.clock_of(put.key)
        missing = need.of(put.token, refuse_when.scope, item.past, clock)
        if missing:
            self._views.miss((actor, n) for actor, (_, n) in missing.items())
            if refuse_when.asks_for_tag or put.change is not None:
                return m.CannotDecide(accept.request, accept.attempt)
            return self._declined(accept, Unmet(missing)) if refuse_when.unmet else None
        if not asks_for_state:
            return blind
        if refuse_when.asks_for_tag:
            return self._judge_tag(accept, need, item)
        get = Get(put.key, put.judged_as, put.token)
        if need.to_show(get, item, clock):
            return None  # what a read may not show does not prove that there is no value, either
        outcome = answer(get, need, item, self._views.address)
        return self._declined(accept, outcome) if isinstance(outcome, Absent) else None

    def _judge_tag(
        self, accept: m.Accept, need: Need, item: Item
    ) -> m.Declined | m.CannotDecide | None:
        """Decline a write whose condition excludes what this replica shows of the key.  A replica
        that has not arrived shows too little to judge by."""
        put = accept.put
        if not self._is_sure(put.key):
            return m.CannotDecide(accept.request, accept.attempt)
        get = Get(put.key, put.judged_as, put.token)
        read = answer(get, need, item, self._views.address)
        refusal = refusal_by_tag(put.refuse_when, read)
        return m.Declined(accept.request, refusal) if refusal else None

    def _overfull(self, accept: m.Accept) -> m.Declined | None:
        """Decline a write beside siblings if there is no room for one more."""
        put = accept.put
        if put.mode is Mode.LWW:
            return None
        before = self._keyspace.filled(put.key)
        left = discard(before, put.context).versions
        refusal = overfull(before, left, put.value, self._siblings_max)
        return m.Declined(accept.request, refusal) if refusal else None

    def _is_blind(self, put: Put) -> bool:
        """Whether this store cannot tell if the key has a value: its slot has moved here, and the
        past has not arrived.  What removes from a counter or a set needs the past in any case, also
        on a new disk: it takes all that its client has seen, which a trimmed token may not name."""
        part = self._keyspace.parts.at(slot_of_key(put.key))
        if part is None or part.answers:
            return False
        if put.change is not None and put.refuse_when.unmet is not None:
            return True
        return not self._views.history.settled and not self._keyspace.item(put.key).is_live()

    def _declined(self, accept: m.Accept, outcome: Absent | Unmet) -> m.Declined | m.CannotDecide:
        """Decline for good, if that is certain: the slot has arrived here, and all older views are
        retired."""
        if not self._is_sure(accept.put.key):
            return m.CannotDecide(accept.request, accept.attempt)
        return m.Declined(accept.request, outcome)

    def _is_sure(self, key: str) -> bool:
        """Whether what this replica lacks of a key proves something."""
        part = self._keyspace.parts.at(slot_of_key(key))
        has_arrived = part is not None and part.answers
        return has_arrived and self._views.is_confirmed and self._views.history.settled

    def _name(self, source: str, accept: m.Accept) -> m.Written:
        """Name and store the write, and tell the shard peers, which answer the origin (three
        hops)."""
        put = accept.put
        if known := put.context.namings.get(put.identity):  # its client has seen it already
            put = replace(put, repeated=True, first=known.timestamp)
        if put.after_all:
            put = replace(put, token=put.token.joined(self._delivery_buffer.seen(put.key)))
        place = self._repeated.place_of(put, accept.again) if put.identity else ANYWHERE
        is_partial = bool(place.beside) or put.repeated
        before = self._keyspace.filled(put.key).versions if is_partial else {}
        written = self._write(put, place)
        item, is_whole = written.item, fits(written.item, self._bytes_max)
        if not is_whole:
            seen = Past() if put.is_in_context else written.context
            replaced = _replaced(put, before, item) if is_partial else Past()
            item = alone(item, written.dot, seen.with_all(replaced))
        replicate = m.Replicate(
            accept.request, source, put.key, item, written.dot, not is_whole, accept.settled
        )
        for shard_peer in self._repair.shard_peers:
            self._step.tell(shard_peer, replicate)
        if accept.hints and is_whole:
            self._hinting.leave(replicate, accept.hints)
        self._feed(put.key)
        return m.Written(
            accept.request,
            written.dot,
            written.token,
            written.context,
            written.replaced,
            written.clock,
            tuple(written.item.at(self._step.now_ms).shown()),
        )

    def _write(self, put: Put, place: Place = ANYWHERE) -> NamedWrite:
        """Name the write in the keyspace; the delivery buffer hides it if it is early."""
        if not self._delivery_buffer.is_on:
            return self._keyspace.write(put, self._step.now, place)
        before = self._keyspace.filled(put.key)
        written = self._keyspace.write(put, self._step.now, place)
        dots = (written.dot,)
        self._delivery_buffer.on_change(put.key, before, written.item, dots, put.after_all)
        return written

    def keep(self, request: int, keep: StoreLocally) -> None:
        """Write on this replica alone.  A client may claim anything in its vector clock.  So the
        clock decides only what the value replaces here, and enters no past and no clock of ours
        (I1)."""
        if not self._owns(keep.key) or not self._views.may_name():
            reason = "this node cannot name writes of the key now"
            self._step.reply(request, Unavailable(reason, definite=True))
            return
        held = self._keyspace.filled(keep.key)
        place = placed(keep.clock, held, self._keyspace.actor)
        if keep.only_new and held.versions and place.clock is None:
            need = need_of(key_hash_of(keep.key, False), self._views, self._keyspace)
            get = Get(keep.key, Mode.SIBLINGS)
            self._step.reply(request, answer(get, need, held, self._views.address))
            return
        left = {dot: held.versions[dot] for dot in place.beside}
        if refusal := overfull(held, left, keep.value, self._siblings_max):
            self._step.reply(request, refusal)
            return
        put = Put(keep.key, keep.value, clocked=True)
        written = self._write(put, place)
        self._feed(keep.key)
        copies = len(self._views.view.shard_of(slot_of_key(keep.key)).members)
        self._step.reply(
            request,
            Stored(
                written.token, written.context, written.dot, written.replaced, 1, copies,
                self._views.address, (self._views.address,), written.clock,
            ),
        )  # fmt: skip


def _replaced(put: Put, before: Mapping[Dot, Version], item: Item) -> Past:
    """What a write has replaced that has left some versions beside it: the others that its home
    had, and what its client's token names of the key, unless it replaces only what is here."""
    gone = {dot: version for dot, version in before.items() if dot not in item.versions}
    met = () if put.repeated else put.token.dots_of(key_hash_of(put.key, lww=True))
    named = {dot for dot in (*gone, *met) if dot not in item.versions}
    return Past({}, named).naming(namings_of(gone))
