"""What this node leaves to the owners of the current view, and when older views end.

Leaving a view takes four steps, and each waits for the one before it:

    name     rows that an exchange brought before it broke off are named in the clocks
    forget   slots of others go when every owner durably has all of them
    report   this node says that all it held of older views is with the present owners
    retire   when all nodes of all known views have reported, the older views end

(protocol D10, R4 and R7.)
"""

import functools
from operator import or_

from node.core.membership.closing import Closing, count_reached
from node.core.membership.disk_identity import Identity
from node.core.membership.gossip import Gossiping
from node.core.membership.services import Services
from node.core.model.slots import ALL, Slots
from node.core.model.view import NO_VIEW, ViewId
from node.core.protocol.effects import Damaged
from node.core.protocol.messages import Epoch, Gossip


class Leaving:
    """Leads this node, and all that it hears of, out of older views."""

    def __init__(
        self, services: Services, identity: Identity, gossip: Gossiping, closing: Closing
    ) -> None:
        self._views, self._keyspace = services.views, services.store
        self._repair, self._step = services.peers, services.step
        self._identity, self._gossip, self._closing = identity, gossip, closing
        self._named: tuple[ViewId, set[tuple[Slots, str]]] = NO_VIEW, set()

    def on_gossip(self, source: str, gossip: Gossip, epoch: Epoch) -> None:
        """A node tells what it knows of incarnations, reports and names."""
        if not self._identity.hears(source, gossip, epoch):
            return
        self._gossip.on_gossip(source, gossip, epoch)
        if epoch.view == self._views.view.id:
            self._closing.hear(gossip.missed)
            self._gossip.hear_of_us(source, gossip.incarnations, gossip.name)
        self.move_on()

    def move_on(self) -> None:
        """Forget what others have, report, and retire, as far as possible now."""
        held = functools.reduce(or_, (part.slots for part in self._keyspace.parts.outgoing()), 0)
        if held and self._has_named_what_came(held):
            self.forget()
        if self._views.history.settled:
            return
        if self.report():
            self._gossip.spread_gossip()
        if self.retire():
            self._views.name_past_incarnations()
            self._gossip.announce_oldest_view()

    def _has_named_what_came(self, slots: Slots) -> bool:
        """Name in the clocks of these slots what exchanges brought before they broke off, once in
        each view; return whether all is named.  The owners take what clocks name.  So they would
        never have a row that no clock names, though its last holder may have lost its disk."""
        transfers, view_id = self._keyspace.transfers, self._views.view.id
        if transfers and self._named[0] != view_id:
            self._named = view_id, set()
        for reach in transfers.within(slots):
            if (reach.slots, reach.upto) in self._named[1]:
                continue
            try:
                count_reached(self._keyspace, [reach])
            except Damaged as found:  # once the row is repaired the node goes on
                self._step.suspect(found)
                return False
            self._named[1].add((reach.slots, reach.upto))
        return True

    def forget(self) -> None:
        """Drop slots of others that every owner durably has whole."""
        keyspace, oldest_view = self._keyspace, self._views.history.oldest_view
        for part in keyspace.parts.outgoing():
            complete_for = {view for view in part.complete_for if view >= oldest_view}
            covered = self._repair.covered(part, self._views.view, part.clock, complete_for)
            if covered:
                keyspace.forget(covered)

    def report(self) -> bool:
        """Report that the present owners have all that this node held of older views, if they do;
        return whether that is new."""
        views, view, history = self._views, self._views.view, self._views.history
        reported = history.reports.get(views.node_id)
        if history.settled or reported == view.id or not view.number:
            return False
        if next(self._keyspace.hints.below(view.id), None) is not None:
            return False  # what is below the oldest view counts as known everywhere: not yet
        is_pulling = self._keyspace.transfers and self._repair.exchange is not None
        if is_pulling or not self._has_named_what_came(ALL):
            return False
        for part in self._keyspace.parts:
            older = part.clock.below(view.id)
            if self._repair.covered(part, view, older, set()) != part.slots:
                return False
        history.report(views.node_id)
        views.save()
        return True

    def retire(self) -> bool:
        """Raise the oldest view if all nodes have reported; return whether it rose."""
        views = self._views
        if views.history.settled or not views.view.number or views.waited_for():
            return False
        raised = views.raise_oldest_view(views.view.id)
        self._keyspace.save_parts()
        views.save()
        return raised
