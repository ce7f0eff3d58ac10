"""The requests that clients make of their node, and the outcomes that it may answer with."""

import msgspec

from node.core.model.actors import Actor
from node.core.model.changes import StateChange
from node.core.model.conditions import UNCONDITIONAL, Mode, RefuseWhen, Scope
from node.core.model.dots import Dot, Vector
from node.core.model.drawn_identity import is_drawn
from node.core.model.hlc import Timestamp
from node.core.model.item import Past
from node.core.model.labels import Labels
from node.core.model.quorum import AVAILABLE, Level
from node.core.model.token import Token
from node.core.model.view import Layout, View, ViewId
from node.core.model.write_name import WriteName
from node.core.protocol.inspection import Question, QuestionOutcome
from node.core.protocol.watching import ChangesListed, ListChanges, Untraceable

ANSWER_S = 2.0  # so long a client waits for replicas, if it does not say how long


class Put(msgspec.Struct, frozen=True, gc=False):
    """Write a value (None: delete), unless a condition of `refuse_when` holds.  `clocked`: keep a
    vector clock, as do all that replace one with a clock.  It may wait `wait_s` for replicas that
    may not name it yet, `timeout_s` for those that were asked.  From `expires` on it is not shown.
    `identity`: its client's if it repeats it, or its origin's.  `hinted`: others may keep it.
    `change`: what it does to a counter or a set, instead of a value; `states`: what its origin has
    read of that first, and its context covers."""

    key: str
    value: bytes | None
    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    context: Past = msgspec.field(default_factory=Past)
    level: Level = AVAILABLE
    refuse_when: RefuseWhen = UNCONDITIONAL
    clocked: bool = False
    after_all: bool = False  # it depends on all that its home shows, too
    wait_s: float = 2.0
    foretold: bool = False  # its token may name writes that are still to come
    labels: Labels | None = None
    timeout_s: float = ANSWER_S
    expires: int = 0  # milliseconds since the epoch; 0: never
    identity: str = ""
    repeated: bool = False  # it may be named already, and then what its home has may be later
    first: Timestamp | None = None  # of its first name, where that is known
    hinted: bool = False
    change: StateChange | None = None
    states: tuple[bytes, ...] = ()

    @property
    def repeatable_as(self) -> str:
        """The identity under which its client may send it again; or empty."""
        return "" if is_drawn(self.identity) else self.identity

    @property
    def is_in_context(self) -> bool:
        """Whether its client has seen it: what the context covers may have replaced it."""
        return self.identity in self.context.namings

    @property
    def judged_as(self) -> Mode:
        """The mode of a read whose outcome decides on `refuse_when`."""
        return self.refuse_when.shown_as or self.mode


class Get(msgspec.Struct, frozen=True, gc=False):
    """Read a key from `copies` replicas; wait `wait_s` for what the token needs (0: refuse), and
    `timeout_s` for the replicas.  `repair`: all owners are asked, and those that lack something of
    it are told (read repair).  `check`: after the answer this may be done once in a while
    (`read_check.py`).  `stale`: what the token needs and no replica has is told beside what
    there is, instead of a refusal.  `raw`: values come as they are stored, with their labels and
    timestamps; otherwise as JSON text."""

    key: str
    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    scope: Scope = Scope.KEY
    copies: int = 1
    wait_s: float = 0.0
    repair: bool = False
    timeout_s: float = ANSWER_S
    stale: bool = False
    raw: bool = False
    identity: str = ""  # of a write, to learn whether it was named
    check: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether it asks for more than a client without a token is shown."""
        return bool(self.token) or self.mode is Mode.SIBLINGS


class Peek(msgspec.Struct, frozen=True, gc=False):
    """Read a key from the asked node's own replica alone, whether that is whole or not."""

    key: str


class StoreLocally(msgspec.Struct, frozen=True, gc=False):
    """Write a value on the asked node's own replica; repair brings it to the others.  It replaces
    versions that are older by their vector clocks, and the rest stays beside it.  `only_new`: if a
    version has this clock or a later one, answer with it and write nothing."""

    key: str
    value: bytes
    clock: Vector
    only_new: bool = False


class Count(msgspec.Struct, frozen=True, gc=False):
    """Count the live keys of this shard."""

    shard: str


class List(msgspec.Struct, frozen=True, gc=False):
    """List the live keys of the asked node's shard, with their values.  Waits `wait_s` for what the
    token says of this shard."""

    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    wait_s: float = 0.0


class ListKeys(msgspec.Struct, frozen=True, gc=False):
    """List live keys in these slots (a mask) from `start` on (empty: without counters and sets)
    and before `end` (empty: to the last): about `limit`, the first ones in the order of keys.
    Holders have `timeout_s` to answer, and to get what the token names there."""

    slots: int
    start: str = ""
    end: str = ""
    limit: int = 1000
    token: Token = msgspec.field(default_factory=Token)
    timeout_s: float = ANSWER_S


class Look(msgspec.Struct, frozen=True, gc=False):
    """List what the asked node shows without a token, and what it holds back.  At most `limit` keys
    behind this one, in an order of their own."""

    after: str | None = None
    limit: int = 0


class Forget(msgspec.Struct, frozen=True):
    """Forget all data, the view and the node's own name: start as a new node."""


class Propose(msgspec.Struct, frozen=True):
    """Change the view to this layout; `base` is the view it was computed from (None: whatever is
    current).  `lost` names nodes that are declared lost: writes on their disks alone are given up.
    """

    layout: Layout
    base: ViewId | None = None
    lost: tuple[str, ...] = ()


Request = (
    Put | Get | Peek | StoreLocally | Count | List | ListKeys | Look | Forget | Propose
    | ListChanges | Question
)  # fmt: skip


# ------------------------------------------------------------------ what the node answers


class Stored(msgspec.Struct, frozen=True, gc=False):
    """The write is durable on `acks` of `copies` replicas, which are `nodes`; `context` is what the
    client has seen of the key, `clock` the version's vector clock (None: it has none), and `shown`
    are the versions that its home shows now.  For `hints` other replicas, nodes of other shards
    durably keep it.  `state` is that of a counter or a set after its change."""

    token: Token
    context: Past
    dot: Dot
    replaced: bool  # a value was shown before
    acks: int
    copies: int
    home: str
    nodes: tuple[str, ...] = ()
    clock: Vector | None = None
    shown: tuple[Dot, ...] = ()
    hints: int = 0
    state: bytes = b""


class Found(msgspec.Struct, frozen=True, gc=False):
    """Values, newest timestamp first (lww: just one); `dots` names all versions the key holds.  Of
    siblings `clocks` are the vector clocks; raw values have `labels`, `timestamps` and `expires`.
    `reads` replicas were asked; `missing` is what the token needs and they lack."""

    values: tuple[bytes, ...]
    shown: tuple[Dot, ...]
    dots: tuple[Dot, ...]
    token: Token
    context: Past
    served_by: str
    clocks: tuple[Vector, ...] = ()
    labels: tuple[Labels | None, ...] = ()
    timestamps: tuple[Timestamp, ...] = ()
    reads: int = 1
    missing: dict[Actor, tuple[int, int]] = {}
    expires: tuple[int, ...] = ()
    naming: WriteName | None = None  # of the write with the request's identity


class Absent(msgspec.Struct, frozen=True, tag=True, gc=False):
    """No value is shown; `dots` names the delete marks, and what they hide, that explain it."""

    dots: tuple[Dot, ...]
    token: Token
    context: Past
    served_by: str
    reads: int = 1
    missing: dict[Actor, tuple[int, int]] = {}
    naming: WriteName | None = None  # of the write with the request's identity


class Mismatch(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write is certainly not done: the key shows versions of this tag ("": no value), which its
    condition excludes.  `context` and `token` say what was seen."""

    shown_tag: str
    token: Token
    context: Past
    served_by: str


class Unmet(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The token is ahead of all replicas that were reached; `missing`: actor -> (have, need).  The
    request is certainly not done."""

    missing: dict[Actor, tuple[int, int]]


class Unavailable(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The node could not do the request.  `definite` promises that nothing was written; otherwise
    the write may be done or not.  `nodes` are those that did answer."""

    reason: str
    definite: bool
    acks: int = 0
    nodes: tuple[str, ...] = ()


class Overfull(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write is certainly not done: the versions of the key leave no room for it."""

    reason: str


class Reused(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write is certainly not done: its identity is that of another write."""

    reason: str


class OutOfBounds(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The change is certainly not done: a counter or a set would exceed a bound."""

    reason: str


class Rejected(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The request claims what cannot be, today and later.  Nothing of it was written or stored."""

    reason: str


# Of a write, by its home.
Refusal = Absent | Mismatch | Unmet | Unavailable | Rejected | Overfull | OutOfBounds | Reused


class Counted(msgspec.Struct, frozen=True, gc=False):
    """The live keys of a shard, as one of its members counts them."""

    keys: int


class Listed(msgspec.Struct, frozen=True, gc=False):
    """The live keys of this node's shard with the values that are shown, newest first."""

    shard: str
    items: dict[str, tuple[bytes, ...]]
    token: Token


class KeysListed(msgspec.Struct, frozen=True, gc=False):
    """All live keys that were asked for before `upto` (empty: all of them), in their order.  If it
    is not `certain`, holders have parts of the slots while these move, and a key may be deleted
    whose delete only one of them has: read such a key."""

    keys: list[str]
    upto: str
    token: Token
    certain: bool = True


class Early(msgspec.Struct, frozen=True, gc=False):
    """A write (value None: a delete) that has come before its past: `deps` is what it depends on,
    `missing` the part of that which has not come: actor -> (have, need)."""

    key: str
    value: bytes | None
    dot: Dot
    deps: Token
    missing: dict[Actor, tuple[int, int]]


class Looked(msgspec.Struct, frozen=True, gc=False):
    """What a node shows: up to which number all writes of each actor are shown (`clock`), a page of
    values, and the key behind which there may be more (`after`); and what it holds back (`early`).
    `actors` has the node of each actor, `present` the actor that each node writes as now, as far as
    these are known."""

    actors: dict[Actor, str]
    clock: dict[Actor, int]
    items: dict[str, bytes]
    after: str | None
    early: list[Early]
    present: dict[str, Actor] = {}


class Forgotten(msgspec.Struct, frozen=True):
    """This node's data is gone from its disk."""


class Adopted(msgspec.Struct, frozen=True):
    """The view was changed; this node has stored it and has told the others."""

    view: View


class Outdated(msgspec.Struct, frozen=True):
    """The change was computed from another view than the current one, which is this."""

    view: View


Outcome = (
    Stored | Found | Absent | Mismatch | Unmet | Unavailable | Rejected | Overfull | OutOfBounds
    | Reused | Counted | Listed | KeysListed | Looked | Forgotten | Adopted | Outdated
    | QuestionOutcome
    | ChangesListed | Untraceable
)  # fmt: skip
