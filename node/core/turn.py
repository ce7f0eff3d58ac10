"""One turn of the replica: the instant it happens at, and what it causes so far."""

from node.core.effects import Damaged, Effects
from node.core.messages import Message, Outcome


class Numbers:
    """Numbers of questions, each unlike all of earlier runs of this node: an answer that comes late
    may be to a question that this run has never asked."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: float) -> int:
        """Microseconds, or one more than the last one; above 0."""
        self._last = max(self._last + 1, int(now * 1_000_000))
        return self._last


class Turn:
    """Shared by the rooms of one replica; `begin` starts the next step with nothing caused yet."""

    def __init__(self) -> None:
        self.now = 0.0
        self.served = float("-inf")  # when something was last done for a client, ours or another's
        self.effects = Effects()
        self.suspects: dict[str, None] = {}  # rows found damaged; node/core/healing.py takes them

    def begin(self, now: float) -> None:
        self.now = now
        self.effects = Effects()

    def suspect(self, found: Damaged) -> None:
        """A row could not be read; what it was read for goes on without this replica."""
        self.suspects[found.row] = None

    def note(self, text: str) -> None:
        """Tells those who run the node."""
        self.effects.notes += (text,)

    def ask(self, peer: str, message: Message) -> None:
        """Leaves at once: it says nothing of what is stored here."""
        self.effects.asks.append((peer, message))

    def tell(self, peer: str, message: Message) -> None:
        """Leaves when every earlier record is durable."""
        self.effects.tells.append((peer, message))

    def relay(self, request: int, outcome: Outcome | None) -> None:
        """Answers one of our clients at once, by what replicas have told and by nothing else."""
        if outcome is not None:
            self.effects.relays.append((request, outcome))

    def reply(self, request: int, outcome: Outcome | None) -> None:
        """Answers one of our clients when every earlier record is durable; None is «not yet»."""
        if outcome is not None:
            self.effects.replies.append((request, outcome))
