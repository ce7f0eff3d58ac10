"""What a write replaces, what of a token a request waits for, and when a write is refused."""

from enum import StrEnum

import msgspec

from node.core.model.tags import is_among


class Mode(StrEnum):
    """What a write replaces: all versions that its home holds (lww), or those that its client has
    seen, by its context."""

    LWW = "lww"
    SIBLINGS = "siblings"


class Scope(StrEnum):
    """The entries of a token that a request waits for: its key's, or those of its whole shard."""

    KEY = "key"
    SHARD = "shard"


class RefuseWhen(msgspec.Struct, frozen=True, gc=False):
    """The optional conditions of a write: if one of them holds, the home refuses it, and it is
    certainly not done (`Home._decline`).  Where the home cannot tell, the origin reads first
    and judges them by the outcome (`LookFirst`)."""

    # The home does not cover what the token says of the key, or of its whole shard: `Unmet`.
    unmet: Scope | None = None
    # The key shows no value: `Absent`.  Deletes have this condition.
    absent: bool = False
    # The key's tag is none of these: `Mismatch` (HTTP's If-Match).
    other_than: tuple[str, ...] | None = None
    # The key's tag is one of these: `Mismatch` (If-None-Match).
    one_of: tuple[str, ...] = ()
    # What the key shows: all its siblings, or one value.  None: what the mode of the write shows.
    shown_as: Mode | None = None

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return self.absent or self.unmet is not None or self.asks_for_tag

    @property
    def asks_for_tag(self) -> bool:
        """Whether the tag of what the key shows decides."""
        return self.other_than is not None or bool(self.one_of)

    def rejects(self, tag: str) -> bool:
        """Whether a write is refused where the key shows versions of this tag ("": no value)."""
        return self.is_other(tag) or is_among(tag, self.one_of)

    def is_other(self, tag: str) -> bool:
        """Whether this tag is none of those that it has to be."""
        return self.other_than is not None and not is_among(tag, self.other_than)

    @property
    def scope(self) -> Scope:
        """The entries of the token that are compared before the write."""
        return self.unmet or Scope.KEY


UNCONDITIONAL = RefuseWhen()
