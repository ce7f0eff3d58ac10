"""The views this node knows: the current one, those not yet retired, and the oldest view.

The highest view known is the current one.  Every node of every known view reports when all that it
held of older views is with the owners of the current one.  When all have reported, the older views
are retired: no node needs their maps, and every older actor counts as known.  Nothing here is about
data.  (protocol D10, R1 and R7.)
"""

from collections.abc import Iterable
from itertools import chain

import msgspec

from node.core.model.actors import short_name
from node.core.model.view import FIRST, NO_VIEW, Layout, View, ViewId, address_in

PROPOSER_CHARACTERS = 4
AHEAD_MAX = 16  # so far ahead of the current view may be one that a token names


class SavedViews(msgspec.Struct, array_like=True):
    """What a restart needs.  `joining`: the node has asked to be added to the others' view.
    `forgot`: the view in which the node was told to forget everything; it learns nothing older."""

    views: list[View]
    oldest_view: ViewId
    reports: dict[str, ViewId]
    lost: list[str]
    joining: bool
    forgot: ViewId = NO_VIEW


class ViewHistory:
    """What is known of views.

    `views`: those not yet retired, by id; `current` is the highest.
    `oldest_view`: every view below is retired.  It only rises.  Invariant: oldest view <=
    current.id, except at a node that has been told to forget its view.
    `reports`: for each node (by its id) the view to whose owners it has left its past; never below
    the oldest view.
    `lost`: the ids of nodes that a client has declared lost; entries are only added.
    `joining`: this node has asked to be added to the others' view, and is in none yet.
    `forgot`: the view that this node was told to forget; it learns nothing older.
    `requested`: the layout that a client has asked of a node that knows no view.
    `named`: the highest view that tokens of clients have named.  No node may know it any more.
    """

    def __init__(self, saved: SavedViews) -> None:
        self.views = {view.id: view for view in saved.views}
        self.current = self._highest()
        self.oldest_view = saved.oldest_view
        self.reports = dict(saved.reports)
        self.lost = set(saved.lost)
        self.joining = saved.joining
        self.forgot = saved.forgot
        self.requested: Layout | None = None
        self.named = NO_VIEW
        self._nodes: list[str] = []  # of the views known, once somebody has asked for them

    @staticmethod
    def begin(view: View, joining: bool) -> SavedViews:
        """The history of a node that knows only this view; the first view has nothing below it."""
        oldest_view = FIRST if view.id == FIRST else NO_VIEW
        return SavedViews([view], oldest_view, {}, [], joining)

    def saved(self) -> SavedViews:
        views = [self.views[view_id] for view_id in sorted(self.views)]
        lost = sorted(self.lost)
        return SavedViews(
            views, self.oldest_view, dict(self.reports), lost, self.joining, self.forgot
        )

    def _highest(self) -> View:
        return self.views[max(self.views)]

    @property
    def settled(self) -> bool:
        """Whether everything older than the current view is retired."""
        return self.oldest_view >= self.current.id  # above it where a node has forgotten its view

    def unretired(self) -> list[ViewId]:
        """The views of which a node may still have writes that the owners of the current one lack;
        none when the current view is settled."""
        return [] if self.settled else sorted(old for old in self.views if old > NO_VIEW)

    def has_all(self, views: Iterable[ViewId]) -> bool:
        """Whether this node knows all of these views that are not retired."""
        return all(view in self.views for view in views if view >= self.oldest_view)

    def report(self, node_id: str) -> None:
        """Note that this node has left its past to the owners of the current view."""
        self.reports[node_id] = self.current.id

    def forget_reports(self) -> None:
        """Forget reports that came before the views that they are of."""
        self.reports.clear()

    def has_joined(self) -> None:
        """Note that this node is in the view that it wanted to be in."""
        self.joining = False

    def give_up(self, lost: Iterable[str]) -> None:
        """Note that these nodes were declared lost, here or elsewhere."""
        self.lost.update(lost)

    def request(self, layout: Layout) -> None:
        """Note the layout that a client wants while no view is known."""
        self.requested = layout

    def hear_of(self, view: ViewId) -> None:
        """Note that a client's token names this view.  A number far ahead was made up."""
        if self.named < view and view.number <= self.current.number + AHEAD_MAX:
            self.named = view

    def take_reports(self, said: dict[str, ViewId]) -> bool:
        """Take over reports of a node all of whose views this node knows; return whether any is
        new."""
        new = {n: view for n, view in said.items() if view > self.reports.get(n, self.oldest_view)}
        self.reports.update(new)
        return bool(new)

    def need(self) -> set[ViewId]:
        """The views a store must be complete for to answer in the current one (R5a)."""
        view = self.current
        if not view.ancestors:
            return {view.id}
        return {view.id, *(old for old in view.ancestors if old >= self.oldest_view)}

    def nodes(self) -> list[str]:
        """The nodes of all known views, those of the current one first."""
        if not self._nodes:
            newest_first = [self.views[v].nodes for v in sorted(self.views, reverse=True)]
            self._nodes = list(dict.fromkeys(chain.from_iterable(newest_first)))
        return self._nodes

    def is_named_by_incarnation(self, node: str, incarnation: str | None) -> bool:
        """Whether the proposer of a known view knew that this incarnation is there."""
        return any(incarnation and view.id_at(node) == incarnation for view in self.views.values())

    def was_only_named(self, node: str) -> bool:
        """Whether the node has left the current view and can have heard of the views that name it
        only from other nodes.  A view without ancestors is made from settings, or by an order that
        may have been given to that node, too."""
        naming = [view for view in self.views.values() if node in view.nodes]
        return node not in self.current.nodes and all(view.ancestors for view in naming)

    def where(self, node: str) -> str:
        """The address to call a node at, by the newest view that has one.  Before any view is known
        the requested layout counts; empty if neither says it."""
        known: list[View | Layout] = [self.views[v] for v in sorted(self.views, reverse=True)]
        known += [self.requested] if self.requested else []
        return next(filter(None, (address_in(each, node) for each in known)), "")

    def owners(self, slot: int) -> list[str]:
        """The nodes that may hold the slot, by any known view; the present owners first."""
        if len(self.views) == 1:  # nearly always
            (view,) = self.views.values()
            return list(view.shard_of(slot).members) if view.shards else []
        newest_first = [self.views[view_id] for view_id in sorted(self.views, reverse=True)]
        shards = (view.shard_of(slot) for view in newest_first if view.shards)
        return list(dict.fromkeys(node for shard in shards for node in shard.members))

    def learn(self, views: Iterable[View], oldest_view: ViewId) -> tuple[View | None, list[View]]:
        """Take over what another node knows.  Return the view to adopt, if there is a higher one,
        and the views in which this node never took part."""
        before = self.current.id
        oldest_view = max(oldest_view, self.oldest_view)
        told = [view for view in views if view.id >= oldest_view and view.number > 0]
        if all(view.id <= self.forgot for view in told):
            told = []  # nothing that has come since
        fresh = [view for view in told if view.id not in self.views]
        self.views.update((view.id, view) for view in fresh)
        self._nodes = []
        newest = self.current = self._highest()
        skipped = [view for view in fresh if view is not newest or view.id < before]
        return (newest if newest.id > before else None), skipped

    def raise_oldest_view(self, oldest_view: ViewId) -> bool:
        """Retire the views below this oldest view; return whether that is new.  The current view is
        never retired."""
        oldest_view = min(oldest_view, self.current.id)
        if oldest_view <= self.oldest_view:
            return False
        self.oldest_view = oldest_view
        self.reports = {node: v for node, v in self.reports.items() if v >= oldest_view}
        self.views = {v: view for v, view in self.views.items() if v >= oldest_view}
        self._nodes = []
        return True

    def yield_first_view(self, theirs: View) -> None:
        """Replace our first view by the other one; both are made from settings."""
        self.views[theirs.id] = theirs
        self._nodes = []

    def propose(self, layout: Layout, name: str, number: int, ids: tuple[str, ...]) -> View:
        """Make a view above all that are known, with at least this number.  `name` is that of its
        proposer's run, so no two views have one id.  If the layout has no addresses, the nodes keep
        those that views last said; if it has no policies, they stay.  A cluster that was once
        sharded never counts as unsharded again."""
        now, nodes = self.current, layout.nodes
        said = [address_in(now, node) if node in now.nodes else self.where(node) for node in nodes]
        return View(
            number=max(number, 1 + max(self.current.number, self.forgot.number, self.named.number)),
            nodes=layout.nodes,
            shards=layout.shards,
            owner=layout.owner,
            proposer=short_name(name)[:PROPOSER_CHARACTERS],
            ids=ids,
            ancestors=tuple(sorted(old for old in self.views if old > NO_VIEW)),
            addresses=layout.addresses or (tuple(said) if now.addresses else ()),
            unsharded=now.unsharded and len(layout.shards) == 1,
            policies=now.policies if layout.policies is None else layout.policies,
        )
