"""What clients may ask of their node, and what it may answer."""

from enum import StrEnum

import msgspec

from node.core.clock import Dot, Vector
from node.core.siblings import Past
from node.core.token import Token
from node.core.view import Actor, Layout, View, ViewId


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


class Put(msgspec.Struct, frozen=True, gc=False):
    """Write a value (None: delete).  `refuse_unmet` refuses when the token is not covered;
    `clocked` keeps a vector clock with it, as every write does that replaces one which has one."""

    key: str
    value: bytes | None
    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    context: Past = msgspec.field(default_factory=Past)
    level: Level = AVAILABLE
    refuse_unmet: Scope | None = None
    if_present: bool = False  # a delete that answers `Absent` where nothing is shown
    clocked: bool = False
    after_all: bool = False  # it depends on all that its home shows, too


class Get(msgspec.Struct, frozen=True, gc=False):
    """Read a key from `copies` replicas; wait `wait_s` for what the token needs (0: refuse).
    `mend`: all owners are asked, and those that lack something of it are told (read repair)."""

    key: str
    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    scope: Scope = Scope.KEY
    copies: int = 1
    wait_s: float = 0.0
    mend: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether it is about more than what is shown to who has seen nothing."""
        return bool(self.token) or self.mode is Mode.SIBLINGS


class Peek(msgspec.Struct, frozen=True, gc=False):
    """What does the asked node's own replica hold of this key, whether it is whole or not?"""

    key: str


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Write a value on the asked node's own replica; the others have it from repair.  What is
    there and older by its vector clock is replaced, the rest stays beside it.  `only_new`: answers
    what is there, and writes nothing, if that has this clock or a later one."""

    key: str
    value: bytes
    clock: Vector
    only_new: bool = False


class Count(msgspec.Struct, frozen=True, gc=False):
    """How many live keys has this shard?"""

    shard: str


class List(msgspec.Struct, frozen=True, gc=False):
    """Which live keys, with their values, does the asked node's shard hold?  Waits `wait_s` for
    what the token says of this shard."""

    mode: Mode = Mode.LWW
    token: Token = msgspec.field(default_factory=Token)
    wait_s: float = 0.0


class Look(msgspec.Struct, frozen=True, gc=False):
    """What does the asked node show without a token, and what does it hold back?  At most `limit`
    keys behind this one, in an order of their own."""

    after: str | None = None
    limit: int = 0


class Forget(msgspec.Struct, frozen=True):
    """Forget all data, the view and the node's own name: start as a new node."""


class Propose(msgspec.Struct, frozen=True):
    """Change the view to this layout; `base` is the view it was computed from (None: whatever is
    current).  `lost` names nodes that are declared lost: what only their disks had is given up."""

    layout: Layout
    base: ViewId | None = None
    lost: tuple[str, ...] = ()


Request = Put | Get | Peek | Keep | Count | List | Look | Forget | Propose


# ------------------------------------------------------------------ what the node answers


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Durable on `acks` of `copies` replicas, which are `nodes`; `context` is what the client has
    seen of the key, `clock` the version's vector clock (None: it has none)."""

    token: Token
    context: Past
    dot: Dot
    replaced: bool  # a value was shown before
    acks: int
    copies: int
    home: str
    nodes: tuple[str, ...] = ()
    clock: Vector | None = None


class Found(msgspec.Struct, frozen=True, gc=False):
    """Values, newest stamp first (lww: just one); `dots` names all versions the key holds.  Of
    siblings `clocks` are the vector clocks."""

    values: tuple[bytes, ...]
    shown: tuple[Dot, ...]
    dots: tuple[Dot, ...]
    token: Token
    context: Past
    served_by: str
    clocks: tuple[Vector, ...] = ()


class Absent(msgspec.Struct, frozen=True, tag=True, gc=False):
    """No value is shown; `dots` names the delete marks, and what they hide, that explain it."""

    dots: tuple[Dot, ...]
    token: Token
    context: Past
    served_by: str


class Unmet(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The token is ahead of all replicas that were reached: actor -> (have, need).  Definite."""

    missing: dict[Actor, tuple[int, int]]


class Unavailable(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Not answered.  `definite` promises that nothing was written; otherwise nobody knows.
    `nodes` are those that did answer."""

    reason: str
    definite: bool
    acks: int = 0
    nodes: tuple[str, ...] = ()


class Counted(msgspec.Struct, frozen=True, gc=False):
    """The live keys of a shard, as one of its members counts them."""

    keys: int


class Listed(msgspec.Struct, frozen=True, gc=False):
    """The live keys of this node's shard with the values that are shown, newest first."""

    shard: str
    items: dict[str, tuple[bytes, ...]]
    token: Token


class Early(msgspec.Struct, frozen=True, gc=False):
    """A write (None: a delete) that has come before its past: what it depends on, and what of that
    is missing: actor -> (have, need)."""

    key: str
    value: bytes | None
    dot: Dot
    deps: Token
    missing: dict[Actor, tuple[int, int]]


class Looked(msgspec.Struct, frozen=True, gc=False):
    """What a node shows: how far all writes of each actor are shown, a page of values, the key
    behind which there may be more; and what it holds back.  `actors` tells whose they are."""

    actors: dict[Actor, str]
    clock: dict[Actor, int]
    items: dict[str, bytes]
    after: str | None
    early: list[Early]


class Forgotten(msgspec.Struct, frozen=True):
    """Nothing is left on this node's disk."""


class Adopted(msgspec.Struct, frozen=True):
    """The view was changed; this node is in it, durably, and has told the others."""

    view: View


class Outdated(msgspec.Struct, frozen=True):
    """The change was computed from a view that is not the current one, which is this."""

    view: View


Outcome = (
    Stored
    | Found
    | Absent
    | Unmet
    | Unavailable
    | Counted
    | Listed
    | Looked
    | Forgotten
    | Adopted
    | Outdated
)
