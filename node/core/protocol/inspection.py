"""What nodes say of one key, for a person who asks why it shows what it shows.

    Explain      a client asks its node about a key; it is answered with `Explained`
    Inspect      that node asks all others
    Inspected    each of them answers with a `KeyReport`
    Recognize    a client asks what its token or context says; it is answered with `Recognized`
    JoinClocks   a client asks its node what all nodes have, of all keys: `ClocksJoined`
    AskClocks    that node asks all others
    ClocksTold   each of them answers with a token of all that it has

A report has no values, so it fits into one message for items of any size.  No node stores a report,
and none decides anything by it.
"""

import msgspec

from node.core.model.actors import Actor
from node.core.model.dots import Dot, DotClock
from node.core.model.hlc import Timestamp
from node.core.model.item import Past
from node.core.model.token import Token
from node.core.model.view import NO_VIEW, ViewId
from node.core.protocol.frame import Frame

INSPECT_S = 1.0  # so long an explanation waits for nodes that can be reached
Lacking = dict[Actor, tuple[int, int]]  # actor -> (have, need)


class HeldVersion(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A version that a replica holds.  `state`: "shown", or why readers of this replica are not
    shown it: "delete" (it is a delete mark), "hidden" (by a later delete), "repeated" (another
    version is the same write), "expired", or "early" (what it depends on has not come).  `size` is
    in bytes, `expires` in milliseconds since the epoch (0: never); a delete mark has no type."""

    dot: Dot
    timestamp: Timestamp
    state: str
    size: int
    content_type: str
    expires: int = 0


class KeptHint(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A write that the reporting node keeps for its target since `at_ms` (milliseconds since the
    epoch)."""

    target: str
    dot: Dot
    at_ms: int


class WaitingRequest(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A read or a write of the reporting node's clients, for so many seconds.  `missing` is what a
    read's token needs, `nodes` have told their state, or have the write on disk."""

    kind: str
    for_s: float
    missing: Lacking
    nodes: tuple[str, ...]


class KeyEvent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A change of the key's row at the reporting node; `source` is the node whose message caused
    it."""

    at_ms: int
    what: str
    source: str


class KeyReport(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one node says of a key.  `holds`: it has a store for the key's slot, with this `clock`,
    and has seen this `past` of the key; `whole`: it answers reads by that store alone; `damaged`:
    the key's row cannot be read."""

    view: ViewId = NO_VIEW
    holds: bool = False
    whole: bool = False
    damaged: bool = False
    versions: tuple[HeldVersion, ...] = ()
    past: Past = msgspec.field(default_factory=Past)
    clock: DotClock = msgspec.field(default_factory=DotClock)
    hints: tuple[KeptHint, ...] = ()
    waiting: tuple[WaitingRequest, ...] = ()
    events: tuple[KeyEvent, ...] = ()


class Inspect(Frame, tag=40, frozen=True):
    """Origin -> any (ask): what do you have of this key, and what is under way?"""

    request: int
    key: str


class Inspected(Frame, tag=41, frozen=True):
    """Any -> origin (tell): the sender has this of the key; values are left out."""

    request: int
    report: KeyReport


class AskClocks(Frame, tag=46, frozen=True):
    """Origin -> any (ask): which writes do you have, of all keys?"""

    request: int


class ClocksTold(Frame, tag=47, frozen=True):
    """Any -> origin (tell): the sender has all that this token depends on.  The token's view is the
    sender's."""

    request: int
    token: Token


# ------------------------------------------------------------------ what clients ask
class Explain(msgspec.Struct, frozen=True, gc=False):
    """Ask every node what it has of a key, and which of them cover the token; wait so long for
    those that can be reached."""

    key: str
    token: Token = msgspec.field(default_factory=Token)
    timeout_s: float = INSPECT_S


class Silence(msgspec.Struct, frozen=True, gc=False):
    """Why there is no report of a node: it cannot be reached, or it did not answer in time.
    `heard_s` is how many seconds ago it was heard of last; None: not since the start."""

    reachable: bool
    heard_s: float | None


class Explained(msgspec.Struct, frozen=True, gc=False):
    """The reports of all nodes that have answered, and the silence of the others.  `missing` has
    what the replicas lack of the client's token, for each that holds the key's slot."""

    reports: dict[str, KeyReport]
    silent: dict[str, Silence]
    missing: dict[str, Lacking]


class Recognize(msgspec.Struct, frozen=True, gc=False):
    """Ask what a token and a context say; the node refuses those of another cluster."""

    token: Token = msgspec.field(default_factory=Token)
    context: Past = msgspec.field(default_factory=Past)


class Recognized(msgspec.Struct, frozen=True, gc=False):
    """A token and a context of this cluster, with all runs that they stand for."""

    token: Token
    context: Past


class JoinClocks(msgspec.Struct, frozen=True, gc=False):
    """Ask every node of all known views which writes it has; wait so long for those that can be
    reached."""

    timeout_s: float


class ClocksJoined(msgspec.Struct, frozen=True, gc=False):
    """A token that depends on all that the nodes have which have answered; `silent` are the
    others.  It may have more exact dots than a client's: it is for this node's own questions."""

    token: Token
    silent: tuple[str, ...]


Question = Explain | Recognize | JoinClocks
QuestionOutcome = Explained | Recognized | ClocksJoined
