"""A replica's side of a write: it stores what others tell it, and tells it to others again.

(protocol D4.2, D4.4, D4.6.)
"""

from collections.abc import Callable

from node.core.integrity.row_repair import RowRepair
from node.core.membership.services import Services
from node.core.model.actors import Actor, incarnation_of, short_name, short_of, view_of
from node.core.model.dots import Dot
from node.core.model.item import Item
from node.core.model.keys import slot_of_key
from node.core.model.options import Options
from node.core.protocol import messages as m
from node.core.protocol.hints import HandOver, TakenOver
from node.core.protocol.pieces import fits, whole_of
from node.core.requests.hinting import Hinting


class WriteReplica:
    """Stores the writes that homes and readers tell this node; `feed` goes on with reads that wait
    for the key."""

    def __init__(
        self,
        services: Services,
        row_repair: RowRepair,
        hinting: Hinting,
        options: Options,
        feed: Callable[[str], None],
        ask_shard_peers: Callable[[], None],
    ) -> None:
        self._views, self._step = services.views, services.step
        self._keyspace, self._row_repair = services.store, row_repair
        self._feed, self._ask_shard_peers = feed, ask_shard_peers
        self._incarnations, self._repair = services.incarnations, services.peers
        self._hinting, self._bytes_max = hinting, options.message_bytes_max

    def _owns(self, key: str) -> bool:
        return self._keyspace.parts.owns(slot_of_key(key))

    def on_replicate(self, source: str, message: m.Replicate) -> None:
        """Store a shard peer's write and acknowledge it to the origin; refuse one of a past
        incarnation (D7)."""
        if not self._owns(message.key) or self._views.is_refused(message.dot[0]):
            return
        if message.alone and self._lacks_past_of(message):
            self._ask_shard_peers()
            return
        self._step.serve()
        self._keyspace.names.take_settled(message.settled)
        self._keyspace.take(message.key, message.item, (message.dot,), self._step.now)
        self._step.tell(message.origin, m.Ack(message.request, message.dot))
        self._feed(message.key)

    def _lacks_past_of(self, message: m.Replicate) -> bool:
        """Whether a write that comes alone has replaced something that is not here.  Then what that
        had replaced in its turn would come back to readers: repair brings the whole state."""
        here, past = self._keyspace.filled(message.key).past, message.item.past
        replaced = (dot for dot in (*past.base.items(), *past.loose) if dot != message.dot)
        return not all(map(here.has, replaced))

    def on_replicate_damaged(self, source: str, message: m.Replicate) -> None:
        """Try to repair the row with the item.  If that makes it whole, the write is stored as
        usual, so the clock gets the dot even if a later write has replaced it."""
        if self._row_repair.offer(message.key, message.item, source):
            self.on_replicate(source, message)

    def on_read_repair(self, source: str, message: m.ReadRepair) -> None:
        """Store what a read has found and this replica lacks; comparisons bring what is of past
        incarnations."""
        if not self._owns(message.key):
            return
        if any(self._views.is_refused(actor) for actor, _ in message.item.versions):
            return
        item: Item | None = message.item
        if message.rest:
            here = self._keyspace.filled(message.key)
            item = whole_of(message.item, message.rest, {}, here)
        if item is None:  # more is lacking than one message holds: repair brings it
            self._ask_shard_peers()
            return
        self._keyspace.take(message.key, item, (), self._step.now)
        self._feed(message.key)

    def on_read_repair_damaged(self, source: str, message: m.ReadRepair) -> None:
        """Try to repair the row with the item, if all of it is here."""
        if not message.rest and self._row_repair.offer(message.key, message.item, source):
            self._feed(message.key)

    def on_replicate_again(self, source: str, message: m.ReplicateAgain) -> None:
        """Tell a write to the owners that have not acknowledged it, if its dot is here."""
        slot, dot = slot_of_key(message.key), message.dot
        part = self._keyspace.parts.at(slot)
        if part is None or not part.clock.has(dot):
            return  # forgotten since: all owners had it then
        item = self._keyspace.filled(message.key)
        if not fits(item, self._bytes_max):
            return  # repair brings it in pieces
        replicate = m.Replicate(message.request, source, message.key, item, dot)
        for owner in self._views.view.shard_of(slot).members:
            if owner in message.owners and owner != self._views.address:
                self._step.tell(owner, replicate)
        self._hinting.leave(replicate, message.hints)

    def on_hand_over(self, source: str, message: HandOver) -> None:
        """Store a write that a node of another shard has kept, and tell that node that it is here.

        Two kinds are not stored.  A write below the oldest view is known everywhere.  Of an
        incarnation that has ended the members may have agreed what they have of it, and of a run
        that they have closed they have; no write of it may come in from elsewhere after that, and
        the hint is over (D7)."""
        actor = message.dot[0]
        if not self._owns(message.key):
            return
        if view_of(actor) >= self._views.history.oldest_view and not self._has_ended(actor):
            if not self._views.is_refused(actor):
                self._keyspace.take(message.key, message.item, (message.dot,), self._step.now)
                self._feed(message.key)
            elif not self._is_judged(message.key, message.dot):
                return  # a doubted run: its node may have it, and then comparisons bring it
        self._step.tell(source, TakenOver(message.number, message.dot))

    def _is_judged(self, key: str, dot: Dot) -> bool:
        """Whether this node has the write of a doubted run, or will never take it in."""
        closed = self._repair.closed
        is_closed = dot[0] in closed or incarnation_of(dot[0]) in closed
        return is_closed or self._keyspace.clock_of(key).has(dot)

    def _has_ended(self, actor: Actor) -> bool:
        """Whether other incarnations live at every address at which this actor's node has lived."""
        nodes = [self._incarnations.current(at) for at in self._incarnations.places_of(actor)]
        return bool(nodes) and all(short_name(node or "") != short_of(actor) for node in nodes)

    def on_hand_over_damaged(self, source: str, message: HandOver) -> None:
        """Try to repair the row with the item; if that does not make it whole, the holder hands it
        over again later."""
        if self._row_repair.offer(message.key, message.item, source):
            self.on_hand_over(source, message)
