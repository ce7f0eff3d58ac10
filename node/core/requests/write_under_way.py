"""The writes under way at their origin: which members to ask, and what acks and time decide."""

from collections.abc import Callable, Container, Sequence

from msgspec.structs import replace

from node.core.membership.failure_detector import Detector
from node.core.model.item import Past
from node.core.model.quorum import AVAILABLE, enough, wanted
from node.core.protocol.hints import Hinted
from node.core.protocol.messages import (
    Accept,
    Ack,
    CannotDecide,
    Declined,
    NotOwner,
    Written,
)
from node.core.protocol.operations import Outcome, Put, Stored, Unavailable
from node.core.requests.drawing import Drawing
from node.core.requests.hinting import Hints
from node.core.requests.one_write import Again, Places, Write

UNREACHABLE = Unavailable("no replica of the key's shard can be reached", definite=True)
NOT_YET = Unavailable(
    "no replica of the key's shard that can be reached may name writes yet", definite=True
)

Asks = list[tuple[str, Accept]]


def nowhere(key: str, members: Sequence[str], away: Sequence[str]) -> Hints:
    """The holders of a node that leaves no hints."""
    return ()


class Writes:
    """All writes whose clients wait at this node: which members to ask, and what acks and time
    decide."""

    def __init__(
        self, address: str, run: str, detector: Detector, places: Places = nowhere
    ) -> None:
        self._address, self._drawing = address, Drawing(run)
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
        number, identity = self._drawing.next(), put.identity
        write = Write(put, members, now, number, identity, attempt=attempts, found=found)
        self._writes[request] = write
        return self._ask_home(request, write, now)

    def _ask_home(self, request: int, write: Write, now: float, again: bool = True) -> Asks:
        """Ask the first member that can be reached.  A member that has refused is asked only if
        `again`."""
        home = self._first(write, {*write.refused, *write.silent}, now)
        if home is None and again:
            home = self._first(write, (), now)
        write.ask(home, now)
        if home is None:
            return []
        hints = write.lay_out(now, self._detector, self._places)
        return [(home, self._accept(request, write, hints))]

    def _accept(self, request: int, write: Write, hints: Hints) -> Accept:
        """What the home is asked.  Another node is told an identity, for it may fall silent."""
        put, looked = write.put, write.found is not None
        if write.home == self._address and not write.silent:
            return Accept(request, put, write.attempt, looked, hints)
        if not put.identity:
            put = replace(put, identity=write.call(self._drawing.identity(write.number)))
        unnamed = (each.number for each in self._writes.values() if each.written is None)
        settled, again = self._drawing.settled(next(unnamed)), bool(write.silent)
        return Accept(request, put, write.attempt, looked, hints, again, settled)

    def _hand_over(self, request: int, write: Write, now: float) -> Asks:
        """Ask a member that has not been asked, if there is one; the home so far may name the
        write, too."""
        if self._first(write, {write.home or "", *write.refused, *write.silent}, now) is None:
            return []
        write.leave_home()
        self._drawing.open(write.number, now)
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
            write.name(source, ack, now)
        write.ack(source, ack.dot)
        return self._outcome(ack.request, write, now)

    def on_hinted(self, hinted: Hinted, now: float) -> Outcome | None:
        """Count a node that durably keeps the write for a member."""
        write = self._writes.get(hinted.request)
        if write is None:
            return None
        write.hint(hinted)
        return self._outcome(hinted.request, write, now)

    def without_home(self, source: str, refusal: NotOwner | CannotDecide) -> Write | None:
        """The write whose home certainly did not write it; None if the refusal is of another
        attempt or the write has its name."""
        write = self._writes.get(refusal.request)
        if write is None or write.written is not None:
            return None
        if (write.home, write.attempt) != (source, refusal.attempt):
            return None
        write.refuse(source)
        return write

    def give_up(self, source: str, unsure: CannotDecide) -> Write | None:
        """Forget a write that its home did not do and cannot judge, and return it; None if another
        home may have named it."""
        write = self.without_home(source, unsure)
        return self._writes.pop(unsure.request) if write and not write.silent else None

    def ask_another(self, request: int, write: Write, members: tuple[str, ...], now: float) -> Asks:
        """Ask one of these members that has not refused; the next tick may ask the others again."""
        write.lay_before(members)
        return self._ask_home(request, write, now, again=False)

    def on_view(
        self, members_of: Callable[[Put, int], tuple[str, ...]]
    ) -> list[tuple[int, Outcome]]:
        """Follow the new view: its owners' acks count from zero, beside the home's own.  Return the
        answers of writes whose level the new shard cannot reach."""
        replies: list[tuple[int, Outcome]] = []
        for request, write in list(self._writes.items()):
            write.on_view(members_of(write.put, request))
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
        if write.decline(source):
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
            named.token, _context(write, named), named.dot, replaced, acks, copies, home, nodes,
            named.clock, named.shown, len(write.kept_for() - set(nodes)), named.state,
        )  # fmt: skip

    def tick(self, now: float) -> tuple[Asks, list[tuple[int, Outcome]]]:
        """The outcomes that acks, deadlines and silent homes decide, and the homes to ask again."""
        asks: Asks = []
        replies: list[tuple[int, Outcome]] = []
        self._drawing.tick(now)
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


def _context(write: Write, named: Written) -> Past:
    """What the client has seen, with the name of its write only where a second one may come."""
    context = named.context
    if write.put.identity or write.silent or not context.namings:
        return context
    kept = {i: naming for i, naming in context.namings.items() if i != write.identity}
    return Past(context.base, context.loose, context.oldest_view, kept)
