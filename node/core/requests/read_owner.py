"""What an owner of a key answers: its state of the key, to any node that asks, its own included.

A state says what this node has of the key, the clock of its slot, and the views for which the slot
is complete.  It is the same for a peer (`on_fetch`) and for a read of this node's own client.
(protocol D4.3, D10 R5.)
"""

from msgspec.structs import replace

from node.core.membership.services import Services
from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.item import Item
from node.core.model.keys import key_hash_of, slot_of_key
from node.core.model.options import Options
from node.core.protocol.effects import Damaged
from node.core.protocol.messages import Fetch, State
from node.core.protocol.operations import Get, Peek
from node.core.protocol.pieces import piece_of
from node.core.requests.causal_delivery import DeliveryBuffer
from node.core.requests.coverage import need_of
from node.core.requests.read_answer import answer


class ReadOwner:
    """The owner's side of reads; the delivery buffer knows which keys are shown as they were
    before."""

    def __init__(self, services: Services, holding: DeliveryBuffer, options: Options) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._delivery_buffer, self._bytes_max = holding, options.message_bytes_max

    def on_fetch(self, source: str, fetch: Fetch) -> None:
        """Tell a peer that reads the key what is held here, or a piece of it if the item is
        large."""
        if fetch.doubts:
            self._views.doubt(fetch.doubts)
        state = self.state(fetch.request, fetch.key, fetch.bound)
        item, rest = piece_of(state.item, fetch.have, self._bytes_max)
        self._step.tell(source, replace(state, item=item, rest=rest) if rest else state)

    def state(self, request: int, key: str, bound: bool) -> State:
        """What this node holds of a key; nothing if the row is damaged.  `bound`: the reader has a
        token, so early versions are not hidden from it."""
        part = self._keyspace.parts.at(slot_of_key(key))
        if part is None:
            return State(request, Item(), DotClock(), [])
        shown = self._delivery_buffer.shown(key) if self._delivery_buffer and not bound else None
        try:
            item = shown or self._keyspace.filled(key)
        except Damaged as found:  # nothing is known here; a read of ours goes on with the others
            self._step.suspect(found)
            return State(request, Item(), DotClock(), [])
        complete_for = sorted(part.complete_for) if self._views.is_confirmed else []
        return State(request, item, part.clock.copy(), complete_for, self._keyspace.name)

    def peek(self, request: int, peek: Peek) -> None:
        """Answer a client with what this replica holds, complete or not, and ask no other node."""
        get = Get(peek.key, Mode.SIBLINGS)
        need = need_of(key_hash_of(peek.key, False), self._views, self._keyspace)
        held = self._keyspace.filled(peek.key)
        self._step.reply(request, answer(get, need, held, self._views.address))
