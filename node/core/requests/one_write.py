"""One write under way at its origin: what its acks count for, and how long it waits for members."""

from collections.abc import Callable, Sequence

import msgspec

from node.core.membership.failure_detector import Detector
from node.core.model.dots import Dot
from node.core.protocol.hints import Hinted
from node.core.protocol.messages import ReplicateAgain, Written
from node.core.protocol.operations import Put
from node.core.requests.hinting import Hints

BUDGET_S = 0.1  # `available` waits this long for members that have not given a sign of life
SLOW_S = 1.0  # and this long for members that have, and are only slow
HAND_OVER_S = 0.1  # so long a home may be silent before another one is asked
UNREACHABLE_S = 0.5  # so long we look for a home before we say that there is none
AGAIN_S = 0.3  # so long after its name a write without enough acks is first told again
LAST_ASK_S = 0.2  # so long before a write's time is over no home is asked again

Again = list[tuple[str, ReplicateAgain]]
Places = Callable[[str, Sequence[str], Sequence[str]], Hints]  # of a key, its members, those away


class Write(msgspec.Struct, gc=False):
    """One write under way; the first of `members` that can be reached becomes its home."""

    put: Put
    members: tuple[str, ...]
    started: float
    number: int  # of its origin's writes, in the order in which they begin
    identity: str = ""  # what homes are told; empty while only the origin itself was asked
    home: str | None = None
    written: Written | None = None
    acks: set[str] = msgspec.field(default_factory=set)
    refused: set[str] = msgspec.field(default_factory=set)  # members that would not be its home
    silent: tuple[str, ...] = ()  # its earlier homes, which may name it yet
    named_acks: tuple[tuple[str, Dot], ...] = ()  # of the names that several homes have given it
    attempt: int = 0  # how often a home was asked
    asked: float = 0.0  # when it was asked last
    named: float = 0.0  # when its home had named it
    next_again: float = 0.0  # when it is told again to those that have not acknowledged it
    found: bool | None = None  # what a read has shown before: whether the key has a value
    hints: dict[str, str] = msgspec.field(default_factory=dict)  # target -> holder, as was asked
    hinted: tuple[tuple[str, Dot], ...] = ()  # targets for which a holder has a name of the write

    # ---- what happens to it
    def ask(self, home: str | None, now: float) -> None:
        """Make this member its home, if there is one."""
        self.home = home
        if home is not None:
            self.attempt += 1
            self.asked = now

    def call(self, identity: str) -> str:
        """Give it an identity; return that."""
        self.identity = identity
        return identity

    def leave_home(self) -> None:
        """Let its home, which is silent, be one of several that may name it."""
        assert self.home is not None
        self.silent += (self.home,)

    def refuse(self, source: str) -> None:
        """Note that its home certainly did not write it."""
        self.home = None
        self.refused.add(source)

    def decline(self, source: str) -> bool:
        """Note that a home has declined it; return whether another home may have named it."""
        homes = [home for home in (*self.silent, self.home) if home not in (None, source)]
        if homes:
            self.refused.add(source)
            self.silent, self.home = tuple(homes[:-1]), homes[-1]
        return bool(homes)

    def name(self, source: str, written: Written, now: float) -> None:
        """Take the name that its client is told, and the home that gave it."""
        self.written, self.home = written, source
        self.named, self.next_again = now, now + AGAIN_S

    def hint(self, hinted: Hinted) -> None:
        """Count a node that durably keeps it for a member."""
        self.hinted += ((hinted.target, hinted.dot),)

    def lay_before(self, members: tuple[str, ...]) -> None:
        """Let these members be asked."""
        self.members = members

    def on_view(self, members: tuple[str, ...]) -> None:
        """Follow a new view: its owners' acks count from zero, beside the home's own."""
        self.members = members
        self.acks &= {self.home or ""}
        self.named_acks = tuple(ack for ack in self.named_acks if ack[0] == self.home)
        self.refused.clear()
        self.hints, self.hinted = {}, ()
        self.next_again = 0.0

    # ---- what counts
    def kept_for(self) -> set[str]:
        """The members that have not acknowledged it, and for which another node durably keeps it
        under the name that the client is told."""
        if not self.hinted:
            return set()
        told = self.written and self.written.dot
        kept = {target for target, dot in self.hinted if dot == told}
        return kept & set(self.members) - self.acks

    def counted(self, now: float, detector: Detector) -> int:
        """How many hints count for the level: none while owners that can be reached may yet have it
        in the time that `available` grants them.  So owners count first, and a write at `quorum`
        has two of them while only one is away."""
        if not self.hinted:
            return 0
        left = [m for m in self.members if m not in self.acks and m != self.home]
        if now - self.asked < BUDGET_S and any(detector.reachable(m, now) for m in left):
            return 0
        return len(self.kept_for() - {self.home})

    def awaited(self, now: float, detector: Detector) -> int:
        """For how many members it may yet be acknowledged in the time that `available` grants: by
        the members, or at first by those that are to keep it for them."""
        done, waited = self.acks | self.kept_for(), now - self.asked
        left = [m for m in self.members if m not in done]
        if waited < BUDGET_S:
            able, hints = detector.reachable, self.hints
            return len([m for m in left if able(m, now) or able(hints.get(m, m), now)])
        if waited < SLOW_S:
            return len([m for m in left if detector.heard(m) > self.asked])
        return 0

    def lay_out(self, now: float, detector: Detector, places: Places) -> Hints:
        """Choose with whom it is left for the members that cannot be reached, if its client takes
        hints."""
        able = detector.reachable
        if not self.put.hinted or not (away := [m for m in self.members if not able(m, now)]):
            return ()
        done = {self.home, *self.acks, *self.kept_for()}
        hints = places(self.put.key, self.members, [m for m in away if m not in done])
        self.hints |= dict(hints)
        return hints

    @property
    def patience_s(self) -> float:
        """How long the origin looks for a home; longer if members refused, since they may be
        willing soon."""
        return max(UNREACHABLE_S, self.put.wait_s) if self.refused else UNREACHABLE_S

    def ack(self, source: str, dot: Dot) -> None:
        """Count a member that has the write on disk.  Where several homes may have named it, those
        count that have it under the name that the client is told."""
        if not self.identity:
            self.acks.add(source)
            return
        self.named_acks += ((source, dot),)
        told = self.written.dot if self.written else dot
        self.acks = {member for member, each in self.named_acks if each == told}

    def is_silent(self, now: float, detector: Detector) -> bool:
        """Whether its home has not named it in time, and another home may name it, too.  Where the
        client will not send it again, a home that gives signs of life gets more time: when all
        nodes are slow, two homes for each write would make them slower."""
        if not self.identity or self.home is None or self.written is not None:
            return False
        is_slow = not self.put.identity and detector.heard(self.home) > self.asked
        late = now - self.asked >= (SLOW_S if is_slow else HAND_OVER_S)
        return late or not detector.reachable(self.home, now)

    def again(self, request: int, now: float, detector: Detector, places: Places) -> Again:
        """Have the write told again to the members that can be reached and have not acknowledged
        it, and left for those that cannot, if it is time: a message was lost with a link or a view,
        or a member has gone since.  Each wait is twice as long as the one before."""
        if self.written is None or now < self.next_again:
            return []
        self.next_again = now + max(now - self.named, AGAIN_S)
        owners = tuple(m for m in self.members if m not in self.acks and detector.reachable(m, now))
        holders = (self.home, *(member for member in self.members if member in self.acks))
        holder = next((node for node in holders if node and detector.reachable(node, now)), None)
        if holder is None:
            return []
        hints = self.lay_out(now, detector, places)
        if not owners and not hints:
            return []
        return [(holder, ReplicateAgain(request, self.put.key, self.written.dot, owners, hints))]

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
