"""The views: learning and adopting them, leaving the past to the new owners, retiring the old.

A view change only decides who must hold which slots; repair moves what is missing.  Who holds slots
of others forgets them when all their owners durably have everything (R4); who has left all its past
to the owners reports it; when all nodes of all known views have, the old views are retired.  A
proposal is durable before anybody hears of it, and its proposer adopts it like everybody else.
(protocol D10, R1, R4, R7, R8; docs/decisions/0012.)
"""

from typing import Any

import msgspec

from node.core.clock import Dot
from node.core.effects import Record
from node.core.history import History
from node.core.judging import Need
from node.core.keyspace import Keyspace
from node.core.lives import Lives
from node.core.messages import News, Stamp, Views
from node.core.repair import Repair
from node.core.turn import Turn
from node.core.view import FIRST, Actor, View, ViewId, actor_of, slot_of, view_of

encode = msgspec.msgpack.encode
PAST_MAX = 20


class Moving:
    """The views of one node, and the way from one to the next."""

    def __init__(
        self,
        address: str,
        node_id: str,
        history: History,
        rooms: tuple[Turn, Keyspace, Lives, Repair],
    ) -> None:
        self.address, self.node_id, self.history = address, node_id, history
        self._turn, self._keyspace, self.lives, self._repair = rooms
        self.previous: View | None = None
        self.adopted_at = 0.0
        self.past: list[dict[str, Any]] = []  # the views adopted since the start, newest last
        self.stamp = Stamp()
        self.is_known = self._keyspace.rows.read("meta", "known") is not None
        self.ended: dict[Actor, None] = {}  # past lives of our shard's members: refused
        self._begin()

    @property
    def view(self) -> View:
        return self.history.current

    def _settle_in(self) -> None:
        """The rooms follow the view and the floor: on start, on adoption, with each floor."""
        view, floor = self.view, self.history.floor
        self.stamp = Stamp(view.id, floor)
        self._keyspace.enter(view.id, floor, actor_of(view.id, self.node_id))

    def _begin(self) -> None:
        """A start: the parts are those of the disk, or all are new."""
        is_new = not len(self._keyspace.parts)
        self._take_over(None)
        self._keyspace.load_log()
        self._settle_in()
        if is_new:
            self._keyspace.save_parts()
            self.save()

    def _take_over(self, claim: ViewId | None) -> None:
        keyspace, view = self._keyspace, self.view
        owned = view.slots_of(self.address)
        keyspace.parts.adopt(view.id, owned, self.history.need(), claim)
        self._settle_in()
        self._repair.enter(view)
        self.name_ended()

    def name_ended(self) -> None:
        """Past lives of our shard's members, as actors of the current view."""
        members = (self.address, *self._repair.fellows)
        view_id = self.view.id
        self.ended = dict.fromkeys(a for m in members for a in self.lives.ended(m, view_id))

    def become_known(self) -> None:
        """A witness in this view has heard of this life: no view can be retired without its
        report any more."""
        if not self.is_known:
            self.is_known = True
            self._keyspace.outbox.append(Record("meta", "known", b"1"))

    def may_name(self) -> bool:
        """Whether this node may name writes: not in the view of its settings, as long as that may
        be one that the others have retired, with another life of this node."""
        return self.is_known or self.view.id != FIRST or not self.witnesses

    @property
    def witnesses(self) -> tuple[str, ...]:
        """Whose word it is that this life is known: our fellows', or, where there are none, that of
        the other nodes of the view."""
        fellows = self._repair.fellows
        return fellows or tuple(node for node in self.view.nodes if node != self.address)

    def peers(self) -> list[str]:
        """All nodes of all known views, without this one."""
        return [node for node in self.history.nodes() if node != self.address]

    def save(self) -> None:
        self._keyspace.outbox.append(Record("meta", "views", encode(self.history.saved())))

    # ---- R1: learn and adopt
    def message(self, news: News) -> Views:
        views = [view for view in self.history.views.values() if view.number]
        return Views(views, self.history.floor, news)

    def learn(self, message: Views) -> bool:
        """Take over what another node knows of the views; whether a higher one was adopted."""
        self.hear(message.news)
        before = self.view
        self._yield_first_view(message)
        newest, skipped = self.history.learn(message.views, message.floor)
        for view in skipped:
            if self._may_claim(view):
                self._keyspace.parts.skip(view.slots_of(self.address), view.id)
        if newest is not None:
            self.previous, self.adopted_at = before, self._turn.now
            self._remember(newest)
            if self.address in newest.nodes:
                self.history.joining = False
            self._take_over(newest.id if self._may_claim(newest) else None)
        raised = self._raise_floor(message.floor)
        if newest or skipped or raised:
            self._keyspace.save_parts()
            self.save()
        return newest is not None

    def _yield_first_view(self, message: Views) -> None:
        """First views are made from settings, so two clusters have two of one name: the one whose
        nodes have gone on is meant, and in that ours took no part."""
        history = self.history
        for view in message.views:
            mine = history.views.get(view.id)
            if mine is not None and mine != view and max(v.id for v in message.views) > FIRST:
                history.yield_first_view(view)
                self._keyspace.parts.disclaim(view.id)

    def _remember(self, view: View) -> None:
        shards = {shard.id: list(shard.members) for shard in view.shards}
        entry = {"id": str(view.id), "number": view.number, "at": self._turn.now, "shards": shards}
        self.past = [*self.past, entry][-PAST_MAX:]

    def hear(self, news: News) -> None:
        """Who has reported what, and who is lost."""
        history = self.history
        said = news.reports.items()
        new = {n: view for n, view in said if view > history.reports.get(n, history.floor)}
        history.reports.update(new)
        history.lost.update(news.lost)
        if new and history.joining and not self.view.number:  # there is a view: none is begun here
            self.save()

    def _may_claim(self, view: View) -> bool:
        """Whether this node takes part in a view from its start, with nothing lost: the view
        names it by its id; or by its address alone, and nobody else has ever lived there."""
        if view.id == FIRST or self.node_id in self.history.lost:
            return False
        known = view.id_at(self.address)
        return known == self.node_id or (not known and self.lives.is_first(self.address))

    def is_orphaned(self) -> bool:
        """Whether some of our slots lack the current view itself, and no fellow can bring it."""
        view = self.view
        parts = self._keyspace.parts.owned()
        lacks = view.id > FIRST and any(view.id not in part.whole for part in parts)
        return lacks and not self._repair.claims(view.id)

    # ---- R4: forget
    def forget(self) -> None:
        """Slots of others go when every owner durably has all of them."""
        keyspace, floor = self._keyspace, self.history.floor
        for part in keyspace.parts.held():
            claims = {view for view in part.whole if view >= floor}
            covered = self._repair.covered(part, self.view, part.clock, claims)
            if covered:
                keyspace.forget(covered)

    # ---- R7: report and retire
    def report(self) -> bool:
        """Say that all this node held of older views is with the present owners; whether it
        is news."""
        view, reports = self.view, self.history.reports
        if self.history.settled or reports.get(self.node_id) == view.id or not view.number:
            return False
        for part in self._keyspace.parts:
            older = part.clock.below(view.id)
            if self._repair.covered(part, view, older, set()) != part.slots:
                return False
        reports[self.node_id] = view.id
        self.save()
        return True

    def retire(self) -> bool:
        """Raise the floor if everybody has reported; whether it rose."""
        if self.history.settled or not self.view.number or self.waited_for():
            return False
        raised = self._raise_floor(self.view.id)
        self._keyspace.save_parts()
        self.save()
        return raised

    def waited_for(self) -> list[str]:
        """The nodes of all known views that have not reported the current one."""
        history, view_id = self.history, self.view.id
        waited = []
        for address in history.nodes():
            life = self.lives.current(address)
            is_lost = life in history.lost or (life is None and f"@{address}" in history.lost)
            if not is_lost and (life is None or history.reports.get(life) != view_id):
                waited.append(address)
        return waited

    def _raise_floor(self, floor: ViewId) -> bool:
        history = self.history
        if not history.raise_floor(floor):
            return False
        history.reports = {i: v for i, v in history.reports.items() if v >= history.floor}
        self._keyspace.parts.raise_floor(history.floor, history.need())
        if history.settled:
            self._repair.retire(history.floor)
        self.stamp = Stamp(self.view.id, history.floor)
        self._keyspace.floor = history.floor
        stable = self._keyspace.stable.items()
        self._keyspace.stable = {a: n for a, n in stable if view_of(a) >= history.floor}
        return True

    def slots_of_actor(self, actor: Actor) -> int | None:
        """The slots for which this actor may have written; None when its view or its node is not
        known."""
        view, address = self.history.views.get(view_of(actor)), self.lives.address_of(actor)
        return view.slots_of(address) if view is not None and address is not None else None

    # ---- R6: what a token asks of one key in this view
    def need_of(self, digest: int) -> Need:
        slot = slot_of(digest)
        shard = self.view.shard_of(slot)

        def elsewhere(actor: str) -> bool:
            slots = self.slots_of_actor(actor)
            return slots is not None and not slots >> slot & 1

        def same_shard(tag: int) -> bool:
            return self.view.shard_of(slot_of(tag)) is shard

        def here(dot: Dot, tag: int) -> bool:
            part = keyspace.parts.at(slot_of(tag))
            return part is not None and part.clock.has(dot)

        keyspace, view_id = self._keyspace, self.view.id
        return Need(digest, same_shard, elsewhere, here, keyspace.stable, view_id, keyspace.trim)
