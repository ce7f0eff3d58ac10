"""The messages of a hint: a write that a node of another shard keeps for an owner.

    Hint       the home leaves the write with a holder, because the target cannot be reached
    Hinted     the holder tells the origin that its disk has it
    HandOver   the holder tells it to the target, or to another owner
    TakenOver  that owner's disk has it, and the holder drops the hint

(protocol P-3; docs/decisions/0043.)
"""

from node.core.model.dots import Dot
from node.core.model.item import Item
from node.core.protocol.frame import Frame


class Hint(Frame, tag=28, frozen=True):
    """Home -> holder (tell): keep this write for the target, an owner of the key; else it is a
    `Replicate`."""

    request: int
    origin: str
    target: str
    key: str
    item: Item
    dot: Dot


class Hinted(Frame, tag=29, frozen=True):
    """Holder -> origin (tell): the write is durable at the sender, which keeps it for this
    owner."""

    request: int
    dot: Dot
    target: str


class HandOver(Frame, tag=30, frozen=True):
    """Holder -> owner (tell): take this write, which the sender has kept; `number` is that of the
    hint at the sender."""

    number: int
    key: str
    item: Item
    dot: Dot


class TakenOver(Frame, tag=31, frozen=True):
    """Owner -> holder (tell): the sender needs this hint no more.  It has the write on its disk, or
    has judged that the write may not come back."""

    number: int
    dot: Dot
