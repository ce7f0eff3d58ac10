"""A node of another shard that keeps writes for owners, until these have them.

    on_hint        a home leaves a write here, because its target cannot be reached
    tick           the target can be reached: hand it over, some hints at a time
    on_taken_over  an owner has it on its disk, or has judged it: drop it

An owner judges a hint as it judges a `Replicate` (`write_replica.py`).  Messages may be lost, so a
hint is handed over again until it is answered.

A hint of the present view goes to its target alone.  A hint of an older view goes to every present
owner, and until all have it this node does not report that it has left that view.  One of them
would not do: an owner that gets the write after its own report waits for no other owner any more.
If the older view were retired then, the other owners would count the write as known and not have
it.

Example: n4 keeps x, which n1 has named a1 in view 1, for n3.

    n3 is back     n4 hands x over; n3 merges it, and tells n4 when its disk has it: x is dropped
    n3 has left    in view 2 n1 and n5 own the key.  n4 hands x over to n1, which has it, and to n5.
                   When both have told n4 so, x is dropped, and n4 may report view 2
    view 2 is the  (n4 was declared lost, so no node has waited for it): all that was named in view
    oldest view    1 counts as known everywhere.  n4 drops x

(protocol P-3, D10 R7; docs/decisions/0043.)
"""

from collections.abc import Iterator
from itertools import islice

import msgspec

from node.core.membership.services import Services
from node.core.model.actors import view_of
from node.core.model.options import Options
from node.core.protocol.hints import HandOver, Hint, Hinted, TakenOver
from node.core.storage.hints import Kept

GIVE_WAY_S = 0.1  # so long after something was done for a client few hints are handed over
PAUSE_S = 0.02  # until the next ones are
AGAIN_S = 1.0  # so long an owner may take to answer; then each wait is twice the one before
AGAIN_S_MAX = 16.0
BYTES_AT_ONCE_MAX = 512 * 1024
NEVER = float("inf")


class Handed(msgspec.Struct, frozen=True, gc=False):
    """When a hint was handed over last, and after which time it is handed over again."""

    at: float
    wait_s: float


class HintHolder:
    """The hints of one replica; `next_tick` is when more may be handed over, if that is soon."""

    def __init__(self, services: Services, options: Options) -> None:
        self._views, self._step = services.views, services.step
        self._hints, self._detector = services.store.hints, services.detector
        self._at_once = options.hints_at_once, options.hints_beside_clients
        self._handed: dict[int, Handed] = {}
        self._taken: dict[int, set[str]] = {}  # the owners that need a hint no more, in this view
        self._view = self._views.view.id
        self.next_tick = NEVER

    def on_hint(self, source: str, hint: Hint) -> None:
        """Keep a write for its target, and tell the origin once it is on this disk.  This node may
        have reported already that it has left older views, so it keeps no write of them."""
        if view_of(hint.dot[0]) < self._views.view.id:
            return
        self._step.serve()
        if self._hints.add(hint.target, hint.key, hint.item, hint.dot):
            self._step.tell(hint.origin, Hinted(hint.request, hint.dot, hint.target))

    def on_taken_over(self, source: str, message: TakenOver) -> None:
        """Drop a hint when all owners that are to have it need it no more."""
        number, kept = message.number, self._hints.kept.get(message.number)
        if kept is None or kept.dot != message.dot:
            return
        self._enter()
        self._taken.setdefault(number, set()).add(source)
        self._handed.pop(number, None)
        if not self._left(number, kept):
            self._drop(number)
        self.next_tick = min(self.next_tick, self._step.now + PAUSE_S)

    def _drop(self, number: int) -> None:
        self._hints.drop(number)
        self._handed.pop(number, None)
        self._taken.pop(number, None)

    def _enter(self) -> None:
        """Begin anew in another view: it has other owners, and what the last ones told is over."""
        if self._view != self._views.view.id:
            self._view = self._views.view.id
            self._handed.clear()
            self._taken.clear()

    def tick(self) -> None:
        """Hand over as many hints as this node may now, the oldest first."""
        self.next_tick = NEVER
        if not self._hints:
            return
        self._enter()
        for number in list(self._hints.below(self._views.history.oldest_view)):
            self._drop(number)
        now, bytes_left = self._step.now, BYTES_AT_ONCE_MAX
        is_busy = now - self._step.served < GIVE_WAY_S
        room = self._at_once[is_busy] - sum(now - h.at < AGAIN_S for h in self._handed.values())
        for number, owner in list(islice(self._due(now), max(room, 0))):
            if bytes_left <= 0:
                break
            bytes_left -= self._hints.kept[number].bytes
            self._hand_over(number, owner)
            self.next_tick = now + (GIVE_WAY_S if is_busy else PAUSE_S)

    def _due(self, now: float) -> Iterator[tuple[int, str]]:
        """The hints that are not waiting for an answer, each with an owner that is to have it and
        can be reached.  In a settled view all are of that view, so they go to their targets."""
        settled, reachable = self._views.history.settled, self._detector.reachable
        able = {target for target in self._hints.numbers if reachable(target, now)}
        if settled and not able:
            return
        for number, kept in self._hints.kept.items():
            if (not settled or kept.target in able) and self._is_due(number, now):
                left = self._left(number, kept)
                if owner := next((owner for owner in left if reachable(owner, now)), None):
                    yield number, owner

    def _is_due(self, number: int, now: float) -> bool:
        handed = self._handed.get(number)
        return handed is None or now - handed.at >= handed.wait_s

    def _left(self, number: int, kept: Kept) -> list[str]:
        """The owners that are to have a hint, and have not said yet that they need it no more."""
        view, taken = self._views.view, self._taken.get(number, ())
        is_old = view_of(kept.dot[0]) < view.id
        owners = view.shard_of(kept.slot).members if is_old else (kept.target,)
        return [owner for owner in owners if owner not in taken]

    def _hand_over(self, number: int, owner: str) -> None:
        before, saved = self._handed.get(number), self._hints.read(number)
        wait_s = min(2 * before.wait_s, AGAIN_S_MAX) if before else AGAIN_S
        self._handed[number] = Handed(self._step.now, wait_s)
        self._step.tell(owner, HandOver(number, saved.key, saved.item, saved.dot))
