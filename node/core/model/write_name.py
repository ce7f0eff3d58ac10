"""The name of a write that its client may send again.  (protocol D12; docs/decisions/0041.)"""

import msgspec
from msgspec.structs import replace

from node.core.model.dots import Dot
from node.core.model.hlc import Timestamp


class WriteName(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How a home has named a write that its client may repeat: the first answer to it; and what has
    replaced the write.

    `certain`: a write that has no second name, or whose client had seen this one.  `by`: writes
    with an identity whose home had this one, and whose clients had not seen it.
    """

    dot: Dot
    timestamp: Timestamp
    replaced: bool = False  # a value was shown before
    by: tuple[str, ...] = ()
    certain: bool = False

    @property
    def rank(self) -> tuple[Timestamp, Dot]:
        """What the first name of several has least of."""
        return self.timestamp, self.dot

    def marked(self, by: str) -> "WriteName":
        """The name when the write is replaced: certainly, or `by` one whose client had not seen
        it."""
        if not by:
            return replace(self, certain=True)
        return replace(self, by=tuple(sorted({*self.by, by})))

    def joined(self, other: "WriteName") -> "WriteName":
        """The first of two names of one write, with all that has replaced it."""
        first = min(self, other, key=lambda name: name.rank)
        by = tuple(sorted({*self.by, *other.by}))
        return replace(first, by=by, certain=self.certain or other.certain)


WriteNames = dict[str, WriteName]  # by the identity of the write
