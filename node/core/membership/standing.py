"""What other nodes may rely on in this run: whether they have heard of its incarnation, and whether
its disk may be older than what peers have seen of it.

A node with an old disk does not know that the disk is old, and a node with an empty one knows only
the view of its settings.  So an introducer (a shard peer, or, where there is none, another node of
the view) has to vouch for both.  Before that the node names no writes, proposes no views, and
answers no reads alone.  (protocol D1, D7; docs/decisions/0035.)
"""

import msgspec

from node.core.membership.view_history import ViewHistory
from node.core.model.view import FIRST, NO_VIEW, View, ViewId
from node.core.replication.pull import Repair
from node.core.storage.row_scan import Rows

VIEW_ID = msgspec.msgpack.Decoder(ViewId)


class Standing:
    """`is_known`: an introducer has heard of this incarnation, so no view is retired without its
    report.
    `is_vouched_for`: an introducer sees no fault in the disk of this run.
    `is_confirmed`: that, or no introducer can be reached.
    `old_rows`: the view of the rows that this incarnation began with, if another one wrote them.
    `newest`: the newest view that was known when this incarnation began.
    Invariant: is_vouched_for implies is_confirmed."""

    def __init__(self, address: str, history: ViewHistory, repair: Repair, rows: Rows) -> None:
        self.address, self.history, self._repair = address, history, repair
        self.is_known = rows.read("meta", "known") is not None
        old, newest = rows.read("meta", "old"), rows.read("meta", "newest")
        self.old_rows = VIEW_ID.decode(old) if old else None
        self.newest = VIEW_ID.decode(newest) if newest else NO_VIEW
        self.is_confirmed = self.is_vouched_for = True

    def begin_unconfirmed(self) -> None:
        """Begin with rows of an earlier run, at which no peer has looked yet."""
        self.is_confirmed = self.is_vouched_for = False

    def be_confirmed(self) -> None:
        """Serve what this node has, because no introducer can be reached."""
        self.is_confirmed = True

    def give_up_old_rows(self) -> None:
        """Note that the rows of an earlier incarnation are gone."""
        self.old_rows = None

    @property
    def view(self) -> View:
        """The current view."""
        return self.history.current

    @property
    def introducers(self) -> tuple[str, ...]:
        """The nodes that vouch for this one: its shard peers, or, where there are none, the other
        nodes of the view."""
        shard_peers = self._repair.shard_peers
        return shard_peers or tuple(node for node in self.view.nodes if node != self.address)

    @property
    def is_outdated(self) -> bool:
        """Whether the node that objected to the last incarnation on this disk knew of a newer
        view."""
        return self.newest > self.view.id

    def may_be_left(self) -> bool:
        """Whether other nodes may have retired the view of this incarnation's old rows without it:
        they have not heard of it, and there are such nodes in that view or in a newer one."""
        has_others = bool(self.introducers) or self.is_outdated
        return self.old_rows is not None and not self.is_known and has_others

    def is_heard_of(self) -> bool:
        """Whether no view is retired without this incarnation's report.  In the view of its
        settings, or of old rows, an introducer must have heard of it: the others may have retired
        that view with another incarnation of this node."""
        if self.is_known:
            return True
        is_first = self.view.id == FIRST and bool(self.introducers)
        return not (is_first or self.may_be_left())
