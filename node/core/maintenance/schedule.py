"""The schedule of background work: what one replica does now and then, and in which order.

No client waits for what happens here.  The order in `tick`, and its reasons:

    start         the first tick checks the disk's address, before this node tells anything
    gossip        a heartbeat comes first, so peers do not take a busy node for a dead one; with
                  each one the node closes what is over, raises its watermarks, and prunes
    compare       peers are told what is here before this node asks them for anything
    clean up      log, hashes, slots of others; not while an exchange is under way, because
                  incoming rows go before cleaning
    pull          after the comparison, so the exchange serves what has just been learned
    genesis       slots may have arrived by what was pulled or learned
    move on       arrived slots may be dropped elsewhere, reported, retired
    confirm       whether this disk may be trusted, and whether the restart is over
    damaged rows  last: the node looks for them and asks for them with the time that is left
"""

import random

from node.core.integrity.content_compare import ContentCompare
from node.core.integrity.row_repair import RowRepair
from node.core.integrity.scrubber import Scrub
from node.core.maintenance.anti_entropy import AntiEntropy
from node.core.membership.rooms import membership_of
from node.core.membership.services import Services
from node.core.model.options import Options
from node.core.model.pace import pace_of
from node.core.protocol.effects import Damaged
from node.core.storage.pruning import compact, prune

RECOVERING_EVERY_S = 0.3
MOVING_EVERY_S = 0.5
CLEANUP_EVERY_S = 0.02
COMPACTED_AT_ONCE_MAX = 200


class Maintenance:
    """The background work of one replica."""

    def __init__(self, services: Services, options: Options, chance: random.Random) -> None:
        self.views = services.views
        self._step, self._keyspace = services.step, services.store
        self._detector = services.detector
        self.incarnations, self.repair = services.incarnations, services.peers
        self._compare_every_s = options.repair_every_s
        self._chance = chance
        self.membership = rooms = membership_of(services, chance)
        self.bootstrap, self.identity, self.gossip = rooms.bootstrap, rooms.identity, rooms.gossip
        self.closing, self.leaving = rooms.closing, rooms.leaving
        self.row_repair = RowRepair(services, options)
        self.scrub = Scrub(services, self.row_repair, options)
        self.content_compare = ContentCompare(services, self.row_repair)
        self.anti_entropy = AntiEntropy(
            services, options, rooms, self.row_repair, self.content_compare
        )
        self._next_compare = self._next_cleanup = 0.0
        self.bootstrap.on_view()

    @property
    def arrived(self) -> bool:
        """Whether this replica may answer reads of all its slots by itself."""
        return self.bootstrap.arrived

    @property
    def settled(self) -> bool:
        return self.views.history.settled

    def on_view(self) -> None:
        """Follow a view change: forget what peers have said of their content."""
        self._next_compare = 0.0
        self.content_compare.on_view()

    # ---- time
    def tick(self) -> None:
        """Do everything that is due; the docstring of the file has the order and its reasons."""
        now, started = self._step.now, self.bootstrap.started
        if started is None:
            started = self.bootstrap.begin(now)
            self.identity.check_address()
            self._step.link_with(self.views.peers())
        if self.gossip.tick(started):
            self.closing.tick()
            self.closing.take_minima()
            self._prune()
        if now >= self._next_compare:
            every = self._compare_every_s * self._chance.uniform(0.75, 1.25)
            self._next_compare = now + min(every, self._pace_s())
            self.anti_entropy.compare_with_all()
            self.gossip.spread_gossip()
        if now >= self._next_cleanup:
            self._next_cleanup = now + CLEANUP_EVERY_S
            self._clean_up()
        self.anti_entropy.pull()
        self.bootstrap.genesis()
        self.leaving.move_on()
        if not self.views.is_vouched_for:
            views = {node: epoch.view for node, (_, epoch) in self.gossip.heartbeats.items()}
            reached = [w for w in self.views.introducers if self._detector.reachable(w, now)]
            self.bootstrap.confirm(reached, views)
        if not self.bootstrap.caught_up:
            self.bootstrap.catch_up(self.anti_entropy.able())
        self.scrub.tick()
        self.content_compare.tick()
        self.row_repair.tick()

    def _pace_s(self) -> float:
        """The longest time until the next comparison."""
        is_begun = self.bootstrap.is_over and self.views.is_confirmed
        if not is_begun or self.anti_entropy.is_passing_over():
            return RECOVERING_EVERY_S
        is_quiet = self.settled and not self._keyspace.parts.outgoing()
        return self._compare_every_s * 2 if is_quiet else MOVING_EVERY_S

    def _prune(self) -> None:
        """Prune what every member has: log entries, open items."""
        prune(self._keyspace)
        if self.settled:
            self._keyspace.log.drop_off_disk()
        try:
            compact(self._keyspace, COMPACTED_AT_ONCE_MAX)
        except Damaged as found:
            self._step.suspect(found)

    def _clean_up(self) -> None:
        """Go on with long work, a little each time."""
        if self._keyspace.log.is_behind:
            prune(self._keyspace)
        damaged = self._keyspace.content_hashes.go_on(self._keyspace.cleanup.slots)
        self._step.suspect_rows(damaged)
        if self.repair.exchange is None:  # incoming rows go before cleaning
            self._keyspace.clean_up()

    def on_link_up(self, peer: str) -> None:
        """Greet a peer, and compare soon, but not at once: a reconnected peer is left alone for a
        moment."""
        self.gossip.greet(peer)
        self.anti_entropy.on_link_up(peer)
        soon = self._step.now + pace_of(self.views.view).rest_s
        self._next_compare = min(self._next_compare, soon)
