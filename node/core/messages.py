"""Every message, once: the type, the codec and the validation of what nodes say to each other, and
of what clients ask of their node (`node.core.requests`, whose names are here, too).

A request's state lives only at its *origin*, the node whose client waits; `request` is its number
there.  Asks may leave at once; tells leave when every earlier record is durable; docs/protocol.md
has the table.
"""

import msgspec

from node.core.clock import Clock, Dot, Vector
from node.core.requests import (
    AVAILABLE as AVAILABLE,
    Absent as Absent,
    Adopted as Adopted,
    Count as Count,
    Counted as Counted,
    Early as Early,
    Forget as Forget,
    Forgotten as Forgotten,
    Found as Found,
    Get as Get,
    Keep as Keep,
    Level as Level,
    List as List,
    Listed as Listed,
    Look as Look,
    Looked as Looked,
    Mode as Mode,
    Outcome as Outcome,
    Outdated as Outdated,
    Peek as Peek,
    Propose as Propose,
    Put as Put,
    Request as Request,
    Scope as Scope,
    Stored as Stored,
    Unavailable as Unavailable,
    Unmet as Unmet,
)
from node.core.siblings import Item, Past
from node.core.token import Token
from node.core.view import FIRST, Actor, Layout, View, ViewId

# ------------------------------------------------------------------ what nodes say to each other


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The base of all peer messages."""


class Accept(Frame, tag=1, frozen=True):
    """Origin -> home (ask): give this write a name.  Each time a home is asked is an attempt of
    its own; a refusal is of one attempt, and final.  `looked`: a read has shown the origin what
    there is, as far as it can be known."""

    request: int
    put: Put
    attempt: int = 1
    looked: bool = False


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
    clock: Vector | None = None


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
    """Origin -> owner (ask): what do you hold of this key?  `bound`: the reader's token asks for
    something, so also what is held back from others."""

    request: int
    key: str
    bound: bool = False


class State(Frame, tag=7, frozen=True):
    """Holder -> origin (tell): its filled state, the clock of its slot, and the views for which
    that slot is whole here (D10 R5)."""

    request: int
    item: Item
    clock: Clock
    claims: list[ViewId]


class CountKeys(Frame, tag=8, frozen=True):
    """Origin -> owner (ask): how many live keys do you hold?"""

    request: int


class KeyCount(Frame, tag=9, frozen=True):
    """Owner -> origin (tell)."""

    request: int
    keys: int


class Holding(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Slots (a mask of 512 bytes) that share one clock, and the views they are whole for; `content`
    is the hash of what is held there, when whoever has the same clock must have the same one."""

    slots: bytes
    clock: Clock
    claims: list[ViewId]
    content: bytes = b""


class Compare(Frame, tag=10, frozen=True):
    """Holder -> owners (tell): what I durably have (a row of the matrix, D6), and all lives.

    Rows and lives travel together: who hears a newer row hears of a new life, too (D9.10).
    `ended` names the past lives the sender refuses, `closed` those whose gaps it has closed;
    `answer` asks for a Compare back.
    """

    node_id: str
    holdings: list[Holding]
    lives: dict[str, dict[str, int]]
    ended: list[Actor]
    closed: list[Actor]
    answer: bool


class Pull(Frame, tag=11, frozen=True):
    """Owner -> holder (ask): send the objects of these slots whose dots I lack, one page.

    `snapshot` is the clock of the first page, echoed; `after` the cursor of a full exchange;
    `content` the hash of what I hold of these slots, where it is known.
    """

    exchange: int
    node_id: str
    slots: bytes
    clock: Clock
    snapshot: Clock | None = None
    after: str | None = None
    content: bytes = b""


class Page(Frame, tag=12, frozen=True):
    """Holder -> owner (tell): items to be filled with `base`, the sender's clock when it read and
    stripped them, and the dots they account for; a dot of another slot's key comes with "".

    `slots` are those of the pull that share one clock here: the exchange is about these alone.
    In a full exchange the page accounts for every row in (after, upto]; the last page has
    `upto` None and accounts for all rows beyond `after`; `rows` are those of which nothing has
    changed since the snapshot, as they lie on disk.  With the last page the receiver is whole for
    `claims`, too.  `same`: both hold the same versions, so the dots come without items.
    """

    exchange: int
    slots: bytes
    snapshot: Clock
    base: Past
    items: dict[str, Item]
    rows: dict[str, bytes]
    dots: dict[Dot, str]
    full: bool
    last: bool
    after: str | None
    upto: str | None
    claims: list[ViewId]
    same: bool = False


class Beat(Frame, tag=13, frozen=True):
    """Any -> any (ask): I am here, in this life; how many slots I own and lack, and how many I
    hold for others, who do not have them yet."""

    node_id: str
    lacking: int = 0
    leaving: int = 0


class News(Frame, tag=14, frozen=True):
    """Any -> any (tell): the lives of every member, what every replica has (D9.10), which view
    each node has left its past to (D10 R7), and the node ids that were declared lost."""

    lives: dict[str, dict[str, int]]
    stable: Vector
    reports: dict[str, ViewId] = {}
    lost: list[str] = []


class Views(Frame, tag=15, frozen=True):
    """Any -> any (tell; ask where it only passes on what others said): the maps of the views that
    are not retired, and the floor below which all are (D10 R1)."""

    views: list[View]
    floor: ViewId
    news: News


class Elsewhere(Frame, tag=16, frozen=True):
    """Home -> origin (tell): in my view the key is not mine, or nobody has heard of me yet;
    certainly not written by this attempt."""

    request: int
    attempt: int = 1


class Unsure(Frame, tag=18, frozen=True):
    """Home -> origin (tell): certainly not written by this attempt; whether it may be depends on a
    past that has not arrived here.  Look first."""

    request: int
    attempt: int = 1


class Wish(Frame, tag=19, frozen=True):
    """A node outside the view -> a node of it (ask): propose this.  `anew`: it was made without
    knowing any view, make it from the current one."""

    request: int
    layout: Layout
    anew: bool = False
    lost: tuple[str, ...] = ()


class Granted(Frame, tag=20, frozen=True):
    """A node of the view -> who passed a wish on (tell): the current view, and whether it is the
    one that was wished for."""

    request: int
    view: View
    adopted: bool


class Mend(Frame, tag=21, frozen=True):
    """Origin -> owner (tell): what a read has found of this key, filled; you lack some of it."""

    key: str
    item: Item


class Join(Frame, tag=17, frozen=True):
    """A node of no view -> any (ask): add me to yours."""

    address: str


Message = (
    Accept | Ack | Named | Declined | Replicate | Fetch | State
    | CountKeys | KeyCount | Compare | Pull | Page | Beat | News | Views | Elsewhere | Join
    | Unsure | Wish | Granted | Mend
)  # fmt: skip

# These count only between two nodes of one view (D10 R1).
BOUND_TO_VIEW = frozenset({Ack, Replicate, Fetch, State, Compare, Pull, Page, Mend})


class Stamp(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The view a message was sent in, and the floor its sender knew."""

    view: ViewId = FIRST
    floor: ViewId = FIRST


class Letter(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What travels between nodes: a message under the stamp of its sender's view (D10 R1)."""

    stamp: Stamp
    message: Message


# ------------------------------------------------------------------ what the driver tells the core


class Letters(msgspec.Struct, frozen=True, gc=False):
    """Letters of one peer that came together: done in one step, so with one write to the disk."""

    letters: list[Letter]


def together(letters: list[Letter]) -> list[Letter | Letters]:
    """The same letters in their order, those that come one by one in great number taken together.
    None of these changes the view, so all that one step causes leaves under one stamp."""
    grouped: list[Letter | Letters] = []
    for letter in letters:
        if not isinstance(letter.message, Replicate | Ack):
            grouped.append(letter)
        elif grouped and isinstance(grouped[-1], Letters):
            grouped[-1].letters.append(letter)
        else:
            grouped.append(Letters([letter]))
    return grouped


class Submit(msgspec.Struct, frozen=True, gc=False):
    """A client's request, under the number by which it will be answered."""

    request: int
    operation: Request


class LinkUp(msgspec.Struct, frozen=True, gc=False):
    """The link to this peer is open (again)."""

    peer: str


class LinkDown(msgspec.Struct, frozen=True, gc=False):
    """The link to this peer broke."""

    peer: str


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The time that `wake_at` named has come."""


Event = Letter | Letters | Message | Submit | LinkUp | LinkDown | Tick
