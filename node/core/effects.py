"""What a step causes: the core decides, the driver does.

Asks leave at once.  Records go to the store.  Tells and replies leave only when every record of
this step and of all earlier ones is durable: that is the one rule that keeps dots unique and
acknowledgements true (style, rule 2).  What is relayed to a client has been told by the replicas
that it speaks of, so it has waited for their disks, and leaves at once.
"""

import msgspec

from node.core.messages import Message, Outcome, Stamp

UNSTAMPED = Stamp()
DAMAGED = b"\xc1 damaged"  # for a row of items whose checksum is wrong; no msgpack has that byte


class Damaged(Exception):
    """The row of an item is not as it was written, so nothing can be said of its key: neither what
    it holds nor that it holds nothing.  Raised by reading it; `reason` when it cannot be helped."""

    def __init__(self, row: str, reason: str = "") -> None:
        super().__init__(reason or f"row {row!r} of table item is damaged")
        self.row = row


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One row to be written (`value` None: removed); `open` rows are looked at on start."""

    table: str  # "item", "log" or "meta"
    key: str
    value: bytes | None
    open: bool = False


class Effects(msgspec.Struct, gc=False):
    """Everything one step causes.  Messages leave under `stamp`; by `wake_at` the core wants its
    next `Tick`; `peers` are the nodes to have links with (None: as before).  `forgets`: once the
    records are durable this replica is over, and the rows are those of a new node.  `notes` are
    lines for those who run the node."""

    asks: list[tuple[str, Message]] = msgspec.field(default_factory=list)
    relays: list[tuple[int, Outcome]] = msgspec.field(default_factory=list)
    records: list[Record] = msgspec.field(default_factory=list)
    tells: list[tuple[str, Message]] = msgspec.field(default_factory=list)
    replies: list[tuple[int, Outcome]] = msgspec.field(default_factory=list)
    wake_at: float = 0.0
    stamp: Stamp = UNSTAMPED
    peers: list[str] | None = None
    forgets: bool = False
    notes: tuple[str, ...] = ()
