"""The views this node knows: the current one, those not yet retired, and the floor.

The highest view known is the current one.  A view is retired when every node of every known view
has reported that all it held of older views is with the owners of the current one: then nobody
needs the old maps, and every older actor counts as known.  Nothing here is about data.
(protocol D10, R1 and R7.)
"""

from collections.abc import Iterable
from itertools import chain

import msgspec

from node.core.view import FIRST, NO_VIEW, Layout, View, ViewId, address_in, short_name

PROPOSER_CHARACTERS = 4


class Saved(msgspec.Struct, array_like=True):
    """What a restart needs; `joining`: the node has asked to be added to the others' view;
    `forgot`: the view in which it was told to forget everything, nothing older is learned."""

    views: list[View]
    floor: ViewId
    reports: dict[str, ViewId]
    lost: list[str]
    joining: bool
    forgot: ViewId = NO_VIEW


class History:
    """Views, by id; `reports` says for which view a node (by its id) has left its past."""

    def __init__(self, saved: Saved) -> None:
        self.views = {view.id: view for view in saved.views}
        self.current = self._highest()
        self.floor = saved.floor
        self.reports = dict(saved.reports)
        self.lost = set(saved.lost)
        self.joining = saved.joining
        self.forgot = saved.forgot
        self.wished: Layout | None = None  # what a client has asked of a node without a view
        self._nodes: list[str] = []  # of the views known, once somebody has asked for them

    @staticmethod
    def begin(view: View, joining: bool) -> Saved:
        """A node that knows no view but this one; the first view has nothing below it."""
        floor = FIRST if view.id == FIRST else NO_VIEW
        return Saved([view], floor, {}, [], joining)

    def saved(self) -> Saved:
        views = [self.views[view_id] for view_id in sorted(self.views)]
        lost = sorted(self.lost)
        return Saved(views, self.floor, dict(self.reports), lost, self.joining, self.forgot)

    def _highest(self) -> View:
        return self.views[max(self.views)]

    @property
    def settled(self) -> bool:
        """Whether everything older than the current view is retired."""
        return self.floor == self.current.id

    def need(self) -> set[ViewId]:
        """The views a store must be whole for to answer in the current one (R5a)."""
        view = self.current
        return {view.id, *(old for old in view.ancestors if old >= self.floor)}

    def nodes(self) -> list[str]:
        """The nodes of all known views, those of the current one first."""
        if not self._nodes:
            newest_first = [self.views[v].nodes for v in sorted(self.views, reverse=True)]
            self._nodes = list(dict.fromkeys(chain.from_iterable(newest_first)))
        return self._nodes

    def where(self, node: str) -> str:
        """The address to call a node at: what the newest view says that says it, or, before any
        view is known, the layout that is wished for; nothing where nobody knows."""
        known: list[View | Layout] = [self.views[v] for v in sorted(self.views, reverse=True)]
        known += [self.wished] if self.wished else []
        return next(filter(None, (address_in(each, node) for each in known)), "")

    def owners(self, slot: int) -> list[str]:
        """Whoever may hold the slot, by any known view: the present owners first."""
        newest_first = [self.views[view_id] for view_id in sorted(self.views, reverse=True)]
        shards = (view.shard_of(slot) for view in newest_first if view.shards)
        return list(dict.fromkeys(node for shard in shards for node in shard.members))

    def learn(self, views: Iterable[View], floor: ViewId) -> tuple[View | None, list[View]]:
        """Take over what another node knows: the view to adopt, if there is a higher one, and
        those that this node will never have been in."""
        before = self.current.id
        floor = max(floor, self.floor)
        told = [view for view in views if view.id >= floor and view.number > 0]
        if all(view.id <= self.forgot for view in told):
            told = []  # nothing that has come since
        fresh = [view for view in told if view.id not in self.views]
        self.views.update((view.id, view) for view in fresh)
        self._nodes = []
        newest = self.current = self._highest()
        skipped = [view for view in fresh if view is not newest or view.id < before]
        return (newest if newest.id > before else None), skipped

    def raise_floor(self, floor: ViewId) -> bool:
        """Views below are retired; whether that is new.  The current view is never below."""
        floor = min(floor, self.current.id)
        if floor <= self.floor:
            return False
        self.floor = floor
        self.views = {v: view for v, view in self.views.items() if v >= floor}
        self._nodes = []
        return True

    def yield_first_view(self, theirs: View) -> None:
        """Of two first views that are made from settings the other one is meant."""
        self.views[theirs.id] = theirs
        self._nodes = []

    def propose(self, layout: Layout, node_id: str, number: int, ids: tuple[str, ...]) -> View:
        """A view above all that are known, with a number not below the given one.  A layout that
        says no addresses leaves the nodes where they are, or were when they were in a view."""
        now, nodes = self.current, layout.nodes
        said = [address_in(now, node) if node in now.nodes else self.where(node) for node in nodes]
        return View(
            number=max(self.current.number + 1, self.forgot.number + 1, number),
            nodes=layout.nodes,
            shards=layout.shards,
            owner=layout.owner,
            proposer=short_name(node_id)[:PROPOSER_CHARACTERS],
            ids=ids,
            ancestors=tuple(sorted(old for old in self.views if old > NO_VIEW)),
            addresses=layout.addresses or (tuple(said) if now.addresses else ()),
        )
