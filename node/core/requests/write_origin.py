"""What an origin does with a client's write, from the request to the answer.

    begin             ask one member, the home, to name the write
    on_ack            the home or a shard peer has it on disk: answer when there are enough
    on_hinted         a node of another shard keeps it for an owner that cannot be reached
    on_declined       the home has refused for good
    on_not_owner      the home does not own the key in its view: ask another member
    on_cannot_decide  the home cannot judge the write: read the key first
    on_view           another view: the acks of its owners count
    tick              time passes: look for a home again, have the write told again, or give up

The home and its shard peers answer the origin.  A home that falls silent may have named the write,
and the origin asks another one: a write that leaves the origin has an identity, so two names of it
are one write wherever they meet.  (protocol P-3, D12; docs/decisions/0006, 0041, 0049; style, rule
4.)

Example: n1 and n2 own the key, and n3 is the origin.

    n3 asks n1, attempt 1.  n1 may not name writes yet: `NotOwner`, so it certainly did not write
    n3 asks n2, attempt 2.  n2 may not, either; with a later tick n3 asks n1 again, attempt 3
    the first `NotOwner` comes once more.  It is of attempt 1, so n1 stays the home
    n1 names the write: `Written` to n3, `Replicate` to n2.  n2 tells n3 `Ack`: n3 answers
"""

from collections.abc import Callable, Sequence

from node.core.membership.services import Services
from node.core.model.actors import short_name
from node.core.model.keys import slot_of_key
from node.core.model.quorum import wanted
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
from node.core.protocol.operations import Put, Unavailable
from node.core.requests.hinting import Hinting
from node.core.requests.write_under_way import Writes


class WriteOrigin:
    """The writes of this node's clients.  `act` does what a home is asked, where this node is it;
    `look_first` reads the key before a write that a home cannot judge.  `under_way`: those that
    still wait."""

    def __init__(
        self,
        services: Services,
        hinting: Hinting,
        act: Callable[[str, Accept | ReplicateAgain], None],
        look_first: Callable[[int, Put, int], None],
    ) -> None:
        self._views, self._step = services.views, services.step
        self._act, self._look_first = act, look_first
        run = f"{short_name(self._views.node_id)}{self._views.run}"
        self._writes = Writes(self._views.address, run, services.detector, hinting.places)
        self.under_way = self._writes.under_way

    def __len__(self) -> int:
        return len(self._writes)

    def begin(self, request: int, put: Put, found: bool | None = None, attempts: int = 0) -> None:
        """Begin a client's write.  `found`: a home could not judge it, so the origin has read the
        key first, and this says whether it has a value; `attempts` were made before."""
        members = self._members(put, request)
        try:
            wanted(put.level, len(members))
        except ValueError as error:
            self._step.reply(request, Unavailable(str(error), definite=True))
            return
        now = self._step.now
        self._ask(self._writes.begin(request, put, members, now, found, attempts))

    def _members(self, put: Put, request: int) -> tuple[str, ...]:
        """The members to ask, in order.  All nodes ask the same one first for a write whose
        condition compares versions: then of two that exclude each other, the second is refused."""
        if put.refuse_when.asks_for_tag:
            return self._views.view.ranked(slot_of_key(put.key))
        return self._views.replicas_of(put.key, request)

    def _ask(self, asks: Sequence[tuple[str, Accept | ReplicateAgain]]) -> None:
        """Ask homes; a home that is this node itself acts in this very step."""
        for home, message in asks:
            if home == self._views.address:
                self._act(home, message)
            else:
                self._step.ask(home, message)

    def on_ack(self, source: str, ack: Ack | Written) -> None:
        """A member has the write on disk; the home also says how it is named."""
        self._step.relay(ack.request, self._writes.on_ack(source, ack, self._step.now))

    def on_hinted(self, source: str, hinted: Hinted) -> None:
        """A node of another shard has the write on disk, for an owner."""
        self._step.relay(hinted.request, self._writes.on_hinted(hinted, self._step.now))

    def on_declined(self, source: str, declined: Declined) -> None:
        """Give the client the outcome with which the home has refused for good."""
        self._step.relay(declined.request, self._writes.on_declined(source, declined))

    def on_not_owner(self, source: str, message: NotOwner) -> None:
        """Ask another member: this one does not own the key in its view, and certainly did not
        write."""
        write = self._writes.without_home(source, message)
        if write is None:
            return
        members = self._members(write.put, message.request)
        self._ask(self._writes.ask_another(message.request, write, members, self._step.now))

    def on_cannot_decide(self, source: str, message: CannotDecide) -> None:
        """Read the key first: the home lacks the past that would say whether the write is
        allowed."""
        write = self._writes.give_up(source, message)
        if write is not None:
            self._look_first(message.request, write.put, write.attempt)

    def on_view(self) -> None:
        """Count the acks of the new view's owners from now on."""
        for request, outcome in self._writes.on_view(self._members):
            self._step.reply(request, outcome)

    def tick(self) -> None:
        """Answer, ask again or give up, as time demands."""
        asks, replies = self._writes.tick(self._step.now)
        self._ask(asks)
        for request, outcome in replies:
            self._step.reply(request, outcome)
        self._ask(self._writes.tell_again(self._step.now))
