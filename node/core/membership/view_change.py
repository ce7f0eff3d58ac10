"""From one view to the next: everything that follows when this node learns of views, in order.

A view or an oldest view that others tell takes effect in `ViewChange.adopt` and nowhere else.
Example: n1 is in view 1 and is told view 2, in which n4 owns half of the slots of n1.

    learn       n1 saves view 2; it holds the half, and owns the rest; what peers had is forgotten
    identity    the disk's generation is 7 and becomes 8
    announce    `Views` leaves for all nodes, under the epoch of view 2
    compare     n1 tells n4 and its shard peers which clocks its slots have
    requests    the client that proposed view 2 is answered; a read that waited for n4 begins again;
                a write that n1 named a moment ago is told to n4, too

(protocol D10, R1; docs/decisions/0014.)
"""

from collections.abc import Callable

import msgspec

from node.core.membership.proposals import Proposals
from node.core.membership.rooms import Membership
from node.core.membership.services import Services
from node.core.model.view import ViewId
from node.core.protocol.messages import Epoch, Views


class Subscribers(msgspec.Struct, frozen=True):
    """The actions of other folders that follow a view change, in the order of
    `ViewChange.adopt`."""

    forget_comparisons: Callable[[], None]
    compare_with_all: Callable[[], None]
    recount_writes: Callable[[], None]
    restart_reads: Callable[[], None]


class ViewChange:
    """Leads a node from one view to the next."""

    def __init__(
        self,
        services: Services,
        membership: Membership,
        proposals: Proposals,
        subscribers: Subscribers,
    ) -> None:
        self._views, self._step, self._subscribers = services.views, services.step, subscribers
        self._identity, self._bootstrap = membership.identity, membership.bootstrap
        self._gossip, self._proposals = membership.gossip, proposals
        services.views.when_oldest_view_has_risen(subscribers.restart_reads)

    def on_views(self, source: str, message: Views) -> None:
        """Adopt the newest view that a node tells, unless this node's own disk is too old."""
        if source == self._views.address and not self._proposals.is_complete(message.views[0]):
            return
        newest = max((view.id for view in message.views), default=message.oldest_view)
        epoch = Epoch(newest, message.oldest_view)
        if not self._identity.hears(source, message.gossip, epoch, message.views):
            return
        if self._is_needed_again(message, newest):
            self._identity.begin_anew(f"{source} has what only nodes of view {newest} may take")
            return
        self._gossip.merge_incarnations(message.gossip.incarnations)
        self.adopt(message)

    def _is_needed_again(self, message: Views, newest: ViewId) -> bool:
        """Whether this node was told to forget a view, and the cluster cannot go on without it: the
        view is unsettled, and each other node of it says that it is in no view.  Then no node may
        propose another one."""
        views = self._views
        if views.view.number or newest != views.history.forgot or message.oldest_view >= newest:
            return False
        [view] = [view for view in message.views if view.id == newest]
        if views.address not in view.nodes:
            return False
        others = [node for node in view.nodes if node != views.address]
        if others:
            views.history.request(view.layout)
            self._step.link_with(others)
        return all(map(self._gossip.knows_no_view, others))

    def adopt(self, message: Views) -> None:
        """Take over what is told.  If that is another view or a higher oldest view, everything that
        depends on it follows, in this order."""
        then, before = self._subscribers, self._views.peers()
        # First our own slots, clocks and what is known of peers: all others go by these.
        learned = self._views.learn(message)
        if self._views.peers() != before:
            # A view that has lost may name nodes, too, and no view is retired without their word.
            self._step.link_with(self._views.peers())
        if learned.has_new_view:
            # Before anything is told in the view, so an older copy of the disk can be told apart.
            self._identity.advance()
            # What peers have said of content and of the start counts in their view alone.
            then.forget_comparisons()
            self._bootstrap.on_view()
        if learned.has_new_oldest_view:
            # Old rows go before any node hears of the oldest view below which they do not count.
            self._identity.on_oldest_view()
        if learned.has_new_view or learned.has_new_oldest_view:
            # Before every other message of the view: its receiver would not know the view.
            self._gossip.announce_view()
        if learned.has_new_view:
            # Before requests go on: the new owners learn first what they are to pull.
            then.compare_with_all()
            # Clients that waited for this view; a proposal that has lost may be made again.
            self._proposals.on_adopted()
            # The acks of the new owners count from now on, those of the last ones no more.
            then.recount_writes()
            # States that were sent were complete for the last view.
            then.restart_reads()
