"""Lists of the live keys of a shard; a member answers from its own store alone.

A list waits until all of the node's slots have arrived and the clocks cover what the reader's token
says of this shard.  The answer's token joins those of all keys listed.  A list of siblings also
waits for what they depend on within their key, as a read does.  (protocol D9.)
"""

import msgspec

from node.core.membership.services import Services
from node.core.model.actors import Actor
from node.core.model.conditions import Mode
from node.core.model.dots import covered_by
from node.core.model.item import Item
from node.core.model.keys import is_plain, key_hash_of, key_of
from node.core.model.token import Token
from node.core.protocol.effects import DAMAGED, Damaged
from node.core.protocol.operations import Get, List, Listed, Outcome, Unavailable, Unmet
from node.core.requests.coverage import Missing, missing_in, need_of
from node.core.requests.read_answer import DAMAGED_HERE, shown_versions
from node.core.storage.keyspace import ITEMS

PAGE_ROWS = 512
NO_SHARD = Unavailable("this node is a member of no shard", definite=True)
NOT_SOUND = Unavailable(f"of some key: {DAMAGED_HERE}", definite=True)
NOT_ARRIVED = Unavailable("not all of this node's slots have arrived here yet", definite=True)


class Waiting(msgspec.Struct, frozen=True):
    list: List
    until: float


class Lists:
    """The lists of this node's clients.  `under_way`: those that still wait."""

    def __init__(self, services: Services) -> None:
        self._views, self._keyspace, self._step = services.views, services.store, services.step
        self.under_way = self._waiting = dict[int, Waiting]()

    def begin(self, request: int, wanted: List) -> None:
        self._waiting[request] = Waiting(wanted, self._step.now + wanted.wait_s)
        self.tick()

    def tick(self) -> None:
        for request, waiting in list(self._waiting.items()):
            outcome = self._outcome(waiting)
            if outcome is not None:
                del self._waiting[request]
                self._step.reply(request, outcome)

    def _outcome(self, waiting: Waiting) -> Outcome | None:
        views, keyspace = self._views, self._keyspace
        shard = views.view.shard_with(views.address)
        if shard is None:
            return NO_SHARD
        missing = missing_in(waiting.list.token, keyspace.parts.owned_slots, views, keyspace)
        if not missing and not keyspace.parts.lacking():
            return self._listed_if_sound(shard.id, waiting)
        if self._step.now < waiting.until:
            return None
        return Unmet(missing) if missing else NOT_ARRIVED

    def _listed_if_sound(self, shard: str, waiting: Waiting) -> Outcome | None:
        try:
            outcome: Outcome = self._listed(shard, waiting.list)
        except Damaged as found:  # the row may be whole again before the time is over
            self._step.suspect(found)
            outcome = NOT_SOUND
        is_final = isinstance(outcome, Listed) or self._step.now >= waiting.until
        return outcome if is_final else None

    def _listed(self, shard: str, wanted: List) -> Listed | Unmet:
        items: dict[str, tuple[bytes, ...]] = {}
        missing: Missing = {}
        floor: dict[Actor, int] = dict(wanted.token.floor)
        joined = Token(floor, dict(wanted.token.exact), wanted.token.keys, wanted.token.timestamp)
        for key, item in self._items():
            key_hash = key_hash_of(key, wanted.mode is Mode.LWW)
            for dot, version in item.versions.items():
                joined = joined.joined(version.deps)
                if dot[1] > covered_by(self._keyspace.watermarks.cluster, dot[0]):
                    joined.exact[dot] = key_hash
            shown = shown_versions(wanted.mode, item.at(self._step.now_ms))
            if shown:
                order = sorted(shown, key=item.rank, reverse=True)
                items[key] = tuple(shown[dot].text for dot in order)
            if wanted.mode is Mode.SIBLINGS:
                missing |= self._unseen(key)
        return Unmet(missing) if missing else Listed(shard, items, self._keyspace.trim(joined))

    def _unseen(self, key: str) -> Missing:
        """The writes of the key on which its siblings depend and which this node lacks
        (docs/decisions/0007)."""
        item, clock = self._keyspace.filled(key), self._keyspace.clock_of(key)
        need = need_of(key_hash_of(key, False), self._views, self._keyspace)
        return need.to_show(Get(key, Mode.SIBLINGS), item, clock)

    def _items(self) -> list[tuple[str, Item]]:
        owned, after = self._keyspace.parts.owned_slots, None
        found: list[tuple[str, Item]] = []
        while rows := self._keyspace.rows_of(owned, after, PAGE_ROWS):
            for row, blob in rows:
                if blob == DAMAGED:
                    raise Damaged(row)
                if is_plain(key := key_of(row)):
                    found.append((key, ITEMS.decode(blob)))
            after = rows[-1][0]
        return found
