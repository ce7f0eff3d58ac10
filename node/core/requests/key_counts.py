"""Counts of a shard's keys: the origin answers with its own count, or asks a member of the
shard.
"""

import msgspec

from node.core.membership.failure_detector import Detector
from node.core.membership.services import Services
from node.core.protocol.key_pages import CountKeys, KeyCount
from node.core.protocol.operations import Count, Counted, Outcome, Unavailable

ASK_AGAIN_S = 0.2
DEADLINE_S = 2.0


class Counting(msgspec.Struct):
    """One count under way."""

    members: tuple[str, ...]
    started: float
    asked_at: float = float("-inf")
    tried: list[str] = msgspec.field(default_factory=list)


class CountOrigin:
    """What an origin does with a count: it answers from its own store, or asks a member.
    `under_way`: the counts that wait for a member."""

    def __init__(self, services: Services) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._counts = Counts(services.detector)
        self.under_way = self._counts.under_way

    def begin(self, request: int, count: Count) -> None:
        shard = self._views.view.shard_named(count.shard)
        if shard is None:
            reason = f"there is no shard {count.shard!r}"
            self._step.reply(request, Unavailable(reason, definite=True))
        elif self._views.address in shard.members:
            self._step.reply(request, Counted(self._keyspace.live_keys))
        else:
            for member, ask in self._counts.begin(request, shard.members, self._step.now):
                self._step.ask(member, ask)

    def on_count_keys(self, source: str, message: CountKeys) -> None:
        """Tell another origin how many live keys this node has."""
        self._step.tell(source, KeyCount(message.request, self._keyspace.live_keys))

    def on_key_count(self, source: str, message: KeyCount) -> None:
        self._step.reply(message.request, self._counts.on_key_count(message))

    def tick(self) -> None:
        """Ask again, or give up, as time demands."""
        asks, replies = self._counts.tick(self._step.now)
        for member, ask in asks:
            self._step.ask(member, ask)
        for request, outcome in replies:
            self._step.reply(request, outcome)


class Counts:
    """All counts whose clients wait at this node."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.under_way = self._counts = dict[int, Counting]()

    def __len__(self) -> int:
        return len(self._counts)

    def begin(
        self, request: int, members: tuple[str, ...], now: float
    ) -> list[tuple[str, CountKeys]]:
        count = self._counts[request] = Counting(members, now)
        return self._ask(request, count, now)

    def _ask(self, request: int, count: Counting, now: float) -> list[tuple[str, CountKeys]]:
        able = [m for m in count.members if self._detector.reachable(m, now)]
        fresh = [m for m in able if m not in count.tried] or able
        if not fresh:
            return []
        count.tried.append(fresh[0])
        count.asked_at = now
        return [(fresh[0], CountKeys(request))]

    def on_key_count(self, message: KeyCount) -> Outcome | None:
        return Counted(message.keys) if self._counts.pop(message.request, None) else None

    def tick(self, now: float) -> tuple[list[tuple[str, CountKeys]], list[tuple[int, Outcome]]]:
        asks: list[tuple[str, CountKeys]] = []
        replies: list[tuple[int, Outcome]] = []
        for request, count in list(self._counts.items()):
            if now - count.started >= DEADLINE_S:
                del self._counts[request]
                outcome = Unavailable("no replica of the shard can be reached", definite=True)
                replies.append((request, outcome))
            elif now - count.asked_at >= ASK_AGAIN_S:
                asks += self._ask(request, count, now)
        return asks, replies
