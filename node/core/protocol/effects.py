"""What a step causes: the core decides, and the driver carries it out.

The driver sends asks at once and writes records to the store.  It sends tells and replies only when
every record of this step and of all earlier ones is durable: this one rule keeps dots unique and
acknowledgements true (style, rule 2).  Relays answer a client with what other replicas have told.
These have waited for their own disks, so the driver sends relays at once.
"""

import msgspec

from node.core.protocol.messages import Epoch, Message
from node.core.protocol.operations import Outcome

UNSTAMPED = Epoch()
DAMAGED = b"\xc1 damaged"  # in place of a row whose checksum is wrong; no msgpack has that byte


class Damaged(Exception):
    """Raised by reading an item's row that is not as it was written: its key is unknown, and not
    absent.  `reason` says why the row cannot be repaired, if so."""

    def __init__(self, row: str, reason: str = "") -> None:
        super().__init__(reason or f"row {row!r} of table item is damaged")
        self.row = row


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One row to write (`value` None: to remove); a start looks at the `open` rows."""

    table: str  # "item", "log", "expiry", "hint" or "meta"
    key: str
    value: bytes | None
    open: bool = False


class Effects(msgspec.Struct, gc=False):
    """Everything one step causes.

    `epoch`: goes with each message of the step.
    `wake_at`: the time of the next `Tick`, at the latest.
    `peers`: the nodes to have links with; None: as before.
    `ends`: why this replica is over once the records are durable; empty: it goes on.  The rows are
    then those of a new node.
    `notes`: lines for the log.
    """

    asks: list[tuple[str, Message]] = msgspec.field(default_factory=list)
    relays: list[tuple[int, Outcome]] = msgspec.field(default_factory=list)
    records: list[Record] = msgspec.field(default_factory=list)
    tells: list[tuple[str, Message]] = msgspec.field(default_factory=list)
    replies: list[tuple[int, Outcome]] = msgspec.field(default_factory=list)
    wake_at: float = 0.0
    epoch: Epoch = UNSTAMPED
    peers: list[str] | None = None
    ends: str = ""
    notes: tuple[str, ...] = ()

    def hold_asks(self) -> None:
        """Let the asks wait for the disk, before the tells."""
        self.tells = [*self.asks, *self.tells]
        self.asks = []
