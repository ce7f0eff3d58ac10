"""One write at its origin: whom it has asked, who has acknowledged it, how long it waits."""

import msgspec

from node.core.membership.failure_detector import Detector
from node.core.model.dots import Dot
from node.core.protocol.messages import Written
from node.core.protocol.operations import Put

BUDGET_S = 0.1  # `available` waits this long for members that have not given a sign of life
SLOW_S = 1.0  # and this long for members that have, and are only slow
HAND_OVER_S = 0.1  # so long a home may be silent before a write with an identity gets another one
UNREACHABLE_S = 0.5  # so long we look for a home before we say that there is none
LAST_ASK_S = 0.2  # so long before a write's time is over no home is asked again


class Write(msgspec.Struct, gc=False):
    """One write under way; the first of `members` that can be reached becomes its home."""

    put: Put
    members: tuple[str, ...]
    started: float
    home: str | None = None
    written: Written | None = None
    acks: set[str] = msgspec.field(default_factory=set)
    refused: set[str] = msgspec.field(default_factory=set)  # members that would not be its home
    silent: tuple[str, ...] = ()  # its earlier homes, which may name it yet
    named_acks: tuple[tuple[str, Dot], ...] = ()  # of the names that several homes have given it
    attempt: int = 0  # how often a home was asked
    asked: float = 0.0  # when it was asked last
    found: bool | None = None  # what a read has shown before: whether the key has a value

    def awaited(self, now: float, detector: Detector) -> int:
        """How many members may yet acknowledge in the time that `available` grants them."""
        left = [m for m in self.members if m not in self.acks]
        waited = now - self.asked
        if waited < BUDGET_S:
            return len([m for m in left if detector.reachable(m, now)])
        if waited < SLOW_S:
            return len([m for m in left if detector.heard(m) > self.asked])
        return 0

    @property
    def patience_s(self) -> float:
        """How long the origin looks for a home; longer if members refused, since they may be
        willing soon."""
        return max(UNREACHABLE_S, self.put.wait_s) if self.refused else UNREACHABLE_S

    def ack(self, source: str, dot: Dot) -> None:
        """Count a member that has the write on disk.  Where several homes may have named it, those
        count that have it under the name that the client is told."""
        if not self.put.identity:
            self.acks.add(source)
            return
        self.named_acks += ((source, dot),)
        told = self.written.dot if self.written else dot
        self.acks = {member for member, each in self.named_acks if each == told}

    def is_silent(self, now: float, detector: Detector) -> bool:
        """Whether its home has not named it in time, and another home may name it, too."""
        if not self.put.identity or self.home is None or self.written is not None:
            return False
        return now - self.asked >= HAND_OVER_S or not detector.reachable(self.home, now)

    def may_ask(self, now: float) -> bool:
        """Whether a home that is asked now can answer in time."""
        waited = now - self.started
        return waited < UNREACHABLE_S or waited < self.patience_s - LAST_ASK_S

    def deadline(self) -> float:
        """The time after which the home's answer comes too late."""
        timeout_s = self.put.timeout_s
        return min(self.asked + timeout_s, self.started + max(timeout_s, self.patience_s))

    def nodes(self) -> tuple[str, ...]:
        """The members that have it on disk, as far as they have said so."""
        return tuple([member for member in self.members if member in self.acks])
