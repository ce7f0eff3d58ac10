"""How a run of a node begins: when its slots have arrived, and when it has caught up.

In the first view a node cannot tell a first start from a lost disk.  So there its slots count as
arrived when all shard peers are as new as it is, and none ever knew another incarnation of it
(genesis).  A restart is over when the node was level with its shard peers.  (protocol D7, D10 R5;
docs/decisions/0009.)
"""

from collections.abc import Collection, Mapping

from node.core.membership.services import Services
from node.core.model.quorum import majority
from node.core.model.view import FIRST, ViewId
from node.core.replication.pull import GENESIS_WAIT_S


class Bootstrap:
    """The beginning of one run.

    `started`: when the first step was; None before.
    `level_with`: the peers whose clocks this node has covered since then.
    `caught_up`: the node was level with all shard peers that it waits for.
    `alone_since`: when this node last reached an introducer, or began to wait for one.
    """

    def __init__(self, services: Services) -> None:
        self._views = services.views
        self._step, self._keyspace = services.step, services.store
        self._incarnations, self._repair = services.incarnations, services.peers
        self.started: float | None = None
        self.alone_since: float | None = None
        self.caught_up = False
        self.level_with: set[str] = set()

    @property
    def arrived(self) -> bool:
        """Whether this replica may answer reads of all its slots by itself."""
        return not self._keyspace.parts.lacking()

    def begin(self, now: float) -> float:
        """Note the time of the first step of this run, and return it."""
        self.started = now
        return now

    @property
    def is_over(self) -> bool:
        """Whether this run has its slots, and has been level with its shard peers."""
        return self.arrived and self.caught_up

    def is_level(self, peer: str) -> None:
        """Note that this node has all writes that the peer has told it of."""
        self.level_with.add(peer)

    def on_view(self) -> None:
        """Follow a view change: a node without shard peers has caught up."""
        if not self._repair.shard_peers:
            self.caught_up = True
            if self._views.view.id == FIRST:
                self._arrive()

    def genesis(self) -> None:
        """Let the slots arrive in the first view, where no node can send them.  All shard peers
        must be as new as this node.  After a moment a majority of the shard is enough, if no node
        ever knew another incarnation of this one."""
        if self._views.view.id != FIRST or self.arrived or self.started is None:
            return
        repair = self._repair
        rows = [repair.progress[peer] for peer in repair.shard_peers if peer in repair.progress]
        if any(FIRST in held.complete_for for row in rows for held in row.groups):
            return
        waited = self._step.now - self.started >= GENESIS_WAIT_S
        enough = 1 + len(rows) >= majority(1 + len(repair.shard_peers))
        is_first = self._incarnations.is_first(self._views.address)
        if repair.complete() or (is_first and waited and enough):
            self._arrive()

    def _arrive(self) -> None:
        if not self.arrived:
            self._keyspace.parts.become_complete_for(FIRST)
            self._keyspace.save_parts()

    def catch_up(self, able: Collection[str]) -> None:
        """End the restart when this node was level with every shard peer.  After a moment it waits
        only for those that can be reached: a node that is alone serves what it has."""
        assert self.started is not None
        waited = self._step.now - self.started >= GENESIS_WAIT_S
        awaited = [f for f in self._repair.shard_peers if f in able or not waited]
        self.caught_up = self.level_with.issuperset(awaited)

    def confirm(self, reached: Collection[str], views: Mapping[str, ViewId]) -> None:
        """Trust this disk where no introducer can judge it.

        It is trusted at once if all introducers are in an older view or in none, or if there are
        none. It is confirmed, but not vouched for, if none was reached for a while: then the node
        serves what it has.  `reached`: the introducers that can be reached now; `views`: the view
        of each node that was heard of.
        """
        assert self.started is not None
        introducers, view_id = self._views.introducers, self._views.view.id
        if all(node in views and views[node] < view_id for node in introducers):
            self._views.become_vouched_for()
        if reached or self.alone_since is None:
            self.alone_since = self._step.now
        if self._step.now - self.alone_since >= GENESIS_WAIT_S:
            self._views.be_confirmed()
