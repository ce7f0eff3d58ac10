"""The views that one node knows, and what follows from them for its own slots.

A view change only decides which node must hold which slots; repair moves what is missing.  A
proposal is durable before any other node hears of it, and its proposer learns it like every other
node.

Example: n1 is in view 1, and its oldest view is 1.  While no message reaches it, the others adopt
views 2 and 3, which leave n1 its slots.  Then n1 is told views 1, 2 and 3, and oldest view 1.

    history  2 and 3 are new.  3 is the highest, so n1 is to adopt it; 2 is skipped
    skip     n1 took no part in view 2, so no write of it was ever held by all its owners: n1's
             slots are complete for 2, with nothing of it on the disk
    adopt    n1 takes part in view 3 from its start, so its slots are complete for 3.  Complete for
             1, 2 and 3, they answer reads at once
    keep     the oldest view told is not above n1's, so views 1 and 2 are kept
    save     n1's slots and its views are durable in one step

When all nodes have reported view 3, n1 among them, the oldest view rises to 3: n1 forgets views 1
and 2. If n1 had lost its disk meanwhile, view 3 would name an id that n1 does not have.  Then n1
is complete for no view, and pulls what it lacks from its shard peers.

(protocol D10, R1, R7, R8; docs/decisions/0012.)
"""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from node.core.membership.doubts import Doubts
from node.core.membership.incarnations import Incarnations
from node.core.membership.standing import Standing
from node.core.membership.view_history import ViewHistory
from node.core.model.actors import Actor, actor_of, incarnation_of, short_name, view_of
from node.core.model.cluster_name import Names, Naming
from node.core.model.dots import Dot
from node.core.model.keys import slot_of_key
from node.core.model.view import FIRST, View, ViewId
from node.core.protocol.messages import Epoch, Gossip, Views
from node.core.protocol.step import Step
from node.core.replication.pull import Repair
from node.core.storage.keyspace import Keyspace

encode = msgspec.msgpack.encode
PAST_MAX = 20
NAMES = msgspec.msgpack.Decoder(Names)


class Learned(NamedTuple):
    """What a message about views has changed: a higher view is current, or older ones were
    retired."""

    has_new_view: bool
    has_new_oldest_view: bool


class KnownViews(Standing):
    """The views of one node, and what it may do by them.

    `epoch`: what its messages leave under.  Invariant: it names the current and the oldest view.
    `past_incarnations`: those of our shard's members, as actors of the current view: refused.
    `doubts`: past runs of which something is missing: refused, too.
    `doubt`, `miss`: how this file tells `Closing` that something is missing.
    `previous`, `adopted_at`, `past`: the views adopted since the start; for reports.
    """

    def __init__(
        self,
        address: str,
        node_id: str,
        run: str,
        history: ViewHistory,
        step: Step,
        keyspace: Keyspace,
        incarnations: Incarnations,
        repair: Repair,
    ) -> None:
        super().__init__(address, history, repair, keyspace.rows)
        self.node_id, self.run = node_id, run
        self._step, self._keyspace, self.incarnations = step, keyspace, incarnations
        self.previous: View | None = None
        self.adopted_at = 0.0
        self.past: list[dict[str, Any]] = []  # newest last
        self.epoch = Epoch()
        self._on_oldest_view: list[Callable[[], None]] = []  # subscribers: it has risen
        self.doubt: Callable[[Iterable[Actor]], None] = lambda actors: None
        self.miss: Callable[[Iterable[Dot]], None] = lambda dots: None
        self.doubts = Doubts()
        self.past_incarnations: dict[Actor, None] = {}
        names = self._keyspace.rows.read("meta", "names")
        self.naming = Naming(short_name(node_id), NAMES.decode(names) if names else {})
        self._begin()

    def settle_in(self) -> None:
        """Let the keyspace follow the view and the oldest view."""
        view, oldest_view = self.view, self.history.oldest_view
        self.epoch = Epoch(view.id, oldest_view)
        self._keyspace.on_view(view.id, oldest_view, actor_of(view.id, self.node_id, self.run))

    def _begin(self) -> None:
        """Start with the slot groups of the disk, or with new ones if it has none."""
        is_new = not len(self._keyspace.parts)
        self._take_over(None)
        self._keyspace.load_log()
        self.settle_in()
        if is_new:
            self._keyspace.save_parts()
            self.save()
        self.take_name()

    def _take_over(self, begun: ViewId | None) -> None:
        keyspace, view = self._keyspace, self.view
        owned = view.slots_of(self.address)
        keyspace.parts.adopt(view.id, owned, self.history.need(), begun)
        self.settle_in()
        self.doubts.on_view()
        self._repair.on_view(view)
        self.name_past_incarnations()

    def name_past_incarnations(self) -> None:
        """Name the past incarnations of our shard's members in the current view."""
        members, view_id = (self.address, *self._repair.shard_peers), self.view.id
        past = (actor for m in members for actor in self.incarnations.past(m, view_id))
        self.past_incarnations = dict.fromkeys(past)

    def is_refused(self, actor: Actor) -> bool:
        """Whether this actor is of a past incarnation, or of a doubted run, of our shard."""
        past = self.past_incarnations
        return actor in self.doubts.refused or (bool(past) and incarnation_of(actor) in past)

    def refused(self) -> list[Actor]:
        """The incarnations and runs of which this node takes nothing now."""
        return [*self.past_incarnations, *self.doubts.refused]

    def let_close(
        self, doubt: Callable[[Iterable[Actor]], None], miss: Callable[[Iterable[Dot]], None]
    ) -> None:
        """Connect `Closing`, which judges what is over; it knows more than this file may."""
        self.doubt, self.miss = doubt, miss

    def become_vouched_for(self) -> None:
        """Trust this run's disk: an introducer sees no fault in it, or no node could see one."""
        self.is_confirmed = self.is_vouched_for = True
        if self._count_below_oldest_view():
            self._keyspace.save_parts()

    def _count_below_oldest_view(self) -> bool:
        """Count all writes below the oldest view as had in the slots that have arrived, if this is
        the disk for which other nodes waited; return whether that is new."""
        oldest_view, parts = self.history.oldest_view, self._keyspace.parts
        return self.is_vouched_for and oldest_view > FIRST and parts.count_below(oldest_view)

    def become_known(self, name: str) -> None:
        """Note that an introducer, which goes under this cluster name, has heard of this
        incarnation.  From now on no view is retired without our report."""
        if not self.is_known:
            self.is_known = True
            self._step.record("meta", "known", b"1")
        if not self.naming.name:
            self.take_name(name)

    def take_name(self, name: str = "", names: Names | None = None) -> None:
        """Learn which incarnations go under which cluster name, and take a name if we have none:
        the one told, or one known here.  A node takes its own name only if there is no other to
        wait for."""
        is_new = self.naming.merge(names or {})
        is_alone = all(address == self.address for address, _ in self._not_lost())
        if name or (self.view.number and (self.naming.names or self.is_known or is_alone)):
            is_new |= self.naming.take(name)
        self._keyspace.go_under(self.naming.name)
        if is_new:
            self._step.record("meta", "names", encode(self.naming.names))

    def knows_name(self, short: str) -> bool:
        """Whether this is the short name of a node that has lived, or a name of our cluster."""
        return self.incarnations.knows(short) or short in self.naming.names.values()

    def knows_all_names(self) -> bool:
        """Whether this node has heard under which name every node of every known view goes.  Then
        no node of this cluster goes under a name that is not known here."""
        named = self.naming.names
        return all(node_id and short_name(node_id) in named for _, node_id in self._not_lost())

    def may_name(self) -> bool:
        """Whether this node may name writes: it has a name, others know it, its disk is trusted."""
        has_name = bool(self.naming.name) or self.view.id == FIRST
        return has_name and self.is_confirmed and self.is_heard_of()

    def seeks(self, peer: str) -> bool:
        """Whether this node waits for a first contact with a peer: to name writes, or to learn a
        view."""
        if not self.view.number:
            return self.history.joining and peer in self.view.nodes
        return not self.may_name() and peer in self.introducers

    def peers(self) -> list[str]:
        """All nodes of all known views, without this one."""
        return [node for node in self.history.nodes() if node != self.address]

    def save(self) -> None:
        self._step.record("meta", "views", encode(self.history.saved()))

    # ---- R1: learn and adopt
    def message(self, gossip: Gossip) -> Views:
        views = [view for view in self.history.views.values() if view.number]
        return Views(views, self.history.oldest_view, replace(gossip, views=[]))

    def learn(self, message: Views) -> Learned:
        """Take over what another node knows of the views, and give this node's slots what follows
        from it."""
        self.hear(message.gossip)
        before = self.view
        self._yield_first_view(message)
        newest, skipped = self.history.learn(message.views, message.oldest_view)
        for view in skipped:
            if self._may_claim(view):
                self._keyspace.parts.skip(view.slots_of(self.address), view.id)
        if newest is not None and not before.number:  # older reports came without their views
            self.history.forget_reports()
            self.history.take_reports(message.gossip.reports)
        if newest is not None:
            self.previous, self.adopted_at = before, self._step.now
            self._remember(newest)
            if self.address in newest.nodes:
                self.history.has_joined()
            self._take_over(newest.id if self._may_claim(newest) else None)
        self.take_name()
        raised = self.raise_oldest_view(message.oldest_view)
        if newest or skipped or raised:
            self._keyspace.save_parts()
            self.save()
        return Learned(newest is not None, raised)

    def _yield_first_view(self, message: Views) -> None:
        """Give up our first view if the sender's differs and its nodes have gone on from it.  First
        views are made from settings, so two clusters have two of one id, and ours took no part in
        the sender's."""
        history = self.history
        for view in message.views:
            mine = history.views.get(view.id)
            if (
                mine is not None
                and mine.layout != view.layout
                and max(v.id for v in message.views) > FIRST
            ):
                history.yield_first_view(view)
                self._keyspace.parts.become_incomplete_for(view.id)

    def _remember(self, view: View) -> None:
        shards = {shard.id: list(shard.members) for shard in view.shards}
        entry = {"id": str(view.id), "number": view.number, "at": self._step.now, "shards": shards}
        self.past = [*self.past, entry][-PAST_MAX:]

    def hear(self, gossip: Gossip) -> None:
        """Take over the reports and the lost nodes of a gossip message.  This node must know the
        views that the reporter knew, because it waits for all their nodes.  A node without a view
        waits for none; to it a report only says that a view exists, so it begins none."""
        history = self.history
        self.take_name(gossip.name, gossip.names)
        history.give_up(gossip.lost)
        if self.view.number and not history.has_all(gossip.views):
            return
        is_new = history.take_reports(gossip.reports)
        if is_new and history.joining and not self.view.number:
            self.save()

    def _may_claim(self, view: View) -> bool:
        """Whether this node takes part in a view from its start, with nothing lost.  The view must
        name it by its id, or by its address if no other incarnation has lived there."""
        if view.id == FIRST or self.node_id in self.history.lost:
            return False
        known = view.id_at(self.address)
        return known == self.node_id or (not known and self.incarnations.is_first(self.address))

    def is_orphaned(self) -> bool:
        """Whether some of our slots are not complete for the current view, and no shard peer can
        make them so."""
        view = self.view
        parts = self._keyspace.parts.owned()
        lacks = view.id > FIRST and any(view.id not in part.complete_for for part in parts)
        return lacks and not self._repair.may_be_complete_for(view.id) and not self.may_be_left()

    # ---- R7: the oldest view
    def waited_for(self) -> list[str]:
        """The nodes of all known views that have not reported the current one.

        An address is left out when all others have reported, if no incarnation of it is known and
        no node has told it of views.  It is not left out where a node was declared lost, because
        that node may have told it (docs/decisions/0030).
        """
        history, view_id = self.history, self.view.id
        waited, unheard, not_lost = [], [], list(self._not_lost())
        for address, node_id in not_lost:
            if node_id is None and history.was_only_named(address):
                unheard.append(address)
            elif node_id is None or history.reports.get(node_id) != view_id:
                waited.append(address)
        has_lost = len(not_lost) < len(history.nodes())
        return [*waited, *unheard] if has_lost else waited

    def is_waited_for(self) -> bool:
        """Whether no known view is retired without this node's report."""
        return self.address in self.history.nodes()

    def _not_lost(self) -> Iterator[tuple[str, str | None]]:
        """The nodes of all known views that were not declared lost, each with its present
        incarnation."""
        history = self.history
        for address in history.nodes():
            node_id = self.incarnations.current(address)
            is_lost = node_id in history.lost or (node_id is None and f"@{address}" in history.lost)
            if not is_lost:
                yield address, node_id

    def when_oldest_view_has_risen(self, act: Callable[[], None]) -> None:
        """Subscribe to that event.  `act` is called at the end of the step in which the oldest view
        rises, when everything else follows it already."""
        self._on_oldest_view.append(act)

    def raise_oldest_view(self, oldest_view: ViewId) -> bool:
        """Retire the views below this oldest view; return whether that is new."""
        history = self.history
        if not history.raise_oldest_view(oldest_view):
            return False
        self._keyspace.parts.raise_oldest_view(history.oldest_view, history.need())
        self._count_below_oldest_view()
        if history.settled:
            self._repair.retire(history.oldest_view)
        self.epoch = Epoch(self.view.id, history.oldest_view)
        self._keyspace.runs.retire(history.oldest_view)
        self._keyspace.watermarks.retire_below(history.oldest_view)
        for act in self._on_oldest_view:
            self._step.finally_do(act)
        return True

    def replicas_of(self, key: str, request: int) -> tuple[str, ...]:
        """The nodes to ask for a key: this node first if it owns the key; otherwise the owners,
        each in its turn by the number of the request."""
        return self.history.current.asked_by(self.address, slot_of_key(key), request)

    def slots_of_actor(self, actor: Actor) -> int | None:
        """The slots for which this actor may have written; None when its view or its node is not
        known."""
        view, places = self.history.views.get(view_of(actor)), self.incarnations.places_of(actor)
        if view is None or not places:
            return None
        return reduce(or_, [view.slots_of(address) for address in places])
