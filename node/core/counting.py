"""Counts that wait, at their origin, for a member of another shard to say what it holds."""

from dataclasses import dataclass, field

from node.core.detector import Detector
from node.core.messages import Counted, CountKeys, KeyCount, Outcome, Unavailable

ASK_AGAIN_S = 0.2
DEADLINE_S = 2.0


@dataclass(slots=True)
class Counting:
    """One count under way."""

    members: tuple[str, ...]
    started: float
    asked_at: float = float("-inf")
    tried: list[str] = field(default_factory=list)


class Counts:
    """All counts whose clients wait here."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._counts: dict[int, Counting] = {}

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
