"""One step of the replica: the time it happens at, and what it has caused so far."""

from collections.abc import Callable, Iterable, Iterator

from node.core.protocol.effects import Damaged, Effects, Record
from node.core.protocol.messages import Epoch, Message
from node.core.protocol.operations import Outcome

Sent = tuple[str, Message]


class Numbers:
    """Gives numbers to questions, none of which an earlier run of this node has given.  So a late
    answer to an earlier run's question is taken for no other."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: float) -> int:
        """The next number: the time in microseconds, or one more than the last number."""
        self._last = max(self._last + 1, int(now * 1_000_000))
        return self._last


class Step:
    """The step in hand: the one place where all parts of a replica put what it causes.

    `now`: the time of the step.
    `served`: when this node last did something for a client, its own or another node's.
    `numbers`: for clients' requests and this node's own questions: a `State` names one.
    `records`: the rows to be written.  Only these may come before the first step begins.
    `suspects`: rows found damaged, until row_repair takes them up.
    `ends`: why the replica is over once the step is durable, if it is.
    """

    def __init__(self) -> None:
        self.now, self.served = 0.0, float("-inf")
        self.numbers = Numbers()
        self.records: list[Record] = []
        self.suspects: dict[str, None] = {}
        self._last: dict[Callable[[], None], None] = {}
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """Begin the next step, with nothing caused yet."""
        self.now = now
        self.asks: list[tuple[str, Message]] = []
        self.tells: list[tuple[str, Message]] = []
        self.relays: list[tuple[int, Outcome]] = []
        self.replies: list[tuple[int, Outcome]] = []
        self.peers: list[str] | None = None
        self.ends = ""
        self.notes: tuple[str, ...] = ()

    def finish(self, epoch: Epoch, wake_at: float) -> Effects:
        """End the step: all that it has caused."""
        records, self.records = self.records, []
        return Effects(
            self.asks, self.relays, records, self.tells, self.replies,
            wake_at, epoch, self.peers, self.ends, self.notes,
        )  # fmt: skip

    def finally_do(self, act: Callable[[], None]) -> None:
        """Do this once, when the event in hand has been handled."""
        self._last[act] = None

    def end(self) -> None:
        """Do what was left for the end, now that the event has been handled."""
        while self._last:
            act = next(iter(self._last))
            del self._last[act]
            act()

    def serve(self) -> None:
        """Note that something is done for a client: background work gives way for a moment."""
        self.served = self.now

    # ---- damaged rows
    def suspect(self, found: Damaged) -> None:
        """Note a row that could not be read; its request goes on without this replica."""
        self.suspects[found.row] = None

    def suspect_rows(self, rows: Iterable[str]) -> None:
        """Note rows that were found damaged."""
        self.suspects.update(dict.fromkeys(rows))

    def take_suspects(self) -> Iterator[str]:
        """The rows found damaged, the last one first; each is taken once."""
        while self.suspects:
            yield self.suspects.popitem()[0]

    # ---- what the event causes
    def record(self, table: str, key: str, value: bytes | None, is_open: bool = False) -> None:
        """Write this row; None removes it."""
        self.records.append(Record(table, key, value, is_open))

    def has_items(self) -> bool:
        """Whether this step writes rows of items, which no read of the disk shows yet."""
        return any(record.table == "item" for record in self.records)

    def exchange_names(self, rename: Callable[[list[Sent]], list[Sent]]) -> None:
        """Replace the messages that leave by others of the same meaning."""
        self.asks, self.tells = rename(self.asks), rename(self.tells)

    @property
    def now_ms(self) -> float:
        """The time of the step in milliseconds since the epoch."""
        return self.now * 1000

    def link_with(self, peers: list[str]) -> None:
        """Have links with these nodes from now on."""
        self.peers = peers

    def end_replica(self, reason: str) -> None:
        """End the replica once this step is durable."""
        self.ends = reason

    def say_nothing(self) -> None:
        """Send no message in this step."""
        self.asks, self.tells = [], []

    def note(self, text: str) -> None:
        """Write this line to the log."""
        self.notes += (text,)

    def ask(self, peer: str, message: Message) -> None:
        """Send this at once: it says nothing of what is stored here."""
        self.asks.append((peer, message))

    def tell(self, peer: str, message: Message) -> None:
        """Send this when every earlier record is durable."""
        self.tells.append((peer, message))

    def relay(self, request: int, outcome: Outcome | None) -> None:
        """Answer one of this node's clients at once, from what replicas have told alone."""
        if outcome is not None:
            self.relays.append((request, outcome))

    def reply(self, request: int, outcome: Outcome | None) -> None:
        """Answer one of this node's clients when every earlier record is durable; None: not yet."""
        if outcome is not None:
            self.replies.append((request, outcome))
