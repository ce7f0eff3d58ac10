"""Every message, once: the type, the codec and the validation of what nodes say to each other,
what clients may ask of their node, and what their node may answer.

A request's state lives only at its *origin*, the node whose client waits; `request` is its number
there.  Asks may leave at once; tells leave when every earlier record is durable; docs/protocol.md
has the table.
"""

from enum import StrEnum

import msgspec

from node.core.clock import Actor, Clock, Dot, Vector
from node.core.siblings import Item, Past
from node.core.token import Token

# ------------------------------------------------------------------ what a client asks of its node


class Mode(StrEnum):
    """What a write replaces: all that its home holds (lww), or what its context has seen."""

    LWW = "lww"
    SIBLINGS = "siblings"


class Scope(StrEnum):
    """What of a token a request waits for: its key's entries, or those of its whole shard."""

    KEY = "key"
    SHARD = "shard"


AVAILABLE = "available"  # a majority if it can be reached within the write budget, else what is up
Level = str  # "available", "one", "quorum", "all" or a number


class Put(msgspec.Struct, frozen=True):
    """Write a value (None: delete).  `refuse_unmet` refuses when the token is not covered."""

    key: str
    value: bytes | None
    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    context: Past = msgspec.field(default_factory=Past)
    level: Level = AVAILABLE
    refuse_unmet: Scope | None = None
    if_present: bool = False  # a delete that answers `Absent` where nothing is shown


class Get(msgspec.Struct, frozen=True):
    """Read a key from `copies` replicas; wait `wait_s` for what the token needs (0: refuse)."""

    key: str
    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    scope: Scope = Scope.KEY
    copies: int = 1
    wait_s: float = 0.0


class Count(msgspec.Struct, frozen=True):
    """How many live keys has this shard?"""

    shard: str


Request = Put | Get | Count


# ------------------------------------------------------------------ what the node answers


class Stored(msgspec.Struct, frozen=True):
    """Durable on `acks` of `copies` replicas; `context` is what the client has seen of the key."""

    token: Token
    context: Past
    dot: Dot
    replaced: bool  # a value was shown before
    acks: int
    copies: int
    home: str


class Found(msgspec.Struct, frozen=True):
    """Values, newest stamp first (lww: just one); `dots` names all versions the key holds."""

    values: tuple[bytes, ...]
    shown: tuple[Dot, ...]
    dots: tuple[Dot, ...]
    token: Token
    context: Past
    served_by: str


class Absent(msgspec.Struct, frozen=True, tag=True):
    """No value is shown; `dots` names the delete marks, and what they hide, that explain it."""

    dots: tuple[Dot, ...]
    token: Token
    context: Past
    served_by: str


class Unmet(msgspec.Struct, frozen=True, tag=True):
    """The token is ahead of all replicas that were reached: actor -> (have, need).  Definite."""

    missing: dict[Actor, tuple[int, int]]


class Unavailable(msgspec.Struct, frozen=True, tag=True):
    """Not answered.  `definite` promises that nothing was written; otherwise nobody knows."""

    reason: str
    definite: bool
    acks: int = 0


class Counted(msgspec.Struct, frozen=True):
    """The live keys of a shard, as one of its members counts them."""

    keys: int


Outcome = Stored | Found | Absent | Unmet | Unavailable | Counted


# ------------------------------------------------------------------ what nodes say to each other


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """The base of all peer messages."""


class Accept(Frame, tag=1, frozen=True):
    """Origin -> home (ask): give this write a name."""

    request: int
    put: Put


class Ack(Frame, tag=2, frozen=True):
    """Home and its fellows -> origin (tell): the write is durable here."""

    request: int
    dot: Dot


class Named(Frame, tag=3, frozen=True):
    """Home -> origin (tell): an ack, with the name and the token of the write."""

    request: int
    dot: Dot
    token: Token
    context: Past
    replaced: bool


class Declined(Frame, tag=4, frozen=True):
    """Home -> origin (tell): certainly not written; nothing is shown, or the token is ahead."""

    request: int
    outcome: Absent | Unmet | Unavailable


class Replicate(Frame, tag=5, frozen=True):
    """Home -> fellows (tell): the key's filled state with the new write in it."""

    request: int
    origin: str
    key: str
    item: Item
    dot: Dot


class Fetch(Frame, tag=6, frozen=True):
    """Origin -> owner (ask): what do you hold of this key?"""

    request: int
    key: str


class State(Frame, tag=7, frozen=True):
    """Owner -> origin (tell): its filled state, its clock, and whether it has arrived."""

    request: int
    item: Item
    clock: Clock
    arrived: bool


class CountKeys(Frame, tag=8, frozen=True):
    """Origin -> owner (ask): how many live keys do you hold?"""

    request: int


class KeyCount(Frame, tag=9, frozen=True):
    """Owner -> origin (tell)."""

    request: int
    keys: int


class Compare(Frame, tag=10, frozen=True):
    """Member -> fellows (tell): what I durably have (a row of the matrix, D6), and all lives.

    Rows and lives travel together: who hears a newer row hears of a new life, too (D9.10).
    `ended` names the past lives the sender refuses, `closed` those whose gaps it has closed;
    `answer` asks for a Compare back.
    """

    node_id: str
    clock: Clock
    arrived: bool
    lives: dict[str, dict[str, int]]
    ended: list[Actor]
    closed: list[Actor]
    answer: bool


class Pull(Frame, tag=11, frozen=True):
    """Member -> fellow (ask): send the objects of the dots that I lack, one page.

    `snapshot` is the clock of the first page, echoed; `after` the cursor of a full exchange.
    """

    exchange: int
    node_id: str
    clock: Clock
    snapshot: Clock | None = None
    after: str | None = None


class Page(Frame, tag=12, frozen=True):
    """Fellow -> member (tell): items to be filled with `base`, the sender's clock when it read and
    stripped them, and the dots they account for.

    In a full exchange the page accounts for every row in (after, upto]; the last page has
    `upto` None and accounts for all rows beyond `after`.
    """

    exchange: int
    snapshot: Clock
    base: Vector
    items: dict[str, Item]
    dots: dict[Dot, str]
    full: bool
    last: bool
    after: str | None
    upto: str | None
    arrived: bool


class Beat(Frame, tag=13, frozen=True):
    """Any -> any (ask): I am here, in this life."""

    node_id: str


class News(Frame, tag=14, frozen=True):
    """Any -> any (tell): the lives of every member, and what every replica has (D9.10)."""

    lives: dict[str, dict[str, int]]
    stable: Vector


Message = (
    Accept | Ack | Named | Declined | Replicate | Fetch | State
    | CountKeys | KeyCount | Compare | Pull | Page | Beat | News
)  # fmt: skip


# ------------------------------------------------------------------ what the driver tells the core


class Submit(msgspec.Struct, frozen=True):
    """A client's request, under the number by which it will be answered."""

    request: int
    operation: Request


class LinkUp(msgspec.Struct, frozen=True):
    """The link to this peer is open (again)."""

    peer: str


class LinkDown(msgspec.Struct, frozen=True):
    """The link to this peer broke."""

    peer: str


class Tick(msgspec.Struct, frozen=True):
    """The time that `wake_at` named has come."""


Event = Message | Submit | LinkUp | LinkDown | Tick
