"""Proposing views: for clients here, for nodes outside the view, for nodes that want to join.

A proposal is durable before any other node hears of it: its proposer tells it to itself first, and
adopts it as all others do.  Only a node of the view may propose.  Then every view that can still
win knows all views before it.  A node outside the view forwards the request; a node that knows no
view first asks the nodes that the request names.  (protocol D10, R1, I8.)
"""

from node.core.membership.gossip import Gossiping
from node.core.membership.services import Services
from node.core.model.placement import reshaped, with_node
from node.core.model.view import NO_VIEW, Layout, Shard, View, ViewId, address_in
from node.core.protocol.messages import ForwardedProposal, Gossip, Granted, Join, Views
from node.core.protocol.operations import Adopted, Outdated, Propose, Unavailable

COLD_S = 1.0  # so long a node without a view waits to be told of one
EARLY_S = 2.0  # so long a node waits for an introducer before it passes a proposal on
FORWARDED_S = 2.0
NOBODY = Unavailable(
    "this node may not change the view by itself, and no other node of it can be reached",
    definite=True,
)
UNHEARD = Unavailable("the node that was asked to propose did not answer in time", definite=False)

Waiter = tuple[str, int]  # the node whose client waits, and the number of its request


class Proposals:
    """The requests for another view that are under way at this node."""

    def __init__(self, services: Services, gossip: Gossiping) -> None:
        self._views, self._step, self._gossip = services.views, services.step, gossip
        self._keyspace, self._detector = services.store, services.detector
        self._incarnations = services.incarnations
        self._number = int(self._keyspace.rows.read("meta", "proposed") or 0)
        self._pending: dict[ViewId, tuple[Waiter | None, Propose]] = {}  # not adopted yet
        self._cold: list[tuple[float, Waiter, Propose]] = []  # until we may be told of a view
        self._early: list[tuple[float, Waiter, Propose]] = []  # until an introducer is heard
        self._forwarded: dict[int, float] = {}  # passed on, until when we wait for the answer

    def __len__(self) -> int:
        return len(self._cold) + len(self._early) + len(self._forwarded)

    def on_propose(self, request: int, propose: Propose) -> None:
        """Propose the view that a client of this node wants."""
        self._begin((self._views.address, request), propose)

    def on_join(self, source: str, join: Join) -> None:
        """Add a node of no view to ours; it owns nothing at first.  A node that has left the view
        itself forwards the request."""
        view = self._views.view
        if not view.number or self._pending or join.address in view.nodes:
            return
        if self._may():
            self._propose(None, Propose(with_node(view, join.address)))
        elif source == join.address and (able := self._others_reachable()):
            self._step.ask(able[0], join)

    def on_forwarded_proposal(self, source: str, forwarded: ForwardedProposal) -> None:
        """Propose what the client of a node outside our view wants, unless it was made from another
        view than ours: it would undo what has come since."""
        view, waiter = self._views.view, (source, forwarded.request)
        if not self._may(Propose(forwarded.layout, None, forwarded.lost)):
            return
        if forwarded.base not in (None, view.id):
            self._answer(waiter, adopted=False)
            return
        layout = like(forwarded.layout, view) if forwarded.anew else forwarded.layout
        self._propose(waiter, Propose(layout, forwarded.base, forwarded.lost))

    def on_granted(self, source: str, granted: Granted) -> None:
        if self._forwarded.pop(granted.request, None) is not None:
            view = granted.view
            outcome = Adopted(view) if granted.adopted else Outdated(view)
            self._step.reply(granted.request, outcome)

    def replace_us(self) -> None:
        """Propose the same layout again with the present ids, if no owner is complete for the
        current view because all lost their disks before they adopted it (R8)."""
        if not self._pending and self._may():
            self._propose(None, Propose(self._views.view.layout))

    def tick(self) -> None:
        """Go on with requests that have waited long enough, and give up forwarded ones."""
        now = self._step.now
        early, self._early = self._early, []
        for until, waiter, propose in early:
            self._begin(waiter, propose, until)
        due = [cold for cold in self._cold if cold[0] <= now]
        self._cold = [cold for cold in self._cold if cold[0] > now]
        for _, waiter, propose in due:
            self._begin_the_first(waiter, propose)
        for request in [r for r, deadline in self._forwarded.items() if deadline <= now]:
            del self._forwarded[request]
            self._step.reply(request, UNHEARD)

    # ---- making one
    def _begin(self, waiter: Waiter, propose: Propose, until: float | None = None) -> None:
        view, address, now = self._views.view, self._views.address, self._step.now
        until = now + EARLY_S if until is None else until
        others = {*view.nodes, *propose.layout.nodes} - {address}
        if propose.base is not None and propose.base != view.id:
            self._step.reply(waiter[1], Outdated(view))
        elif not view.number and others:
            self._views.history.request(propose.layout)
            self._step.link_with(sorted(others))
            self._cold.append((now + COLD_S, waiter, propose))
        elif not view.number or self._may(propose):
            self._propose(waiter, propose)
        elif address in view.nodes and (now < until or not self._views.is_confirmed):
            self._early.append((until, waiter, propose))
        else:
            self._pass_on(waiter[1], propose, anew=False)

    def _begin_the_first(self, waiter: Waiter, propose: Propose) -> None:
        """Begin a view without knowing any, since no node has told one in time.

        A node that has forgotten a view begins one above it, and must not do so beside a cluster
        that goes on without it: the cluster would take the new view for what comes after its own,
        although the new view does not say what it comes after.  So such a node begins one only if
        every other node of it says that it is in no view."""
        others = [node for node in propose.layout.nodes if node != self._views.address]
        forgot = self._views.history.forgot
        if forgot > NO_VIEW and not all(map(self._gossip.knows_no_view, others)):
            self._step.reply(waiter[1], has_left(forgot))
        else:
            self._propose(waiter, propose)

    def _pass_on(self, request: int, propose: Propose, anew: bool) -> None:
        able = self._others_reachable()
        if not able:
            self._step.reply(request, NOBODY)
            return
        self._forwarded[request] = self._step.now + FORWARDED_S
        base = None if anew else propose.base
        forwarded = ForwardedProposal(request, propose.layout, anew, propose.lost, base)
        self._step.ask(able[0], forwarded)

    def _others_reachable(self) -> list[str]:
        """The other nodes of the view that can be reached."""
        others = [node for node in self._views.view.nodes if node != self._views.address]
        return [node for node in others if self._detector.reachable(node, self._step.now)]

    def _may(self, propose: Propose | None = None) -> bool:
        """Whether this node may propose: no view can be retired without its report.

        Only then every view that can still win knows all views before it.  A node of no view knows
        none: it may have forgotten the one in which the others go on.  To be in an older view is
        not enough: that view may be retired already, and a node with a new disk (D7) or an old
        one (D1) does not know that.  So an introducer must have heard of this incarnation and this
        run, unless the proposal declares lost or moves all introducers.
        """
        views = self._views
        is_inside = bool(views.view.number) and views.address in views.view.nodes
        if not is_inside or views.is_outdated or not views.is_confirmed:
            return False
        is_seen = views.is_heard_of() and views.is_vouched_for
        return is_seen or all(self._is_out_of_reach(node, propose) for node in views.introducers)

    def _is_out_of_reach(self, introducer: str, propose: Propose | None) -> bool:
        """Whether an introducer cannot be heard before the proposal is adopted: the proposal
        declares it lost, or alone says where it is now (docs/decisions/0017)."""
        if propose is None:
            return False
        said = address_in(propose.layout, introducer) if propose.layout.addresses else ""
        is_moved = bool(said) and said != self._views.history.where(introducer)
        return is_moved or introducer in propose.lost

    def _propose(self, waiter: Waiter | None, propose: Propose) -> None:
        """Make the view durable and tell it to this node; only then may others hear of it."""
        views = self._views
        if views.view.number and not self._may(propose):
            if waiter is not None and waiter[0] == views.address:
                self._pass_on(waiter[1], propose, anew=False)
            return
        views.history.give_up(self._lost_id(address) for address in propose.lost)
        ids = tuple(self._incarnations.current(node) or "" for node in propose.layout.nodes)
        name = f"{views.node_id}{views.run}"
        view = views.history.propose(propose.layout, name, self._number + 1, ids)
        self._number = view.number
        self._step.record("meta", "proposed", str(view.number).encode())
        self._pending[view.id] = waiter, propose
        gossip = Gossip({}, {}, {}, sorted(views.history.lost))
        self._step.tell(views.address, Views([view], views.history.oldest_view, gossip))

    def _lost_id(self, address: str) -> str:
        return self._incarnations.current(address) or f"@{address}"

    def is_complete(self, view: View) -> bool:
        """Whether a view that we proposed has all unretired views as its ancestors.  The node may
        have heard of another one before the proposal was durable.  Then the proposal is made anew.
        """
        known = {v for v in self._views.history.views if v > NO_VIEW} - {view.id}
        if view.id not in self._pending or known <= set(view.ancestors):
            return True
        waiter, propose = self._pending.pop(view.id)
        if propose.base is None or waiter is None:
            self._propose(waiter, propose)
        else:
            self._answer(waiter, adopted=False)
        return False

    # ---- answering
    def on_adopted(self) -> None:
        """Answer the clients whose proposals the new view decides, and go on with those that waited
        for a view."""
        for view_id, (waiter, _) in list(self._pending.items()):
            if view_id <= self._views.view.id:
                del self._pending[view_id]
                if waiter is not None:
                    self._answer(waiter, adopted=view_id == self._views.view.id)
        cold, self._cold = self._cold, []
        for _, waiter, propose in cold:
            if propose.base is not None:  # that there is no view yet
                self._answer(waiter, adopted=False)
            elif self._may(propose):
                layout = like(propose.layout, self._views.view)
                self._propose(waiter, Propose(layout, None, propose.lost))
            else:
                self._pass_on(waiter[1], propose, anew=True)

    def _answer(self, waiter: Waiter, adopted: bool) -> None:
        origin, request = waiter
        view = self._views.view
        if origin == self._views.address:
            self._step.reply(request, Adopted(view) if adopted else Outdated(view))
        else:
            self._step.tell(origin, Granted(request, view, adopted))


def has_left(forgot: ViewId) -> Unavailable:
    """Why a node that has forgotten a view begins no other one."""
    reason = (
        f"this node has left view {forgot} and forgotten it, and some nodes of the proposed view "
        "have not said that they are in no view: send the request to a node of the cluster"
    )
    return Unavailable(reason, definite=True)


def like(forwarded: Layout, now: View) -> Layout:
    """A layout for the current view with the nodes and the number of shards of a layout that was
    made without one."""
    layout = reshaped(now, forwarded.nodes, len(forwarded.shards))
    named = zip(forwarded.shards, layout.shards, strict=True)
    shards = tuple(Shard(requested.id, shard.members) for requested, shard in named)
    return Layout(layout.nodes, shards, layout.owner, policies=forwarded.policies)
