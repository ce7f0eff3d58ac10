"""Every message between nodes: its type is its codec and its validation, too.

A request's state lives only at its *origin*, the node whose client waits; `request` is its number
there.  Asks may leave at once; tells leave when every earlier record is durable.
"""

import msgspec

from node.core.model.actors import Actor
from node.core.model.dots import Dot, DotClock, Vector
from node.core.model.drawn_identity import Settled
from node.core.model.item import Item, Past
from node.core.model.token import Token
from node.core.model.view import FIRST, Layout, View, ViewId
from node.core.protocol.frame import Frame
from node.core.protocol.hints import HandOver, Hint, Hinted, TakenOver
from node.core.protocol.inspection import AskClocks, ClocksTold, Inspect, Inspected
from node.core.protocol.key_pages import CountKeys, FetchKeys, KeyCount, KeyPage
from node.core.protocol.mark import NO_MARK, Mark
from node.core.protocol.operations import Put, Refusal
from node.core.protocol.watching import ChangePage, FetchChanges


class Accept(Frame, tag=1, frozen=True):
    """Origin -> home (ask): give this write a name.  Each time the origin asks a home is an attempt
    of its own; a refusal concerns one attempt and is final.  `looked`: the origin has read the key
    first, and knows of it what can be known.  `hints`: (target, holder), with whom to leave it.
    `again`: another home was asked before.  `settled`: of which earlier writes no name can come."""

    request: int
    put: Put
    attempt: int = 1
    looked: bool = False
    hints: tuple[tuple[str, str], ...] = ()
    again: bool = False
    settled: Settled | None = None


class Ack(Frame, tag=2, frozen=True):
    """Home and its shard peers -> origin (tell): the write is durable at the sender."""

    request: int
    dot: Dot


class Written(Frame, tag=3, frozen=True):
    """Home -> origin (tell): an ack with the name and the token of the write; of a change of a
    counter or a set, also the `state` after it."""

    request: int
    dot: Dot
    token: Token
    context: Past
    replaced: bool
    clock: Vector | None = None
    shown: tuple[Dot, ...] = ()
    state: bytes = b""


class Declined(Frame, tag=4, frozen=True):
    """Home -> origin (tell): the write is certainly not done, for this reason."""

    request: int
    outcome: Refusal


class Replicate(Frame, tag=5, frozen=True):
    """Home -> shard peers (tell): the key's filled state with the new write; or, where that is too
    large, the write `alone`, with what it has replaced as its past.  `settled`: the origin's."""

    request: int
    origin: str
    key: str
    item: Item
    dot: Dot
    alone: bool = False
    settled: Settled | None = None


class ReplicateAgain(Frame, tag=27, frozen=True):
    """Origin -> home, or another replica (ask): tell this write to these owners, which have not
    acknowledged it, and leave these `hints`."""

    request: int
    key: str
    dot: Dot
    owners: tuple[str, ...]
    hints: tuple[tuple[str, str], ...] = ()


class Fetch(Frame, tag=6, frozen=True):
    """Origin -> owner (ask): what do you hold of this key?  `bound`: the reader's token names
    writes, so hidden versions are asked for, too.  `have`: versions that the origin has already;
    `doubts`: the actors of writes that the states so far lack."""

    request: int
    key: str
    bound: bool = False
    have: tuple[Dot, ...] = ()
    doubts: tuple[Actor, ...] = ()


class State(Frame, tag=7, frozen=True):
    """Holder -> origin (tell): its filled state, the clock of its slot, and the views
    (`complete_for`) for which it is whole there (D10 R5); `name` is that of the cluster, and `rest`
    names the versions that are not in this message."""

    request: int
    item: Item
    clock: DotClock
    complete_for: list[ViewId]
    name: str = ""
    rest: tuple[Dot, ...] = ()


class SlotSummary(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Slots (a mask of 512 bytes) that share one clock, and the views they are complete for;
    `content` is the hash of their versions, given when an equal clock implies an equal hash."""

    slots: bytes
    clock: DotClock
    complete_for: list[ViewId]
    content: bytes = b""


class Compare(Frame, tag=10, frozen=True):
    """Holder -> owners (tell): what the sender durably has (D6), and all incarnations.

    It carries the incarnations, so that no node applies a newer clock without knowing the
    incarnation that it is of (D9.10).  `refused` names the past incarnations the sender refuses,
    `closed` those whose gaps it has closed; `answer` asks for a `Compare` back; `name` is the name
    of the sender's cluster; `mark` tells its run, `heard` the last generation that it knows of the
    receiver (D1).
    """

    node_id: str
    summaries: list[SlotSummary]
    incarnations: dict[str, dict[str, int]]
    refused: list[Actor]
    closed: list[Actor]
    answer: bool
    name: str = ""
    mark: Mark = NO_MARK
    heard: int = 0


class Pull(Frame, tag=11, frozen=True):
    """Owner -> holder (ask): send one page of the items of these slots whose dots `clock` lacks.

    `snapshot` echoes the clock of the first page; `after` is the cursor of a full exchange;
    `content` the hash of what the owner holds of these slots; `have` versions that it has already.
    """

    exchange: int
    node_id: str
    slots: bytes
    clock: DotClock
    snapshot: DotClock | None = None
    after: str | None = None
    content: bytes = b""
    have: tuple[Dot, ...] = ()


class Served(Frame, frozen=True):
    """The base of the three pages, one of which answers a pull.  `slots` are those of the pull that
    share one clock at the holder: the exchange is about these alone.  `snapshot` is the clock of
    the first page.  With the last page the receiver becomes complete for these views, too."""

    exchange: int
    slots: bytes
    snapshot: DotClock
    complete_for: list[ViewId]


class ItemPage(Served, tag=12, frozen=True):
    """Holder -> owner (tell): the next dots that the owner lacks, and the items of their keys; a
    dot of another slot's key comes with "".  The owner fills the items with `base`, the holder's
    clock when it read and stripped them.  `rest` names the versions of the only item that are not
    in this page: the owner merges it when it knows them."""

    last: bool
    dots: dict[Dot, str]
    items: dict[str, Item]
    base: Past
    rest: tuple[Dot, ...] = ()


class SamePage(Served, tag=25, frozen=True):
    """Holder -> owner (tell): the next dots that the owner lacks, without items, for both hold the
    same versions in these slots."""

    last: bool
    dots: dict[Dot, str]


class RowPage(Served, tag=26, frozen=True):
    """Holder -> owner (tell): all rows of the holder behind `after` up to `upto`, or all behind
    `after` (`upto` None: the last page).  `rows` have not changed since the snapshot and come as
    they lie on disk.  The other rows come as `items`, and these, `base` and `rest` are as in
    `ItemPage`."""

    after: str
    upto: str | None
    rows: dict[str, bytes]
    items: dict[str, Item]
    base: Past
    rest: tuple[Dot, ...] = ()

    @property
    def last(self) -> bool:
        """Whether this page ends the exchange: no row is left."""
        return self.upto is None


Page = ItemPage | SamePage | RowPage


class Heartbeat(Frame, tag=13, frozen=True):
    """Any -> any (ask): the sender is here, in this incarnation.  `lacking` counts its slots that
    have not arrived, `leaving` those that it holds until their owners have them."""

    node_id: str
    lacking: int = 0
    leaving: int = 0


class Gossip(Frame, tag=14, frozen=True):
    """Any -> any (tell): the incarnations of every member, what every replica has
    (`cluster_watermark`, D9.10), which view each node has left its past to (`reports`, D10 R7), and
    the node ids that were declared lost.  `names` has the name of the cluster that each incarnation
    goes under, `name` the sender's own (0028); `mark` is the sender's, where it is durable (D1).
    While views are retired, `views` are those that the sender knows, and its reports count where
    all of them are known; `missed` are the past writes of other shards that it waits for."""

    incarnations: dict[str, dict[str, int]]
    cluster_watermark: Vector
    reports: dict[str, ViewId] = msgspec.field(default_factory=dict)
    lost: list[str] = msgspec.field(default_factory=list)
    names: dict[str, str] = msgspec.field(default_factory=dict)
    name: str = ""
    mark: Mark = NO_MARK
    views: list[ViewId] = msgspec.field(default_factory=list)
    missed: Vector = msgspec.field(default_factory=dict)


class Views(Frame, tag=15, frozen=True):
    """Any -> any (tell; ask where it only passes on what others said): the views that are not
    retired, and the oldest view below which all are (D10 R1)."""

    views: list[View]
    oldest_view: ViewId
    gossip: Gossip


class NotOwner(Frame, tag=16, frozen=True):
    """Home -> origin (tell): the sender does not own the key by its view, may not name writes yet,
    or has found the key's row damaged.  This attempt has certainly not written."""

    request: int
    attempt: int = 1


class CannotDecide(Frame, tag=18, frozen=True):
    """Home -> origin (tell): this attempt has certainly not written.  Whether a condition refuses
    the write depends on a past that the home still lacks: read the key first."""

    request: int
    attempt: int = 1


class ForwardedProposal(Frame, tag=19, frozen=True):
    """A node outside the view -> a node of it (ask): propose this.  `anew`: the sender knew no
    view, so the receiver makes it from the current one.  `base`: what its client made it from."""

    request: int
    layout: Layout
    anew: bool = False
    lost: tuple[str, ...] = ()
    base: ViewId | None = None


class Granted(Frame, tag=20, frozen=True):
    """A node of the view -> the sender of a forwarded proposal (tell): the current view, and
    whether it is the one that was proposed."""

    request: int
    view: View
    adopted: bool


class ReadRepair(Frame, tag=21, frozen=True):
    """Origin -> owner (tell): the filled item that a read has found, less the versions `rest`."""

    key: str
    item: Item
    rest: tuple[Dot, ...] = ()


class Superseded(Frame, tag=22, frozen=True):
    """Any -> any (tell): the node of this mark must begin a new incarnation, because its disk is a
    copy or older than what the sender has seen of it (D1)."""

    mark: Mark
    reason: str


class DeclaredRuns(Frame, tag=23, frozen=True):
    """Any -> any (tell): the past runs that nodes have declared, each with its last number, in
    chains (`node.core.storage.past_runs`)."""

    chains: list[list[tuple[Actor, int]]]


class WantRuns(Frame, tag=24, frozen=True):
    """Any -> any (ask): tell your chains of runs, for your message names one that is not known."""


class Join(Frame, tag=17, frozen=True):
    """A node of no view -> any (ask): add the sender to your view."""

    address: str


Message = (
    Accept | Ack | Written | Declined | Replicate | Fetch | State | CountKeys | KeyCount | Compare
    | Pull | ItemPage | SamePage | RowPage | Heartbeat | Gossip | Views | NotOwner | Join
    | CannotDecide | ForwardedProposal | Granted | ReadRepair | Superseded | DeclaredRuns | WantRuns
    | ReplicateAgain | Hint | Hinted | HandOver | TakenOver | Inspect | Inspected | FetchKeys
    | KeyPage | FetchChanges | ChangePage | AskClocks | ClocksTold
)  # fmt: skip

BOUND_TO_VIEW = frozenset({  # these count only between two nodes of one view (D10 R1)
    Ack, Replicate, Fetch, State, Compare, Pull, ItemPage, SamePage, RowPage, ReadRepair, Hint,
    Hinted, HandOver, TakenOver, FetchKeys, KeyPage, FetchChanges, ChangePage,
})  # fmt: skip
BOUND_TO_OLDEST_VIEW = frozenset({State, KeyPage, ChangePage})  # whole by it alone, perhaps


class Epoch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The view a message was sent in, and the oldest view its sender knew."""

    view: ViewId = FIRST
    oldest_view: ViewId = FIRST


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What travels between nodes: a message and the epoch of its sender (D10 R1)."""

    epoch: Epoch
    message: Message
