"""The writes under way at their origin: which members to ask, and what acks and time decide."""

from collections.abc import Callable, Container, Sequence

import msgspec

from node.core.membership.failure_detector import Detector
from node.core.model.dots import Dot
from node.core.model.quorum import AVAILABLE, enough, wanted
from node.core.protocol.hints import Hinted
from node.core.protocol.messages import (
    Accept,
    Ack,
    CannotDecide,
    Declined,
    NotOwner,
    ReplicateAgain,
    Written,
)
from node.core.protocol.operations import Outcome, Put, Stored, Unavailable
from node.core.requests.hinting import Hints

BUDGET_S = 0.1  # `available` waits this long for members that have not given a sign of life
SLOW_S = 1.0  # and this long for members that have, and are only slow
HAND_OVER_S = 0.1  # so long a home may be silent before a write with an identity gets another one
UNREACHABLE_S = 0.5  # so long we look for a home before we say that there is none
AGAIN_S = 0.3  # so long after its name a write without enough acks is first told again
LAST_ASK_S = 0.2  # so long before a write's time is over no home is asked again

UNREACHABLE = Unavailable("no replica of the key's shard can be reached", definite=True)
NOT_YET = Unavailable(
    "no replica of the key's shard that can be reached may name writes yet", definite=True
)

Asks = list[tuple[str, Accept]]
Again = list[tuple[str, ReplicateAgain]]
Places = Callable[[str, Sequence[str], Sequence[str]], Hints]  # of a key, its members, those away


def nowhere(key: str, members: Sequence[str], away: Sequence[str]) -> Hints:
    """The holders of a node that leaves no hints."""
    return ()


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
    named: float = 0.0  # when its home had named it
    next_again: float = 0.0  # when it is told again to those that have not acknowledged it
    found: bool | None = None  # what a read has shown before: whether the key has a value
    hints: dict[str, str] = msgspec.field(default_factory=dict)  # target -> holder, as was asked
    hinted: tuple[tuple[str, Dot], ...] = ()  # targets for which a holder has a name of the write

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


class Writes:
    """All writes whose clients wait at this node: which members to ask, and what acks and time
    decide."""

    def __init__(self, address: str, detector: Detector, places: Places = nowhere) -> None:
        self._address = address
        self._detector, self._places = detector, places
        self.under_way = self._writes = dict[int, Write]()

    def __len__(self) -> int:
        return len(self._writes)

    def begin(
        self,
        request: int,
        put: Put,
        members: tuple[str, ...],
        now: float,
        found: bool | None = None,
        attempts: int = 0,
    ) -> Asks:
        """Begin a write.  `found`: a home was asked before, and a read has shown whether the key
        has a value.  The count of attempts goes on, so a late refusal of an earlier one does not
        count."""
        write = Write(put, members, now, attempt=attempts, found=found)
        self._writes[request] = write
        return self._ask_home(request, write, now)

    def _ask_home(self, request: int, write: Write, now: float, again: bool = True) -> Asks:
        """Ask the first member that can be reached.  A member that has refused is asked only if
        `again`."""
        write.home = self._first(write, {*write.refused, *write.silent}, now)
        if write.home is None and again:
            write.home = self._first(write, (), now)
        if write.home is None:
            return []
        write.attempt += 1
        write.asked = now
        looked = write.found is not None
        hints = write.lay_out(now, self._detector, self._places)
        return [(write.home, Accept(request, write.put, write.attempt, looked, hints))]

    def _hand_over(self, request: int, write: Write, now: float) -> Asks:
        """Ask a member that has not been asked, if there is one; the home so far may name the
        write, too."""
        home = write.home
        assert home is not None
        if self._first(write, {home, *write.refused, *write.silent}, now) is None:
            return []
        write.silent += (home,)
        return self._ask_home(request, write, now, again=False)

    def _first(self, write: Write, refused: Container[str], now: float) -> str | None:
        for member in write.members:
            if member not in refused and self._detector.reachable(member, now):
                return member
        return None

    def on_ack(self, source: str, ack: Ack | Written, now: float) -> Outcome | None:
        write = self._writes.get(ack.request)
        if write is None:
            return None
        if isinstance(ack, Written) and write.written is None:
            write.written, write.home = ack, source
            write.named, write.next_again = now, now + AGAIN_S
        write.ack(source, ack.dot)
        return self._outcome(ack.request, write, now)

    def on_hinted(self, hinted: Hinted, now: float) -> Outcome | None:
        """Count a node that durably keeps the write for a member."""
        write = self._writes.get(hinted.request)
        if write is None:
            return None
        write.hinted += ((hinted.target, hinted.dot),)
        return self._outcome(hinted.request, write, now)

    def without_home(self, source: str, refusal: NotOwner | CannotDecide) -> Write | None:
        """The write whose home certainly did not write it; None if the refusal is of another
        attempt or the write has its name."""
        write = self._writes.get(refusal.request)
        if write is None or write.written is not None:
            return None
        if (write.home, write.attempt) != (source, refusal.attempt):
            return None
        write.home = None
        write.refused.add(source)
        return write

    def give_up(self, source: str, unsure: CannotDecide) -> Write | None:
        """Forget a write that its home did not do and cannot judge, and return it; None if another
        home may have named it."""
        write = self.without_home(source, unsure)
        return self._writes.pop(unsure.request) if write and not write.silent else None

    def ask_another(self, request: int, write: Write, members: tuple[str, ...], now: float) -> Asks:
        """Ask one of these members that has not refused; the next tick may ask the others again."""
        write.members = members
        return self._ask_home(request, write, now, again=False)

    def enter(self, members_of: Callable[[str, int], tuple[str, ...]]) -> list[tuple[int, Outcome]]:
        """Follow the new view: its owners' acks count from zero, beside the home's own.  Return the
        answers of writes whose level the new shard cannot reach."""
        replies: list[tuple[int, Outcome]] = []
        for request, write in list(self._writes.items()):
            write.members = members_of(write.put.key, request)
            write.acks &= {write.home or ""}
            write.named_acks = tuple(ack for ack in write.named_acks if ack[0] == write.home)
            write.refused.clear()
            write.hints, write.hinted = {}, ()
            write.next_again = 0.0
            try:
                wanted(write.put.level, len(write.members))
            except ValueError as error:
                del self._writes[request]
                reason = f"the view has changed: {error}; it may or may not be written"
                replies.append((request, Unavailable(reason, definite=False)))
        return replies

    def on_declined(self, source: str, declined: Declined) -> Outcome | None:
        """End a write that its home certainly did not do, with the outcome for the client; None if
        another home may have named it."""
        write = self._writes.get(declined.request)
        if write is None:
            return None
        homes = [home for home in (*write.silent, write.home) if home not in (None, source)]
        if homes:
            write.refused.add(source)
            write.silent, write.home = tuple(homes[:-1]), homes[-1]
            return None
        del self._writes[declined.request]
        return declined.outcome

    def _outcome(self, request: int, write: Write, now: float) -> Outcome | None:
        """The answer, if the level is reached and the name has come."""
        named, home, copies = write.written, write.home, len(write.members)
        if named is None or home is None:
            return None
        nodes = write.nodes() or (home,)  # the home has it, owner or not
        acks, counted = len(nodes), len(nodes) + write.counted(now, self._detector)
        awaited = write.awaited(now, self._detector) if counted <= copies // 2 else 0
        if not enough(write.put.level, copies, counted, awaited):
            return None
        del self._writes[request]
        replaced = named.replaced or bool(write.found)
        return Stored(
            named.token, named.context, named.dot, replaced, acks, copies, home, nodes, named.clock,
            named.shown, len(write.kept_for() - set(nodes)),
        )  # fmt: skip

    def tick(self, now: float) -> tuple[Asks, list[tuple[int, Outcome]]]:
        """The outcomes that acks, deadlines and silent homes decide, and the homes to ask again."""
        asks: Asks = []
        replies: list[tuple[int, Outcome]] = []
        for request, write in list(self._writes.items()):
            outcome = self._outcome(request, write, now)
            if outcome is None and write.is_silent(now, self._detector):
                asks += self._hand_over(request, write, now)
            outcome = outcome or self._expired(request, write, now)
            if outcome is not None:
                replies.append((request, outcome))
            elif write.home is None and write.may_ask(now):
                asks += self._ask_home(request, write, now)
        return asks, replies

    def tell_again(self, now: float) -> Again:
        """Which nodes to ask to tell a write again."""
        writes = self._writes.items()
        again = (write.again(n, now, self._detector, self._places) for n, write in writes)
        return [ask for asks in again for ask in asks]

    def _expired(self, request: int, write: Write, now: float) -> Outcome | None:
        level = write.put.level
        outcome = NOT_YET if write.refused else UNREACHABLE
        if write.home is None and now - write.started < write.patience_s:
            return None
        if write.home is not None or write.silent:
            home = write.home
            lost = write.written is None and not (home and self._detector.reachable(home, now))
            if not lost and now < write.deadline():
                return None
            wanted = "an answer" if level == AVAILABLE else f"level {level}"
            reached = f"{len(write.acks)} of {len(write.members)} replicas acknowledged"
            if kept := len(write.kept_for()):
                reached += f", and nodes of other shards keep it for {kept}"
            reason = f"{wanted} was not reached in time: {reached}; it may or may not be written"
            outcome = Unavailable(reason, definite=False, acks=len(write.acks), nodes=write.nodes())
        del self._writes[request]
        return outcome
