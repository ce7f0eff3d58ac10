"""Lists of the live keys of a shard, answered by a member from its own whole state.

A list waits until every slot has arrived here and the clocks cover all that the reader's token says
of this shard; its answer's token is the union over the keys listed.  (protocol D9, «key list».)
"""

from dataclasses import dataclass

from node.core.effects import DAMAGED, Damaged
from node.core.judging import DAMAGED_HERE, Missing, shown_versions
from node.core.keyspace import ITEMS, Keyspace
from node.core.moving import Moving
from node.core.requests import List, Listed, Mode, Outcome, Unavailable, Unmet
from node.core.siblings import Item
from node.core.token import Token
from node.core.turn import Turn
from node.core.view import Actor, digest_of, slot_of
from node.core.walk import key_of

PAGE_ROWS = 512
NO_SHARD = Unavailable("this node is a member of no shard", definite=True)
NOT_SOUND = Unavailable(f"of some key: {DAMAGED_HERE}", definite=True)
NOT_ARRIVED = Unavailable("not all of this node's slots have arrived here yet", definite=True)


@dataclass(frozen=True, slots=True)
class Waiting:
    list: List
    until: float


class Lists:
    """The lists whose clients wait here."""

    def __init__(self, moving: Moving, keyspace: Keyspace, turn: Turn) -> None:
        self._moving, self._keyspace, self._turn = moving, keyspace, turn
        self._waiting: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, request: int, wish: List) -> None:
        self._waiting[request] = Waiting(wish, self._turn.now + wish.wait_s)
        self.tick()

    def tick(self) -> None:
        for request, waiting in list(self._waiting.items()):
            outcome = self._outcome(waiting)
            if outcome is not None:
                del self._waiting[request]
                self._turn.reply(request, outcome)

    def _outcome(self, waiting: Waiting) -> Outcome | None:
        moving, keyspace = self._moving, self._keyspace
        shard = moving.view.shard_with(moving.address)
        if shard is None:
            return NO_SHARD
        missing = self._missing(waiting.list.token)
        if not missing and not keyspace.parts.lacking():
            return self._listed_if_sound(shard.id, waiting)
        if self._turn.now < waiting.until:
            return None
        return Unmet(missing) if missing else NOT_ARRIVED

    def _missing(self, token: Token) -> Missing:
        """What the token says of our slots and our clocks do not cover."""
        missing: Missing = {}
        if token.view > self._moving.view.id:
            return {f"view.{token.view}": (self._moving.view.number, token.view.number)}
        for (actor, n), tag in token.exact.items():
            part = self._keyspace.parts.at(slot_of(tag))
            if part is not None and part.owned and not part.clock.has((actor, n)):
                missing[actor] = part.clock.base.get(actor, 0), n
        for actor, n in token.floor.items():
            for part in self._keyspace.parts.owned():
                slots = self._moving.slots_of_actor(actor)
                matters = slots is None or slots & part.slots
                have = part.clock.base.get(actor, 0)
                if matters and n > have and not part.clock.drops(actor):
                    missing[actor] = have, n
        stable = self._keyspace.stable
        return {a: (have, n) for a, (have, n) in missing.items() if n > stable.get(a, 0)}

    def _listed_if_sound(self, shard: str, waiting: Waiting) -> Outcome | None:
        try:
            return self._listed(shard, waiting.list)
        except Damaged as found:
            self._turn.suspect(found)
            return NOT_SOUND if self._turn.now >= waiting.until else None

    def _listed(self, shard: str, wish: List) -> Listed:
        items: dict[str, tuple[bytes, ...]] = {}
        floor: dict[Actor, int] = dict(wish.token.floor)
        joined = Token(floor, dict(wish.token.exact), wish.token.keys, wish.token.stamp)
        for key, item in self._items():
            digest = digest_of(key, wish.mode is Mode.LWW)
            for dot, version in item.versions.items():
                joined = joined.joined(version.deps)
                if dot[1] > self._keyspace.stable.get(dot[0], 0):
                    joined.exact[dot] = digest
            shown = shown_versions(wish.mode, item)
            if shown:
                order = sorted(shown, key=item.rank, reverse=True)
                items[key] = tuple(shown[dot].value or b"" for dot in order)
        return Listed(shard, items, self._keyspace.trim(joined))

    def _items(self) -> list[tuple[str, Item]]:
        owned, after = self._keyspace.parts.owned_slots, None
        found: list[tuple[str, Item]] = []
        while rows := self._keyspace.rows_of(owned, after, PAGE_ROWS):
            for row, blob in rows:
                if blob == DAMAGED:
                    raise Damaged(row)
                found.append((key_of(row), ITEMS.decode(blob)))
            after = rows[-1][0]
        return found
