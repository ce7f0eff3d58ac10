"""Which node this is, which run of it, and whether its disk is the one that it had.

A node reads its id from the disk, and a disk can be copied, or put back as it was some time ago. So
no name of a write rests on the disk alone: every run draws its own part of the actor's name.  An id
belongs to one address: if the disk was at another address before, the node begins a new
incarnation.

Nodes tell each other a `Mark`: the node id, the run, and a generation that the disk counts up with
each start and each view.

A peer objects to a node's mark when
  - it has seen a later generation of this id, or the same generation of another run;
  - the node's comparison has less than an earlier one of an older generation had.

A node objects to its own disk when a peer
  - knows of a later incarnation at this address;
  - has a write that this node named and lacks;
  - knows of a report that is not on this disk, by the report or by the oldest view alone.

A restarted node answers no read alone until a shard peer has compared without an objection, or none
was reached for a while.  In that time it looks for signs of an old disk in every message.

A new incarnation has a new id and the same rows.  It does not claim that they are complete, so it
answers no read alone until its shard peers have sent it everything.  It remembers the newest view
that the objecting node knew of, and does not go on alone in an older one.  (protocol D1, D7;
docs/decisions/0035.)
"""

from collections.abc import Sequence

import msgspec

from node.core.membership.incarnations import Incarnations, Table
from node.core.membership.own_writes import clocks_in
from node.core.membership.services import Services
from node.core.model.actors import Actor, actor_of, incarnation_of, view_of
from node.core.model.dots import DotClock, Vector
from node.core.model.slots import ALL
from node.core.model.token import COUNT_MAX
from node.core.model.view import FIRST, NO_VIEW, View, ViewId
from node.core.protocol.mark import NO_MARK, Mark
from node.core.protocol.messages import Epoch, Gossip, Message, Superseded
from node.core.replication.progress import PeerProgress

SEEN = msgspec.msgpack.Decoder(dict[str, Mark])
MOVED = (
    "its disk was that of the node at {}; a disk with data knows its view, so VIEW and SHARD_COUNT "
    "are not read"
)

encode = msgspec.msgpack.encode


class Identity:
    """The mark of this run, and the last mark seen of each node.  `reason` says why this
    incarnation was begun; it is empty if the disk was empty."""

    def __init__(self, services: Services) -> None:
        self._views = views = services.views
        self._step, self._keyspace = services.step, services.store
        self._incarnations, self._repair = services.incarnations, services.peers
        rows = self._keyspace.rows
        generation, seen = rows.read("meta", "generation"), rows.read("meta", "marks")
        self._generation = int(generation or b"0")
        self._seen = SEEN.decode(seen) if seen else {}
        self._looked_at: dict[str, int] = {}  # node id -> generation
        self._address = (rows.read("meta", "address") or b"").decode()
        self.reason = (rows.read("meta", "anew") or b"").decode()
        self._incarnations.meet(views.node_id, views.run)
        if self._generation:  # a new disk claims nothing that it lacks
            views.begin_unconfirmed()
        self.advance()
        self._began = self._generation
        self._declare_runs()

    def _declare_runs(self) -> None:
        """Declare the past runs of this node all of whose writes are here."""
        incarnation = actor_of(self._views.view.id, self._views.node_id)
        keyspace, clock = self._keyspace, self._keyspace.clock
        past = clock.runs_of(incarnation) - {keyspace.actor, *clock.loose}
        keyspace.runs.declare(incarnation, {actor: clock.base[actor] for actor in past})

    @property
    def mark(self) -> Mark:
        """What this node tells of itself; only messages that wait for the disk carry it."""
        return Mark(self._views.node_id, self._generation, self._views.run, self._began)

    def advance(self) -> None:
        """Count a start or a view change, so that peers can tell an older copy of this disk
        apart."""
        self._generation += 1
        self._step.record("meta", "generation", b"%d" % self._generation)

    def check_address(self) -> None:
        """Begin a new incarnation if the disk was at another address; called before the first
        message."""
        if not self._address:
            self._address = self._views.address
            self._step.record("meta", "address", self._address.encode())
        elif self._address != self._views.address:
            self.begin_anew(MOVED.format(self._address))

    def generation_of(self, address: str) -> int:
        """The last generation of the node at this address whose comparison this run has accepted.
        A mark alone does not say what the disk has."""
        return self._looked_at.get(self._incarnations.current(address) or "", 0)

    # ---- others
    def meet(self, source: str, mark: Mark) -> bool:
        """Take note of another node's mark; False if this node objects, and then its message must
        be dropped."""
        if mark == NO_MARK or source == self._views.address:
            return True
        known, address = self._seen.get(mark.node_id), self._views.address
        if known is not None and _contradicts(known, mark):
            reason = f"its disk is a copy, or older than what {address} has seen of it"
            self._step.tell(source, Superseded(mark, reason))
            return False
        self._incarnations.meet(mark.node_id, mark.run)
        if known != mark:
            self._seen[mark.node_id] = mark
            self._step.record("meta", "marks", encode(self._seen))
        return True

    def accepts(self, source: str, mark: Mark, row: PeerProgress) -> bool:
        """Whether a peer's mark and comparison agree with what this node knows.  If not, the node
        with the wrong disk begins a new incarnation."""
        if not self.meet(source, mark):
            return False
        parts, oldest_view, address = (
            self._keyspace.parts,
            self._views.history.oldest_view,
            self._views.address,
        )
        if self._repair.has_lost(source, row, parts, oldest_view):
            reason = f"its disk lacks what it had told {address} that it holds"
            self._step.tell(source, Superseded(mark, reason))
            return False
        if self._lacks_own(row):
            self.begin_anew(f"its disk lacks writes that it named and that {source} has")
            return False
        self._looked_at[mark.node_id] = mark.generation
        return True

    # ---- ourselves
    def on_superseded(self, source: str, message: Superseded, epoch: Epoch) -> None:
        """Begin a new incarnation, because a peer objects.  An objection to an earlier run or
        generation is ignored."""
        if message.mark == self.mark:
            self.begin_anew(message.reason, max(epoch.view, epoch.oldest_view))

    def is_behind_itself(
        self, gossip: Gossip, oldest_view: ViewId, told: Sequence[View] = ()
    ) -> bool:
        """Whether other nodes know that this node has reported a view, and its disk does not.  Then
        it was in that view already, and must not take part in it as if for the first time (D10 R7).

        The oldest view proves a report, too.  It does not pass the view of a known node, nor reach
        a view that this node is in, without this node's report, unless the node was declared lost.
        `told`: the views that came with the oldest view.
        """
        views, history = self._views, self._views.history
        reported = max(
            history.reports.get(views.node_id, NO_VIEW), history.forgot, history.oldest_view
        )
        if gossip.reports.get(views.node_id, NO_VIEW) > reported:
            return True
        if not history.lost.union(gossip.lost).isdisjoint((views.node_id, f"@{views.address}")):
            return False
        is_in_view = views.view.number > 0 and views.address in views.view.nodes
        has_been_left = views.is_known and is_in_view and oldest_view > views.view.id
        settled = (view for view in (*history.views.values(), *told) if view.id == oldest_view)
        is_unreported = max(reported, FIRST) < oldest_view
        return has_been_left or (is_unreported and any(self._is_in(v, gossip) for v in settled))

    def _is_in(self, view: View, gossip: Gossip) -> bool:
        """Whether a view has this very incarnation: by its id, or by its address if no other
        incarnation is known there."""
        address, node_id = self._views.address, self._views.node_id
        incarnations = {
            *self._incarnations.table.get(address, ()),
            *gossip.incarnations.get(address, ()),
        }
        named = view.id_at(address)
        return address in view.nodes and (named == node_id if named else incarnations <= {node_id})

    def hears(self, source: str, gossip: Gossip, epoch: Epoch, views: Sequence[View] = ()) -> bool:
        """Whether what a node tells agrees with what this node knows of both; `epoch` has the view
        and the oldest view of the sender."""
        if not self.meet(source, gossip.mark):
            return False
        if self.is_behind_itself(gossip, epoch.oldest_view, views):
            reported = gossip.reports.get(self._views.node_id, NO_VIEW)
            newest = max(epoch.view, epoch.oldest_view, reported)
            self.begin_anew(f"its disk is older than what {source} knows of it", newest)
            return False
        if not self._views.is_vouched_for and self._lacks_what_all_had(gossip.cluster_watermark):
            self.begin_anew(f"its disk lacks writes that {source} knows it had")
            return False
        return self.lives_on(source, gossip.incarnations, max(epoch.view, epoch.oldest_view))

    def lives_on(self, source: str, told: Table, newest: ViewId = NO_VIEW) -> bool:
        """Whether this incarnation is not over, by the table of another node.

        If a later one has lived at this address, the disk of an earlier one was put back.  The
        shard peers may have closed it, with the later one's consent, and count all its writes as
        known: so it names none.  A new incarnation may hear late of others that were before it; so
        only one that has been heard of, and that no peer vouches for, can be over.
        """
        views, told_here = self._views, told.get(self._views.address, {})
        if views.is_vouched_for or not views.is_known or views.node_id not in told_here:
            return True
        known = Incarnations({views.address: dict(self._incarnations.table[views.address])})
        known.merge({views.address: told_here})
        if known.current(views.address) == views.node_id:
            return True
        reason = f"its disk is that of an incarnation before the last that {source} knows here"
        self.begin_anew(reason, newest)
        return False

    def goes_with(self, source: str, message: Message) -> bool:
        """Whether a message, other than a comparison, names only those of our writes that are here.
        The caller asks until a peer has vouched for this disk, because that peer may be gone before
        it does."""
        owned = self._keyspace.parts.owned()
        clocks = clocks_in(message) if owned else ()
        if any(all(_lacks_of(p.clock, clock, self._ours) for p in owned) for clock in clocks):
            self.begin_anew(f"its disk lacks writes that it named and that {source} knows of")
            return False
        return True

    @property
    def _ours(self) -> Actor:
        """The actor of this incarnation in the present view, without a run: it stands for all
        runs."""
        return actor_of(self._views.view.id, self._views.node_id)

    def _lacks_own(self, row: PeerProgress) -> bool:
        """Whether a peer has a write of ours, of this view, that is not on our disk."""
        return any(
            _lacks_of(part.clock, held.clock, self._ours)
            for part in self._keyspace.parts.owned()
            for held in row.groups
            if held.slots & part.slots
        )

    def _lacks_what_all_had(self, watermark: Vector) -> bool:
        """Whether our disk lacks what every member of our shard had, this node among them.

        Example: n1 and n2 are a shard, and both told each other that they have {n1: 30, n2: 25}.
        n1 tells that in its gossip.  n2 starts on an older disk, with {n1: 11, n2: 12}: it has told
        more than it has.  A write of n1 alone would prove the same, for n2 had told that, too.

        If this incarnation has not arrived yet, it may lack writes of other nodes without a fault:
        the watermark may rest on what the incarnation before it had.
        """
        keyspace, view_id = self._keyspace, self._views.view.id
        members = {self._views.address, *self._repair.shard_peers}
        has_arrived = not keyspace.parts.lacking()
        had = {
            actor: n
            for actor, n in watermark.items()
            if n < COUNT_MAX  # a closed run has this number; its writes are had or lost
            and view_of(actor) == view_id
            and self._incarnations.address_of(actor) in members
            and (has_arrived or incarnation_of(actor) == self._ours)
        }
        return any(part.clock.lacks(DotClock(had)) for part in keyspace.parts.owned())

    def begin_anew(self, reason: str, newest: ViewId = NO_VIEW) -> None:
        """End this replica and begin a new incarnation, which keeps the rows and does not claim
        that they are complete.  `newest`: the newest view that the objecting node knows of."""
        newest = max(newest, self._views.newest)
        self._keyspace.parts.become_incomplete_for_all()
        self._keyspace.save_parts()
        views, step = self._views, self._step
        for row in ("node", "known", "address"):
            step.record("meta", row, None)
        step.record("meta", "anew", reason.encode())
        if views.view.number:
            # What this incarnation has named is old, too.
            is_new = views.old_rows is None or views.is_known
            old = encode(views.view.id if is_new else views.old_rows)
            step.record("meta", "old", old)
        else:  # there are no rows; views told to another incarnation are not this one's
            step.record("meta", "views", None)
        if newest > views.view.id > NO_VIEW:
            step.record("meta", "newest", encode(newest))
        step.note(f"this node begins a new incarnation, with the rows that it has: {reason}")
        step.end_replica(f"this node has begun a new incarnation: {reason}")

    def on_oldest_view(self) -> None:
        """Views were retired: drop old rows that may be dangerous.

        If the view of the old rows is retired and no node waited for this incarnation, the owners
        have all that was written while that view was valid.  What the old disk named in that view
        later counts as known everywhere, though only this node has it.  A merge would drop it,
        and with it what it had replaced.  So the old rows go before any node hears of them.
        """
        views, keyspace = self._views, self._keyspace
        history, old = views.history, views.old_rows
        is_waited_for = views.is_known or views.node_id in history.reports
        if old is None or old >= history.oldest_view or is_waited_for:
            return
        owned, need = views.view.slots_of(views.address), history.need()
        keyspace.forget(ALL)
        keyspace.parts.show_all()
        keyspace.parts.adopt(views.view.id, owned, need, None)
        keyspace.save_parts()
        self._step.record("meta", "old", None)
        views.give_up_old_rows()
        self._repair.stop()
        views.settle_in()
        self._step.note(
            "this new incarnation gives up its old rows: their views were retired before it"
        )


def _contradicts(known: Mark, mark: Mark) -> bool:
    """Whether one disk cannot have told both marks in this order.  A run begins above all that the
    run before it has told, also if it has counted on since, by a view, before anyone heard it."""
    if mark.run != known.run:
        return mark.began <= known.generation
    return mark.generation < known.generation


def _lacks_of(mine: DotClock, theirs: DotClock, incarnation: str) -> bool:
    """Whether `theirs` has dots of this incarnation that `mine` lacks."""
    runs = theirs.runs_of(incarnation)
    if not runs:
        return False
    some = DotClock(
        {a: n for a, n in theirs.base.items() if a in runs},
        {a: numbers for a, numbers in theirs.loose.items() if a in runs},
    )
    return mine.lacks(some)
