"""What this node leaves to the owners of the current view, and when older views end.

Leaving a view takes three steps, and each waits for the one before it:

    forget   slots of others go when every owner durably has all of them
    report   this node says that all it held of older views is with the present owners
    retire   when all nodes of all known views have reported, the older views end

(protocol D10, R4 and R7.)
"""

from node.core.membership.closing import Closing
from node.core.membership.disk_identity import Identity
from node.core.membership.gossip import Gossiping
from node.core.membership.services import Services
from node.core.protocol.messages import Epoch, Gossip


class Leaving:
    """Leads this node, and all that it hears of, out of older views."""

    def __init__(
        self, services: Services, identity: Identity, gossip: Gossiping, closing: Closing
    ) -> None:
        self._views, self._keyspace = services.views, services.store
        self._repair = services.peers
        self._identity, self._gossip, self._closing = identity, gossip, closing

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
        if self._keyspace.parts.held():
            self.forget()
        if self._views.history.settled:
            return
        if self.report():
            self._gossip.spread_gossip()
        if self.retire():
            self._views.name_past_incarnations()
            self._gossip.announce_oldest_view()

    def forget(self) -> None:
        """Drop slots of others that every owner durably has whole."""
        keyspace, oldest_view = self._keyspace, self._views.history.oldest_view
        for part in keyspace.parts.held():
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
