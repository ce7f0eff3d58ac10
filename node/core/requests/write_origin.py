"""What an origin does with a client's write, from the request to the answer.

    begin             ask one member, the home, to name the write
    on_ack            the home or a shard peer has it on disk: answer when there are enough
    on_declined       the home has refused for good
    on_not_owner      the home does not own the key in its view: ask another member
    on_cannot_decide  the home cannot judge the write: read the key first
    enter             another view: the acks of its owners count
    tick              time passes: look for a home again, or give up

The home and its shard peers answer the origin.  The origin replaces a home that may have named the
write only if the write has an identity: then two names of it are one write wherever they meet.
Otherwise a second home might name it again, with a timestamp above what its client wrote since.  If
the home of such a write falls silent, no node knows whether the write exists, and the client is
told just that.  (protocol P-3, D12; docs/decisions/0006, 0041; style, rule 4.)

Example: n1 and n2 own the key, and n3 is the origin.

    n3 asks n1, attempt 1.  n1 may not name writes yet: `NotOwner`, so it certainly did not write
    n3 asks n2, attempt 2.  n2 may not, either; with a later tick n3 asks n1 again, attempt 3
    the first `NotOwner` comes once more.  It is of attempt 1, so n1 stays the home
    n1 names the write: `Written` to n3, `Replicate` to n2.  n2 tells n3 `Ack`: n3 answers
"""

from collections.abc import Callable, Container

from node.core.membership.failure_detector import Detector
from node.core.membership.services import Services
from node.core.model.quorum import AVAILABLE, enough, wanted
from node.core.protocol.messages import Accept, Ack, CannotDecide, Declined, NotOwner, Written
from node.core.protocol.operations import Outcome, Put, Stored, Unavailable
from node.core.requests.write_under_way import Write

UNREACHABLE = Unavailable("no replica of the key's shard can be reached", definite=True)
NOT_YET = Unavailable(
    "no replica of the key's shard that can be reached may name writes yet", definite=True
)

Asks = list[tuple[str, Accept]]


class WriteOrigin:
    """The writes of this node's clients.  `home` is its own side of a write; `look_first` reads the
    key before a write that a home cannot judge.  `under_way`: those that still wait."""

    def __init__(
        self,
        services: Services,
        home: Callable[[str, Accept], None],
        look_first: Callable[[int, Put, int], None],
    ) -> None:
        self._views, self._step = services.views, services.step
        self._home, self._look_first = home, look_first
        self._writes = Writes(self._views.address, services.detector)
        self.under_way = self._writes.under_way

    def __len__(self) -> int:
        return len(self._writes)

    def begin(self, request: int, put: Put, found: bool | None = None, attempts: int = 0) -> None:
        """Begin a client's write.  `found`: a home could not judge it, so the origin has read the
        key first, and this says whether it has a value; `attempts` were made before."""
        members = self._views.replicas_of(put.key, request)
        try:
            wanted(put.level, len(members))
        except ValueError as error:
            self._step.reply(request, Unavailable(str(error), definite=True))
            return
        now = self._step.now
        self._ask(self._writes.begin(request, put, members, now, found, attempts))

    def _ask(self, asks: Asks) -> None:
        """Ask homes; a home that is this node itself acts in this very step."""
        for home, accept in asks:
            if home == self._views.address:
                self._home(home, accept)
            else:
                self._step.ask(home, accept)

    def on_ack(self, source: str, ack: Ack | Written) -> None:
        """A member has the write on disk; the home also says how it is named."""
        self._step.relay(ack.request, self._writes.on_ack(source, ack, self._step.now))

    def on_declined(self, source: str, declined: Declined) -> None:
        """Give the client the outcome with which the home has refused for good."""
        self._step.relay(declined.request, self._writes.on_declined(source, declined))

    def on_not_owner(self, source: str, message: NotOwner) -> None:
        """Ask another member: this one does not own the key in its view, and certainly did not
        write."""
        write = self._writes.without_home(source, message)
        if write is None:
            return
        write.members = self._views.replicas_of(write.put.key, message.request)
        self._ask(self._writes.ask_another(message.request, write, self._step.now))

    def on_cannot_decide(self, source: str, message: CannotDecide) -> None:
        """Read the key first: the home lacks the past that would say whether the write is
        allowed."""
        write = self._writes.give_up(source, message)
        if write is not None:
            self._look_first(message.request, write.put, write.attempt)

    def enter(self) -> None:
        """Count the acks of the new view's owners from now on."""
        for request, outcome in self._writes.enter(self._views.replicas_of):
            self._step.reply(request, outcome)

    def tick(self) -> None:
        """Answer, ask again or give up, as time demands."""
        asks, replies = self._writes.tick(self._step.now)
        self._ask(asks)
        for request, outcome in replies:
            self._step.reply(request, outcome)


class Writes:
    """All writes whose clients wait at this node: which members to ask, and what acks and time
    decide."""

    def __init__(self, address: str, detector: Detector) -> None:
        self._address = address
        self._detector = detector
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
        return [(write.home, Accept(request, write.put, write.attempt, looked))]

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
        write.ack(source, ack.dot)
        return self._outcome(ack.request, write, now)

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

    def ask_another(self, request: int, write: Write, now: float) -> Asks:
        """Ask a member that has not refused; the next tick may ask the others again."""
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
        acks = len(nodes)
        awaited = write.awaited(now, self._detector) if acks <= copies // 2 else 0
        if not enough(write.put.level, copies, acks, awaited):
            return None
        del self._writes[request]
        replaced = named.replaced or bool(write.found)
        return Stored(
            named.token, named.context, named.dot, replaced, acks, copies, home, nodes, named.clock,
            named.shown,
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
            reason = f"{wanted} was not reached in time: {reached}; it may or may not be written"
            outcome = Unavailable(reason, definite=False, acks=len(write.acks), nodes=write.nodes())
        del self._writes[request]
        return outcome
