"""Writes that wait for their acks, at their origin.

The origin asks one member, the home, to name the write; home and fellows answer the origin. A home
is asked once and never replaced: a second home might name the write again, with a stamp above what
its client wrote since. If it falls silent, nobody knows whether the write exists, and that is what
the client is told. (protocol P-3; docs/decisions/0006; style, rule 4.)
"""

from collections.abc import Callable, Container

import msgspec

from node.core.detector import Detector
from node.core.messages import (
    AVAILABLE,
    Accept,
    Ack,
    Declined,
    Elsewhere,
    Named,
    Outcome,
    Put,
    Stored,
    Unavailable,
    Unsure,
)
from node.core.quorum import enough, wanted

BUDGET_S = 0.1  # `available` waits this long for members that have not given a sign of life
SLOW_S = 1.0  # and this long for members that have, and are only slow
UNREACHABLE_S = 0.5  # so long we look for a home before we say that there is none
DEADLINE_S = 2.0
ATTEMPTS_BEFORE_MAX = 1_000_000

Asks = list[tuple[str, Accept]]


class Write(msgspec.Struct, gc=False):
    """One write under way; the first of `members` that can be reached becomes its home."""

    put: Put
    members: tuple[str, ...]
    started: float
    home: str | None = None
    named: Named | None = None
    acks: set[str] = msgspec.field(default_factory=set)
    refused: set[str] = msgspec.field(default_factory=set)  # members that would not be its home
    attempt: int = 0  # how often a home was asked
    found: bool | None = None  # what a read has shown before: whether the key has a value

    def awaited(self, now: float, detector: Detector) -> int:
        """How many members may yet acknowledge in the time that `available` grants them."""
        left = [m for m in self.members if m not in self.acks]
        waited = now - self.started
        if waited < BUDGET_S:
            return len([m for m in left if detector.reachable(m, now)])
        if waited < SLOW_S:
            return len([m for m in left if detector.heard(m) > self.started])
        return 0

    def nodes(self) -> tuple[str, ...]:
        """The members that have it on disk, as far as they have said so."""
        return tuple([member for member in self.members if member in self.acks])


class Writes:
    """All writes whose clients wait here."""

    def __init__(self, address: str, detector: Detector) -> None:
        self._address = address
        self._detector = detector
        self._writes: dict[int, Write] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def begin(
        self,
        request: int,
        put: Put,
        members: tuple[str, ...],
        now: float,
        found: bool | None = None,
    ) -> Asks:
        """`found`: a home was asked before, and a read has shown whether the key has a value."""
        write = self._writes[request] = Write(put, members, now, found=found)
        if found is not None:
            write.attempt = ATTEMPTS_BEFORE_MAX
        return self._ask_home(request, write, now)

    def _ask_home(self, request: int, write: Write, now: float, again: bool = True) -> Asks:
        """Ask the first member that can be reached; one that has refused only `again`, later."""
        write.home = self._first(write, write.refused, now)
        if write.home is None and again:
            write.home = self._first(write, (), now)
        if write.home is None:
            return []
        write.attempt += 1
        looked = write.found is not None
        return [(write.home, Accept(request, write.put, write.attempt, looked))]

    def _first(self, write: Write, refused: Container[str], now: float) -> str | None:
        for member in write.members:
            if member not in refused and self._detector.reachable(member, now):
                return member
        return None

    def on_ack(self, source: str, ack: Ack | Named, now: float) -> Outcome | None:
        write = self._writes.get(ack.request)
        if write is None:
            return None
        write.acks.add(source)
        if isinstance(ack, Named):
            write.named = ack
        return self._settle(ack.request, write, now)

    def without_home(self, source: str, refusal: Elsewhere | Unsure) -> Write | None:
        """The home certainly did not write it: the write, if it needs another home."""
        write = self._writes.get(refusal.request)
        if write is None or write.named is not None:
            return None
        if (write.home, write.attempt) != (source, refusal.attempt):
            return None
        write.home = None
        write.refused.add(source)
        return write

    def give_up(self, source: str, unsure: Unsure) -> Put | None:
        """The home did not write it and cannot tell whether it may: the write is not under way."""
        write = self.without_home(source, unsure)
        return self._writes.pop(unsure.request).put if write else None

    def ask_another(self, request: int, write: Write, now: float) -> Asks:
        """Ask a member that has not refused; the others may be asked again by the next tick."""
        return self._ask_home(request, write, now, again=False)

    def enter(self, members_of: Callable[[str, int], tuple[str, ...]]) -> list[tuple[int, Outcome]]:
        """Another view: its owners' acks are counted from zero; the home's own still counts.
        Gives the answers of those whose level its shards cannot reach."""
        replies: list[tuple[int, Outcome]] = []
        for request, write in list(self._writes.items()):
            write.members = members_of(write.put.key, request)
            write.acks &= {write.home or ""}
            write.refused.clear()
            try:
                wanted(write.put.level, len(write.members))
            except ValueError as error:
                del self._writes[request]
                reason = f"the view has changed: {error}; it may or may not be written"
                replies.append((request, Unavailable(reason, definite=False)))
        return replies

    def on_declined(self, declined: Declined) -> Outcome | None:
        """The home certainly did not write it."""
        known = self._writes.pop(declined.request, None) is not None
        return declined.outcome if known else None

    def _settle(self, request: int, write: Write, now: float) -> Outcome | None:
        """The answer, if the level is reached and the name has come."""
        named, home, copies = write.named, write.home, len(write.members)
        if named is None or home is None:
            return None
        nodes = write.nodes() or (home,)  # the home has it, owner or not
        acks = len(nodes)
        awaited = write.awaited(now, self._detector) if acks <= copies // 2 else 0
        if not enough(write.put.level, copies, acks, awaited):
            return None
        del self._writes[request]
        replaced = named.replaced or bool(write.found)
        return Stored(
            named.token, named.context, named.dot, replaced, acks, copies, home, nodes, named.clock
        )

    def tick(self, now: float) -> tuple[Asks, list[tuple[int, Outcome]]]:
        """What time has decided: answers, deadlines, silent homes."""
        asks: Asks = []
        replies: list[tuple[int, Outcome]] = []
        for request, write in list(self._writes.items()):
            outcome = self._settle(request, write, now) or self._expired(request, write, now)
            if outcome is not None:
                replies.append((request, outcome))
            elif write.home is None:
                asks += self._ask_home(request, write, now)
        return asks, replies

    def _expired(self, request: int, write: Write, now: float) -> Outcome | None:
        waited, level = now - write.started, write.put.level
        outcome = Unavailable("no replica of the key's shard can be reached", definite=True)
        if write.home is None and waited < UNREACHABLE_S:
            return None
        if write.home is not None:
            lost = write.named is None and not self._detector.reachable(write.home, now)
            if not lost and waited < DEADLINE_S:
                return None
            wish = "an answer" if level == AVAILABLE else f"level {level}"
            reached = f"{len(write.acks)} of {len(write.members)} replicas acknowledged"
            reason = f"{wish} was not reached in time: {reached}; it may or may not be written"
            outcome = Unavailable(reason, definite=False, acks=len(write.acks), nodes=write.nodes())
        del self._writes[request]
        return outcome
