"""Writes that wait for their acks, at their origin.

The origin asks one member, the home, to name the write; home and fellows answer the origin.  A home
that stays silent is replaced by the next member; should both have named it, the write has two dots
of one value, and the client is told of one.  Whatever is not certain is answered as unknown.
(protocol P-3; style, rule 4: a request lives in one place.)
"""

from dataclasses import dataclass, field

from node.core.clock import Dot
from node.core.detector import Detector
from node.core.messages import (
    AVAILABLE,
    Accept,
    Ack,
    Declined,
    Named,
    Outcome,
    Put,
    Stored,
    Unavailable,
)
from node.core.quorum import enough

BUDGET_S = 0.1  # `available` waits this long for members that have not given a sign of life
SLOW_S = 1.0  # and this long for members that have, and are only slow
HOME_SILENT_S = 0.25
DEADLINE_S = 2.0

Asks = list[tuple[str, Accept]]


@dataclass(slots=True)
class Write:
    """One write under way; `members` in the order in which they are asked to be its home."""

    put: Put
    members: tuple[str, ...]
    started: float
    tried: list[str] = field(default_factory=list)
    asked: float = 0.0
    acks: dict[Dot, set[str]] = field(default_factory=dict)
    named: dict[Dot, tuple[str, Named]] = field(default_factory=dict)

    def awaited(self, dot: Dot, now: float, detector: Detector) -> int:
        """How many members may yet acknowledge in the time that `available` grants them."""
        left = [m for m in self.members if m not in self.acks[dot]]
        waited = now - self.started
        if waited < BUDGET_S:
            return sum(detector.reachable(m, now) for m in left)
        if waited < SLOW_S:
            return sum(detector.heard(m) > self.started for m in left)
        return 0


class Writes:
    """All writes whose clients wait here."""

    def __init__(self, address: str, detector: Detector) -> None:
        self._address = address
        self._detector = detector
        self._writes: dict[int, Write] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def begin(self, request: int, put: Put, members: tuple[str, ...], now: float) -> Asks:
        write = self._writes[request] = Write(put, members, now)
        return self._ask_next_home(request, write, now)

    def _ask_next_home(self, request: int, write: Write, now: float) -> Asks:
        """The next member that can be reached; when all were tried, from the start."""
        able = [m for m in write.members if self._detector.reachable(m, now)]
        fresh = [m for m in able if m not in write.tried]
        if not able:
            return []
        home = fresh[0] if fresh else able[0]
        write.tried.append(home)
        write.asked = now
        return [(home, Accept(request, write.put))]

    def on_ack(self, source: str, ack: Ack | Named, now: float) -> Outcome | None:
        write = self._writes.get(ack.request)
        if write is None:
            return None
        write.acks.setdefault(ack.dot, set()).add(source)
        if isinstance(ack, Named):
            write.named[ack.dot] = source, ack
        return self._settle(ack.request, write, now)

    def on_declined(self, declined: Declined) -> Outcome | None:
        """Certainly not written by this home; a request that another may have named goes on."""
        write = self._writes.get(declined.request)
        if write is None or len(set(write.tried)) > 1:
            return None
        del self._writes[declined.request]
        return declined.outcome

    def _settle(self, request: int, write: Write, now: float) -> Outcome | None:
        for dot, (home, named) in write.named.items():
            acks = len(write.acks[dot])
            awaited = write.awaited(dot, now, self._detector)
            if enough(write.put.level, len(write.members), acks, awaited):
                del self._writes[request]
                return Stored(
                    named.token,
                    named.context,
                    dot,
                    named.replaced,
                    acks,
                    len(write.members),
                    home,
                )
        return None

    def tick(self, now: float) -> tuple[Asks, list[tuple[int, Outcome]]]:
        """What time has decided: answers, deadlines, silent homes."""
        asks: Asks = []
        replies: list[tuple[int, Outcome]] = []
        for request, write in list(self._writes.items()):
            outcome = self._settle(request, write, now) or self._expired(request, write, now)
            if outcome is not None:
                replies.append((request, outcome))
            elif not write.named and self._home_is_silent(write, now):
                asks += self._ask_next_home(request, write, now)
        return asks, replies

    def _home_is_silent(self, write: Write, now: float) -> bool:
        if not write.tried or not self._detector.reachable(write.tried[-1], now):
            return True
        silent = now - write.asked >= HOME_SILENT_S
        return silent and (len(write.tried) == 1 or now - write.asked >= 2 * HOME_SILENT_S)

    def _expired(self, request: int, write: Write, now: float) -> Outcome | None:
        waited = now - write.started
        if not write.tried and waited >= BUDGET_S * 5:
            del self._writes[request]
            return Unavailable("no replica of the key's shard can be reached", definite=True)
        if waited < DEADLINE_S:
            return None
        del self._writes[request]
        acks = max((len(members) for members in write.acks.values()), default=0)
        level = write.put.level
        asked = "an answer" if level == AVAILABLE else f"level {level}"
        return Unavailable(
            f"{asked} was not reached in time: {acks} of {len(write.members)} acknowledged",
            definite=not write.tried,
            acks=acks,
        )
