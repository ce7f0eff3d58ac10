"""What nodes tell each other all the time: that they live, their incarnations, and the views.

A node that receives a message from another view or oldest view replies with `Views` if it knows
more. Otherwise it sends a heartbeat, and receives `Views`.  One round trip brings both up to date.
A node answers unlisted peers, which are in no view that it knows, like all others while it hears
them.  (protocol D1, D7, D10 R1.)
"""

import random

import msgspec
from msgspec.structs import replace

from node.core.membership.disk_identity import Identity
from node.core.membership.incarnations import Table
from node.core.membership.services import Services
from node.core.model.pace import UNLISTED_S, pace_of
from node.core.model.placement import first_view
from node.core.model.quorum import majority
from node.core.model.view import FIRST, NO_VIEW, ViewId
from node.core.protocol.mark import NO_MARK
from node.core.protocol.messages import (
    DeclaredRuns,
    Epoch,
    Gossip,
    Heartbeat,
    Join,
    Views,
    WantRuns,
)
from node.core.replication.pull import GENESIS_WAIT_S

GOSSIP_EVERY_S = 15.0
GOSSIP_WHILE_CHANGING_S = 0.5
TOLD_EVERY_S = 0.05
FIRST_CONTACT_S = 0.05  # so soon after it a node that waits for it says again what it lacks

encode = msgspec.msgpack.encode
WANT_RUNS = WantRuns()


class Gossiping:
    """What one node tells and hears all the time.

    `unlisted`: nodes of no known view, and when they were heard of last.
    `heartbeats`: the last heartbeat of each node, and the epoch that it came under.
    `next_heartbeat`: when the next heartbeat is due.
    """

    def __init__(self, services: Services, identity: Identity, chance: random.Random) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._detector, self._repair = services.detector, services.peers
        self.incarnations, self._identity, self._chance = services.incarnations, identity, chance
        self.unlisted: dict[str, float] = {}
        self.heartbeats: dict[str, tuple[Heartbeat, Epoch]] = {}
        self.next_heartbeat = self._gossip_due = 0.0
        self._last_gossip: Gossip | None = None
        self._last_told: dict[str, float] = {}  # when a node under another epoch was last answered

    @property
    def peers(self) -> list[str]:
        return list(dict.fromkeys((*self._views.peers(), *self.unlisted)))

    # ---- signs of life
    def heartbeat(self) -> Heartbeat:
        """This node's heartbeat: its id, and how many slots it lacks and leaves."""
        parts = self._keyspace.parts
        leaving = sum(part.slots.bit_count() for part in parts.outgoing())
        return Heartbeat(self._views.node_id, parts.lacking().bit_count(), leaving)

    def tick(self, started: float) -> bool:
        """Send heartbeats when they are due; return whether they were."""
        now = self._step.now
        if now < self.next_heartbeat:
            return False
        self.next_heartbeat = now + pace_of(self._views.view).heartbeat_s
        known = self._views.peers()
        self.unlisted = {
            peer: heard
            for peer, heard in self.unlisted.items()
            if now - heard < UNLISTED_S and peer not in known
        }
        heartbeat = self.heartbeat()
        for peer in self.peers:
            self._step.ask(peer, heartbeat)
        if self._views.history.joining:
            self._join(started)
        return True

    def knows_no_view(self, node: str) -> bool:
        """Whether this node has heard another one say that it is in no view."""
        return node in self.heartbeats and self.heartbeats[node][1].view == NO_VIEW

    def _join(self, started: float) -> None:
        """Ask a node of the view to be added to it, or begin the first view with others that know
        none.

        Nodes that have forgotten their view know none, either.  But they report that they have left
        it, so a view exists, and no first one is begun.
        """
        view, now = self._views.view, self._step.now
        if view.number:
            able = [n for n in view.nodes if self._detector.reachable(n, now)]
            if able and self._views.address not in view.nodes:
                self._step.ask(self._chance.choice(able), Join(self._views.address))
            return
        new = [node for node in view.nodes if self.knows_no_view(node)]
        is_due = now - started >= GENESIS_WAIT_S and not self._views.history.reports
        if is_due and 1 + len(new) >= majority(len(view.nodes)):
            gossip = Gossip(self.incarnations.copy(), {})
            first = first_view(view.nodes, 1, view.unsharded)
            self._step.tell(self._views.address, Views([first], FIRST, gossip))

    # ---- views
    def is_ahead(self, source: str, epoch: Epoch) -> bool:
        """Answer a message from another view or oldest view: tell the sender our views if it knows
        less, or send a heartbeat, so that it tells us.  Return whether the sender is ahead."""
        mine, now = self._views.epoch, self._step.now
        if now - self._last_told.get(source, 0.0) >= TOLD_EVERY_S:
            self._last_told[source] = now
            if not self._is_behind(epoch):
                self._step.ask(source, self.heartbeat())
            elif epoch.view == mine.view or self._may_be_told(source):
                self._step.tell(source, self._views.message(self._gossip()))
        return epoch.view > mine.view or epoch.oldest_view > mine.oldest_view

    def _is_behind(self, epoch: Epoch) -> bool:
        mine = self._views.epoch
        return epoch.view < mine.view or epoch.oldest_view < mine.oldest_view

    def _may_be_told(self, peer: str) -> bool:
        """Whether this node may tell a peer views, or an oldest view that ends the peer's view.

        It must durably know the peer's incarnation, and other nodes must wait for its own report
        before they retire the views.  Otherwise a node could take part in a view, and no node that
        retires the view would know of it.
        """
        return self.incarnations.current(peer) is not None and self._views.is_waited_for()

    def announce_view(self) -> None:
        """Tell all nodes the new view, before any other message of it.  Our own report and our mark
        stay out: they may not be durable yet."""
        self._step.link_with(self._views.peers())
        gossip = self._gossip()
        gossip.reports.pop(self._views.node_id, None)
        message = self._views.message(replace(gossip, mark=NO_MARK))
        for peer in filter(self._may_be_told, self.peers):
            if self._views.history.is_named_by_incarnation(peer, self.incarnations.current(peer)):
                self._step.ask(peer, message)
            else:
                self._step.tell(peer, message)

    def announce_oldest_view(self) -> None:
        """Tell all nodes the new oldest view, after the disk has our own report, on which it
        rests."""
        self._step.link_with(self._views.peers())
        message = self._views.message(self._gossip())
        for peer in filter(self._may_be_told, self.peers):
            self._step.tell(peer, message)

    # ---- incarnations and news
    def on_heartbeat(self, source: str, heartbeat: Heartbeat, epoch: Epoch) -> None:
        if (
            source not in self.heartbeats
            and self._views.history.joining
            and not self._views.view.number
        ):
            self.next_heartbeat = min(self.next_heartbeat, self._step.now + FIRST_CONTACT_S)
        self.heartbeats[source] = heartbeat, epoch
        if source not in self._views.peers():
            self.unlisted[source] = self._step.now
        known = self.incarnations.current(source)
        if known is None:
            self.merge_incarnations({source: {heartbeat.node_id: 1}})
            if self._is_behind(epoch) and self._may_be_told(source):
                self._step.tell(source, self._views.message(self._gossip()))
        elif known != heartbeat.node_id:
            self._step.tell(source, self._gossip())

    def greet(self, peer: str) -> None:
        """Tell a node that can be reached again what this node is and knows."""
        self._step.ask(peer, self.heartbeat())
        if self._keyspace.runs:
            self.on_want_runs(peer)
        self._step.tell(peer, self._gossip())

    def on_want_runs(self, source: str, message: WantRuns = WANT_RUNS) -> None:
        self._step.tell(source, DeclaredRuns(self._keyspace.runs.known()))

    def on_declared_runs(self, source: str, message: DeclaredRuns) -> None:
        self._keyspace.runs.merge(message.chains)

    def on_gossip(self, source: str, gossip: Gossip, epoch: Epoch) -> None:
        self.merge_incarnations(gossip.incarnations)
        self._keyspace.watermarks.merge(gossip.cluster_watermark)
        self._views.hear(gossip)
        if epoch == self._views.epoch:
            self._complete(source, gossip.views)

    def _complete(self, source: str, views: list[ViewId]) -> None:
        """Tell our views to a node that is in our view and under our oldest view, but lacks an
        older view that is not retired.  It cannot take our reports without that view."""
        now, ours = self._step.now, self._views.history.unretired()
        if set(ours) <= set(views) or now - self._last_told.get(source, 0.0) < TOLD_EVERY_S:
            return
        if self._may_be_told(source):
            self._last_told[source] = now
            self._step.tell(source, self._views.message(self._gossip()))

    def hear_of_us(self, source: str, incarnations: Table, name: str) -> None:
        """Note that an introducer in our view knows our incarnation: it passes that on with each
        report."""
        views = self._views
        if source in views.introducers and views.node_id in incarnations.get(views.address, ()):
            views.become_known(name)
            self.spread_names()

    def merge_incarnations(self, table: Table) -> None:
        before = {peer: self.incarnations.current(peer) for peer in self._repair.progress}
        if not self.incarnations.merge(table):
            return
        self.incarnations.claim(self._views.address, self._views.node_id)
        self._views.name_past_incarnations()
        self._step.record("meta", "lives", encode(self.incarnations.table))
        for peer, incarnation in before.items():
            if self.incarnations.current(peer) != incarnation:
                self._repair.forget(peer)
                self._keyspace.watermarks.forget_shard()
        self._gossip_due = 0.0
        self.spread_gossip()

    def _gossip(self) -> Gossip:
        history = self._views.history
        reports = {} if history.settled else dict(history.reports)
        if history.forgot > reports.get(self._views.node_id, NO_VIEW):
            reports[self._views.node_id] = history.forgot  # by order nothing of it is here
        incarnations, lost, naming = (
            self.incarnations.copy(),
            sorted(history.lost),
            self._views.naming,
        )
        names, mark = dict(naming.names), self._identity.mark
        watermark, views = self._keyspace.watermarks.cluster, history.unretired()
        missed, name = dict(self._views.doubts.missed), naming.name
        return Gossip(incarnations, watermark, reports, lost, names, name, mark, views, missed)

    def spread_names(self) -> None:
        """Gossip at once when this node begins to go under a name of the cluster."""
        if self._views.naming.name and not (self._last_gossip and self._last_gossip.name):
            self.spread_gossip()

    def spread_gossip(self) -> None:
        """Tell all peers our gossip when it has changed, and now and then when it has not."""
        gossip = self._gossip()
        if gossip == self._last_gossip and self._step.now < self._gossip_due:
            return
        every = GOSSIP_EVERY_S if self._views.history.settled else GOSSIP_WHILE_CHANGING_S
        self._last_gossip, self._gossip_due = gossip, self._step.now + every
        for peer in self.peers:
            self._step.tell(peer, gossip)
