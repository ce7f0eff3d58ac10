"""Reads that wait, at their origin: for a member's state, or for the past their token names.

A read is the join of the states it has been sent (its own, if it holds the slot), judged against
the token here and nowhere else.  It may be answered when, for the current view and every one that
led to it, as many states as copies are wanted come from stores that are whole for that view (D10
R5).  Not covered: everybody who may hold the slot, by any view, is asked.  Still not covered: the
read is refused at once, or parks and asks again until its deadline.
(protocol D4.3, D9.2, D9.3, D9.11.)
"""

from dataclasses import dataclass, field

from node.core.clock import Clock, Dot
from node.core.detector import Detector
from node.core.judging import Missing, Need, answer
from node.core.messages import (
    Fetch,
    Get,
    Outcome,
    State,
    Unavailable,
    Unmet,
)
from node.core.siblings import Item, sync
from node.core.view import ViewId

ASK_AGAIN_S = 0.1
UNREACHABLE_S = 0.5
DEADLINE_S = 2.0

Asks = list[tuple[str, Fetch]]


@dataclass(slots=True)
class Read:
    """One read under way: the join of what has been sent."""

    get: Get
    need: Need
    owners: tuple[str, ...]
    holders: tuple[str, ...]  # whoever may hold the slot, the owners first
    views: set[ViewId]  # those that it takes
    started: float
    item: Item = field(default_factory=Item)
    clock: Clock = field(default_factory=Clock)
    claims: dict[str, list[ViewId]] = field(default_factory=dict)  # by who has answered
    asked: dict[str, float] = field(default_factory=dict)
    holds: dict[str, set[Dot]] = field(default_factory=dict)  # the versions each has, for mending

    def add(self, source: str, state: State) -> None:
        self.item = sync(self.item, state.item)
        self.clock.join(state.clock)
        self.claims[source] = state.claims
        if self.get.mend:
            self.holds[source] = set(state.item.versions)

    def missing(self) -> Missing:
        return self.need.to_show(self.get, self.item, self.clock)

    def whole(self) -> list[str]:
        """Those whose own state is whole for every view it takes."""
        return [source for source, claims in self.claims.items() if self.views <= set(claims)]

    def has_whole(self) -> bool:
        """Whether what is missing here is missing indeed."""
        return bool(self.whole()) or self.is_whole()

    def is_whole(self) -> bool:
        """Whether all states together are: for each view from as many as copies are wanted."""
        copies = min(self.get.copies, len(self.owners))
        claims = [view for claimed in self.claims.values() for view in claimed]
        return bool(copies) and all(claims.count(view) >= copies for view in self.views)


class Reads:
    """All reads whose clients wait here."""

    def __init__(self, address: str, detector: Detector) -> None:
        self._address = address
        self._detector = detector
        self._reads: dict[int, Read] = {}

    def __len__(self) -> int:
        return len(self._reads)

    def begin(self, request: int, read: Read, now: float) -> Asks:
        """Ask as many members as the read wants copies of, the first ones by preference; a read
        that mends asks all."""
        self._reads[request] = read
        wanted = len(read.owners)
        if not read.get.mend:
            wanted = min(read.get.copies, wanted) - len(read.whole())
        able = [m for m in read.owners if self._detector.reachable(m, now)]
        fresh = [m for m in able if m not in read.claims]
        return self._ask(request, read, fresh[: max(0, wanted)], now)

    def _ask(self, request: int, read: Read, members: list[str], now: float) -> Asks:
        for member in members:
            read.asked[member] = now
        return [(member, Fetch(request, read.get.key, read.get.is_bound)) for member in members]

    def drop(self, request: int) -> None:
        """Nobody waits for this read any more."""
        self._reads.pop(request, None)

    def get(self, request: int) -> Read | None:
        """The read of this number, if it still waits."""
        return self._reads.get(request)

    def waiting_for(self, key: str) -> list[tuple[int, Read]]:
        """The reads that a change of this key may satisfy."""
        return [(request, read) for request, read in self._reads.items() if read.get.key == key]

    def wants_pull(self, read: Read) -> bool:
        """Whether the states sent for this read should also repair this replica: a read that is
        refused at once does not pull, unless it mends."""
        return (read.get.wait_s > 0 or read.get.mend) and self._address in read.owners

    def judge(self, request: int, read: Read, now: float) -> tuple[Asks, Outcome | None]:
        """Answer, ask everybody, refuse, or go on waiting."""
        missing = read.missing()
        if not missing and read.is_whole():
            return [], self._finish(request, read)
        able = [m for m in read.holders if self._detector.reachable(m, now)]
        unasked = [m for m in able if m not in read.asked and m not in read.claims]
        if unasked and (read.claims or now - read.started >= ASK_AGAIN_S):
            return self._ask(request, read, unasked, now), None
        all_answered = all(m in read.claims for m in able) and read.has_whole()
        if missing and all_answered and not read.get.wait_s:
            del self._reads[request]
            return [], Unmet(missing)
        return [], None

    def _finish(self, request: int, read: Read) -> Outcome:
        del self._reads[request]
        whole = read.whole() or list(read.claims)
        served_by = self._address if self._address in whole else min(whole)
        return answer(read.get, read.need, read.item, served_by)

    def restart(self) -> list[tuple[int, Read]]:
        """Forget what has been sent, and by whom: all reads begin again, in another view."""
        reads, self._reads = self._reads, {}
        return list(reads.items())

    def tick(self, now: float) -> tuple[Asks, list[tuple[int, Outcome]]]:
        """What time has decided: deadlines, and members to be asked again."""
        asks: Asks = []
        replies: list[tuple[int, Outcome]] = []
        for request, read in list(self._reads.items()):
            more, outcome = self.judge(request, read, now)
            outcome = outcome or self._expired(request, read, now)
            if outcome is not None:
                replies.append((request, outcome))
                continue
            due = [m for m, at in read.asked.items() if now - at >= ASK_AGAIN_S]
            able = [m for m in due if self._detector.reachable(m, now)]
            asks += more + self._ask(request, read, able, now)
        return asks, replies

    def _expired(self, request: int, read: Read, now: float) -> Outcome | None:
        waited = now - read.started
        missing = read.missing()
        if missing and read.has_whole():
            patience = read.get.wait_s or ASK_AGAIN_S
            outcome: Outcome = Unmet(missing)
        elif read.claims:
            patience = max(read.get.wait_s, DEADLINE_S)
            claims = {view for claimed in read.claims.values() for view in claimed}
            unheard = ", ".join(str(view) for view in sorted(read.views - claims))
            reason = "too few replicas of the key's shard answered"
            reason += f": nobody who was reached has all of view {unheard}" if unheard else ""
            outcome = Unavailable(reason, definite=True, nodes=tuple(read.claims))
        else:
            able = any(self._detector.reachable(m, now) for m in read.holders)
            patience = max(read.get.wait_s, DEADLINE_S) if able else UNREACHABLE_S
            outcome = Unavailable("no replica of the key's shard can be reached", definite=True)
        if waited < patience:
            return None
        self._reads.pop(request, None)
        return outcome
