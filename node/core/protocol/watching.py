"""What is said of changes: what a watch asks of its node, and nodes of each other.

    ListChanges   a watch asks its node what has changed in some slots since a clock
    FetchChanges  the node asks a holder of these slots for the next of it
    ChangePage    the holder answers from its own store
    ChangesListed all of it, from stores that are whole for these slots

(docs/decisions/0050.)
"""

import msgspec
from msgspec.structs import replace

from node.core.model.actors import Actor
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Version
from node.core.model.slots import Slots
from node.core.model.view import ViewId
from node.core.protocol.frame import Frame

SHORT_VALUE_BYTES = 4096  # a longer value is not sent with its change


def without_long_value(version: Version) -> tuple[Version, int]:
    """The version as a change tells it, and the size of its value if that is left out."""
    size = len(version.value or b"")
    return (replace(version, value=b""), size) if size > SHORT_VALUE_BYTES else (version, 0)


class ListChanges(msgspec.Struct, frozen=True, gc=False):
    """List what has changed in these slots since `clock` (None: nothing, tell the clock of now), of
    the keys from `start` on and before `end` (empty: to the last).  The clock was read `age_s` ago.
    Holders have `timeout_s` to answer, each time; `turn` says which one is asked first."""

    slots: Slots
    start: str
    end: str
    clock: DotClock | None
    age_s: float
    timeout_s: float
    turn: int = 0


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Writes that a change depends on: the n-th of an actor or, if it `is_floor`, all up to the
    n-th; they were made in these slots."""

    actor: Actor
    n: int
    slots: Slots
    is_floor: bool = False


class KeyChange(msgspec.Struct, frozen=True, gc=False):
    """One write of a key, as it was named, without its dependencies: these are its `causes`.  No
    version: another write has replaced it before any holder that was asked had it."""

    dot: Dot
    key: str
    version: Version | None
    causes: tuple[Cause, ...] = ()


class ChangesListed(msgspec.Struct, frozen=True):
    """What has changed: the clocks that say up to where, by sets of slots; the writes; what their
    keys hold; and the sizes of values that are too long to be here."""

    read: list[tuple[Slots, DotClock]]
    changes: list[KeyChange]
    items: dict[str, Item]
    sizes: dict[Dot, int]


class Untraceable(msgspec.Struct, frozen=True, tag=True):
    """What has changed since that clock cannot be listed any more, for this reason."""

    reason: str


class FetchChanges(Frame, tag=44, frozen=True):
    """Origin -> holder (ask): what has changed in these `slots` since `clock` (None: tell yours)?
    Of the keys from `start` on and before `end` (empty: to the last).  `next_key` goes on with
    this key; `turn` counts the questions of one request."""

    request: int
    turn: int
    slots: bytes
    start: str
    end: str
    clock: DotClock | None
    next_key: str = ""


class ChangePage(Frame, tag=45, frozen=True):
    """Holder -> origin (tell): the next changes, of those `slots` of the question that share one
    clock here (none: it holds none of them).  `clock` is that clock; `dots` are the writes and
    their keys, `items` what these keys hold, less long values, whose `sizes` are told; `replaced`
    has those writes that others have replaced since.  There is more: ask with the clock `upto`, or
    from `next_key` on.  A page is `scanned` if it was made from the rows; deletes are in it
    that left no row within the last `kept_s`."""

    request: int
    turn: int
    slots: bytes = b""
    clock: DotClock = msgspec.field(default_factory=DotClock)
    complete_for: tuple[ViewId, ...] = ()
    dots: dict[Dot, str] = msgspec.field(default_factory=dict)
    items: dict[str, Item] = msgspec.field(default_factory=dict)
    replaced: dict[Dot, Version] = msgspec.field(default_factory=dict)
    sizes: dict[Dot, int] = msgspec.field(default_factory=dict)
    upto: DotClock | None = None
    next_key: str = ""
    scanned: bool = False
    kept_s: float = 0.0

    @property
    def has_more(self) -> bool:
        """Whether the holder has more to tell."""
        return self.upto is not None or bool(self.next_key)
